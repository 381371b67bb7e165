"""Site Preferences, People and the account page in Chromium."""

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Dialog, Page, expect

from preferences.models import SitePreferences, User
from preferences.saving import save_preferences

# As on the Media Replication page, with values filled in, and as a browser copies it.
PASTED = """{
   "main": {
     "region": "us-east-1",
     "bucket": "studio-main",
     "prefix": "shotmedia",
     "aws_role_arn": "arn:aws:iam::111122223333:role/media",
     "s3_interface_vpc_endpoint_dns_name": ""
   },
   "sydney": {
     "region": "ap-southeast-2",
     "bucket": "studio-sydney",
     "prefix": "shotmedia",
     "aws_role_arn": "arn:aws:iam::111122223333:role/media",
     "s3_interface_vpc_endpoint_dns_name": ""
   },
}""".replace("  ", "\u200b ")


HISTORY = "/admin/preferences/sitepreferences/1/history/"


@pytest.fixture
def admin(db) -> User:
    return User.objects.create_superuser("rhea", "rhea@example.com", "pw")


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def tab_to(page: Page, target: str) -> None:
    """Press Tab until the element with the id `target` has the focus."""
    for _ in range(60):
        if page.evaluate("document.activeElement.id") == target:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach {target}")


def test_an_admin_corrects_and_saves_with_the_keyboard(page_as: Callable[..., Page], admin: User):
    page = page_as(admin, color_scheme="dark")
    page.goto("/preferences")
    expect(page).to_have_title("Site Preferences | Shotmedia")
    tab_to(page, "id_s3_configuration")
    press(page, "Control+a")
    page.keyboard.insert_text(PASTED.replace('"ap-southeast-2",', '"ap-southeast-2"'))
    tab_to(page, "id_s3_replication_delay")
    press(page, "Control+a")
    page.keyboard.type("90")
    press(page, "Enter")

    expect(page).to_have_title("Error: Site Preferences | Shotmedia")
    summary = page.locator("#error-summary")
    expect(summary).to_be_focused()
    expect(summary).to_contain_text(
        "Line 10, column 32: a comma is missing after the previous entry."
    )
    press(page, "Tab", "Enter")
    configuration = page.locator("#id_s3_configuration")
    expect(configuration).to_be_focused()
    place = configuration.evaluate("field => field.value.slice(0, field.selectionStart)")
    assert place.endswith('"ap-southeast-2"')
    page.keyboard.type(",")
    tab_to(page, "id_s3_replication_delay")
    press(page, "Enter")

    expect(page.locator(".messagelist")).to_contain_text("Site Preferences were saved")
    expect(page.locator(".messagelist")).to_contain_text(
        "S3 Configuration: a comma after the last entry was removed."
    )
    expect(page.locator(".messagelist")).to_contain_text("invisible characters")
    row = SitePreferences.objects.get()
    assert row.s3_replication_delay == 90
    assert json.loads(row.s3_configuration)["sydney"]["region"] == "ap-southeast-2"
    assert "\u200b" not in row.s3_configuration


def test_pasted_text_saves_and_its_names_are_offered_at_once(
    page_as: Callable[..., Page], admin: User
):
    page = page_as(admin)
    page.goto("/preferences")
    page.fill("#id_s3_configuration", PASTED.replace("sydney", "harbour"))
    page.focus("#id_s3_bucket_for_replication")
    options = page.locator("#configuration-names option")
    assert [option.get_attribute("value") for option in options.all()] == ["main", "harbour"]
    page.fill("#id_s3_bucket_for_replication", "harbour")
    page.click("text=Save changes")
    expect(page.locator(".last-changed")).to_contain_text("Last changed by rhea")
    assert SitePreferences.objects.get().s3_bucket_for_replication == "harbour"


def test_two_admins_at_once_lose_nothing(page_as: Callable[..., Page], admin: User):
    mia = User.objects.create_user("mia")
    page = page_as(admin)
    page.goto("/preferences")
    save_preferences({"s3_replication_delay": 75}, SitePreferences.objects.get().version, mia)
    page.fill("#id_s3_replication_delay", "120")
    page.fill("#id_s3_replication_ip_addresses", "10.99.0.0/16\n")
    page.click("text=Save changes")
    expect(page.locator("#error-summary")).to_be_focused()
    expect(page.locator("#error-summary")).to_contain_text("were changed by mia at")
    expect(page.locator(".field-s3_replication_delay .theirs")).to_contain_text("75")
    expect(page.locator(".field-storage_location .theirs")).to_have_count(0)
    expect(page.locator("#id_s3_replication_ip_addresses")).to_have_value("10.99.0.0/16\n")
    assert SitePreferences.objects.get().s3_replication_delay == 75
    page.click("text=Save mine anyway")  # and is not asked whether to leave
    expect(page.locator(".messagelist")).to_contain_text("Site Preferences were saved")
    assert SitePreferences.objects.get().s3_replication_delay == 120


