"""Fixtures of the functional tests: the embedded S3, and a site that is set up for it."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test.client import ClientHandler
from django.urls import clear_script_prefix
from django.utils import timezone

from media import copies
from media.content_types import new_path
from media.models import MediaFile
from preferences import snapshot, tokens
from preferences.models import ApiToken, SitePreferences, User, UseS3Replication
from preferences.saving import save_preferences
from shotmedia.emulator import Bucket, Emulator
from tests.functional.site_client import answer_as_the_site

MAIN, SYDNEY = "studio-main", "studio-sydney"
CORS = [
    {
        "AllowedOrigins": ["http://testserver"],
        "AllowedMethods": ["GET", "HEAD", "PUT"],
        "AllowedHeaders": ["*"],
        "ExposeHeaders": ["ETag", "Content-Range"],
        "MaxAgeSeconds": 3000,
    }
]


@pytest.fixture(scope="session")
def emulator() -> Iterator[Emulator]:
    """One embedded S3 for all tests; objects are replicated by `emulator.replicate_due()`."""
    buckets = [
        Bucket(MAIN, "us-east-1"),
        Bucket(SYDNEY, "ap-southeast-2", replica_of=MAIN),
    ]
    with Emulator(
        buckets,
        lag=3600,
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
    ) as running:
        yield running


@pytest.fixture
def s3(emulator: Emulator) -> Iterator[Emulator]:
    """The embedded S3 without faults, with CORS for the test client's origin."""
    for bucket in (MAIN, SYDNEY):
        emulator.set_cors(bucket, CORS)
        _abort_uploads(emulator, bucket)
    yield emulator
    emulator.clear_faults()


def _abort_uploads(emulator: Emulator, bucket: str) -> None:
    """Forget the uploads that a test before has left unfinished."""
    client = emulator.s3(bucket)
    for upload in client.list_multipart_uploads(Bucket=bucket).get("Uploads", ()):
        client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


@pytest.fixture(autouse=True)
def _fresh_memory() -> None:
    """What a process remembers between requests is not carried from test to test."""
    snapshot.forget()
    copies.forget_circuits()
    tokens.forget_uses()


@pytest.fixture
def one_connection(db: None) -> Iterator[None]:
    """Requests that do not come from Django's test client keep the test's connection, too.

    What they leave of their own, the path that the site is below, ends with the test.
    """
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)
    clear_script_prefix()


@pytest.fixture(params=["before Django", "through Django"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test that uses it runs twice: downloads go the site's way, and the view's."""
    if request.param == "before Django":
        monkeypatch.setattr(ClientHandler, "__call__", answer_as_the_site)
    return request.param


@dataclass
class Site:
    """A site set up for the embedded S3, and shorthands to fill it."""

    emulator: Emulator
    values: dict = field(default_factory=dict)

    def prefer(self, **changes: object) -> None:
        """Save Site Preferences: the two configurations, with `changes`."""
        self.values |= changes
        save_preferences(self.values, SitePreferences.objects.get(pk=1).version, None)

    def person(self, mode: str = UseS3Replication.NO, **fields: object) -> User:
        """Make a person with `Use S3 Replication` = `mode`."""
        username = fields.pop("username", f"artist{User.objects.count()}")
        return User.objects.create_user(
            username, password="secret", use_s3_replication=mode, **fields
        )

    def token(self, person: User, **fields: object) -> str:
        """Make an API token of `person`; return the text that a script sends."""
        token = ApiToken(user=person, **{"name": "render farm"} | fields)
        text = tokens.new_secret(token)
        token.save()
        return text

    def media_file(
        self, *, age: float = 3600, body: bytes = b"frames", copied: bool = True, **fields: object
    ) -> MediaFile:
        """Put an object into the primary (and, when `copied`, the replica) and make its row."""
        name = fields.setdefault("name", "shot.mov")
        path = fields.setdefault("path", new_path(timezone.now(), name))
        for bucket in [MAIN, SYDNEY] if copied else [MAIN]:
            self.emulator.s3(bucket).put_object(Bucket=bucket, Key=f"shotmedia/{path}", Body=body)
        fields = {"kind": "video", "content_type": "video/quicktime", "etag": "e"} | fields
        return MediaFile.objects.create(
            size=len(body),
            configuration=fields.pop("configuration", "main"),
            completed_at=timezone.now() - timedelta(seconds=age),
            **fields,
        )


@pytest.fixture
def site(db: None, s3: Emulator) -> Site:
    """A site whose primary is "main" and whose replica is "sydney", with a delay of 60 s."""
    site = Site(s3)
    site.prefer(
        s3_configuration=json.dumps(
            {
                "main": {
                    "region": "us-east-1",
                    "bucket": MAIN,
                    "prefix": "shotmedia",
                    "endpoint_url": s3.endpoint_for(MAIN),
                },
                "sydney": {
                    "region": "ap-southeast-2",
                    "bucket": SYDNEY,
                    "prefix": "shotmedia",
                    "endpoint_url": s3.endpoint_for(SYDNEY),
                },
            }
        ),
        s3_bucket_for_replication="sydney",
        s3_replication_delay=60,
        s3_replication_ip_addresses="10.20.0.0/16",
        storage_location="main",
        verify_replica_copies=True,
    )
    return site
