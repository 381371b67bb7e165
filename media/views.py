"""The library, the page of a media file, and the upload: they parse, call and respond."""

import json
import logging
import time
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any
from uuid import UUID

from botocore.exceptions import ClientError
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    JsonResponse,
    QueryDict,
    RawPostDataException,
)
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from media import uploads
from media.content_types import INLINE_TYPES, THUMBNAIL_TYPES
from media.downloads import Origin, describe_source, sources_for
from media.library import find_page, read_wanted
from media.models import Kind, MediaFile
from media.replication import Source, duration
from media.rows import LAST_ID
from preferences.snapshot import Preferences, current_preferences
from shotmedia.middleware import allow_hosts, json_login_required, json_problem
from shotmedia.s3.errors import AccessDenied, S3Error, Unreachable, without_arns

logger = logging.getLogger(__name__)

LARGEST_THUMBNAIL = 5 * 1024 * 1024
"""Bytes up to which a picture stands for itself in the library."""

# --- Library --------------------------------------------------------------------------------------


@require_safe
def library(request: HttpRequest) -> HttpResponse:
    """Show a page of the library: newest first, searched by name and filtered by kind."""
    wanted = read_wanted(request.GET.dict())
    page = find_page(wanted)
    if wanted.after is not None and wanted.before is None and not page.has_newer:
        # Going back has reached the top, where the page may be short: show the first page.
        return redirect(f"{reverse('media:library')}{_query(request.GET)}")
    preferences = current_preferences()
    now = time.time()
    origins = sources_for(request, page.media_files, preferences)
    tiles = [
        _tile(media_file, origin, now)
        for media_file, origin in zip(page.media_files, origins, strict=True)
    ]
    context = {
        "section": "library",
        "tiles": tiles,
        "kinds": Kind.choices,
        "kind": wanted.kind,
        "kind_label": Kind(wanted.kind).label if wanted.kind else "",
        "words": " ".join(wanted.words),
        "paged": wanted.before is not None or wanted.after is not None,
        "storage_location": preferences.primary,
        "newest": _query(request.GET),
        "newer": _query(request.GET, after=page.media_files[0].pk)
        if page.has_newer and page.media_files
        else "",
        "older": _query(request.GET, before=page.media_files[-1].pk) if page.has_older else "",
    }
    response = render(request, "media/library.html", context)
    return _allow_buckets(response, preferences, "img-src")


def _tile(media_file: MediaFile, origin: Origin, now: float) -> dict[str, Any]:
    small = media_file.size <= LARGEST_THUMBNAIL
    return {
        "media_file": media_file,
        "origin": origin,
        "source": _source(origin),
        "age": duration(now - media_file.completed_at.timestamp()),
        "has_thumbnail": small and media_file.content_type in THUMBNAIL_TYPES,
    }


def _source(origin: Origin) -> str:
    """Return the badge's look; a copy that is yet to be checked is neither."""
    return "" if origin.source is Source.CHECK else origin.source.value


def _query(current: QueryDict, **change: int) -> str:
    """Return the query string of another page with the same search."""
    query = QueryDict(mutable=True)
    for name in ("q", "kind"):
        if current.get(name):
            query[name] = current[name]
    for name, value in change.items():
        query[name] = str(value)
    return f"?{query.urlencode()}" if query else ""


def _allow_buckets(
    response: HttpResponse, preferences: Preferences, *directives: str
) -> HttpResponse:
    """Let the page show media from, or send parts to, every configured bucket."""
    origins = [config.public_endpoint().origin for config in preferences.configurations.values()]
    return allow_hosts(response, origins, *directives)


