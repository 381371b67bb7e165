"""API tokens: `shot_<key>_<secret>`, made once, stored as a digest, and what makes one good.

The secret has 256 random bits, so one SHA-256 of it is as safe to store as the slow hash that a
password needs: nobody can try out 2^256 secrets, and each request has to compute it. `key` is no
secret; it finds the row by its index. What is compared is the digest, in constant time. The fixed
beginning lets secret scanners find a token that was committed by mistake.
"""

import hashlib
import logging
import re
import secrets
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from django.core.signals import request_finished
from django.db import DatabaseError
from django.db.models import Q
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from preferences.addresses import AddressRanges, parse_ranges
from preferences.models import ApiToken, User
from shotmedia.middleware import json_problem

logger = logging.getLogger(__name__)

# --- Making and revoking --------------------------------------------------------------------------

_TEXT = re.compile(r"shot_([0-9a-f]{16})_([0-9a-f]{64})")


def new_secret(token: ApiToken) -> str:
    """Give an unsaved `token` its key and digest; return the text, which is shown once."""
    token.key = secrets.token_hex(8)
    secret = secrets.token_hex(32)
    token.digest = _digest(secret)
    return f"shot_{token.key}_{secret}"


def may_make_for(maker: User, owner: User) -> bool:
    """Say whether `maker` may make a token for `owner`: for themself, or for who may no more.

    Whoever makes a token holds it, so a token for a person with more rights would give them away.
    """
    if maker == owner or maker.is_superuser:
        return True
    return not owner.is_superuser and owner.get_all_permissions() <= maker.get_all_permissions()


def revoke(token: ApiToken) -> bool:
    """Revoke `token` for good; False when it was revoked before. It stays in the lists."""
    now = timezone.now()
    if not ApiToken.objects.filter(pk=token.pk, revoked_at=None).update(revoked_at=now):
        return False
    token.revoked_at = now
    logger.info("API token revoked", extra={"token": token.key, "user": token.user_id})
    return True


# --- Proving --------------------------------------------------------------------------------------


class Claim(NamedTuple):
    """A token as it was sent."""

    key: str
    digest: str


class Standing(NamedTuple):
    """What the database knows of a token; times are in seconds since the epoch."""

    token_id: int
    digest: str
    is_active: bool
    """Whether its person may log in."""
    expires: float | None
    revoked: float | None
    addresses: str
    last_used: float | None


def bearer(request: HttpRequest) -> str | None:
    """Return what stands behind `Authorization: Bearer`, None without such a header."""
    header = request.META.get("HTTP_AUTHORIZATION")
    if header is None:
        return None
    scheme, _, text = header.partition(" ")
    return text.strip() if scheme.lower() == "bearer" else None


def read_token(text: str) -> Claim | None:
    """Return the token in `text`, None when it has not the form of one."""
    found = _TEXT.fullmatch(text)
    return Claim(found[1], _digest(found[2])) if found else None


def holds(standing: Standing, claim: Claim, address: str, now: float) -> bool:
    """Say whether a token is good at `now` (seconds since the epoch) for a client at `address`."""
    if not constant_time_compare(standing.digest, claim.digest):
        return False
    if not standing.is_active or standing.revoked is not None:
        return False
    if standing.expires is not None and standing.expires <= now:
        return False
    return not standing.addresses or _ranges(standing.addresses).find(address) is not None


def authenticate(text: str, address: str, now: float) -> User | None:
    """Return the person of the token `text` when it is good; one query."""
    claim = read_token(text)
    if claim is None:
        return None
    token = ApiToken.objects.select_related("user").filter(key=claim.key).first()
    if token is None:
        return None
    standing = Standing(
        token.pk, token.digest, token.user.is_active, _seconds(token.expires_at),
        _seconds(token.revoked_at), token.addresses, _seconds(token.last_used_at),
    )  # fmt: skip
    if not holds(standing, claim, address, now):
        return None
    note_use(standing, now)
    return token.user


def bad_token() -> JsonResponse:
    """Return the answer to a token that is not good, the same whatever is wrong with it."""
    response = json_problem(
        401,
        "bad-token",
        "This API token is not accepted: it is unknown, expired or revoked, not allowed from your "
        "address, or its person may not log in. Make a new one under your name on the site.",
    )
    response.headers["WWW-Authenticate"] = 'Bearer realm="Shotmedia", error="invalid_token"'
    return response


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _seconds(when: datetime | None) -> float | None:
    return None if when is None else when.timestamp()


@lru_cache(maxsize=1024)
def _ranges(addresses: str) -> AddressRanges:
    return parse_ranges(addresses)[0]


# --- Last use -------------------------------------------------------------------------------------

USE_STEP = 600.0
"""Seconds by which `last_used_at` may lag behind."""

_noted: dict[int, float] = {}
"""When this process last noted a use, by token: a write that fails is not tried at each use."""
_unwritten: dict[int, float] = {}


def note_use(standing: Standing, now: float) -> None:
    """Note that a token was used, once in USE_STEP; written when the answer has been sent."""
    if now - (standing.last_used or 0.0) < USE_STEP:
        return
    if now - _noted.get(standing.token_id, 0.0) < USE_STEP:
        return
    _noted[standing.token_id] = _unwritten[standing.token_id] = now


def write_uses(**kwargs: object) -> None:
    """Write what `note_use` has noted; called when a request has finished."""
    while _unwritten:
        try:
            token_id, used = _unwritten.popitem()
        except KeyError:  # another thread was faster
            return
        when = datetime.fromtimestamp(used, UTC)
        try:
            ApiToken.objects.filter(
                Q(last_used_at=None) | Q(last_used_at__lt=when), pk=token_id
            ).update(last_used_at=when)
        except DatabaseError:
            logger.exception("the last use of an API token was not written")


def forget_uses() -> None:
    """Drop what this process remembers of uses."""
    _noted.clear()
    _unwritten.clear()


request_finished.connect(write_uses, dispatch_uid="preferences.tokens.write_uses")
