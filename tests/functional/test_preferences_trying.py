"""“Try before saving”: Which bucket? and Test the buckets, with the values as typed."""

import json
import re
import socket
from threading import Barrier, Event

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from preferences import bucket_tests
from preferences.models import PreferenceRevision, SitePreferences, User
from preferences.snapshot import current_preferences
from shotmedia.s3 import probe
from tests.functional.conftest import MAIN, SYDNEY

PREVIEW = "/admin/preferences/sitepreferences/preview/"
TEST = "/admin/preferences/sitepreferences/test/"
JSON = {"Accept": "application/json"}
ENTRIES = {
    "main": {"region": "us-east-1", "bucket": "studio-main", "prefix": "m"},
    "sydney": {"region": "ap-southeast-2", "bucket": "studio-sydney", "prefix": "m"},
}


def person(name, *permissions, **fields):
    made = User.objects.create_user(name, password="pw", **fields)
    made.user_permissions.add(*Permission.objects.filter(codename__in=permissions))
    return made


def logged_in(user):
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def admin(db):
    return logged_in(person("ada", "change_sitepreferences", is_staff=True))


@pytest.fixture
def viewer(db):
    return logged_in(person("vera", "view_sitepreferences", is_staff=True))


def typed(**changes):
    """What the page posts: its fields as typed, and the question."""
    return {
        "base_version": 0,
        "try_typed": "1",
        "s3_configuration": json.dumps(ENTRIES),
        "s3_bucket_for_replication": "sydney",
        "s3_replication_delay": "60",
        "s3_replication_ip_addresses": "10.20.0.0/16",
        "storage_location": "main",
        "verify_replica_copies": "on",
        "try_user": "rhea",
        "try_address": "10.20.1.7",
        "try_age": "45",
    } | changes


def ask(client, **changes):
    response = client.post(PREVIEW, typed(**changes), headers=JSON)
    assert response.status_code == 200, response.content
    return response.json()


def unsaved():
    return (
        SitePreferences.objects.get().version == 0
        and PreferenceRevision.objects.count() == 1
        and not LogEntry.objects.exists()
    )


# --- Which bucket? --------------------------------------------------------------------------------


def test_the_reason_in_words_and_when_it_would_change(admin):
    person("rhea", use_s3_replication="auto")
    assert ask(admin) == {
        "problems": [],
        "configuration": "main",
        "place": "(bucket studio-main, us-east-1)",
        "otherwise": "",
        "why": "rhea has Use S3 Replication = auto; 10.20.1.7 is in 10.20.0.0/16 (line 1); but the "
        "media is 45 s old and S3 Replication Delay is 60 s. In 15 s it would be sydney, when its "
        "copy is there.",
    }
    assert ask(admin, verify_replica_copies=[])["why"].endswith("In 15 s it would be sydney.")
    assert unsaved()


@pytest.mark.parametrize(
    ("mode", "changes", "configuration", "why"),
    [
        ("no", {"try_age": "90"}, "main", "rhea has Use S3 Replication = no: the replica is never"),
        ("yes", {"try_age": "60"}, "sydney", "the media is 60 s old and S3 Replication Delay is"),
        ("yes", {"try_age": "59"}, "main", "In 1 s it would be sydney"),
        ("yes", {"try_age": "90", "s3_replication_delay": "300"}, "main", "In 210 s|In 4 min"),
        ("auto", {"try_age": "90"}, "sydney", "10.20.1.7 is in 10.20.0.0/16 (line 1)"),
        ("auto", {"try_age": "90", "try_address": "10.21.0.1"}, "main", "10.21.0.1 is not in IP"),
        ("auto", {"try_age": "90", "try_address": "::ffff:10.20.1.7"}, "sydney", "10.20.1.7 is in"),
        (
            "yes",
            {"s3_bucket_for_replication": "", "try_age": "90"},
            "main",
            "S3 Bucket for Replication is empty",
        ),
        ("yes", {"storage_location": "sydney"}, "sydney", "which is the replica itself"),
    ],
)
def test_typed_values_decide_and_not_the_saved_ones(admin, mode, changes, configuration, why):
    person("rhea", use_s3_replication=mode)
    answer = ask(admin, **changes)
    assert answer["problems"] == []
    assert answer["configuration"] == configuration
    assert any(part in answer["why"] for part in why.split("|"))
    assert unsaved()


def test_a_copy_is_not_known_here_so_both_answers_are_given(admin):
    person("rhea", use_s3_replication="yes")
    answer = ask(admin, try_age="90")
    assert answer["configuration"] == "sydney"
    assert answer["otherwise"] == "main (bucket studio-main, us-east-1)"
    assert answer["why"].endswith("Whether the copy is there is checked at the download.")
    off = ask(admin, try_age="90", verify_replica_copies=[])
    assert (off["configuration"], off["otherwise"]) == ("sydney", "")
    assert "the delay alone decides" in off["why"]


