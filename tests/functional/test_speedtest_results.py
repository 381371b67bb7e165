"""/admin/speedtest/results/: who may, filters, pages, comparison, export."""

import csv
import importlib
import io
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.urls import reverse

from media.models import MediaFile
from preferences.models import User
from speedtest.models import SpeedTestInvitation, SpeedTestRun
from speedtest.results import PAGE, compared

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
CHROME = "Mozilla/5.0 (Windows NT 10.0) Chrome/142.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
RATES = {"download": {"mbps": 480.0}, "upload": {"mbps": 96.0}, "idle_median_ms": 12}


@pytest.fixture
def ada(db: None) -> User:
    """Somebody who may change Site Preferences."""
    return User.objects.create_superuser("ada", "ada@studio.test", "secret")


@pytest.fixture
def client(ada: User) -> Client:
    client = Client()
    client.force_login(ada)
    return client


def run_of(user: User | None, **fields: object) -> SpeedTestRun:
    values = {
        "user": user, "configuration": "main", "place": "0" * 16, "bucket": "studio-main",
        "region": "us-east-1", "state": "done", "started_at": NOON, "finished_at": NOON,
        "address": "203.0.113.7", "user_agent": CHROME, "figures": RATES,
        "verdict_status": "pass", "verdict": "Everything works.",
    }  # fmt: skip
    return SpeedTestRun.objects.create(**values | fields)


def invitation_of(user: User, note: str) -> SpeedTestInvitation:
    return SpeedTestInvitation.objects.create(
        configuration="main", place="0" * 16, note=note, made_by=user, created_at=NOON,
        expires_at=NOON + timedelta(days=7),
    )  # fmt: skip


def rows(client: Client, query: str = "") -> list[dict[str, str]]:
    """The exported list, as a spreadsheet reads it."""
    answer = client.get(reverse("speedtest:results_csv") + query)
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.getvalue().decode())))


def urls(run: SpeedTestRun) -> list[str]:
    names = ("results", "results_csv", "results_json")
    return [*(reverse(f"speedtest:{name}") for name in names),
            reverse("speedtest:result", args=[run.pk])]  # fmt: skip


# --- Who may --------------------------------------------------------------------------------


def test_only_for_admins_of_the_preferences(ada: User) -> None:
    run = run_of(ada)
    staff, artist = Client(), Client()
    staff.force_login(User.objects.create_user("bob", password="x", is_staff=True))
    artist.force_login(User.objects.create_user("art", password="x"))
    for url in urls(run):
        anonymous = Client().get(url)
        assert anonymous.status_code == 302
        assert "/login/" in anonymous.headers["Location"]
        assert staff.get(url).status_code == 403
        assert artist.get(url).status_code == 403


def test_a_running_or_unknown_test_has_no_page(client: Client, ada: User) -> None:
    run = run_of(ada, state="running")
    assert client.get(reverse("speedtest:result", args=[run.pk])).status_code == 404
    assert rows(client) == []


# --- The list -------------------------------------------------------------------------------


def test_without_results_it_says_so(client: Client) -> None:
    assert "No test has been run yet" in client.get(reverse("speedtest:results")).content.decode()
    speed_test = client.get("/admin/speedtest").content.decode()
    assert f'href="{reverse("speedtest:results")}"' in speed_test


def test_office_and_browser_are_kept_with_the_run(ada: User) -> None:
    run = run_of(ada, address="2001:db8:1:2::3", user_agent=FIREFOX)
    run.refresh_from_db()
    assert (run.office, run.browser) == ("2001:db8:1::/48", "Firefox on Linux")


def test_what_this_server_measured_is_no_office(client: Client, ada: User) -> None:
    run = run_of(ada, source="server")
    run_of(ada, source="command", started_at=NOON + timedelta(hours=1))
    run_of(ada, started_at=NOON + timedelta(hours=1))
    assert (run.office, run.browser) == ("", "this server")
    assert [row["id"] for row in rows(client, "?browser=this server")] == [str(run.pk)]
    page = client.get(reverse("speedtest:result", args=[run.pk])).content.decode()
    assert "this server, asked for from 203.0.113.7" in page


def test_older_tests_get_them_by_the_migration(ada: User) -> None:
    run = run_of(ada)
    SpeedTestRun.objects.update(office="", browser="")
    migration = importlib.import_module("speedtest.migrations.0005_results_and_invitations")
    migration.tell_origins(apps, SimpleNamespace(connection=connection))
    run.refresh_from_db()
    assert (run.office, run.browser) == ("203.0.113.0/24", "Chrome on Windows")


