"""ListObjects, both versions, and ListObjectVersions (Amazon S3 API Reference).

Written here because moto takes half a second for a thousand keys, and reads the bytes of every
version for a listing of versions; meanwhile everything waits.
"""

import base64
import binascii
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from moto.s3.models import FakeDeleteMarker, FakeKey

from shotmedia.emulator.errors import clean, invalid_argument
from shotmedia.emulator.objects import NAMESPACE, Call, xml_answer
from shotmedia.emulator.wire import Request, Response

if TYPE_CHECKING:
    from shotmedia.emulator.front import Front

MAX_KEYS = 1000
DATE = "%Y-%m-%dT%H:%M:%S.000Z"


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a listing: keys, common prefixes, and the last of either when more follows."""

    keys: list[str]
    prefixes: list[str]
    last: str = ""

    @property
    def truncated(self) -> bool:
        """Whether more follows."""
        return bool(self.last)


def page_of(names: Sequence[str], prefix: str, delimiter: str, after: str, limit: int) -> Page:
    """The page that starts after the key or common prefix `after`. `names` are sorted."""
    keys: list[str] = []
    groups: dict[str, None] = {}
    last = ""
    # A page that ended with a common prefix goes on behind everything below it.
    below = delimiter and after.endswith(delimiter) and len(after) > len(prefix)
    inside = after if below else ""
    for name in names[bisect_right(names, after) :]:
        if not name.startswith(prefix) or (inside and name.startswith(inside)):
            continue
        head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        group = prefix + head + delimiter if found else ""
        if group in groups:
            continue
        if len(keys) + len(groups) >= limit:
            return Page(keys, list(groups), last if limit else "")
        if group:
            groups[group] = None
        else:
            keys.append(name)
        last = group or name
    return Page(keys, list(groups))


def _limit(request: Request) -> int:
    text = request.arg("max-keys") or str(MAX_KEYS)
    if not text.isdigit():
        raise invalid_argument("Provided max-keys not an integer or within range", "max-keys", text)
    return min(int(text), MAX_KEYS)


def _token(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text.encode()).decode()
    except (binascii.Error, UnicodeError):
        raise invalid_argument(
            "The continuation token provided is incorrect", "continuation-token"
        ) from None


def list_objects(front: "Front", call: Call) -> Response:
    """ListObjects or ListObjectsV2, as `list-type` says."""
    request = call.request
    second = request.arg("list-type") == "2"
    prefix, delimiter = request.arg("prefix"), request.arg("delimiter")
    start = request.arg("start-after" if second else "marker")
    token = request.arg("continuation-token") if second else ""
    after = _token(token) if token else start
    encode = quote if request.arg("encoding-type") == "url" else clean
    limit = _limit(request)
    current = front.store.current_keys(call.bucket)
    page = page_of(sorted(current), prefix, delimiter, after, limit)
    lines = [
        f"<Name>{call.bucket}</Name><Prefix>{encode(prefix)}</Prefix><MaxKeys>{limit}</MaxKeys>",
        f"<IsTruncated>{str(page.truncated).lower()}</IsTruncated>",
        *_asked(delimiter, encode),
    ]
    if second:
        lines.append(f"<KeyCount>{len(page.keys) + len(page.prefixes)}</KeyCount>")
        if start:
            lines.append(f"<StartAfter>{encode(start)}</StartAfter>")
        if token:
            lines.append(f"<ContinuationToken>{clean(token)}</ContinuationToken>")
        if page.truncated:
            following = base64.urlsafe_b64encode(page.last.encode()).decode()
            lines.append(f"<NextContinuationToken>{following}</NextContinuationToken>")
    else:
        lines.append(f"<Marker>{encode(start)}</Marker>")
        if page.truncated and delimiter:
            lines.append(f"<NextMarker>{encode(page.last)}</NextMarker>")
    owner = "" if second and request.arg("fetch-owner") != "true" else _owner(call)
    for name in page.keys:
        key = current[name]
        algorithm = key.checksum_algorithm if key.checksum_value else ""
        checksum = f"<ChecksumAlgorithm>{algorithm}</ChecksumAlgorithm>" if algorithm else ""
        lines.append(
            f"<Contents><Key>{encode(name)}</Key><LastModified>"
            f"{key.last_modified.strftime(DATE)}</LastModified>"
            f"<ETag>{clean(key.etag)}</ETag>{checksum}<Size>{key.size}</Size>{owner}"
            f"<StorageClass>{key.storage_class}</StorageClass></Contents>"
        )
    lines += (
        f"<CommonPrefixes><Prefix>{encode(group)}</Prefix></CommonPrefixes>"
        for group in page.prefixes
    )
    return xml_answer(f'<ListBucketResult xmlns="{NAMESPACE}">{"".join(lines)}</ListBucketResult>')


def list_versions(front: "Front", call: Call) -> Response:
    """ListObjectVersions: by key, the newest version first."""
    request = call.request
    prefix, delimiter = request.arg("prefix"), request.arg("delimiter")
    key_marker, version_marker = request.arg("key-marker"), request.arg("version-id-marker")
    encode = quote if request.arg("encoding-type") == "url" else clean
    limit = _limit(request)
    entries = list(_entries(front.store.versions(call.bucket), prefix, delimiter))
    places = [(entry.name, entry.version_id) for entry in entries]
    if (key_marker, version_marker) in places:
        entries = entries[places.index((key_marker, version_marker)) + 1 :]
    else:
        entries = [entry for entry in entries if entry.name > key_marker]
    page, truncated = entries[:limit], len(entries) > limit > 0
    lines = [
        f"<Name>{call.bucket}</Name><Prefix>{encode(prefix)}</Prefix>",
        f"<KeyMarker>{encode(key_marker)}</KeyMarker>",
        f"<VersionIdMarker>{clean(version_marker)}</VersionIdMarker>",
        f"<MaxKeys>{limit}</MaxKeys><IsTruncated>{str(truncated).lower()}</IsTruncated>",
        *_asked(delimiter, encode),
    ]
    if truncated:
        lines.append(f"<NextKeyMarker>{encode(page[-1].name)}</NextKeyMarker>")
        if page[-1].version_id:
            lines.append(f"<NextVersionIdMarker>{clean(page[-1].version_id)}</NextVersionIdMarker>")
    lines += (_line(entry, encode, _owner(call)) for entry in page)
    body = "".join(lines)
    return xml_answer(f'<ListVersionsResult xmlns="{NAMESPACE}">{body}</ListVersionsResult>')


@dataclass(frozen=True, slots=True)
class _Entry:
    """A version or delete marker in a listing; a common prefix has neither version nor id."""

    name: str
    version_id: str = ""
    version: FakeKey | FakeDeleteMarker | None = None
    newest: bool = False


def _entries(
    stored: Mapping[str, Sequence[FakeKey | FakeDeleteMarker]], prefix: str, delimiter: str
) -> Iterator[_Entry]:
    group = ""
    for name in sorted(stored):
        if not name.startswith(prefix):
            continue
        head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        if found:
            # Keys below one common prefix stand together.
            if group != prefix + head + delimiter:
                group = prefix + head + delimiter
                yield _Entry(group)
            continue
        for number, version in enumerate(stored[name]):
            identity = "null" if version.version_id is None else str(version.version_id)
            yield _Entry(name, identity, version, newest=number == 0)


def _line(entry: _Entry, encode: Callable[[str], str], owner: str) -> str:
    version = entry.version
    if version is None:
        return f"<CommonPrefixes><Prefix>{encode(entry.name)}</Prefix></CommonPrefixes>"
    described = (
        f"<Key>{encode(entry.name)}</Key><VersionId>{clean(entry.version_id)}</VersionId>"
        f"<IsLatest>{str(entry.newest).lower()}</IsLatest><LastModified>"
        f"{version.last_modified.strftime(DATE)}</LastModified>{owner}"
    )
    if isinstance(version, FakeDeleteMarker):
        return f"<DeleteMarker>{described}</DeleteMarker>"
    return (
        f"<Version>{described}<ETag>{clean(version.etag)}</ETag><Size>{version.size}</Size>"
        f"<StorageClass>{version.storage_class}</StorageClass></Version>"
    )


def _asked(delimiter: str, encode: Callable[[str], str]) -> list[str]:
    """What both listings repeat of the request."""
    lines = [f"<Delimiter>{encode(delimiter)}</Delimiter>"] if delimiter else []
    return [*lines, "<EncodingType>url</EncodingType>"] if encode is quote else lines


def _owner(call: Call) -> str:
    name = clean(call.verified.identity.account)
    return f"<Owner><ID>{name}</ID><DisplayName>{name}</DisplayName></Owner>"
