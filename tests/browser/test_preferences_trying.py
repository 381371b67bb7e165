"""“Try before saving” and the rename of a configuration in use, in Chromium."""

import json
import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission
from playwright.sync_api import Page, Route, expect

from media.models import MediaFile
from preferences.models import SitePreferences, User
from tests.functional.conftest import Site


@pytest.fixture
def admin(db) -> User:
    return User.objects.create_superuser("rhea", "rhea@example.com", "pw", use_s3_replication="yes")


def test_which_bucket_answers_in_place_for_what_is_typed(page_as: Callable[..., Page], admin: User):
    page = page_as(admin)
    page.goto("/preferences")
    before = SitePreferences.objects.get().version
    page.get_by_label("S3 Replication Delay").fill("100")
    page.get_by_label("Media uploaded").fill("85")
    page.get_by_role("button", name="Which bucket?").click()
    answer = page.get_by_role("status")
    expect(answer.locator("strong")).to_have_text("main")
    expect(answer).to_contain_text("the media is 85 s old and S3 Replication Delay is 100 s")
    expect(answer).to_contain_text("In 15 s it would be sydney, when its copy is there.")
    assert answer.get_attribute("aria-live") == "polite"
    expect(page.get_by_role("button", name="Which bucket?")).to_be_focused()

    # Enter in a field of the question asks, and does not save.
    page.get_by_label("Media uploaded").fill("100")
    page.keyboard.press("Enter")
    expect(answer.locator("strong")).to_have_text("sydney")
    page.locator("#id_try_user").fill("<img src=x>")
    page.keyboard.press("Enter")
    expect(answer).to_contain_text("There is no user named “<img src=x>”.")
    assert page.get_by_label("S3 Replication Delay").input_value() == "100"
    assert SitePreferences.objects.get().version == before


def test_the_buckets_are_tested_in_place(page_as: Callable[..., Page], admin: User, site: Site):
    entries = json.loads(site.values["s3_configuration"])
    entries["typo"] = entries["main"] | {"bucket": "no-such-bucket"}
    page = page_as(admin)
    page.goto("/preferences")
    page.get_by_label("S3 Configuration").fill(json.dumps(entries))
    page.get_by_role("button", name="Test the buckets").click()
    status = page.get_by_role("status")
    expect(status).to_contain_text("main: works", timeout=40_000)
    expect(status).to_contain_text("sydney: works", timeout=40_000)
    expect(status).to_contain_text("failed.", timeout=40_000)
    expect(status).not_to_contain_text("Testing")
    table = page.get_by_role("table", name="typo (bucket no-such-bucket, us-east-1)")
    row = table.get_by_role("row", name=re.compile("^Bucket and region"))
    expect(row).to_contain_text("✗ failed")
    expect(row.locator("code")).not_to_be_empty()
    expect(page.locator("#try-answer")).to_contain_text(
        "The server reached it; browsers may not: run the Speed Test."
    )


def test_a_bucket_that_is_not_reached_is_not_said_to_be(
    page_as: Callable[..., Page], admin: User, site: Site
):
    main = json.loads(site.values["s3_configuration"])["main"]
    page = page_as(admin)
    page.goto("/preferences")
    page.get_by_label("S3 Configuration").fill(
        json.dumps({"typo": main | {"bucket": "no-such-bucket"}})
    )
    page.get_by_role("button", name="Test the buckets").click()
    expect(page.get_by_role("status")).to_contain_text("failed.", timeout=40_000)
    expect(page.get_by_role("button", name="Test the buckets")).to_be_enabled()
    expect(page.locator("#try-answer")).not_to_contain_text("The server reached it")


