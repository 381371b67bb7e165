"""The page “Compare” in Chromium, against the embedded S3."""

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from preferences.models import User
from speedtest.models import SpeedTestRun
from tests.browser.conftest import press_enter
from tests.functional.conftest import MAIN, SYDNEY
from tests.functional.test_speedtest_server_run import left

SHORT = {
    "seed_bytes": 4 << 20,
    "cap_bytes": 80_000_000,
    "pause_ms": 0,
    "upload": {"warm_ms": 50, "min_ms": 300, "max_ms": 300},
    "download": {"warm_ms": 50, "min_ms": 300, "max_ms": 400},
    "most_size": 1 << 20,
}


@pytest.fixture(autouse=True)
def short_plan(settings) -> None:
    settings.SPEEDTEST_PLAN = SHORT


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create_superuser("ada", "ada@studio.test", "secret")


def test_the_faster_replica_is_named_and_its_use_suggested(site, page_as, admin):
    for bucket, rate in ((MAIN, 1), (SYDNEY, 20)):
        site.emulator.faults(bucket, rate_mb_s=rate, methods=["GET"], key="/.speedtest/seed")
    page = page_as(admin)
    page.goto("/admin/speedtest")
    page.get_by_role("link", name="compared").click()
    press_enter(page.get_by_role("button", name="Compare"))
    expect(page.locator("#phase")).to_contain_text("of 8)", timeout=30_000)
    verdict = page.locator("#verdict")
    expect(verdict).to_contain_text("Download: sydney", timeout=60_000)
    expect(verdict).to_contain_text("faster than main (")
    expect(verdict).to_contain_text("4 of 4 pairs)")
    expect(verdict).to_be_focused()
    expect(page.locator("#notes")).to_contain_text("Upload: ")
    assert page.locator("#turns tbody tr").count() == 8
    runs = {run.configuration: run for run in SpeedTestRun.objects.all()}
    assert {run.state for run in runs.values()} == {"done"}
    assert {run.mode for run in runs.values()} == {"compare"}
    assert runs["sydney"].figures["download"]["mbps"] > runs["main"].figures["download"]["mbps"]
    assert all(left(site, run) == [] for run in runs.values())
    page.get_by_role("link", name="Add the range").click()
    expect(page.locator("#id_s3_replication_ip_addresses")).to_have_value(
        "10.20.0.0/16\n127.0.0.0/24"
    )


def test_stop_ends_both_and_leaves_nothing(site, page_as, admin):
    site.emulator.faults(MAIN, rate_mb_s=1, methods=["GET"], key="/.speedtest/seed")
    page = page_as(admin)
    page.goto("/admin/speedtest/compare")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#phase")).to_contain_text("of 8)", timeout=30_000)
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Compare")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("alert")).to_contain_text("Stopped. What it had made was removed")
    assert {run.state for run in SpeedTestRun.objects.all()} == {"stopped"}
    assert all(left(site, run) == [] for run in SpeedTestRun.objects.all())


def test_a_double_click_starts_and_does_not_stop(site, page_as, admin):
    site.emulator.faults(MAIN, rate_mb_s=1, methods=["GET"], key="/.speedtest/seed")
    page = page_as(admin)
    page.goto("/admin/speedtest/compare")
    page.get_by_role("button", name="Compare").dblclick()
    expect(page.locator("#phase")).to_contain_text("of 8)", timeout=30_000)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("alert")).to_contain_text("Stopped. What it had made was removed")


def test_what_s3_refuses_is_no_speed(site, page_as, admin):
    site.emulator.faults(SYDNEY, status=403, methods=["PUT"], key="/browser/up-")
    page = page_as(admin, viewport={"width": 390, "height": 800})
    page.goto("/admin/speedtest/compare")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#notes")).to_contain_text("S3 refused an upload", timeout=60_000)
    assert page.locator("#turns tbody tr").count() == 4
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_two_that_are_the_same(page_as, admin):
    page = page_as(admin)
    page.goto("/admin/speedtest/compare")
    page.get_by_label("B", exact=True).select_option("main")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose two different ones.")


def test_a_test_in_the_way_may_be_ended(site, page_as, admin):
    SpeedTestRun.objects.create(
        user=admin, configuration="sydney", place="0" * 16, started_at=timezone.now()
    )
    page = page_as(admin)
    page.goto("/admin/speedtest/compare")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#problem")).to_contain_text("You have a test of “sydney” running")
    main = SpeedTestRun.objects.get(configuration="main")
    assert (main.state, main.verdict_status) == ("stopped", "warn")
    page.get_by_role("button", name="End that test and compare").click()
    expect(page.locator("#verdict")).to_contain_text("Download: ", timeout=60_000)
    expect(page.locator("#problem")).to_be_empty()
    assert not SpeedTestRun.objects.filter(state="running").exists()


def test_a_hidden_tab_is_flagged(site, page_as, admin):
    page = page_as(admin)
    page.goto("/admin/speedtest/compare")
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("#phase")).to_contain_text("of 8)", timeout=30_000)
    page.evaluate(
        """() => {
            Object.defineProperty(document, "hidden", {get: () => true, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
            delete document.hidden;
        }"""
    )
    expect(page.locator("#notes")).to_contain_text("The tab was hidden", timeout=60_000)
    assert all("hidden" in run.figures["flags"] for run in SpeedTestRun.objects.all())