# --- One media file -------------------------------------------------------------------------------


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one media file: player or picture, facts, and where it would come from and why."""
    media_file = MediaFile.objects.filter(pk=min(pk, LAST_ID)).select_related("uploaded_by").first()
    if media_file is None:
        raise Http404("There is no media file at this address.")
    preferences = current_preferences()
    origin = describe_source(request, media_file, preferences)
    context = {
        "section": "library",
        "media_file": media_file,
        "origin": origin,
        "source": _source(origin),
        "age": duration(time.time() - media_file.completed_at.timestamp()),
        "bytes": f"{media_file.size:,}",
        "shown": media_file.content_type in INLINE_TYPES,
    }
    response = render(request, "media/detail.html", context)
    return _allow_buckets(response, preferences, "img-src", "media-src")


# --- Upload ---------------------------------------------------------------------------------------


@require_safe
@ensure_csrf_cookie
def upload_page(request: HttpRequest) -> HttpResponse:
    """Show the page that sends files to Storage Location."""
    preferences = current_preferences()
    context = {"section": "upload", "storage_location": preferences.primary}
    response = render(request, "media/upload.html", context)
    return _allow_buckets(response, preferences, "connect-src")


class BadRequestBody(Exception):
    """The JSON sent is not what the address takes; the text says what is."""


_STATUS = {
    BadRequestBody: 400,
    uploads.BadFile: 400,
    uploads.BadParts: 400,
    uploads.UploadMissing: 404,
    uploads.UploadComplete: 409,
    uploads.NoStorageLocation: 409,
    uploads.Damaged: 422,
}
"""The HTTP status of each error of an upload."""


def for_scripts(view: Callable[..., JsonResponse]) -> Callable[..., JsonResponse]:
    """Answer in JSON whatever happens: no login page, no error page."""

    @wraps(view)
    def answer(request: HttpRequest, **arguments: Any) -> JsonResponse:
        try:
            response = view(request, **arguments)
        except (BadRequestBody, uploads.UploadError) as error:
            code = getattr(error, "code", "bad-request")
            response = json_problem(_STATUS[type(error)], code, str(error))
        except S3Error as error:
            response = _s3_problem(error)
        except ClientError as error:
            logger.exception("S3 refused for a reason that is not expected")
            response = _s3_problem(error)
        response.headers["Cache-Control"] = "private, no-store"
        return response

    return json_login_required(answer)


def _s3_problem(error: S3Error | ClientError) -> JsonResponse:
    if isinstance(error, ClientError):
        return json_problem(502, "s3-failed", f"S3 could not do it: {without_arns(str(error))}")
    logger.warning("S3 failed", extra={"operation": error.operation, "why": str(error)})
    # Whoever uploads reads this; the log has the roles.
    said = f"{without_arns(error.message).rstrip('.')} ({error.operation} {error.code})."
    if isinstance(error, Unreachable):
        # Without an answer botocore's text is about sockets and addresses: that is for the log.
        said = said if error.status else f"It did not answer ({error.operation} {error.code})."
        return json_problem(
            503, "s3-unreachable", f"S3 is out of reach. {said} Try again in a moment."
        )
    if isinstance(error, AccessDenied):
        return json_problem(
            502,
            "s3-denied",
            f"S3 refused: {said} The site's role needs the right to do this; the speed test shows "
            "an admin which one is missing.",
        )
    return json_problem(502, "s3-failed", f"S3 could not do it: {said}")


def _body(request: HttpRequest) -> dict[str, Any]:
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError, RawPostDataException) as error:
        # The last: a form, whose body has been read for its CSRF token.
        raise BadRequestBody("Send a JSON object.") from error
    if not isinstance(body, dict):
        raise BadRequestBody("Send a JSON object.")
    return body


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@require_POST
@for_scripts
def begin_upload(request: HttpRequest) -> JsonResponse:
    """Begin an upload: `{"name", "size", "type"}`, size in bytes; answers its id and plan."""
    body = _body(request)
    name, size, declared_type = body.get("name"), body.get("size"), body.get("type", "")
    if not (isinstance(name, str) and _is_number(size) and isinstance(declared_type, str)):
        raise BadRequestBody('Send {"name": text, "size": bytes, "type": text}.')
    upload, plan = uploads.begin(
        user=request.user,
        name=name,
        size=size,
        declared_type=declared_type,
        preferences=current_preferences(),
        now=timezone.now(),
    )
    links = {
        "self": reverse("media:upload-cancel", args=[upload.pk]),
        "parts": reverse("media:upload-parts", args=[upload.pk]),
        "complete": reverse("media:upload-complete", args=[upload.pk]),
    }
    answer = {
        "id": str(upload.pk),
        "name": upload.name,
        "size": plan.size,
        "part_size": plan.part_size,
        "parts": plan.count,
        "configuration": upload.configuration,
        "links": links,
    }
    return JsonResponse(answer, status=201, headers={"Location": links["self"]})


@require_http_methods(["DELETE"])
@for_scripts
def cancel_upload(request: HttpRequest, upload_id: UUID) -> JsonResponse:
    """Give an upload up; its parts are removed from S3."""
    upload = uploads.find(user=request.user, upload_id=upload_id)
    uploads.cancel(upload=upload, preferences=current_preferences())
    return JsonResponse({"cancelled": True})


@require_POST
@for_scripts
def sign_parts(request: HttpRequest, upload_id: UUID) -> JsonResponse:
    """Sign parts that are about to be sent: `{"numbers": [1, 2]}`."""
    numbers = _body(request).get("numbers")
    if not isinstance(numbers, list) or not all(_is_number(number) for number in numbers):
        raise BadRequestBody('Send {"numbers": [part numbers]}.')
    upload = uploads.find(user=request.user, upload_id=upload_id)
    links = uploads.sign_parts(upload=upload, numbers=numbers, preferences=current_preferences())
    return JsonResponse(
        {
            "parts": [
                {"number": link.number, "url": link.url, "length": link.length} for link in links
            ]
        }
    )


@require_POST
@for_scripts
def complete_upload(request: HttpRequest, upload_id: UUID) -> JsonResponse:
    """Complete an upload: `{"parts": [{"number", "etag"}]}`; answers the media file."""
    parts = list(_read_parts(_body(request).get("parts")))
    upload = uploads.find(user=request.user, upload_id=upload_id)
    media_file = uploads.complete(
        upload=upload,
        parts=parts,
        preferences=current_preferences(),
        now=timezone.now(),
    )
    return JsonResponse(
        {
            "id": media_file.pk,
            "name": media_file.name,
            "size": media_file.size,
            "etag": media_file.etag,
            "url": media_file.get_absolute_url(),
        }
    )


def _read_parts(parts: object) -> Iterable[tuple[int, str]]:
    for part in parts if isinstance(parts, list) else [None]:
        number, etag = (part.get("number"), part.get("etag")) if isinstance(part, dict) else (0, 0)
        if not (_is_number(number) and isinstance(etag, str) and _looks_like_etag(etag)):
            raise BadRequestBody('Send {"parts": [{"number": 1, "etag": what S3 answered}]}.')
        yield number, etag


def _looks_like_etag(text: str) -> bool:
    plain = text.strip('"')
    return 0 < len(plain) <= 80 and plain.isascii() and plain.replace("-", "").isalnum()
