"""Downloads: one SQL statement, one decision, one signed link.

`download` is the hot path of the site. It answers from a single joined statement and asks S3 only
where the decision says CHECK.
"""

import ipaddress
import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest
from django.db import DatabaseError
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
    JsonResponse,
)
from django.http.response import ResponseHeaders
from django.shortcuts import render
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe

from media.content_types import disposition
from media.copies import circuit_of, learn, look_for_copy, remember
from media.models import MediaFile, ReplicaCopy
from media.replication import Decision, Facts, Reason, Source, decide, explain, settle
from media.rows import LAST_ID, Row, TokenRow, download_row, download_row_by_token
from preferences.addresses import client_address
from preferences.models import User
from preferences.sessions import is_session_key
from preferences.snapshot import Preferences, current_preferences, preferences_at
from preferences.tokens import Standing, bad_token, bearer, holds, note_use, read_token
from shotmedia.logs import log_event
from shotmedia.metrics import DECISIONS
from shotmedia.middleware import (
    json_login_required,
    json_problem,
    not_logged_in,
    wants_json,
)
from shotmedia.s3.config import BucketConfig
from shotmedia.s3.errors import S3Error, without_arns
from shotmedia.s3.presign import SignedURL, response_overrides, signer_for

logger = logging.getLogger(__name__)

# --- What is known about one download -----------------------------------------------------------


class Subject(NamedTuple):
    """The media file, its replica copy and the person's setting, as one decision needs them."""

    use_s3_replication: str
    name: str
    content_type: str
    size: int
    configuration: str
    path: str
    completed_at: float
    copy: str | None
    tries: int
    next_check_at: float
    media_file_id: int
    user_id: int


Loaded = tuple[Subject | None, int]
"""The subject (None: no such media file) and the preferences' version."""


@lru_cache(maxsize=4096)
def _auth_hashes(password: str, secret_key: str, fallbacks: tuple[str, ...]) -> tuple[str, ...]:
    user = User(password=password)
    return (user.get_session_auth_hash(), *user.get_session_auth_fallback_hash())


def _proves(auth_hash: str, password: str) -> bool:
    """Say whether a session made with this password hash is still good.

    As django.contrib.auth.get_user: a changed password ends all sessions, a rotated secret key
    does not while it is listed in SECRET_KEY_FALLBACKS.
    """
    hashes = _auth_hashes(password, settings.SECRET_KEY, tuple(settings.SECRET_KEY_FALLBACKS))
    return any(constant_time_compare(auth_hash, good) for good in hashes)


def _load(session_key: str, media_file_id: int, now: float) -> Loaded | None:
    """Return what a session may download; None when it is not a logged-in, active person's."""
    if not is_session_key(session_key):
        return None
    row = download_row(min(media_file_id, LAST_ID), session_key)
    if row is None or not row.is_active or row.expires <= now:
        return None
    if not _proves(row.auth_hash, row.password):
        return None
    return _loaded(row, media_file_id)


def _load_by_token(text: str, media_file_id: int, address: str, now: float) -> Loaded | None:
    """Return what the API token `text` may download from `address`; None when it is not good."""
    claim = read_token(text)
    if claim is None:
        return None
    row = download_row_by_token(min(media_file_id, LAST_ID), claim.key)
    if row is None:
        return None
    standing = Standing(*row[: len(Standing._fields)])
    if not holds(standing, claim, address, now):
        return None
    note_use(standing, now)
    return _loaded(row, media_file_id)


def _loaded(row: Row | TokenRow, media_file_id: int) -> Loaded:
    if row.name is None:
        return None, row.version
    subject = Subject(
        row.use_s3_replication, row.name, row.content_type, row.size, row.configuration, row.path,
        row.completed_at, row.copy, row.tries or 0, row.next_check_at or 0.0, media_file_id,
        row.user_id,
    )  # fmt: skip
    return subject, row.version


# --- Deciding -------------------------------------------------------------------------------------


PREVIEW_TRUST = 5.0
"""Seconds for which one answer of the replica vouches for the copies known to be there, where a
page shows them: thumbnails cost one look, and the page asks the primary when one fails to load."""


def _facts(
    subject: Subject, preferences: Preferences, listed: bool, now: float, *, trust: float
) -> Facts:
    """Return what the decision depends on; `trust` is PREVIEW_TRUST or the setting's seconds."""
    replica = preferences.replica
    circuit = circuit_of(replica) if replica is not None and preferences.verify else None
    due = subject.copy is None or subject.next_check_at <= now
    if subject.copy == "ready" and not due and circuit is not None:
        # S3 cannot fall back, and a download has nobody to notice a 404: one look makes sure that
        # the replica is still up and the object still there.
        due = not circuit.answered_within(trust)
    return Facts(
        home=subject.configuration,
        replica=replica.name if replica is not None else None,
        use_s3_replication=subject.use_s3_replication,
        listed=listed,
        age=now - subject.completed_at,
        delay=preferences.delay,
        verify=preferences.verify,
        circuit_open=circuit is not None and circuit.is_open(),
        copy=subject.copy or "unknown",
        due=due,
    )


