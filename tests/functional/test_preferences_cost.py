"""What reading Site Preferences costs a request: at most one indexed read, and no parsing."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from preferences import snapshot
from preferences.models import SitePreferences

PAGES = [
    "/",
    "/media/{media}/",
    "/media/{media}/source",
    "/media/{media}/download",
    "/upload/",
    "/account/",
    "/admin/",
    "/admin/speedtest",
    "/admin/preferences/user/",
    "/admin/preferences/user/{user}/change/",
    "/admin/preferences/sitepreferences/1/change/",
    "/admin/preferences/sitepreferences/1/history/",
    "/api/preferences/",
]


@pytest.fixture
def admin(site):
    return site.person("auto", is_staff=True, is_superuser=True)


@pytest.fixture
def parsed(monkeypatch):
    """The versions that were parsed since the test began."""
    versions, parse = [], snapshot.parse
    monkeypatch.setattr(snapshot, "parse", lambda row: versions.append(row.version) or parse(row))
    return versions


def reads(client, url, **headers):
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url, **headers).status_code in (200, 302)
    return [q["sql"] for q in captured if "preferences_sitepreferences" in q["sql"]]


@pytest.mark.parametrize("replica", ["sydney", ""])
@pytest.mark.parametrize("url", PAGES)
def test_a_page_reads_the_preferences_once_and_parses_nothing(
    site, client, admin, parsed, url, replica
):
    site.prefer(s3_bucket_for_replication=replica)
    url = url.format(media=site.media_file().pk, user=admin.pk)
    client.force_login(admin)
    client.get(url)
    parsed.clear()
    found = reads(client, url)
    assert len(found) <= 1
    # By the primary key: alone, or joined to the download's row.
    assert all('."id" = 1' in sql or "p.id = 1" in sql for sql in found)
    assert parsed == []


@pytest.mark.parametrize("url", [url for url in PAGES if url.startswith(("/media/", "/api/"))])
def test_so_it_is_by_token(site, admin, parsed, url):
    url = url.format(media=site.media_file().pk, user=admin.pk)
    client, headers = Client(), {"HTTP_AUTHORIZATION": f"Bearer {site.token(admin)}"}
    client.get(url, **headers)
    parsed.clear()
    assert len(reads(client, url, **headers)) <= 1
    assert parsed == []


@pytest.mark.parametrize("url", ["/", "/account/", "/media/{media}/download", "/api/preferences/"])
def test_each_version_is_parsed_once_in_a_process(site, client, admin, parsed, url):
    url = url.format(media=site.media_file().pk)
    client.force_login(admin)
    client.get(url)
    parsed.clear()
    # As another process saves: nothing tells this one but the row itself.
    version = SitePreferences.objects.get().version + 1
    SitePreferences.objects.update(s3_replication_delay=120, version=version)
    for _ in range(3):
        client.get(url)
    assert parsed == [version]
    assert snapshot.current_preferences().delay == 120
