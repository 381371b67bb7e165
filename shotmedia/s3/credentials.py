"""Credentials to sign with: assumed roles and the ambient chain, refreshed before they run short.

boto3 and the clients are imported inside the functions that call AWS: signing a link with
credentials at hand must not cost the import, and clients.py builds its clients on this module.
"""

import json
import logging
import os
import re
import socket
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .config import BucketConfig
from .errors import CredentialsUnavailable, S3Error, translated
from .process import ProcessCache

logger = logging.getLogger(__name__)

HEADROOM = 300
"""Seconds that credentials shall live beyond what a caller asks for."""
BLOCK_UNDER = 60
"""Seconds left under which a caller waits for a refresh instead of using what is at hand."""
BACKOFF_FIRST, BACKOFF_MOST = 5.0, 30.0
"""Seconds between attempts after failures; doubled each time."""
USEFUL_SHARE = 0.75
"""A longer wish than this share of the credentials' whole life does not trigger a refresh."""
ROLE_DURATION = 3600
"""Seconds; also the most that a role assumed by another role may have (role chaining)."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """One immutable set of keys. expires_at: epoch seconds, None when they do not expire."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)
    expires_at: float | None = None


def _in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="s3-credentials", daemon=True).start()


class RoleCredentials:
    """Holds credentials that expire and keeps them fresh without making anybody wait.

    fetch  makes new Credentials (one STS call) or raises
    clock  epoch seconds
    start  runs a callable in the background
    name   what the log calls them

    One immutable snapshot is swapped atomically, one refresh runs at a time, in the background
    while the snapshot is usable. A refresh that fails keeps the snapshot and is tried again after
    5 to 30 s ("S3, STS and replication", section 2.2).
    """

    def __init__(
        self,
        fetch: Callable[[], Credentials],
        *,
        clock: Callable[[], float] = time.time,
        start: Callable[[Callable[[], None]], None] = _in_thread,
        name: str = "credentials",
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._start = start
        self._name = name
        self._held: tuple[Credentials, float] | None = None
        self._refreshing = threading.Lock()
        self._retry_at = 0.0
        self._failures = 0
        self.last_error: Exception | None = None
        _holders.add(self)

    def get(self, min_life: int = 0) -> Credentials:
        """Credentials that live for `min_life` more seconds wherever that can be had.

        They may live shorter: while a refresh fails or runs, or when the wish is longer than
        credentials last. Raises CredentialsUnavailable when there are none that are still valid.
        """
        held = self._held
        if held is not None:
            credentials, enough = held
            if credentials.expires_at is None:
                return credentials
            left = credentials.expires_at - self._clock()
            if left >= min(min_life + HEADROOM, enough):
                return credentials
            if left >= BLOCK_UNDER:
                self._refresh_in_background()
                return credentials
        return self._refresh_and_wait()

    def _refresh_in_background(self) -> None:
        if self._clock() < self._retry_at or not self._refreshing.acquire(blocking=False):
            return
        try:
            self._start(self._background)
        except RuntimeError as error:
            # No more threads: what is held is still good, so the caller shall not suffer.
            self._failed(error)
            self._refreshing.release()

    def _background(self) -> None:
        refreshing = self._refreshing
        try:
            self._refresh()
        finally:
            refreshing.release()

    def _refresh_and_wait(self) -> Credentials:
        with self._refreshing:
            # Whoever held the lock may have refreshed, or failed a moment ago.
            if self._left() < BLOCK_UNDER and self._clock() >= self._retry_at:
                self._refresh()
            if self._left() > 0:
                return self._held[0]
        error = self.last_error
        raise CredentialsUnavailable(
            error.message if isinstance(error, S3Error) else f"No credentials: {error}",
            code=getattr(error, "code", "") or type(error).__name__,
            status=getattr(error, "status", 0),
            request_id=getattr(error, "request_id", ""),
            operation=getattr(error, "operation", "") or "GetCredentials",
        ) from error

    def _left(self) -> float:
        held = self._held
        if held is None:
            return 0.0
        expires_at = held[0].expires_at
        return float("inf") if expires_at is None else expires_at - self._clock()

    def _refresh(self) -> None:
        """One attempt. A failure is kept for those who have no snapshot to fall back to."""
        try:
            fresh = self._fetch()
            now = self._clock()
            if fresh.expires_at is not None and fresh.expires_at <= now:
                raise CredentialsUnavailable(
                    "The credentials had expired on arrival; check the server's clock.",
                    code="ExpiredToken",
                    operation="GetCredentials",
                )
        except Exception as error:
            self._failed(error)
            return
        old = self._held
        enough = 0.0
        if fresh.expires_at is not None:
            enough = (fresh.expires_at - now) * USEFUL_SHARE
        no_better = (
            old is not None
            and fresh.expires_at is not None
            and old[0].expires_at is not None
            and fresh.expires_at <= old[0].expires_at
        )
        if no_better:
            # The instance's metadata hands out the same keys until AWS rotates them.
            enough = old[1]
            self._retry_at = now + BACKOFF_MOST
        else:
            self._retry_at = 0.0
        if self._failures:
            logger.info("%s: refreshed after %d failures", self._name, self._failures)
        self._failures = 0
        self.last_error = None
        self._held = (fresh, enough)

    def _failed(self, error: Exception) -> None:
        if type(error) is not type(self.last_error):
            code = getattr(error, "code", "") or "no code"
            logger.warning("%s: refresh failed (%s, %s)", self._name, type(error).__name__, code)
        wait = min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** min(self._failures, 10))
        self._failures += 1
        self.last_error = error
        self._retry_at = self._clock() + wait

    def _after_fork(self) -> None:
        self._refreshing = threading.Lock()


