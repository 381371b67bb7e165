"""Each row of the table of checks, browser's column: provoked, named, and with the remedy.

"Speed test reference", section 8, rows 13 to 18, and the text for IT.
"""

import json
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from preferences.models import SitePreferences, User
from speedtest.models import SpeedTestRun
from tests.browser.test_speedtest_page import (
    SHORT,
    PageAs,
    open_page,
    start_and_wait,
    statuses,
)
from tests.functional.conftest import MAIN, Site
from tests.functional.tls import tls_server


@pytest.fixture(autouse=True)
def short_plan(settings) -> None:
    """Seconds instead of a minute and a half, where something is measured."""
    settings.SPEEDTEST_PLAN = SHORT


@pytest.fixture
def admin(db: None) -> User:
    """Somebody who may change Site Preferences."""
    return User.objects.create_superuser("ada", "ada@studio.test", "secret")


def quick(page_as: PageAs, admin: User, **options: object) -> Page:
    """The page with the quick test of "main" chosen."""
    return open_page(page_as, admin, "main", "Quick", **options)


def finding(page: Page, check: str, column: str = "browser") -> Locator:
    return page.locator(f'#{column}-findings [data-check="{check}"]')


def remedy(page: Page) -> str:
    """All documents that the result gives to paste."""
    return "\n".join(page.locator("#remedy pre").all_text_contents())


def deny_browsers(site: Site, action: str) -> None:
    """A bucket policy that refuses browsers what it allows the server, as one by address does."""
    statement = {
        "Effect": "Deny", "Principal": "*", "Action": action,
        "Resource": f"arn:aws:s3:::{MAIN}/*",
        "Condition": {"StringLike": {"aws:UserAgent": "Mozilla/*"}},
    }  # fmt: skip
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    site.emulator.s3(MAIN).put_bucket_policy(Bucket=MAIN, Policy=document)


@pytest.fixture(autouse=True)
def no_policy(site: Site) -> Any:
    """The bucket has no policy afterwards."""
    yield
    site.emulator.clear_faults()
    site.emulator.s3(MAIN).delete_bucket_policy(Bucket=MAIN)


def configure(site: Site, **fields: str) -> None:
    """Change fields of the configuration "main"."""
    configurations = json.loads(site.values["s3_configuration"])
    configurations["main"] |= fields
    site.prefer(s3_configuration=json.dumps(configurations))


# --- 7: the region, one click ---------------------------------------------------------------


def test_the_right_region_is_one_click_away(page_as: PageAs, site: Site, admin: User) -> None:
    configure(site, region="us-west-2")
    page = quick(page_as, admin)
    start_and_wait(page)
    expect(page.locator("#verdict")).to_contain_text(
        f"{MAIN} is in us-east-1; the configuration says us-west-2"
    )
    page.locator("#remedy").get_by_role("link", name="Use us-east-1 in Site Preferences").click()
    shown = json.loads(page.get_by_label("S3 Configuration").input_value())
    assert shown["main"]["region"] == "us-east-1"
    expect(page.locator("body")).to_contain_text("It is not saved yet")
    assert '"us-west-2"' in SitePreferences.objects.get().s3_configuration


# --- 13: the page itself --------------------------------------------------------------------


def test_the_sites_own_policy_that_blocks_the_bucket_is_named(
    page_as: PageAs, site: Site, admin: User
) -> None:
    page = page_as(admin)

    def replaced_by_a_proxy(route: Route) -> None:
        answer = route.fetch()
        headers = answer.headers | {"content-security-policy": "default-src 'self'"}
        route.fulfill(response=answer, headers=headers)

    page.route("**/admin/speedtest", replaced_by_a_proxy)
    page.goto("/admin/speedtest")
    page.get_by_role("radio", name="Quick").check()
    start_and_wait(page)
    host = site.emulator.endpoint_for(MAIN)
    expect(finding(page, "reach")).to_contain_text("own Content-Security-Policy blocks S3")
    expect(page.locator("#verdict")).to_contain_text("your browser is kept from the bucket")
    expect(page.locator("#remedy")).to_contain_text("a proxy in front of the site replaces")
    assert f"connect-src 'self' {host}" in remedy(page)
    assert "fail" not in statuses(page, "server").values()
    assert all("Content Security Policy" in one for one in page.problems)
    page.problems.clear()


