"""`Use S3 Replication` on the pages of People, and on a person's own page."""

import json
import re

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone

from preferences.models import ApiToken, User
from preferences.saving import save_preferences

LIST = "/admin/preferences/user/"


@pytest.fixture
def artists(db):
    return [
        User.objects.create_user(f"artist-{mode}", password="pw", use_s3_replication=mode)
        for mode in ("no", "yes", "auto")
    ]


@pytest.fixture
def as_admin(client, admin_user):
    client.force_login(admin_user)
    return client


def with_replica(**changes):
    configurations = {
        "main": {"region": "us-east-1", "bucket": "studio-media"},
        "sydney": {"region": "ap-southeast-2", "bucket": "studio-media-sydney"},
    }
    values = {
        "s3_configuration": json.dumps(configurations),
        "s3_bucket_for_replication": "sydney",
        "s3_replication_ip_addresses": "127.0.0.0/8",
        "storage_location": "main",
    }
    save_preferences(values | changes, 0, None)


def text_of(response):
    return re.sub(r"\s+", " ", response.content.decode())


def logged():
    return {
        entry.object_repr: json.loads(entry.change_message)[0]["changed"]["fields"]
        for entry in LogEntry.objects.all()
    }


@pytest.mark.parametrize("url", [LIST, f"{LIST}add/", f"{LIST}1/change/", "/account/"])
def test_anonymous_visitors_go_to_log_in(client, db, url):
    assert client.get(url)["Location"] == f"/login/?next={url}"


@pytest.mark.parametrize("staff", [True, False])
def test_people_are_for_who_may_see_them(client, artists, staff):
    visitor = User.objects.create_user("visitor", is_staff=staff)
    client.force_login(visitor)
    for url in (LIST, f"{LIST}add/", f"{LIST}{artists[0].pk}/change/"):
        assert client.get(url).status_code == 403
    chosen = {"action": "set_yes", "_selected_action": [artists[0].pk]}
    assert client.post(LIST, chosen).status_code == 403
    artists[0].refresh_from_db()
    assert artists[0].use_s3_replication == "no"


def test_a_person_has_the_field_right_after_personal_info(as_admin, artists):
    page = text_of(as_admin.get(f"{LIST}{artists[1].pk}/change/"))
    headings = re.findall(r'class="fieldset-heading">([^<]+)<', page)
    assert headings[:2] == ["Personal info", "Media replication"]
    assert '<option value="yes" selected>yes</option>' in page
    assert "auto: as yes, when the user's IP address is in" in page


def test_without_a_replica_the_page_says_so_with_a_link(as_admin, artists):
    url = f"{LIST}{artists[0].pk}/change/"
    page = text_of(as_admin.get(url))
    assert "Has no effect now: S3 Bucket for Replication is empty." in page
    assert 'href="/admin/preferences/sitepreferences/1/change/">Site Preferences</a>' in page
    with_replica()
    assert "Has no effect now" not in text_of(as_admin.get(url))


def test_changing_a_person_logs_old_and_new(as_admin, artists):
    artist = artists[0]
    response = as_admin.post(
        f"{LIST}{artist.pk}/change/",
        {
            "username": artist.username,
            "is_active": "on",
            "use_s3_replication": "auto",
            "date_joined_0": "2026-01-01",
            "date_joined_1": "12:00:00",
            "email": "new@example.com",
        },
    )
    assert response.status_code == 302
    artist.refresh_from_db()
    assert artist.use_s3_replication == "auto"
    changed = logged()[artist.username]
    assert "Use S3 Replication: no → auto" in changed
    assert "Email address" in changed


def test_a_new_person_can_be_given_a_value(as_admin):
    password = "a long password of four"
    response = as_admin.post(
        f"{LIST}add/",
        {
            "username": "noor",
            "usable_password": "true",
            "password1": password,
            "password2": password,
            "use_s3_replication": "auto",
        },
    )
    assert response.status_code == 302
    assert User.objects.get(username="noor").use_s3_replication == "auto"


def test_the_list_has_column_and_filter(as_admin, artists):
    page = text_of(as_admin.get(LIST))
    assert page.count('name="form-') >= 8
    response = as_admin.get(LIST, {"use_s3_replication__exact": "auto"})
    assert [user.username for user in response.context["cl"].result_list] == ["artist-auto"]


def test_edits_in_the_list_are_logged_with_old_and_new(as_admin, artists, admin_user):
    users = list(User.objects.order_by("username"))
    data = {
        "form-TOTAL_FORMS": len(users),
        "form-INITIAL_FORMS": len(users),
        "_save": "Save",
    }
    for number, user in enumerate(users):
        new = "auto" if user.username in ("artist-no", "artist-auto") else user.use_s3_replication
        data |= {
            f"form-{number}-id": user.pk,
            f"form-{number}-use_s3_replication": new,
            f"initial-form-{number}-use_s3_replication": user.use_s3_replication,
        }
    assert as_admin.post(LIST, data).status_code == 302
    assert User.objects.get(username="artist-no").use_s3_replication == "auto"
    assert logged() == {"artist-no": ["Use S3 Replication: no → auto"]}