def test_each_filter_and_all_together(client: Client, ada: User) -> None:
    eve = User.objects.create_superuser("eve", "eve@studio.test", "secret")
    anna = invitation_of(ada, "Anna, home office")
    kept = run_of(ada)
    others = [
        run_of(ada, configuration="sydney"),
        run_of(eve),
        run_of(None, invitation=anna),
        run_of(ada, address="198.51.100.1"),
        run_of(ada, user_agent=FIREFOX),
        run_of(ada, started_at=NOON - timedelta(days=1)),
        run_of(ada, started_at=NOON + timedelta(hours=12)),
    ]
    assert len(rows(client)) == 8
    for query, count in (
        ("configuration=main", 7),
        (f"person=user:{ada.pk}", 6),
        ("person=invited:Anna, home office", 1),
        ("office=203.0.113.0/24", 7),
        ("browser=Chrome on Windows", 7),
        ("since=2026-11-20", 7),
        ("until=2026-11-20", 7),
    ):
        assert len(rows(client, f"?{query}")) == count, query
    every = (f"?configuration=main&person=user:{ada.pk}&office=203.0.113.0/24"
             "&browser=Chrome on Windows&since=2026-11-20&until=2026-11-20")  # fmt: skip
    assert [row["id"] for row in rows(client, every)] == [str(kept.pk)]
    page = client.get(reverse("speedtest:results") + every).content.decode()
    assert reverse("speedtest:result", args=[kept.pk]) in page
    assert reverse("speedtest:result", args=[others[0].pk]) not in page


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("since=yesterday", "Enter a valid date."),
        ("since=2026-11-20&until=2026-11-19", "This day is before 2026-11-20."),
        ("configuration=nowhere", "nowhere is not one of the available choices"),
        ("person=user:x", "is not one of the available choices"),
        ("before=nonsense~", "203.0.113.0/24"),
        ("before=2026-11-20~00000000-0000-0000-0000-000000000000", "203.0.113.0/24"),
        ("before=0001-01-01T00:00%2B23:00~00000000-0000-0000-0000-000000000000", "203.0.113.0/24"),
        ("since=0001-01-01&until=9999-12-31", "203.0.113.0/24"),
    ],
)
def test_what_cannot_be_understood_is_said_and_left_out(
    client: Client, ada: User, query: str, said: str
) -> None:
    run_of(ada)
    answer = client.get(f"{reverse('speedtest:results')}?{query}")
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert "<time" in answer.content.decode()


def test_pages_have_every_result_once_also_at_the_same_moment(client: Client, ada: User) -> None:
    made = {str(run_of(ada).pk) for _ in range(PAGE)}
    made |= {str(run_of(ada, started_at=NOON - timedelta(days=1)).pk) for _ in range(3)}
    url = reverse("speedtest:results") + "?configuration=main"
    first = client.get(url)
    assert len(first.context["runs"]) == PAGE
    assert first.context["newest"] == ""
    # What comes in meanwhile shifts nothing.
    run_of(ada, started_at=NOON + timedelta(hours=1))
    second = client.get(reverse("speedtest:results") + first.context["older"])
    assert len(second.context["runs"]) == 3
    assert second.context["older"] == ""
    assert second.context["newest"] == "?configuration=main"
    seen = [run["id"] for answer in (first, second) for run in answer.context["runs"]]
    assert sorted(seen) == sorted(made)


def test_the_list_costs_the_same_for_many_results(
    client: Client, ada: User, django_assert_max_num_queries
) -> None:
    for number in range(30):
        run_of(ada, invitation=invitation_of(ada, f"artist {number}"))
    with django_assert_max_num_queries(14):
        client.get(reverse("speedtest:results"))


def test_the_chart_has_labels_and_a_table(client: Client, ada: User) -> None:
    run_of(ada, started_at=NOON - timedelta(days=2))
    run_of(ada)
    page = client.get(reverse("speedtest:results")).content.decode()
    assert 'class="st-line download" d="M' in page
    assert "The chart as a table" in page
    assert page.count("<td>480 Mbit/s</td>") == 2
    assert " style=" not in page.split('id="content-main"')[1].split("</main>")[0]


# --- One result -----------------------------------------------------------------------------


