"""Configurations that media files use: counted, kept, renamed with what depends on them."""

import io
import json
import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from media import uploads
from media.for_preferences import count_use
from media.models import MediaFile, ReplicaCopy, Upload
from preferences import history
from preferences.media_side import Use
from preferences.models import PreferenceRevision, SitePreferences, User
from preferences.saving import current_row, enforce_locks, lock_problems, save_preferences
from preferences.snapshot import current_preferences
from preferences.usage import InUse, RenameRefused

PAGE = "/admin/preferences/sitepreferences/1/change/"


@pytest.fixture
def entries(site):
    return json.loads(site.values["s3_configuration"])


@pytest.fixture
def admin(site):
    client = Client()
    client.force_login(User.objects.create_superuser("rhea"))
    return client


def renamed(entries, old="main", new="studio-main"):
    return {new if name == old else name: entry for name, entry in entries.items()}


def version():
    return SitePreferences.objects.get().version


def save(entries, user=None, **options):
    values = {"s3_configuration": json.dumps(entries)} | options.pop("values", {})
    return save_preferences(values, version(), user, **options)


def posted(site, entries, **changes):
    form = {**site.values, "s3_configuration": json.dumps(entries), "base_version": version()}
    return form | changes


def said(response):
    return [str(message) for message in response.context["messages"]]


# --- The guard of every writer --------------------------------------------------------------------


def test_a_configuration_in_use_is_not_removed(site, entries):
    site.media_file()
    site.media_file()
    before = version()
    with pytest.raises(InUse) as refused:
        save({"sydney": entries["sydney"]}, values={"storage_location": "sydney"})
    assert refused.value.code == "in-use"
    assert str(refused.value) == (
        "2 media files are in “main”, which the new S3 Configuration does not have. Put it back, "
        "or say which configuration it was renamed to."
    )
    assert version() == before
    assert PreferenceRevision.objects.first().number == before


def test_one_that_nothing_uses_goes(site, entries):
    site.media_file()
    save({"main": entries["main"]}, values={"s3_bucket_for_replication": ""})
    assert list(current_preferences().configurations) == ["main"]


def upload(user, **fields):
    values = {"name": "a.mov", "size": 5, "part_size": 5, "configuration": "main", "path": "p"}
    return Upload.objects.create(user=user, **values | fields)


def test_an_upload_under_way_counts_and_one_left_behind_does_not(site, entries):
    begun = upload(site.person())
    without = {"sydney": entries["sydney"]}
    with pytest.raises(InUse, match=r"^1 upload under way is in “main”"):
        save(without, values={"storage_location": ""})
    site.media_file()
    with pytest.raises(InUse, match=r"^1 media file and 1 upload under way are in “main”"):
        save(without, values={"storage_location": ""})
    MediaFile.objects.all().delete()
    Upload.objects.filter(pk=begun.pk).update(started_at=timezone.now() - timedelta(days=1))
    save(without, values={"storage_location": ""})


def test_saving_anything_else_counts_nothing(site):
    site.media_file()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        save_preferences({"s3_replication_delay": 90}, version(), None)
    assert not [q for q in queries.captured_queries if "media_" in q["sql"]]


@pytest.mark.parametrize("model", [MediaFile, Upload])
def test_counting_reads_an_index_and_not_the_table(site, model):
    """At a million rows the table is hundreds of megabytes, the index a few."""
    with CaptureQueriesContext(connection) as queries:
        assert count_use(["main", "sydney"]) == {}
    (sql,) = (q["sql"] for q in queries if f'FROM "{model._meta.db_table}"' in q["sql"])
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {sql}")
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        plan = "\n".join(str(row) for row in cursor.fetchall())
    index = "media_by_configuration" if model is MediaFile else "media_upload"
    assert index in plan
    assert "Seq Scan" not in plan
    assert "SCAN media_" not in plan


def test_uses_are_counted_by_name(site):
    for configuration in ("main", "main", "other"):
        site.media_file(configuration=configuration)
    upload(site.person(), configuration="sydney")
    assert count_use(["main", "sydney", "nothing"]) == {"main": Use(2, 0), "sydney": Use(0, 1)}