def test_a_policy_on_the_workers_script_is_named(page_as: PageAs, site: Site, admin: User) -> None:
    """A Worker obeys the policy of its own script's answer, not the page's."""
    page = page_as(admin)

    def adds_a_policy(route: Route) -> None:
        answer = route.fetch()
        policy = {"content-security-policy": "connect-src 'self'"}
        route.fulfill(response=answer, headers=answer.headers | policy)

    page.route("**/speedtest/worker*.js", adds_a_policy)
    page.goto("/admin/speedtest")
    page.get_by_role("radio", name="Standard").check()
    start_and_wait(page)
    expect(finding(page, "reach")).to_contain_text(
        "But the Worker that measures does not get there"
    )
    expect(finding(page, "reach")).to_contain_text("worker.js carries a Content-Security-Policy")
    expect(finding(page, "reach")).to_contain_text(site.emulator.endpoint_for(MAIN))
    assert statuses(page, "browser")["get"] == "pass"
    page.problems.clear()


def test_a_hidden_tab_is_told(page_as: PageAs, site: Site, admin: User) -> None:
    page = page_as(admin)
    page.add_init_script(
        "Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' })"
    )
    page.goto("/admin/speedtest")
    page.get_by_role("radio", name="Quick").check()
    start_and_wait(page)
    expect(finding(page, "context")).to_contain_text("The tab is hidden")


def test_a_page_without_https_is_told_and_compares_the_bytes_themselves(
    page_as: PageAs, site: Site, admin: User
) -> None:
    page = page_as(admin)
    page.add_init_script(
        "Object.defineProperty(window, 'isSecureContext', { get: () => false });"
        "Object.defineProperty(Crypto.prototype, 'subtle', { get: () => undefined });"
    )
    page.goto("/admin/speedtest")
    page.get_by_role("radio", name="Quick").check()
    start_and_wait(page)
    expect(finding(page, "context")).to_contain_text("not a secure context")
    expect(finding(page, "context")).to_contain_text("Serve the site over https")
    expect(finding(page, "readback")).to_contain_text("All bytes are the same")


# --- 14: the way to the bucket --------------------------------------------------------------


def test_a_name_that_nobody_can_look_up(page_as: PageAs, site: Site, admin: User) -> None:
    configure(site, endpoint_url="http://s3.nowhere.invalid:9000", addressing_style="path")
    page = quick(page_as, admin)
    start_and_wait(page)
    expect(finding(page, "reach")).to_contain_text(
        "Neither your browser nor this server can look up s3.nowhere.invalid:9000"
    )
    expect(finding(page, "reach")).to_contain_text("Route 53 inbound endpoint")
    expect(page.locator("#verdict")).to_contain_text("it is the endpoint's name")
    assert statuses(page, "browser")["get"] == "skip"


def test_a_certificate_that_nobody_trusts(page_as: PageAs, site: Site, admin: User) -> None:
    with tls_server("localhost", issuer="Zscaler Root CA") as origin:
        configure(site, endpoint_url=origin, addressing_style="path")
        page = quick(page_as, admin)
        start_and_wait(page)
    expect(finding(page, "reach")).to_contain_text("does not trust the certificate of localhost")
    expect(finding(page, "reach")).to_contain_text("Its issuer is “Zscaler Root CA”")
    expect(page.locator("#verdict")).to_contain_text("it is the way to the endpoint")


