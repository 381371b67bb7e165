"""STS: AssumeRole for the known roles, and GetCallerIdentity (AWS STS API Reference)."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from shotmedia.emulator.errors import Refusal, clean
from shotmedia.emulator.policy import Policy, PolicyError, parse_policy, refusal_reason
from shotmedia.emulator.signature import Identity, iso, verify
from shotmedia.emulator.wire import Request, Response

if TYPE_CHECKING:
    from shotmedia.emulator.front import Front

MAX_BODY = 65_536
MIN_DURATION, MAX_DURATION, CHAINED = 900, 43_200, 3600
_CODES = {
    "AccessDenied": ("MissingAuthenticationToken", "Request is missing Authentication Token"),
    "InvalidAccessKeyId": (
        "InvalidClientTokenId",
        "The security token included in the request is invalid.",
    ),
    "InvalidToken": (
        "InvalidClientTokenId",
        "The security token included in the request is invalid.",
    ),
    "ExpiredToken": ("ExpiredToken", "The security token included in the request is expired"),
    "RequestTimeTooSkewed": ("SignatureDoesNotMatch", "Signature expired: the date is too far off"),
    "AuthorizationHeaderMalformed": ("SignatureDoesNotMatch", ""),
    "AuthorizationQueryParametersError": ("IncompleteSignature", ""),
}  # what S3 calls it -> what STS calls it


@dataclass(frozen=True, slots=True)
class Role:
    """A role that may be assumed: the ExternalId its trust policy asks for ("" for none), its
    MaxSessionDuration in seconds, and its own permissions (a policy document as a dict; None
    allows everything)."""

    external_id: str = ""
    max_session: int = 3600
    policy: Policy | None = None


def is_sts(request: Request) -> bool:
    """Whether a request to "/" of the main port is meant for STS."""
    form = request.headers.get("content-type").startswith("application/x-www-form-urlencoded")
    return request.raw_path == "/" and (
        request.has("Action") or (request.method == "POST" and form)
    )


def answer_sts(front: "Front", request: Request) -> tuple[Response, str]:
    """The answer and who asked. Raises Refusal with STS's codes."""
    if (request.body.length or 0) > MAX_BODY:
        raise Refusal("ValidationError", 400, "The request is too long.")
    body = request.body.read() or b""
    if not request.has("X-Amz-Signature") and not request.headers.get("authorization"):
        raise Refusal("MissingAuthenticationToken", 403, _CODES["AccessDenied"][1])
    try:
        identity = verify(
            request,
            front.identities,
            front.now(),
            service="sts",
            regions=front.store.regions() | {"us-east-1"},
            payload_hash=hashlib.sha256(body).hexdigest(),
        ).identity
    except Refusal as error:
        code, message = _CODES.get(error.code, (error.code, ""))
        status = error.status if error.code == "AuthorizationQueryParametersError" else 403
        raise Refusal(code, status, message or error.message) from None
    given = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    given = dict(request.query) | given
    action = given.get("Action", "")
    if action == "GetCallerIdentity":
        return _caller_identity(identity), identity.arn
    if action == "AssumeRole":
        return _assume_role(front, identity, given), identity.arn
    raise Refusal("InvalidAction", 400, f"Could not find operation {action or 'without a name'}")


def _document(action: str, inner: str) -> Response:
    text = (
        f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">\n'
        f"  <{action}Result>{inner}</{action}Result>\n  <ResponseMetadata><RequestId>"
        f"{secrets.token_hex(16)}</RequestId></ResponseMetadata>\n</{action}Response>\n"
    )
    return Response(200, {"Content-Type": "text/xml"}, text.encode())


def _caller_identity(identity: Identity) -> Response:
    return _document(
        "GetCallerIdentity",
        f"<Arn>{clean(identity.arn)}</Arn><UserId>{clean(identity.user_id)}</UserId>"
        f"<Account>{identity.account}</Account>",
    )


