"""The steps of a test that speak to S3: server's checks, links, clean-up.

Everything stays below `<prefix>/.speedtest/`: the callers refuse other paths, and where a role is
assumed its session is limited to it.
"""

import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from preferences.snapshot import Preferences
from shotmedia.s3.config import BucketConfig
from shotmedia.s3.errors import CredentialsUnavailable, Unreachable
from shotmedia.s3.presign import Signer, response_overrides
from shotmedia.s3.probe import check_configuration, test_credentials
from shotmedia.s3.probe_calls import Caller, Reply
from shotmedia.s3.probe_cleanup import Removal, Stored, remove_below
from shotmedia.s3.probe_cors import allowed, preflight
from shotmedia.s3.probe_documents import RUNS_PATH, as_text, replication_rules
from shotmedia.s3.probe_judgements import (
    Finding,
    Outcome,
    explain_refusal,
    judge_removal,
    size_text,
)
from shotmedia.s3.probe_record import Sent
from speedtest.plan import LINK_SECONDS, MIB, seed_name, sizes

SEED_PART = 8 * MIB
SWEEP_AFTER = timedelta(hours=1)
"""Objects of tests that are older were left behind: a closed laptop, a killed server."""

REGIONAL = " (regional endpoint)"
"""After the name of a configuration: the same without its VPC endpoint, to compare with."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is tested: a configuration, and how the site uses it."""

    config: BucketConfig
    download_only: bool
    """The replica: the site never writes to it."""
    primary: BucketConfig | None
    replica: BucketConfig | None
    """The replica that test objects are copied to, when this is the primary."""


def target_of(preferences: Preferences, name: str) -> Target | None:
    """The configuration `name` as a target, None when there is no such one.

    One that has a VPC endpoint is there without it too, under its name and REGIONAL.
    """
    base = name.removesuffix(REGIONAL)
    config = preferences.configurations.get(base)
    if config is None:
        return None
    if name != base:
        if not config.s3_interface_vpc_endpoint_dns_name:
            return None
        config = replace(config, name=name, s3_interface_vpc_endpoint_dns_name="")
    primary, replica = preferences.primary, preferences.replica
    is_primary = primary is not None and primary.name == base
    is_replica = replica is not None and replica.name == base and not is_primary
    return Target(config, is_replica, primary, replica if is_primary else None)


def server_findings(
    target: Target, path: str, origin: str, plan: Mapping[str, Any]
) -> Iterator[Finding]:
    """The server's checks, one finding at a time; its objects go below `path` + "server/"."""
    return check_configuration(
        target.config,
        origin,
        run_path=f"{path}server/",
        download_only=target.download_only,
        fallback_path=seed_name(plan),
    )


# --- Links for the browser ------------------------------------------------------------------


def prepare(
    target: Target, path: str, plan: Mapping[str, Any], *, measure: bool, origin: str = ""
) -> Iterator[dict[str, Any]]:
    """Make what the browser needs. Yields {"progress": sentence} and at last {"links": ...}.

    measure: also the seed object and links for the measurement.
    origin: the site's as the browser sees it; "" where this server measures.
    Raises CredentialsUnavailable: without credentials nothing can be signed.
    """
    yield {"progress": "Signing links for your browser."}
    holder = test_credentials(target.config)
    holder.get(LINK_SECONDS)
    caller = Caller(target.config, holder)
    signer = Signer(target.config, holder)
    links: dict[str, Any] = {
        "host": signer.endpoint.origin,
        "expires_in": LINK_SECONDS,
        "get": None,
        "seed": None,
        "notes": [],
        "download_only": False,
    }
    yield from _links_for_checks(links, caller, signer, path, plan)
    links["download_only"] = target.download_only and (
        links.pop("refused", False) or _browsers_only_read(caller, path, origin)
    )
    if measure or links["get"] is None:
        yield from _link_of_seed(links, target, caller, signer, plan)
    if links["get"] is None and links["seed"]:
        links["get"] = {"url": links["seed"]["url"], "sha256": "", "range": "bytes=0-1023"}
    if measure:
        links["uploads"] = [
            {
                str(size): _sign_put(signer, f"{path}browser/up-{stream}-{size}.bin", size)
                for size in sizes(plan)
            }
            for stream in range(plan["streams"])
        ]
        links["small_put"] = _links_of_files(signer, path, plan)
        links["parts"] = _links_of_parts(links, caller, signer, path, plan)
    yield {"links": links}


def _links_of_files(signer: Signer, path: str, plan: Mapping[str, Any]) -> list[str]:
    """A new link for each small file, as thumbnails have: each costs the browser a preflight.

    The objects are few, so that few have to be removed. S3 ignores parameters that begin with
    "x-" (they are for its access logs), but they are signed, which makes the links differ.
    """
    files = plan["files"]
    paths = [f"{path}browser/small-{stream}.bin" for stream in range(files["put_streams"])]
    return [
        signer.sign(
            "PUT",
            paths[number % len(paths)],
            LINK_SECONDS,
            (("x-file", str(number)),),
            {"content-length": files["bytes"]},
        ).url
        for number in range(files["most"])
    ]


