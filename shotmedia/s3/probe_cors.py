"""What a bucket's CORS rules let browsers do, found out by asking as a browser would."""

import re
from collections.abc import Callable
from typing import Any

from .config import BucketConfig
from .probe_calls import Caller, Reply
from .probe_documents import corrected_entry, cors_documents
from .probe_judgements import ENTRY, Outcome, about

CONTROL_ORIGIN = "https://example.invalid"


def preflight(caller: Caller, path: str, origin: str, method: str, headers: str = "") -> Reply:
    """The unsigned OPTIONS that a browser sends before a request of another origin."""
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    if headers:
        asked["Access-Control-Request-Headers"] = headers
    return caller.send("preflight", "OPTIONS", path, headers=asked, signed=False)


def allowed(reply: Reply, origin: str) -> bool:
    """Whether a browser would take this answer to a preflight as a yes."""
    return reply.ok and reply.headers.get("Access-Control-Allow-Origin") in (origin, "*")


Ask = Callable[[str, str, str], Reply]

UPLOAD_HEADERS = ("content-type", "x-amz-checksum-sha256")
CORS_FIX = (
    "In the S3 console open the bucket → Permissions → Cross-origin resource sharing (CORS) and "
    "paste the rules below. They replace what is there, and S3 uses the first rule that fits: keep "
    "other rules that you need, after these."
)


def diagnose_cors(
    config: BucketConfig, ask: Ask, origin: str, *, download_only: bool = False
) -> Outcome:
    """Ask the preflights of an upload and a download; when refused, vary one input at a time.

    ask(origin, method, headers) sends one preflight. Needs no s3:GetBucketCORS.
    """
    fail = _rules_to_paste(config, origin, CORS_FIX, download_only=download_only)
    bucket = f"The bucket {config.bucket}"
    get = ask(origin, "GET", "")
    put = ask(origin, "PUT", "")
    can_get, can_put = allowed(get, origin), allowed(put, origin)
    refused = get if not can_get else put
    asked = about(refused)
    redirected = next((one for one in (get, put) if one.status in (301, 307)), None)
    said = f"S3 said {refused.said()}."
    if redirected is not None:
        region = redirected.region
        return Outcome(
            "fail",
            f"S3 redirects browsers elsewhere ({redirected.said()}), which a preflight may not "
            "follow: the region is wrong.",
            *about(redirected),
            fix=f"Correct “region” of “{config.name}”{f': {region}' if region else ''}.",
            paste=corrected_entry(config, region=region) if region else "",
            paste_title=ENTRY,
        )
    if not can_get and not can_put:
        if "not enabled" in get.message:
            return Outcome(
                "fail",
                f"{bucket} has no CORS rules: no browser may read from it or upload to it. {said}",
                *asked,
                **fail,
            )
        return Outcome("fail", f"{_origin_problem(config, ask, origin)} {said}", *asked, **fail)
    if not can_get:
        return Outcome(
            "fail",
            f"{bucket} allows PUT from {origin} but not GET: uploads work in the browser, "
            f"downloads by scripts and the speed test do not. {said}",
            *asked,
            **fail,
        )
    if not can_put:
        if download_only:
            return _cors_passed(config, ask, origin, get, "GET", download_only=True)
        return Outcome(
            "fail",
            f"{bucket} allows GET from {origin} but not PUT: downloads work, uploads from the "
            f"browser do not. {said}",
            *asked,
            **fail,
        )
    missing = [name for name in UPLOAD_HEADERS if not allowed(ask(origin, "PUT", name), origin)]
    if missing:
        return Outcome(
            "warn",
            f"{bucket} allows GET and PUT from {origin}, but not the request "
            f"header{'s' * (len(missing) > 1)} {' and '.join(missing)}.",
            *about(put),
            **fail,
        )
    return _cors_passed(config, ask, origin, get, "GET and PUT", download_only=download_only)


