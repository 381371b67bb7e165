"""Multipart uploads: parts go into one file, completing joins them without copying.

Limits and errors: Amazon S3 User Guide, "Multipart upload limits"; API Reference.
"""

import base64
import hashlib
import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.etree import ElementTree

from shotmedia.emulator.blobs import Blob, Spool
from shotmedia.emulator.errors import (
    Refusal,
    clean,
    invalid_argument,
    malformed_xml,
    no_such_upload,
)
from shotmedia.emulator.objects import (
    NAMESPACE,
    Call,
    check_key,
    checksum_headers,
    child_text,
    copy_source,
    local_name,
    parse_range,
    parse_xml,
    stored_metadata,
    tags_of,
    version_headers,
    write_conditions,
    xml_answer,
)
from shotmedia.emulator.receive import CHECKSUM_SIZES, new_checksum, receive, small_body
from shotmedia.emulator.signature import iso
from shotmedia.emulator.wire import Request, Response

if TYPE_CHECKING:
    from shotmedia.emulator.front import Front

MIN_PART = 5 * 1024 * 1024
MAX_PARTS = 10_000
COMPLETED_KEPT = 1000


@dataclass(frozen=True, slots=True)
class UploadedPart:
    """One part as stored; `etag` without quotes, checksum base64 or ""."""

    number: int
    blob: Blob
    etag: str
    checksum: str
    uploaded_at: float


@dataclass(slots=True)
class Upload:
    """One multipart upload in progress."""

    id: str
    bucket: str
    key: str
    metadata: dict[str, str]
    initiated: float
    spool: Spool
    arn: str
    storage_class: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    checksum_algorithm: str = ""  # "crc32"
    checksum_type: str = ""
    parts: dict[int, UploadedPart] = field(default_factory=dict)


class Uploads:
    """All uploads in progress, and what the last completed ones answered: S3 answers the same
    CompleteMultipartUpload again, so that a lost answer can be asked for again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, Upload] = {}
        self._completed: dict[str, tuple[str, str, Response]] = {}

    def add(self, upload: Upload) -> None:
        """Registers a new upload."""
        with self._lock:
            self._open[upload.id] = upload

    def get(self, call: Call) -> Upload:
        """The upload that the request names. Raises Refusal 404."""
        upload_id = call.request.arg("uploadId")
        with self._lock:
            upload = self._open.get(upload_id)
        if upload is None or (upload.bucket, upload.key) != (call.bucket, call.key):
            raise no_such_upload(upload_id)
        return upload

    def pop(self, upload: Upload) -> None:
        """Takes the upload out. Raises Refusal 404 when another request was faster."""
        with self._lock:
            if self._open.pop(upload.id, None) is None:
                raise no_such_upload(upload.id)

    def remember(self, upload: Upload, answer: Response) -> None:
        """Keeps the answer of a completed upload."""
        with self._lock:
            self._completed[upload.id] = (upload.bucket, upload.key, answer)
            while len(self._completed) > COMPLETED_KEPT:
                del self._completed[next(iter(self._completed))]

    def answered(self, call: Call) -> Response | None:
        """The answer of an upload that is already completed."""
        bucket, key, answer = self._completed.get(call.request.arg("uploadId"), ("", "", None))
        return answer if (bucket, key) == (call.bucket, call.key) else None

    def of_bucket(self, bucket: str) -> list[Upload]:
        """The bucket's uploads, by key and age."""
        with self._lock:
            found = [upload for upload in self._open.values() if upload.bucket == bucket]
        return sorted(found, key=lambda upload: (upload.key, upload.initiated, upload.id))


def create_upload(front: "Front", call: Call) -> Response:
    """CreateMultipartUpload."""
    request = call.request
    call.require("s3:PutObject")
    check_key(call.key)
    small_body(request, call.verified, front.store.spool(), 4096)
    algorithm = request.headers.get("x-amz-checksum-algorithm").lower()
    if algorithm and algorithm not in CHECKSUM_SIZES:
        raise Refusal("InvalidRequest", 400, "Checksum algorithm provided is unsupported.")
    kind = request.headers.get("x-amz-checksum-type").upper()
    upload = Upload(
        base64.urlsafe_b64encode(os.urandom(48)).decode().replace("-", ".").replace("=", ""),
        call.bucket,
        call.key,
        stored_metadata(request),
        front.now(),
        front.store.spool(),
        call.verified.identity.arn,
        request.headers.get("x-amz-storage-class"),
        tags_of(request),
        algorithm,
        kind or ("COMPOSITE" if algorithm else ""),
    )
    front.uploads.add(upload)
    headers = {"x-amz-server-side-encryption": "AES256"}
    if algorithm:
        headers["x-amz-checksum-algorithm"] = algorithm.upper()
        headers["x-amz-checksum-type"] = upload.checksum_type
    return xml_answer(
        f'<InitiateMultipartUploadResult xmlns="{NAMESPACE}"><Bucket>{call.bucket}</Bucket>'
        f"<Key>{clean(call.key)}</Key><UploadId>{upload.id}</UploadId>"
        "</InitiateMultipartUploadResult>",
        **headers,
    )


