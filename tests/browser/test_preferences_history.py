"""History of Site Preferences as it is used: looking, restoring, correcting, locked fields."""

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission
from playwright.sync_api import Page, expect

from preferences import saving, snapshot
from preferences.differences import readable
from preferences.models import PreferenceRevision, User
from preferences.saving import read_row, save_preferences

PAGE = "/admin/preferences/sitepreferences/1/change/"
HISTORY = "/admin/preferences/sitepreferences/1/history/"


@pytest.fixture
def admin(site):
    """An admin of a site whose configuration is laid out as the page saves it."""
    laid_out = readable("s3_configuration", read_row().s3_configuration)
    site.prefer(s3_configuration=laid_out)
    rhea = User.objects.create_user("rhea", is_staff=True)
    rhea.user_permissions.add(Permission.objects.get(codename="change_sitepreferences"))
    rhea.user_permissions.add(Permission.objects.get(codename="view_sitepreferences"))
    return rhea


def test_an_admin_looks_at_history_and_restores_by_keyboard(
    page_as: Callable[..., Page], admin: User
):
    page = page_as(admin)
    version = read_row().version
    page.goto("/preferences")
    page.fill("#id_s3_replication_ip_addresses", "10.20.0.0/16\n10.30.0.0/16")
    page.fill("#id_s3_bucket_for_replication", "")
    page.fill("#id_comment", "Sydney is closed")
    page.click("text=Save changes")
    expect(page.locator(".last-changed")).to_contain_text("“Sydney is closed”")

    page.click("text=History")
    newest = page.locator(".revisions tbody tr").first
    expect(newest).to_contain_text("S3 Bucket for Replication: sydney → empty")
    expect(newest).to_contain_text("rhea from 127.0.0.1")
    page.click(f".revisions tbody th a:text-is('{version}')")
    since = page.locator("section[aria-labelledby=to-current]")
    expect(since.locator("li.added")).to_have_text(["+added: empty", "+added: 10.30.0.0/16"])

    page.focus("text=Restore this revision")
    page.keyboard.press("Enter")
    expect(page).to_have_title(re.compile(f"^Restore revision {version}"))
    expect(page.locator(".difference .removed")).to_have_text(
        ["−removed: empty", "−removed: 10.30.0.0/16"]
    )
    assert read_row().version == version + 1
    page.focus("#id_comment")
    page.keyboard.type("open again")
    page.keyboard.press("Enter")
    expect(page.locator(".messagelist")).to_contain_text(
        f"Revision {version} was restored as revision {version + 2}."
    )
    assert read_row().s3_bucket_for_replication == "sydney"
    assert PreferenceRevision.objects.first().comment == (
        f"Restored revision {version}: open again"
    )


def test_a_restore_that_is_refused_is_corrected_on_the_page(
    page_as: Callable[..., Page], admin: User
):
    page = page_as(admin)
    version = read_row().version
    revision = PreferenceRevision.objects.get(number=version)
    data = revision.data | {"s3_bucket_for_replication": "sidney"}
    PreferenceRevision.objects.filter(number=version).update(data=data)
    save_preferences({"s3_replication_delay": 90}, version, admin)
    page.goto(f"{HISTORY}{version}/restore/")
    expect(page.get_by_role("alert")).to_contain_text("Did you mean “sydney”?")
    page.click("text=Open its values on the page to correct them")
    expect(page.locator("#error-summary")).to_be_focused()
    page.fill("#id_s3_bucket_for_replication", "sydney")
    expect(page.locator("#id_s3_replication_delay")).to_have_value("60")
    page.click("button:text('Save changes')")
    expect(page.locator(".messagelist")).to_contain_text("Site Preferences were saved")
    assert (read_row().version, read_row().s3_replication_delay) == (version + 2, 60)


def test_a_conflict_shows_mine_beside_theirs_and_keeps_the_comment(
    page_as: Callable[..., Page], admin: User
):
    mia = User.objects.create_user("mia")
    page = page_as(admin)
    page.goto("/preferences")
    version = read_row().version
    save_preferences({"s3_replication_ip_addresses": "10.40.0.0/16"}, version, mia)
    page.fill("#id_s3_replication_ip_addresses", "10.20.0.0/16\n10.50.0.0/16")
    page.fill("#id_comment", "the new office")
    page.click("text=Save changes")
    field = page.locator(".field-s3_replication_ip_addresses")
    mine = field.locator("textarea").bounding_box()
    theirs = field.locator(".theirs").bounding_box()
    assert abs(mine["y"] - theirs["y"]) < 40
    assert theirs["x"] >= mine["x"] + mine["width"]
    expect(field.locator(".difference li.removed code")).to_have_text("10.40.0.0/16")
    expect(field.locator(".difference li.added code")).to_have_text(
        ["10.20.0.0/16", "10.50.0.0/16"]
    )
    page.click("text=Save mine anyway")
    expect(page.locator(".last-changed")).to_contain_text("“the new office”")
    assert read_row().version == version + 2


def test_a_locked_field_names_its_variable_and_the_rest_saves(
    page_as: Callable[..., Page], admin: User, settings, monkeypatch
):
    settings.PREFERENCE_LOCKS = {
        "s3_replication_delay": "90",
        "s3_replication_ip_addresses": "10.20.0.0/16",
        "verify_replica_copies": "on",
    }
    monkeypatch.setattr(saving, "_enforced", False)
    snapshot.forget()
    page = page_as(admin)
    page.goto("/preferences")
    delay = page.locator("#id_s3_replication_delay")
    expect(delay).to_be_disabled()
    expect(delay).to_have_value("90")
    expect(page.locator(".field-s3_replication_delay .lock")).to_contain_text(
        "Set by the environment variable MEDIA_PREF_S3_REPLICATION_DELAY. Change it there and "
        "restart."
    )
    expect(page.locator("#id_verify_replica_copies")).to_be_disabled()
    page.fill("#id_s3_bucket_for_replication", "")
    page.click("text=Save changes")
    expect(page.locator(".messagelist")).to_contain_text("Site Preferences were saved")
    row = read_row()
    assert (row.s3_bucket_for_replication, row.s3_replication_delay) == ("", 90)
    assert row.verify_replica_copies is True


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_of_history_fit_a_narrow_phone(
    page_as: Callable[..., Page], admin: User, scheme: str
):
    page = page_as(admin, viewport={"width": 320, "height": 640}, color_scheme=scheme)
    version = read_row().version
    save_preferences({"s3_replication_ip_addresses": "fd00::/8"}, version, admin, comment="x" * 500)
    for url in (
        HISTORY,
        f"{HISTORY}{version}/",
        f"{HISTORY}{version + 1}/",
        f"{HISTORY}{version}/restore/",
        f"{PAGE}?from={version}",
    ):
        page.goto(url)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, url
