"""API tokens: where they open, where not, what they carry, and what each costs."""

import json
import logging
from datetime import timedelta

import pytest
import requests
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.core.handlers.wsgi import WSGIHandler
from django.db import DatabaseError, connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from media.wsgi import DownloadsFirst
from preferences import tokens
from preferences.models import ApiToken, Session, User

HOUR = timedelta(hours=1)


def by(text, **extra):
    return {"HTTP_AUTHORIZATION": f"Bearer {text}"} | extra


def download(client, media_file, text, query="", **extra):
    return client.get(f"/media/{media_file.pk}/download{query}", **by(text, **extra))


def assert_bad_token(response):
    assert response.status_code == 401, response.content
    assert response["WWW-Authenticate"] == 'Bearer realm="Shotmedia", error="invalid_token"'
    assert response["Cache-Control"] == "private, no-store"
    assert response.json()["error"] == "bad-token"
    assert response.json()["message"].startswith("This API token is not accepted: ")


# --- Downloads ------------------------------------------------------------------------------------


def test_a_token_downloads_with_its_persons_setting(site, client, way):
    media_file = site.media_file()
    for mode, source in (("no", "main; reason=user-no"), ("yes", "sydney; reason=ready")):
        response = download(client, media_file, site.token(site.person(mode)))
        assert (response.status_code, response["X-Media-Source"]) == (302, source)
        assert requests.get(response["Location"], timeout=10).content == b"frames"


def test_auto_goes_by_the_scripts_address(site, client, way):
    text, media_file = site.token(site.person("auto")), site.media_file()
    response = download(client, media_file, text, REMOTE_ADDR="10.20.1.7")
    assert response["X-Media-Source"] == "sydney; reason=ready"
    response = download(client, media_file, text, REMOTE_ADDR="10.21.1.7")
    assert response["X-Media-Source"] == "main; reason=address-not-listed"


def test_head_json_and_source_by_token(site, client, way):
    text, media_file = site.token(site.person("yes")), site.media_file()
    head = client.head(f"/media/{media_file.pk}/download", **by(text))
    assert requests.head(head["Location"], timeout=10).status_code == 200
    answer = download(client, media_file, text, "?redirect=0").json()
    assert requests.get(answer["url"], timeout=10).content == b"frames"
    source = client.get(f"/media/{media_file.pk}/source", **by(text))
    assert (source.status_code, source.json()["configuration"]) == (200, "sydney")


def test_a_media_file_that_does_not_exist_is_404_in_json(site, client, way):
    response = client.get("/media/12345/download", **by(site.token(site.person())))
    assert (response.status_code, response.json()["error"]) == (404, "not-found")


def change_one_digit(text):
    return text[:-1] + ("0" if text[-1] != "0" else "1")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text, token: "nonsense",
        lambda text, token: "",
        change_one_digit,
        lambda text, token: text.replace(token.key, "0" * 16),
        lambda text, token: f"shot_{token.key}_{token.digest}",
    ],
    ids=["nonsense", "empty", "wrong secret", "unknown key", "the digest"],
)
@pytest.mark.parametrize("url", ["/media/{}/download", "/media/{}/source", "/api/preferences/"])
def test_a_wrong_token(site, client, way, spoil, url):
    media_file, person = site.media_file(), site.person("yes", is_superuser=True, is_staff=True)
    text, token = site.token(person), ApiToken.objects.get()
    spoilt = spoil(text) if spoil is change_one_digit else spoil(text, token)
    url = url.format(media_file.pk)
    assert_bad_token(client.get(url, **by(spoilt)))
    # A session that comes along does not help.
    client.force_login(person)
    assert_bad_token(client.get(url, **by(spoilt)))


