import io
from datetime import UTC, datetime

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from shotmedia.emulator.errors import Refusal
from shotmedia.emulator.signature import Identity, verify
from shotmedia.emulator.wire import Request, read_request

NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC).timestamp()
HOST = "media.s3.us-east-1.amazonaws.com"
OWNER = Identity("AKIAEXAMPLE", "secret", "arn:aws:iam::1:user/u")
SESSION = Identity("ASIAEXAMPLE", "secret2", "arn:aws:sts::1:assumed-role/r/s", "", "token", NOW)
KNOWN = {"AKIAEXAMPLE": OWNER, "ASIAEXAMPLE": SESSION}


def request_of(method: str, target: str, *headers: str) -> Request:
    text = "\r\n".join([f"{method} {target} HTTP/1.1", *headers, "", ""])
    request = read_request(io.BytesIO(text.encode()), "127.0.0.1", "")
    assert request is not None
    return request


@pytest.fixture
def presign(monkeypatch):
    def make(
        path="/key",
        *,
        method="GET",
        expires=300,
        region="us-east-1",
        at=NOW,
        token=None,
        headers=None,
        key=("AKIAEXAMPLE", "secret"),
        service="s3",
    ):
        moment = datetime.fromtimestamp(at, UTC)
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: moment)
        aws = AWSRequest(method, f"https://{HOST}{path}", headers=headers or {})
        S3SigV4QueryAuth(Credentials(*key, token), service, region, expires).add_auth(aws)
        return aws.url.removeprefix(f"https://{HOST}")

    return make


def check(target, method="GET", *headers, now=NOW, region="us-east-1", host=HOST):
    request = request_of(method, target, f"Host: {host}", *headers)
    return verify(request, KNOWN, now, region=region)


def refusal(*arguments, **options) -> Refusal:
    with pytest.raises(Refusal) as caught:
        check(*arguments, **options)
    return caught.value


def test_published_example_of_aws_is_accepted():
    # Amazon S3 API Reference, "Authenticating Requests: Using Query Parameters".
    example = Identity(
        "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "arn:aws:iam::1:user/e"
    )
    request = request_of(
        "GET",
        "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE"
        "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z"
        "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature="
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        "Host: examplebucket.s3.amazonaws.com",
    )
    now = datetime(2013, 5, 24, 1, tzinfo=UTC).timestamp()
    found = verify(request, {example.access_key: example}, now, region="us-east-1")
    assert found.identity is example
    assert found.presigned


@pytest.mark.parametrize(
    "path",
    [
        "/a",
        "/p%20re/fx/%C3%BC%2Ba.mov",
        "/a//b/../c/./d%20e%2Bf~%2520%C3%A9%26%3F%23%3D",
        "/x%27%28%29%2A%21%3B%3A%40%24%2C%5B%5D%7B%7D%7C%5E%60%3C%3E%22%09%E6%97%A5%E6%9C%AC",
        "/k?response-content-disposition=attachment%3B%20filename%3D%22a%2Bb.mov%22&versionId=3%2F7",
    ],
)
def test_what_botocore_signs_is_accepted(presign, path):
    assert check(presign(path)).identity is OWNER


def test_a_client_that_writes_the_same_url_differently_is_accepted(presign):
    # Browsers percent-encode more or less than the signer did; S3 decodes before it compares.
    target = presign("/it%27s?response-content-type=a%2Fb")
    assert check(target.replace("it%27s", "it's").replace("a%2Fb", "a/b")).identity is OWNER


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t + "&x=1",
        lambda t: t.replace("/key", "/kez"),
        lambda t: t.replace("X-Amz-Expires=300", "X-Amz-Expires=301"),
        lambda t: t[:-1] + ("0" if t[-1] != "0" else "1"),
    ],
)
def test_anything_changed_afterwards_is_refused(presign, change):
    error = refusal(change(presign()))
    assert (error.code, error.status) == ("SignatureDoesNotMatch", 403)
    assert error.elements["StringToSign"].startswith("AWS4-HMAC-SHA256\n20260504T120000Z\n")


def test_other_method_and_other_host_are_refused(presign):
    target = presign()
    assert refusal(target, "HEAD").code == "SignatureDoesNotMatch"
    assert refusal(target, host="other.s3.us-east-1.amazonaws.com").code == "SignatureDoesNotMatch"


def test_wrong_secret_and_unknown_key(presign):
    assert refusal(presign(key=("AKIAEXAMPLE", "wrong"))).code == "SignatureDoesNotMatch"
    error = refusal(presign(key=("AKIANOBODY", "secret")))
    assert (error.code, error.status) == ("InvalidAccessKeyId", 403)


def test_life_of_a_link(presign):
    target = presign(expires=300)
    assert check(target, now=NOW + 300)
    error = refusal(target, now=NOW + 301)
    assert (error.code, error.status, error.message) == ("AccessDenied", 403, "Request has expired")
    assert error.elements == {
        "X-Amz-Expires": "300",
        "Expires": "2026-05-04T12:05:00Z",
        "ServerTime": "2026-05-04T12:05:01Z",
    }


def test_link_from_the_future(presign):
    assert check(presign(at=NOW + 899))
    error = refusal(presign(at=NOW + 901))
    assert (error.code, error.status) == ("AccessDenied", 403)
    assert error.message == "Request is not yet valid"


