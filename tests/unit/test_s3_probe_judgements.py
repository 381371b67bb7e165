"""What answers mean, and the documents to paste."""

import json
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shotmedia.s3.config import BucketConfig
from shotmedia.s3.probe_calls import Caller, parse_reply
from shotmedia.s3.probe_cleanup import Removal, remove_below
from shotmedia.s3.probe_cors import diagnose_cors, judge_exposed, near_origins
from shotmedia.s3.probe_documents import (
    corrected_entry,
    cors_documents,
    cors_rules,
    lifecycle_rules,
    principal,
    replication_rules,
    role_policy,
    session_policy,
    trust_policy,
)
from shotmedia.s3.probe_judgements import (
    explain_refusal,
    explain_tls,
    judge_bucket,
    judge_clock,
    judge_removal,
    lint,
)
from shotmedia.s3.probe_link import kind_of, read_issuer, resolve

SITE = "https://studio.example.com"
ROLE = "arn:aws:iam::444455556666:role/media"
CONFIG = BucketConfig.from_mapping(
    "main", {"region": "us-east-1", "bucket": "studio-main", "prefix": "p", "aws_role_arn": ROLE}
)


def reply(status: int, code: str = "", message: str = "", **headers: str):
    body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>" if code else ""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return parse_reply("Op", status, named, body.encode())


# --- The clock, the name, TLS ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("ahead", "status", "words"),
    [
        (0.4, "pass", "agree within 1 s"),
        (-60, "pass", "agree within 60 s"),
        (61, "warn", "61 s ahead of"),
        (-899, "warn", "15 min behind"),
        (-1020, "fail", "17 min behind"),
    ],
)
def test_the_clock(ahead: float, status: str, words: str) -> None:
    outcome = judge_clock(ahead)
    assert outcome.status == status
    assert words in outcome.message


def test_private_and_public_addresses() -> None:
    assert kind_of(("10.0.0.7",)) == "private"
    assert kind_of(("10.0.0.7", "52.216.1.1")) == "public"


def test_a_name_that_does_not_exist_is_an_error_and_not_an_exception() -> None:
    addresses, error = resolve("127.0.0.1")
    assert (addresses, error) == (("127.0.0.1",), "")


def certificate(issuer: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, issuer),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{issuer} Root"),
        ]
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "s3.us-east-1.amazonaws.com")])
    now = datetime(2026, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.DER)


def test_the_issuer_of_an_untrusted_certificate_is_read() -> None:
    assert read_issuer(certificate("Zscaler Inc.")) == "Zscaler Inc., Zscaler Inc. Root"


def test_tls_errors_name_the_proxy_or_the_name() -> None:
    untrusted = ssl.SSLCertVerificationError(1, "x")
    untrusted.verify_message = "unable to get local issuer certificate"
    outcome = explain_tls(CONFIG, "host", untrusted, "Zscaler")
    assert "Zscaler" in outcome.message
    assert "*.amazonaws.com" in outcome.fix
    mismatch = ssl.SSLCertVerificationError(1, "x")
    mismatch.verify_message = "Hostname mismatch, certificate is not valid for 'a.b'."
    dotted = replace(CONFIG, bucket="a.b")
    assert "addressing_style" in explain_tls(dotted, "host", mismatch, "").fix


# --- Configuration and bucket ---------------------------------------------------------------


def test_lint_compares_region_and_endpoint() -> None:
    name = "vpce-1a2b-3c.s3.eu-west-1.vpce.amazonaws.com"
    outcome = lint(replace(CONFIG, s3_interface_vpc_endpoint_dns_name=name), SITE)
    assert outcome.status == "warn"
    assert "us-east-1, but the VPC endpoint is in eu-west-1" in outcome.message
    assert json.loads(outcome.paste)["main"]["region"] == "eu-west-1"
    assert lint(CONFIG, SITE).status == "pass"
    assert "plain http" in lint(CONFIG, "http://studio.example.com").message
    assert lint(CONFIG, "http://127.0.0.1:8000").status == "pass"


def test_a_bucket_in_another_region_is_named() -> None:
    outcome = judge_bucket(CONFIG, reply(301, x_amz_bucket_region="us-west-2"), True)
    assert outcome.status == "fail"
    assert "studio-main is in us-west-2; the configuration says us-east-1" in outcome.message
    assert "us-west-2" in outcome.paste


def test_head_bucket_refused_in_the_right_region_lets_the_next_checks_decide() -> None:
    outcome = judge_bucket(CONFIG, reply(403, x_amz_bucket_region="us-east-1"), True)
    assert outcome.status == "pass"
    assert "next checks decide" in outcome.message


def test_a_missing_bucket() -> None:
    outcome = judge_bucket(CONFIG, reply(404), True)
    assert (outcome.status, outcome.code) == ("fail", "NoSuchBucket")


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("... with an explicit deny in a resource-based policy", "the bucket's policy denies it"),
        ("... because no identity-based policy allows the s3:PutObject action",
         "the role's policy does not allow it"),
        ("... because no VPC endpoint policy allows", "the VPC endpoint's policy"),
        ("... explicit deny in a service control policy", "a service control policy"),
        ("not authorized to perform: kms:GenerateDataKey", "KMS key"),
        ("Access Denied", "may not upload"),
    ],
)  # fmt: skip
def test_a_refusal_names_its_layer(message: str, words: str) -> None:
    outcome = explain_refusal(CONFIG, reply(403, "AccessDenied", message), "upload")
    assert outcome.status == "fail"
    assert words in outcome.message
    assert message in outcome.message
    assert outcome.fix