@pytest.mark.parametrize("url", ["/media/{}/download", "/media/{}/source", "/api/preferences/"])
def test_expiry_revocation_deactivation_and_address(site, client, way, url):
    person = site.person("yes", is_superuser=True, is_staff=True)
    url = url.format(site.media_file().pk)
    text = site.token(person)

    def status(**extra):
        response = client.get(url, **by(text, **extra))
        if response.status_code == 401:
            assert_bad_token(response)
        return response.status_code

    assert status() in (200, 302)
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert status() == 401
    ApiToken.objects.update(expires_at=timezone.now() + HOUR)
    assert status() in (200, 302)
    ApiToken.objects.update(addresses="10.20.0.0/16\n2001:db8::/32")
    assert status() == 401
    assert status(REMOTE_ADDR="10.20.1.7") in (200, 302)
    assert status(REMOTE_ADDR="2001:db8::7") in (200, 302)
    assert status(HTTP_X_FORWARDED_FOR="10.20.1.7") == 401
    ApiToken.objects.update(addresses="")
    User.objects.update(is_active=False)
    assert status() == 401
    User.objects.update(is_active=True)
    assert status() in (200, 302)
    tokens.revoke(ApiToken.objects.get())
    assert status() == 401


def test_a_removed_person_takes_their_tokens_along(site, client, way):
    person, media_file = site.person(), site.media_file()
    text = site.token(person)
    person.delete()
    assert_bad_token(download(client, media_file, text))


# --- Cost -----------------------------------------------------------------------------------------


def test_one_statement_answers_a_redirect_by_token(site, client, way, settings):
    settings.REPLICA_TRUST_SECONDS = 3600
    text, media_file = site.token(site.person("yes")), site.media_file()
    download(client, media_file, text)
    with CaptureQueriesContext(connection) as captured:
        assert download(client, media_file, text)["X-Media-Source"] == "sydney; reason=ready"
    statements = [query["sql"] for query in captured]
    # In Django the middleware has to ask by itself, as for every other address.
    assert len(statements) == (1 if way == "before Django" else 2)
    assert "preferences_apitoken" in statements[-1]
    assert not any(sql.startswith("UPDATE") for sql in statements)


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_a_bad_token_is_refused_before_the_method_is(site, way, method):
    client, url = Client(enforce_csrf_checks=True), f"/media/{site.media_file().pk}/download"
    assert_bad_token(getattr(client, method)(url, **by("shot_nonsense")))
    response = getattr(client, method)(url, **by(site.token(site.person())))
    assert (response.status_code, response["Allow"]) == (405, "GET, HEAD")


def test_a_bad_token_costs_one_statement_or_none(site, client, django_assert_num_queries):
    media_file = site.media_file()
    with django_assert_num_queries(0):
        assert_bad_token(download(client, media_file, "nonsense"))
    with django_assert_num_queries(1):
        assert_bad_token(download(client, media_file, f"shot_{'0' * 16}_{'0' * 64}"))


def test_an_index_finds_the_token(site, client):
    text = site.token(site.person())
    with CaptureQueriesContext(connection) as captured:
        download(client, site.media_file(), text)
    sql = next(query["sql"] for query in captured if "preferences_apitoken" in query["sql"])
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN {sql}")
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        plan = " ".join(str(row) for row in cursor.fetchall())
    assert "preferences_apitoken_key" in plan or "sqlite_autoindex_preferences_apitoken" in plan


def test_the_last_use_is_written_after_the_answer_and_once_in_ten_minutes(
    site, client, way, one_connection
):
    text, media_file = site.token(site.person()), site.media_file()
    application = WSGIHandler()
    if way == "before Django":
        application = DownloadsFirst(application)
    request = RequestFactory().get(f"/media/{media_file.pk}/download", **by(text))
    statuses = []
    answer = application(request.environ, lambda status, headers: statuses.append(status))
    assert (statuses, b"".join(answer)) == (["302 Found"], b"")
    assert ApiToken.objects.get().last_used_at is None
    answer.close()  # as the server does when the answer has been sent
    first = ApiToken.objects.get().last_used_at
    assert timezone.now() - first < timedelta(minutes=1)
    download(client, media_file, text)
    assert ApiToken.objects.get().last_used_at == first
    # Later, and in another process.
    ApiToken.objects.update(last_used_at=first - HOUR)
    tokens.forget_uses()
    client.get(f"/media/{media_file.pk}/source", **by(text))
    assert ApiToken.objects.get().last_used_at > first - HOUR


