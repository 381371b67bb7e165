"""/api/preferences/: Site Preferences for scripts; the document of the API is /api/openapi.json.

Values are the texts and numbers of the page, and pass the page's own validation. Writing is
compare-and-set: If-Match names the revision that the script has read.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.utils.http import parse_etags
from ninja import Header, NinjaAPI, Path, Query, Status
from ninja.errors import HttpError, ValidationError
from ninja.parser import Parser
from ninja.security import HttpBearer, SessionAuth

from preferences.addresses import client_address
from preferences.api_schemas import (
    Done,
    FullRevision,
    NewValues,
    Problem,
    Revision,
    SomeNewValues,
    SomeValues,
)
from preferences.exchange import ExchangeError, field_named
from preferences.locks import locked, variable_of
from preferences.models import PreferenceRevision, PreferenceSource, SitePreferences, User
from preferences.reader import canonical
from preferences.saving import (
    FIELDS,
    Conflict,
    Saved,
    as_row,
    current_row,
    merged,
    save_preferences,
    values_of,
)
from preferences.usage import InUse, RenameRefused, follow
from preferences.validation import Finding, Validated, validate
from shotmedia.middleware import json_problem

LAST_NUMBER = 2**31 - 1
"""The largest revision number that a database can hold, and can be asked for."""

MOST_FAULTS = 100
"""Names and types of one request that are found fault with; a body may be full of them."""

# --- The API --------------------------------------------------------------------------------------


class Token(HttpBearer):
    """An API token; preferences.middleware has looked at it before."""

    openapi_bearerFormat = "shot_<key>_<secret>"

    def authenticate(self, request: HttpRequest, token: str) -> User | None:
        """Return the token's person."""
        return request.user if request.user.is_authenticated else None


class StrictParser(Parser):
    """Reads JSON bodies; a name that appears twice is an error, as on the page."""

    def parse_body(self, request: HttpRequest) -> Any:
        """Return the body; raises ValueError."""
        return json.loads(request.body, object_pairs_hook=_no_doubles, parse_constant=_no_constant)


api = NinjaAPI(
    title="Shotmedia",
    version="1",
    description=(
        "Site Preferences for scripts. Log in with an API token (`Authorization: Bearer shot_…`), "
        "or with the session's cookie and, for writing, its CSRF token."
    ),
    docs_url=None,
    urls_namespace="api",
    auth=[Token(), SessionAuth()],
    parser=StrictParser(),
)


def _read(path: str, **options: Any) -> Callable[[Callable], Callable]:
    """Declare a GET. HEAD is answered likewise, which the document need not say of each."""

    def declare(view: Callable) -> Callable:
        api.api_operation(["HEAD"], path, include_in_schema=False, **options)(view)
        return api.get(path, **options)(view)

    return declare


REFUSALS = {401: Problem, 403: Problem, 422: Problem}
WRITE_REFUSALS = REFUSALS | {400: Problem, 409: Problem, 412: Problem, 413: Problem, 428: Problem}


_NAMES = Query([], description="Only these, separated by commas; unknown names are ignored.")
_IF_NONE_MATCH = Header(
    "", alias="If-None-Match", description="The ETag of an earlier answer: 304 if it still is."
)
_IF_MATCH = Header(
    "",
    alias="If-Match",
    description='Needed: the ETag of the preferences that the change starts from, such as `"17"`.',
)
_COMMENT = Query(
    "",
    max_length=PreferenceRevision.MAX_COMMENT,
    description="Why this change? Shown in History.",
)
_RENAME = Query(
    [],
    description=(
        "`old=new`: the configuration `old` is called `new` from now on, and its media files, open "
        "uploads and the fields that name it go along. Without it, a configuration that media "
        "files use cannot be left out (error code `in-use`)."
    ),
)
_BEFORE = Query(LAST_NUMBER, ge=0, le=LAST_NUMBER, description="Only older than this.")
_LIMIT = Query(50, ge=1, le=500)
_NUMBER = Path(..., ge=0, le=LAST_NUMBER)


@_read(
    "/preferences/",
    operation_id="read_preferences",
    response={200: SomeValues, 304: None} | REFUSALS,
    exclude_unset=True,
    tags=["preferences"],
)
def read_preferences(
    request: HttpRequest,
    response: HttpResponse,
    names: list[str] = _NAMES,
    if_none_match: str = _IF_NONE_MATCH,
) -> Any:
    """Answer the preferences by name. The ETag is the number of the revision in force."""
    _may_see(request.user)
    row = current_row()
    _head(response, row.version)
    if _etag(row.version) in [tag.removeprefix("W/") for tag in parse_etags(if_none_match)]:
        return Status(304, None)
    wanted = {name.strip() for text in names for name in text.split(",")} - {""}
    return {f: value for f, value in values_of(row).items() if not wanted or f in wanted}


