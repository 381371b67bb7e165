"""Saving, reading back, and what a bad row does."""

import json
import threading
from datetime import UTC, datetime

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction

from preferences import checks, snapshot
from preferences.models import (
    NotDeleted,
    PreferenceRevision,
    PreferenceSource,
    SitePreferences,
    User,
)
from preferences.saving import FIELDS, Conflict, Saved, read_row, save_preferences
from preferences.snapshot import current_preferences, preferences_at
from preferences.validation import DEFAULTS

MAIN = {"region": "us-east-1", "bucket": "studio-media"}
SYDNEY = {"region": "ap-southeast-2", "bucket": "studio-media-sydney"}


def configuration(**entries):
    return json.dumps(entries)


@pytest.fixture
def rhea(db):
    return User.objects.create_user("rhea")


def test_a_save_makes_a_version_with_author_time_and_target(rhea):
    saved = save_preferences(
        {
            "s3_configuration": configuration(main=MAIN, sydney=SYDNEY),
            "storage_location": "main",
            "s3_bucket_for_replication": "sydney",
        },
        0,
        rhea,
    )
    row = read_row()
    assert (saved.version, row.version, row.changed_by) == (1, 1, rhea)
    assert row.changed_at is not None
    preferences = current_preferences()
    assert row.replica_target == preferences.replica.fingerprint == preferences.replica_target
    assert (preferences.primary.bucket, preferences.replica.bucket) == (
        "studio-media",
        "studio-media-sydney",
    )


def test_turning_replication_off_clears_the_target(rhea):
    values = {
        "s3_configuration": configuration(main=MAIN),
        "s3_bucket_for_replication": "main",
    }
    save_preferences(values, 0, rhea)
    save_preferences({"s3_bucket_for_replication": ""}, 1, rhea)
    assert read_row().replica_target == ""


def test_equal_values_make_no_version(rhea):
    saved = save_preferences({"s3_replication_delay": 60}, 0, rhea)
    assert (saved.version, saved.changes, read_row().version) == (0, (), 0)
    assert not LogEntry.objects.exists()


def test_a_field_that_goes_from_absent_to_empty_is_not_logged_as_changed(rhea):
    save_preferences({"s3_configuration": configuration(main=MAIN)}, 0, rhea)
    emptied = configuration(main={**MAIN, "bucket": "other", "prefix": ""})
    saved = save_preferences({"s3_configuration": emptied}, 1, rhea)
    assert saved.changes == ("S3 Configuration: main.bucket: studio-media → other",)
    only_emptied = configuration(main={**MAIN, "bucket": "other"})
    saved = save_preferences({"s3_configuration": only_emptied}, 2, rhea)
    assert saved.changes == ("S3 Configuration: order or empty fields",)


def test_the_log_names_old_and_new_values(rhea):
    save_preferences(
        {
            "s3_configuration": configuration(main=MAIN, old=SYDNEY),
            "s3_replication_ip_addresses": "10.0.0.0/8\n10.20.0.0/16",
        },
        0,
        rhea,
    )
    save_preferences(
        {
            "s3_configuration": configuration(main={**MAIN, "prefix": "media"}, sydney=SYDNEY),
            "s3_replication_ip_addresses": "10.0.0.0/8\n10.30.0.0/16",
            "s3_replication_delay": 90,
            "verify_replica_copies": False,
        },
        1,
        rhea,
    )
    entry = LogEntry.objects.first()
    assert (entry.user, entry.get_edited_object()) == (rhea, read_row())
    assert json.loads(entry.change_message)[0]["changed"]["fields"] == [
        "S3 Configuration: removed old (region ap-southeast-2, bucket studio-media-sydney)",
        "S3 Configuration: main.prefix: empty → media",
        "S3 Configuration: added sydney (region ap-southeast-2, bucket studio-media-sydney)",
        "S3 Replication Delay: 60 → 90",
        "IP Adresses for S3 replication: removed 10.20.0.0/16",
        "IP Adresses for S3 replication: added 10.30.0.0/16",
        "Verify replica copies: on → off",
    ]


def test_a_stale_version_is_refused_and_names_who_was_faster(rhea):
    save_preferences({"s3_replication_delay": 90}, 0, rhea)
    with pytest.raises(Conflict) as caught:
        save_preferences({"s3_replication_delay": 120}, 0, User.objects.create_user("mia"))
    assert read_row().s3_replication_delay == 90
    assert LogEntry.objects.count() == 1
    when = read_row().changed_at
    assert str(caught.value) == (
        f"These preferences were changed by rhea at {when:%H:%M} UTC while you were editing. "
        "Nothing was saved. Your text is kept below; compare it with the current values in "
        "History, then save again."
    )


def test_unknown_fields_are_refused(rhea):
    with pytest.raises(ValueError, match="version"):
        save_preferences({"version": 9}, 0, rhea)


