"""The whole speed test in Chromium, against the embedded S3."""

import itertools
import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from preferences.models import User
from shotmedia.s3.probe_documents import cors_rules
from speedtest.figures import GRADES
from speedtest.models import SpeedTestRun
from tests.browser.conftest import press_enter
from tests.functional.conftest import MAIN, SYDNEY, Site

SHORT = {
    "seed_bytes": 4 << 20,
    "cap_bytes": 60_000_000,
    "idle_requests": 4,
    "idle_dropped": 1,
    "pause_ms": 0,
    "upload": {"warm_ms": 200, "min_ms": 500, "max_ms": 1500},
    "download": {"warm_ms": 200, "min_ms": 500, "max_ms": 1500},
    "single": {"warm_ms": 100, "min_ms": 400, "max_ms": 600},
    "most_size": 2 << 20,
    "probe_ms": 100,
    "files": {"ms": 500, "most": 40},
}
LONG = {
    "upload": {"warm_ms": 200, "min_ms": 600_000, "max_ms": 600_000},
    "cap_bytes": 1_000_000_000,
    # Too large for the sockets' buffers: what is cut off was never sent as a whole.
    "first_size": 32 << 20,
    "least_size": 32 << 20,
    "most_size": 32 << 20,
}
SLOW = {"rate_mb_s": 3, "methods": ["PUT"], "key": "/browser/up-"}
"""With it the upload of LONG takes longer than any test."""

PageAs = Callable[..., Page]


@pytest.fixture(autouse=True)
def short_plan(settings) -> None:
    """Seconds instead of a minute and a half."""
    settings.SPEEDTEST_PLAN = SHORT


@pytest.fixture
def admin(db: None) -> User:
    """Somebody who may change Site Preferences."""
    return User.objects.create_superuser("ada", "ada@studio.test", "secret")


def open_page(page_as: PageAs, user: User, name: str, mode: str, **options: object) -> Page:
    """The page with a configuration and a test chosen."""
    page = page_as(user, **options)
    choose(page, name, mode)
    return page


def choose(page: Page, name: str, mode: str) -> None:
    """Open the page and choose."""
    page.goto("/admin/speedtest")
    page.get_by_label("Configuration").select_option(name)
    page.get_by_role("radio", name=mode).check()


def start_and_wait(page: Page) -> None:
    """Start the test and wait for its result."""
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("#verdict")).to_be_visible(timeout=60_000)


def statuses(page: Page, column: str) -> dict[str, str]:
    """The status of each finding of a column."""
    return page.eval_on_selector_all(
        f"#{column}-findings > .st-finding",
        "items => Object.fromEntries(items.map(item => "
        "[item.dataset.check, item.className.split(' ')[1]]))",
    )


def unfinished(site: Site, bucket: str) -> list[str]:
    """The keys of the speed test's uploads in parts that were not ended."""
    uploads = site.emulator.s3(bucket).list_multipart_uploads(
        Bucket=bucket, Prefix="shotmedia/.speedtest/"
    )
    return [one["Key"] for one in uploads.get("Uploads", ())]


def stored(site: Site, bucket: str) -> list[str]:
    """The keys of a bucket, old versions and delete markers included."""
    answer = site.emulator.s3(bucket).list_object_versions(Bucket=bucket)
    return [one["Key"] for kind in ("Versions", "DeleteMarkers") for one in answer.get(kind, ())]


def test_a_replica_that_browsers_may_only_read_from_passes(
    page_as: PageAs, site: Site, admin: User, live_server
) -> None:
    page = open_page(page_as, admin, "sydney", "Standard")
    site.emulator.set_cors(SYDNEY, cors_rules(live_server.url, download_only=True))
    start_and_wait(page)
    expect(page.locator("#verdict")).to_contain_text("Everything works")
    assert statuses(page, "browser")["put"] == "skip"
    expect(page.locator("#notes")).to_contain_text("this replica is only read from")
    assert SpeedTestRun.objects.get().figures["download"]["mbps"] > 0


