"""Results and links for artists in Chromium."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from preferences.models import User
from preferences.snapshot import current_preferences
from speedtest.invitations import path_of
from speedtest.models import SpeedTestInvitation, SpeedTestRun
from tests.browser.conftest import PATIENCE_MS, press_enter
from tests.browser.test_speedtest_page import LONG, SHORT, SLOW, stored, unfinished
from tests.functional.conftest import MAIN, Site


@pytest.fixture(autouse=True)
def short_plan(settings) -> None:
    """Seconds instead of a minute and a half."""
    settings.SPEEDTEST_PLAN = SHORT


@pytest.fixture
def admin(db: None) -> User:
    """Somebody who may change Site Preferences."""
    return User.objects.create_superuser("ada", "ada@studio.test", "secret")


@pytest.fixture
def visitor(page_as, browser: Browser, live_server) -> Iterator[Page]:
    """The page of somebody who is not logged in; `page_as` lets the site's origin in."""
    context = browser.new_context(base_url=live_server.url)
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(f"script: {error}"))
    page.on(
        "console",
        lambda said: problems.append(said.text) if "Content Security" in said.text else None,
    )
    page.set_default_timeout(PATIENCE_MS)
    yield page
    context.close()
    assert problems == []


def invite(maker: User, **fields: object) -> SpeedTestInvitation:
    now = timezone.now()
    values = {
        "configuration": "main",
        "place": current_preferences().configurations["main"].fingerprint,
        "note": "Anna, home office",
        "made_by": maker,
        "created_at": now,
        "expires_at": now + timedelta(days=7),
    }
    return SpeedTestInvitation.objects.create(**values | fields)


def test_a_visitor_without_a_log_in_runs_the_test_to_its_end(
    visitor: Page, site: Site, admin: User
) -> None:
    site.emulator.faults(MAIN, rate_mb_s=20, methods=["GET", "PUT"], key="/.speedtest/")
    visitor.goto(path_of(invite(admin)))
    press_enter(visitor.get_by_role("button", name="Start the test"))
    bar = visitor.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuetext", re.compile("[1-9].* %, "))
    expect(visitor.locator("#verdict")).to_contain_text("Done, thank you", timeout=60_000)
    sentences = visitor.locator("#sentences")
    expect(sentences).to_contain_text(re.compile(r"Download [\d.]+ Mbit/s: a 2 GB plate takes"))
    expect(sentences).to_contain_text(re.compile(r"Upload [\d.]+ Mbit/s: a 2 GB plate takes"))
    assert visitor.evaluate("document.activeElement.id") == "verdict"
    assert MAIN not in visitor.locator("body").inner_text()

    run = SpeedTestRun.objects.get()
    assert (run.state, run.who, run.user) == ("done", "Anna, home office", None)
    assert run.verdict_status == "pass", run.browser_findings
    assert run.figures["upload"]["mbps"] > 0
    assert run.figures["multipart"]["ok"] == 1
    assert run.browser.startswith("Chrome on ")
    assert [key for key in stored(site, MAIN) if "/runs/" in key] == []
    assert unfinished(site, MAIN) == []


def test_without_cors_the_visitor_is_told_plainly(visitor: Page, site: Site, admin: User) -> None:
    site.emulator.set_cors(MAIN, [])
    visitor.goto(path_of(invite(admin)))
    visitor.get_by_role("button", name="Start the test").click()
    expect(visitor.locator("#verdict")).to_contain_text("Not everything worked", timeout=30_000)
    assert "CORS" not in visitor.locator("body").inner_text()
    assert "no CORS rules" in str(SpeedTestRun.objects.get().server_findings)


def test_stop_and_a_left_page_clean_up(visitor: Page, site: Site, admin: User, settings) -> None:
    settings.SPEEDTEST_PLAN = SHORT | LONG
    site.emulator.faults(MAIN, **SLOW)
    link = path_of(invite(admin))
    visitor.goto(link)
    visitor.get_by_role("button", name="Start the test").click()
    expect(visitor.locator("#gauge")).to_contain_text("Mbit/s", timeout=30_000)
    visitor.get_by_role("button", name="Stop").click()
    expect(visitor.locator("#verdict")).to_contain_text("stopped", timeout=30_000)
    assert SpeedTestRun.objects.get().state == "stopped"
    visitor.get_by_role("button", name="Test again").click()
    expect(visitor.locator("#gauge")).to_contain_text("Mbit/s", timeout=30_000)
    # The beacon is on its own way: it has arrived when no test is running any more.
    visitor.goto("/login/")
    for _ in range(200):
        if not SpeedTestRun.objects.filter(state="running").exists():
            break
        visitor.reload()
    assert set(SpeedTestRun.objects.values_list("state", flat=True)) == {"stopped", "left"}
    assert unfinished(site, MAIN) == []
    # What was stored while the page was closing is removed by the next test at the latest.
    site.emulator.clear_faults()
    settings.SPEEDTEST_PLAN = SHORT
    visitor.goto(link)
    visitor.get_by_role("button", name="Start the test").click()
    expect(visitor.locator("#verdict")).to_contain_text("Done, thank you", timeout=60_000)
    assert [key for key in stored(site, MAIN) if "/runs/" in key] == []


