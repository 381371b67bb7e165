"""Single objects: GET, HEAD, PUT, copy, DELETE, and their headers (Amazon S3 API Reference)."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree

from moto.s3.models import FakeKey

from shotmedia.emulator.errors import (
    Refusal,
    clean,
    invalid_argument,
    malformed_xml,
    no_such_key,
)
from shotmedia.emulator.faults import Pace
from shotmedia.emulator.receive import receive, small_body
from shotmedia.emulator.signature import Verified
from shotmedia.emulator.store import Found
from shotmedia.emulator.wire import Part, Request, Response

if TYPE_CHECKING:
    from shotmedia.emulator.front import Front

XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
STORED_HEADERS = (
    "content-type",
    "content-language",
    "content-encoding",
    "content-disposition",
    "cache-control",
    "expires",
    "x-amz-website-redirect-location",
)
OVERRIDES = {
    "response-content-type": "Content-Type",
    "response-content-language": "Content-Language",
    "response-content-encoding": "Content-Encoding",
    "response-content-disposition": "Content-Disposition",
    "response-cache-control": "Cache-Control",
    "response-expires": "Expires",
}
MAX_METADATA = 2048


@dataclass(slots=True)
class Call:
    """One verified request on its way: what it is about, and what body transfers have to obey."""

    request: Request
    verified: Verified
    bucket: str
    key: str
    pace: Pace
    passed: Callable[[int], None]
    require: Callable[..., None]


def xml_answer(text: str, status: int = 200, **headers: str) -> Response:
    """An answer with an XML document."""
    return Response(status, {"Content-Type": "application/xml"} | headers, (XML + text).encode())


def stored_metadata(request: Request) -> dict[str, str]:
    """The headers of a request that S3 keeps with the object. Raises Refusal over 2 KB."""
    kept = {}
    for name, value in request.headers:
        if name in STORED_HEADERS or name.startswith("x-amz-meta-"):
            if name == "content-encoding":
                value = ",".join(
                    part.strip() for part in value.split(",") if part.strip() != "aws-chunked"
                )
            if value or name.startswith("x-amz-meta-"):
                kept[name] = f"{kept[name]},{value}" if name in kept else value
    size = sum(
        len(name) - len("x-amz-meta-") + len(value.encode())
        for name, value in kept.items()
        if name.startswith("x-amz-meta-")
    )
    if size > MAX_METADATA:
        raise Refusal(
            "MetadataTooLarge",
            400,
            "Your metadata headers exceed the maximum allowed metadata size",
            {"Size": str(size), "MaxSizeAllowed": str(MAX_METADATA)},
        )
    return kept


def tags_of(request: Request) -> dict[str, str]:
    """The tags of the x-amz-tagging header."""
    return dict(parse_qsl(request.headers.get("x-amz-tagging"), keep_blank_values=True))


def _http_date(moment: datetime) -> str:
    return format_datetime(moment.replace(tzinfo=UTC), usegmt=True)


def version_headers(key: FakeKey) -> dict[str, str]:
    """x-amz-version-id when the bucket is versioned."""
    return {"x-amz-version-id": key.version_id} if key.version_id != "null" else {}


def object_headers(front: "Front", key: FakeKey) -> dict[str, str]:
    """The headers with which S3 describes an object."""
    headers = {
        "Last-Modified": _http_date(key.last_modified),
        "ETag": key.etag,
        "Accept-Ranges": "bytes",
        "x-amz-server-side-encryption": "AES256",
    }
    for name, value in key.metadata.items():
        if name in STORED_HEADERS or name.startswith("x-amz-meta-"):
            headers["-".join(w.capitalize() for w in name.split("-")) if name in STORED_HEADERS
                    else name] = value  # fmt: skip
    headers |= version_headers(key)
    if status := getattr(key, "replication_status", ""):
        headers["x-amz-replication-status"] = status
    if key.storage_class and key.storage_class != "STANDARD":
        headers["x-amz-storage-class"] = key.storage_class
    if count := len(front.store.tags(key)):
        headers["x-amz-tagging-count"] = str(count)
    return headers


def checksum_headers(key: FakeKey) -> dict[str, str]:
    """The stored checksum, for x-amz-checksum-mode: ENABLED."""
    if not key.checksum_value or not key.checksum_algorithm:
        return {}
    return {
        f"x-amz-checksum-{key.checksum_algorithm.lower()}": key.checksum_value,
        "x-amz-checksum-type": getattr(key, "checksum_type", "FULL_OBJECT"),
    }


def parse_range(text: str, size: int) -> tuple[int, int] | None:
    """(offset, length) of a Range header, None for one to be ignored: another unit, several
    ranges, nonsense (RFC 9110, 14.2; S3 answers those with the whole object).

    Raises Refusal 416 when nothing of the object lies in it.
    """
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", text.replace(" ", ""))
    if not match or not (match[1] or match[2]):
        return None
    if not match[1]:
        length = min(int(match[2]), size)
        start, end = size - length, size - 1
    else:
        start = int(match[1])
        end = min(int(match[2]), size - 1) if match[2] else size - 1
        if match[2] and int(match[2]) < start:
            return None
    if start >= size or end < start:
        raise Refusal(
            "InvalidRange",
            416,
            "The requested range is not satisfiable",
            {"RangeRequested": text, "ActualObjectSize": str(size)},
            {"Content-Range": f"bytes */{size}"},
        )
    return start, end - start + 1


def _names_etag(header: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")]
    return "*" in tags or etag.strip('"') in tags


def _date(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text).astimezone(UTC).replace(tzinfo=None)
    except (ValueError, TypeError):
        return None


def precondition_failed(condition: str) -> Refusal:
    """412, naming the header that failed."""
    return Refusal(
        "PreconditionFailed",
        412,
        "At least one of the pre-conditions you specified did not hold",
        {"Condition": condition},
    )


def check_conditions(request: Request, key: FakeKey) -> bool:
    """Whether the answer is 304. Raises Refusal 412 (RFC 9110, 13.2.2)."""
    changed = key.last_modified.replace(microsecond=0)
    headers = request.headers
    if match := headers.get("if-match"):
        if not _names_etag(match, key.etag):
            raise precondition_failed("If-Match")
    elif (since := _date(headers.get("if-unmodified-since"))) and changed > since:
        raise precondition_failed("If-Unmodified-Since")
    if none_match := headers.get("if-none-match"):
        return _names_etag(none_match, key.etag)
    since = _date(headers.get("if-modified-since"))
    return bool(since and changed <= since)


def _find(front: "Front", call: Call) -> Found:
    version_id = call.request.arg("versionId")
    found = front.store.find(call.bucket, call.key, version_id)
    if found.key is not None:
        return found
    if found.marker and version_id:
        raise Refusal(
            "MethodNotAllowed",
            405,
            "The specified method is not allowed against this resource.",
            {"Method": call.request.method, "ResourceType": "DeleteMarker"},
            {"x-amz-delete-marker": "true", "x-amz-version-id": found.marker},
        )
    if not front.may_list(call):
        raise front.denied(call, "s3:ListBucket", f"arn:aws:s3:::{call.bucket}")
    if version_id:
        raise Refusal(
            "NoSuchVersion",
            404,
            "The specified version does not exist.",
            {"Key": call.key, "VersionId": version_id},
        )
    error = no_such_key(call.key)
    if found.marker:
        error.headers = {"x-amz-delete-marker": "true", "x-amz-version-id": found.marker}
    raise error


def get_object(front: "Front", call: Call) -> Response:
    """GetObject and HeadObject: whole, a range, or one part; straight from what is stored."""
    request = call.request
    call.require("s3:GetObjectVersion" if request.has("versionId") else "s3:GetObject")
    found = _find(front, call)
    key, blob = found.key, found.blob
    assert key is not None
    headers = object_headers(front, key)
    if check_conditions(request, key):
        return Response(304, {k: v for k, v in headers.items() if k != "Content-Type"})
    for name, value in request.query:
        if name in OVERRIDES:
            headers[OVERRIDES[name]] = value
    stretch = None
    if request.has("partNumber"):
        stretch = _part_stretch(request, key, blob.size, headers)
    elif wanted := request.headers.get("range"):
        condition = request.headers.get("if-range")
        if not condition or _names_etag(condition, key.etag) or (
            (date := _date(condition)) and date == key.last_modified.replace(microsecond=0)
        ):  # fmt: skip
            stretch = parse_range(wanted, blob.size)
    if stretch is None and request.headers.get("x-amz-checksum-mode").upper() == "ENABLED":
        headers |= checksum_headers(key)
    offset, length = stretch or (0, blob.size)
    if stretch is not None:
        headers["Content-Range"] = f"bytes {offset}-{offset + length - 1}/{blob.size}"
    status = 206 if stretch is not None else 200
    return Response(status, headers, Part(blob, offset, length))


def _part_stretch(
    request: Request, key: FakeKey, size: int, headers: dict[str, str]
) -> tuple[int, int]:
    text = request.arg("partNumber")
    sizes = getattr(key, "part_sizes", ()) or (size,)
    number = int(text) if text.isdigit() else 0
    if not 1 <= number <= 10_000:
        raise invalid_argument(
            "Part number must be an integer between 1 and 10000, inclusive", "partNumber", text
        )
    if number > len(sizes):
        raise Refusal("InvalidPartNumber", 416, "The requested partnumber is not satisfiable")
    if len(sizes) > 1 or getattr(key, "part_sizes", ()):
        headers["x-amz-mp-parts-count"] = str(len(sizes))
    return sum(sizes[: number - 1]), sizes[number - 1]


def write_conditions(request: Request, key: str) -> Callable[[Found], None]:
    """What If-None-Match: * and If-Match ask of the object that was there before a write."""
    none_match, match = request.headers.get("if-none-match"), request.headers.get("if-match")
    if none_match and none_match.strip() != "*":
        raise Refusal(
            "NotImplemented",
            501,
            "A header you provided implies functionality that is not implemented",
            {"Header": "If-None-Match"},
        )

    def check(found: Found) -> None:
        if none_match and found.key is not None:
            raise precondition_failed("If-None-Match")
        if match and found.key is None:
            raise no_such_key(key)
        if match and found.key is not None and not _names_etag(match, found.key.etag):
            raise precondition_failed("If-Match")

    return check


def put_object(front: "Front", call: Call) -> Response:
    """PutObject."""
    request = call.request
    call.require("s3:PutObject")
    check_key(call.key)
    metadata, check = stored_metadata(request), write_conditions(request, call.key)
    check(front.store.find(call.bucket, call.key))
    received = receive(request, call.verified, front.store.spool(), passed=call.passed)
    key = front.store.put(
        call.bucket,
        call.key,
        received.blob,
        received.md5,
        metadata,
        storage_class=request.headers.get("x-amz-storage-class"),
        checksum=received.checksum,
        tags=tags_of(request),
        replication_status=front.replication.first_status(call.bucket),
        check=check,
    )
    front.replication.created(call.bucket, key)
    headers = {"ETag": key.etag, "x-amz-server-side-encryption": "AES256"} | version_headers(key)
    return Response(200, headers | checksum_headers(key))


def check_key(key: str) -> None:
    """Raises Refusal 400 for a key over 1024 bytes."""
    if len(key.encode()) > 1024:
        raise Refusal(
            "KeyTooLongError",
            400,
            "Your key is too long",
            {"Size": str(len(key.encode())), "MaxSizeAllowed": "1024"},
        )


def copy_source(front: "Front", call: Call) -> Found:
    """The object that x-amz-copy-source names. Raises Refusal 400, 403, 404 or 412."""
    text, _, query = call.request.headers.get("x-amz-copy-source").partition("?")
    bucket, slash, key = unquote(text).lstrip("/").partition("/")
    if not slash or not key:
        raise invalid_argument(
            "Invalid copy source object key",
            "x-amz-copy-source",
            call.request.headers.get("x-amz-copy-source"),
        )
    call.require("s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")
    found = front.store.find(bucket, key, dict(parse_qsl(query)).get("versionId", ""))
    if found.key is None:
        raise no_such_key(key)
    headers = call.request.headers
    match = headers.get("x-amz-copy-source-if-match")
    none_match = headers.get("x-amz-copy-source-if-none-match")
    if match and not _names_etag(match, found.key.etag):
        raise precondition_failed("x-amz-copy-source-If-Match")
    if none_match and _names_etag(none_match, found.key.etag):
        raise precondition_failed("x-amz-copy-source-If-None-Match")
    return found


def copy_object(front: "Front", call: Call) -> Response:
    """CopyObject: the new object shares the stored bytes."""
    request = call.request
    call.require("s3:PutObject")
    check_key(call.key)
    found = copy_source(front, call)
    source = found.key
    assert source is not None
    replace = request.headers.get("x-amz-metadata-directive").upper() == "REPLACE"
    if not replace and source.name == call.key and source.bucket_name == call.bucket:
        raise Refusal(
            "InvalidRequest",
            400,
            "This copy request is illegal because it is trying to copy an object to itself "
            "without changing the object's metadata, storage class, website redirect location "
            "or encryption attributes.",
        )
    retag = request.headers.get("x-amz-tagging-directive").upper() == "REPLACE"
    etag = source.etag.strip('"')
    if "-" in etag:
        etag = _md5_of(found)
    key = front.store.put(
        call.bucket,
        call.key,
        found.blob,
        etag,
        stored_metadata(request) if replace else dict(source.metadata),
        storage_class=request.headers.get("x-amz-storage-class"),
        checksum=(
            (source.checksum_algorithm.lower(), source.checksum_value)
            if source.checksum_algorithm and "-" not in str(source.checksum_value)
            else None
        ),
        tags=tags_of(request) if retag else front.store.tags(source),
        replication_status=front.replication.first_status(call.bucket),
        check=write_conditions(request, call.key),
    )
    front.replication.created(call.bucket, key)
    headers = version_headers(key)
    if source.version_id != "null":
        headers["x-amz-copy-source-version-id"] = source.version_id
    moment = key.last_modified.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return xml_answer(
        f'<CopyObjectResult xmlns="{NAMESPACE}"><LastModified>{moment}</LastModified>'
        f"<ETag>{clean(key.etag)}</ETag></CopyObjectResult>",
        **headers,
    )


def _md5_of(found: Found) -> str:
    state = hashlib.md5(usedforsecurity=False)
    for block in found.blob.blocks(1024 * 1024):
        state.update(block)
    return state.hexdigest()


def delete_object(front: "Front", call: Call) -> Response:
    """DeleteObject: 204 whether it was there or not."""
    version_id = call.request.arg("versionId")
    call.require("s3:DeleteObjectVersion" if version_id else "s3:DeleteObject")
    return Response(204, front.store.delete(call.bucket, call.key, version_id))


def delete_objects(front: "Front", call: Call) -> Response:
    """DeleteObjects: each key by itself, with its own permission."""
    request = call.request
    body = small_body(request, call.verified, front.store.spool(), 2 * 1024 * 1024)
    if not (request.headers.get("content-md5") or "x-amz-checksum-" in str(request.headers.pairs)):
        raise Refusal(
            "InvalidRequest", 400, "Missing required header for this request: Content-MD5"
        )
    root = parse_xml(body)
    quiet = (child_text(root, "Quiet") or "").lower() == "true"
    objects = [node for node in root if local_name(node) == "Object"]
    if not objects or len(objects) > 1000:
        raise malformed_xml()
    lines = []
    for node in objects:
        key, version_id = child_text(node, "Key"), child_text(node, "VersionId") or ""
        if not key:
            raise malformed_xml()
        shown = f"<Key>{clean(key)}</Key>"
        if version_id:
            shown += f"<VersionId>{clean(version_id)}</VersionId>"
        try:
            action = "s3:DeleteObjectVersion" if version_id else "s3:DeleteObject"
            call.require(action, f"arn:aws:s3:::{call.bucket}/{key}")
            meta = front.store.delete(call.bucket, key, version_id)
        except Refusal as error:
            lines.append(
                f"<Error>{shown}<Code>{error.code}</Code>"
                f"<Message>{clean(error.message)}</Message></Error>"
            )
            continue
        if not quiet:
            if not version_id and "x-amz-version-id" in meta:
                shown += (
                    "<DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>"
                    f"{meta['x-amz-version-id']}</DeleteMarkerVersionId>"
                )
            lines.append(f"<Deleted>{shown}</Deleted>")
    return xml_answer(f'<DeleteResult xmlns="{NAMESPACE}">{"".join(lines)}</DeleteResult>')


def local_name(node: ElementTree.Element) -> str:
    """An element's name without its namespace."""
    return node.tag.rpartition("}")[2]


def child_text(node: ElementTree.Element, name: str) -> str | None:
    """The text of the child called `name`, None without such a child."""
    for child in node:
        if local_name(child) == name:
            return child.text or ""
    return None


def parse_xml(body: bytes) -> ElementTree.Element:
    """The root of a document. Raises Refusal MalformedXML; document types are not accepted."""
    if b"<!DOCTYPE" in body:
        raise malformed_xml()
    try:
        return ElementTree.fromstring(body)
    except ElementTree.ParseError:
        raise malformed_xml() from None