@pytest.mark.parametrize(("name", "bucket"), [("main", MAIN), ("sydney", SYDNEY)])
def test_it_runs_to_its_end(
    page_as: PageAs, site: Site, admin: User, name: str, bucket: str
) -> None:
    # Slow enough for a phase to last its second.
    site.emulator.faults(bucket, rate_mb_s=20, methods=["GET", "PUT"], key="/.speedtest/")
    page = open_page(page_as, admin, name, "Standard")
    start_and_wait(page)

    expect(page.locator("#verdict")).to_contain_text("Everything works")
    assert set(statuses(page, "browser").values()) == {"pass"}
    assert "fail" not in statuses(page, "server").values()
    assert set(statuses(page, "cleanup").values()) == {"pass"}
    assert page.evaluate("document.activeElement.id") == "verdict"

    run = SpeedTestRun.objects.get()
    assert (run.state, run.configuration, run.user) == ("done", name, admin)
    assert run.address == "127.0.0.1"
    assert len(run.server_findings) == 16
    for direction in ("upload", "download"):
        assert run.figures[direction]["mbps"] > 0
        assert run.figures[direction]["streams"] == 4
        assert run.figures[f"{direction}_single"]["mbps"] > 0
        assert run.figures[direction]["loaded_median_ms"] > 0
        assert run.figures[direction]["grade"] in GRADES
        assert len(run.figures[direction]["rates"]) >= 1
    assert run.figures["idle_median_ms"] > 0
    for kind in ("small_put", "small_get"):
        assert run.figures[kind]["files_per_s"] > 0
        assert run.figures[kind]["p50_ms"] <= run.figures[kind]["p95_ms"]
    assert run.figures["multipart"]["ok"] == run.figures["multipart"]["broken_off"] == 1
    assert run.figures["resume"]["ok"] == 1
    assert "hidden" not in run.figures["flags"]
    expect(page.locator("#afterwards")).to_contain_text("A 2 GB plate")
    expect(page.locator("#afterwards")).to_contain_text("no earlier test in 30 days")
    page_of_result = page.get_by_role("link", name="This result's page").get_attribute("href")
    assert page_of_result == f"/admin/speedtest/results/{run.pk}/"
    history = page.locator("#history tbody tr").first
    expect(history).to_contain_text(name)
    expect(history).to_contain_text("Mbit/s")
    # What the figures claim to have moved is what S3 received and acknowledged.
    received = sum(
        record.received
        for record in site.emulator.log
        if record.bucket == bucket and record.status == 200 and "/browser/up-" in record.key
        and str(run.pk) in record.key
    )  # fmt: skip
    claimed = run.figures["upload"]["bytes"] + run.figures["upload_single"]["bytes"]
    assert claimed == received
    small = [
        record for record in site.emulator.log
        if "/browser/small-" in record.key and str(run.pk) in record.key
    ]  # fmt: skip
    whole = [one for one in small if one.method == "PUT" and one.status == 200]
    assert run.figures["small_put"]["files"] == len(whole)
    # A new link each: the browser has to ask before every one.
    assert sum(one.method == "OPTIONS" for one in small) >= len(whole)
    assert unfinished(site, bucket) == []
    expect(page.locator("#chart path").first).to_be_attached()
    page.get_by_text("The chart as a table").click()
    expect(page.locator("#data-table tbody tr").first).to_contain_text("Upload")
    assert page.locator(".st-phase.done").count() == 9
    assert [key for key in stored(site, bucket) if "/runs/" in key] == []
    assert [key for key in stored(site, bucket) if "/seed-" in key] != []


def test_without_cors_it_says_so_and_gives_the_rules(
    page_as: PageAs, site: Site, admin: User, live_server
) -> None:
    page = open_page(page_as, admin, "main", "Standard")
    site.emulator.set_cors(MAIN, [])
    start_and_wait(page)

    verdict = page.locator("#verdict")
    expect(verdict).to_contain_text(f"The bucket {MAIN} has no CORS rules")
    assert statuses(page, "server")["cors"] == "fail"
    browser = statuses(page, "browser")
    assert (browser["reach"], browser["get"], browser["put"]) == ("pass", "fail", "fail")
    expect(page.locator('#browser-findings [data-check="put"]')).to_contain_text("no CORS rules")
    expect(page.locator("#remedy")).to_contain_text("paste the rules below")
    document = page.locator("#remedy pre").first
    expect(document).to_be_visible()
    rules = json.loads(document.text_content())
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#remedy").get_by_role("button", name="Copy").first.click()
    expect(page.locator("#remedy")).to_contain_text("Copied")
    assert json.loads(page.evaluate("navigator.clipboard.readText()")) == rules
    assert rules[0]["AllowedOrigins"] == [live_server.url]
    assert rules[0]["AllowedMethods"] == ["GET", "HEAD", "PUT"]
    expect(page.locator("#notes")).to_contain_text("Speed was not measured")

    # The rules that the page gives are the remedy.
    site.emulator.set_cors(MAIN, rules)
    start_and_wait(page)
    expect(verdict).to_contain_text("Everything works", timeout=60_000)