@api.put(
    "/preferences/",
    operation_id="replace_preferences",
    response={200: Done} | WRITE_REFUSALS,
    tags=["preferences"],
)
def replace_preferences(
    request: HttpRequest,
    response: HttpResponse,
    values: NewValues,
    comment: str = _COMMENT,
    rename: list[str] = _RENAME,
    if_match: str = _IF_MATCH,
) -> Any:
    """Set all preferences; all of it or nothing."""
    return _write(request, response, values.dict(), comment, rename, if_match)


@api.patch(
    "/preferences/",
    operation_id="change_preferences",
    response={200: Done} | WRITE_REFUSALS,
    tags=["preferences"],
)
def change_preferences(
    request: HttpRequest,
    response: HttpResponse,
    values: SomeNewValues,
    comment: str = _COMMENT,
    rename: list[str] = _RENAME,
    if_match: str = _IF_MATCH,
) -> Any:
    """Set some preferences; all of it or nothing. The result is validated as a whole.

    A preference that the environment sets is an error here; PUT skips it and says so.
    """
    given = values.dict(exclude_unset=True)
    # Named one by one they are meant: skipping one would look like success.
    fixed = [_remark(field, "locked", _locked(field)) for field in given if field in locked()]
    if fixed:
        raise Refused(422, "locked", "Nothing was saved: the environment sets a value.", fixed)
    return _write(request, response, given, comment, rename, if_match)


@_read(
    "/preferences/revisions/",
    operation_id="list_revisions",
    response={200: list[Revision]} | REFUSALS,
    tags=["revisions"],
)
def list_revisions(
    request: HttpRequest,
    response: HttpResponse,
    before: int = _BEFORE,
    limit: int = _LIMIT,
) -> Any:
    """Answer the revisions, newest first."""
    _may_see(request.user)
    _private(response)
    return list(PreferenceRevision.objects.filter(number__lt=before).defer("data")[:limit])


@_read(
    "/preferences/revisions/{int:number}/",
    operation_id="read_revision",
    response={200: FullRevision, 404: Problem} | REFUSALS,
    tags=["revisions"],
)
def read_revision(request: HttpRequest, response: HttpResponse, number: int = _NUMBER) -> Any:
    """Answer one revision with its values."""
    _may_see(request.user)
    _private(response)
    revision = PreferenceRevision.objects.filter(number=number).first()
    if revision is None:
        raise Refused(404, "not-found", f"There is no revision {number}.")
    revision.values = values_of(as_row(revision.data, revision.number))
    return revision


def _write(
    request: HttpRequest,
    response: HttpResponse,
    given: dict[str, Any],
    comment: str,
    rename: list[str],
    if_match: str,
) -> dict[str, Any]:
    _may_change(request.user)
    if not comment.isprintable():
        raise Refused(422, "invalid", "The comment must be one line of printable characters.")
    row = current_row()
    _must_match(if_match, row)
    if isinstance(given.get("s3_configuration"), dict):
        given["s3_configuration"] = canonical(given["s3_configuration"])
    wanted, skipped = merged(given, row)
    renames = _renames(rename)
    validated = validate(follow(wanted, renames))
    if validated.errors:
        raise Refused(
            422, "invalid", "Nothing was saved: some values cannot work.",
            _remarks(validated.errors, "invalid"),
        )  # fmt: skip
    try:
        saved = save_preferences(
            validated.values,
            row.version,
            request.user,
            source=PreferenceSource.API,
            address=client_address(request),
            comment=comment,
            renames=renames,
        )
    except (InUse, RenameRefused) as error:
        raise Refused(
            422, error.code, "Nothing was saved: a configuration is in use, or no rename.",
            [_remark("s3_configuration", error.code, sentence) for sentence in error.sentences],
        ) from error  # fmt: skip
    except Conflict as conflict:
        raise Refused(
            409, "conflict", f"Nothing was saved: {conflict.who} saved revision "
            f"{conflict.version}{conflict.at}, while you did. Read the preferences again.",
        ) from conflict  # fmt: skip
    _head(response, saved.version)
    return _done(saved, validated, skipped)


