"""Fields of Site Preferences that MEDIA_PREF_… variables fix."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core import checks as django_checks
from django.core.management import call_command
from django.db import DatabaseError
from django.test import Client

from media.models import ReplicaCopy
from preferences import checks, saving, snapshot
from preferences.models import PreferenceRevision, PreferenceSource, SitePreferences
from preferences.saving import read_row, save_preferences
from preferences.snapshot import current_preferences
from tests.functional.test_preferences_pages import (
    MAIN,
    PAGE,
    SYDNEY,
    as_admin,  # noqa: F401
    form,
    people,  # noqa: F401
    said,
    text_of,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def lock(settings, monkeypatch):
    """Return a function that starts a process anew with MEDIA_PREF_… variables."""

    def set_variables(**values):
        settings.PREFERENCE_LOCKS = dict.fromkeys(saving.FIELDS, "") | values
        monkeypatch.setattr(saving, "_enforced", False)
        snapshot.forget()

    return set_variables


def test_the_first_read_writes_the_variables_into_the_row_as_a_revision(db, lock):
    lock(s3_replication_delay="90", verify_replica_copies="off")
    preferences = current_preferences()
    assert (preferences.delay, preferences.verify, preferences.version) == (90, False, 1)
    revision = PreferenceRevision.objects.first()
    assert (revision.number, revision.source, revision.who) == (1, "environment", "the environment")
    assert revision.comment == (
        "Set by MEDIA_PREF_S3_REPLICATION_DELAY, MEDIA_PREF_VERIFY_REPLICA_COPIES"
    )
    snapshot.forget()
    assert current_preferences().version == 1


def test_without_variables_reading_costs_the_same_and_writes_nothing(db, django_assert_num_queries):
    with django_assert_num_queries(1):
        current_preferences()
    with django_assert_num_queries(1):
        current_preferences()
    assert read_row().version == 0


def test_with_variables_reading_costs_one_query_once_they_are_in_force(
    db, lock, django_assert_num_queries
):
    lock(s3_replication_delay="90")
    current_preferences()
    with django_assert_num_queries(1):
        current_preferences()


def test_a_locked_replica_is_the_one_that_downloads_join_with(site, lock):
    """One SQL statement joins the copies of the row's target: it has to be the locked one's."""
    site.prefer(s3_bucket_for_replication="")
    artist, media_file = site.person("yes"), site.media_file()
    client = Client()
    client.force_login(artist)
    url = f"/media/{media_file.pk}/download"
    assert client.head(url)["X-Media-Source"] == "main; reason=no-replica"
    lock(s3_bucket_for_replication="sydney")
    assert client.get(url)["X-Media-Source"] == "sydney; reason=ready"
    assert ReplicaCopy.objects.get().target == read_row().replica_target != ""


def test_the_page_shows_the_value_and_the_variable_and_saves_the_rest(
    as_admin,  # noqa: F811
    people,  # noqa: F811
    lock,
):
    lock(s3_replication_delay="90")
    page = text_of(as_admin.get(PAGE))
    field = re.search(r'<input type="text" name="s3_replication_delay"[^>]*>', page)[0]
    assert 'value="90"' in field
    assert "disabled" in field
    assert (
        "Set by the environment variable <code>MEDIA_PREF_S3_REPLICATION_DELAY</code>. "
        "Change it there and restart." in page
    )
    assert page.count("Set by the environment variable") == 1
    sent = form(1, storage_location="main")
    del sent["s3_replication_delay"]  # a browser does not send what is disabled
    response = as_admin.post(PAGE, sent, follow=True)
    assert "Site Preferences were saved (revision 2)." in said(response)
    assert (read_row().s3_replication_delay, read_row().storage_location) == (90, "main")


def test_what_is_sent_for_a_locked_field_all_the_same_changes_nothing(as_admin, lock):  # noqa: F811
    lock(s3_replication_delay="90")
    as_admin.get(PAGE)
    as_admin.post(PAGE, form(1, s3_replication_delay="5"))
    assert (read_row().version, read_row().s3_replication_delay) == (2, 90)


def test_every_writer_skips_locked_fields_and_says_which(db, lock):
    lock(s3_replication_delay="90")
    current_preferences()
    saved = save_preferences({"s3_replication_delay": 5, "storage_location": "x"}, 1, None)
    assert saved.skipped == ("s3_replication_delay",)
    assert saved.changes == ("Storage Location: empty → x",)
    saved = save_preferences({"s3_replication_delay": 90}, 2, None)
    assert (saved.skipped, saved.changes) == ((), ())


def test_a_locked_name_keeps_its_configuration_from_being_removed(as_admin, lock):  # noqa: F811
    as_admin.post(PAGE, form())
    lock(s3_bucket_for_replication="sydney")
    sent = form(1, s3_configuration=json.dumps({"main": MAIN}))
    page = text_of(as_admin.post(PAGE, sent))
    assert "“sydney” is not in S3 Configuration. It has: main." in page
    assert read_row().version == 1


def test_restore_says_what_it_skips(as_admin, people, lock):  # noqa: F811
    save_preferences({"s3_replication_delay": 70, "storage_location": ""}, 0, people["admin"])
    save_preferences({"s3_replication_ip_addresses": "10.0.0.0/8"}, 1, people["admin"])
    lock(s3_replication_delay="90")
    url = "/admin/preferences/sitepreferences/1/history/1/restore/"
    words = "Not restored: S3 Replication Delay (set by MEDIA_PREF_S3_REPLICATION_DELAY)."
    assert words in text_of(as_admin.get(url))
    response = as_admin.post(url, {"base_version": 3}, follow=True)
    assert said(response) == ["Revision 1 was restored as revision 4.", words]
    assert read_row().s3_replication_delay == 90
    assert read_row().s3_replication_ip_addresses == ""


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"s3_replication_delay": "soon"},
            "MEDIA_PREF_S3_REPLICATION_DELAY: Enter a whole number of seconds, 0 or more.",
        ),
        (
            {"verify_replica_copies": "maybe"},
            "MEDIA_PREF_VERIFY_REPLICA_COPIES: Verify replica copies is either on or off.",
        ),
        (
            {"s3_configuration": "{"},
            "MEDIA_PREF_S3_CONFIGURATION: Line 1, column 1: this { is never closed; add a }.",
        ),
    ],
)
def test_a_bad_variable_fails_the_check_and_downloads_go_on(site, lock, caplog, values, message):
    version = read_row().version
    artist, media_file = site.person("yes"), site.media_file()
    lock(**values)
    [found] = checks.locks_are_valid()
    assert (found.id, found.msg, found.level) == ("preferences.E004", message, django_checks.ERROR)
    assert found in django_checks.run_checks()
    client = Client()
    client.force_login(artist)
    response = client.get(f"/media/{media_file.pk}/download")
    assert (response.status_code, response["X-Media-Source"]) == (302, "sydney; reason=ready")
    assert message in caplog.text
    assert read_row().version == version


def test_a_misspelt_variable_is_named_by_the_check(settings):
    settings.UNKNOWN_PREFERENCE_LOCKS = ["MEDIA_PREF_DELAY", "MEDIA_PREF_S3_REPLICATION_DELY"]
    other, close = checks.lock_names_are_known()
    assert (other.id, other.msg) == ("preferences.W005", "MEDIA_PREF_DELAY fixes no preference.")
    assert "There are: MEDIA_PREF_S3_CONFIGURATION, " in other.hint
    assert close.hint.startswith("Did you mean MEDIA_PREF_S3_REPLICATION_DELAY?")
    assert close in django_checks.run_checks()


def test_a_bad_variable_is_named_on_the_page_and_the_rest_still_saves(as_admin, lock):  # noqa: F811
    lock(s3_replication_delay="soon")
    page = text_of(as_admin.get(PAGE))
    assert "MEDIA_PREF_S3_REPLICATION_DELAY: Enter a whole number of seconds, 0 or more." in page
    response = as_admin.post(PAGE, form(), follow=True)
    assert "Site Preferences were saved (revision 1)." in said(response)


def test_a_name_that_is_not_stored_is_found_by_the_check_with_a_database(site, lock):
    lock(s3_bucket_for_replication="tokyo")
    assert checks.locks_are_valid() == []
    assert checks.locks_fit_what_is_stored(databases=None) == []
    [found] = checks.locks_fit_what_is_stored(databases=["default"])
    assert found.id == "preferences.E004"
    assert found.msg.startswith("MEDIA_PREF_S3_BUCKET_FOR_REPLICATION: “tokyo” is not in")
    assert current_preferences().replica.name == "sydney"


def test_a_configuration_that_lacks_what_is_stored_is_not_applied(site, lock):
    lock(s3_configuration=json.dumps({"main": MAIN}))
    [found] = checks.locks_fit_what_is_stored(databases=["default"])
    assert found.msg.startswith("With the MEDIA_PREF_… variables: “sydney” is not in")
    assert current_preferences().replica.name == "sydney"


def test_the_command_checks_what_the_variables_set_before_any_page_was_read(db, lock, capsys):
    lock(s3_replication_delay="1")
    call_command("preferences", "check")
    assert capsys.readouterr().out == "Revision 1 can be used.\n"


def test_faults_of_the_row_do_not_keep_the_variables_out(db, lock):
    SitePreferences.objects.filter(pk=1).update(s3_replication_ip_addresses="nonsense")
    lock(s3_replication_delay="90")
    assert current_preferences().delay == 90


def test_a_whole_site_can_be_set_by_variables(db, lock):
    lock(
        s3_configuration=json.dumps({"main": MAIN, "sydney": SYDNEY}),
        s3_bucket_for_replication="sydney",
        s3_replication_ip_addresses="10.20.0.0/16,192.0.2.7",
        storage_location="main",
    )
    preferences = current_preferences()
    assert (preferences.primary.name, preferences.replica.name) == ("main", "sydney")
    assert preferences.ranges.find("192.0.2.7")
    assert read_row().replica_target == preferences.replica_target


def test_a_process_without_the_variable_is_put_right_at_the_next_read(db, lock):
    lock(s3_replication_delay="90")
    current_preferences()
    # As by `manage.py preferences` in a shell that lacks the variable.
    SitePreferences.objects.filter(pk=1).update(s3_replication_delay=5, version=2)
    PreferenceRevision.objects.create(
        number=2, created="2026-11-22T14:03Z", source=PreferenceSource.COMMAND_LINE, data={}
    )
    assert (current_preferences().delay, current_preferences().version) == (90, 3)


def test_two_processes_with_different_variables_do_not_answer_each_other_for_ever(db, lock, caplog):
    lock(s3_replication_delay="90")
    assert current_preferences().delay == 90
    SitePreferences.objects.filter(pk=1).update(s3_replication_delay=120, version=2)
    PreferenceRevision.objects.create(
        number=2, created="2026-11-22T14:03Z", source=PreferenceSource.ENVIRONMENT, data={}
    )
    assert (current_preferences().delay, current_preferences().version) == (120, 2)
    assert "Processes have different values of MEDIA_PREF_S3_REPLICATION_DELAY" in caplog.text


def test_a_database_that_cannot_be_written_keeps_what_it_has(db, lock, monkeypatch, caplog):
    def fail(*arguments, **options):
        raise DatabaseError("read-only")

    monkeypatch.setattr(saving, "save_preferences", fail)
    lock(s3_replication_delay="90")
    assert current_preferences().delay == 60
    assert "could not be saved" in caplog.text


def test_processes_that_start_at_once_write_one_revision(db, lock, monkeypatch):
    """The one that loses the compare-and-set takes the row of the one that won."""
    lock(s3_replication_delay="90")
    row = read_row()
    assert saving.enforce_locks(row).version == 1
    assert saving.enforce_locks(row).version == 1
    assert PreferenceRevision.objects.count() == 2


def test_variables_come_from_the_environment_of_a_real_process(tmp_path):
    def run(*arguments, **variables):
        environment = {
            "PATH": os.environ["PATH"],
            "DJANGO_ENV_FILE": os.devnull,
            "DJANGO_SECRET_KEY": "only-for-tests",
            "DATABASE_URL": f"sqlite:///{tmp_path / 'site.sqlite3'}",
        }
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=environment | variables,
            capture_output=True,
            text=True,
        )

    run("migrate", "-v0")
    variables = {f"MEDIA_PREF_{field.upper()}": "" for field in saving.FIELDS} | {
        "MEDIA_PREF_S3_CONFIGURATION": json.dumps({"main": MAIN, "sydney": SYDNEY}),
        "MEDIA_PREF_S3_BUCKET_FOR_REPLICATION": "sydney",
        "MEDIA_PREF_S3_REPLICATION_DELAY": "90",
        "MEDIA_PREF_S3_REPLICATION_IP_ADDRESSES": "10.20.0.0/16,192.0.2.7",
        "MEDIA_PREF_STORAGE_LOCATION": "main",
        "MEDIA_PREF_VERIFY_REPLICA_COPIES": "off",
    }
    listed = json.loads(run("preferences", "list", "--json", **variables).stdout)
    assert listed["locked"].keys() == set(saving.FIELDS)
    assert list(json.loads(listed["values"].pop("s3_configuration"))) == ["main", "sydney"]
    assert listed["values"] == {
        "s3_bucket_for_replication": "sydney",
        "s3_replication_delay": 90,
        "s3_replication_ip_addresses": "10.20.0.0/16,192.0.2.7",
        "storage_location": "main",
        "verify_replica_copies": False,
    }
    bad = run("check", MEDIA_PREF_S3_REPLICATION_DELAY="soon")
    assert (bad.returncode, "preferences.E004" in bad.stderr) == (1, True)
    misspelt = run("check", MEDIA_PREF_S3_REPLICATION_DELY="90")
    assert (misspelt.returncode, "preferences.W005" in misspelt.stderr) == (0, True)
    # Without the variable the field keeps its value and is free again.
    freed = run("preferences", "set", "s3_replication_delay=60")
    assert freed.returncode == 0