# --- Renaming -------------------------------------------------------------------------------------


def test_a_rename_takes_files_uploads_and_names_along(site, entries):
    rhea = site.person(username="rhea")
    files = [site.media_file() for _ in range(3)]
    site.media_file(configuration="sydney")
    begun = upload(rhea)
    saved = save(renamed(entries), rhea, renames={"main": "studio-main"}, comment="Tidy up")
    sentence = "“main” was renamed to “studio-main”, and 3 media files with it."
    assert saved.moved == (sentence,)
    assert saved.warnings == ()
    assert set(MediaFile.objects.filter(configuration="studio-main")) == set(files)
    assert MediaFile.objects.filter(configuration="sydney").count() == 1
    begun.refresh_from_db()
    assert begun.configuration == "studio-main"
    preferences = current_preferences()
    assert preferences.primary.name == preferences.storage_location == "studio-main"
    assert preferences.replica.name == "sydney"
    assert PreferenceRevision.objects.first().comment == f"Tidy up {sentence}"
    assert sentence in LogEntry.objects.latest("pk").get_change_message()


def test_a_renamed_replica_is_still_the_replica_and_its_copies_known(site, entries):
    client = Client()
    client.force_login(site.person("yes"))
    media_file = site.media_file()
    assert client.get(f"/media/{media_file.pk}/download")["X-Media-Source"].startswith("sydney;")
    copy = ReplicaCopy.objects.get()
    save(renamed(entries, "sydney", "oz"), renames={"sydney": "oz"})
    answer = client.get(f"/media/{media_file.pk}/download")
    assert answer["X-Media-Source"] == "oz; reason=ready"
    assert ReplicaCopy.objects.get().target == copy.target


def test_downloads_work_after_a_rename(site, entries):
    client = Client()
    client.force_login(site.person("no"))
    media_file = site.media_file()
    save(renamed(entries), renames={"main": "studio-main"})
    answer = client.get(f"/media/{media_file.pk}/download")
    assert answer["X-Media-Source"] == "studio-main; reason=user-no"


def test_an_upload_that_is_being_completed_gets_the_new_name(site, entries, monkeypatch):
    """The rename is saved between the look at the finished object and the media file."""
    begun = upload(site.person(), s3_upload_id="u")
    real = uploads._become

    def rename_first(upload, head, now):
        save(renamed(entries), renames={"main": "studio-main"})
        return real(upload, head, now)

    head = uploads.ObjectHead(
        size=5, etag="e", last_modified=None, replication_status="", version_id=""
    )
    monkeypatch.setattr(uploads, "_become", rename_first)
    monkeypatch.setattr(uploads, "_joined", lambda *args: "e")
    monkeypatch.setattr(uploads, "head_object", lambda *args, **options: head)
    media_file = uploads.complete(
        upload=begun,
        parts=[(1, "e")],
        preferences=current_preferences(),
        now=timezone.now(),
    )
    assert MediaFile.objects.get(pk=media_file.pk).configuration == "studio-main"


def test_a_second_entry_for_a_bucket_is_merged_into_the_first(site, entries):
    """Media Segregation, "Testing": add a second entry, test it, merge it, erase it."""
    save(entries | {"trial": entries["main"]}, values={"storage_location": "trial"})
    media_file = site.media_file(configuration="trial")
    saved = save(entries, renames={"trial": "main"})
    assert saved.warnings == ()
    media_file.refresh_from_db()
    assert media_file.configuration == "main"
    assert current_preferences().primary.name == "main"


@pytest.mark.parametrize(
    ("renames", "message"),
    [
        ({"mian": "main2"}, "“mian” is not in the S3 Configuration that is saved."),
        ({"sydney": "main2"}, "“sydney” is still in S3 Configuration: it was not renamed."),
        ({"main": "main3"}, "“main3” is not in S3 Configuration, so nothing can move to it."),
    ],
)
def test_what_is_no_rename_is_refused(site, entries, renames, message):
    site.media_file()
    before = version()
    with pytest.raises(RenameRefused) as refused:
        save(renamed(entries, new="main2"), renames=renames)
    assert str(refused.value) == message
    assert refused.value.code == "bad-rename"
    assert version() == before