def _invalid(name: str, value: str, rule: str) -> Refusal:
    return Refusal(
        "ValidationError",
        400,
        f"1 validation error detected: Value '{value}' at '{name}' failed to satisfy "
        f"constraint: {rule}",
    )


def _assume_role(front: "Front", caller: Identity, given: dict[str, str]) -> Response:
    arn, session = given.get("RoleArn", ""), given.get("RoleSessionName", "")
    if not re.fullmatch(r"[\w+=,.@-]{2,64}", session, re.ASCII):
        raise _invalid(
            "roleSessionName",
            session,
            "Member must satisfy regular expression pattern: [\\w+=,.@-]* "
            "and have length between 2 and 64",
        )
    duration = _duration(given.get("DurationSeconds", "3600"))
    session_policy = _session_policy(given.get("Policy", ""))
    role = front.roles.get(arn)
    denied = refusal_reason(caller.policies, None, "sts:AssumeRole", arn, {})
    wrong_id = role is not None and role.external_id and (
        role.external_id != given.get("ExternalId", "")
    )  # fmt: skip
    if role is None or wrong_id or denied:
        raise Refusal(
            "AccessDenied",
            403,
            f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}",
        )
    if caller.token and duration > CHAINED:
        raise Refusal(
            "ValidationError",
            400,
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed "
            "by role chaining",
        )
    if duration > role.max_session:
        raise Refusal(
            "ValidationError",
            400,
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        )
    made = _new_session(front, arn, role, session, duration, session_policy)
    assert made.expires_at is not None
    return _document(
        "AssumeRole",
        f"<AssumedRoleUser><AssumedRoleId>{clean(made.user_id)}</AssumedRoleId>"
        f"<Arn>{clean(made.arn)}</Arn></AssumedRoleUser>"
        f"<Credentials><AccessKeyId>{made.access_key}</AccessKeyId>"
        f"<SecretAccessKey>{made.secret_key}</SecretAccessKey>"
        f"<SessionToken>{made.token}</SessionToken>"
        f"<Expiration>{iso(made.expires_at)}</Expiration></Credentials>"
        f"<PackedPolicySize>{len(given.get('Policy', '')) * 100 // 2048}</PackedPolicySize>",
    )


def _duration(text: str) -> int:
    if not text.isdigit():
        raise Refusal("ValidationError", 400, f"'{text}' at 'durationSeconds' is no integer")
    duration = int(text)
    if duration < MIN_DURATION:
        rule = f"Member must have value greater than or equal to {MIN_DURATION}"
        raise _invalid("durationSeconds", text, rule)
    if duration > MAX_DURATION:
        rule = f"Member must have value less than or equal to {MAX_DURATION}"
        raise _invalid("durationSeconds", text, rule)
    return duration


def _session_policy(text: str) -> Policy | None:
    if not text:
        return None
    if len(text) > 2048:
        raise _invalid("policy", text[:40], "Member must have length less than or equal to 2048")
    try:
        return parse_policy(text, "session policy")
    except PolicyError as error:
        raise Refusal("MalformedPolicyDocument", 400, f"{error}.".capitalize()) from None


def _new_session(
    front: "Front", arn: str, role: Role, session: str, duration: int, policy: Policy | None
) -> Identity:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    partition, account = arn.split(":")[1], arn.split(":")[4]
    name = arn.partition("role/")[2].rpartition("/")[2]
    policies = tuple(item for item in (role.policy, policy) if item is not None)
    made = Identity(
        "ASIA" + "".join(secrets.choice(alphabet) for _ in range(16)),
        secrets.token_urlsafe(30),
        f"arn:{partition}:sts::{account}:assumed-role/{name}/{session}",
        f"AROA{hashlib.sha256(arn.encode()).hexdigest()[:17].upper()}:{session}",
        # As long as the real ones, so that headers and buffers meet their true size.
        secrets.token_urlsafe(390),
        float(int(front.now()) + duration),
        policies,
        account,
    )
    front.add_identity(made)
    return made