def test_it_asks_about_me_from_here_when_nothing_else_is_typed(admin):
    User.objects.update(use_s3_replication="auto")
    changes = {"try_user": "", "try_address": "", "try_age": ""}
    answer = ask(admin, s3_replication_ip_addresses="10.0.0.0/8\n127.0.0.0/8", **changes)
    assert answer["why"].startswith(
        "ada has Use S3 Replication = auto; 127.0.0.1 is in 127.0.0.0/8 (line 2); but the media is "
        "45 s old"
    )


def test_errors_are_named_and_what_can_be_answered_is(admin):
    person("rhea", use_s3_replication="yes")
    broken = json.dumps(ENTRIES).replace('"region": "ap-southeast-2", ', "")
    answer = ask(admin, s3_configuration=broken, s3_replication_delay="soon", try_age="90")
    assert answer["problems"] == [
        'S3 Configuration: Line 1: "sydney" has no "region".',
        "S3 Replication Delay: Enter a whole number of seconds, 0 or more.",
        "S3 Replication Delay: the saved value is used instead.",
    ]
    assert answer["configuration"] == "main"
    assert answer["why"] == (
        "S3 Bucket for Replication names “sydney”, which is no usable configuration."
    )


def test_a_configuration_that_cannot_be_read_leaves_the_saved_one(admin, site):
    person("rhea", use_s3_replication="no")
    answer = ask(admin, s3_configuration="{,")
    assert answer["problems"][0].startswith("S3 Configuration: Line 1, column 2:")
    assert answer["problems"][1] == "S3 Configuration: the saved value is used instead."
    assert answer["place"] == f"(bucket {MAIN}, us-east-1)"


def test_a_line_that_is_no_address_leaves_the_others(admin):
    person("rhea", use_s3_replication="auto")
    answer = ask(admin, s3_replication_ip_addresses="nonsense\n10.20.0.0/16", try_age="90")
    assert answer["configuration"] == "sydney"
    assert "10.20.0.0/16 (line 2)" in answer["why"]
    assert "“nonsense” is not an IP address" in answer["problems"][0]


@pytest.mark.parametrize(
    ("mode", "changes", "problem", "answered"),
    [
        ("yes", {"try_address": "300.1.1.1"}, "“300.1.1.1” is not an IP address.", True),
        ("auto", {"try_address": "300.1.1.1"}, "“300.1.1.1” is not an IP address.", False),
        ("no", {"try_age": "new"}, "“new” is not an age: enter a whole number", True),
        ("yes", {"try_age": "-1"}, "“-1” is not an age", False),
        ("yes", {"try_age": "-1", "s3_replication_delay": "0"}, "“-1” is not an age", False),
        ("yes", {"try_user": "nobody\0"}, "There is no user named “nobody”.", False),
        ("yes", {"storage_location": ""}, "Storage Location is empty", False),
        ("yes", {"storage_location": "mian"}, "Did you mean “main”?", False),
        ("yes", {"s3_configuration": "a\0b"}, "Null characters are not allowed", False),
    ],
)
def test_a_question_that_is_wrong_is_answered_as_far_as_it_goes(
    admin, mode, changes, problem, answered
):
    person("rhea", use_s3_replication=mode)
    answer = ask(admin, **changes)
    assert any(problem in said for said in answer["problems"])
    assert bool(answer["configuration"]) == answered


def test_without_javascript_the_answer_is_a_page(admin):
    person("rhea", use_s3_replication="yes")
    page = re.sub(r"\s+", " ", admin.post(PREVIEW, typed(try_age="90")).content.decode())
    assert (
        "<strong>sydney</strong> (bucket studio-sydney, ap-southeast-2), when the copy is there; "
        "otherwise main (bucket studio-main, us-east-1)."
    ) in page
    assert "Why: rhea has Use S3 Replication = yes;" in page
    page = admin.post(PREVIEW, typed(try_user="<b>")).content.decode()
    assert "There is no user named “&lt;b&gt;”." in page
    assert "This cannot be answered with these values." in page


def test_a_viewer_asks_about_the_saved_values(viewer, site):
    page = viewer.get("/admin/preferences/sitepreferences/1/change/").content.decode()
    assert "Which bucket?" in page
    assert "Test the buckets" not in page
    assert 'name="try_typed"' not in page
    site.person("yes", username="rhea")
    sent = {"try_user": "rhea", "try_address": "10.20.1.7", "try_age": "90"}
    answer = viewer.post(PREVIEW, sent, headers=JSON).json()
    assert answer["place"] == f"(bucket {SYDNEY}, ap-southeast-2)"