@pytest.mark.parametrize(
    ("expires", "words"),
    [
        (604_801, "less than a week"),
        (-5, "non-negative"),
        (1.5, "should be a number"),
    ],
)
def test_impossible_lives(presign, expires, words):
    error = refusal(presign(expires=expires))
    assert (error.code, error.status) == ("AuthorizationQueryParametersError", 400)
    assert words in error.message


def test_a_week_is_allowed(presign):
    assert check(presign(expires=604_800))


def test_wrong_region_names_the_right_one(presign):
    error = refusal(presign(region="us-east-1"), region="eu-west-1")
    assert (error.code, error.status) == ("AuthorizationQueryParametersError", 400)
    assert error.elements == {"Region": "eu-west-1"}
    assert "the region 'us-east-1' is wrong; expecting 'eu-west-1'" in error.message


def test_wrong_service(presign):
    assert 'incorrect service "sts"' in refusal(presign(service="sts")).message


def test_missing_parameter_and_wrong_algorithm(presign):
    target = presign()
    missing = refusal(target.replace("&X-Amz-Expires=300", ""))
    assert missing.code == "AuthorizationQueryParametersError"
    other = refusal(target.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"))
    assert other.code == "AuthorizationQueryParametersError"


def test_credential_of_another_day(presign):
    error = refusal(presign().replace("%2F20260504%2F", "%2F20260503%2F"))
    assert "Invalid credential date" in error.message


def test_session_token(presign):
    def session(**options):
        return presign(key=("ASIAEXAMPLE", "secret2"), **options)

    assert check(session(token="token"), now=NOW - 1).identity is SESSION
    assert refusal(session(), now=NOW - 1).code == "InvalidAccessKeyId"
    other = refusal(session(token="other"), now=NOW - 1)
    assert (other.code, other.status) == ("InvalidToken", 400)
    dead = refusal(session(token="token"), now=NOW)
    assert (dead.code, dead.status) == ("ExpiredToken", 400)
    assert refusal(presign(token="token")).code == "InvalidToken"


def test_unsigned_amz_header_is_refused_and_named(presign):
    error = refusal(presign(), "GET", "x-amz-meta-a: b")
    assert (error.code, error.status) == ("AccessDenied", 403)
    assert error.elements == {"HeadersNotSigned": "x-amz-meta-a"}
    assert check(presign(), "GET", "Content-Type: text/plain")


def test_signed_header_must_arrive_as_signed(presign):
    target = presign(method="PUT", headers={"Content-Length": "10"})
    assert check(target, "PUT", "Content-Length: 10")
    assert refusal(target, "PUT", "Content-Length: 11").code == "SignatureDoesNotMatch"
    assert refusal(target, "PUT").code == "SignatureDoesNotMatch"


def test_unsigned_and_version_2_are_refused():
    error = refusal("/key")
    assert (error.code, error.status, error.message) == ("AccessDenied", 403, "Access Denied")
    old = refusal("/key?AWSAccessKeyId=AKIAEXAMPLE&Signature=abc&Expires=1")
    assert (old.code, old.status) == ("InvalidRequest", 400)
    assert refusal("/key", "GET", "Authorization: AWS AKIAEXAMPLE:abc").code == "InvalidRequest"


def signed_headers(monkeypatch, *, at=NOW, region="us-east-1", path="/key"):
    moment = datetime.fromtimestamp(at, UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: moment)
    aws = AWSRequest("PUT", f"http://{HOST}{path}", data=b"body", headers={"x-amz-meta-a": "b  c"})
    S3SigV4Auth(Credentials("AKIAEXAMPLE", "secret"), "s3", region).add_auth(aws)
    return [f"{name}: {value}" for name, value in aws.headers.items()]


def test_authorization_header(monkeypatch):
    found = check("/key", "PUT", *signed_headers(monkeypatch))
    assert found.identity is OWNER
    assert not found.presigned
    assert len(found.content_sha256) == 64


def test_authorization_header_of_a_wrong_clock_region_or_form(monkeypatch):
    late = refusal("/key", "PUT", *signed_headers(monkeypatch, at=NOW - 901))
    assert (late.code, late.status) == ("RequestTimeTooSkewed", 403)
    assert check("/key", "PUT", *signed_headers(monkeypatch, at=NOW - 899))
    wrong = refusal("/key", "PUT", *signed_headers(monkeypatch, region="eu-west-1"))
    assert (wrong.code, wrong.status) == ("AuthorizationHeaderMalformed", 400)
    assert wrong.elements == {"Region": "us-east-1"}
    odd = refusal("/key", "GET", "Authorization: AWS4-HMAC-SHA256 nonsense")
    assert odd.code == "AuthorizationHeaderMalformed"


def test_two_ways_to_sign_at_once(presign, monkeypatch):
    error = refusal(presign(), "PUT", *signed_headers(monkeypatch))
    assert (error.code, error.status) == ("InvalidArgument", 400)


def test_header_signature_needs_the_content_hash(monkeypatch):
    headers = [h for h in signed_headers(monkeypatch) if not h.startswith("X-Amz-Content-SHA256")]
    assert refusal("/key", "PUT", *headers).code == "InvalidRequest"
