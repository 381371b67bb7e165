"""The page “Replication lag” in Chromium."""

from playwright.sync_api import expect

from preferences.models import User
from tests.browser.conftest import press_enter


def test_the_lag_is_watched_until_the_copy_is_there(site, page_as):
    page = page_as(User.objects.create_superuser("ada", "ada@studio.test", "secret"))
    page.goto("/admin/speedtest/lag")
    press_enter(page.get_by_role("button", name="Measure the lag"))
    expect(page.get_by_role("heading", name="Waiting for the marker")).to_be_visible()
    expect(page.get_by_text("S3 says PENDING on the primary.")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Waiting for the marker")).to_be_visible()
    site.emulator.replicate_due(everything=True)
    verdict = page.locator("#verdict")
    expect(verdict).to_contain_text("S3 Replication Delay is 60 s: safe")
    expect(verdict).to_be_focused()
    expect(page.get_by_role("button", name="Measure the lag")).to_be_visible()


def test_stop_ends_it(site, page_as):
    page = page_as(User.objects.create_superuser("ada", "ada@studio.test", "secret"))
    page.goto("/admin/speedtest/lag")
    page.get_by_role("button", name="Measure the lag").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#verdict")).to_have_text("! look Stopped.")