def test_when_the_save_fails_no_file_has_moved(site, entries, monkeypatch):
    site.media_file()

    def fail(*args, **options):
        raise RuntimeError("the database is gone")

    monkeypatch.setattr(PreferenceRevision.objects, "create", fail)
    with pytest.raises(RuntimeError):
        save(renamed(entries), renames={"main": "studio-main"})
    assert MediaFile.objects.get().configuration == "main"


def test_another_place_under_the_same_name_is_a_warning_with_the_count(site, entries):
    site.media_file()
    entries["main"]["prefix"] = "new"
    entries["sydney"]["prefix"] = "new"
    saved = save(entries)
    assert saved.warnings == (
        "1 media file in “main” is expected in bucket studio-main, prefix new (us-east-1) from now "
        "on, under the same path. What is not there can’t be downloaded from it.",
    )


def test_a_rename_to_another_place_warns_too(site, entries):
    site.media_file()
    moved = renamed(entries) | {"studio-main": entries["main"] | {"bucket": "other"}}
    saved = save(moved, renames={"main": "studio-main"})
    assert saved.warnings[0].startswith("1 media file in “studio-main” is expected in bucket other")


# --- The page -------------------------------------------------------------------------------------


def test_the_page_says_how_many_and_offers_the_rename(site, entries, admin):
    for _ in range(3):
        site.media_file()
    before = version()
    response = admin.post(PAGE, posted(site, renamed(entries)))
    page = response.content.decode()
    assert response.status_code == 200
    assert "3 media files are in “main”, which the new S3 Configuration does not have." in page
    assert '<select id="id_rename_1" name="rename:main">' in page
    # The same bucket and prefix under another name: most likely it is that one.
    assert '<option value="studio-main" selected>' in page
    assert version() == before

    response = admin.post(
        PAGE, posted(site, renamed(entries), **{"rename:main": "studio-main"}), follow=True
    )
    assert "“main” was renamed to “studio-main”, and 3 media files with it." in said(response)
    assert MediaFile.objects.filter(configuration="studio-main").count() == 3
    assert SitePreferences.objects.get().storage_location == "studio-main"


def test_no_rename_is_suggested_where_the_place_is_another(site, entries, admin):
    site.media_file()
    page = admin.post(PAGE, posted(site, {"sydney": entries["sydney"]})).content.decode()
    assert '<option value="sydney">Yes, to “sydney” (bucket studio-sydney, ap-southeast-2)' in page
    assert "selected" not in page.partition('name="rename:main"')[2].partition("</select>")[0]


def test_a_choice_is_kept_while_something_else_is_wrong(site, entries, admin):
    site.media_file()
    choice = {"rename:main": "sydney", "s3_replication_delay": "soon"}
    page = admin.post(PAGE, posted(site, renamed(entries), **choice)).content.decode()
    assert '<option value="sydney" selected>' in page
    assert "which the new S3 Configuration does not have" not in page


def test_a_choice_that_fits_no_more_is_ignored(site, entries, admin):
    """The admin has put the old name back instead."""
    site.media_file()
    before = version()
    choice = {"rename:main": "studio-main", "rename:x": "main", "s3_replication_delay": "90"}
    assert admin.post(PAGE, posted(site, entries, **choice)).status_code == 302
    assert version() == before + 1
    assert MediaFile.objects.get().configuration == "main"


def test_what_is_uploaded_meanwhile_keeps_its_configuration(site, entries, admin, monkeypatch):
    """The form found nothing; the save, which looks again, does."""
    without = posted(site, {"main": entries["main"]}, s3_bucket_for_replication="")
    monkeypatch.setattr("preferences.forms.left_behind", lambda old, new: [])
    site.media_file(configuration="sydney")
    response = admin.post(PAGE, without)
    assert response.status_code == 200
    assert "1 media file is in “sydney”" in response.content.decode()
    assert "sydney" in current_preferences().configurations