def test_a_port_where_nobody_listens(page_as: PageAs, site: Site, admin: User) -> None:
    page = quick(page_as, admin)
    site.emulator.faults(MAIN, refuse=True)
    start_and_wait(page)
    expect(finding(page, "reach")).to_contain_text("refuses connections")
    assert statuses(page, "server")["tls"] == "fail"


# --- 15 and 16: reading and writing ---------------------------------------------------------


def test_downloads_denied_to_browsers_only(page_as: PageAs, site: Site, admin: User) -> None:
    deny_browsers(site, "s3:GetObject*")
    page = quick(page_as, admin)
    start_and_wait(page)
    expect(finding(page, "get")).to_contain_text(
        "Your browser may not read from this bucket. This server may download, your browser may not"
    )
    expect(finding(page, "get")).to_contain_text("explicit deny in a resource-based policy")
    assert statuses(page, "browser")["put"] == "pass"
    expect(page.locator("#verdict")).to_contain_text(
        "The bucket and the site's rights are fine; your browser is kept from the bucket"
    )
    expect(page.locator("#remedy")).to_contain_text("add 127.0.0.1/32 to its NotIpAddress")
    statement = json.loads(page.locator("#remedy pre").first.text_content())
    assert statement["Resource"] == f"arn:aws:s3:::{MAIN}/shotmedia/*"
    assert statement["Condition"]["NotIpAddress"]["aws:SourceIp"] == ["127.0.0.1/32"]


def test_uploads_denied_to_browsers_only(page_as: PageAs, site: Site, admin: User) -> None:
    deny_browsers(site, "s3:PutObject")
    page = quick(page_as, admin)
    start_and_wait(page)
    expect(finding(page, "put")).to_contain_text(
        "This server may upload, your browser at 127.0.0.1/32 may not"
    )
    assert statuses(page, "browser")["get"] == "pass"
    assert statuses(page, "browser")["readback"] == "skip"


@pytest.mark.parametrize(("method", "check"), [("GET", "get"), ("PUT", "put")])
def test_a_refusal_that_the_browser_may_not_read_is_replayed(
    page_as: PageAs, site: Site, admin: User, method: str, check: str
) -> None:
    words = {"methods": [method], "key": "/browser/"}
    site.emulator.faults(MAIN, status=403, message="Denied by the studio.", **words)
    site.emulator.faults(MAIN, hide_cors=True, **words)
    page = quick(page_as, admin)
    start_and_wait(page)
    expect(finding(page, check)).to_contain_text("S3 said 403 AccessDenied: Denied by the studio")
    expect(finding(page, check)).to_contain_text("S3 request id")
    found = {one["check"]: one for one in SpeedTestRun.objects.get().browser_findings}[check]
    assert [one["by"] for one in found["requests"]][:2] == ["browser", "server"]
    assert found["requests"][1]["request_id"] == found["request_id"]


def test_a_proxy_that_refuses_the_body_early(page_as: PageAs, site: Site, admin: User) -> None:
    site.emulator.faults(
        MAIN, status=413, code="EntityTooLarge", methods=["PUT"], key="/browser/put-1k"
    )
    page = quick(page_as, admin)
    start_and_wait(page)
    expect(finding(page, "put")).to_contain_text("refuses bodies of this size")
    expect(finding(page, "put")).to_contain_text("raise the limit of the proxy")


def test_cors_for_another_origin(page_as: PageAs, site: Site, admin: User, live_server) -> None:
    page = quick(page_as, admin)
    site.emulator.set_cors(
        MAIN, [{"AllowedOrigins": ["https://elsewhere.example"], "AllowedMethods": ["GET", "PUT"]}]
    )
    start_and_wait(page)
    for check in ("get", "put"):
        expect(finding(page, check)).to_contain_text(
            f"none for this site's origin {live_server.url}"
        )
    assert json.loads(page.locator("#remedy pre").nth(1).text_content())["CORSRules"][0][
        "AllowedOrigins"
    ] == [live_server.url]
    expect(page.locator("#remedy")).to_contain_text(f"aws s3api put-bucket-cors --bucket {MAIN}")


