"""manage.py preferences."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command

from preferences.models import PreferenceRevision, SitePreferences, User
from preferences.reader import canonical
from preferences.saving import Conflict, read_row, save_preferences
from tests.functional.test_preferences_locks import lock  # noqa: F401

ROOT = Path(__file__).parents[2]
CONFIGURATION = canonical(
    {
        "main": {"region": "us-east-1", "bucket": "studio-media"},
        "sydney": {"region": "ap-southeast-2", "bucket": "studio-media-sydney"},
    }
)


class Ran:
    """What a command printed."""

    def __init__(self, *arguments):
        out, err = io.StringIO(), io.StringIO()
        call_command("preferences", *arguments, stdout=out, stderr=err)
        self.out, self.err = out.getvalue(), err.getvalue()


def refused(*arguments):
    with pytest.raises(CommandError) as caught:
        Ran(*arguments)
    return caught.value


@pytest.fixture
def stored(db):
    save_preferences(
        {
            "s3_configuration": CONFIGURATION,
            "storage_location": "main",
            "s3_bucket_for_replication": "sydney",
            "s3_replication_ip_addresses": "10.20.0.0/16",
        },
        0,
        None,
    )


def test_list_shows_values_with_labels_and_names(stored):
    out = Ran("list").out
    assert "S3 Replication Delay [s3_replication_delay]\n    60\n" in out
    assert '"bucket": "studio-media-sydney"' in out
    assert out.endswith("Revision 1\n")
    listed = json.loads(Ran("list", "--json").out)
    assert (listed["revision"], listed["values"]["storage_location"]) == (1, "main")


def test_get_takes_fields_and_labels(stored):
    assert Ran("get", "storage_location").out == "main\n"
    assert Ran("get", "S3 Replication Delay").out == "60\n"
    assert Ran("get", "verify_replica_copies").out == "on\n"
    assert Ran("get", "verify_replica_copies", "--json").out == "true\n"
    assert refused("get", "colour").returncode == 2


def test_set_saves_several_as_one_revision_with_author_and_comment(stored):
    rhea = User.objects.create_user("rhea")
    ran = Ran(
        "set",
        "S3 Replication Delay=90",
        "verify_replica_copies=off",
        "--user=rhea",
        "--comment=slow week",
    )
    assert "Site Preferences were saved (revision 2)." in ran.out
    assert "S3 Replication Delay (1 line removed, 1 line added)\n  - 60\n  + 90\n" in ran.out
    revision = PreferenceRevision.objects.first()
    assert (revision.user, revision.source, revision.comment) == (rhea, "command line", "slow week")
    assert (read_row().s3_replication_delay, read_row().verify_replica_copies) == (90, False)
    assert LogEntry.objects.get().user == rhea


def test_the_writer_is_the_account_when_the_site_has_no_such_user(stored, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "ops")
    Ran("set", "s3_replication_delay=90")
    revision = PreferenceRevision.objects.first()
    assert (revision.user, revision.username) == (None, "ops")

    def nobody():
        raise OSError("no name for this uid")

    monkeypatch.setattr("getpass.getuser", nobody)
    Ran("set", "s3_replication_delay=100")
    assert PreferenceRevision.objects.first().who == "somebody on the command line"


def test_set_reads_files_and_standard_input(db, tmp_path, monkeypatch):
    file = tmp_path / "configuration.json"
    file.write_text(CONFIGURATION.removesuffix("\n}") + ",\n}")
    ran = Ran("set", f"s3_configuration=@{file}", "storage_location=main")
    assert "Note: S3 Configuration: a comma after the last entry was removed." in ran.err
    assert json.loads(read_row().s3_configuration) == json.loads(CONFIGURATION)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"10.0.0.0/8\n10.20.0.1/16\n")))
    Ran("set", "s3_replication_ip_addresses=-")
    assert read_row().s3_replication_ip_addresses == "10.0.0.0/8\n10.20.0.0/16"
    assert refused("set", f"s3_configuration=@{tmp_path}/none").returncode == 2
    file.write_bytes(b"\xff")
    assert refused("set", f"s3_configuration=@{file}").returncode == 1


def test_set_validates_the_whole_result_and_saves_nothing_of_it(stored):
    error = refused("set", "s3_bucket_for_replication=sidney", "s3_replication_delay=90")
    assert error.returncode == 1
    assert "“sidney” is not in S3 Configuration. Did you mean “sydney”?" in str(error)
    only_main = canonical({"main": json.loads(CONFIGURATION)["main"]})
    error = refused("set", f"s3_configuration={only_main}")
    assert "S3 Bucket for Replication: “sydney” is not in S3 Configuration." in str(error)
    assert read_row().version == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("set", "s3_replication_delay"),
        ("set", "colour=red"),
        ("set", "s3_replication_delay=1", "S3 Replication Delay=2"),
        ("set", "s3_replication_delay=1", "--comment", "x" * 501),
        ("set", "s3_replication_delay=1", "--comment", "\udcff"),
        ("set", "s3_replication_delay=1", "--user", "\udcff"),
        ("history", "-n", "0"),
    ],
)
def test_a_wrong_command_is_usage(stored, arguments):
    assert refused(*arguments).returncode == 2
    assert read_row().version == 1


def test_dry_run_shows_difference_and_warnings_and_saves_nothing(stored):
    ran = Ran("set", "s3_replication_delay=5", "--dry-run")
    assert "  - 60\n  + 5\nNothing was saved (dry run).\n" in ran.out
    assert "Warning: S3 Replication Delay: With 5 seconds" in ran.err
    assert read_row().version == 1


def test_equal_values_change_nothing(stored):
    assert Ran("set", "s3_replication_delay=60").out == "Nothing was changed.\n"
    assert read_row().version == 1


def test_who_was_faster_is_named(stored, monkeypatch):
    def lose(*arguments, **options):
        raise Conflict(read_row())

    monkeypatch.setattr("preferences.management.commands.preferences.save_preferences", lose)
    error = refused("set", "s3_replication_delay=90")
    assert error.returncode == 1
    when = f"{read_row().changed_at:%H:%M}"
    assert f"saved revision 1 at {when} UTC, while this command ran. Nothing was" in str(error)


def test_check_says_whether_what_is_saved_can_be_used(stored, lock):  # noqa: F811
    assert Ran("check").out == "Revision 1 can be used.\n"
    SitePreferences.objects.filter(pk=1).update(s3_configuration="{")
    error = refused("check")
    assert (error.returncode, str(error)) == (1, "Revision 1: 1 error in what is saved.")
    SitePreferences.objects.filter(pk=1).update(s3_configuration=CONFIGURATION)
    lock(s3_replication_delay="soon")
    assert refused("check").returncode == 1


def test_check_reaches_s3_only_when_asked(site, monkeypatch):
    def never(*arguments, **options):
        raise AssertionError("S3 was asked")

    with monkeypatch.context() as patched:
        patched.setattr("preferences.management.commands.preferences.check_configuration", never)
        Ran("check")
    ran = Ran("check", "--buckets", "--origin=http://testserver")
    assert "main (bucket studio-main, us-east-1)" in ran.out
    assert "    pass  Upload 1 KiB:" in ran.out
    found = json.loads(Ran("check", "--buckets", "--json", "--origin=http://testserver").out)
    assert {name: len(findings) for name, findings in found["buckets"].items()} == {
        "main": 16,
        "sydney": 16,
    }


def test_check_fails_when_a_bucket_does(site):
    site.emulator.faults("studio-main", status=403, methods="PUT")
    out = io.StringIO()
    with pytest.raises(CommandError, match="main has checks that fail") as caught:
        call_command("preferences", "check", "--buckets", stdout=out)
    assert caught.value.returncode == 1
    assert "fail" in out.getvalue()


def test_history_and_diff(stored):
    save_preferences({"s3_replication_delay": 90}, 1, None, username="ops", comment="why")
    out = Ran("history").out
    assert "ops  (page)  “why”\n    S3 Replication Delay: 60 → 90\n1  " in out
    listed = json.loads(Ran("history", "--json", "-n", "1").out)
    assert [(entry["number"], entry["changes"]) for entry in listed] == [
        (2, ["S3 Replication Delay: 60 → 90"])
    ]
    expected = (
        "Revision 1 → 2\nS3 Replication Delay (1 line removed, 1 line added)\n  - 60\n  + 90\n"
    )
    assert Ran("diff").out == Ran("diff", "1").out == Ran("diff", "1", "2").out == expected
    assert "Revision 2 → 1" in Ran("diff", "2", "1").out
    assert "+ sydney" in Ran("diff", "0").out
    assert Ran("diff", "2", "2").out == "Revision 2 → 2\nNothing differs.\n"
    assert json.loads(Ran("diff", "--json").out)["changed"] == {
        "s3_replication_delay": {"old": 60, "new": 90}
    }
    assert refused("diff", "7").returncode == 1


def test_restore_makes_a_new_revision(stored):
    save_preferences({"s3_replication_delay": 90}, 1, None)
    Ran("restore", "1", "--dry-run")
    assert read_row().version == 2
    Ran("restore", "1", "--comment", "too slow")
    revision = PreferenceRevision.objects.first()
    assert (revision.number, revision.source, revision.restored_from, revision.comment) == (
        3,
        "restore",
        1,
        "Restored revision 1: too slow",
    )
    assert read_row().s3_replication_delay == 60
    assert refused("restore", "9").returncode == 1
    assert refused("restore", "0", "--comment", "x" * 480).returncode == 2


def test_a_restore_is_validated_by_todays_rules(stored):
    data = PreferenceRevision.objects.get(number=1).data
    PreferenceRevision.objects.filter(number=1).update(
        data=data | {"s3_bucket_for_replication": "tokyo"}
    )
    assert "“tokyo” is not in S3 Configuration" in str(refused("restore", "1"))
    assert read_row().version == 1


def test_export_and_import_round_trip_byte_for_byte(stored, tmp_path):
    Ran("set", "s3_replication_ip_addresses=10.20.0.0/16\n\n  192.0.2.7")  # canonical JSON, too
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    Ran("export", str(first))
    Ran("restore", "0")
    assert "saved" in Ran("import", str(first)).out
    Ran("export", str(second))
    assert first.read_bytes() == second.read_bytes()
    assert Ran("export").out.encode() == first.read_bytes()
    assert Ran("import", str(first)).out == "Nothing was changed.\n"
    old = json.loads(Ran("export", "--revision", "0").out)
    assert old["s3_configuration"] == {}


def test_an_import_is_validated_and_all_or_nothing(stored, tmp_path):
    file = tmp_path / "preferences.json"
    file.write_text('{"s3_replication_delay": 90, "s3_bucket_for_replication": "tokyo"}')
    assert "“tokyo” is not in S3 Configuration" in str(refused("import", str(file)))
    file.write_text('{"delay": 90}')
    assert "Not preferences: delay." in str(refused("import", str(file)))
    assert read_row().version == 1
    file.write_text('{"s3_replication_delay": 90}')
    assert "(dry run)" in Ran("import", str(file), "--dry-run").out
    Ran("import", str(file))
    assert (read_row().s3_replication_delay, read_row().storage_location) == (90, "main")


def test_locked_fields_are_skipped_by_restore_and_import_and_refused_by_set(
    stored,
    lock,  # noqa: F811
    tmp_path,
):
    lock(s3_replication_delay="90")
    words = (
        "S3 Replication Delay is set by the environment variable MEDIA_PREF_S3_REPLICATION_DELAY"
    )
    assert words in str(refused("set", "s3_replication_delay=5", "storage_location="))
    assert "(set by MEDIA_PREF_S3_REPLICATION_DELAY)" in Ran("list").out
    assert read_row().storage_location == "main"
    file = tmp_path / "preferences.json"
    file.write_text('{"s3_replication_delay": 5, "s3_replication_ip_addresses": ""}')
    assert f"Skipped: {words}." in Ran("import", str(file)).err
    assert f"Skipped: {words}." in Ran("restore", "1").err
    assert read_row().s3_replication_delay == 90
    assert read_row().s3_replication_ip_addresses == "10.20.0.0/16"


def run(tmp_path, *arguments, stdout=subprocess.PIPE, **environment):
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env=os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            "DATABASE_URL": f"sqlite:///{tmp_path / 'site.sqlite3'}",
            "PYTHONPATH": str(ROOT),
        }
        | environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_reader_that_has_enough_gets_no_traceback(tmp_path):
    run(tmp_path, "migrate", "-v0")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        listed = run(tmp_path, "preferences", "list", stdout=writer)
    finally:
        os.close(writer)
    assert (listed.returncode, listed.stderr) == (1, "")


def test_exit_codes_and_the_way_out_when_a_saved_value_took_the_site_down(tmp_path):
    """As a shell sees it: the checks refuse everything, and `preferences restore` still works."""
    unmigrated = run(tmp_path, "preferences", "list")
    assert (unmigrated.returncode, "Traceback" in unmigrated.stderr) == (1, False)
    assert "manage.py migrate" in unmigrated.stderr
    assert run(tmp_path, "migrate", "-v0").returncode == 0
    assert run(tmp_path, "preferences", "set", "s3_replication_delay=90").returncode == 0
    break_it = (
        "from preferences.models import SitePreferences as S;"
        "S.objects.update(s3_configuration='{', version=2)"
    )
    assert run(tmp_path, "shell", "-v0", "-c", break_it).returncode == 0
    broken = run(tmp_path, "check", "--database", "default")
    assert (broken.returncode, "preferences.E001" in broken.stderr) == (1, True)
    assert run(tmp_path, "preferences", "check").returncode == 1
    assert run(tmp_path, "preferences", "frobnicate").returncode == 2
    restored = run(tmp_path, "preferences", "restore", "1")
    assert (restored.returncode, "revision 3" in restored.stdout) == (0, True)
    assert run(tmp_path, "check", "--database", "default").returncode == 0
    assert run(tmp_path, "preferences", "get", "s3_replication_delay").stdout == "90\n"
