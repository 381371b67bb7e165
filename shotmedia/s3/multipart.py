"""Multipart uploads: the plan of parts (pure) and the calls around a client's own uploading."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .clients import head_object, s3_client
from .config import BucketConfig
from .errors import ObjectMissing, UploadMissing, translated
from .presign import SignedURL, signer_for

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40

COMPLETE_TIMEOUT = 60.0
"""Seconds between bytes: joining 10,000 parts takes S3 longer than an ordinary call."""


@dataclass(frozen=True, slots=True)
class PartPlan:
    """How a file is cut: `count` parts of `part_size` bytes, the last one shorter or equal."""

    size: int
    part_size: int
    count: int

    def length(self, number: int) -> int:
        """Bytes of part `number` (1 to count). Raises ValueError for another number."""
        if not 1 <= number <= self.count:
            raise ValueError(f"There is no part {number}; the parts are 1 to {self.count}.")
        return min(self.part_size, self.size - (number - 1) * self.part_size)

    def ranges(self) -> Iterator[tuple[int, int, int]]:
        """(part number from 1, offset, length) of every part; together they are the file."""
        for number in range(1, self.count + 1):
            yield number, (number - 1) * self.part_size, self.length(number)


def plan_parts(
    size: int,
    *,
    part_size: int = 16 * MIB,
    min_part: int = 5 * MIB,
    max_part: int = 5 * GIB,
    max_parts: int = 10_000,
    max_size: int = 5 * TIB,
) -> PartPlan:
    """Cut `size` bytes into parts that S3 accepts.

    The wished `part_size` grows, in whole MiB where parts are that large, until `max_parts`
    suffice. All parts but the last have the same size. An empty file is one empty part.
    Limits: S3 User Guide, "Amazon S3 multipart upload limits". Sizes in bytes.
    Raises ValueError for what cannot be uploaded.
    """
    if size < 0:
        raise ValueError(f"The size is {size} bytes; a file has 0 or more.")
    if size > max_size:
        raise ValueError(
            f"The file has {size:,} bytes; S3 takes at most {max_size:,} in one object."
        )
    wanted = min(max(part_size, min_part), max_part)
    needed = -(-size // max_parts)
    if needed > wanted:
        unit = MIB if needed > MIB else 1
        wanted = min(-(-needed // unit) * unit, max_part)
    count = max(1, -(-size // wanted))
    if count > max_parts:
        raise ValueError(
            f"{size} bytes do not fit into {max_parts} parts of at most {max_part} bytes."
        )
    return PartPlan(size, wanted, count)


@dataclass(frozen=True, slots=True)
class Part:
    """A part that S3 has: number, bytes, ETag without quotes."""

    number: int
    size: int
    etag: str


def create(
    config: BucketConfig, path: str, *, content_type: str, content_disposition: str = ""
) -> str:
    """Begin an upload and return its id. The headers are those that the object will have.

    Raises KeyRefused, S3Error.
    """
    headers: dict[str, Any] = {"ContentType": content_type}
    if content_disposition:
        headers["ContentDisposition"] = content_disposition
    with translated("CreateMultipartUpload"):
        answer = s3_client(config).create_multipart_upload(
            Bucket=config.bucket, Key=config.key(path), **headers
        )
    return answer["UploadId"]


def sign_part(
    config: BucketConfig, path: str, upload_id: str, number: int, length: int, life: int
) -> SignedURL:
    """A link to PUT part `number` with exactly `length` bytes within `life` seconds.

    Content-Length is signed, so S3 refuses any other length; browsers send it by themselves.
    """
    return signer_for(config).sign(
        "PUT",
        path,
        life,
        (("partNumber", number), ("uploadId", upload_id)),
        {"content-length": length},
    )


def list_parts(config: BucketConfig, path: str, upload_id: str) -> list[Part]:
    """The parts that S3 has, by number; all pages. Raises UploadMissing when it is over."""
    with translated("ListParts"):
        pages = (
            s3_client(config)
            .get_paginator("list_parts")
            .paginate(Bucket=config.bucket, Key=config.key(path), UploadId=upload_id)
        )
        return [
            Part(part["PartNumber"], part["Size"], part["ETag"].strip('"'))
            for page in pages
            for part in page.get("Parts", ())
        ]


def complete(
    config: BucketConfig, path: str, upload_id: str, parts: Iterable[tuple[int, str]]
) -> str:
    """Join the parts and return the object's ETag without quotes.

    parts: (number, ETag with or without quotes), any order. Safe to repeat: when the upload is
    gone because an earlier call had completed it, the object's ETag is returned.
    Raises UploadMissing when there is neither, S3Error; botocore's ClientError for parts that S3
    refuses (InvalidPart, EntityTooSmall).
    """
    listed = [
        {"PartNumber": number, "ETag": f'"{etag.strip(chr(34))}"'} for number, etag in sorted(parts)
    ]
    try:
        with translated("CompleteMultipartUpload"):
            answer = s3_client(config, read_timeout=COMPLETE_TIMEOUT).complete_multipart_upload(
                Bucket=config.bucket,
                Key=config.key(path),
                UploadId=upload_id,
                MultipartUpload={"Parts": listed},
            )
    except UploadMissing as gone:
        # A completion whose answer was lost: the ETag of a multipart object ends in its part count.
        try:
            etag = head_object(config, path, timeout=5).etag
        except ObjectMissing:
            raise gone from None
        if not etag.endswith(f"-{len(listed)}"):
            raise
        return etag
    return answer["ETag"].strip('"')


def abort(config: BucketConfig, path: str, upload_id: str) -> None:
    """Give an upload up and free its parts. An upload that is already gone is fine."""
    try:
        with translated("AbortMultipartUpload"):
            s3_client(config).abort_multipart_upload(
                Bucket=config.bucket, Key=config.key(path), UploadId=upload_id
            )
    except UploadMissing:
        return