def test_a_last_use_that_cannot_be_written_fails_nothing_and_is_logged(
    site, client, monkeypatch, caplog
):
    text, media_file = site.token(site.person()), site.media_file()

    def fail(*args, **kwargs):
        raise DatabaseError("attempt to write a readonly database")

    monkeypatch.setattr("django.db.models.query.QuerySet.update", fail)
    assert download(client, media_file, text).status_code == 302
    assert download(client, media_file, text).status_code == 302
    assert caplog.text.count("the last use of an API token was not written") == 1


def test_an_earlier_use_does_not_overwrite_a_later_one(site):
    site.token(site.person())
    later = timezone.now()
    token = ApiToken.objects.get()
    ApiToken.objects.update(last_used_at=later)
    tokens.note_use(tokens.Standing(token.pk, "", True, None, None, "", None), 1_000_000.0)
    tokens.write_uses()
    assert ApiToken.objects.get().last_used_at == later


# --- Everywhere else ------------------------------------------------------------------------------

PAGES = [
    "/",
    "/upload/",
    "/account/",
    "/account/tokens/",
    "/admin/",
    "/admin/login/",
    "/admin/speedtest",
    "/admin/preferences/sitepreferences/1/change/",
    "/admin/preferences/apitoken/",
    "/admin/preferences/apitoken/add/",
    "/login/",
    "/preferences",
    "/readyz",
    "/metrics",
    "/no/such/page",
]
JSON = ["/api/preferences/", "/api/openapi.json", "/media/uploads", "/media/1/", "/api/nothing"]


@pytest.mark.parametrize("url", PAGES + JSON)
@pytest.mark.parametrize("method", ["get", "post", "put", "patch", "delete"])
def test_a_bad_token_gets_401_json_at_every_address(db, client, url, method):
    assert_bad_token(getattr(client, method)(url, **by("shot_nonsense")))


@pytest.mark.parametrize("url", PAGES)
@pytest.mark.parametrize("method", ["get", "post"])
def test_pages_are_not_for_tokens(site, url, method):
    client = Client(enforce_csrf_checks=True)
    text = site.token(site.person(is_superuser=True, is_staff=True))
    client.force_login(User.objects.get())
    response = getattr(client, method)(url, **by(text))
    assert (response.status_code, response.json()["error"]) == (403, "not-for-tokens")


def upload(client, text=None, **extra):
    headers = by(text, **extra) if text else extra
    return client.post(
        "/media/uploads",
        json.dumps({"name": "shot.mov", "size": 6, "type": "video/quicktime"}),
        content_type="application/json",
        **headers,
    )


def test_a_token_uploads_a_whole_file_without_csrf(site):
    client, person = Client(enforce_csrf_checks=True), site.person(username="rhea")
    text = site.token(person)
    begun = upload(client, text)
    assert begun.status_code == 201, begun.content
    answer = begun.json()
    parts = client.post(
        answer["links"]["parts"], '{"numbers": [1]}', content_type="application/json", **by(text)
    ).json()["parts"]
    etag = requests.put(parts[0]["url"], b"frames", timeout=10).headers["ETag"]
    done = client.post(
        answer["links"]["complete"],
        json.dumps({"parts": [{"number": 1, "etag": etag}]}),
        content_type="application/json",
        **by(text),
    )
    assert (done.status_code, done.json()["size"]) == (200, 6)
    response = client.get(f"/media/{done.json()['id']}/download", **by(text))
    assert requests.get(response["Location"], timeout=10).content == b"frames"


