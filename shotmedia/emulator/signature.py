"""Verifying Signature Version 4 as S3 and STS do: recomputed with botocore's own signer.

The site's signer is never used here, so a mistake in it can't hide. Rules and texts: Amazon S3
API Reference, "Authenticating Requests: Using Query Parameters" and "Using the Authorization
Header"; answers of the live service quoted in public issue threads.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from shotmedia.emulator.errors import Refusal, access_denied
from shotmedia.emulator.policy import Policy
from shotmedia.emulator.wire import Request

ALGORITHM = "AWS4-HMAC-SHA256"
MAX_EXPIRES = 604_800
MAX_SKEW = 900
UNSIGNED = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
QUERY_PARAMETERS = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-Date",
    "X-Amz-SignedHeaders",
    "X-Amz-Expires",
)
_HEADER = re.compile(
    r"^AWS4-HMAC-SHA256\s+Credential=(?P<credential>[^,\s]+)\s*,\s*"
    r"SignedHeaders=(?P<signed>[^,\s]+)\s*,\s*Signature=(?P<signature>[0-9a-zA-Z]+)\s*$"
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signs: a key pair, for a session also its token and end (epoch seconds), its ARN, and
    the policies that all have to allow a request."""

    access_key: str
    secret_key: str
    arn: str
    user_id: str = ""
    token: str = ""
    expires_at: float | None = None
    policies: tuple[Policy, ...] = ()
    account: str = "123456789012"


@dataclass(frozen=True, slots=True)
class Verified:
    """A request whose signature is right: by whom, in which region's scope, what was said about
    the body's hash, and what the signatures of streamed chunks are made with."""

    identity: Identity
    region: str
    presigned: bool
    content_sha256: str
    signature: str
    timestamp: str
    signer: "Recomputed"


class Recomputed(S3SigV4Auth):
    """botocore's S3 signer over exactly the headers that the client says it signed."""

    def __init__(
        self, identity: Identity, service: str, region: str, timestamp: str, payload_hash: str
    ) -> None:
        super().__init__(Credentials(identity.access_key, identity.secret_key), service, region)
        self._payload_hash = payload_hash
        self._context = AWSRequest(method="GET", url="http://localhost/")
        self._context.context["timestamp"] = timestamp

    def headers_to_sign(self, request: Any) -> HTTPHeaders:
        """All headers of the request handed in, which are the signed ones only."""
        chosen = HTTPHeaders()
        for name, value in request.headers.items():
            chosen[name] = value
        return chosen

    def payload(self, request: Any) -> str:
        """The hash that belongs in the canonical request when no header carries one."""
        return self._payload_hash

    def of(self, request: Request, signed: list[str]) -> tuple[str, str, str]:
        """(signature, string to sign, canonical request) of the request over `signed` headers."""
        path = quote(unquote_to_bytes(request.raw_path), safe="/-_.~") or "/"
        pairs = [(name, value) for name, value in request.query if name != "X-Amz-Signature"]
        aws = AWSRequest(method=request.method, url=f"http://localhost{path}", params=pairs)
        for name, value in request.headers:
            if name in signed:
                aws.headers[name] = value
        aws.context["timestamp"] = self._context.context["timestamp"]
        canonical = self.canonical_request(aws)
        text = self.string_to_sign(aws, canonical)
        return self.signature(text, aws), text, canonical

    def of_text(self, kind: str, lines: list[str]) -> str:
        """The signature of a chunk or trailer (`kind` is the suffix of the algorithm's name)."""
        stamp = self._context.context["timestamp"]
        scope = self.credential_scope(self._context)
        text = "\n".join([f"{ALGORITHM}-{kind}", stamp, scope, *lines])
        return self.signature(text, self._context)


