"""The site as a whole: health, metrics, policy, logs, log-in."""

import html
import logging
from contextlib import contextmanager
from datetime import timedelta
from unittest.mock import patch

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import InterfaceError, OperationalError
from django.test import Client
from django.test.utils import override_script_prefix, override_settings
from django.utils import timezone

from preferences.models import Session
from shotmedia.middleware import allow_hosts, policy


def test_healthz_needs_neither_database_nor_host(client, settings):
    settings.ALLOWED_HOSTS = []
    settings.SECURE_SSL_REDIRECT = True
    for path in ("/healthz", "/healthz/"):
        response = client.get(path, HTTP_HOST="10.0.0.9:8000")
        assert (response.status_code, response.content) == (200, b"ok\n")


def test_readyz_says_that_the_database_is_ready(db, client):
    assert client.get("/readyz").content == b"ok\n"


def test_readyz_says_what_is_missing(db, client):
    from django.db.migrations.recorder import MigrationRecorder

    MigrationRecorder.Migration.objects.filter(app="media").last().delete()
    response = client.get("/readyz")
    assert response.status_code == 503
    assert b"1 migrations are not applied" in response.content


@pytest.mark.parametrize("error", [OperationalError, InterfaceError])
def test_readyz_says_when_the_database_is_gone(db, client, monkeypatch, caplog, error):
    from shotmedia import views

    def fail(connection):
        raise error("no route to db.example.com")

    monkeypatch.setattr(views, "MigrationExecutor", fail)
    response = client.get("/readyz")
    assert response.status_code == 503
    assert b"The database does not answer" in response.content
    assert b"db.example.com" not in response.content
    assert "db.example.com" in caplog.text


@pytest.mark.parametrize("path", ["/readyz", "/metrics"])
def test_probes_are_answered_without_https(db, client, settings, path):
    settings.SECURE_SSL_REDIRECT = True
    assert Client().get("/login/").status_code == 301
    assert Client().get(path).status_code == 200


def test_metrics_count_decisions_for_listed_addresses(site, client, settings):
    client.force_login(site.person("no"))
    client.get(f"/media/{site.media_file().pk}/download")
    answer = Client().get("/metrics").content.decode()
    assert 'shotmedia_decisions_total{configuration="main",reason="user-no"}' in answer
    assert Client().get("/metrics", REMOTE_ADDR="203.0.113.9").status_code == 403


@pytest.mark.parametrize(
    ("peer", "forwarded", "status"),
    [
        ("203.0.113.9", "127.0.0.1", 403),
        ("10.0.0.5", "127.0.0.1, 203.0.113.9", 403),
        ("10.0.0.5", "nonsense", 403),
        ("10.0.0.5", "203.0.113.9, 127.0.0.1", 200),
    ],
)
def test_metrics_go_by_what_a_trusted_proxy_says(db, settings, peer, forwarded, status):
    settings.TRUSTED_PROXIES = ["10.0.0.5"]
    client = Client(REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR=forwarded)
    assert client.get("/metrics").status_code == status


@pytest.mark.parametrize("cookie", ['"aaaaaaaaa\\000"', '"aaaaaaaaa\\377"', "a" * 5000, "\xff" * 9])
@pytest.mark.parametrize("path", ["/", "/media/1/download"])
def test_a_cookie_that_no_session_has_is_nobodys(db, path, cookie):
    answer = Client().get(path, HTTP_COOKIE=f"sessionid={cookie}")
    assert (answer.status_code, answer["Location"]) == (302, f"/login/?next={path}")


def test_each_page_carries_the_policy(db, client):
    header = client.get("/login/")["Content-Security-Policy"]
    assert "default-src 'none'" in header
    assert "unsafe" not in header


@pytest.mark.parametrize("path", ["/", "/upload/", "/media/{}/", "/nothing"])
def test_no_cache_keeps_a_persons_page(site, client, path):
    path = path.format(site.media_file().pk)
    assert client.get(path)["Cache-Control"].endswith("no-store")
    client.force_login(site.person())
    assert client.get(path)["Cache-Control"].endswith("no-store")