def test_a_session_needs_csrf_still(site):
    client = Client(enforce_csrf_checks=True)
    client.force_login(site.person())
    assert upload(client).status_code == 403
    assert upload(client, HTTP_AUTHORIZATION="Basic dXNlcjpwYXNz").status_code == 403


def test_the_session_beside_a_token_is_ignored_and_kept(site):
    client = Client(enforce_csrf_checks=True)
    admin, artist = site.person(is_superuser=True, is_staff=True), site.person()
    client.force_login(admin)
    text = site.token(artist)
    assert client.get("/api/preferences/").status_code == 200
    response = client.get("/api/preferences/", **by(text))
    assert response.status_code == 403  # the artist's permissions, not the admin's
    assert not response.cookies
    assert client.get("/admin/").status_code == 200
    assert Session.objects.count() == 1


def test_permissions_are_the_persons_as_they_are_now(site, client):
    person = site.person(is_staff=True)
    text = site.token(person)
    assert client.get("/api/preferences/", **by(text)).status_code == 403
    person.user_permissions.add(Permission.objects.get(codename="view_sitepreferences"))
    assert client.get("/api/preferences/", **by(text)).status_code == 200
    User.objects.filter(pk=person.pk).update(is_staff=False)
    assert client.get("/api/preferences/", **by(text)).status_code == 403


def test_a_changed_password_leaves_tokens_alone(site, client):
    person, media_file = site.person(), site.media_file()
    text = site.token(person)
    person.set_password("another")
    person.save()
    assert download(client, media_file, text).status_code == 302


# --- Made by a person for themself ----------------------------------------------------------------

TOKENS = "/account/tokens/"


def make(client, url=TOKENS, **form):
    return client.post(url, {"name": "render farm", "days": "30", "addresses": ""} | form)


def shown(response):
    return response.context["text"]


@pytest.fixture
def rhea(site, client):
    person = site.person("yes", username="rhea")
    client.force_login(person)
    return person


def test_a_person_makes_a_token_and_sees_it_once(site, client, rhea, caplog):
    caplog.set_level(logging.DEBUG)
    response = make(client, addresses="10.20.0.1/16")
    text, token = shown(response), ApiToken.objects.get()
    assert (response.status_code, response.content.decode().count(text)) == (200, 1)
    assert "no-store" in response["Cache-Control"]
    assert (token.user, token.created_by, token.name) == (rhea, rhea, "render farm")
    assert token.addresses == "10.20.0.0/16"
    assert timedelta(days=29) < token.expires_at - timezone.now() <= timedelta(days=30)
    assert download(Client(), site.media_file(), text, REMOTE_ADDR="10.20.1.7").status_code == 302
    secret = text.rpartition("_")[2]
    for url in (TOKENS, "/account/"):
        assert secret not in client.get(url).content.decode()
    stored = "".join(session.session_data for session in Session.objects.all())
    decoded = json.dumps([session.get_decoded() for session in Session.objects.all()])
    entries = repr([vars(entry) for entry in LogEntry.objects.all()])
    for place in (stored, decoded, entries, caplog.text, repr(vars(token))):
        assert secret not in place
    assert token.key in client.get(TOKENS).content.decode()


def test_the_form_keeps_what_was_typed_and_says_what_is_wrong(client, rhea):
    make(client)
    for form, field, message in (
        ({}, "name", "rhea has a token of this name. Revoke it, or take another name."),
        ({"name": ""}, "name", "This field is required."),
        ({"name": "a\x07b"}, "name", "Use printable characters only."),
        ({"days": "0"}, "days", "Ensure this value is greater than or equal to 1."),
        ({"days": "soon"}, "days", "Enter a whole number."),
        (
            {"addresses": "office"},
            "addresses",
            "Line 1: “office” is not an IP address or a CIDR range such as 10.20.0.0/16.",
        ),
    ):
        response = make(client, **form)
        assert response.context["form"].errors[field] == [message]
        assert message in response.content.decode().replace("&#x27;", "'")
    assert ApiToken.objects.count() == 1
    assert 'value="soon"' in make(client, name="x", days="soon").content.decode()


