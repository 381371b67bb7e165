"""/admin/speedtest/server: a run in the background, and who may see and stop it."""

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from preferences.models import User
from speedtest import server_views
from speedtest.models import SpeedTestRun
from tests.functional.conftest import Site
from tests.functional.test_speedtest_server_run import PLAN, left

URLS = ("server_page", "server_start", "server_look", "server_stop")


@pytest.fixture
def works(settings, monkeypatch) -> list:
    """What would run in the background, for the test to run."""
    settings.SPEEDTEST_PLAN = PLAN
    works: list = []
    monkeypatch.setattr(server_views, "in_background", works.append)
    return works


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_superuser("ada", "ada@studio.test", "secret")


@pytest.fixture
def client(ada: User) -> Client:
    client = Client()
    client.force_login(ada)
    return client


def start(client: Client, name: str = "main", mode: str = "quick", **more: str):
    body = json.dumps({"configuration": name, "mode": mode, **more})
    headers = {"Origin": "http://testserver"}
    url = reverse("speedtest:server_start")
    return client.post(url, body, "application/json", headers=headers)


def test_a_run_from_its_start_to_its_result(site: Site, client: Client, works, ada):
    begun = start(client, mode="standard").json()
    assert not begun["over"]
    page = client.get(reverse("speedtest:server_page")).content.decode()
    # A page that is opened meanwhile watches it.
    assert begun["look"] in page
    works.pop()()
    answer = client.get(begun["look"]).json()
    assert (answer["over"], answer["state"]) == (True, "done")
    assert answer["figures"]["download"]["mbps"] > 0
    assert answer["progress"]["title"] == "Clean-up"
    assert {finding["check"] for finding in answer["findings"]} >= {"cors", "measure"}
    run = SpeedTestRun.objects.get()
    assert (run.user, run.source, run.who) == (ada, "server", "ada")
    assert left(site, run) == []
    assert begun["look"] not in client.get(reverse("speedtest:server_page")).content.decode()
    assert "(server" not in client.get(answer["report"]).content.decode()


def test_one_at_a_time(site: Site, client: Client, works):
    start(client)
    answer = start(client)
    assert answer.status_code == 409
    assert "A test of “main” is running since" in answer.json()["message"]
    assert start(client, "sydney").status_code == 200
    assert len(works) == 2


def test_one_that_is_in_the_way_may_be_ended(site: Site, client: Client, works, ada):
    start(client)
    running = start(client).json()["running"]
    # Another's id ends nothing.
    assert start(client, end="0" * 8).status_code == 409
    assert start(client, end=running).status_code == 200
    assert SpeedTestRun.objects.get(pk=running).state == "left"
    # Its thread sees that it is over, and leaves nothing either.
    works[0]()
    assert left(site, SpeedTestRun.objects.get(pk=running)) == []
    assert SpeedTestRun.objects.filter(state="running").count() == 1


def test_stop_is_heard(site: Site, client: Client, works):
    begun = start(client, mode="standard").json()
    assert client.post(begun["stop"]).status_code == 200
    works.pop()()
    answer = client.get(begun["look"]).json()
    assert answer["state"] == "stopped"
    assert answer["figures"] == {}
    assert left(site, SpeedTestRun.objects.get()) == []


def test_a_run_whose_process_died_is_marked_as_left(site: Site, client: Client, works):
    begun = start(client).json()
    silent = timezone.now() - timedelta(minutes=4)
    SpeedTestRun.objects.update(seen_at=silent)
    answer = client.get(begun["look"]).json()
    assert (answer["over"], answer["state"]) == (True, "left")
    assert answer["verdict"]["text"].startswith("The process that ran it ended")
    # Should it live after all, it sees that it is over.
    works.pop()()
    assert start(client).status_code == 200


@pytest.mark.parametrize(
    ("name", "mode", "words"),
    [("gone", "quick", "There is no configuration “gone”"), ("main", "compare", "must be quick")],
)
def test_what_cannot_be_run_is_said(site: Site, client: Client, works, name, mode, words):
    answer = start(client, name, mode)
    assert answer.status_code == 400
    assert words in answer.json()["message"]
    assert works == []


def test_without_configurations_the_page_says_so(site: Site, client: Client):
    site.prefer(s3_configuration="{}", storage_location="", s3_bucket_for_replication="")
    page = client.get(reverse("speedtest:server_page")).content.decode()
    assert "no configuration to test" in page


@pytest.mark.parametrize("name", URLS)
def test_only_for_who_may_change_the_preferences(site: Site, client: Client, works, name):
    begun = start(client).json()
    run = SpeedTestRun.objects.get()
    url = reverse(f"speedtest:{name}", args=[run.pk] if name in URLS[2:] else [])
    ask = Client.get if name in ("server_page", "server_look") else Client.post
    anonymous = ask(Client(), url)
    assert anonymous.status_code == 302
    assert anonymous.headers["Location"].startswith("/login/")
    for person in (site.person(), User.objects.create_user("bob", is_staff=True)):
        other = Client()
        other.force_login(person)
        assert ask(other, url).status_code == 403
    assert not client.get(begun["look"]).json()["over"]


@pytest.mark.parametrize("name", URLS[2:])
def test_another_admins_run_is_not_there(site: Site, client: Client, works, name):
    start(client)
    other = Client()
    other.force_login(User.objects.create_superuser("eve", "eve@studio.test", "secret"))
    url = reverse(f"speedtest:{name}", args=[SpeedTestRun.objects.get().pk])
    ask = Client.get if name == "server_look" else Client.post
    assert ask(other, url).status_code == 404
    assert not SpeedTestRun.objects.get().stop_asked