def test_a_view_adds_hosts_to_its_own_page_only(rf):
    from django.http import HttpResponse

    response = allow_hosts(HttpResponse(), ["https://b.example.com"], "img-src", "connect-src")
    header = policy(response.csp_hosts)
    assert "img-src 'self' https://b.example.com" in header
    assert "connect-src 'self' https://b.example.com" in header
    assert "script-src 'self';" in header
    assert "example.com" not in policy({})


def test_a_download_is_one_line_of_the_log(site, client, caplog):
    client.force_login(person := site.person("yes"))
    media_file = site.media_file(age=10)
    with caplog.at_level(logging.INFO, logger="media.downloads"):
        client.get(f"/media/{media_file.pk}/download")
    (record,) = [record for record in caplog.records if record.name == "media.downloads"]
    logged = (record.media_file, record.user, record.configuration, record.reason)
    assert logged == (media_file.pk, person.pk, "main", "too-fresh")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("post", "/media/1/source", "GET, HEAD"),
        ("put", "/media/1/download", "GET, HEAD"),
        ("get", "/media/uploads", "POST"),
    ],
)
def test_a_method_that_an_address_does_not_take_is_said(site, client, method, path, allowed):
    client.force_login(site.person("no", username="rhea"))
    page = getattr(client, method)(path)
    assert (page.status_code, page["Allow"]) == (405, allowed)
    assert f"This address takes {allowed}, and not {method.upper()}." in page.content.decode()
    assert "rhea" in page.content.decode()
    answer = getattr(client, method)(path, HTTP_ACCEPT="application/json")
    assert (answer.status_code, answer["Allow"]) == (405, allowed)
    assert answer.json()["error"] == "method-not-allowed"


def test_a_method_that_the_api_does_not_take_is_said_in_json(site, client):
    answer = client.delete(
        "/api/preferences/", HTTP_AUTHORIZATION=f"Bearer {site.token(site.person())}"
    )
    assert (answer.status_code, answer.json()["error"]) == (405, "method-not-allowed")
    assert "DELETE" not in answer["Allow"]


def test_a_file_that_somebody_sends_is_not_written_to_the_disk(db, client, settings):
    file = SimpleUploadedFile("big.bin", bytes(settings.FILE_UPLOAD_MAX_MEMORY_SIZE + 1))
    with patch("django.core.files.uploadedfile.tempfile.NamedTemporaryFile") as written:
        answer = client.post("/login/", {"username": "rhea", "password": "wrong", "file": file})
    assert "Please enter a correct username" in answer.content.decode()
    assert not written.called


def test_log_in_and_out(site, client):
    person = site.person("no", username="rhea")
    wrong = client.post("/login/", {"username": "rhea", "password": "wrong"})
    assert wrong.status_code == 200
    assert "Please enter a correct username" in wrong.content.decode()
    response = client.post("/login/", {"username": person.username, "password": "secret"})
    assert (response.status_code, response["Location"]) == (302, "/")
    assert client.get("/").status_code == 200
    assert client.post("/logout/")["Location"] == "/login/"
    assert client.get("/")["Location"] == "/login/?next=/"


def test_a_person_changes_their_password_and_stays_logged_in_here_alone(site, client):
    person, other = site.person(username="rhea"), Client()
    for browser in (client, other):
        browser.force_login(person)
    assert 'href="/account/password/"' in client.get("/account/").content.decode()
    form = {"old_password": "wrong", "new_password1": "kitten-17-pond", "new_password2": "x"}
    refused = client.post("/account/password/", form).content.decode()
    assert refused.count('role="alert"') == 2
    assert "kitten" not in refused
    form |= {"old_password": "secret", "new_password2": form["new_password1"]}
    done = client.post("/account/password/", form, follow=True)
    assert "Your password is changed." in done.content.decode()
    path = f"/media/{site.media_file().pk}/download"
    assert client.get(path)["X-Media-Source"].startswith("main;")
    assert other.get(path)["Location"].startswith("/login/")
    assert Client().login(username="rhea", password="kitten-17-pond")


