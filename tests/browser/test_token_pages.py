"""API tokens in Chromium: made, copied, used and revoked; also without a script and on a phone."""

import re

import pytest
import requests
from playwright.sync_api import expect

from preferences.models import ApiToken

PHONE = {"width": 320, "height": 640}


def make(page, name):
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Make a token").click()
    return page.get_by_label("API token").input_value()


def status(live_server, media_file, text):
    return requests.get(
        f"{live_server.url}/media/{media_file.pk}/download",
        headers={"Authorization": f"Bearer {text}"},
        allow_redirects=False,
        timeout=10,
    ).status_code


def test_a_person_makes_copies_uses_and_revokes_a_token(site, page_as, live_server):
    media_file = site.media_file()
    page = page_as(site.person(), permissions=["clipboard-read", "clipboard-write"])
    page.goto("/account/")
    page.get_by_role("link", name="Your API tokens").click()
    text = make(page, "render farm")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == text
    assert status(live_server, media_file, text) == 302

    page.get_by_role("link", name="Your API tokens").click()
    expect(page.get_by_text("render farm", exact=True)).to_be_visible()
    assert text not in page.content()
    page.get_by_text("Revoke…").click()
    page.get_by_role("button", name="Revoke “render farm”").click()
    expect(page.get_by_role("status")).to_contain_text("“render farm” was revoked")
    expect(page.locator(".badge")).to_have_text("revoked")
    assert status(live_server, media_file, text) == 401


def test_where_the_clipboard_is_refused_the_text_is_selected(site, page_as):
    page = page_as(site.person())
    page.add_init_script("navigator.clipboard.writeText = () => Promise.reject(new Error('no'))")
    page.goto("/account/tokens/")
    text = make(page, "render farm")
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("status")).to_contain_text("Selected")
    assert page.evaluate("getSelection().toString()") == text


def test_without_scripts_and_by_keyboard(site, page_as):
    page = page_as(site.person(), java_script_enabled=False)
    page.goto("/account/tokens/")
    page.get_by_label("Name").fill("render farm")
    page.keyboard.press("Enter")
    text = page.get_by_label("API token").input_value()
    assert re.fullmatch(r"shot_[0-9a-f]{16}_[0-9a-f]{64}", text)
    expect(page.get_by_role("button", name="Copy")).to_be_hidden()
    page.goto("/account/tokens/")
    page.get_by_text("Revoke…").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator(".badge")).to_have_text("revoked")


def test_going_back_and_reloading_make_no_second_token(site, page_as):
    page = page_as(site.person())
    page.goto("/account/tokens/")
    make(page, "render farm")
    page.reload()  # Chromium sends the form again
    expect(page.get_by_text("has a token of this name")).to_be_visible()
    assert ApiToken.objects.count() == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone(site, page_as, scheme):
    person = site.person(is_superuser=True, is_staff=True)
    page = page_as(person, viewport=PHONE, color_scheme=scheme)
    page.goto("/account/tokens/")
    assert _fits(page)
    make(page, "a-name-of-" + "many-" * 12 + "words")
    assert _fits(page)
    page.goto("/account/tokens/")
    page.get_by_text("Revoke…").click()
    assert _fits(page)
    page.goto("/admin/preferences/apitoken/add/")
    assert _fits(page)


def _fits(page):
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_an_admin_makes_a_token_for_somebody(site, page_as, live_server):
    site.person(username="rhea")
    media_file = site.media_file()
    page = page_as(site.person(username="boss", is_superuser=True, is_staff=True))
    page.goto("/admin/preferences/apitoken/add/")
    page.locator(".select2-selection").click()
    page.locator(".select2-search__field").fill("rhea")
    page.locator(".select2-results__option", has_text="rhea").click()
    page.get_by_label("Name").fill("ingest")
    page.get_by_role("button", name="Make the token").click()
    text = page.get_by_label("API token").input_value()
    assert status(live_server, media_file, text) == 302
    assert ApiToken.objects.get().user.username == "rhea"
    page.get_by_role("link", name="All API tokens").click()
    page.get_by_role("link", name="ingest").click()
    page.get_by_role("button", name="Revoke this token").click()
    expect(page.get_by_text("“ingest” was revoked.")).to_be_visible()
    assert status(live_server, media_file, text) == 401