def _part_number(request: Request) -> int:
    text = request.arg("partNumber")
    number = int(text) if text.isdigit() else 0
    if not 1 <= number <= MAX_PARTS:
        raise invalid_argument(
            f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive",
            "partNumber",
            text,
        )
    return number


def upload_part(front: "Front", call: Call) -> Response:
    """UploadPart."""
    call.require("s3:PutObject")
    number, upload = _part_number(call.request), front.uploads.get(call)
    received = receive(call.request, call.verified, upload.spool, passed=call.passed)
    headers = {"ETag": f'"{received.md5}"', "x-amz-server-side-encryption": "AES256"}
    checksum = ""
    if received.checksum:
        algorithm, checksum = received.checksum
        # boto3 sends CRC32 by itself, also for uploads that were started without an algorithm.
        unasked = algorithm == "crc32" and not upload.checksum_algorithm
        if algorithm != upload.checksum_algorithm and not unasked:
            expected = upload.checksum_algorithm or "null"
            raise Refusal(
                "InvalidRequest",
                400,
                f"Checksum Type mismatch occurred, expected checksum Type: {expected}, "
                f"actual checksum Type: {algorithm}",
            )
        headers[f"x-amz-checksum-{algorithm}"] = checksum
    elif upload.checksum_algorithm:
        # S3 computes the checksum itself when a part comes without.
        state = new_checksum(upload.checksum_algorithm)
        for block in received.blob.blocks(1024 * 1024):
            state.update(block)
        checksum = base64.b64encode(state.digest()).decode()
    upload.parts[number] = UploadedPart(number, received.blob, received.md5, checksum, front.now())
    return Response(200, headers)


def upload_part_copy(front: "Front", call: Call) -> Response:
    """UploadPartCopy: the part shares the stored bytes of its source."""
    call.require("s3:PutObject")
    number, upload = _part_number(call.request), front.uploads.get(call)
    blob = copy_source(front, call).blob
    if wanted := call.request.headers.get("x-amz-copy-source-range"):
        stretch = parse_range(wanted, blob.size)
        if stretch is None:
            raise invalid_argument(
                "The x-amz-copy-source-range value must be of the form bytes=first-last where "
                "first and last are the zero-based offsets of the first and last bytes to copy",
                "x-amz-copy-source-range",
                wanted,
            )
        blob = blob.slice(*stretch)
    state = hashlib.md5(usedforsecurity=False)
    for block in blob.blocks(1024 * 1024):
        state.update(block)
    upload.parts[number] = UploadedPart(number, blob, state.hexdigest(), "", front.now())
    return xml_answer(
        f'<CopyPartResult xmlns="{NAMESPACE}"><LastModified>{iso(front.now())}</LastModified>'
        f"<ETag>&quot;{state.hexdigest()}&quot;</ETag></CopyPartResult>"
    )


def _wanted_parts(body: bytes) -> list[tuple[int, str, ElementTree.Element]]:
    root = parse_xml(body)
    if local_name(root) != "CompleteMultipartUpload":
        raise malformed_xml()
    wanted = []
    for node in root:
        number, etag = child_text(node, "PartNumber"), child_text(node, "ETag")
        if local_name(node) != "Part" or not number or not number.isdigit() or etag is None:
            raise malformed_xml()
        wanted.append((int(number), etag.strip().strip('"'), node))
    if not wanted or len(wanted) > MAX_PARTS:
        raise malformed_xml()
    if any(first[0] >= second[0] for first, second in pairwise(wanted)):
        raise Refusal(
            "InvalidPartOrder",
            400,
            "The list of parts was not in ascending order. Parts must be ordered by part number.",
        )
    return wanted