def test_who_logs_in_without_a_password_is_offered_no_change_of_it(site, client):
    person = site.person()
    person.set_unusable_password()
    person.save()
    client.force_login(person)
    assert "/account/password/" not in client.get("/account/").content.decode()


def test_expired_log_ins_are_forgotten(site, client):
    client.force_login(person := site.person())
    Client().force_login(person)
    expired = timezone.now() - timedelta(seconds=1)
    Session.objects.exclude(pk=client.session.session_key).update(expire_date=expired)
    call_command("clearsessions")
    assert Session.objects.get().pk == client.session.session_key


def test_a_script_that_asks_any_page_for_json_gets_401(db, client):
    response = client.get("/", HTTP_ACCEPT="application/json")
    assert (response.status_code, response.json()["error"]) == (401, "not-logged-in")


def test_a_form_sent_after_logging_out_is_handed_back(site, client):
    response = client.post(
        "/account/?x=1", {"use_s3_replication": "<b>", "csrfmiddlewaretoken": "t"}
    )
    page = response.content.decode()
    assert response.status_code == 403
    assert "Nothing was saved" in page
    assert 'href="/login/?next=/account/"' in page
    assert "\n&lt;b&gt;</textarea>" in page
    assert client.post("/logout/", {"csrfmiddlewaretoken": "t"}).status_code == 302


def test_a_form_with_a_token_from_before_is_handed_back_but_for_passwords(site):
    client = Client(enforce_csrf_checks=True)
    client.force_login(site.person())
    response = client.post("/account/", {"use_s3_replication": "yes", "new_password1": "hush"})
    page = response.content.decode()
    assert response.status_code == 403
    assert '<a class="button primary" href="/account/">Open the page again' in page
    assert "\nyes</textarea>" in page
    assert "hush" not in page
    assert "style=" not in page
    assert "<style" not in page


def test_who_logs_in_for_a_download_comes_to_the_page_of_the_file(site):
    site.person(username="rhea")
    client, media_file = Client(), site.media_file()
    asked = client.get(f"/media/{media_file.pk}/download?source=primary")
    assert asked.status_code == 302
    answer = client.post(asked["Location"], {"username": "rhea", "password": "secret"})
    assert (answer.status_code, answer["Location"]) == (302, f"/media/{media_file.pk}/")
    assert client.get(asked["Location"])["Location"] == f"/media/{media_file.pk}/"
    with override_script_prefix("/sub/"):
        answer = client.get(f"/login/?next=/sub/media/{media_file.pk}/download")
    assert answer["Location"] == f"/sub/media/{media_file.pk}/"


def test_a_log_in_that_would_lead_to_itself_leads_to_the_library(site, client):
    client.force_login(site.person())
    assert client.get("/login/?next=/login/")["Location"] == "/"
    assert client.get("/login/?next=/login/%3Fnext%3D/")["Location"] == "/"


def test_who_has_logged_in_in_another_tab_goes_on_from_the_log_in_form(site):
    client = Client(enforce_csrf_checks=True)
    typed = {"username": "rhea", "password": "secret"}
    assert client.post("/login/?next=/upload/", typed).status_code == 403
    client.force_login(site.person(username="rhea"))
    answer = client.post("/login/?next=/upload/", typed, follow=True)
    assert answer.redirect_chain == [("/login/?next=/upload/", 302), ("/upload/", 302)]


def test_a_token_gets_401_and_a_browser_behind_a_proxys_password_the_log_in_page(db, client):
    assert client.get("/", HTTP_AUTHORIZATION="Bearer x").status_code == 401
    assert client.get("/", HTTP_AUTHORIZATION="Basic eDp5").status_code == 302


@pytest.mark.parametrize("path", ["/nothing", "/media/1/nothing"])
def test_an_unknown_address_is_a_page_of_the_site(site, client, path):
    client.force_login(site.person())
    response = client.get(path)
    assert response.status_code == 404
    assert "Go to the library" in response.content.decode()