def in_threads(number, function):
    """Call function(n) in `number` threads at once and return what came out, errors too."""
    start = threading.Barrier(number)
    outcomes = []

    def run(n):
        try:
            start.wait()
            outcomes.append(function(n))
        except Exception as error:
            outcomes.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_of_16_writers_at_once_one_wins(transactional_db):
    rhea = User.objects.create_user("rhea")
    outcomes = in_threads(
        16, lambda n: save_preferences({"s3_replication_delay": 100 + n}, 0, rhea)
    )
    saved = [outcome for outcome in outcomes if isinstance(outcome, Saved)]
    lost = [outcome for outcome in outcomes if not isinstance(outcome, Saved)]
    assert len(saved) == 1
    assert [type(outcome) for outcome in lost] == [Conflict] * 15
    assert {(conflict.who, conflict.version) for conflict in lost} == {("rhea", 1)}
    row, revisions = read_row(), list(PreferenceRevision.objects.all())
    assert (row.version, LogEntry.objects.count()) == (1, 1)
    assert [revision.number for revision in revisions] == [1, 0]
    assert revisions[0].data["s3_replication_delay"] == row.s3_replication_delay
    assert {conflict.when for conflict in lost} == {revisions[0].created}
    assert all(f"by rhea at {row.changed_at:%H:%M} UTC" in str(conflict) for conflict in lost)
    assert saved[0].changes == (f"S3 Replication Delay: 60 → {row.s3_replication_delay}",)


def test_an_installation_begins_with_revision_0_of_the_defaults(db):
    revision = PreferenceRevision.objects.get()
    assert (revision.number, revision.source, revision.who) == (
        0,
        "installation",
        "the installation",
    )
    assert revision.data == DEFAULTS == {field: getattr(read_row(), field) for field in FIELDS}


def test_each_save_is_a_revision_with_all_that_is_known_of_it(rhea):
    now = datetime(2026, 11, 22, 14, 3, tzinfo=UTC)
    saved = save_preferences(
        {"s3_replication_delay": 90},
        0,
        rhea,
        source=PreferenceSource.API,
        address="10.20.1.7",
        comment="Sydney goes live",
        now=now,
    )
    revision = PreferenceRevision.objects.first()
    assert (revision.number, revision.created, revision.user) == (saved.version, now, rhea)
    assert (revision.username, revision.source, revision.address, revision.comment) == (
        "rhea",
        "api",
        "10.20.1.7",
        "Sydney goes live",
    )
    assert revision.data == DEFAULTS | {"s3_replication_delay": 90}
    rhea.delete()
    revision.refresh_from_db()
    assert (revision.user, revision.who) == (None, "rhea")