_holders: "weakref.WeakSet[RoleCredentials]" = weakref.WeakSet()


def _renew_locks() -> None:
    for holder in list(_holders):
        holder._after_fork()


# The thread that held a lock at the fork does not exist in the child.
os.register_at_fork(after_in_child=_renew_locks)

_cache = ProcessCache()


def credentials_key(config: BucketConfig) -> tuple[str, str, str, str]:
    """What decides a configuration's credentials: role, external id, profile, region.

    The region only matters with a role (it chooses the STS endpoint).
    """
    region = config.region if config.aws_role_arn else ""
    return (config.aws_role_arn, config.external_id, config.profile, region)


def credentials_for(config: BucketConfig) -> RoleCredentials:
    """The holder of a configuration's credentials, one per `credentials_key` and process.

    With a role its assumed credentials, else the ambient chain (environment, profile, container,
    instance). Nothing is fetched before the first `get()`.
    """
    return _cache.get(credentials_key(config), lambda: _holder(config))


def _holder(config: BucketConfig) -> RoleCredentials:
    if config.aws_role_arn:
        return RoleCredentials(lambda: assume_role(config), name=config.aws_role_arn)
    profile = config.profile
    name = f"profile {profile}" if profile else "ambient AWS credentials"
    return RoleCredentials(lambda: _ambient(profile), name=name)


def role_session_name(host: str = "") -> str:
    """RoleSessionName, which the studio's CloudTrail shows: "site-<host>", at most 64 characters.

    STS API Reference, AssumeRole: [\\w+=,.@-].
    """
    host = re.sub(r"[^\w+=,.@-]", "-", host or socket.gethostname(), flags=re.ASCII)
    return f"site-{host}"[:64]


def assume_role(
    config: BucketConfig, *, policy: dict[str, Any] | None = None, duration: int = ROLE_DURATION
) -> Credentials:
    """One direct STS AssumeRole call at the region's own endpoint (at most about 14 s).

    policy: inline session policy that narrows the role. duration: seconds, 900 to 43200; at most
    3600 when the site itself runs on a role (role chaining).
    Raises CredentialsUnavailable when AWS refuses, Unreachable when STS does not answer.
    """
    from botocore.exceptions import ClientError

    from .clients import sts_client

    request: dict[str, Any] = {
        "RoleArn": config.aws_role_arn,
        "RoleSessionName": role_session_name(),
        "DurationSeconds": duration,
    }
    if config.external_id:
        request["ExternalId"] = config.external_id
    if policy is not None:
        request["Policy"] = json.dumps(policy, separators=(",", ":"))
    with translated("AssumeRole"):
        try:
            answer = sts_client(config.region, config.profile).assume_role(**request)
        except ClientError as error:
            refused = _role_refused(error, config, duration)
            if refused is None:
                raise
            raise refused from error
    given = answer["Credentials"]
    return Credentials(
        given["AccessKeyId"],
        given["SecretAccessKey"],
        given["SessionToken"],
        given["Expiration"].timestamp(),
    )


_ROLE_HINTS = {
    "AccessDenied": (
        "AWS does not let the site assume the role {role}. Check that the role exists, that its "
        "trust policy names the site, that external_id is the one the trust policy asks for, and "
        "that the site has sts:AssumeRole on it."
    ),
    "ValidationError": (
        "AWS refused {duration} s for the role {role}: {message}. The role's MaxSessionDuration is "
        "the limit, and 3600 s when the site itself runs on a role (role chaining): ask for 3600."
    ),
    "ExpiredToken": (
        "The site's own AWS credentials have expired, so the role {role} cannot be assumed; "
        "renew them."
    ),
    "InvalidClientTokenId": (
        "AWS does not know the site's own credentials, so the role {role} cannot be assumed; "
        "check the access key, and that the region {region} is enabled in its account."
    ),
    "RegionDisabledException": (
        "STS is switched off in {region} for the site's account; enable the region in the account "
        "settings."
    ),
}


def _role_refused(error: Any, config: BucketConfig, duration: int) -> CredentialsUnavailable | None:
    details = error.response.get("Error", {})
    metadata = error.response.get("ResponseMetadata", {})
    code, status = str(details.get("Code", "")), int(metadata.get("HTTPStatusCode", 0))
    if status >= 500 or code.startswith("Throttling"):
        return None
    message = str(details.get("Message", "")).rstrip(".")
    template = _ROLE_HINTS.get(code, "AWS refused the role {role}: {message}.")
    return CredentialsUnavailable(
        template.format(
            role=config.aws_role_arn, region=config.region, duration=duration, message=message
        ),
        code=code,
        status=status,
        request_id=str(metadata.get("RequestId", "")),
        operation="AssumeRole",
    )


def _ambient(profile: str) -> Credentials:
    """The credentials of botocore's own chain, which refreshes those that come from metadata."""
    from .clients import aws_session

    with translated("GetCredentials"):
        found = aws_session(profile).get_credentials()
        if found is None:
            raise CredentialsUnavailable(
                "No AWS credentials were found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                "name a profile in the configuration, or run the site on an instance role.",
                code="NoCredentials",
                operation="GetCredentials",
            )
        frozen = found.get_frozen_credentials()
    # botocore has no public name for the expiry; without it links would outlive credentials.
    expires = getattr(found, "_expiry_time", None)
    return Credentials(
        frozen.access_key,
        frozen.secret_key,
        frozen.token or "",
        None if expires is None else expires.timestamp(),
    )