def test_cors_without_put_measures_the_download(
    page_as: PageAs, site: Site, admin: User, live_server
) -> None:
    page = open_page(page_as, admin, "main", "Standard")
    site.emulator.set_cors(
        MAIN,
        [{"AllowedOrigins": [live_server.url], "AllowedMethods": ["GET", "HEAD"],
          "ExposeHeaders": ["ETag", "Content-Range"]}],
    )  # fmt: skip
    start_and_wait(page)
    expect(page.locator("#verdict")).to_contain_text("but not PUT")
    figures = SpeedTestRun.objects.get().figures
    assert figures["download"]["mbps"] > 0
    assert "upload" not in figures


def test_unreadable_etag_is_named(page_as: PageAs, site: Site, admin: User, live_server) -> None:
    page = open_page(page_as, admin, "main", "Quick")
    site.emulator.set_cors(
        MAIN,
        [{"AllowedOrigins": [live_server.url], "AllowedMethods": ["GET", "HEAD", "PUT"],
          "AllowedHeaders": ["*"], "ExposeHeaders": ["Content-Range"]}],
    )  # fmt: skip
    start_and_wait(page)
    finding = page.locator('#browser-findings [data-check="multipart"]')
    expect(finding).to_contain_text("may not read its ETag")
    expect(finding).to_contain_text("ExposeHeaders")
    assert statuses(page, "server")["exposed"] == "fail"


def test_a_denied_download_is_explained(page_as: PageAs, site: Site, admin: User) -> None:
    page = open_page(page_as, admin, "main", "Quick")
    site.emulator.faults(MAIN, status=403, methods=["GET"], key="/browser/")
    start_and_wait(page)
    finding = page.locator('#browser-findings [data-check="get"]')
    expect(finding).to_contain_text("403 AccessDenied")
    expect(page.locator("#verdict")).to_contain_text("your browser is kept from the bucket")


def test_start_and_stop_from_the_keyboard_clean_up(
    page_as: PageAs, site: Site, admin: User, settings
) -> None:
    settings.SPEEDTEST_PLAN = SHORT | LONG
    site.emulator.faults(MAIN, **SLOW)
    page = open_page(page_as, admin, "main", "Standard")
    press_enter(page.get_by_role("button", name="Start", exact=True))
    expect(page.locator("#phase")).to_contain_text("Upload", timeout=30_000)
    expect(page.locator("#gauge")).to_contain_text("Mbit/s", timeout=30_000)
    bar = page.get_by_role("progressbar")
    expect(bar).to_have_attribute("aria-valuetext", re.compile("Upload"))
    assert 0 < int(bar.get_attribute("aria-valuenow")) < 100
    assert page.evaluate("document.activeElement.id") == "stop"
    page.keyboard.press("Enter")
    expect(page.locator("#verdict")).to_contain_text("stopped", timeout=30_000)
    assert SpeedTestRun.objects.get().state == "stopped"
    assert [key for key in stored(site, MAIN) if "/runs/" in key] == []
    assert unfinished(site, MAIN) == []


@pytest.mark.parametrize("way", ["another page", "closed tab"])
def test_leaving_the_page_ends_the_test(
    page_as: PageAs, site: Site, admin: User, settings, way: str
) -> None:
    settings.SPEEDTEST_PLAN = SHORT | LONG
    site.emulator.faults(MAIN, **SLOW)
    page = open_page(page_as, admin, "main", "Standard")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("#gauge")).to_contain_text("Mbit/s", timeout=30_000)
    if way == "closed tab":
        context = page.context
        page.close(run_before_unload=True)
        page = context.new_page()
    else:
        page.goto("/account/")
    # The beacon is on its own way; the page lists the test when it has arrived and was handled.
    page.goto("/admin/speedtest")
    for _ in range(400):
        if page.locator("#history tbody tr").count():
            break
        page.reload()
    expect(page.locator("#history tbody tr").first).to_contain_text("The page was closed")
    run = SpeedTestRun.objects.get()
    assert run.state == "left"
    # What was measured before is kept.
    assert run.figures["idle_median_ms"] > 0
    assert "upload" not in run.figures
    assert unfinished(site, MAIN) == []
    site.emulator.clear_faults()
    # What was stored while the page was closing is removed by the next test at the latest.
    settings.SPEEDTEST_PLAN = SHORT
    page.get_by_role("radio", name="Quick").check()
    start_and_wait(page)
    assert [key for key in stored(site, MAIN) if "/runs/" in key] == []