def test_leaving_asks_before_typed_text_is_lost(page_as: Callable[..., Page], admin: User):
    page, asked = page_as(admin), []
    history = page.get_by_role("link", name="History")
    delay = page.get_by_label("S3 Replication Delay")

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page.on("dialog", stay)
    page.goto("/preferences")
    # The second time on the page that names the error.
    for typed, answer in (("soon", "#error-summary"), ("120", ".messagelist")):
        delay.click()
        press(page, "Control+a")
        page.keyboard.type(typed)
        with page.expect_event("dialog"):
            history.click(no_wait_after=True)
        expect(delay).to_have_value(typed)
        page.click("text=Save changes")
        expect(page.locator(answer)).to_be_visible()
    assert asked == ["beforeunload"] * 2
    # Nothing to lose: what is tried is not saved anyway.
    page.get_by_label("Media uploaded").click()
    page.keyboard.type("7")
    history.click()
    page.wait_for_url(f"**{HISTORY}")
    assert asked == ["beforeunload"] * 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_narrow_phone(page_as: Callable[..., Page], admin: User, scheme: str):
    page = page_as(admin, viewport={"width": 320, "height": 640}, color_scheme=scheme)
    version = SitePreferences.objects.get().version
    save_preferences({"storage_location": "x" * 90}, version, admin)
    for url in ("/preferences", HISTORY, "/admin/", "/account/"):
        page.goto(url)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 320, url
    page.goto("/preferences")
    page.fill("#id_s3_configuration", '{"' + "x" * 90 + '": {}}')
    page.click("text=Save changes")
    expect(page.locator("#error-summary")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_both_schemes(page_as: Callable[..., Page], admin: User, scheme: str):
    page = page_as(admin, color_scheme=scheme)
    page.goto("/preferences")
    page.fill("#id_s3_replication_delay", "5")
    page.click("text=Save changes")
    for selector in (".preference .help", ".preference .warnings", ".category h2", "#breadcrumbs"):
        for text in page.locator(selector).all():
            assert text.evaluate(CONTRAST) >= 4.5, selector


# The contrast of an element's text against the first opaque background behind it (WCAG 2.2).
CONTRAST = """element => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((part) => {
    const value = part / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  }).reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  let behind = element;
  let back = [255, 255, 255];
  for (; behind; behind = behind.parentElement) {
    const color = parse(getComputedStyle(behind).backgroundColor);
    if (color.length === 3 || color[3] === 1) { back = color; break; }
  }
  const pair = [luminance(parse(getComputedStyle(element).color)), luminance(back)];
  return (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
}"""


def test_a_person_chooses_with_the_arrow_keys(page_as: Callable[..., Page], db):
    artist = User.objects.create_user("artist")
    page = page_as(artist)
    page.goto("/account/")
    expect(page.locator("main")).to_contain_text("You are seen as 127.0.0.1")
    page.focus("input[value=no]")
    press(page, "ArrowDown", "ArrowDown")
    expect(page.locator("input[value=auto]")).to_be_checked()
    press(page, "Enter")
    expect(page.locator(".message.success")).to_have_text("Use S3 Replication is now auto.")
    artist.refresh_from_db()
    assert artist.use_s3_replication == "auto"


def test_an_admin_sets_several_people_at_once(page_as: Callable[..., Page], admin: User):
    for name in ("ana", "ben", "cleo"):
        User.objects.create_user(name)
    page = page_as(admin)
    page.goto("/admin/preferences/user/")
    for name in ("ana", "cleo"):
        page.locator("tr", has_text=name).locator("input.action-select").check()
    page.select_option("select[name=action]", label="Set Use S3 Replication to auto")
    page.click("button[name=index]")
    expect(page.locator(".messagelist")).to_have_text(
        re.compile("Use S3 Replication was set to auto for 2 people.")
    )
    page.locator("tr", has_text="ben").locator("select").select_option("yes")
    page.click("input[name=_save]")
    expect(page.locator(".messagelist")).to_contain_text("1 user was changed successfully")
    modes = dict(User.objects.values_list("username", "use_s3_replication"))
    assert modes == {"rhea": "no", "ana": "auto", "ben": "yes", "cleo": "auto"}