def _chosen_parts(upload: Upload, body: bytes) -> list[UploadedPart]:
    wanted = _wanted_parts(body)
    chosen = []
    for number, etag, node in wanted:
        part = upload.parts.get(number)
        named = f"Checksum{upload.checksum_algorithm.upper()}"
        claimed = child_text(node, named) if upload.checksum_algorithm else None
        wrong = part is None or part.etag != etag or (claimed and claimed != part.checksum)
        if wrong:
            raise Refusal(
                "InvalidPart",
                400,
                "One or more of the specified parts could not be found.  The part may not have "
                "been uploaded, or the specified entity tag may not match the part's entity tag.",
                {"UploadId": upload.id, "PartNumber": str(number), "ETag": etag},
            )
        assert part is not None
        chosen.append(part)
    for part in chosen[:-1]:
        if part.blob.size < MIN_PART:
            raise Refusal(
                "EntityTooSmall",
                400,
                "Your proposed upload is smaller than the minimum allowed size",
                {
                    "ProposedSize": str(part.blob.size),
                    "MinSizeAllowed": str(MIN_PART),
                    "PartNumber": str(part.number),
                    "ETag": part.etag,
                },
            )
    return chosen


def _whole_checksum(upload: Upload, parts: list[UploadedPart], blob: Blob) -> tuple[str, str]:
    state = new_checksum(upload.checksum_algorithm)
    if upload.checksum_type == "FULL_OBJECT":
        for block in blob.blocks(1024 * 1024):
            state.update(block)
        return upload.checksum_algorithm, base64.b64encode(state.digest()).decode()
    for part in parts:
        state.update(base64.b64decode(part.checksum))
    value = base64.b64encode(state.digest()).decode()
    return upload.checksum_algorithm, f"{value}-{len(parts)}"


def complete_upload(front: "Front", call: Call) -> Response:
    """CompleteMultipartUpload; asked again, it answers the same again."""
    request = call.request
    call.require("s3:PutObject")
    body = small_body(request, call.verified, front.store.spool(), 4 * 1024 * 1024)
    if answer := front.uploads.answered(call):
        return answer
    upload = front.uploads.get(call)
    parts = _chosen_parts(upload, body)
    check = write_conditions(request, call.key)
    check(front.store.find(call.bucket, call.key))
    blob = Blob.joined([part.blob for part in parts])
    digest = hashlib.md5(b"".join(bytes.fromhex(p.etag) for p in parts), usedforsecurity=False)
    checksum = _whole_checksum(upload, parts, blob) if upload.checksum_algorithm else None
    front.uploads.pop(upload)
    try:
        key = front.store.put(
            call.bucket,
            call.key,
            blob,
            f"{digest.hexdigest()}-{len(parts)}",
            upload.metadata,
            storage_class=upload.storage_class,
            checksum=checksum,
            checksum_type=upload.checksum_type or "FULL_OBJECT",
            part_sizes=tuple(part.blob.size for part in parts),
            tags=upload.tags,
            replication_status=front.replication.first_status(call.bucket),
            check=check,
        )
    except Refusal:
        front.uploads.add(upload)
        raise
    front.replication.created(call.bucket, key)
    location = f"{request.headers.get('host')}/{call.bucket}/{quote(call.key)}"
    checksums = checksum_headers(key)
    shown = "".join(
        f"<Checksum{name.rpartition('-')[2].upper()}>{value}</Checksum"
        f"{name.rpartition('-')[2].upper()}>"
        for name, value in checksums.items()
        if name != "x-amz-checksum-type"
    )
    if checksums:
        shown += f"<ChecksumType>{checksums['x-amz-checksum-type']}</ChecksumType>"
    answer = xml_answer(
        f'<CompleteMultipartUploadResult xmlns="{NAMESPACE}">'
        f"<Location>http://{clean(location)}</Location><Bucket>{call.bucket}</Bucket>"
        f"<Key>{clean(call.key)}</Key><ETag>{clean(key.etag)}</ETag>{shown}"
        "</CompleteMultipartUploadResult>",
        **version_headers(key),
        **{"x-amz-server-side-encryption": "AES256"},
    )
    front.uploads.remember(upload, answer)
    return answer


def abort_upload(front: "Front", call: Call) -> Response:
    """AbortMultipartUpload: the parts are gone with it."""
    call.require("s3:AbortMultipartUpload")
    front.uploads.pop(front.uploads.get(call))
    return Response(204)


def _limit(request: Request, name: str) -> int:
    text = request.arg(name) or "1000"
    if not text.isdigit() or int(text) > 2**31 - 1:
        raise invalid_argument(
            f"Provided {name} not an integer or within integer range", name, text
        )
    return min(int(text), 1000)


def _owner(name: str, arn: str) -> str:
    return f"<{name}><ID>{clean(arn)}</ID><DisplayName>{clean(arn)}</DisplayName></{name}>"