def test_a_moved_place_is_said_after_the_save(site, entries, admin):
    site.media_file()
    entries["main"]["bucket"] = "elsewhere"
    response = admin.post(PAGE, posted(site, entries), follow=True)
    assert any("is expected in bucket elsewhere" in message for message in said(response))


def test_names_are_escaped(site, entries, admin):
    save(entries | {'"><b>': entries["main"]})
    site.media_file(configuration='"><b>')
    page = admin.post(PAGE, posted(site, entries)).content.decode()
    assert "rename:&quot;&gt;&lt;b&gt;" in page
    assert '"><b>' not in page


# --- Other writers --------------------------------------------------------------------------------


def test_a_revision_without_it_is_not_restored(site, admin):
    url = f"/admin/preferences/sitepreferences/1/history/{version() - 1}/restore/"
    before = version()
    assert "can’t be restored" not in admin.get(url).content.decode()
    site.media_file()
    page = admin.get(url).content.decode()
    assert "can’t be restored as it is" in page
    assert "1 media file is in “main”, which the new S3 Configuration does not have." in page
    assert admin.post(url, {"base_version": before}).status_code == 200
    assert version() == before
    # On the page, where its values are to be corrected, the same is said.
    page = admin.get(f"{PAGE}?from={before - 1}").content.decode()
    assert "“main” is in use" in page


def test_a_restore_says_before_it_is_done_where_files_are_expected(site, entries, admin):
    first = version()
    save(entries | {"main": entries["main"] | {"bucket": "other"}})
    site.media_file()
    url = f"/admin/preferences/sitepreferences/1/history/{first}/restore/"
    warning = "1 media file in “main” is expected in bucket studio-main"
    assert warning in admin.get(url).content.decode()
    response = admin.post(url, {"base_version": version()}, follow=True)
    assert warning in response.content.decode()
    assert warning not in admin.get(url).content.decode()


def test_what_is_uploaded_while_a_revision_is_restored(site, admin, monkeypatch):
    url = f"/admin/preferences/sitepreferences/1/history/{version() - 1}/restore/"
    before = version()
    real = history.save_preferences

    def upload_first(*args, **options):
        site.media_file()
        return real(*args, **options)

    monkeypatch.setattr(history, "save_preferences", upload_first)
    response = admin.post(url, {"base_version": before})
    assert response.status_code == 200
    assert "1 media file is in “main”" in response.content.decode()
    assert version() == before


def test_the_environment_does_not_remove_it(site, entries, settings, caplog):
    site.media_file()
    before = version()
    settings.PREFERENCE_LOCKS = {
        "s3_configuration": json.dumps({"sydney": entries["sydney"]}),
        "storage_location": "sydney",
    }
    row = current_row()
    assert [problem.message[:29] for problem in lock_problems(row)] == [
        "1 media file is in “main”, wh"
    ]
    assert enforce_locks(row).version == before
    assert "1 media file is in “main”" in caplog.text
    assert version() == before


def test_a_name_that_the_environment_fixes_does_not_follow(site, entries, settings, admin):
    settings.PREFERENCE_LOCKS = {"storage_location": "main"}
    site.media_file()
    choice = {"rename:main": "studio-main"}
    page = admin.post(PAGE, posted(site, renamed(entries), **choice)).content.decode()
    assert "“main” is not in S3 Configuration." in page
    assert MediaFile.objects.get().configuration == "main"


# --- The command line -----------------------------------------------------------------------------


