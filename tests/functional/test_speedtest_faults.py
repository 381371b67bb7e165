"""Each row of the table of checks, server's column: provoked, named, and with the remedy.

"Speed test reference", section 8. The embedded S3 suffers the fault; a case says which check has
to name it, with which code, and what its fix and its documents have to hold.
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from shotmedia.emulator import Bucket, Emulator, Role
from shotmedia.s3.config import BucketConfig
from shotmedia.s3.probe import check_configuration
from shotmedia.s3.probe_judgements import Finding
from tests.functional.tls import self_signed, tls_server

SITE = "https://media.studio.example.com"
ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/media"
CALLER = f"arn:aws:iam::{ACCOUNT}:user/emulator"
OBJECTS = "arn:aws:s3:::media/studio/*"
CORS = {
    "AllowedOrigins": [SITE],
    "AllowedMethods": ["GET", "HEAD", "PUT"],
    "AllowedHeaders": ["*"],
    "ExposeHeaders": ["ETag", "Content-Range"],
}
ALL = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion",
       "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")  # fmt: skip


def policy(*actions: str) -> dict[str, Any]:
    """A role's policy: these actions on the objects, and lists."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": list(actions), "Resource": OBJECTS},
            {"Effect": "Allow", "Resource": "arn:aws:s3:::media",
             "Action": ["s3:ListBucket", "s3:ListBucketVersions",
                        "s3:ListBucketMultipartUploads"]},
        ],
    }  # fmt: skip