def _renames(given: Iterable[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    if not all(old and new for old, _, new in pairs):
        raise Refused(422, "invalid", "A rename is written old=new, such as main=studio-main.")
    return {old: new for old, _, new in pairs}


def _locked(field: str) -> str:
    return f"Set by the environment variable {variable_of(field)}. Change it there and restart."


def _done(saved: Saved, validated: Validated, skipped: tuple[str, ...]) -> dict[str, Any]:
    return {
        "revision": saved.version,
        "changes": saved.changes,
        "values": validated.values,
        "warnings": [
            *_remarks(validated.warnings, "warning"),
            *(_remark("s3_configuration", "moved-place", text) for text in saved.warnings),
        ],
        "notices": [
            *_remarks(validated.notices, "notice"),
            *(_remark("s3_configuration", "renamed", text) for text in saved.moved),
        ],
        "skipped": [{"field": field, "message": _locked(field)} for field in skipped],
    }


def _remarks(findings: Iterable[Finding], code: str) -> list[dict[str, Any]]:
    return [
        _remark(finding.field, code, finding.message, finding.line, finding.column)
        for finding in findings
    ]


def _remark(field: str, code: str, message: str, line: int = 0, column: int = 0) -> dict[str, Any]:
    return {"field": field, "line": line, "column": column, "code": code, "message": message}


# --- Who may, and which revision ------------------------------------------------------------------


class Refused(Exception):
    """A request that is not done; carries its answer."""

    def __init__(
        self, status: int, code: str, message: str, errors: list[dict[str, Any]] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.errors = errors or []


def _may_see(user: User) -> None:
    if not user.may_see_preferences():
        raise Refused(
            403, "not-allowed", "Reading Site Preferences is for staff with the permission “Can "
            "view Site Preferences”.",
        )  # fmt: skip


def _may_change(user: User) -> None:
    if not user.may_change_preferences():
        raise Refused(
            403, "not-allowed", "Changing Site Preferences is for staff with the permission “Can "
            "change Site Preferences”.",
        )  # fmt: skip


def _must_match(if_match: str, row: SitePreferences) -> None:
    tags, tag = parse_etags(if_match), _etag(row.version)
    if not tags:
        raise Refused(
            428, "no-if-match", "Send If-Match with the ETag of the preferences that your change "
            f"starts from, such as If-Match: {tag}.",
        )  # fmt: skip
    if "*" not in tags and tag not in tags:
        now = Conflict(row)
        raise Refused(
            412, "stale", f"Nothing was saved: your If-Match names another revision than "
            f"{now.version}, which {now.who} saved{now.at}. Read the preferences again.",
        )  # fmt: skip


def _etag(version: int) -> str:
    return f'"{version}"'


def _head(response: HttpResponse, version: int) -> None:
    _private(response)
    response.headers["ETag"] = _etag(version)
    if fixed := ", ".join(locked()):
        response.headers["X-Locked-Preferences"] = fixed


def _private(response: HttpResponse) -> None:
    """A browser may keep the answer for itself, and asks each time whether it still holds."""
    response.headers["Cache-Control"] = "private, no-cache"


# --- Bad requests ---------------------------------------------------------------------------------


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        # Counted once: a body may have some 300,000 names.
        times = Counter(name for name, _ in pairs)
        raise ValueError(f"“{times.most_common(1)[0][0]}” appears twice in one object.")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON.")


@api.exception_handler(Refused)
def _refused(request: HttpRequest, error: Refused) -> HttpResponse:
    return _problem(error.status, error.code, error.message, error.errors)


@api.exception_handler(ValidationError)
def _malformed(request: HttpRequest, error: ValidationError) -> HttpResponse:
    errors = [_shape_remark(fault) for fault in error.errors[:MOST_FAULTS]]
    return _problem(422, "malformed", "Nothing was done: the request is not as expected.", errors)


def _shape_remark(fault: dict[str, Any]) -> dict[str, Any]:
    """Return what is wrong with the form of a request: its names and types."""
    # ("body", "values", "s3_replication_delay"), ("query", "limit")
    place = [str(part) for part in fault["loc"]]
    name = (place[2:] if place[0] == "body" else place[1:])[:1]
    field = name[0] if name else ""
    if fault["type"] == "extra_forbidden":
        try:
            field_named(field)
            message = f"“{field}” is a label: use the field's own name, one of {', '.join(FIELDS)}."
        except ExchangeError as error:
            message = str(error)
        return _remark(field, "unknown", message)
    if fault["type"] == "missing":
        return _remark(field, "missing", f"{field or 'The body'} is missing.")
    return _remark(field, "type", f"{fault['msg']}.")


@api.exception_handler(HttpError)
def _http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    if isinstance(error.__cause__, ValueError | RecursionError):
        message = f"Send a JSON object: {error.__cause__}"
        return _problem(400, "bad-json", message)
    if error.status_code == 403:
        message = "Send the CSRF token of your session in X-CSRFToken, or use an API token."
        return _problem(403, "no-csrf-token", message)
    return _problem(error.status_code, "refused", error.message)


@api.exception_handler(RequestDataTooBig)
def _too_big(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
    return _problem(413, "too-big", "The request is too big.")


def _problem(
    status: int, code: str, message: str, errors: list[dict[str, Any]] | None = None
) -> HttpResponse:
    return json_problem(status, code, message, **({"errors": errors} if errors else {}))


def openapi_text() -> str:
    """Return the document of the API as docs/openapi.json holds it."""
    schema = api.get_openapi_schema(path_prefix="/api/")
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