def _checked(subject: Subject, replica: BucketConfig, now: float) -> Decision:
    """Settle a decision that says CHECK: look once, remember, decide."""
    if not circuit_of(replica).take_turn():
        return Decision(Source.PRIMARY, Reason.REPLICA_DOWN)
    finding = look_for_copy(replica, subject.path, subject.size)
    knowledge = learn(finding, subject.tries)
    if knowledge is not None and (knowledge.state != subject.copy or subject.next_check_at <= now):
        try:
            remember(subject.media_file_id, replica.fingerprint, knowledge, now)
        except DatabaseError:
            # Locked, or a standby that only reads: the next download looks again.
            logger.exception("what was found out about a replica copy was not stored")
    return settle(finding)


# --- Signing --------------------------------------------------------------------------------------

_IMMUTABLE = "private, max-age=86400, immutable"


def _sign(config: BucketConfig, subject: Subject, method: str, inline: bool) -> SignedURL:
    content_disposition, content_type = disposition(subject.name, subject.content_type, inline)
    overrides = response_overrides(content_disposition, content_type, _IMMUTABLE if inline else "")
    signer = signer_for(config, step=settings.LINK_STEP_SECONDS)
    return signer.sign(method, subject.path, settings.LINK_SECONDS, overrides)


def _copy_may_serve(subject: Subject) -> bool:
    """Say whether the replica copy may stand in for a primary that cannot be linked to."""
    return subject.copy == "ready" and subject.use_s3_replication != "no"


class NoBucket(Exception):
    """Neither bucket can be signed for; the text says why."""


def _link(
    decision: Decision, subject: Subject, preferences: Preferences, method: str, inline: bool
) -> tuple[BucketConfig, Reason, SignedURL]:
    """Return the configuration, the reason and the signed link; the other bucket when one fails.

    Raises NoBucket when no link can be made at all.
    """
    home = preferences.configurations.get(subject.configuration)
    replica = preferences.replica
    choices = [(home, decision.reason)]
    if decision.source is Source.REPLICA:
        choices = [(replica, decision.reason), (home, Reason.REPLICA_UNUSABLE)]
    elif _copy_may_serve(subject):
        choices.append((replica, Reason.PRIMARY_UNUSABLE))
    problems = []
    for config, reason in choices:
        if config is None:
            problems.append(f"“{subject.configuration}” is not in S3 Configuration")
            continue
        try:
            return config, reason, _sign(config, subject, method, inline)
        except S3Error as error:
            problems.append(f"“{config.name}” cannot be signed for: {without_arns(str(error))}")
            logger.exception("no link could be signed", extra={"configuration": config.name})
    raise NoBucket("; ".join(problems))


# --- The redirect ---------------------------------------------------------------------------------


class Granted(NamedTuple):
    """The link that one request gets."""

    subject: Subject
    config: BucketConfig
    """The configuration that the link leads to."""
    reason: Reason
    link: SignedURL


Answer = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers and body."""


class Refused(Exception):
    """One request gets no link."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


REFUSED = "shotmedia.refused"
"""Where a WSGI environ holds the Refused of a request that the view has but to put in words."""


def grant(request: HttpRequest, media_id: int) -> Granted:
    """Return the link for a request, found, decided, signed, counted and logged.

    Needs neither middleware nor URLconf: it finds out by itself who asks. Raises Refused when
    there is no link to give, and Django's database errors.
    """
    now = time.time()
    token = bearer(request)
    if token is not None:
        loaded = _load_by_token(token, media_id, client_address(request), now)
        if loaded is None:
            # Before the method is looked at: a bad token has one answer at every address.
            raise Refused(401, "bad-token")
    if request.method not in ("GET", "HEAD"):
        raise Refused(405, "method-not-allowed")
    if token is None:
        loaded = _load(request.COOKIES.get(settings.SESSION_COOKIE_NAME, ""), media_id, now)
    if loaded is None:
        raise Refused(401, "not-logged-in")
    subject, version = loaded
    if subject is None:
        raise Refused(404, "not-found", "There is no media file at this address.")
    preferences = preferences_at(version)
    query = _query(request)
    inline = query.get("disposition") == "inline"
    source = query.get("source")
    if source == "primary":
        decision = Decision(Source.PRIMARY, Reason.PRIMARY_REQUESTED)
    elif source is None:
        listed = (
            subject.use_s3_replication == "auto"
            and preferences.ranges.find(client_address(request)) is not None
        )
        trust = PREVIEW_TRUST if inline else settings.REPLICA_TRUST_SECONDS
        decision = decide(_facts(subject, preferences, listed, now, trust=trust))
        if decision.source is Source.CHECK:
            decision = _checked(subject, preferences.replica, now)
    else:
        raise Refused(400, "bad-source", "The only source to ask for is “primary”.")
    try:
        config, reason, link = _link(decision, subject, preferences, request.method, inline)
    except NoBucket as error:
        message = f"No bucket can serve this file: {error}. Tell an admin."
        raise Refused(503, "no-bucket", message) from error
    _note(subject, config, reason)
    return Granted(subject, config, reason, link)