def test_row_revision_and_log_entry_are_saved_together_or_not_at_all(rhea, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("the log is full")

    monkeypatch.setattr("preferences.saving.log_change", fail)
    with pytest.raises(RuntimeError):
        save_preferences({"s3_replication_delay": 90}, 0, rhea)
    assert (read_row().version, PreferenceRevision.objects.count()) == (0, 1)


def test_a_conflict_names_a_writer_who_is_no_user_or_gone(rhea):
    save_preferences(
        {"s3_replication_delay": 90}, 0, None, source=PreferenceSource.COMMAND_LINE, username="ops"
    )
    with pytest.raises(Conflict, match="changed by ops at"):
        save_preferences({"s3_replication_delay": 120}, 0, rhea)


def test_nothing_deletes_a_revision_or_the_row(rhea):
    save_preferences({"s3_replication_delay": 90}, 0, rhea)
    for model in (PreferenceRevision, SitePreferences):
        with pytest.raises(NotDeleted):
            model.objects.first().delete()
        with pytest.raises(NotDeleted):
            model.objects.all().delete()
        with pytest.raises(NotDeleted):
            model.objects.filter(pk=1).delete()
    assert PreferenceRevision.objects.count() == 2
    assert not Permission.objects.filter(codename__startswith="delete_pref").exists()
    assert not Permission.objects.filter(codename="delete_sitepreferences").exists()


def test_a_comment_that_is_too_long_is_refused(rhea):
    with pytest.raises(ValueError, match="at most 500"):
        save_preferences({"s3_replication_delay": 90}, 0, rhea, comment="x" * 501)


def test_a_row_that_is_gone_comes_back_as_it_was_last_saved(rhea):
    save_preferences({"s3_replication_delay": 90}, 0, rhea)
    delete_row()
    assert (read_row().version, read_row().s3_replication_delay) == (1, 90)
    assert save_preferences({"s3_replication_delay": 100}, 1, rhea).version == 2


@pytest.mark.django_db(transaction=True)
def test_history_of_an_existing_site_begins_with_what_it_has():
    rhea = User.objects.create_user("rhea")
    save_preferences({"s3_replication_delay": 90}, 0, rhea)
    save_preferences({"s3_replication_delay": 120}, 1, rhea)
    call_command("migrate", "preferences", "0003", verbosity=0)
    call_command("migrate", verbosity=0)
    now, first = PreferenceRevision.objects.all()
    assert (now.number, now.username, now.data["s3_replication_delay"]) == (2, "rhea", 120)
    assert (first.number, first.data) == (0, DEFAULTS)
    assert now.created == read_row().changed_at


def test_reading_costs_one_query_and_parses_once_per_version(rhea, django_assert_num_queries):
    save_preferences({"s3_replication_delay": 90}, 0, rhea)
    first = current_preferences()
    with django_assert_num_queries(1):
        assert current_preferences() is first
    with django_assert_num_queries(0):
        assert preferences_at(1) is first


def test_a_save_by_another_process_is_seen_at_the_next_read(rhea):
    save_preferences({"s3_replication_delay": 90}, 0, rhea)
    assert current_preferences().delay == 90
    SitePreferences.objects.filter(pk=1).update(s3_replication_delay=120, version=2)
    assert current_preferences().delay == 120


def test_a_request_with_an_older_version_gets_the_newer_without_parsing_again(rhea):
    save_preferences({"s3_replication_delay": 90}, 0, rhea)
    newer = current_preferences()
    assert preferences_at(0) is newer


@pytest.mark.parametrize("text", ["{", "[]", "[" * 5000, "", '"x"', '{"main": 3}'])
def test_a_row_that_cannot_be_parsed_means_no_replica_and_no_error(db, caplog, text):
    SitePreferences.objects.filter(pk=1).update(
        s3_configuration=text, s3_bucket_for_replication="sydney", version=7
    )
    preferences = current_preferences()
    assert (preferences.version, preferences.replica, preferences.primary) == (7, None, None)
    assert "“sydney”, which is no usable configuration" in caplog.text


def test_configurations_that_parse_are_kept(db, caplog):
    SitePreferences.objects.filter(pk=1).update(
        s3_configuration=configuration(bad={"region": "<REGION>"}, main=MAIN),
        storage_location="main",
        s3_bucket_for_replication="bad",
        s3_replication_ip_addresses="10.0.0.0/8\nnonsense",
        version=7,
    )
    preferences = current_preferences()
    assert list(preferences.configurations) == ["main"]
    assert preferences.primary.bucket == "studio-media"
    assert preferences.replica is None
    assert preferences.ranges.find("10.1.1.1").line == 1
    assert "S3 Configuration “bad”" in caplog.text
    assert "“nonsense” is not an IP address" in caplog.text
    caplog.clear()
    current_preferences()
    assert caplog.text == ""


def test_there_is_one_row_and_a_flush_brings_it_back(db):
    assert SitePreferences.objects.count() == 1
    with pytest.raises(IntegrityError), transaction.atomic():
        SitePreferences.objects.create(pk=2)


@pytest.mark.django_db(transaction=True)
def test_flush_keeps_the_row():
    call_command("flush", interactive=False, verbosity=0)
    assert SitePreferences.objects.get().version == 0


def delete_row():
    # As by hand in the database; the models refuse.
    SitePreferences.objects.all()._raw_delete("default")
    snapshot.forget()


def test_without_a_row_defaults_are_read_and_the_first_save_makes_it(rhea):
    delete_row()
    assert current_preferences().delay == 60
    assert save_preferences({"s3_replication_delay": 90}, 0, rhea).version == 1


def test_media_admins_may_view_and_change_site_preferences(db):
    group = Group.objects.get(name="Media admins")
    assert set(group.permissions.values_list("codename", flat=True)) == {
        "view_sitepreferences",
        "change_sitepreferences",
    }


def test_stored_preferences_are_checked_only_with_a_database(db):
    SitePreferences.objects.filter(pk=1).update(s3_configuration="{", version=3)
    assert checks.stored_preferences(databases=None) == []
    found = checks.stored_preferences(databases=["default"])
    assert [message.id for message in found] == ["preferences.E001"]
    assert "revision 3" in found[0].msg


def test_placeholders_that_were_saved_on_purpose_pass_the_check(db):
    SitePreferences.objects.filter(pk=1).update(
        s3_configuration=configuration(main={"region": "<REGION>", "bucket": "<BUCKET>"})
    )
    assert checks.stored_preferences(databases=["default"]) == []


@pytest.mark.django_db(transaction=True)
def test_unapplied_migrations_are_no_traceback():
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE preferences_sitepreferences RENAME COLUMN storage_location TO elsewhere"
        )
    try:
        assert checks.stored_preferences(databases=["default"]) == []
    finally:
        with connection.cursor() as cursor:
            cursor.execute(
                "ALTER TABLE preferences_sitepreferences "
                "RENAME COLUMN elsewhere TO storage_location"
            )


def test_media_root_must_stay_unset(settings):
    assert checks.media_root_is_unset() == []
    settings.MEDIA_ROOT = "/srv/media"
    assert [message.id for message in checks.media_root_is_unset()] == ["preferences.E002"]


def test_trusted_proxies_are_checked(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8", "nginx"]
    found = checks.trusted_proxies_are_addresses()
    assert [message.id for message in found] == ["preferences.E003"]
    assert "nginx" in found[0].msg