def test_of_many_addresses_that_cannot_be_read_some_are_named(client, rhea):
    client.force_login(rhea)
    form = {"name": "farm", "days": "1", "addresses": "x\n" * 30}
    page = client.post("/account/tokens/", form).content.decode()
    assert page.count("is not an IP address") == 20
    assert "10 more of this kind." in page


def test_an_empty_expiry_means_never(client, rhea):
    make(client, days="")
    assert ApiToken.objects.get().expires_at is None
    assert "never expires" in client.get(TOKENS).content.decode()


def test_a_person_revokes_their_own_and_it_stays_listed(site, client, rhea):
    text = shown(make(client))
    token = ApiToken.objects.get()
    url = f"/account/tokens/{token.pk}/revoke"
    assert client.get(url).status_code == 405
    response = client.post(url, follow=True)
    assert "“render farm” was revoked" in response.content.decode()
    assert_bad_token(download(Client(), site.media_file(), text))
    page = client.get(TOKENS).content.decode()
    assert f"shot_{token.key}" in page
    assert "Revoke…" not in page
    first = ApiToken.objects.get().revoked_at
    client.post(url)
    assert ApiToken.objects.get().revoked_at == first
    # The name is free again.
    assert make(client).status_code == 200
    assert ApiToken.objects.filter(name="render farm").count() == 2
    assert LogEntry.objects.filter(object_id=token.pk).count() == 2


def test_nobody_sees_or_revokes_another_persons(site, client, rhea):
    other = site.person(username="kim", is_superuser=True, is_staff=True)
    site.token(other, name="kims own")
    assert "kims own" not in client.get(TOKENS).content.decode()
    assert client.post(f"/account/tokens/{ApiToken.objects.get().pk}/revoke").status_code == 404
    assert ApiToken.objects.get().revoked_at is None


def test_anonymous_visitors_log_in_first(site, client):
    site.token(site.person())
    revoking = f"/account/tokens/{ApiToken.objects.get().pk}/revoke"
    for response in (client.get(TOKENS), client.post(TOKENS), client.post(revoking)):
        assert (response.status_code, response["Location"].split("?")[0]) == (302, "/login/")
    assert ApiToken.objects.get().revoked_at is None
    csrf = Client(enforce_csrf_checks=True)
    csrf.force_login(User.objects.get())
    assert csrf.post(revoking).status_code == 403


# --- In the admin ---------------------------------------------------------------------------------

ADMIN = "/admin/preferences/apitoken/"


def staff_with(site, *codenames, **fields):
    person = site.person(is_staff=True, **fields)
    person.user_permissions.add(*Permission.objects.filter(codename__in=codenames))
    return person


def test_an_admin_makes_a_token_for_anybody(site, client, admin_user):
    artist = site.person(username="rhea")
    client.force_login(admin_user)
    response = make(client, f"{ADMIN}add/", user=artist.pk)
    text, token = shown(response), ApiToken.objects.get()
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]
    assert (token.user, token.created_by) == (artist, admin_user)
    assert download(Client(), site.media_file(), text).status_code == 302
    for url in (ADMIN, f"{ADMIN}{token.pk}/change/", f"{ADMIN}{token.pk}/history/"):
        page = client.get(url).content.decode()
        assert text.rpartition("_")[2] not in page
        assert token.digest not in page
        assert "render farm" in page
    assert "made by" not in client.get(TOKENS).content.decode()