def _rules_to_paste(
    config: BucketConfig, origin: str, fix: str, *, download_only: bool
) -> dict[str, Any]:
    first, *also = cors_documents(config, origin, download_only=download_only)
    return {"fix": fix, "paste_title": first[0], "paste": first[1], "also": tuple(also)}


def _cors_passed(
    config: BucketConfig, ask: Ask, origin: str, reply: Reply, what: str, *, download_only: bool
) -> Outcome:
    open_to_all = [
        method
        for method in ("GET", "PUT")
        if allowed(ask(CONTROL_ORIGIN, method, ""), CONTROL_ORIGIN)
    ]
    if open_to_all:
        return Outcome(
            "warn",
            f"The bucket {config.bucket} allows {what} from {origin}, but also "
            f"{' and '.join(open_to_all)} from any other site ({CONTROL_ORIGIN} was accepted): its "
            "rules hold a wildcard.",
            *about(reply),
            **_rules_to_paste(
                config,
                origin,
                f"Name the site's origin instead of “*”. {CORS_FIX}",
                download_only=download_only,
            ),
        )
    are = "are" if " and " in what else "is"
    return Outcome(
        "pass", f"{what} {are} allowed from {origin}, and not from elsewhere.", *about(reply)
    )


def _origin_problem(config: BucketConfig, ask: Ask, origin: str) -> str:
    """Neither GET nor PUT is allowed: is it the origin, or the methods?"""
    bucket = f"The bucket {config.bucket}"
    others = [m for m in ("HEAD", "POST", "DELETE") if allowed(ask(origin, m, ""), origin)]
    if others:
        return (
            f"{bucket} knows the origin {origin}, but allows it only {' and '.join(others)}, not "
            "GET and PUT."
        )
    for near in near_origins(origin):
        if allowed(ask(near, "GET", ""), near) or allowed(ask(near, "PUT", ""), near):
            return (
                f"{bucket} allows {near}, but this site is {origin}: scheme, host and port must be "
                "the same to the letter."
            )
    return f"{bucket} has CORS rules, but none for this site's origin {origin}."


def near_origins(origin: str) -> list[str]:
    """Origins that people type by mistake for this one: other scheme, no port, with a slash."""
    scheme, _, rest = origin.partition("://")
    other = "http" if scheme == "https" else "https"
    host = re.sub(r":\d+$", "", rest)
    near = [f"{other}://{rest}", f"{scheme}://{host}", f"{other}://{host}", f"{origin}/"]
    return [one for one in dict.fromkeys(near) if one != origin]


def judge_exposed(
    config: BucketConfig,
    origin: str,
    replies: list[tuple[str, Reply, tuple[str, ...]]],
    *,
    download_only: bool = False,
) -> Outcome:
    """Whether browsers may read what they need: ETag of a PUT, Content-Range of a GET."""
    paste = _rules_to_paste(
        config,
        origin,
        f"Add the headers to ExposeHeaders. {CORS_FIX}",
        download_only=download_only,
    )
    missing: list[str] = []
    for method, reply, wanted in replies:
        if reply.headers.get("Access-Control-Allow-Origin") not in (origin, "*"):
            return Outcome(
                "fail",
                f"S3's answer to {method} ({reply.said()}) does not allow {origin} to read it, "
                "although the preflight did.",
                *about(reply),
                **paste,
            )
        exposed = reply.headers.get("Access-Control-Expose-Headers", "").lower()
        names = {name.strip() for name in exposed.split(",")}
        missing += [name for name in wanted if name not in names and "*" not in names]
    if "etag" in missing:
        return Outcome(
            "fail",
            "Multipart uploads will fail: the browser may not read ETag, as ExposeHeaders lacks "
            "it.",
            *about(replies[-1][1]),
            **paste,
        )
    if missing:
        return Outcome(
            "warn",
            "The browser may not read Content-Range, as ExposeHeaders lacks it: scripts cannot "
            "resume downloads.",
            *about(replies[0][1]),
            **paste,
        )
    return Outcome(
        "pass",
        "ETag and Content-Range are exposed." if len(replies) > 1 else "Content-Range is exposed.",
        *about(replies[0][1]),
    )