def command(*arguments):
    out, err = io.StringIO(), io.StringIO()
    call_command("preferences", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def assignment(entries):
    return f"s3_configuration={json.dumps(entries)}"


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_the_command_line_keeps_what_is_in_use(site, entries, dry):
    site.media_file()
    before = version()
    with pytest.raises(CommandError, match="1 media file is in “main”") as refused:
        command("set", assignment(renamed(entries)), "storage_location=studio-main", *dry)
    assert refused.value.returncode == 1
    assert "--rename OLD=NEW" in str(refused.value)
    assert version() == before


def test_a_rename_that_left_a_name_behind_is_told_as_both(site, entries):
    site.media_file()
    with pytest.raises(CommandError) as refused:
        command("set", assignment(renamed(entries)))
    assert "Storage Location: “main” is not in S3 Configuration." in str(refused.value)
    assert "1 media file is in “main”, which the new S3 Configuration" in str(refused.value)
    assert "--rename OLD=NEW" in str(refused.value)
    with pytest.raises(CommandError) as refused:
        command("set", assignment(renamed(entries)), "s3_bucket_for_replication=x",
                "--rename=main=studio-main")  # fmt: skip
    assert "1 media file" not in str(refused.value)


def test_the_command_line_renames(site, entries):
    site.media_file()
    rename = ["set", assignment(renamed(entries)), "--rename", "main=studio-main"]
    out, _ = command(*rename, "--dry-run")
    assert "“main” would be renamed to “studio-main”, and 1 media file with it." in out
    assert "Nothing was saved (dry run)." in out
    assert MediaFile.objects.get().configuration == "main"
    out, _ = command(*rename)
    assert "“main” was renamed to “studio-main”, and 1 media file with it." in out
    assert MediaFile.objects.get().configuration == "studio-main"
    assert current_preferences().storage_location == "studio-main"


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_the_command_line_says_where_files_are_expected(site, entries, dry):
    site.media_file()
    entries["main"]["bucket"] = "elsewhere"
    _, err = command("set", assignment(entries), *dry)
    assert "Warning: 1 media file in “main” is expected in bucket elsewhere" in err


@pytest.mark.parametrize(
    ("rename", "returncode", "message"),
    [
        ("main", 2, "“main”: write OLD=NEW"),
        ("=x", 2, "“=x”: write OLD=NEW"),
        ("mian=studio-main", 1, "“mian” is not in the S3 Configuration that is saved."),
    ],
)
def test_what_the_command_line_cannot_rename(site, entries, rename, returncode, message):
    values = [assignment(renamed(entries)), "storage_location=studio-main"]
    with pytest.raises(CommandError, match=re.escape(message)) as refused:
        command("set", *values, "--rename", rename)
    assert refused.value.returncode == returncode


# --- The API --------------------------------------------------------------------------------------


def put(admin, entries, query="", **values):
    return admin.patch(
        f"/api/preferences/{query}",
        json.dumps({"s3_configuration": entries} | values),
        content_type="application/json",
        headers={"If-Match": f'"{version()}"'},
    )


def test_the_api_keeps_what_is_in_use(site, entries, admin):
    site.media_file()
    before = version()
    response = put(admin, renamed(entries), storage_location="studio-main")
    assert response.status_code == 422
    assert response.json()["error"] == "in-use"
    (error,) = response.json()["errors"]
    assert (error["field"], error["code"]) == ("s3_configuration", "in-use")
    assert error["message"].startswith("1 media file is in “main”")
    assert version() == before


def test_the_api_renames(site, entries, admin):
    site.media_file()
    response = put(admin, renamed(entries), "?rename=main=studio-main")
    assert response.status_code == 200, response.content
    assert response.json()["values"]["storage_location"] == "studio-main"
    assert response.json()["notices"][-1]["message"].startswith("“main” was renamed")
    assert MediaFile.objects.get().configuration == "studio-main"


def test_the_api_says_where_files_are_expected(site, entries, admin):
    site.media_file()
    entries["main"]["bucket"] = "elsewhere"
    warnings = put(admin, entries).json()["warnings"]
    assert [one["code"] for one in warnings] == ["moved-place"]


@pytest.mark.parametrize(
    ("rename", "code"), [("main", "invalid"), ("=x", "invalid"), ("a=b", "bad-rename")]
)
def test_what_the_api_cannot_rename(site, entries, admin, rename, code):
    response = put(admin, entries, f"?rename={rename}")
    assert (response.status_code, response.json()["error"]) == (422, code)