def test_other_refusals() -> None:
    assert "clock" in explain_refusal(CONFIG, reply(403, "RequestTimeTooSkewed", "x"), "read").fix
    slow = explain_refusal(CONFIG, reply(503, "SlowDown", "x"), "read")
    assert "Try again" in slow.fix
    wrong = explain_refusal(CONFIG, reply(400, "AuthorizationHeaderMalformed", "x"), "read")
    assert "not in us-east-1" in wrong.message


def test_the_statement_for_an_address_is_given_for_downloads_only() -> None:
    denied = reply(403, "AccessDenied", "x with an explicit deny in a resource-based policy")
    outcome = explain_refusal(CONFIG, denied, "download", address="203.0.113.9/32")
    statement = json.loads(outcome.paste)
    assert statement["Resource"] == "arn:aws:s3:::studio-main/p/*"
    assert statement["Condition"]["NotIpAddress"]["aws:SourceIp"] == ["203.0.113.9/32"]
    assert "Do not exempt the role" in outcome.fix
    assert explain_refusal(CONFIG, denied, "upload").paste == ""


def test_what_stands_between_here_and_s3_is_named() -> None:
    assert "refuses bodies of this size" in explain_refusal(CONFIG, reply(413), "upload").message
    lock = reply(400, "InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required")
    assert "Object Lock" in explain_refusal(CONFIG, lock, "upload").message
    # Any other 400 is not blamed on Object Lock.
    other = explain_refusal(CONFIG, reply(400, "InvalidRequest", "Nonsense"), "upload")
    assert "Object Lock" not in other.message


# --- CORS -----------------------------------------------------------------------------------


class Rules:
    """A bucket's CORS rules, asked as a browser asks; counts the questions."""

    def __init__(self, *allowed: tuple[str, str], headers: tuple[str, ...] = ("*",)) -> None:
        self.allowed = allowed
        self.headers = headers

    def __call__(self, origin: str, method: str, headers: str):
        known = [(o, m) for o, m in self.allowed if o in (origin, "*") and m == method]
        if not self.allowed:
            message = "CORSResponse: CORS is not enabled for this bucket."
            return reply(403, "AccessForbidden", message)
        if not known or (headers and "*" not in self.headers and headers not in self.headers):
            message = "CORSResponse: This CORS request is not allowed."
            return reply(403, "AccessForbidden", message)
        shown = "*" if known[0][0] == "*" else origin
        return reply(200, access_control_allow_origin=shown)


def ask(rules: Rules, **options: bool):
    return diagnose_cors(CONFIG, rules, SITE, **options)


def test_cors_as_it_should_be() -> None:
    assert ask(Rules((SITE, "GET"), (SITE, "PUT"))).status == "pass"


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (Rules(), "has no CORS rules"),
        (Rules((SITE, "GET")), f"allows GET from {SITE} but not PUT"),
        (Rules((SITE, "PUT")), f"allows PUT from {SITE} but not GET"),
        (Rules(("https://other.example", "GET")), f"none for this site's origin {SITE}"),
        (Rules(("http://studio.example.com", "GET")), "allows http://studio.example.com, but this"),
        (Rules((SITE, "HEAD")), "allows it only HEAD"),
    ],
)
def test_cors_faults_are_named_with_the_rules_to_paste(rules: Rules, words: str) -> None:
    outcome = ask(rules)
    assert outcome.status == "fail"
    assert words in outcome.message
    assert json.loads(outcome.paste)[0]["AllowedOrigins"] == [SITE]


def test_a_header_that_is_not_allowed_is_named() -> None:
    outcome = ask(Rules((SITE, "GET"), (SITE, "PUT"), headers=("content-type",)))
    assert outcome.status == "warn"
    assert "request header x-amz-checksum-sha256" in outcome.message


def test_a_wildcard_is_a_warning() -> None:
    outcome = ask(Rules(("*", "GET"), ("*", "PUT")))
    assert outcome.status == "warn"
    assert "wildcard" in outcome.message


def test_a_replica_needs_no_put() -> None:
    outcome = ask(Rules((SITE, "GET")), download_only=True)
    assert (outcome.status, outcome.message.split()[0]) == ("pass", "GET")
    assert cors_rules(SITE, download_only=True)[0]["AllowedMethods"] == ["GET", "HEAD"]


def test_a_redirected_preflight_is_the_region() -> None:
    outcome = diagnose_cors(CONFIG, lambda *_: reply(307, "TemporaryRedirect", "x"), SITE)
    assert "region is wrong" in outcome.message


def test_near_origins() -> None:
    assert near_origins("https://a.example:8443") == [
        "http://a.example:8443",
        "https://a.example",
        "http://a.example",
        "https://a.example:8443/",
    ]