def verify(
    request: Request,
    identities: Mapping[str, Identity],
    now: float,
    *,
    service: str = "s3",
    region: str = "",
    regions: frozenset[str] = frozenset(),
    payload_hash: str = UNSIGNED,
) -> Verified:
    """Checks the signature of `request` and everything that it depends on.

    Arguments: the known identities by access key; now in epoch seconds; the service and region
    that the scope must name (`regions` when any of several will do); for STS the body's SHA-256.
    Raises Refusal with AWS's code, status and text.
    """
    authorization = request.headers.get("authorization")
    in_query = request.has("X-Amz-Signature") or request.has("X-Amz-Algorithm")
    version2 = request.has("AWSAccessKeyId") or request.has("Signature")
    if authorization and (in_query or version2):
        raise Refusal(
            "InvalidArgument",
            400,
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
            "Signature query string parameter or the Authorization header should be specified",
        )
    if authorization.startswith("AWS ") or version2:
        raise Refusal(
            "InvalidRequest",
            400,
            "The authorization mechanism you have provided is not supported. "
            f"Please use {ALGORITHM}.",
        )
    if in_query:
        claim = _claim_of_query(request, now)
    elif authorization:
        claim = _claim_of_header(request, now, service)
    else:
        raise access_denied()
    _check_scope(claim, service, region, regions)
    identity = _identity_of(claim, identities, now)
    _check_signed_headers(request, claim.signed)
    sent_hash = request.headers.get("x-amz-content-sha256")
    signer = Recomputed(
        identity, service, claim.scope[1], claim.timestamp, sent_hash or payload_hash
    )
    expected, text, canonical = signer.of(request, claim.signed)
    if not hmac.compare_digest(expected.encode(), claim.signature.encode()):
        raise Refusal(
            "SignatureDoesNotMatch",
            403,
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
            {
                "AWSAccessKeyId": identity.access_key,
                "StringToSign": text,
                "SignatureProvided": claim.signature,
                "CanonicalRequest": canonical,
            },
        )
    return Verified(
        identity,
        claim.scope[1],
        claim.presigned,
        sent_hash or UNSIGNED,
        claim.signature,
        claim.timestamp,
        signer,
    )


@dataclass(frozen=True, slots=True)
class _Claim:
    access_key: str
    scope: tuple[str, str, str]  # day, region, service
    timestamp: str
    signed: list[str]
    signature: str
    token: str
    presigned: bool


def _parameters_error(message: str, **elements: str) -> Refusal:
    return Refusal("AuthorizationQueryParametersError", 400, message, elements)