def test_the_list_does_not_undo_what_others_saved_meanwhile(as_admin, artists):
    fields = r'<(?:input|option)[^>]*name="([^"]+)"[^>]*value="([^"]*)"'
    page = as_admin.get(LIST).content.decode()
    data = {name: value for name, value in re.findall(fields, page) if "form-" in name}
    for name, options in re.findall(r'<select name="(form-[^"]+)".*?>(.*?)</select>', page, re.S):
        data[name] = re.search(r'value="(\w+)" selected', options)[1]
    User.objects.filter(username="artist-no").update(use_s3_replication="yes")
    (changed,) = [name for name, value in data.items() if value == "auto" and name[0] == "f"]
    as_admin.post(LIST, data | {changed: "no", "_save": "Save"})
    assert User.objects.get(username="artist-auto").use_s3_replication == "no"
    assert User.objects.get(username="artist-no").use_s3_replication == "yes"


@pytest.mark.parametrize("value", ["no", "yes", "auto"])
def test_many_people_are_set_at_once_with_an_entry_each(as_admin, artists, value):
    response = as_admin.post(
        LIST,
        {"action": f"set_{value}", "_selected_action": [artist.pk for artist in artists]},
        follow=True,
    )
    assert set(
        User.objects.filter(username__startswith="artist").values_list(
            "use_s3_replication", flat=True
        )
    ) == {value}
    assert logged() == {
        f"artist-{old}": [f"Use S3 Replication: {old} → {value}"]
        for old in ("no", "yes", "auto")
        if old != value
    }
    assert [str(message) for message in response.context["messages"]] == [
        f"Use S3 Replication was set to {value} for 2 people. 1 had it already."
    ]


def test_the_selects_of_the_list_are_labelled(as_admin, artists):
    assert text_of(as_admin.get(LIST)).count('aria-label="Use S3 Replication"') == 4


def test_who_has_an_api_token_can_be_deleted_by_who_may_delete_people(as_admin, artists):
    ApiToken.objects.create(user=artists[0], name="farm", key="0" * 16, revoked_at=timezone.now())
    address = f"{LIST}{artists[0].pk}/delete/"
    assert "Are you sure" in text_of(as_admin.get(address))
    assert as_admin.post(address, {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=artists[0].pk).exists()


def test_account_shows_where_a_person_is_and_what_the_values_mean(client, artists):
    with_replica()
    client.force_login(artists[2])
    page = text_of(client.get("/account/"))
    assert "You are seen as" in page
    assert "127.0.0.1</strong>, which is listed for S3 replication (127.0.0.0/8)." in page
    assert "As you have chosen auto and 127.0.0.1 is listed, files older than 60 s come" in page
    for words in (
        "Your downloads always come from the main bucket",
        "as soon as a file is old enough",
        "only while your address is in the studio&#x27;s list",
    ):
        assert words in page
    assert re.search(r'value="auto" checked', page)


def test_account_of_somebody_who_is_not_listed(client, artists):
    with_replica(s3_replication_ip_addresses="10.20.0.0/16")
    client.force_login(artists[2])
    page = text_of(client.get("/account/"))
    assert "127.0.0.1</strong>, which is not listed for S3 replication." in page
    assert "127.0.0.1 is not listed, the main bucket is used." in page


def test_account_without_a_replica(client, artists):
    client.force_login(artists[1])
    assert "the choice has no effect now" in text_of(client.get("/account/"))


def test_a_person_sets_their_own_value_and_nobody_elses(client, artists):
    client.force_login(artists[0])
    response = client.post("/account/", {"use_s3_replication": "yes"}, follow=True)
    assert response.redirect_chain == [("/account/", 302)]
    assert [str(message) for message in response.context["messages"]] == [
        "Use S3 Replication is now yes."
    ]
    assert list(User.objects.order_by("pk").values_list("use_s3_replication", flat=True)) == [
        "yes",
        "yes",
        "auto",
    ]
    assert logged() == {"artist-no": ["Use S3 Replication: no → yes"]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"use_s3_replication": "maybe"}, "“maybe” is not a choice. Choose no, yes or auto."),
        ({}, "Choose no, yes or auto."),
    ],
)
def test_another_value_is_refused_in_words(client, artists, data, message):
    client.force_login(artists[0])
    response = client.post("/account/", data | {"is_superuser": "on"})
    page = text_of(response)
    assert response.status_code == 200
    assert "<title>Error: Your account | Shotmedia</title>" in page
    assert message in page
    artists[0].refresh_from_db()
    assert (artists[0].use_s3_replication, artists[0].is_superuser) == ("no", False)


def test_account_asks_for_the_csrf_token(artists, client):
    client.handler.enforce_csrf_checks = True
    client.force_login(artists[0])
    assert client.post("/account/", {"use_s3_replication": "yes"}).status_code == 403
    assert client.delete("/account/").status_code in (403, 405)
