"""Removing test objects: only below `.speedtest/runs/`, and looked after."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from xml.etree import ElementTree

from .probe_calls import Caller, Reply
from .probe_documents import RUNS_PATH

ROUNDS = 3
"""So often is removed and looked again."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One thing that a list names: a version or delete marker, or (upload_id) an upload."""

    path: str
    size: int = 0
    version_id: str = ""
    upload_id: str = ""
    modified: str = ""


def _named(node: ElementTree.Element, name: str) -> str:
    found = node.find(f"{{*}}{name}")
    return (found.text or "") if found is not None else ""


_MARKERS = {
    "versions": (("NextKeyMarker", "key-marker"), ("NextVersionIdMarker", "version-id-marker")),
    "uploads": (("NextKeyMarker", "key-marker"), ("NextUploadIdMarker", "upload-id-marker")),
    "list-type": (("NextContinuationToken", "continuation-token"),),
}


def list_stored(caller: Caller, what: str, path: str) -> tuple[list[Stored], Reply]:
    """Everything below `path`: `what` is "versions", "uploads" or "list-type" (objects).

    Returns what was found and the last reply; a reply that is not ok ends the list.
    """
    config = caller.config
    start = f"{config.prefix}/" if config.prefix else ""
    found: list[Stored] = []
    marker: tuple[tuple[str, str], ...] = ()
    for _ in range(50):
        query = ((what, "2" if what == "list-type" else ""), ("prefix", start + path), *marker)
        reply = caller.on_bucket(f"List ({what})", "GET", query)
        if not reply.ok:
            return found, reply
        root = ElementTree.fromstring(reply.body)  # noqa: S314 (our own bucket's answer)
        for node in root:
            key = _named(node, "Key")
            if not key.startswith(start + path):
                continue
            found.append(
                Stored(
                    key.removeprefix(start),
                    int(_named(node, "Size") or 0),
                    _named(node, "VersionId") if what == "versions" else "",
                    _named(node, "UploadId") if what == "uploads" else "",
                    _named(node, "LastModified") or _named(node, "Initiated"),
                )
            )
        marker = tuple((name, _named(root, tag)) for tag, name in _MARKERS[what])
        marker = tuple((name, value) for name, value in marker if value)
        if _named(root, "IsTruncated") != "true" or not marker:
            break
    return found, reply


@dataclass(slots=True)
class Removal:
    """What a clean-up did: objects and bytes removed, uploads aborted, what is left (its size in
    bytes as far as it is known) and why."""

    objects: int = 0
    size: int = 0
    uploads: int = 0
    left: list[str] = field(default_factory=list)
    left_size: int = 0
    refusal: Reply | None = None
    verified: bool = False


def remove_below(
    caller: Caller,
    path: str,
    *,
    known: Iterable[Stored] = (),
    older_than: str = "",
) -> Removal:
    """Delete every object version and abort every upload below `path`, then look again.

    path        ".speedtest/runs/<uuid>/", or ".speedtest/runs/" with `older_than`
    known       what the caller knows to be there, for a role that may not list
    older_than  ISO 8601 UTC; only what was last changed before

    Raises Unreachable, ValueError for a path outside `.speedtest/runs/`.
    """
    if not path.startswith(RUNS_PATH):
        raise ValueError(f"{path!r} is outside {RUNS_PATH}; nothing else is ever removed.")
    removal = Removal()

    def find() -> list[Stored]:
        found = _find(caller, path, removal)
        return [s for s in found if not older_than or "" < s.modified < older_than]

    stored = find()
    if removal.refusal is not None:
        # What was made is known by version; a list without versions would only hide it.
        made = list(known)
        stored = made + [s for s in stored if s.path not in {one.path for one in made}]
    for _ in range(ROUNDS):
        if stored:
            _remove_all(caller, stored, removal)
        elif older_than:
            removal.verified = removal.refusal is None
            return removal
        if removal.refusal is not None:
            return removal
        # Not taken on trust: the lists have to be empty now. An upload that was under way when
        # the test was stopped may have been stored meanwhile.
        stored = find()
        if not stored:
            removal.verified = removal.refusal is None
            return removal
    removal.left = sorted({one.path for one in stored})
    removal.left_size = sum(one.size for one in stored)
    return removal


def _remove_all(caller: Caller, stored: list[Stored], removal: Removal) -> None:
    with ThreadPoolExecutor(8, thread_name_prefix="speedtest-clean") as threads:
        replies = list(threads.map(lambda one: _remove(caller, one), stored))
    for one, reply in zip(stored, replies, strict=True):
        if reply.ok or reply.status == 404:
            removal.uploads += bool(one.upload_id)
            removal.objects += not one.upload_id
            removal.size += one.size
        else:
            removal.left.append(one.path)
            removal.left_size += one.size
            removal.refusal = reply


def _find(caller: Caller, path: str, removal: Removal) -> list[Stored]:
    found, reply = list_stored(caller, "versions", path)
    if not reply.ok:
        removal.refusal = reply
        found, _ = list_stored(caller, "list-type", path)
    uploads, reply = list_stored(caller, "uploads", path)
    if not reply.ok:
        removal.refusal = reply
    return found + uploads


def _remove(caller: Caller, one: Stored) -> Reply:
    if one.upload_id:
        query: tuple[tuple[str, str], ...] = (("uploadId", one.upload_id),)
        return caller.send("AbortMultipartUpload", "DELETE", one.path, query=query)
    # Without versioning lists name the version "null", which S3 takes as such.
    query = (("versionId", one.version_id),) if one.version_id else ()
    return caller.send("DeleteObject", "DELETE", one.path, query=query)