def _stamp(text: str) -> float | None:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def iso(moment: float) -> str:
    """Epoch seconds as S3's error documents write them."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _claim_of_query(request: Request, now: float) -> _Claim:
    values = {name: request.arg(name) for name in QUERY_PARAMETERS}
    if not all(values.values()):
        raise _parameters_error(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, "
            "X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, "
            "and X-Amz-Expires parameters."
        )
    if values["X-Amz-Algorithm"] != ALGORITHM:
        raise _parameters_error(f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    credential = values["X-Amz-Credential"].split("/")
    if len(credential) != 5 or credential[4] != "aws4_request":
        raise _parameters_error(
            "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; "
            'expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
        )
    date = _stamp(values["X-Amz-Date"])
    if date is None:
        raise _parameters_error(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        )
    if credential[1] != values["X-Amz-Date"][:8]:
        raise _parameters_error(
            f'Invalid credential date "{credential[1]}". This date is not the same as '
            f'X-Amz-Date: "{values["X-Amz-Date"][:8]}".'
        )
    text = values["X-Amz-Expires"]
    if not re.fullmatch(r"-?\d+", text):
        raise _parameters_error("X-Amz-Expires should be a number")
    expires = int(text)
    if expires < 0:
        raise _parameters_error("X-Amz-Expires must be non-negative")
    if expires > MAX_EXPIRES:
        raise _parameters_error(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given "
            f"X-Amz-Expires must be less than {MAX_EXPIRES} seconds"
        )
    if date > now + MAX_SKEW:
        raise access_denied(
            "Request is not yet valid",
            **{
                "X-Amz-Date": str(int(date * 1000)),
                "Expires": iso(date + expires),
                "ServerTime": iso(now),
            },
        )
    if now > date + expires:
        raise access_denied(
            "Request has expired",
            **{"X-Amz-Expires": text, "Expires": iso(date + expires), "ServerTime": iso(now)},
        )
    return _Claim(
        credential[0],
        (credential[1], credential[2], credential[3]),
        values["X-Amz-Date"],
        values["X-Amz-SignedHeaders"].lower().split(";"),
        values["X-Amz-Signature"],
        request.arg("X-Amz-Security-Token"),
        True,
    )


def _malformed(message: str, **elements: str) -> Refusal:
    return Refusal(
        "AuthorizationHeaderMalformed",
        400,
        f"The authorization header is malformed; {message}",
        elements,
    )


def _claim_of_header(request: Request, now: float, service: str) -> _Claim:
    match = _HEADER.match(request.headers.get("authorization"))
    if not match:
        raise _malformed("it needs Credential, SignedHeaders and Signature.")
    credential = match["credential"].split("/")
    if len(credential) != 5 or credential[4] != "aws4_request":
        raise _malformed(
            "the Credential is mal-formed; "
            'expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
        )
    timestamp = request.headers.get("x-amz-date")
    if not timestamp and request.headers.get("date"):
        try:
            parsed = parsedate_to_datetime(request.headers.get("date"))
            timestamp = parsed.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        except ValueError:
            timestamp = ""
    date = _stamp(timestamp)
    if date is None:
        raise access_denied("AWS authentication requires a valid Date or x-amz-date header")
    if abs(now - date) > MAX_SKEW:
        raise Refusal(
            "RequestTimeTooSkewed",
            403,
            "The difference between the request time and the current time is too large.",
            {
                "RequestTime": timestamp,
                "ServerTime": iso(now),
                "MaxAllowedSkewMilliseconds": str(MAX_SKEW * 1000),
            },
        )
    if credential[1] != timestamp[:8]:
        raise _malformed(
            f'Invalid credential date "{credential[1]}". This date is not the same as '
            f'X-Amz-Date: "{timestamp[:8]}".'
        )
    if service == "s3" and not request.headers.get("x-amz-content-sha256"):
        raise Refusal(
            "InvalidRequest",
            400,
            "Missing required header for this request: x-amz-content-sha256",
        )
    return _Claim(
        credential[0],
        (credential[1], credential[2], credential[3]),
        timestamp,
        match["signed"].lower().split(";"),
        match["signature"],
        request.headers.get("x-amz-security-token"),
        False,
    )


def _check_scope(claim: _Claim, service: str, region: str, regions: frozenset[str]) -> None:
    _, found, found_service = claim.scope
    error = _parameters_error if claim.presigned else _malformed
    start = "Error parsing the X-Amz-Credential parameter; " if claim.presigned else ""
    if found_service != service:
        raise error(
            f'{start}incorrect service "{found_service}". This endpoint belongs to "{service}".'
        )
    if (region and found != region) or (not region and regions and found not in regions):
        expected = region or sorted(regions)[0]
        raise error(
            f"{start}the region '{found}' is wrong; expecting '{expected}'", Region=expected
        )


def _identity_of(claim: _Claim, identities: Mapping[str, Identity], now: float) -> Identity:
    identity = identities.get(claim.access_key)
    if identity is None or (identity.token and not claim.token):
        raise Refusal(
            "InvalidAccessKeyId",
            403,
            "The AWS Access Key Id you provided does not exist in our records.",
            {"AWSAccessKeyId": claim.access_key},
        )
    if not hmac.compare_digest(identity.token.encode(), claim.token.encode()):
        raise Refusal(
            "InvalidToken",
            400,
            "The provided token is malformed or otherwise invalid.",
            {"Token-0": claim.token},
        )
    if identity.expires_at is not None and identity.expires_at <= now:
        raise Refusal(
            "ExpiredToken", 400, "The provided token has expired.", {"Token-0": claim.token}
        )
    return identity


def _check_signed_headers(request: Request, signed: list[str]) -> None:
    missing = [] if "host" in signed else ["host"]
    for name, _ in request.headers:
        if name.startswith("x-amz-") and name not in signed and name not in missing:
            missing.append(name)
    if missing:
        raise access_denied(
            "There were headers present in the request which were not signed",
            HeadersNotSigned=", ".join(missing),
        )