def test_a_field_that_the_environment_sets_cannot_be_tried_otherwise(admin, site, settings):
    settings.PREFERENCE_LOCKS = {"s3_configuration": site.values["s3_configuration"]}
    person("rhea", use_s3_replication="no")
    assert ask(admin)["place"] == f"(bucket {MAIN}, us-east-1)"


def test_names_of_people_are_offered_to_who_may_see_people(admin, viewer):
    page = "/admin/preferences/sitepreferences/1/change/"
    assert 'id="try-users"' not in viewer.get(page).content.decode()
    ada = User.objects.get(username="ada")
    ada.user_permissions.add(Permission.objects.get(codename="view_user"))
    assert '<option value="vera">' in admin.get(page).content.decode()


def test_a_preview_connects_to_nothing(viewer, admin, monkeypatch):
    """Whoever may look must not be able to have the server call a host that they type."""

    def refuse(*args, **kwargs):
        raise AssertionError("a preview opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    person("rhea", use_s3_replication="yes")
    inside = {
        name: entry | {"endpoint_url": "http://127.0.0.1:9"} for name, entry in ENTRIES.items()
    }
    for client in (viewer, admin):
        assert ask(client, s3_configuration=json.dumps(inside), try_age="90")["configuration"]


# --- Test the buckets -----------------------------------------------------------------------------


def lines(response):
    return [json.loads(line) for line in response.getvalue().splitlines()]


def keys(site, bucket):
    answer = site.emulator.s3(bucket).list_object_versions(Bucket=bucket)
    kinds = ("Versions", "DeleteMarkers")
    return {(one["Key"], one["VersionId"]) for kind in kinds for one in answer.get(kind, ())}


def test_the_buckets_as_typed_are_tested_and_left_as_they_were(admin, site):
    before = keys(site, MAIN), keys(site, SYDNEY)
    version = SitePreferences.objects.get().version
    entries = json.loads(site.values["s3_configuration"])
    entries["typo"] = entries["main"] | {"bucket": "no-such-bucket"}
    events = lines(admin.post(TEST, typed(s3_configuration=json.dumps(entries)), headers=JSON))
    assert [one["name"] for one in events[0]["configurations"]] == ["main", "sydney", "typo"]
    found = {}
    for event in events[1:]:
        found.setdefault(event["configuration"], []).append(event["finding"])
    for name in ("main", "sydney"):
        assert [f["check"] for f in found[name][:-1]] == [check.name for check in probe.CHECKS]
        assert found[name][-1] is None
        assert {f["status"] for f in found[name][:-1]} <= {"pass", "warn", "skip"}
    bucket = next(f for f in found["typo"] if f and f["check"] == "bucket")
    assert bucket["status"] == "fail"
    assert bucket["code"] == "404" or "NoSuchBucket" in bucket["code"]
    assert bucket["message"]
    assert bucket["fix"]
    assert (keys(site, MAIN), keys(site, SYDNEY)) == before
    assert SitePreferences.objects.get().version == version


def test_without_javascript_the_test_is_a_page_with_tables(admin, site):
    site.emulator.set_cors(MAIN, [])
    entries = site.values["s3_configuration"]
    page = admin.post(TEST, typed(s3_configuration=entries)).content.decode()
    assert page.count('<table class="try-checks">') == 2
    assert f"<strong>main</strong> (bucket {MAIN}, us-east-1)" in page
    assert '<span aria-hidden="true">✗</span> failed' in page
    assert "AllowedOrigins" in page
    assert re.search(r"\d+ ms", page)
    text = re.sub(r"<[^>]*>", "", page)
    reached = "The server reached it; browsers may not: run the Speed Test."
    assert reached in text
    site.emulator.set_cors(SYDNEY, [])
    page = admin.post(TEST, typed(s3_configuration=entries)).content.decode()
    assert reached not in re.sub(r"<[^>]*>", "", page)
    assert reverse("speedtest:page") in page


def test_nothing_outside_the_test_prefix_is_written(admin, site):
    log = []
    real = probe.Caller.fetch

    def noted(self, operation, method, url, *args, **kwargs):
        log.append((method, url))
        return real(self, operation, method, url, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(probe.Caller, "fetch", noted)
        entries = site.values["s3_configuration"]
        admin.post(TEST, typed(s3_configuration=entries), headers=JSON).getvalue()
    written = [url for method, url in log if method in ("PUT", "POST", "DELETE")]
    assert len(written) > 10
    assert all("/shotmedia/.speedtest/runs/" in url for url in written)


def test_a_problem_is_named_and_the_rest_is_tested(admin, site):
    entries = json.loads(site.values["s3_configuration"])
    del entries["sydney"]["region"]
    first, *rest = lines(
        admin.post(TEST, typed(s3_configuration=json.dumps(entries)), headers=JSON)
    )
    assert first["problems"] == ['S3 Configuration: Line 1: "sydney" has no "region".']
    assert [one["name"] for one in first["configurations"]] == ["main"]
    assert {event["configuration"] for event in rest} == {"main"}


def test_with_nothing_to_test_that_is_said(admin):
    (only,) = lines(admin.post(TEST, typed(s3_configuration="{}"), headers=JSON))
    assert only["configurations"] == []
    assert only["problems"][-1] == "There is no configuration that can be tested."


def test_many_configurations_are_bounded_and_those_in_use_are_among_them(admin, monkeypatch):
    monkeypatch.setattr(bucket_tests, "check_configuration", lambda *a, **k: (x for x in ()))
    entries = {f"old{n}": ENTRIES["main"] for n in range(12)} | ENTRIES
    first, *rest = lines(
        admin.post(TEST, typed(s3_configuration=json.dumps(entries)), headers=JSON)
    )
    names = [one["name"] for one in first["configurations"]]
    assert names == [*(f"old{n}" for n in range(8)), "main", "sydney"]
    assert first["problems"][-1].startswith("4 of 14 configurations are not tested here")
    assert len(rest) == bucket_tests.MOST


def test_each_configuration_has_its_limit_and_they_run_side_by_side(site, monkeypatch):
    """Both wait for each other, which one after the other could never end."""
    together, limits = Barrier(2, timeout=20), []

    def check(config, origin, **options):
        limits.append((options["seconds"], options["download_only"]))
        together.wait()
        yield bucket_tests._BROKEN

    monkeypatch.setattr(bucket_tests, "check_configuration", check)
    found = list(bucket_tests.run_checks(current_preferences(), "http://testserver"))
    assert sorted(name for name, finding in found if finding is None) == ["main", "sydney"]
    assert len(found) == 4
    assert sorted(limits) == [(bucket_tests.SECONDS, False), (bucket_tests.SECONDS, True)]


def test_a_defect_is_told_and_logged_and_stops_no_other(site, monkeypatch, caplog):
    real = probe.check_configuration

    def check(config, origin, **options):
        if config.name == "main":
            raise RuntimeError("a defect")
        return real(config, origin, **options)

    monkeypatch.setattr(bucket_tests, "check_configuration", check)
    found = list(bucket_tests.run_checks(current_preferences(), "http://testserver"))
    of_main = [finding for name, finding in found if name == "main"]
    assert [f and f.check for f in of_main] == ["site", None]
    assert sum(name == "sydney" for name, _ in found) == len(probe.CHECKS) + 1
    assert "a defect" in caplog.text


def test_who_stops_waiting_leaves_nothing_behind(site):
    before = keys(site, MAIN), keys(site, SYDNEY)
    events = bucket_tests.run_checks(current_preferences(), "http://testserver")
    for _, finding in events:
        if finding and finding.check == "put":
            break
    events.close()
    assert (keys(site, MAIN), keys(site, SYDNEY)) == before


def test_who_stops_waiting_ends_the_checks(site, monkeypatch):
    gate, went_on = Event(), []

    class Stop(Event):
        def set(self):
            super().set()
            gate.set()

    def check(config, origin, **options):
        yield bucket_tests._BROKEN
        gate.wait(20)
        yield bucket_tests._BROKEN
        went_on.append(config.name)

    monkeypatch.setattr(bucket_tests, "Event", Stop)
    monkeypatch.setattr(bucket_tests, "check_configuration", check)
    events = bucket_tests.run_checks(current_preferences(), "http://testserver")
    next(events)
    events.close()
    assert went_on == []


# --- Who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [PREVIEW, TEST])
def test_the_addresses_and_their_names(url, admin):
    name = url.rstrip("/").rpartition("/")[2]
    assert reverse(f"admin:preferences_sitepreferences_{name}") == url
    assert admin.get(url).status_code == 405


@pytest.mark.parametrize("url", [PREVIEW, TEST])
def test_not_for_the_anonymous_nor_for_others(db, url):
    assert Client().get(url).headers["Location"].startswith("/login/")
    assert Client().post(url, typed(), headers=JSON).status_code == 401
    for user in (person("artist"), person("staff", is_staff=True)):
        assert logged_in(user).post(url, typed()).status_code == 403


@pytest.mark.parametrize("url", [PREVIEW, TEST])
def test_not_without_the_forms_token(db, url):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.create_superuser("root"))
    assert strict.post(url, typed()).status_code == 403


def test_a_viewer_cannot_have_the_server_call_a_host(viewer):
    """A listening socket that nobody connects to."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        port = listening.getsockname()[1]
        inside = {"main": ENTRIES["main"] | {"endpoint_url": f"http://127.0.0.1:{port}"}}
        response = viewer.post(TEST, typed(s3_configuration=json.dumps(inside)), headers=JSON)
        assert response.status_code == 403
        with pytest.raises(BlockingIOError):
            listening.accept()