def test_what_goes_wrong_is_said_and_the_buttons_work_again(
    page_as: Callable[..., Page], admin: User
):
    page = page_as(admin)
    page.goto("/preferences")
    which, status = page.get_by_role("button", name="Which bucket?"), page.get_by_role("status")
    page.route("**/preview/", lambda route: route.fulfill(status=401, body="{}"))
    which.click()
    expect(status).to_contain_text("You have been logged out.")

    def drop(route: Route) -> None:
        route.abort()

    page.route("**/preview/", drop)
    which.click()
    expect(status).to_contain_text("The site did not answer. Try again.")
    page.unroute("**/preview/")
    which.click()
    expect(status.locator("strong")).to_have_text("main")


def test_without_javascript_the_answers_come_in_a_new_tab(
    page_as: Callable[..., Page], admin: User
):
    page = page_as(admin, java_script_enabled=False)
    page.goto("/preferences")
    page.get_by_label("S3 Replication Delay").fill("not a number")
    for button, heading in (
        ("Which bucket?", "Which bucket?"),
        ("Test the buckets", "Test of the buckets"),
    ):
        with page.context.expect_page() as opened:
            page.get_by_role("button", name=button).click()
        tab = opened.value
        tab.set_default_timeout(40_000)
        expect(tab.get_by_role("heading", level=1)).to_have_text(heading, timeout=40_000)
        expect(tab.locator("#content-main")).to_contain_text("Enter a whole number of seconds")
        expect(tab.locator("#content-main")).to_contain_text("main (bucket studio-main, us-east-1)")
        tab.close()
    assert page.get_by_label("S3 Replication Delay").input_value() == "not a number"


@pytest.mark.parametrize("label", ["From IP address", "Media uploaded", "S3 Replication Delay"])
def test_without_javascript_enter_asks_and_saves_nothing(
    page_as: Callable[..., Page], admin: User, label: str
):
    page = page_as(admin, java_script_enabled=False)
    page.goto("/preferences")
    before = SitePreferences.objects.get().version
    page.get_by_label("S3 Replication Delay").fill("100")
    page.get_by_label(label).focus()
    with page.context.expect_page() as opened:
        page.keyboard.press("Enter")
    answer = opened.value.locator("#content-main")
    expect(answer).to_contain_text("the media is 45 s old and S3 Replication Delay is 100 s")
    expect(answer).to_contain_text("Nothing was saved.")
    assert page.get_by_label("S3 Replication Delay").input_value() == "100"
    assert SitePreferences.objects.get().version == before


def test_who_may_only_look_asks_with_enter(page_as: Callable[..., Page], db):
    viewer = User.objects.create_user("mia", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_sitepreferences"))
    page = page_as(viewer)
    page.goto("/preferences")
    page.get_by_label("Media uploaded").fill("7")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").locator("strong")).to_have_text("main")


def test_enter_in_a_preference_still_saves(page_as: Callable[..., Page], admin: User):
    page = page_as(admin)
    page.goto("/preferences")
    page.get_by_label("S3 Replication Delay").fill("90")
    page.keyboard.press("Enter")
    expect(page.locator(".messagelist")).to_contain_text("Site Preferences were saved")
    assert SitePreferences.objects.get().s3_replication_delay == 90


def test_a_configuration_in_use_is_renamed_with_its_files(
    page_as: Callable[..., Page], admin: User, site: Site
):
    site.media_file()
    page = page_as(admin)
    page.goto("/preferences")
    field = page.get_by_label("S3 Configuration")
    field.fill(field.input_value().replace('"main"', '"studio-main"'))
    page.get_by_role("button", name="Save changes").click()
    expect(page.locator("#error-summary")).to_contain_text("1 media file is in “main”")
    choice = page.get_by_label("Or is this a rename of “main”?")
    expect(choice).to_have_value("studio-main")
    page.get_by_role("button", name="Save changes").click()
    expect(page.locator(".messagelist")).to_contain_text(
        "“main” was renamed to “studio-main”, and 1 media file with it."
    )
    assert page.get_by_label("Storage Location").input_value() == "studio-main"
    assert MediaFile.objects.get().configuration == "studio-main"