def role(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


ROLES = {
    ROLE: "shared-id",
    role("short"): Role(max_session=1800),
    role("no-put"): {"policy": policy(*[a for a in ALL if a != "s3:PutObject"])},
    role("no-get"): {"policy": policy(*[a for a in ALL if a != "s3:GetObject"])},
    role("no-abort"): {"policy": policy(*[a for a in ALL if "Abort" not in a])},
    role("no-parts"): {"policy": policy(*[a for a in ALL if "Parts" not in a])},
    role("no-delete"): {"policy": policy(*[a for a in ALL if "Delete" not in a])},
}


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with Emulator(
        [Bucket("media", "us-west-2"), Bucket("plain", "us-west-2", versioning=False)],
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        roles=ROLES,
    ) as emulator:
        yield emulator


@pytest.fixture
def s3(running: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", running.endpoint)
    running.set_cors("media", [CORS])
    yield running
    running.clear_faults()
    running.clock_offset = 0.0
    client = running.s3("media")
    client.delete_bucket_policy(Bucket="media")
    for one in client.list_objects_v2(Bucket="media").get("Contents", ()):
        client.delete_object(Bucket="media", Key=one["Key"])
    for one in client.list_multipart_uploads(Bucket="media").get("Uploads", ()):
        names = {"Key": one["Key"], "UploadId": one["UploadId"]}
        client.abort_multipart_upload(Bucket="media", **names)


def findings(s3: Emulator, **fields: Any) -> dict[str, Finding]:
    """All findings of the bucket "media" by check; `fields` of the configuration."""
    clock = fields.pop("clock", time.time)
    values = {
        "region": "us-west-2",
        "bucket": "media",
        "prefix": "studio",
        "endpoint_url": s3.endpoint_for("media"),
    } | fields
    config = BucketConfig.from_mapping("main", values)
    return {f.check: f for f in check_configuration(config, SITE, clock=clock)}


def deny(s3: Emulator, *actions: str, **condition: Any) -> None:
    """A bucket policy that denies actions on the objects, as studios have them."""
    statement = {
        "Effect": "Deny", "Principal": "*", "Action": list(actions), "Resource": OBJECTS,
        "Condition": condition or {"NotIpAddress": {"aws:SourceIp": ["203.0.113.0/24"]}},
    }  # fmt: skip
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    s3.s3("media").put_bucket_policy(Bucket="media", Policy=document)


Provoke = Callable[[Emulator], dict[str, Any] | None]


def fault(**words: Any) -> Provoke:
    def provoke(s3: Emulator) -> None:
        s3.faults("media", **words)

    return provoke


def rules(**change: Any) -> Provoke:
    def provoke(s3: Emulator) -> None:
        s3.set_cors("media", [CORS | change] if change else [])

    return provoke


def fields(**given: Any) -> Provoke:
    return lambda s3: given


def denied(*actions: str) -> Provoke:
    return lambda s3: deny(s3, *actions)


def skewed(seconds: float) -> Provoke:
    def provoke(s3: Emulator) -> None:
        s3.clock_offset = seconds

    return provoke


@dataclass(frozen=True)
class Case:
    """A fault and what has to be said about it. `document`: words that the texts to paste hold."""

    id: str
    provoke: Provoke
    check: str
    status: str
    code: str
    message: str
    fix: str
    document: tuple[str, ...] = field(default=())


KMS_TEXT = (
    f"User: {ROLE} is not authorized to perform: kms:GenerateDataKey on resource: "
    f"arn:aws:kms:us-west-2:{ACCOUNT}:key/1 because no identity-based policy allows the "
    "kms:GenerateDataKey action"
)
SCP_TEXT = (
    "not authorized to perform: s3:PutObject with an explicit deny in a service control policy"
)
LOCK_TEXT = (
    "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object "
    "Lock parameters"
)
VPCE = "vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com"
CLI = '"CORSRules"'

CASES = [
    # 1: what the text itself shows.
    Case("endpoint-in-another-region",
         fields(s3_interface_vpc_endpoint_dns_name=VPCE, endpoint_url=""), "configuration", "warn",
         "", "“region” says us-west-2, but the VPC endpoint is in us-east-1",
         "paste the entry below into S3 Configuration",
         ('"main"', '"region": "us-east-1"', '"bucket": "media"', '"prefix": "studio"')),
    # 2: the clock.
    Case("clock-behind", skewed(1020), "clock", "fail", "RequestTimeTooSkewed",
         "17 min behind S3's; every signed link is refused", "chrony"),
    Case("clock-ahead-a-little", skewed(-120), "clock", "warn", "", "2 min ahead of", "NTP"),
    # 4: the role.
    Case("wrong-external-id", fields(aws_role_arn=ROLE, external_id="wrong"), "role", "fail",
         "AccessDenied", f"AWS refused the role {ROLE} for {CALLER}", "Trust relationships",
         (CALLER, '"sts:ExternalId": "wrong"', '"sts:AssumeRole"', ROLE)),
    Case("no-such-role", fields(aws_role_arn=role("gone")), "role", "fail", "AccessDenied",
         f"AWS refused the role {role('gone')} for {CALLER}", "permissions of the site's own",
         (CALLER, role("gone"))),
    Case("short-session", fields(aws_role_arn=role("short")), "role", "fail", "ValidationError",
         "MaxSessionDuration", "maximum session duration to at least one hour"),
    # 5: names.
    Case("unknown-name", fields(endpoint_url="http://s3.nowhere.invalid:9000"), "dns", "fail", "",
         "cannot look up s3.nowhere.invalid", "resolver"),
    # 6: connection.
    Case("refused", fault(refuse=True), "tls", "fail", "", "refused the connection",
         "Let this server connect"),
    # 7: bucket and region.
    Case("wrong-region", fields(region="us-east-1"), "bucket", "fail", "301",
         "media is in us-west-2; the configuration says us-east-1", "Use us-west-2",
         ('"main"', '"region": "us-west-2"', '"prefix": "studio"')),
    Case("wrong-region-by-400",
         fault(status=400, code="AuthorizationHeaderMalformed", methods=["HEAD"],
               headers={"x-amz-bucket-region": "eu-west-1"}),
         "bucket", "fail", "400", "media is in eu-west-1", "Use eu-west-1",
         ('"region": "eu-west-1"',)),
    Case("no-bucket", lambda s3: {"bucket": "nowhere", "endpoint_url": s3.endpoint}, "bucket",
         "fail", "NoSuchBucket", "There is no bucket nowhere", "create the bucket in us-west-2"),
    # 8: uploads.
    Case("put-denied-by-role", fields(aws_role_arn=role("no-put")), "put", "fail", "AccessDenied",
         f"{role('no-put')} may not upload in s3://media/studio: the role's policy does not allow",
         "policy below", (OBJECTS, '"s3:prefix": "studio/*"', "s3:PutObject")),
    Case("put-denied-by-bucket", denied("s3:PutObject"), "put", "fail", "AccessDenied",
         "the bucket's policy denies it", "Find the Deny statement in the bucket policy"),
    Case("put-denied-by-organisation", fault(status=403, methods=["PUT"], message=SCP_TEXT), "put",
         "fail", "AccessDenied", "a service control policy", "organisation"),
    Case("kms", fault(status=403, methods=["PUT"], message=KMS_TEXT), "put", "fail",
         "AccessDenied", "encrypted with a KMS key", "statement below",
         ("kms:GenerateDataKey", "s3.us-west-2.amazonaws.com")),
    Case("object-lock", fault(status=400, code="InvalidRequest", methods=["PUT"],
                              message=LOCK_TEXT),
         "put", "fail", "InvalidRequest", "media has Object Lock with a default retention",
         "default retention off"),
    Case("slow-down", fault(status=503, methods=["PUT"]), "put", "fail", "SlowDown",
         "fewer requests", "Try again in a minute"),
    Case("proxy-413", fault(status=413, code="EntityTooLarge", methods=["PUT"]), "put", "fail",
         "EntityTooLarge", "refuses bodies of this size", "raise the limit of the proxy"),
    # 9: downloads.
    Case("get-denied-by-bucket", denied("s3:GetObject*"), "get", "fail", "AccessDenied",
         "Uploads work, downloads are denied from this server's address", "NotIpAddress",
         (OBJECTS, "s3:GetObject*", "ADDRESS-OF-THIS-SERVER/32")),
    Case("head-denied-by-bucket", denied("s3:GetObject*"), "head", "fail", "403",
         "Uploads work, downloads are denied from this server's address", "NotIpAddress"),
    Case("get-denied-by-role", fields(aws_role_arn=role("no-get")), "get", "fail", "AccessDenied",
         "may not download in s3://media/studio: the role's policy", "policy below",
         ("s3:GetObject", OBJECTS)),
    Case("bytes-changed", fault(corrupt=True, methods=["GET"], key="server-1k"), "checksum",
         "fail", "", "not the bytes that were sent", "from inspection"),
    # 10: multipart.
    Case("abort-denied", fields(aws_role_arn=role("no-abort")), "multipart", "fail",
         "AccessDenied", "the role may not abort them: unfinished parts would stay",
         "s3:AbortMultipartUpload", (OBJECTS,)),
    Case("list-parts-denied", fields(aws_role_arn=role("no-parts")), "multipart", "fail",
         "AccessDenied", "the role may not list their parts", "s3:ListMultipartUploadParts",
         (OBJECTS,)),
    # 11: CORS.
    Case("no-cors", rules(), "cors", "fail", "AccessForbidden", "media has no CORS rules",
         "Cross-origin resource sharing", (SITE, CLI)),
    Case("no-put", rules(AllowedMethods=["GET", "HEAD"]), "cors", "fail", "AccessForbidden",
         f"allows GET from {SITE} but not PUT", "paste the rules below", (SITE, '"PUT"', CLI)),
    Case("no-get", rules(AllowedMethods=["PUT"]), "cors", "fail", "AccessForbidden",
         f"allows PUT from {SITE} but not GET", "paste the rules below", (SITE, CLI)),
    Case("other-origin", rules(AllowedOrigins=["https://elsewhere.example"]), "cors", "fail",
         "AccessForbidden", f"none for this site's origin {SITE}", "paste the rules", (SITE, CLI)),
    Case("nearly-this-origin", rules(AllowedOrigins=[f"{SITE}/"]), "cors", "fail",
         "AccessForbidden", f"allows {SITE}/, but this site is {SITE}", "paste", (SITE, CLI)),
    Case("no-headers", rules(AllowedHeaders=[]), "cors", "warn", "",
         "not the request headers content-type and x-amz-checksum-sha256", "paste", (SITE,)),
    Case("wildcard", rules(AllowedOrigins=["*"]), "cors", "warn", "",
         "from any other site (https://example.invalid was accepted)",
         "Name the site's origin instead of “*”", (SITE, CLI)),
    Case("preflight-redirected",
         fault(status=307, code="TemporaryRedirect", methods=["OPTIONS"],
               headers={"x-amz-bucket-region": "eu-west-1"}),
         "cors", "fail", "TemporaryRedirect", "which a preflight may not follow",
         "Correct “region” of “main”: eu-west-1", ('"region": "eu-west-1"',)),
    # 12: what browsers may read.
    Case("no-etag", rules(ExposeHeaders=["Content-Range"]), "exposed", "fail", "",
         "Multipart uploads will fail: the browser may not read ETag", "ExposeHeaders",
         (SITE, '"ETag"', CLI)),
    Case("no-content-range", rules(ExposeHeaders=["ETag"]), "exposed", "warn", "",
         "may not read Content-Range", "ExposeHeaders", ('"Content-Range"',)),
    Case("answers-without-cors", fault(hide_cors=True, methods=["GET", "PUT"]), "exposed", "fail",
         "", f"does not allow {SITE} to read it, although the preflight did", "paste", (SITE,)),
    # 19: clean-up.
    Case("delete-denied", fields(aws_role_arn=role("no-delete")), "cleanup", "fail",
         "AccessDenied", "test objects (5.2 MB) could not be removed from media: "
         ".speedtest/runs/", "s3:DeleteObjectVersion",
         ("studio/.speedtest/runs/", "ExpiredObjectDeleteMarker", "s3:DeleteObject")),
    Case("object-lock-keeps-them",
         fault(status=403, methods=["DELETE"], key="server-1k",
               message="Access Denied because object protected by object lock."),
         "cleanup", "fail", "AccessDenied", "1 test object (1.0 kB) could not be removed",
         "retention is over"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_fault_is_named_with_its_remedy(s3: Emulator, case: Case) -> None:
    found = findings(s3, **(case.provoke(s3) or {}))[case.check]
    texts = "\n".join(text for pair in found.documents for text in pair)
    assert (found.status, found.code) == (case.status, case.code), found
    assert case.message in found.message
    assert case.fix in found.fix
    for words in case.document:
        assert words in texts
    if case.check not in ("configuration", "role", "dns", "tls", "clock", "checksum"):
        # What IT asks for: the exact request, without what would let a reader repeat it.
        assert found.requests
        assert all("REDACTED" in one["url"] or one["method"] == "OPTIONS"
                   for one in found.requests)  # fmt: skip
        assert any(one["request_id"] for one in found.requests)


def test_without_a_fault_nothing_is_named(s3: Emulator) -> None:
    found = findings(s3, aws_role_arn=ROLE, external_id="shared-id")
    assert {f.status for f in found.values()} == {"pass", "skip"}
    assert not any(f.documents or f.requests for f in found.values())
    facts = dict(pair for f in found.values() for pair in f.facts)
    assert facts["Site"] == SITE
    assert facts["Identity of the site"] == CALLER
    assert facts["Role"] == ROLE
    assert facts["Address of this server"] == "127.0.0.1"


def test_no_identity(s3: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    found = findings(s3, profile="nobody")["credentials"]
    assert (found.status, found.code) == ("fail", "ProfileNotFound")
    assert "no AWS identity" in found.message
    assert "AWS_ACCESS_KEY_ID" in found.fix


@pytest.mark.parametrize("code", ["InvalidClientTokenId", "ExpiredToken"])
def test_credentials_that_aws_does_not_take(s3: Emulator, code: str) -> None:
    s3.faults("sts", status=403, code=code, message="The security token is of no use.")
    found = findings(s3)["credentials"]
    assert (found.status, found.code) == ("fail", code)
    assert "does not accept the site's own credentials" in found.message
    assert "Renew the access key or the session token" in found.fix


def test_a_region_that_is_off(s3: Emulator) -> None:
    s3.faults("sts", status=403, code="RegionDisabledException", message="STS is not activated.",
              methods=["POST"])  # fmt: skip
    found = findings(s3, aws_role_arn=ROLE, external_id="shared-id")
    # Nobody can say who the site is either: that check stops the next.
    assert found["credentials"].code == "RegionDisabledException"
    assert "us-west-2 is enabled" in found["credentials"].fix


def test_an_untrusted_certificate_names_its_issuer(s3: Emulator) -> None:
    with tls_server("localhost", issuer="Zscaler Root CA") as origin:
        found = findings(s3, endpoint_url=origin)["tls"]
    assert found.status == "fail"
    assert "Its issuer is “Zscaler Root CA”" in found.message
    assert "Exempt *.amazonaws.com" in found.fix


def test_a_certificate_for_another_name(
    s3: Emulator, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    pem = self_signed("other.example.com", "Studio CA")
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(pem)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(trusted))
    with tls_server("other.example.com", certificate=pem) as origin:
        found = findings(s3, endpoint_url=origin)["tls"]
    assert found.status == "fail"
    assert "is for another name" in found.message
    assert "install a certificate" in found.fix


def test_a_vpc_endpoint_that_this_server_cannot_look_up_is_left_to_the_browser(
    s3: Emulator,
) -> None:
    found = findings(s3, s3_interface_vpc_endpoint_dns_name=VPCE)["dns"]
    assert found.status == "warn"
    assert "the browser's result decides" in found.message
    assert "Route 53 inbound endpoint" in found.fix