def test_an_admin_revokes_and_nothing_is_removed_or_changed(site, client, admin_user):
    text = site.token(site.person())
    token = ApiToken.objects.get()
    client.force_login(admin_user)
    page = client.get(f"{ADMIN}{token.pk}/change/").content.decode()
    assert 'value="Revoke this token"' in page
    assert 'name="name"' not in page
    assert client.post(f"{ADMIN}{token.pk}/delete/", {"post": "yes"}).status_code == 403
    response = client.post(
        f"{ADMIN}{token.pk}/change/", {"name": "other", "addresses": "10.0.0.1"}, follow=True
    )
    assert "“render farm” was revoked." in response.content.decode()
    token = ApiToken.objects.get()
    assert (token.name, token.addresses) == ("render farm", "")
    assert token.revoked_at is not None
    assert_bad_token(download(Client(), site.media_file(), text))
    assert "render farm" in client.get(ADMIN).content.decode()
    assert LogEntry.objects.get().get_change_message() == "Changed revoked."
    page = client.get(f"{ADMIN}{token.pk}/change/").content.decode()
    assert "Revoke this token" not in page


def test_the_list_is_filtered_by_state(site, client, admin_user):
    person, now = site.person(), timezone.now()
    site.token(person, name="endless")
    site.token(person, name="lasting", expires_at=now + HOUR)
    site.token(person, name="over", expires_at=now - HOUR)
    site.token(person, name="gone", expires_at=now + HOUR, revoked_at=now)
    client.force_login(admin_user)
    shown = {}
    for state in ("active", "expired", "revoked"):
        tokens = client.get(f"{ADMIN}?state={state}").context["cl"].result_list
        shown[state] = {token.name for token in tokens}
        assert {token.state() for token in tokens} == {state}
    assert shown == {"active": {"endless", "lasting"}, "expired": {"over"}, "revoked": {"gone"}}


def test_several_are_revoked_at_once(site, client, admin_user):
    person = site.person()
    for name in ("one", "two"):
        site.token(person, name=name)
    client.force_login(admin_user)
    pks = list(ApiToken.objects.values_list("pk", flat=True))
    form = {"action": "revoke_selected", "_selected_action": pks}
    assert "2 tokens were revoked." in client.post(ADMIN, form, follow=True).content.decode()
    assert not ApiToken.objects.filter(revoked_at=None).exists()


def test_a_token_for_who_may_do_more_is_refused(site, client, admin_user):
    maker = staff_with(site, "add_apitoken", "view_apitoken", username="maker")
    media_admin = staff_with(site, "change_sitepreferences", username="media-admin")
    artist = site.person(username="artist")
    gone = site.person(username="gone", is_active=False)
    client.force_login(maker)
    for person in (admin_user, media_admin):
        response = make(client, f"{ADMIN}add/", user=person.pk)
        assert "may do more than you" in response.content.decode()
    assert "gone may not log in." in make(client, f"{ADMIN}add/", user=gone.pk).content.decode()
    assert "This field is required" in make(client, f"{ADMIN}add/").content.decode()
    assert not ApiToken.objects.exists()
    assert shown(make(client, f"{ADMIN}add/", user=artist.pk))
    again = make(client, f"{ADMIN}add/", user=artist.pk)
    assert "artist has a token of this name" in again.content.decode()


def test_each_address_of_the_admin_needs_its_permission(site, client):
    site.token(site.person())
    pk = ApiToken.objects.get().pk
    views = [ADMIN, f"{ADMIN}{pk}/change/", f"{ADMIN}{pk}/history/"]
    for url in [*views, f"{ADMIN}add/"]:
        assert client.get(url)["Location"].startswith("/login/")
    client.force_login(site.person())
    assert {client.get(url).status_code for url in [*views, f"{ADMIN}add/"]} == {403}
    client.force_login(staff_with(site))
    assert {client.get(url).status_code for url in [*views, f"{ADMIN}add/"]} == {403}
    client.force_login(staff_with(site, "view_apitoken"))
    assert {client.get(url).status_code for url in views} == {200}
    assert "Revoke this token" not in client.get(views[1]).content.decode()
    assert client.get(f"{ADMIN}add/").status_code == 403
    assert client.post(views[1], {}).status_code == 403
    assert ApiToken.objects.get().revoked_at is None