def test_a_running_test_of_the_same_link_can_be_ended(
    visitor: Page, site: Site, admin: User
) -> None:
    link = invite(admin)
    SpeedTestRun.objects.create(
        invitation=link, configuration="main", place=link.place, started_at=timezone.now()
    )
    visitor.goto(path_of(link))
    visitor.get_by_role("button", name="Start the test").click()
    visitor.get_by_role("button", name="End that test and start this one").click()
    expect(visitor.locator("#verdict")).to_contain_text("Done, thank you", timeout=60_000)
    assert sorted(SpeedTestRun.objects.values_list("state", flat=True)) == ["done", "left"]


def test_a_result_that_could_not_be_sent_is_sent_again(
    visitor: Page, site: Site, admin: User, settings
) -> None:
    settings.SPEEDTEST_PLAN = SHORT | LONG
    site.emulator.faults(MAIN, **SLOW)
    visitor.goto(path_of(invite(admin)))
    visitor.get_by_role("button", name="Start the test").click()
    expect(visitor.locator("#gauge")).to_contain_text("Mbit/s", timeout=30_000)
    visitor.route("**/finish", lambda route: route.abort())
    visitor.get_by_role("button", name="Stop").click()
    expect(visitor.locator("#problem")).to_contain_text("The result has not been sent yet.")
    visitor.unroute("**/finish")
    again = visitor.get_by_role("button", name="Send it again")
    expect(again).to_be_focused()
    again.click()
    expect(visitor.locator("#verdict")).to_contain_text("stopped")
    expect(visitor.locator("#problem")).to_be_empty()
    assert SpeedTestRun.objects.get().figures["idle_median_ms"] > 0
    assert [key for key in stored(site, MAIN) if "/runs/" in key] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_an_admin_makes_a_link_and_finds_the_results(
    page_as, site: Site, admin: User, scheme: str, width: int
) -> None:
    page = page_as(admin, color_scheme=scheme, viewport={"width": width, "height": 900})
    page.goto("/admin/speedtest")
    page.get_by_role("link", name="Send this test").click()
    page.get_by_label("For whom").fill("Anna, home office")
    page.get_by_role("button", name="Make a link").click()
    link = page.get_by_label("Link for Anna, home office", exact=True)
    made = SpeedTestInvitation.objects.get()
    assert link.input_value().endswith(path_of(made))
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the link for Anna, home office").click()
    expect(page.locator("[data-copy]")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == link.input_value()
    fits(page)

    for hours, rate in ((50, 300.0), (40, 320.0), (30, 310.0), (1, 90.0)):
        SpeedTestRun.objects.create(
            invitation=made, configuration="main", place=made.place, bucket=MAIN, state="done",
            started_at=timezone.now() - timedelta(hours=hours), address="203.0.113.7",
            figures={"download": {"mbps": rate}, "upload": {"mbps": rate / 4}},
            verdict_status="pass", verdict="From there everything works.",
        )  # fmt: skip
    page.goto("/admin/speedtest/results/")
    expect(page.locator(".st-trend path")).to_have_count(2)
    newest = page.locator(".st-trend circle").last.bounding_box()
    assert newest["x"] + newest["width"] <= width
    page.get_by_text("The chart as a table").click()
    expect(page.locator(".st-table tbody tr")).to_have_count(4)
    fits(page)
    page.get_by_label("Person").select_option("Anna, home office (by link)")
    page.get_by_role("button", name="Filter").click()
    page.locator(".st-history tbody a").first.click()
    expect(page.locator("#content-main")).to_contain_text("A drop: 71 % below the median of 3")
    expect(page.locator("#content-main")).to_contain_text("A 2 GB plate")
    fits(page)


@pytest.mark.parametrize("width", [1280, 390])
def test_names_without_spaces_make_no_page_wider(
    page_as, visitor: Page, site: Site, admin: User, width: int
) -> None:
    link = invite(admin, note="v" * 80)
    run = SpeedTestRun.objects.create(
        invitation=link, configuration="c" * 100, place=link.place, started_at=timezone.now(),
        state="done",
    )  # fmt: skip
    page = page_as(admin, viewport={"width": width, "height": 900})
    for address in ("invitations/", "results/", f"results/{run.pk}/"):
        page.goto(f"/admin/speedtest/{address}")
        fits(page)
    visitor.set_viewport_size({"width": width, "height": 900})
    visitor.goto(path_of(link))
    fits(visitor)


def fits(page: Page) -> None:
    """Nothing sticks out at the right."""
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
