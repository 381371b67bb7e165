"""The server's checks against the embedded S3, with faults."""

import json
import os
import time
from collections.abc import Iterator

import pytest

from shotmedia.emulator import Bucket, Emulator
from shotmedia.s3.config import BucketConfig
from shotmedia.s3.probe import CHECKS, check_configuration
from shotmedia.s3.probe_judgements import Finding
from tests.functional.tls import tls_server

SITE = "http://localhost:8000"
ROLE = "arn:aws:iam::123456789012:role/media"
DENIED_ROLE = "arn:aws:iam::123456789012:role/other"
CORS = {
    "AllowedOrigins": [SITE],
    "AllowedMethods": ["GET", "HEAD", "PUT"],
    "AllowedHeaders": ["*"],
    "ExposeHeaders": ["ETag", "Content-Range"],
}


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    """An S3 with STS, a role that asks for an external id, and a role that may not upload."""
    read_only = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}
        ],
    }
    with Emulator(
        [Bucket("media", "us-east-1"), Bucket("far", "ap-southeast-2", replica_of="media")],
        lag=3600,
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        roles={ROLE: "shared-id", DENIED_ROLE: {"policy": read_only}},
    ) as emulator:
        yield emulator


@pytest.fixture
def s3(running: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """The S3 without faults, its STS in use."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", running.endpoint)
    running.set_cors("media", [CORS])
    yield running
    running.clear_faults()
    running.set_list_bucket("media", True)
    for one in running.s3("media").list_object_versions(Bucket="media").get("Versions", ()):
        names = {"Key": one["Key"], "VersionId": one["VersionId"]}
        running.s3("media").delete_object(Bucket="media", **names)


def configured(s3: Emulator, **fields: str) -> BucketConfig:
    """The configuration of the bucket "media", with `fields`."""
    values = {
        "region": "us-east-1",
        "bucket": "media",
        "prefix": "studio",
        "endpoint_url": s3.endpoint_for("media"),
    }
    return BucketConfig.from_mapping("main", values | fields)


def check(config: BucketConfig, **options: object) -> dict[str, Finding]:
    """All findings by check."""
    return {f.check: f for f in check_configuration(config, SITE, **options)}


def statuses(findings: dict[str, Finding]) -> dict[str, str]:
    return {name: finding.status for name, finding in findings.items()}


def keys(s3: Emulator) -> list[str]:
    """All keys of the bucket, old versions too."""
    answer = s3.s3("media").list_object_versions(Bucket="media")
    return [one["Key"] for kind in ("Versions", "DeleteMarkers") for one in answer.get(kind, ())]


def test_everything_passes_and_nothing_stays(s3: Emulator) -> None:
    s3.s3("media").put_object(Bucket="media", Key="studio/2026/keep.mov", Body=b"frames")
    s3.log.clear()
    findings = check(configured(s3))
    assert list(findings) == [one.name for one in CHECKS]
    assert set(statuses(findings).values()) == {"pass", "skip"}
    assert {name for name, f in findings.items() if f.status == "skip"} == {"role", "tls"}
    assert all(f.ms is not None for f in findings.values() if f.status == "pass")
    touched = {record.key for record in s3.log if record.key}
    assert all(key.startswith("studio/.speedtest/runs/") for key in touched)
    assert keys(s3) == ["studio/2026/keep.mov"]


def test_a_role_is_assumed_and_narrowed(s3: Emulator) -> None:
    s3.log.clear()
    findings = check(configured(s3, aws_role_arn=ROLE, external_id="shared-id"))
    assert set(statuses(findings).values()) == {"pass", "skip"}
    assert "narrowed to media/studio/.speedtest/" in findings["role"].message
    puts = [record for record in s3.log if record.method == "PUT"]
    assert puts
    assert all("assumed-role/media/" in record.who for record in puts)


def test_a_refused_role_gives_both_policies(s3: Emulator) -> None:
    findings = check(configured(s3, aws_role_arn=ROLE, external_id="wrong-id"))
    role = findings["role"]
    assert (role.status, role.code) == ("fail", "AccessDenied")
    titles = [title for title, _ in role.documents]
    assert titles == ["Trust policy of the role", "Policy of the site's own identity"]
    trust = json.loads(role.documents[0][1])["Statement"][0]
    assert trust["Condition"]["StringEquals"]["sts:ExternalId"] == "wrong-id"
    assert findings["put"].status == "skip"
    assert "“Role” did not pass" in findings["put"].message
    # What needs no signature is checked all the same.
    assert findings["bucket"].status == "pass"
    assert findings["cors"].status == "pass"


def test_a_role_that_may_not_upload(s3: Emulator) -> None:
    findings = check(configured(s3, aws_role_arn=DENIED_ROLE))
    assert findings["put"].status == "fail"
    assert "the role's policy does not allow it" in findings["put"].message
    assert "studio/*" in findings["put"].documents[0][1]


def test_a_read_only_replica_is_checked_with_the_seed(s3: Emulator) -> None:
    path = ".speedtest/seed-2048B-v1.bin"
    s3.s3("media").put_object(Bucket="media", Key=f"studio/{path}", Body=b"s" * 2048)
    config = configured(s3, aws_role_arn=DENIED_ROLE)
    findings = check(config, download_only=True, fallback_path=path)
    assert findings["put"].status == "warn"
    assert "fine for a replica" in findings["put"].message
    assert statuses(findings)["get"] == statuses(findings)["range"] == "pass"
    assert findings["multipart"].status == "skip"
    s3.s3("media").delete_object(Bucket="media", Key=f"studio/{path}")
    missing = check(config, download_only=True, fallback_path=path)
    assert "has not been replicated" in missing["get"].message


def test_a_replica_is_content_with_the_rules_that_are_given_to_paste(s3: Emulator) -> None:
    s3.set_cors("media", [])
    findings = check(configured(s3), download_only=True)
    pasted = json.loads(findings["cors"].documents[0][1])
    assert "PUT" not in pasted[0]["AllowedMethods"]
    s3.set_cors("media", pasted)
    findings = check(configured(s3), download_only=True)
    assert statuses(findings)["cors"] == statuses(findings)["exposed"] == "pass"


def test_cors_removed(s3: Emulator) -> None:
    s3.set_cors("media", [])
    findings = check(configured(s3))
    assert findings["cors"].status == "fail"
    assert "has no CORS rules" in findings["cors"].message
    assert json.loads(findings["cors"].documents[0][1])[0]["AllowedOrigins"] == [SITE]
    assert findings["exposed"].status == "skip"
    assert findings["get"].status == "pass"


@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        ({"AllowedMethods": ["GET", "HEAD"]}, "cors", "but not PUT"),
        ({"AllowedOrigins": ["https://other.example"]}, "cors", "none for this site's origin"),
        ({"AllowedHeaders": []}, "cors", "request headers content-type and x-amz-checksum"),
        ({"AllowedOrigins": ["*"]}, "cors", "wildcard"),
        ({"ExposeHeaders": ["Content-Range"]}, "exposed", "may not read ETag"),
        ({"ExposeHeaders": ["ETag"]}, "exposed", "may not read Content-Range"),
    ],
)
def test_cors_faults(s3: Emulator, change: dict, name: str, words: str) -> None:
    s3.set_cors("media", [CORS | change])
    findings = check(configured(s3))
    assert findings[name].status in ("fail", "warn")
    assert words in findings[name].message
    assert findings[name].documents


def test_the_wrong_region(s3: Emulator) -> None:
    findings = check(configured(s3, region="ap-southeast-2"))
    assert findings["bucket"].status == "fail"
    assert "is in us-east-1; the configuration says ap-southeast-2" in findings["bucket"].message
    assert "“Bucket and region” did not pass" in findings["put"].message


def test_a_missing_bucket(s3: Emulator) -> None:
    findings = check(configured(s3, bucket="nowhere", endpoint_url=s3.endpoint))
    assert findings["bucket"].code == "NoSuchBucket"


def test_downloads_denied(s3: Emulator) -> None:
    s3.faults("media", status=403, methods=["GET"], key="server-1k")
    findings = check(configured(s3))
    assert findings["put"].status == "pass"
    assert findings["get"].status == "fail"
    assert "Uploads work, downloads are denied" in findings["get"].message
    assert "NotIpAddress" in findings["get"].fix
    assert findings["range"].status == "skip"
    assert findings["multipart"].status == "pass"
    assert findings["cleanup"].status == "pass"


def test_a_refused_abort(s3: Emulator) -> None:
    s3.faults("media", status=403, methods=["DELETE"], key="server-aborted")
    finding = check(configured(s3))["multipart"]
    assert "may not abort" in finding.message


def test_a_refused_connection(s3: Emulator) -> None:
    s3.faults("media", refuse=True)
    findings = check(configured(s3))
    assert findings["tls"].status == "fail"
    assert "refused the connection" in findings["tls"].message
    assert findings["clock"].status == "skip"
    assert {findings[name].status for name in ("bucket", "put", "cors", "cleanup")} == {"skip"}


def test_a_wrong_clock(s3: Emulator) -> None:
    findings = check(configured(s3), clock=lambda: time.time() - 1020)
    assert findings["clock"].status == "fail"
    assert "17 min behind" in findings["clock"].message
    assert "“Clock” did not pass" in findings["put"].message
    assert findings["cors"].status == "pass"
    late = check(configured(s3), clock=lambda: time.time() + 120)
    assert late["clock"].status == "warn"
    assert late["put"].status == "pass"


def test_no_credentials(s3: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = check(configured(s3, profile="nobody"))
    assert findings["credentials"].status == "fail"
    assert "no AWS identity" in findings["credentials"].message
    assert findings["cors"].status == "pass"


def test_unknown_name(s3: Emulator) -> None:
    findings = check(configured(s3, endpoint_url="http://s3.invalid:9000"))
    assert findings["dns"].status == "fail"
    assert "cannot look up s3.invalid" in findings["dns"].message
    assert "“Name look-up” did not pass" in findings["bucket"].message


def test_a_vpc_endpoint_that_only_browsers_can_look_up_is_a_warning(s3: Emulator) -> None:
    name = "vpce-0-none.s3.us-east-1.vpce.amazonaws.com"
    endpoint = s3.endpoint_for("media").replace("127.0.0.1", "localhost")
    config = configured(s3, s3_interface_vpc_endpoint_dns_name=name, endpoint_url=endpoint)
    findings = check(config)
    assert findings["dns"].status == "warn"
    assert "the browser's result decides" in findings["dns"].message
    assert findings["put"].status == "pass"


def test_clean_up_without_the_right_to_list(s3: Emulator) -> None:
    s3.set_list_bucket("media", False)
    findings = check(configured(s3))
    assert findings["cleanup"].status == "warn"
    s3.set_list_bucket("media", True)
    assert [key for key in keys(s3) if "/runs/" in key] == []


def test_objects_that_cannot_be_removed_are_named(s3: Emulator) -> None:
    s3.faults("media", status=403, methods=["DELETE"], key="server-1k")
    finding = check(configured(s3))["cleanup"]
    assert finding.status == "fail"
    assert "server-1k.bin" in finding.message
    assert "speedtest-runs" in finding.documents[0][1]


def test_whoever_stops_listening_leaves_nothing_behind(s3: Emulator) -> None:
    findings = check_configuration(configured(s3), SITE, run_path=".speedtest/runs/half/")
    for finding in findings:
        if finding.check == "get":
            break
    assert any("/runs/half/" in key for key in keys(s3))
    findings.close()
    assert not any("/runs/half/" in key for key in keys(s3))


def test_the_time_limit(s3: Emulator) -> None:
    findings = check(configured(s3), seconds=0)
    assert findings["put"].status == "skip"
    assert [key for key in keys(s3) if "/runs/" in key] == []


def test_a_proxy_that_signs_tls_itself_is_named(s3: Emulator) -> None:
    with tls_server("localhost", issuer="Inspecting Proxy CA") as origin:
        findings = check(configured(s3, endpoint_url=origin))
    assert findings["tls"].status == "fail"
    assert "Inspecting Proxy CA" in findings["tls"].message
    assert "“Connection and TLS” did not pass" in findings["bucket"].message