def test_a_call_without_csrf_token_is_refused_in_the_callers_language(site):
    client = Client(enforce_csrf_checks=True)
    body = {"data": "{}", "content_type": "application/json"}
    assert client.post("/media/uploads", **body).status_code == 401
    client.force_login(site.person())
    answer = client.post("/media/uploads", **body)
    assert (answer.status_code, answer.json()["error"]) == (403, "no-csrf-token")
    page = client.post("/logout/")
    assert page.status_code == 403
    assert "Load the page again" in page.content.decode()


# --- When something goes wrong --------------------------------------------------------------------

JSON = {"Accept": "application/json"}


@contextmanager
def failing(client, error):
    """Let whatever is asked of the database raise `error`, and the client see the answer."""
    client.raise_request_exception = False
    client.cookies["sessionid"] = "x" * 32
    with (
        patch("django.db.backends.utils.CursorWrapper.execute", side_effect=error),
        patch("media.downloads.download_row", side_effect=error),
    ):
        yield


@pytest.mark.parametrize("path", ["/", "/media/1/", "/media/1/download", "/upload/"])
def test_a_database_that_is_down_is_said_in_the_callers_language(db, client, path):
    with failing(client, OperationalError("no route to db.example.com")):
        page = client.get(path)
        answer = client.get(path, headers=JSON)
    assert page.status_code == 503
    assert "The site cannot use its database" in html.unescape(page.content.decode())
    assert "db.example.com" not in page.content.decode()
    assert (answer.status_code, answer.json()["error"]) == (503, "database-down")


def test_an_upload_is_told_in_json_that_the_database_is_down(site, client):
    body = {"data": "{}", "content_type": "application/json"}
    headers = {"Authorization": f"Bearer {site.token(site.person())}"}
    with failing(client, OperationalError("gone")):
        answer = client.post("/media/uploads", **body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (503, "database-down")


def test_a_fault_of_the_site_is_a_page_or_json_without_its_words(db, client):
    with failing(client, RuntimeError("secret")):
        page = client.get("/")
        answer = client.get("/", headers=JSON)
    assert page.status_code == 500
    assert "The error is in the site's log" in html.unescape(page.content.decode())
    assert "secret" not in page.content.decode()
    assert (answer.status_code, answer.json()["error"]) == (500, "failed")


@pytest.mark.parametrize("path", ["/preferences", "/admin/", "/admin/speedtest"])
def test_who_may_not_gets_a_page_or_json(site, client, path):
    client.force_login(site.person())
    page = client.get(path)
    assert (page.status_code, "Not allowed" in page.content.decode()) == (403, True)
    answer = client.get(path, headers=JSON)
    assert (answer.status_code, answer.json()["error"]) == (403, "not-allowed")


def test_what_cannot_be_asked_is_said_on_a_page_or_in_json(site, client):
    client.force_login(site.person())
    path = f"/media/{site.media_file().pk}/download?source=sydney"
    page = client.get(path)
    assert page.status_code == 400
    assert "The only source to ask for is “primary”." in page.content.decode()
    assert client.get(path, headers=JSON).json()["error"] == "bad-source"
    foreign = client.get("/", HTTP_HOST="evil.example.com")
    assert foreign.status_code == 400
    assert "evil" not in foreign.content.decode()
    with override_settings(SECURE_SSL_REDIRECT=True):
        foreign = Client().get("/", HTTP_HOST="evil.example.com")
    assert foreign.status_code == 400
    assert "default-src 'none'" in foreign["Content-Security-Policy"]
    assert client.get("/", HTTP_HOST="evil", headers=JSON).json()["error"] == "bad-request"


def test_a_query_with_too_many_fields_is_said_on_a_page_or_in_json(site, client, settings):
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 2
    client.force_login(site.person())
    path = f"/media/{site.media_file().pk}/download?a=1&a=1&a=1"
    assert client.get(path).status_code == 400
    answer = client.get(f"{path}&redirect=0")
    assert (answer.status_code, answer.json()["error"]) == (400, "bad-request")


def test_the_address_for_logging_out_may_be_opened_and_logs_nobody_out(site, client):
    client.force_login(site.person())
    assert client.get("/logout/")["Location"] == "/"
    assert client.get("/").status_code == 200