def _links_of_parts(
    links: dict[str, Any], caller: Caller, signer: Signer, path: str, plan: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Begin the measured multipart upload: a link for each part, and one to read the object."""
    part_path = f"{path}browser/parts.bin"
    try:
        upload_id, reply = begin_upload(caller, part_path)
    except Unreachable as error:
        links["notes"].append(f"This server could not begin a multipart upload: {error.message}")
        return None
    if not upload_id:
        links["notes"].append(f"A multipart upload could not be begun: S3 said {reply.said()}.")
        return None
    return {
        "upload_id": upload_id,
        "read": _sign_get(signer, part_path),
        "parts": [
            {
                "bytes": size,
                "url": signer.sign(
                    "PUT",
                    part_path,
                    LINK_SECONDS,
                    (("partNumber", str(number)), ("uploadId", upload_id)),
                    {"content-length": size},
                ).url,
            }
            for number, size in enumerate(plan["parts"], 1)
        ],
    }


def _links_for_checks(
    links: dict[str, Any], caller: Caller, signer: Signer, path: str, plan: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    size = plan["small_bytes"]
    body = os.urandom(size)
    put_path = f"{path}browser/put-1k.bin"
    links["put"] = {"url": _sign_put(signer, put_path, size), "bytes": size}
    links["read_back"] = {"url": _sign_get(signer, put_path)}
    links["multipart"] = None
    try:
        get_path = f"{path}browser/get-1k.bin"
        reply = caller.send("PutObject", "PUT", get_path, body=body)
        links["refused"] = reply.status == 403
        if reply.ok:
            digest = hashlib.sha256(body).hexdigest()
            links["get"] = {"url": _sign_get(signer, get_path), "sha256": digest, "range": ""}
        part_path = f"{path}browser/multipart.bin"
        upload_id, _ = begin_upload(caller, part_path)
        if upload_id:
            query = (("partNumber", "1"), ("uploadId", upload_id))
            url = signer.sign("PUT", part_path, LINK_SECONDS, query, {"content-length": size}).url
            links["multipart"] = {"url": url, "bytes": size, "upload_id": upload_id}
    except Unreachable as error:
        # The browser may get through where this server does not; the links work all the same.
        links["notes"].append(f"This server could not prepare test objects: {error.message}")
        yield {"progress": "This server does not reach S3; your browser may."}


def _browsers_only_read(caller: Caller, path: str, origin: str) -> bool:
    """Whether the CORS rules are those of a replica: GET and no PUT. False when it is not known."""
    if not origin:
        return False
    try:
        get, put = (
            allowed(preflight(caller, f"{path}browser/preflight", origin, method), origin)
            for method in ("GET", "PUT")
        )
    except Unreachable:
        return False
    return get and not put


def _sign_get(signer: Signer, path: str) -> str:
    # An answer cached without CORS headers would make a later fetch of it fail.
    query = response_overrides("", "", "no-store")
    return signer.sign("GET", path, LINK_SECONDS, query).url


def _sign_put(signer: Signer, path: str, size: int) -> str:
    # Whoever gets hold of the link can store this many bytes, and no more.
    return signer.sign("PUT", path, LINK_SECONDS, (), {"content-length": size}).url


# --- The seed -------------------------------------------------------------------------------


def _link_of_seed(
    links: dict[str, Any],
    target: Target,
    caller: Caller,
    signer: Signer,
    plan: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    path, size = seed_name(plan), plan["seed_bytes"]
    try:
        note = ""
        if not _has_seed(caller, path, size):
            note = yield from _make_seed(target, caller, path, size)
    except (Unreachable, CredentialsUnavailable) as error:
        # Not a reason to skip the measurement: the seed may be there, and the browser will see.
        links["notes"].append(f"This server could not look for the test file: {error.message}")
        note = ""
    if note:
        links["notes"].append(note)
        return
    links["seed"] = {"url": _sign_get(signer, path), "bytes": size}


def _has_seed(caller: Caller, path: str, size: int) -> bool:
    reply = caller.send("HeadObject", "HEAD", path)
    return (
        reply.ok
        and reply.headers.get("Content-Length") == str(size)
        and bool(reply.headers.get("x-amz-meta-sha256"))
    )


def _make_seed(target: Target, caller: Caller, path: str, size: int) -> Iterator[dict[str, Any]]:
    """Make the seed here, or on the primary where this bucket may not be written to.

    Yields progress; returns "" or a sentence that says why there is no seed.
    """
    refusal = yield from write_seed(caller, path, size)
    if refusal is None:
        return ""
    if not (target.download_only and target.primary):
        return (
            f"The test file ({size_text(size)}) could not be stored: S3 said {refusal.said()}. "
            "So downloads are not measured."
        )
    primary = Caller(target.primary, test_credentials(target.primary))
    if not _has_seed(primary, path, size):
        refusal = yield from write_seed(primary, path, size)
        if refusal is not None:
            return (
                f"The test file could not be stored on “{target.primary.name}”, from where it "
                f"would be replicated: S3 said {refusal.said()}. So downloads are not measured."
            )
    return (
        f"The test file ({size_text(size)}) is on “{target.primary.name}”, but has not been "
        f"replicated to “{target.config.name}” yet. Run the test again when S3 has copied it; if "
        f"it never comes, the replication rule does not cover {target.primary.key(path)}."
    )


def write_seed(caller: Caller, path: str, size: int) -> Iterator[dict[str, Any]]:
    """Store `size` random bytes under `path`, with their SHA-256 as metadata.

    Yields progress; returns None, or the reply with which S3 refused. Raises Unreachable.
    """
    if not path.startswith(".speedtest/seed-"):
        raise ValueError(f"{path!r} is no seed.")
    yield {"progress": f"Making the test file ({size_text(size)}), once for this bucket."}
    key = int.from_bytes(os.urandom(16))
    digest = hashlib.sha256()
    for part in _random_parts(key, size):
        digest.update(part)
    headers = {"x-amz-meta-sha256": digest.hexdigest()}
    if size <= SEED_PART:
        body = b"".join(_random_parts(key, size))
        reply = caller.send("PutObject", "PUT", path, headers=headers, body=body, read_timeout=60)
        return None if reply.ok else reply
    upload_id, reply = begin_upload(caller, path, headers)
    if not upload_id:
        return reply
    finished = False
    try:
        tags: list[str] = []
        for number, part in enumerate(_random_parts(key, size), 1):
            reply = caller.send(
                "UploadPart",
                "PUT",
                path,
                query=(("partNumber", str(number)), ("uploadId", upload_id)),
                body=part,
                read_timeout=60,
            )
            if not reply.ok:
                return reply
            tags.append(reply.headers.get("ETag", ""))
            done = min(number * SEED_PART, size)
            yield {"progress": f"Making the test file: {size_text(done)} of {size_text(size)}."}
        reply = complete_upload(caller, path, upload_id, tags)
        finished = reply.ok
        return None if finished else reply
    finally:
        if not finished:
            query = (("uploadId", upload_id),)
            caller.send("AbortMultipartUpload", "DELETE", path, query=query)


def begin_upload(
    caller: Caller, path: str, headers: Mapping[str, str] | None = None
) -> tuple[str, Reply]:
    """Begin a multipart upload: its id, or "" when S3 refuses, and the reply.

    Raises Unreachable.
    """
    reply = caller.send(
        "CreateMultipartUpload", "POST", path, query=(("uploads", ""),), headers=headers, body=b""
    )
    text = reply.body.decode("utf-8", "replace")
    start, end = text.find("<UploadId>"), text.find("</UploadId>")
    return text[start + len("<UploadId>") : end] if reply.ok and start >= 0 else "", reply


def _random_parts(key: int, size: int) -> Iterator[bytes]:
    """The same random bytes for the same key, a part at a time: the hash is needed first."""
    generator = random.Random(key)  # noqa: S311 (incompressible is all that it has to be)
    for offset in range(0, size, SEED_PART):
        yield generator.randbytes(min(SEED_PART, size - offset))


def complete_upload(caller: Caller, path: str, upload_id: str, tags: list[str]) -> Reply:
    """Complete a multipart upload of parts 1, 2, ... Raises Unreachable.

    S3 may answer 200 and still say <Error> in the body (API Reference); that is no success.
    """
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
        for number, tag in enumerate(tags, 1)
    )
    reply = caller.send(
        "CompleteMultipartUpload",
        "POST",
        path,
        query=(("uploadId", upload_id),),
        body=f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode(),
        read_timeout=60,
    )
    return replace(reply, status=500) if reply.ok and b"<Error>" in reply.body else reply


# --- After ----------------------------------------------------------------------------------


def complete_part(target: Target, path: str, upload_id: str, etag: str) -> Finding:
    """Complete the multipart upload whose one part the browser has sent."""
    return _completed(target, f"{path}browser/multipart.bin", upload_id, [etag])


def join_parts(target: Target, path: str, upload_id: str, etags: list[str]) -> Finding:
    """Complete the multipart upload that the browser measured."""
    return _completed(target, f"{path}browser/parts.bin", upload_id, etags)


def _completed(target: Target, path: str, upload_id: str, etags: list[str]) -> Finding:
    caller = Caller(target.config, test_credentials(target.config))
    start = time.perf_counter()
    reply = complete_upload(caller, path, upload_id, etags)
    outcome = (
        Outcome("pass", "What your browser uploaded in parts was joined.", reply.operation)
        if reply.ok
        else explain_refusal(target.config, reply, "complete multipart uploads")
    )
    ms = round((time.perf_counter() - start) * 1000)
    outcome = replace(outcome, code=reply.code, request_id=reply.request_id)
    return outcome.as_finding("multipart", "Multipart upload", ms, caller.sent)


def clean_up(
    target: Target, path: str, plan: Mapping[str, Any], interrupted: Sequence[str] = ()
) -> list[Finding]:
    """Remove a test's objects and uploads, here and on the replica, and look afterwards.

    Also what older tests left behind, and below the paths of `interrupted` ones: an upload that
    was under way when they ended may have been stored after they were cleaned up. Troubles are
    findings.
    """
    configs = [target.config] + ([target.replica] if target.replica else [])
    known = [Stored(one) for one in test_paths(path, plan)]
    return [
        _clean_one(config, path, known, interrupted, is_replica=config is target.replica)
        for config in configs
    ]


def test_paths(path: str, plan: Mapping[str, Any]) -> list[str]:
    """Every path that a test may store under, for roles that may not list."""
    names = ["get-1k.bin", "put-1k.bin", "multipart.bin", "replay.bin", "parts.bin"]
    names += [f"small-{stream}.bin" for stream in range(plan["files"]["put_streams"])]
    for stream in range(plan["streams"]):
        names += [f"up-{stream}-{size}.bin" for size in sizes(plan)]
    return [f"{path}browser/{name}" for name in names]


def remove_old(config: BucketConfig) -> Finding:
    """Remove the test objects of one configuration's bucket that are older than an hour."""

    def work(caller: Caller) -> Outcome:
        removal = remove_below(caller, RUNS_PATH, older_than=_an_hour_ago())
        return judge_removal(config, removal, where=_where(config))

    return _tidied(config, work)


def _clean_one(
    config: BucketConfig,
    path: str,
    known: list[Stored],
    interrupted: Sequence[str],
    *,
    is_replica: bool,
) -> Finding:
    def work(caller: Caller) -> Outcome:
        removal = remove_below(caller, path, known=known)
        swept = [remove_below(caller, one) for one in interrupted]
        swept.append(remove_below(caller, RUNS_PATH, older_than=_an_hour_ago()))
        outcome = judge_removal(config, removal, where=_where(config))
        if is_replica and removal.objects:
            outcome = replace(outcome, also=(*outcome.also, *_spare_replication(config)))
        return _with_swept(outcome, swept)

    return _tidied(config, work)


def _an_hour_ago() -> str:
    return (datetime.now(UTC) - SWEEP_AFTER).strftime("%Y-%m-%dT%H:%M:%S")


def _where(config: BucketConfig) -> str:
    return f"“{config.name}” ({config.bucket})"


def _with_swept(outcome: Outcome, swept: list[Removal]) -> Outcome:
    """The outcome of a test's own clean-up, with what became of earlier tests' objects."""
    found = sum(one.objects + one.uploads for one in swept)
    if found:
        message = f"{outcome.message} {found} left over from earlier tests were removed too."
        outcome = replace(outcome, message=message)
    left = [path for one in swept for path in one.left]
    if left:
        shown = ", ".join(left[:4]) + (" …" if left[4:] else "")
        outcome = replace(
            outcome,
            status="fail",
            message=f"{outcome.message} {len(left)} of earlier tests could not be removed: "
            f"{shown}.",
        )
    return outcome


def _spare_replication(config: BucketConfig) -> tuple[tuple[str, str], ...]:
    return (
        (
            "Replication rules that leave test objects out (a filter can only name what to copy)",
            as_text(replication_rules(config)),
        ),
    )


def _tidied(config: BucketConfig, work: Callable[[Caller], Outcome]) -> Finding:
    """The finding of a clean-up; when nobody answers, that is the finding."""
    start = time.perf_counter()
    sent: list[Sent] = []
    try:
        deadline = time.monotonic() + 60
        caller = Caller(config, test_credentials(config), deadline=deadline)
        sent = caller.sent
        outcome = work(caller)
    except (Unreachable, CredentialsUnavailable) as error:
        outcome = Outcome(
            "fail",
            f"The test objects in {_where(config)} could not be removed now: {error.message} The "
            "next test removes what is older than an hour.",
            error.operation,
            error.code,
            error.request_id,
        )
    ms = round((time.perf_counter() - start) * 1000)
    return outcome.as_finding("cleanup", f"Clean-up of {config.name}", ms, sent)