def answer(request: HttpRequest, granted: Granted) -> Answer:
    """Return status, headers and body: a redirect, or JSON where `?redirect=0` asks for it."""
    subject, config, reason, link = granted
    if _query(request).get("redirect") == "0":
        status, kind = 200, ("Content-Type", "application/json")
        body = json.dumps(
            {
                "url": link.url,
                "expires_at": datetime.fromtimestamp(link.expires_at, UTC).isoformat(),
                "configuration": config.name,
                "reason": reason,
                "name": subject.name,
                "size": subject.size,
                "content_type": subject.content_type,
            }
        ).encode()
    else:
        status, kind, body = 302, ("Location", link.url), b""
    headers = [
        kind,
        # Without it the server would send the empty body in chunks.
        ("Content-Length", str(len(body))),
        ("Cache-Control", "private, no-store"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Media-Source", _source_header(config.name, reason)),
    ]
    return status, headers, body


@lru_cache(maxsize=256)
def _source_header(configuration: str, reason: Reason) -> str:
    # A configuration may be named in any language; Django knows how headers take it.
    headers = ResponseHeaders({"X-Media-Source": f"{configuration}; reason={reason}"})
    return headers["X-Media-Source"]


@login_not_required
def download(request: HttpRequest, media_id: int) -> HttpResponseBase:
    """Redirect to the media file in the bucket that the decision names; for GET and HEAD.

    `?source=primary` forces the bucket it was uploaded to, `?redirect=0` answers JSON instead of a
    redirect, `?disposition=inline` asks for types on the allow-list to be shown and not saved.
    """
    # Refused by who was asked first: to look again would take the same time, and the same turn.
    refused = request.META.pop(REFUSED, None)
    if refused is not None:
        return _refusal(request, refused)
    try:
        granted = grant(request, media_id)
    except Refused as refused:
        return _refusal(request, refused)
    status, headers, body = answer(request, granted)
    return HttpResponse(body, status=status, headers=dict(headers))


def _query(request: HttpRequest) -> Mapping[str, str]:
    return request.GET if request.META.get("QUERY_STRING") else {}


@lru_cache(maxsize=256)
def _counter(configuration: str, reason: Reason):
    return DECISIONS.labels(configuration, reason)


def _note(subject: Subject, config: BucketConfig, reason: Reason) -> None:
    try:
        _counter(config.name, reason).inc()
    except OSError as error:
        # The count is lost, and not the download.
        logger.warning("PROMETHEUS_MULTIPROC_DIR cannot be written to: %s", error)
    log_event(
        logger,
        "download",
        media_file=subject.media_file_id,
        user=subject.user_id,
        configuration=config.name,
        reason=reason,
    )


def _refusal(request: HttpRequest, refused: Refused) -> HttpResponse:
    if refused.code == "bad-token":
        return bad_token()
    if refused.code == "method-not-allowed":
        return HttpResponseNotAllowed(["GET", "HEAD"])
    if refused.code == "not-logged-in":
        if wants_json(request):
            return not_logged_in()
        return redirect_to_login(request.get_full_path())
    if wants_json(request):
        return json_problem(refused.status, refused.code, refused.message)
    if refused.status == 404:
        raise Http404(refused.message)
    if refused.status == 400:
        raise BadRequest(refused.message)
    context = {"title": "This file cannot be downloaded", "message": refused.message}
    return render(request, "problem.html", context, status=refused.status)


# --- Saying where a download would come from ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one media file would come from, for a page."""

    configuration: str
    source: Source
    reason: Reason
    words: str
    bucket: str = ""
    region: str = ""
    changes_in: float | None = None

    def as_json(self) -> dict:
        """Return the answer of /media/<id>/source."""
        return {
            "configuration": self.configuration,
            "source": "primary" if self.source is Source.PRIMARY else "replica",
            "bucket": self.bucket,
            "region": self.region,
            "reason": self.reason,
            "words": self.words,
            "changes_in": None if self.changes_in is None else round(self.changes_in, 1),
        }


def sources_for(
    request: HttpRequest, media_files: Sequence[MediaFile], preferences: Preferences
) -> list[Origin]:
    """Return where each of `media_files` would come from for this person; no S3 call, one query."""
    copies = _copies_of(media_files, preferences)
    address, now = client_address(request), time.time()
    return [
        _origin(
            request.user, address, media_file, copies.get(media_file.pk), preferences, now,
            check=False,
        )
        for media_file in media_files
    ]  # fmt: skip


def describe_source(
    request: HttpRequest,
    media_file: MediaFile,
    preferences: Preferences,
    *,
    user: User | None = None,
    address: str | None = None,
) -> Origin:
    """Return where `media_file` would come from, asking the replica where the decision asks it.

    `user` and `address` are another person and client address than the request's own (staff).
    """
    return _origin(
        user or request.user,
        address or client_address(request),
        media_file,
        _copies_of([media_file], preferences).get(media_file.pk),
        preferences,
        time.time(),
        check=True,
    )


def _copies_of(
    media_files: Iterable[MediaFile], preferences: Preferences
) -> dict[int, ReplicaCopy]:
    if preferences.replica is None:
        return {}
    copies = ReplicaCopy.objects.filter(
        media_file__in=media_files, target=preferences.replica.fingerprint
    )
    return {copy.media_file_id: copy for copy in copies}


def _origin(
    user: User,
    address: str,
    media_file: MediaFile,
    copy: ReplicaCopy | None,
    preferences: Preferences,
    now: float,
    *,
    check: bool,
) -> Origin:
    subject = Subject(
        use_s3_replication=user.use_s3_replication,
        name=media_file.name,
        content_type=media_file.content_type,
        size=media_file.size,
        configuration=media_file.configuration,
        path=media_file.path,
        completed_at=media_file.completed_at.timestamp(),
        copy=copy.state if copy else None,
        tries=copy.tries if copy else 0,
        next_check_at=copy.next_check_at.timestamp() if copy else 0.0,
        media_file_id=media_file.pk,
        user_id=user.pk,
    )
    match = preferences.ranges.find(address) if user.use_s3_replication == "auto" else None
    facts = _facts(subject, preferences, match is not None, now, trust=0)
    decision = decide(facts)
    if decision.source is Source.CHECK and check:
        decision = _checked(subject, preferences.replica, now)
    elif decision.source is Source.CHECK and facts.copy == "ready":
        decision = Decision(Source.REPLICA, Reason.READY)
    config = preferences.configurations.get(subject.configuration)
    if config is None and decision.source is Source.PRIMARY and _copy_may_serve(subject):
        decision = Decision(Source.REPLICA, Reason.PRIMARY_UNUSABLE)
    if decision.source is not Source.PRIMARY:
        config = preferences.replica
    words = explain(
        facts,
        decision.reason,
        who=user.get_username(),
        address=address,
        listing=f"{match.text} (line {match.line})" if match else "",
    )
    if config is None:
        words += (
            f" But “{subject.configuration}” is not in S3 Configuration, so the file cannot be "
            "downloaded: tell an admin."
        )
    return Origin(
        configuration=config.name if config else subject.configuration,
        source=decision.source,
        reason=decision.reason,
        words=words,
        bucket=config.bucket if config else "",
        region=config.region if config else "",
        changes_in=decision.changes_in,
    )


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@require_safe
@json_login_required
def source(request: HttpRequest, media_id: int) -> JsonResponse:
    """Answer as JSON which bucket a download would come from, and why.

    Staff may ask for another person (`?user=<name>`) or client address (`?address=`).
    """
    media_file = MediaFile.objects.filter(pk=min(media_id, LAST_ID)).first()
    if media_file is None:
        return json_problem(404, "not-found", "There is no media file at this address.")
    user, address = None, None
    if "user" in request.GET or "address" in request.GET:
        if not request.user.is_staff:
            return json_problem(
                403, "not-allowed", "Only staff may ask for another person or address."
            )
        # PostgreSQL raises for a NUL in a text.
        if name := request.GET.get("user", "").replace("\0", ""):
            user = User.objects.filter(username=name).first()
            if user is None:
                return json_problem(404, "no-such-user", f"There is no user named “{name}”.")
        address = request.GET.get("address") or None
        if address and not _is_address(address):
            return json_problem(400, "bad-address", f"“{address}” is not an IP address.")
    origin = describe_source(request, media_file, current_preferences(), user=user, address=address)
    return JsonResponse(origin.as_json(), headers={"Cache-Control": "private, no-store"})