def test_exposed_headers() -> None:
    def judged(get: str, put: str, origin: str = SITE):
        answers = [
            ("GET", reply(206, access_control_allow_origin=origin,
                          access_control_expose_headers=get), ("content-range",)),
            ("PUT", reply(200, access_control_allow_origin=origin,
                          access_control_expose_headers=put), ("etag",)),
        ]  # fmt: skip
        return judge_exposed(CONFIG, SITE, answers)

    assert judged("Content-Range", "ETag, x").status == "pass"
    assert "may not read ETag" in judged("Content-Range", "x").message
    assert judged("ETag", "ETag").status == "warn"
    assert "does not allow" in judged("Content-Range", "ETag", "https://other").message


# --- Documents ------------------------------------------------------------------------------


def test_the_session_policy_reaches_the_tests_objects_only() -> None:
    text = json.dumps(session_policy(CONFIG))
    assert "arn:aws:s3:::studio-main/p/.speedtest/*" in text
    assert '"s3:prefix": "p/.speedtest/*"' in text
    assert "studio-main/p/*" not in text
    assert "kms:GenerateDataKey" in text


def test_policies_use_the_partition_and_the_prefix() -> None:
    china = BucketConfig.from_mapping("c", {"region": "cn-north-1", "bucket": "b"})
    assert "arn:aws-cn:s3:::b/*" in json.dumps(role_policy(china))
    assert "Condition" not in json.dumps(role_policy(china))
    assert "s3:PutObject" not in json.dumps(role_policy(CONFIG, download_only=True))


def test_a_corrected_entry_keeps_what_it_had() -> None:
    config = replace(CONFIG, external_id="xyz", addressing_style="path")
    entry = json.loads(corrected_entry(config, region="eu-west-1"))
    assert entry == {
        "main": {
            "region": "eu-west-1",
            "bucket": "studio-main",
            "prefix": "p",
            "aws_role_arn": ROLE,
            "s3_interface_vpc_endpoint_dns_name": "",
            "external_id": "xyz",
            "addressing_style": "path",
        }
    }
    # What is pasted is a configuration.
    assert BucketConfig.from_mapping("main", entry["main"]) == replace(config, region="eu-west-1")


def test_cors_rules_come_for_the_console_and_for_the_command_line() -> None:
    console, command = cors_documents(CONFIG, SITE)
    assert json.loads(command[1]) == {"CORSRules": json.loads(console[1])}
    assert "put-bucket-cors --bucket studio-main" in command[0]


def test_replication_rules_leave_the_runs_out() -> None:
    prefixes = [rule["Filter"]["Prefix"] for rule in replication_rules(CONFIG)]
    assert prefixes == ["p/2", "p/.speedtest/seed-"]
    media, run = "p/2026/11/0a/shot.mov", "p/.speedtest/runs/1/a.bin"
    assert any(media.startswith(prefix) for prefix in prefixes)
    assert not any(run.startswith(prefix) for prefix in prefixes)


def test_the_trust_policy_names_the_role_behind_a_session() -> None:
    session = "arn:aws:sts::111122223333:assumed-role/site-web/i-0abc"
    assert principal(session) == "arn:aws:iam::111122223333:role/site-web"
    document = trust_policy(replace(CONFIG, external_id="xyz"), session)["Statement"][0]
    assert document["Principal"] == {"AWS": "arn:aws:iam::111122223333:role/site-web"}
    assert document["Condition"] == {"StringEquals": {"sts:ExternalId": "xyz"}}


def test_lifecycle_rules_stay_below_the_runs() -> None:
    for rule in lifecycle_rules(CONFIG)["Rules"]:
        assert rule["Filter"] == {"Prefix": "p/.speedtest/runs/"}


# --- Clean-up -------------------------------------------------------------------------------


def test_objects_that_stay_are_listed_with_a_lifecycle_rule() -> None:
    removal = Removal(objects=1, size=10, left=["a", "b"], left_size=33_000_000,
                      refusal=reply(403, "AccessDenied", "x"))  # fmt: skip
    outcome = judge_removal(CONFIG, removal)
    assert outcome.status == "fail"
    assert "2 test objects (33 MB) could not be removed from studio-main: a, b" in outcome.message
    assert "speedtest-runs" in outcome.paste


def test_a_clean_up_that_nobody_could_verify_warns() -> None:
    outcome = judge_removal(CONFIG, Removal(objects=1, refusal=reply(403, "AccessDenied", "x")))
    assert outcome.status == "warn"


@pytest.mark.parametrize("path", ["", "2026/11/", ".speedtest/", ".speedtest/seed-64MiB-v1.bin"])
def test_nothing_outside_the_runs_is_ever_removed(path: str) -> None:
    with pytest.raises(ValueError, match="nothing else is ever removed"):
        remove_below(Caller(CONFIG, None), path)


def test_nothing_outside_speedtest_is_ever_asked_for() -> None:
    with pytest.raises(ValueError, match="outside"):
        Caller(CONFIG, None).send("GetObject", "GET", "2026/11/a.mov", signed=False)
