"""Downloads before Django: what is answered there, what is left to Django, and what if it fails."""

import json
import logging
from unittest.mock import patch
from urllib.parse import quote

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.db import OperationalError, connection
from django.test import RequestFactory

from media import downloads, wsgi
from media.wsgi import DownloadsFirst
from preferences.models import Session
from tests.functional.conftest import SYDNEY

BY_DJANGO = (b"by Django",)


@pytest.fixture
def cookie(site, client):
    """Log a person with `Use S3 Replication` = yes in; give their Cookie header."""
    client.force_login(site.person("yes"))
    return f"csrftoken={'a' * 32}; sessionid={Session.objects.get().session_key}; theme=dark"


def environ_of(path, method="GET", **extra):
    return RequestFactory().generic(method, path, **extra).environ


def call(application, environ):
    """Return (status, headers, body) of a WSGI application's answer."""
    started = []
    body = application(environ, lambda status, headers: started.append((status, headers)))
    content = b"".join(body)
    if hasattr(body, "close"):
        body.close()
    return *(started[0] if started else (None, [])), content


def no_django(environ, start_response):
    return BY_DJANGO


def is_left_to_django(environ):
    return call(DownloadsFirst(no_django), environ)[2] == b"by Django"


@pytest.mark.parametrize("query", ["", "?redirect=0", "?disposition=inline", "?source=primary"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_answer_is_the_one_that_django_gives(
    site, cookie, settings, one_connection, method, query
):
    settings.LINK_STEP_SECONDS = 604_800 // 2
    path = f"/media/{site.media_file(content_type='video/mp4').pk}/download{query}"

    def answer(application):
        status, headers, body = call(application, environ_of(path, method, HTTP_COOKIE=cookie))
        return status, dict(headers), body

    status, headers, body = answer(DownloadsFirst(no_django))
    expected_status, expected_headers, expected_body = answer(WSGIHandler())
    assert status == expected_status
    assert body == expected_body
    assert headers.items() <= expected_headers.items()
    # What a redirect and JSON have no use for.
    of_pages = {"Content-Security-Policy", "Cross-Origin-Opener-Policy", "X-Frame-Options"}
    assert expected_headers.keys() - headers.keys() <= of_pages | {"Content-Type"}
    assert all(type(text) is str for pair in headers.items() for text in pair)


def test_a_configuration_named_in_any_language_is_in_the_header(site, cookie, one_connection):
    configurations = json.loads(site.values["s3_configuration"])
    configurations["東京"] = configurations.pop("sydney")
    site.prefer(s3_configuration=json.dumps(configurations), s3_bucket_for_replication="東京")
    environ = environ_of(f"/media/{site.media_file().pk}/download", HTTP_COOKIE=cookie)
    ours, djangos = (
        dict(call(application, dict(environ))[1])["X-Media-Source"]
        for application in (DownloadsFirst(no_django), WSGIHandler())
    )
    assert ours == djangos
    assert ours.isascii()


@pytest.mark.parametrize(
    ("method", "path", "extra"),
    [
        ("GET", "/", {}),
        ("GET", "/media/{}/source", {}),
        ("GET", "/media/{}/download/", {}),
        ("GET", "/media/{}/download%0A", {}),
        ("GET", "/media/٣/download", {}),
        ("GET", "/media/12345/download", {}),
        ("GET", "/media/9999999999999999999/download", {}),
        ("GET", f"/media/{'9' * 5000}/download", {}),  # more digits than Python reads
        ("GET", "/elsewhere/media/{}/download", {}),
        ("GET", "/media/{}/download?source=sydney", {}),
        ("POST", "/media/{}/download", {}),
        ("GET", "/media/{}/download", {"HTTP_COOKIE": ""}),
        ("GET", "/media/{}/download", {"HTTP_AUTHORIZATION": "Bearer shot_nonsense"}),
        ("GET", "/media/{}/download", {"HTTP_HOST": "evil.example.com"}),
        ("GET", "/media/{}/download", {"HTTP_HOST": "te st"}),
    ],
)
def test_what_gets_no_link_is_left_to_django(site, cookie, caplog, method, path, extra):
    path = path.format(site.media_file().pk)
    environ = environ_of(path, method, **{"HTTP_COOKIE": cookie} | extra)
    assert is_left_to_django(environ)
    assert not [record for record in caplog.records if record.name == "media.wsgi"]


def test_plain_http_is_left_to_django_where_https_is_insisted_on(site, cookie, settings):
    settings.SECURE_SSL_REDIRECT = True
    path = f"/media/{site.media_file().pk}/download"
    assert is_left_to_django(environ_of(path, HTTP_COOKIE=cookie))
    encrypted = environ_of(path, HTTP_COOKIE=cookie) | {"wsgi.url_scheme": "https"}
    assert not is_left_to_django(encrypted)
    by_proxy = {"HTTP_COOKIE": cookie, "HTTP_X_FORWARDED_PROTO": "https"}
    assert is_left_to_django(environ_of(path, **by_proxy))
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert not is_left_to_django(environ_of(path, **by_proxy))


def test_the_client_is_told_by_a_trusted_proxy_only(site, client, settings):
    client.force_login(site.person("auto"))
    environ = environ_of(
        f"/media/{site.media_file().pk}/download",
        HTTP_COOKIE=f"sessionid={Session.objects.get().session_key}",
        HTTP_X_FORWARDED_FOR="10.20.1.7",
    )

    def source():
        return dict(call(DownloadsFirst(no_django), dict(environ))[1])["X-Media-Source"]

    assert source() == "main; reason=address-not-listed"
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    assert source() == "sydney; reason=ready"


def test_addresses_without_a_path_are_left_to_django(site):
    environ = environ_of("/")
    del environ["PATH_INFO"]  # PEP 3333: may be absent
    assert is_left_to_django(environ)


@pytest.mark.parametrize("path", ["/média", "/映画"])
def test_a_site_below_a_path_in_any_language_says_who_has_to_log_in(site, one_connection, path):
    environ = environ_of(f"/media/{site.media_file().pk}/download")
    environ["SCRIPT_NAME"] = path.encode().decode("latin-1")  # as PEP 3333 wants it
    status, headers, _ = call(DownloadsFirst(WSGIHandler()), environ)
    assert status == "302 Found"
    assert dict(headers)["Location"].startswith(f"{quote(path)}/login/")


def test_a_query_that_django_refuses_is_no_failure_of_the_site(site, cookie, settings, caplog):
    settings.DATA_UPLOAD_MAX_NUMBER_FIELDS = 2
    path = f"/media/{site.media_file().pk}/download?a=1&a=1&a=1"
    assert is_left_to_django(environ_of(path, HTTP_COOKIE=cookie))
    assert not [record for record in caplog.records if record.name == "media.wsgi"]


@pytest.mark.parametrize("https_only", [False, True])
def test_django_is_asked_once_whatever_it_raises(site, settings, https_only):
    settings.SECURE_SSL_REDIRECT = https_only
    asked = []

    def fail(environ, start_response):
        asked.append(environ)
        raise ConnectionResetError("the client is gone")

    with pytest.raises(ConnectionResetError):
        call(DownloadsFirst(fail), environ_of(f"/media/{site.media_file().pk}/download"))
    assert len(asked) == 1


def test_what_was_refused_is_not_looked_up_again(site, cookie, one_connection):
    """A replica that is down is waited for once, though the primary cannot be used either."""
    media_file = site.media_file(configuration="gone")
    site.emulator.faults(SYDNEY, refuse=True)
    environ = environ_of(f"/media/{media_file.pk}/download", HTTP_COOKIE=cookie)
    with patch.object(downloads, "look_for_copy", wraps=downloads.look_for_copy) as look:
        status, _, body = call(DownloadsFirst(WSGIHandler()), environ)
    assert status == "503 Service Unavailable"
    assert "“gone” is not in S3 Configuration" in body.decode()
    assert look.call_count == 1


def test_a_failure_is_logged_and_left_to_django(site, cookie, monkeypatch, caplog):
    def fail(*arguments):
        raise OperationalError("the database is gone")

    monkeypatch.setattr(wsgi, "grant", fail)
    environ = environ_of(f"/media/{site.media_file().pk}/download", HTTP_COOKIE=cookie)
    with caplog.at_level(logging.ERROR, logger="media.wsgi"):
        assert is_left_to_django(environ)
    assert "the database is gone" in caplog.text


def test_a_database_that_is_gone_is_said_in_json(site, cookie, monkeypatch, one_connection):
    def fail(*arguments):
        raise OperationalError("the database is gone")

    monkeypatch.setattr("media.downloads.download_row", fail)
    path = f"/media/{site.media_file().pk}/download"
    environ = environ_of(path, HTTP_COOKIE=cookie, HTTP_ACCEPT="application/json")
    status, _, body = call(DownloadsFirst(WSGIHandler()), environ)
    assert status == "503 Service Unavailable"
    assert json.loads(body)["error"] == "database-down"


def test_a_database_out_of_reach_is_tried_once_here_and_once_by_django(
    site, cookie, transactional_db, monkeypatch
):
    """Each time may take `connect_timeout`, and a thread waits with it."""
    path = f"/media/{site.media_file().pk}/download"
    tries = []

    def connect():
        tries.append(path)
        raise OperationalError("timeout expired")

    connection.close()
    with monkeypatch.context() as patched:
        patched.setattr(connection, "connect", connect)
        status, _, _ = call(DownloadsFirst(WSGIHandler()), environ_of(path, HTTP_COOKIE=cookie))
    assert status == "503 Service Unavailable"
    assert len(tries) == 2


@pytest.mark.parametrize("drop", ["by the server", "by the driver"])
def test_downloads_alone_get_over_a_dropped_connection(site, cookie, transactional_db, drop):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no connection to drop")
    environ = environ_of(f"/media/{site.media_file().pk}/download", HTTP_COOKIE=cookie)
    assert not is_left_to_django(dict(environ))
    dropped = connection.connection
    if drop == "by the driver":
        dropped.close()
    else:
        other = connection.copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [dropped.info.backend_pid])
        other.close()
    assert not is_left_to_django(environ)
    assert connection.connection is not dropped


def test_a_replica_that_is_down_costs_nobody_a_download(site, cookie):
    media_file = site.media_file()
    site.emulator.faults(SYDNEY, refuse=True)
    environ = environ_of(f"/media/{media_file.pk}/download", HTTP_COOKIE=cookie)
    headers = dict(call(DownloadsFirst(no_django), environ)[1])
    assert headers["X-Media-Source"] == "main; reason=no-answer"


def test_the_site_serves_it():
    from shotmedia.wsgi import application

    assert isinstance(application, DownloadsFirst)
