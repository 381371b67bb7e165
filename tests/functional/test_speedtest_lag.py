"""Replication lag against the embedded S3, with a clock of the tests' own."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from preferences.models import User
from preferences.snapshot import current_preferences
from speedtest import lag as lags
from speedtest.models import ReplicationLag
from speedtest.sweep import sweep
from tests.functional.conftest import MAIN, SYDNEY, Site

URLS = ("lag", "lag_start", "lag_look", "lag_stop")


class Clock:
    """The time, which goes on only when told."""

    def __init__(self) -> None:
        self.now = timezone.now()

    def __call__(self):
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ada(db: None) -> User:
    """Somebody who may change Site Preferences."""
    return User.objects.create_superuser("ada", "ada@studio.test", "secret")


@pytest.fixture
def client(ada: User) -> Client:
    client = Client()
    client.force_login(ada)
    return client


def markers(site: Site, lag: ReplicationLag) -> list[str]:
    """The copies of a marker in both buckets, every version of them."""
    found = []
    for bucket in (MAIN, SYDNEY):
        answer = site.emulator.s3(bucket).list_object_versions(Bucket=bucket)
        found += [one["Key"] for one in answer.get("Versions", ()) if lag.path in one["Key"]]
    return found


def begin(ada: User, clock: Clock) -> ReplicationLag:
    return lags.begin(ada, current_preferences(), clock)


def look(lag: ReplicationLag, clock: Clock) -> ReplicationLag:
    return lags.look(lag, current_preferences(), clock)


def test_the_time_from_primary_to_replica_is_measured_and_both_copies_go(site, ada, clock):
    lag = begin(ada, clock)
    assert len(markers(site, lag)) == 1
    clock.sleep(20)
    look(lag, clock)
    assert (lag.state, lag.source_status) == ("watching", "PENDING")
    site.emulator.replicate_due(everything=True)
    clock.sleep(21)
    look(lag, clock)
    lag.refresh_from_db()
    assert (lag.state, lag.seconds, lag.status) == ("arrived", 41, "pass")
    assert "after 41 s; S3 Replication Delay is 60 s: safe" in lag.message
    assert markers(site, lag) == []
    assert look(lag, clock).seconds == 41


def test_a_delay_that_is_too_short_is_to_be_raised(site, ada, clock):
    lag = begin(ada, clock)
    clock.sleep(95)
    look(lag, clock)
    site.emulator.replicate_due(everything=True)
    clock.sleep(5)
    assert "Raise it to 210 s" in look(lag, clock).message


def test_a_marker_that_never_comes_is_given_up_and_removed(site, ada, clock):
    lag = begin(ada, clock)
    looks = list(lags.watch(lag, current_preferences(), clock, clock.sleep))
    assert (lag.state, lag.status) == ("never", "fail")
    assert "did not arrive within 15 minutes. S3 still says PENDING" in lag.message
    assert len(looks) < 150
    assert markers(site, lag) == []


def test_a_replica_that_may_not_be_looked_into_is_said(site, ada, clock):
    lag = begin(ada, clock)
    site.emulator.faults(SYDNEY, status=403)
    assert "s3:GetObject" in look(lag, clock).message
    assert lag.state == "failed"


def test_a_replica_that_is_down_is_asked_again(site, ada, clock):
    lag = begin(ada, clock)
    site.emulator.faults(SYDNEY, refuse=True)
    look(lag, clock)
    assert lag.state == "watching"
    assert lag.message.endswith("Asking again.")
    site.emulator.clear_faults()
    site.emulator.replicate_due(everything=True)
    clock.sleep(5)
    assert look(lag, clock).state == "arrived"


def test_configurations_that_were_pointed_elsewhere_end_it(site, ada, clock):
    lag = begin(ada, clock)
    site.prefer(s3_configuration=site.values["s3_configuration"].replace('"shotmedia"', '"else"'))
    assert look(lag, clock).message.startswith("The configurations were changed meanwhile. Its ")


def test_a_lag_that_nobody_watched_is_a_range_and_no_figure(site, ada, clock):
    """The page was closed, or the computer slept, while the marker arrived."""
    lag = begin(ada, clock)
    clock.sleep(12)
    look(lag, clock)
    site.emulator.replicate_due(everything=True)
    clock.sleep(600)
    look(lag, clock)
    assert (lag.state, lag.seconds, lag.status) == ("arrived", None, "warn")
    assert "after 12 s to 612 s: nobody watched" in lag.message
    assert "Raise it" not in lag.message
    assert markers(site, lag) == []


def test_an_unwatched_lag_that_is_short_enough_all_the_same_is_safe(site, ada, clock):
    lag = begin(ada, clock)
    site.emulator.replicate_due(everything=True)
    clock.sleep(40)
    look(lag, clock)
    assert (lag.state, lag.seconds, lag.status) == ("arrived", None, "pass")
    assert "after at most 40 s; S3 Replication Delay is 60 s: safe" in lag.message


def test_a_marker_that_was_cleaned_up_meanwhile_blames_no_replication(site, ada, clock):
    lag = begin(ada, clock)
    key = f"shotmedia/{lag.path}lag-1MiB.bin"
    for one in site.emulator.s3(MAIN).list_object_versions(Bucket=MAIN)["Versions"]:
        if one["Key"] == key:
            site.emulator.s3(MAIN).delete_object(Bucket=MAIN, Key=key, VersionId=one["VersionId"])
    clock.sleep(7200)
    look(lag, clock)
    assert (lag.state, lag.status) == ("stopped", "warn")
    assert "cleaned up before anybody saw it" in lag.message


def test_a_stop_is_not_undone_by_a_look_that_is_under_way(site, ada, clock):
    lag = begin(ada, clock)
    looking = ReplicationLag.objects.get()
    lags.stop(lag, current_preferences(), clock())
    look(looking, clock)
    assert looking.state == "stopped"
    stored = ReplicationLag.objects.get()
    assert (stored.state, stored.message) == ("stopped", "Stopped.")


def test_whoever_sees_the_marker_first_says_when(site, ada, clock):
    lag = begin(ada, clock)
    other = ReplicationLag.objects.get()
    site.emulator.replicate_due(everything=True)
    clock.sleep(5)
    look(lag, clock)
    clock.sleep(5)
    look(other, clock)
    assert (other.state, other.seconds) == ("arrived", 5)
    assert ReplicationLag.objects.get().seconds == 5


def test_the_sweep_ends_what_nobody_watches(site, ada, clock):
    lag = begin(ada, clock)
    clock.sleep(2000)
    told = [sentence for _, sentence in sweep(current_preferences(), clock())]
    assert told[0] == f"Ended the measurement of {lag}: Stopped."
    assert ReplicationLag.objects.get().state == "stopped"
    assert markers(site, lag) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"s3_bucket_for_replication": ""}, "S3 Bucket for Replication names no usable"),
        ({"storage_location": ""}, "Storage Location names no usable"),
        ({"s3_bucket_for_replication": "main"}, "are the same place"),
    ],
)
def test_there_has_to_be_something_to_measure(site, ada, clock, changes, words):
    site.prefer(**changes)
    with pytest.raises(lags.LagRefused, match=words):
        begin(ada, clock)
    assert not ReplicationLag.objects.exists()


def test_a_marker_that_s3_refuses_is_explained(site, ada, clock):
    site.emulator.faults(MAIN, status=403)
    with pytest.raises(lags.LagRefused, match="403"):
        begin(ada, clock)


def test_what_nobody_watches_any_more_is_ended_by_the_next(site, ada, clock):
    left = begin(ada, clock)
    clock.sleep(2000)
    begin(ada, clock)
    left.refresh_from_db()
    assert left.state == "stopped"
    assert markers(site, left) == []


# --- Pages ----------------------------------------------------------------------------------


def test_from_the_page(site, client):
    answer = client.post(reverse("speedtest:lag_start")).json()
    assert not answer["over"]
    assert client.post(reverse("speedtest:lag_start")).json()["look"] == answer["look"]
    assert client.post(answer["look"]).json()["source_status"] == "PENDING"
    assert answer["look"] in client.get(reverse("speedtest:lag")).content.decode()
    site.emulator.replicate_due(everything=True)
    assert client.post(answer["look"]).json()["state"] == "arrived"
    page = client.get(reverse("speedtest:lag")).content.decode()
    assert "main → sydney" in page
    assert "safe for files of this size" in page


def test_stop_removes_the_marker(site, client):
    answer = client.post(reverse("speedtest:lag_start")).json()
    lag = ReplicationLag.objects.get()
    assert len(markers(site, lag)) == 1
    assert client.post(answer["stop"]).json()["state"] == "stopped"
    assert markers(site, lag) == []


def test_without_a_replica_the_page_says_what_is_missing(site, client):
    site.prefer(s3_bucket_for_replication="")
    page = client.get(reverse("speedtest:lag")).content.decode()
    assert "S3 Bucket for Replication names no usable configuration" in page
    answer = client.post(reverse("speedtest:lag_start"))
    assert answer.status_code == 400
    assert "S3 Bucket for Replication" in answer.json()["message"]


@pytest.mark.parametrize("name", URLS)
def test_only_for_who_may_change_the_preferences(site, ada, clock, name):
    lag = begin(ada, clock)
    url = reverse(f"speedtest:{name}", args=[lag.pk] if name in URLS[2:] else [])
    ask = Client.get if name == "lag" else Client.post
    anonymous = ask(Client(), url)
    assert anonymous.status_code == 302
    assert anonymous.headers["Location"].startswith("/login/")
    for person in (site.person(), User.objects.create_user("bob", is_staff=True)):
        other = Client()
        other.force_login(person)
        assert ask(other, url).status_code == 403
    lag.refresh_from_db()
    assert lag.state == "watching"
