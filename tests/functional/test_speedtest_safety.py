"""What a speed test cannot do, and what it leaves: nothing."""

import json
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from io import StringIO
from types import SimpleNamespace

import pytest
import requests
from botocore.exceptions import ClientError
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from preferences.models import User
from shotmedia.emulator import Emulator
from shotmedia.s3.config import BucketConfig
from shotmedia.s3.presign import Signer
from shotmedia.s3.probe import test_credentials as credentials_of_test
from shotmedia.s3.probe_cleanup import RUNS_PATH
from speedtest.models import SpeedTestRun
from tests.functional import test_speedtest_faults
from tests.functional.conftest import MAIN, SYDNEY, Site
from tests.functional.test_preferences_saving import in_threads
from tests.functional.test_speedtest_views import empty

SITE = "http://testserver"
ROLE = test_speedtest_faults.ROLE
running = test_speedtest_faults.running
"""An S3 with a role that may do everything."""


# --- A leaked credential or link ------------------------------------------------------------


@pytest.fixture
def narrowed(running: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketConfig]:
    """A configuration whose role may do everything, beside media of somebody."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", running.endpoint)
    s3 = running.s3("media")
    for key in ("studio/2026/shot.mov", "studio/.speedtest/runs/1/a.bin"):
        s3.put_object(Bucket="media", Key=key, Body=b"frames")
    yield BucketConfig.from_mapping(
        "main",
        {"region": "us-west-2", "bucket": "media", "prefix": "studio", "aws_role_arn": ROLE,
         "external_id": "shared-id", "endpoint_url": running.endpoint_for("media")},
    )  # fmt: skip
    for one in s3.list_objects_v2(Bucket="media").get("Contents", ()):
        s3.delete_object(Bucket="media", Key=one["Key"])


MEDIA, TEST = "studio/2026/shot.mov", "studio/.speedtest/runs/1/a.bin"


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("get_object", {"Key": MEDIA}),
        ("head_object", {"Key": MEDIA}),
        ("put_object", {"Key": MEDIA, "Body": b"x"}),
        ("put_object", {"Key": "studio/.speedtest-not/a", "Body": b"x"}),
        ("delete_object", {"Key": MEDIA}),
        ("create_multipart_upload", {"Key": MEDIA}),
        ("copy_object", {"Key": TEST, "CopySource": f"media/{MEDIA}"}),
        ("list_objects_v2", {"Prefix": "studio/2026/"}),
        ("list_objects_v2", {"Prefix": "studio/"}),
        ("list_objects_v2", {}),
        ("list_object_versions", {"Prefix": "studio/2026/"}),
        ("get_bucket_policy", {}),
        ("put_bucket_cors", {"CORSConfiguration": {"CORSRules": []}}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_the_credentials_of_a_test_cannot_reach_media(
    narrowed: BucketConfig,
    running: Emulator,
    call: str,
    arguments: dict,
) -> None:
    held = credentials_of_test(narrowed).get()
    s3 = running.s3(
        "media",
        aws_access_key_id=held.access_key,
        aws_secret_access_key=held.secret_key,
        aws_session_token=held.token,
    )
    with pytest.raises(ClientError) as refused:
        getattr(s3, call)(Bucket="media", **arguments)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_the_credentials_of_a_test_do_reach_its_own_objects(
    narrowed: BucketConfig,
    running: Emulator,
) -> None:
    held = credentials_of_test(narrowed).get()
    s3 = running.s3(
        "media",
        aws_access_key_id=held.access_key,
        aws_secret_access_key=held.secret_key,
        aws_session_token=held.token,
    )
    assert s3.get_object(Bucket="media", Key=TEST)["Body"].read() == b"frames"
    s3.put_object(Bucket="media", Key=TEST, Body=b"new")
    upload = s3.create_multipart_upload(Bucket="media", Key=TEST)["UploadId"]
    s3.list_parts(Bucket="media", Key=TEST, UploadId=upload)
    s3.abort_multipart_upload(Bucket="media", Key=TEST, UploadId=upload)
    found = s3.list_objects_v2(Bucket="media", Prefix="studio/.speedtest/runs/")["Contents"]
    assert [one["Key"] for one in found] == [TEST]
    s3.delete_object(Bucket="media", Key=TEST)


def test_a_link_of_a_test_opens_nothing_else(narrowed: BucketConfig) -> None:
    signer = Signer(narrowed, credentials_of_test(narrowed))
    url = signer.sign("GET", ".speedtest/runs/1/a.bin", 900).url
    assert requests.get(url, timeout=5).content == b"frames"
    elsewhere = url.replace(".speedtest/runs/1/a.bin", "2026/shot.mov")
    assert requests.get(elsewhere, timeout=5).status_code == 403
    # Not even a link that somebody signs with the test's own credentials.
    forged = signer.sign("GET", "2026/shot.mov", 900).url
    assert requests.get(forged, timeout=5).status_code == 403


# --- Tests that were left -------------------------------------------------------------------


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_superuser("ada", "ada@studio.test", "secret")


@pytest.fixture
def client(ada: User) -> Client:
    client = Client()
    client.force_login(ada)
    return client


def post(client: Client, url: str, body: dict | None = None):
    return client.post(url, json.dumps(body or {}), "application/json", headers={"Origin": SITE})


def begin(client: Client, name: str = "main") -> dict[str, str]:
    answer = post(client, reverse("speedtest:start"), {"configuration": name, "mode": "quick"})
    assert answer.status_code == 200, answer.content
    return answer.json()["urls"]


def below_runs(site: Site, bucket: str) -> list[str]:
    """Everything below .speedtest/runs/: versions, delete markers and unfinished uploads."""
    s3, prefix = site.emulator.s3(bucket), f"shotmedia/{RUNS_PATH}"
    answer = s3.list_object_versions(Bucket=bucket, Prefix=prefix)
    found = [one for kind in ("Versions", "DeleteMarkers") for one in answer.get(kind, ())]
    found += s3.list_multipart_uploads(Bucket=bucket, Prefix=prefix).get("Uploads", ())
    return [one["Key"] for one in found]


@pytest.fixture
def left(client: Client, site: Site) -> SpeedTestRun:
    """A test of somebody else whose laptop was closed 11 minutes ago; no beacon ever came."""
    empty(site)
    eve = User.objects.create_superuser("eve", "eve@studio.test", "secret")
    hers = Client()
    hers.force_login(eve)
    prepared = post(hers, begin(hers)["prepare"]).getvalue().splitlines()[-1]
    url = json.loads(prepared)["links"]["put"]["url"]
    assert requests.put(url, data=b"x" * 1024, timeout=5).status_code == 200
    SpeedTestRun.objects.update(started_at=timezone.now() - timedelta(minutes=11))
    run = SpeedTestRun.objects.get()
    found = below_runs(site, MAIN)
    assert len([key for key in found if key.endswith("/multipart.bin")]) == 1
    assert any(key.endswith("/put-1k.bin") for key in found)
    return run


def test_the_next_start_by_anybody_cleans_up_after_a_closed_tab(
    client: Client, site: Site, left: SpeedTestRun
) -> None:
    begin(client, "sydney")
    left.refresh_from_db()
    assert (left.state, left.verdict_status) == ("left", "warn")
    assert "page was closed" in left.verdict
    assert "a look afterwards found nothing" in left.cleanup[0]["message"]
    assert not any(left.path in key for key in below_runs(site, MAIN))


def test_a_test_that_still_runs_is_left_alone(client: Client, site: Site) -> None:
    eve = User.objects.create_superuser("eve", "eve@studio.test", "secret")
    hers = Client()
    hers.force_login(eve)
    begin(hers)
    SpeedTestRun.objects.update(started_at=timezone.now() - timedelta(minutes=9))
    begin(client)
    assert SpeedTestRun.objects.filter(state="running").count() == 2


def test_a_left_test_of_a_configuration_that_is_gone_is_told(
    client: Client, site: Site, left: SpeedTestRun
) -> None:
    configurations = json.loads(site.values["s3_configuration"])
    configurations["main"]["prefix"] = "elsewhere"
    site.prefer(s3_configuration=json.dumps(configurations))
    begin(client, "sydney")
    left.refresh_from_db()
    assert left.state == "left"
    assert f"what the test left in {MAIN} below {left.path}" in left.verdict


def test_the_sweep_ends_left_tests_and_removes_what_is_old(
    site: Site, left: SpeedTestRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    young = f"shotmedia/{RUNS_PATH}somebody/young.bin"
    site.emulator.s3(MAIN).put_object(Bucket=MAIN, Key=young, Body=b"x")
    out = StringIO()
    call_command("speedtest_sweep", stdout=out)
    left.refresh_from_db()
    assert left.state == "left"
    assert f"Ended the test of {left}" in out.getvalue()
    assert [key for key in below_runs(site, MAIN) if left.path in key] == []
    # Somebody may be testing right now.
    assert young in below_runs(site, MAIN)
    # An hour later it was left behind. Media and the seed are no test objects.
    media = site.media_file()
    seed = "shotmedia/.speedtest/seed-64MiB-v1.bin"
    site.emulator.s3(MAIN).put_object(Bucket=MAIN, Key=seed, Body=b"seed")
    later = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%S")
    monkeypatch.setattr("speedtest.steps._an_hour_ago", lambda: later)
    out = StringIO()
    call_command("speedtest_sweep", stdout=out)
    assert below_runs(site, MAIN) == []
    assert f"main: 1 test object (1 bytes) removed from “main” ({MAIN})" in out.getvalue()
    assert f"There was nothing to remove from “sydney” ({SYDNEY})" in out.getvalue()
    for key in (f"shotmedia/{media.path}", seed):
        assert site.emulator.s3(MAIN).head_object(Bucket=MAIN, Key=key)


def test_a_sweep_that_could_not_clean_says_so(site: Site, left: SpeedTestRun) -> None:
    site.emulator.faults(MAIN, status=403, methods=["DELETE"])
    errors = StringIO()
    with pytest.raises(CommandError, match="could not be cleaned up"):
        call_command("speedtest_sweep", stdout=StringIO(), stderr=errors)
    assert "could not be removed" in errors.getvalue()


def test_what_of_earlier_tests_cannot_be_removed_is_told(client: Client, site: Site) -> None:
    post(client, begin(client)["finish"], {"state": "left"})
    run = SpeedTestRun.objects.get()
    key = f"shotmedia/{run.path}browser/up-0-131072.bin"
    site.emulator.s3(MAIN).put_object(Bucket=MAIN, Key=key, Body=b"late")
    site.emulator.faults(MAIN, status=403, methods=["DELETE"], key="up-0-")
    cleanup = post(client, begin(client)["finish"], {"state": "done"}).json()["cleanup"][0]
    assert cleanup["status"] == "fail"
    assert "1 of earlier tests could not be removed" in cleanup["message"]


def test_replicated_test_objects_give_the_rules_that_spare_it(client: Client, site: Site) -> None:
    urls = begin(client)
    post(client, urls["prepare"]).getvalue()
    site.emulator.replicate_due(everything=True)
    cleanup = post(client, urls["finish"], {"state": "done"}).json()["cleanup"]
    assert cleanup[0]["documents"] == []
    title, text = cleanup[1]["documents"][0]
    assert "Replication rules" in title
    assert [rule["Filter"]["Prefix"] for rule in json.loads(text)] == [
        "shotmedia/2",
        "shotmedia/.speedtest/seed-",
    ]


# --- One at a time --------------------------------------------------------------------------


def test_two_starts_at_the_same_moment_begin_one_test(
    transactional_db: None,
    site: Site,
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both have looked, and found no running test, before either begins one."""
    both_looked = threading.Barrier(2, timeout=20)

    def atomic() -> AbstractContextManager[None]:
        both_looked.wait()
        return transaction.atomic()

    monkeypatch.setattr("speedtest.views.transaction", SimpleNamespace(atomic=atomic))
    body = {"configuration": "main", "mode": "quick"}
    start = reverse("speedtest:start")
    answers = in_threads(2, lambda _: post(client, start, body))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert "just been started in another tab" in refused.json()["message"]
    assert SpeedTestRun.objects.count() == 1