@pytest.mark.parametrize(
    ("status", "code", "limit"), [(413, "EntityTooLarge", "413"), (403, "", "403 AccessDenied")]
)
def test_an_early_refusal_is_a_failure_and_never_a_speed(
    page_as: PageAs, site: Site, admin: User, status: int, code: str, limit: str
) -> None:
    site.emulator.faults(MAIN, status=status, code=code, methods=["PUT"], key="/browser/up-")
    page = open_page(page_as, admin, "main", "Standard")
    start_and_wait(page)
    figures = SpeedTestRun.objects.get().figures
    assert "upload" not in figures
    assert "upload_single" not in figures
    assert figures["download"]["mbps"] > 0
    assert statuses(page, "browser")["measure"] == "fail"
    verdict = page.locator("#verdict")
    expect(verdict).to_contain_text("✕ fail")
    expect(verdict).to_contain_text(limit)
    expect(page.locator("#notes .trouble")).to_contain_text("Upload, several at once was not meas")
    expect(page.locator(".st-figure.upload")).to_have_count(0)
    assert page.locator('.st-phase[data-phase="upload"]').get_attribute("class").endswith("failed")


def test_a_refused_test_file_is_no_download_speed(page_as: PageAs, site: Site, admin: User) -> None:
    site.emulator.faults(MAIN, status=403, methods=["GET"], key="/seed-")
    page = open_page(page_as, admin, "main", "Standard")
    start_and_wait(page)
    figures = SpeedTestRun.objects.get().figures
    assert not {"download", "download_single", "small_get", "idle_median_ms"} & set(figures)
    assert figures["upload"]["mbps"] > 0
    expect(page.locator("#notes .trouble").first).to_contain_text("403 AccessDenied")


@pytest.mark.parametrize("page_name", ["", "/server", "/compare", "/lag"])
def test_nothing_is_sent_before_the_script_is_there(
    page_as: PageAs, site: Site, admin: User, page_name: str
) -> None:
    page = page_as(admin)
    page.route("**/*.js", lambda route: route.abort())
    address = f"/admin/speedtest{page_name}"
    page.goto(address)
    start = page.locator("#start")
    expect(start).to_be_disabled()
    start.click(force=True)
    assert page.url.endswith(address)
    page.unroute_all()
    page.reload()
    expect(start).to_be_enabled()


def test_a_hidden_tab_and_a_lost_network_are_flagged(
    page_as: PageAs, site: Site, admin: User
) -> None:
    page = open_page(page_as, admin, "main", "Standard")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator(".st-phase.run")).to_be_visible(timeout=30_000)
    # Chromium without a window never hides a tab; the page is told as a browser would.
    page.evaluate(
        """() => {
            Object.defineProperty(document, "hidden", {get: () => true, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
            delete document.hidden;
            dispatchEvent(new Event("offline"));
        }"""
    )
    expect(page.locator("#verdict")).to_be_visible(timeout=60_000)
    expect(page.locator("#notes")).to_contain_text("The tab was hidden for a while")
    expect(page.locator("#notes")).to_contain_text("The browser lost its network")
    # A fast machine adds browser_bound of its own accord.
    assert {"hidden", "offline"} <= set(SpeedTestRun.objects.get().figures["flags"])


def test_the_live_region_speaks_once_in_five_seconds_at_most(
    page_as: PageAs, site: Site, admin: User
) -> None:
    page = open_page(page_as, admin, "main", "Standard")
    page.evaluate(
        """() => {
            window.spoken = [];
            const live = document.getElementById("live");
            new MutationObserver(() => {
                spoken.push(performance.now());
                live.dataset.spoken = spoken.length;
            }).observe(live, {childList: true});
        }"""
    )
    start_and_wait(page)
    expect(page.locator("#live")).to_have_attribute("data-spoken", re.compile("[2-9]"))
    spoken = page.evaluate("spoken")
    gaps = [later - earlier for earlier, later in itertools.pairwise(spoken)]
    # Timers of a browser may be a few milliseconds early.
    assert min(gaps) >= 4950
    assert page.locator("[aria-live]").count() == 1


def test_nothing_moves_for_those_who_asked_for_it(
    page_as: PageAs, site: Site, admin: User, settings
) -> None:
    settings.SPEEDTEST_PLAN = SHORT | LONG
    site.emulator.faults(MAIN, **SLOW)
    page = open_page(page_as, admin, "main", "Standard", reduced_motion="reduce")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator(".st-phase.run .st-icon")).to_have_text("●", timeout=30_000)
    moving = page.evaluate("document.getAnimations().length")
    assert moving == 0
    duration = page.eval_on_selector("#bar-fill", "e => getComputedStyle(e).transitionDuration")
    assert duration == "0s"
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#verdict")).to_be_visible(timeout=30_000)


