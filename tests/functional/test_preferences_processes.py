"""Two processes of the site on one database: what one saves, the other's next request knows."""

import json
import os
import subprocess
import sys

import pytest
from django.conf import settings
from django.db import connection

from media.models import MediaFile
from preferences.models import ApiToken, User


class Process:
    """tests.functional.process, asked by an API token."""

    def __init__(self, database_url, token):
        self.headers = {"Authorization": f"Bearer {token}"}
        environment = os.environ | {
            "DATABASE_URL": database_url,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
        }
        self.running = subprocess.Popen(
            [sys.executable, "-m", "tests.functional.process"],
            cwd=settings.BASE_DIR,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, path, method="get", body="", **headers):
        asked = {
            "method": method,
            "path": path,
            "body": body,
            "headers": self.headers | headers,
        }
        self.running.stdin.write(json.dumps(asked) + "\n")
        self.running.stdin.flush()
        return json.loads(self.running.stdout.readline())

    def end(self):
        self.running.stdin.close()
        self.running.wait(timeout=30)
        self.running.stdout.close()


def database_url():
    """Return the address of the test database."""
    given = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{given['NAME']}"
    return f"postgres://{given['USER']}@{given['HOST']}:{given['PORT']}/{given['NAME']}"


@pytest.fixture
def processes(transactional_db, site):
    person = site.person("yes", is_superuser=True, is_staff=True)
    token = site.token(person)
    # The delay alone decides, so that no statement of a check is counted.
    site.prefer(verify_replica_copies=False)
    site.media_file(pk=42)
    running = [Process(database_url(), token) for _ in range(2)]
    yield running
    for process in running:
        process.end()


def test_a_save_in_one_process_is_seen_by_the_next_request_in_the_other(processes):
    one, other = processes
    assert (User.objects.count(), ApiToken.objects.count(), MediaFile.objects.count()) == (1, 1, 1)
    first = other.ask("/media/42/download")
    assert first["headers"]["X-Media-Source"] == "sydney; reason=delay-over"
    assert first["parsed"] == [2]
    again = other.ask("/media/42/download")
    # One statement, which brings the version along; nothing is parsed again.
    assert (len(again["statements"]), again["parsed"]) == (1, [])
    assert "preferences_sitepreferences" in again["statements"][0]

    saved = one.ask(
        "/api/preferences/", "patch", '{"s3_replication_delay": 100000}', **{"If-Match": '"2"'}
    )
    assert (saved["status"], saved["headers"]["ETag"]) == (200, '"3"')

    changed = other.ask("/media/42/download")
    assert changed["headers"]["X-Media-Source"] == "main; reason=too-fresh"
    assert changed["parsed"] == [3]
    settled = other.ask("/media/42/download")
    assert (len(settled["statements"]), settled["parsed"]) == (1, [])
    # Elsewhere the preferences cost one read of their version.
    page = other.ask("/media/42/source")
    assert page["status"] == 200
    assert json.loads(page["body"])["reason"] == "too-fresh"
    assert sum("sitepreferences" in sql for sql in page["statements"]) == 1
    assert page["parsed"] == []