def list_parts(front: "Front", call: Call) -> Response:
    """ListParts, paged by part number."""
    call.require("s3:ListMultipartUploadParts")
    upload = front.uploads.get(call)
    limit = _limit(call.request, "max-parts")
    marker = int(call.request.arg("part-number-marker") or 0)
    numbers = [number for number in sorted(upload.parts) if number > marker]
    shown, more = numbers[:limit], len(numbers) > limit
    lines = []
    for number in shown:
        part = upload.parts[number]
        checksum = ""
        if part.checksum:
            tag = f"Checksum{upload.checksum_algorithm.upper()}"
            checksum = f"<{tag}>{part.checksum}</{tag}>"
        lines.append(
            f"<Part><PartNumber>{number}</PartNumber>"
            f"<LastModified>{iso(part.uploaded_at)}</LastModified>"
            f"<ETag>&quot;{part.etag}&quot;</ETag><Size>{part.blob.size}</Size>{checksum}</Part>"
        )
    return xml_answer(
        f'<ListPartsResult xmlns="{NAMESPACE}"><Bucket>{call.bucket}</Bucket>'
        f"<Key>{clean(call.key)}</Key><UploadId>{upload.id}</UploadId>"
        f"{_owner('Initiator', upload.arn)}{_owner('Owner', upload.arn)}"
        f"<StorageClass>{upload.storage_class or 'STANDARD'}</StorageClass>"
        f"<PartNumberMarker>{marker}</PartNumberMarker>"
        f"<NextPartNumberMarker>{shown[-1] if shown else 0}</NextPartNumberMarker>"
        f"<MaxParts>{limit}</MaxParts><IsTruncated>{str(more).lower()}</IsTruncated>"
        f"{''.join(lines)}</ListPartsResult>"
    )


def list_uploads(front: "Front", call: Call) -> Response:
    """ListMultipartUploads with prefix, delimiter and paging."""
    request = call.request
    prefix, delimiter = request.arg("prefix"), request.arg("delimiter")
    limit = _limit(request, "max-uploads")
    key_marker, id_marker = request.arg("key-marker"), request.arg("upload-id-marker")
    encode = quote if request.arg("encoding-type") == "url" else clean
    rest = _after(front.uploads.of_bucket(call.bucket), key_marker, id_marker)
    lines: list[str] = []
    groups: dict[str, None] = {}
    shown: list[Upload] = []
    more = False
    for upload in rest:
        if not upload.key.startswith(prefix):
            continue
        head, found, _ = (
            upload.key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
        )
        if found and prefix + head + delimiter in groups:
            continue
        if len(shown) + len(groups) >= limit:
            more = True
            break
        if found:
            groups[prefix + head + delimiter] = None
            continue
        shown.append(upload)
        lines.append(
            f"<Upload><Key>{encode(upload.key)}</Key><UploadId>{upload.id}</UploadId>"
            f"{_owner('Initiator', upload.arn)}{_owner('Owner', upload.arn)}"
            f"<StorageClass>{upload.storage_class or 'STANDARD'}</StorageClass>"
            f"<Initiated>{iso(upload.initiated)}</Initiated></Upload>"
        )
    last = shown[-1] if shown else None
    prefixes = "".join(
        f"<CommonPrefixes><Prefix>{encode(group)}</Prefix></CommonPrefixes>" for group in groups
    )
    next_markers = (
        f"<NextKeyMarker>{encode(last.key)}</NextKeyMarker>"
        f"<NextUploadIdMarker>{last.id}</NextUploadIdMarker>"
        if more and last
        else ""
    )
    encoding = "<EncodingType>url</EncodingType>" if encode is quote else ""
    return xml_answer(
        f'<ListMultipartUploadsResult xmlns="{NAMESPACE}"><Bucket>{call.bucket}</Bucket>'
        f"<KeyMarker>{encode(key_marker)}</KeyMarker>"
        f"<UploadIdMarker>{clean(id_marker)}</UploadIdMarker>{next_markers}{encoding}"
        f"<Prefix>{encode(prefix)}</Prefix><Delimiter>{encode(delimiter)}</Delimiter>"
        f"<MaxUploads>{limit}</MaxUploads><IsTruncated>{str(more).lower()}</IsTruncated>"
        f"{''.join(lines)}{prefixes}</ListMultipartUploadsResult>"
    )


def _after(uploads: list[Upload], key_marker: str, id_marker: str) -> Iterable[Upload]:
    ids = [upload.id for upload in uploads]
    if id_marker in ids:
        return uploads[ids.index(id_marker) + 1 :]
    return [upload for upload in uploads if upload.key > key_marker] if key_marker else uploads