def page_with_a_long_test(page_as: PageAs, site: Site, admin: User, settings) -> Page:
    """A page whose test has begun to upload, and does so for longer than any test."""
    settings.SPEEDTEST_PLAN = SHORT | LONG
    site.emulator.faults(MAIN, **SLOW)
    page = open_page(page_as, admin, "main", "Standard")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("#gauge")).to_contain_text("Mbit/s", timeout=30_000)
    return page


def test_a_second_tab_is_told_and_may_take_over(
    page_as: PageAs, site: Site, admin: User, settings
) -> None:
    first = page_with_a_long_test(page_as, site, admin, settings)
    settings.SPEEDTEST_PLAN = SHORT
    second = first.context.new_page()
    choose(second, "main", "Quick")
    second.get_by_role("button", name="Start", exact=True).click()
    expect(second.locator("#problem")).to_contain_text("running since")
    second.get_by_role("button", name="End that test").click()
    expect(second.locator("#verdict")).to_contain_text("Everything works", timeout=60_000)
    assert set(SpeedTestRun.objects.values_list("state", flat=True)) == {"left", "done"}
    expect(first.locator("#problem")).to_contain_text("ended from another tab")
    expect(first.locator("#start")).to_be_visible()


def test_the_first_tab_stops_as_soon_as_the_second_has_begun(
    page_as: PageAs, site: Site, admin: User, settings
) -> None:
    first = page_with_a_long_test(page_as, site, admin, settings)
    second = first.context.new_page()
    choose(second, "main", "Standard")
    second.get_by_role("button", name="Start", exact=True).click()
    second.get_by_role("button", name="End that test").click()
    # The second one runs for ten minutes: nobody waits for its end.
    expect(first.locator("#problem")).to_contain_text("ended from another tab")
    expect(second.locator("#gauge")).to_contain_text("Mbit/s", timeout=30_000)
    second.get_by_role("button", name="Stop").click()
    expect(second.locator("#verdict")).to_contain_text("stopped")
    assert [key for key in stored(site, MAIN) if "/runs/" in key] == []


def test_a_stop_while_the_test_begins_is_heard(page_as: PageAs, site: Site, admin: User) -> None:
    page = open_page(page_as, admin, "main", "Standard")
    # Pressed while the site is asked to begin, as the first thing that it hears of the test.
    page.evaluate(
        """() => {
            const asked = fetch;
            window.fetch = (url, ...more) => {
                if (url.endsWith("/runs")) document.getElementById("stop").click();
                return asked(url, ...more);
            };
        }"""
    )
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("#verdict")).to_contain_text("stopped")
    assert SpeedTestRun.objects.get().state == "stopped"


def test_a_session_that_ends_meanwhile_loses_no_result(
    page_as: PageAs, site: Site, admin: User, settings
) -> None:
    settings.SPEEDTEST_PLAN = SHORT | LONG
    site.emulator.faults(MAIN, **SLOW)
    page = open_page(page_as, admin, "main", "Standard")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("#gauge")).to_contain_text("Mbit/s", timeout=30_000)
    page.context.clear_cookies(name=settings.SESSION_COOKIE_NAME)
    page.get_by_role("button", name="Stop").click()
    problem = page.locator("#problem")
    expect(problem).to_contain_text("You are no longer logged in. Log in again in another tab")
    expect(page.locator("#verdict")).to_contain_text("not stored yet")
    again = page.get_by_role("button", name="Clean up and store the result")
    expect(again).to_be_focused()
    assert SpeedTestRun.objects.get().state == "running"
    other = page.context.new_page()
    other.goto("/login/")
    other.get_by_label("Username").fill("ada")
    other.get_by_label("Password").fill("secret")
    other.keyboard.press("Enter")
    other.wait_for_url(lambda url: "/login/" not in url)
    again.click()
    expect(page.locator("#verdict")).to_contain_text("The test was stopped before its end")
    expect(problem).to_be_empty()
    run = SpeedTestRun.objects.get()
    assert run.state == "stopped"
    assert run.figures["idle_median_ms"] > 0
    assert [key for key in stored(site, MAIN) if "/runs/" in key] == []


def test_a_page_that_comes_back_begins_anew(page_as: PageAs, site: Site, admin: User) -> None:
    page = open_page(page_as, admin, "main", "Quick")
    page.evaluate("window.before = true")
    with page.expect_navigation():
        page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
    assert page.evaluate("window.before") is None


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(
    page_as: PageAs, site: Site, admin: User, width: int
) -> None:
    page = open_page(page_as, admin, "main", "Quick", viewport={"width": width, "height": 800})
    site.emulator.set_cors(MAIN, [])
    start_and_wait(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
