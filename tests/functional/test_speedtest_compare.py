"""/admin/speedtest/compare: who may, and what is said of the rates that a browser measured."""

import json

import pytest
from django.test import Client
from django.urls import reverse

from preferences.models import User
from preferences.snapshot import current_preferences
from speedtest import steps
from tests.functional.conftest import Site

FASTER = {"download": [100, 310, 280, 100, 100, 330, 310, 100], "upload": [50, 50, 50, 50]}


@pytest.fixture
def client(db: None) -> Client:
    client = Client(REMOTE_ADDR="203.0.113.7")
    client.force_login(User.objects.create_superuser("ada", "ada@studio.test", "secret"))
    return client


def judge(client: Client, a: str = "main", b: str = "sydney", rates: object = FASTER):
    body = json.dumps({"a": a, "b": b, "rates": rates})
    return client.post(reverse("speedtest:compare_judge"), body, "application/json")


def test_the_page_offers_primary_and_replica(site: Site, client: Client):
    answer = client.get(reverse("speedtest:compare"))
    page = answer.content.decode()
    assert '<option value="main" selected>' in page
    assert '<option value="sydney" selected>' in page
    assert "(regional endpoint)" not in page
    # Bytes and cost are told before the start.
    assert "at most 500 MB each way with each of them, $0.05 each." in page
    for name in ("studio-main", "studio-sydney"):
        host = site.emulator.endpoint_for(name)
        assert host in answer.headers["Content-Security-Policy"]


def test_one_configuration_is_nothing_to_compare(site: Site, client: Client):
    entries = json.loads(site.values["s3_configuration"])
    del entries["sydney"]
    site.prefer(s3_configuration=json.dumps(entries), s3_bucket_for_replication="")
    page = client.get(reverse("speedtest:compare")).content.decode()
    assert "no two configurations to compare" in page


def test_a_configuration_is_there_without_its_vpc_endpoint_too(site: Site, client: Client):
    entries = json.loads(site.values["s3_configuration"])
    vpce = "vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com"
    entries["main"]["s3_interface_vpc_endpoint_dns_name"] = vpce
    site.prefer(s3_configuration=json.dumps(entries))
    assert "main (regional endpoint)" in client.get(reverse("speedtest:compare")).content.decode()
    with_it = steps.target_of(current_preferences(), "main")
    without = steps.target_of(current_preferences(), "main (regional endpoint)")
    assert vpce in with_it.config.public_endpoint().host
    assert without.config.public_endpoint() == with_it.config.service_endpoint()
    assert without.replica == with_it.replica
    assert not without.download_only
    assert steps.target_of(current_preferences(), "sydney (regional endpoint)") is None


def test_the_ratio_its_spread_and_what_to_do(site: Site, client: Client):
    answer = judge(client).json()
    assert [one["text"] for one in answer["results"]] == [
        "sydney 3.1× faster than main (2.8–3.3, 4 of 4 pairs)",
        "sydney and main are about as fast (1.00–1.00, 2 pairs)",
    ]
    assert answer["results"][0]["pairs"][1] == [100, 280]
    suggestion = answer["suggestion"]
    assert "203.0.113.0/24" in suggestion["text"]
    # The page is filled in, and nothing is saved.
    before = current_preferences().ranges
    page = client.get(suggestion["url"]).content.decode()
    assert "203.0.113.0/24" in page
    assert len(current_preferences().ranges) == len(before)


def test_the_other_way_round_says_the_same(site: Site, client: Client):
    turned = {"download": [310, 100, 100, 280, 330, 100, 100, 310]}
    answer = judge(client, "sydney", "main", turned).json()
    assert answer["results"][0]["text"] == "sydney 3.1× faster than main (2.8–3.3, 4 of 4 pairs)"
    assert answer["suggestion"]


@pytest.mark.parametrize(
    "rates",
    [
        {"download": [100, 124, 300, 100, 100, 300, 300, 100]},
        {"download": [300, 100, 100, 300, 300, 100, 100, 300]},
        {"download": [100, 300, 300, 100]},
    ],
)
def test_no_suggestion_unless_clearly_faster_in_all_pairs(site: Site, client: Client, rates):
    answer = judge(client, rates=rates)
    assert answer.status_code == 200
    assert answer.json()["suggestion"] is None


def test_no_suggestion_for_others_than_primary_and_replica(site: Site, client: Client):
    site.prefer(s3_bucket_for_replication="")
    assert judge(client).json()["suggestion"] is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"b": "gone"}, "renamed or removed"),
        ({"rates": {}}, "No pair was measured"),
        ({"rates": "x"}, "No pair was measured"),
        ({"rates": {"download": ["1", None]}}, "No pair was measured"),
        ({"rates": {"download": [0, 0]}}, "No pair was measured"),
    ],
)
def test_what_makes_no_sense_is_said(site: Site, client: Client, change, words):
    answer = judge(client, **change)
    assert answer.status_code == 400
    assert words in answer.json()["message"]


@pytest.mark.parametrize("name", ["compare", "compare_judge"])
def test_only_for_who_may_change_the_preferences(site: Site, name: str):
    url = reverse(f"speedtest:{name}")
    ask = Client.get if name == "compare" else Client.post
    anonymous = ask(Client(), url)
    assert anonymous.status_code == 302
    assert anonymous.headers["Location"].startswith("/login/")
    for person in (site.person(), User.objects.create_user("bob", is_staff=True)):
        other = Client()
        other.force_login(person)
        assert ask(other, url).status_code == 403
