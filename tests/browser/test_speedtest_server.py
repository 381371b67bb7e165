"""The page “From this server” in Chromium: the run goes on in the background."""

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from preferences.models import User
from speedtest.models import SpeedTestRun
from tests.browser.conftest import press_enter
from tests.functional.conftest import MAIN
from tests.functional.test_speedtest_server_run import PLAN, left


@pytest.fixture
def admin(db: None, settings) -> User:
    settings.SPEEDTEST_PLAN = PLAN
    return User.objects.create_superuser("ada", "ada@studio.test", "secret")


def test_it_runs_on_when_the_page_is_loaded_again(site, page_as, admin):
    site.emulator.faults(MAIN, rate_mb_s=5, methods=["GET", "PUT"], key="/.speedtest/")
    page = page_as(admin)
    page.goto("/admin/speedtest")
    page.get_by_role("link", name="from this server").click()
    press_enter(page.get_by_role("button", name="Start"))
    expect(page.get_by_role("progressbar")).to_be_visible()
    page.reload()
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    verdict = page.locator("#verdict")
    expect(verdict).to_contain_text("main: Everything works", timeout=60_000)
    expect(verdict).to_be_focused()
    expect(page.locator("#figures")).to_contain_text("Mbit/s")
    expect(page.locator("#findings [data-check=measure]")).to_contain_text("phases were measured")
    run = SpeedTestRun.objects.get()
    assert (run.state, run.source) == ("done", "server")
    assert left(site, run) == []
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_stop(site, page_as, admin):
    site.emulator.faults(MAIN, rate_mb_s=2, methods=["PUT"], key="/browser/up-")
    page = page_as(admin)
    page.goto("/admin/speedtest/server")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#verdict")).to_contain_text("stopped", timeout=60_000)
    assert left(site, SpeedTestRun.objects.get()) == []


def test_a_test_in_the_way_may_be_ended(site, page_as, admin):
    SpeedTestRun.objects.create(
        user=admin, configuration="main", place="0" * 16, started_at=timezone.now()
    )
    page = page_as(admin)
    page.goto("/admin/speedtest/server")
    page.get_by_role("radio", name="Quick").check()
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#problem")).to_contain_text("A test of “main” is running since")
    page.get_by_role("button", name="End that test and start this one").click()
    expect(page.locator("#verdict")).to_contain_text("Everything works", timeout=60_000)
    assert set(SpeedTestRun.objects.values_list("state", flat=True)) == {"left", "done"}