def test_a_result_in_words(client: Client, ada: User, settings) -> None:
    settings.SPEEDTEST_REVIEW_MBPS = 40
    MediaFile.objects.create(
        name="a.mov", kind="video", content_type="video/mp4", size=84_000_000, etag="e",
        configuration="main", path="a", completed_at=NOON,
    )  # fmt: skip
    finding = {"check": "put", "title": "Upload", "status": "fail", "message": "S3 said <no>.",
               "fix": "Let PUT in.", "documents": [["CORS", "[]"]], "code": "403",
               "call": "PutObject", "ms": 12}  # fmt: skip
    run = run_of(None, invitation=invitation_of(ada, "Anna, home office"),
                 server_findings=[finding, finding | {"check": "tls", "ms": None}],
                 browser_findings=[finding])  # fmt: skip
    page = client.get(reverse("speedtest:result", args=[run.pk])).content.decode()
    assert "480 Mbit/s (60.0 MB/s)" in page
    assert "Anna, home office (by link)" in page
    assert "office 203.0.113.0/24, Chrome on Windows" in page
    assert "Your usual file (84 MB, the median)" in page
    assert "1080p reviews at once, 40 Mbit/s each" in page
    assert page.count("S3 said &lt;no&gt;.") == 3
    assert page.count("Let PUT in.") == 3
    assert page.count("12 ms · PutObject · 403") == 2
    assert page.count('"st-facts">PutObject · 403') == 1


def test_compared_with_the_same_office_and_place_only(client: Client, ada: User) -> None:
    slow = RATES | {"download": {"mbps": 60.0}}
    run = run_of(ada, figures=slow)
    for days in (1, 2, 3):
        run_of(ada, started_at=NOON - timedelta(days=days), figures=RATES)
    apart: list[dict] = [
        {"address": "198.51.100.1"}, {"configuration": "sydney"}, {"place": "1" * 16},
        {"state": "stopped"}, {"source": "server"}, {"started_at": NOON - timedelta(days=31)},
        {"started_at": NOON + timedelta(days=1)}, {"mode": "compare"},
        {"figures": slow | {"flags": ["slept"]}},
    ]  # fmt: skip
    for fields in apart:
        run_of(ada, **{"started_at": NOON - timedelta(hours=1), "figures": slow} | fields)
    page = client.get(reverse("speedtest:result", args=[run.pk]))
    down, up = page.context["compared"]
    assert down["dropped"]
    assert down["text"] == (
        "A drop: 88 % below the median of 3 tests in the 30 days before, 480 Mbit/s."
    )
    assert not up["dropped"]
    assert "A drop: 88 % below" in page.content.decode()


def test_tests_that_share_a_line_say_so(client: Client, ada: User) -> None:
    def run(second: int, **fields: object) -> SpeedTestRun:
        begun = NOON + timedelta(seconds=second)
        return run_of(ada, **{"started_at": begun, "finished_at": begun + timedelta(seconds=80)}
                      | fields)  # fmt: skip

    def said(one: SpeedTestRun) -> str:
        return " ".join(found["text"] for found in compared(one) if "same time" in found["title"])

    alone = run(0)
    first = run(200)
    run(230, configuration="sydney", invitation=invitation_of(ada, "Anna"))
    assert "Anna tested “sydney” from the same office meanwhile" in said(first)
    assert said(alone) == ""
    # Checks move next to nothing, and another office has another line.
    busy = run(400)
    run(410, mode="quick")
    run(420, address="198.51.100.1")
    assert said(busy) == ""
    # The two halves of a comparison take turns.
    half = run(600, mode="compare")
    run(600, mode="compare", configuration="sydney")
    assert said(half) == ""


def test_what_something_spoiled_is_not_called_a_drop(client: Client, ada: User) -> None:
    for days in (1, 2, 3):
        run_of(ada, started_at=NOON - timedelta(days=days), figures=RATES)
    slept = RATES | {"download": {"mbps": 60.0}, "flags": ["slept"]}
    page = client.get(reverse("speedtest:result", args=[run_of(ada, figures=slept).pk]))
    assert [one["dropped"] for one in page.context["compared"]] == [False, False]
    assert page.content.decode().count("Not compared, as something spoiled the figures") == 2
    assert "The computer was asleep for a while" in page.content.decode()


# --- Export ---------------------------------------------------------------------------------


def test_the_csv_is_streamed_and_holds_no_formula(client: Client, ada: User) -> None:
    run_of(None, invitation=invitation_of(ada, "=HYPERLINK(1)"), verdict="@all, it works")
    answer = client.get(reverse("speedtest:results_csv"))
    assert answer.streaming
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="speedtests-')
    (row,) = rows(client)
    assert row["person"] == "'=HYPERLINK(1)"
    assert row["verdict"] == "'@all, it works"
    assert row["download_mbps"] == "480.0"
    assert row["download_one_mbps"] == ""
    assert row["office"] == "203.0.113.0/24"


def test_the_json_has_all_figures(client: Client, ada: User) -> None:
    url = reverse("speedtest:results_json")
    assert json.loads(client.get(url).getvalue()) == []
    run_of(ada)
    run_of(ada, configuration="sydney")
    answer = client.get(url + "?configuration=main")
    assert answer.streaming
    (one,) = json.loads(answer.getvalue())
    assert (one["person"], one["figures"]) == ("ada", RATES)