def test_a_preflight_that_is_redirected(page_as: PageAs, site: Site, admin: User) -> None:
    site.emulator.faults(
        MAIN, status=307, code="TemporaryRedirect", methods=["OPTIONS"],
        headers={"x-amz-bucket-region": "eu-west-1"},
    )  # fmt: skip
    page = quick(page_as, admin)
    start_and_wait(page)
    expect(finding(page, "put")).to_contain_text("which a preflight may not follow")
    assert '"region": "eu-west-1"' in remedy(page)


# --- 17 and 18: the same bytes, and headers -------------------------------------------------


@pytest.mark.parametrize(
    ("key", "check"), [("/browser/get-1k", "get"), ("/browser/put-1k", "readback")]
)
def test_bytes_that_change_on_the_way(
    page_as: PageAs, site: Site, admin: User, key: str, check: str
) -> None:
    site.emulator.faults(MAIN, corrupt=True, methods=["GET"], key=key)
    page = quick(page_as, admin)
    start_and_wait(page)
    expect(finding(page, check)).to_contain_text("Bytes changed on the way")
    expect(finding(page, check)).to_contain_text("Exempt 127.0.0.1")
    expect(page.locator("#verdict")).to_contain_text("your browser is kept from the bucket")


@pytest.mark.parametrize(
    ("exposed", "check", "words"),
    [
        ("Content-Range", "multipart", "may not read its ETag"),
        ("ETag", "range", "may not read Content-Range"),
    ],
)
def test_headers_that_the_page_may_not_read(
    page_as: PageAs, site: Site, admin: User, live_server, exposed: str, check: str, words: str
) -> None:
    page = quick(page_as, admin)
    site.emulator.set_cors(
        MAIN,
        [{"AllowedOrigins": [live_server.url], "AllowedMethods": ["GET", "HEAD", "PUT"],
          "AllowedHeaders": ["*"], "ExposeHeaders": [exposed]}],
    )  # fmt: skip
    start_and_wait(page)
    expect(finding(page, check)).to_contain_text(words)
    texts = "\n".join(finding(page, check).locator("pre").all_text_contents())
    assert live_server.url in texts
    assert '"Content-Range"' in texts


# --- The text for IT ------------------------------------------------------------------------


def test_the_text_for_it_is_copied_by_keyboard(page_as: PageAs, site: Site, admin: User) -> None:
    page = quick(page_as, admin)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    site.emulator.set_cors(MAIN, [])
    start_and_wait(page)
    button = page.get_by_role("button", name="Copy for IT")
    button.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#report")).to_contain_text("Copied")
    expect(page.locator("#live")).to_contain_text("Copied")
    text = page.evaluate("navigator.clipboard.readText()")
    assert text == page.locator("#report-text").input_value()
    run = SpeedTestRun.objects.get()
    assert f"{run.pk}" in text
    assert "CORS for this site (from this server): failed" in text
    assert "Upload 1 KiB (from the browser): failed" in text
    assert "Sent by the browser" in text
    assert "X-Amz-Signature=REDACTED" in text
    assert (
        page.get_by_role("link", name="Open as text")
        .get_attribute("href")
        .endswith(f"/runs/{run.pk}/report.txt")
    )


def test_without_a_clipboard_the_text_is_selected(page_as: PageAs, site: Site, admin: User) -> None:
    page = page_as(admin)
    page.add_init_script("delete Navigator.prototype.clipboard")
    page.goto("/admin/speedtest")
    page.get_by_role("radio", name="Quick").check()
    start_and_wait(page)
    page.get_by_role("button", name="Copy for IT").click()
    expect(page.locator("#report")).to_contain_text("Selected: press Ctrl+C")
    chosen = page.evaluate(
        "(() => { const box = document.activeElement;"
        " return box.value.slice(box.selectionStart, box.selectionEnd); })()"
    )
    assert chosen == page.locator("#report-text").input_value()
