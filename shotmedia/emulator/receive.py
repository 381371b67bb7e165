"""Taking a request's body: chunk signatures, length, hashes and checksums, then the bytes.

Amazon S3 API Reference, "Signature Calculations for the Authorization Header: Transferring Payload
in Multiple Chunks", "Checking object integrity".
"""

import base64
import binascii
import hashlib
import io
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from shotmedia.emulator.blobs import Blob, Spool, store
from shotmedia.emulator.errors import Refusal
from shotmedia.emulator.signature import EMPTY_SHA256, UNSIGNED, Verified
from shotmedia.emulator.wire import BadRequest, Request, require_length

MAX_SINGLE = 5 * 1024**3
CHECKSUM_SIZES = {"crc32": 4, "crc32c": 4, "crc64nvme": 8, "sha1": 20, "sha256": 32}
STREAMING = {
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": (False, True),
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": (True, False),
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": (True, True),
}  # content hash -> (chunks are signed, a trailer follows)


class Crc32:
    """zlib's CRC-32 as a hash object."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: bytes | memoryview) -> None:
        """Takes the next block."""
        self._value = zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        """Four bytes, big endian, as S3 wants them."""
        return self._value.to_bytes(4, "big")


def new_checksum(algorithm: str) -> "Crc32 | hashlib._Hash":
    """A hash object for a checksum name of S3 in lower case ("crc32").

    Raises Refusal 501 for the two that Python has no fast code for: accepting them unchecked
    would hide mistakes.
    """
    if algorithm == "crc32":
        return Crc32()
    if algorithm in ("sha1", "sha256"):
        return hashlib.new(algorithm, usedforsecurity=False)
    raise Refusal(
        "NotImplemented",
        501,
        f"The emulator can't check {algorithm.upper()}; use CRC32, SHA1 or SHA256.",
    )


class AwsChunked(io.RawIOBase):
    """Decodes an aws-chunked body and checks its chunk and trailer signatures."""

    def __init__(self, source: io.BufferedReader, verified: Verified) -> None:
        super().__init__()
        self._source = source
        self._verified = verified
        self._signed, self._trailing = STREAMING[verified.content_sha256]
        self._previous = verified.signature
        self._left = 0
        self._hash = hashlib.sha256()
        self._expected = ""
        self._ended = False
        self.trailers: dict[str, str] = {}

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Decoded bytes; 0 after the last chunk and its trailer."""
        if self._ended:
            return 0
        if not self._left:
            self._start_chunk()
            if not self._left:
                self._finish_chunk()
                self._read_trailers()
                self._ended = True
                return 0
        count = self._source.readinto(buffer[: min(len(buffer), self._left)])
        if not count:
            raise BadRequest("an aws-chunked body ends inside a chunk")
        if self._signed:
            self._hash.update(buffer[:count])
        self._left -= count
        if not self._left:
            self._source.readline(1024)
            self._finish_chunk()
        return count

    def _start_chunk(self) -> None:
        line = self._source.readline(1024).strip()
        match = re.fullmatch(rb"([0-9a-fA-F]{1,8})(?:;chunk-signature=([0-9a-f]{64}))?", line)
        if not match or bool(match[2]) != self._signed:
            raise Refusal("InvalidRequest", 400, "The chunk header of the body is malformed.")
        self._left = int(match[1], 16)
        self._expected = (match[2] or b"").decode()
        self._hash = hashlib.sha256()

    def _finish_chunk(self) -> None:
        if not self._signed:
            return
        lines = [self._previous, EMPTY_SHA256, self._hash.hexdigest()]
        if self._verified.signer.of_text("PAYLOAD", lines) != self._expected:
            raise _wrong_chunk()
        self._previous = self._expected

    def _read_trailers(self) -> None:
        signature, text = "", ""
        while line := self._source.readline(4096).strip():
            name, _, value = line.decode("latin-1").partition(":")
            if name.lower() == "x-amz-trailer-signature":
                signature = value.strip()
            else:
                self.trailers[name.lower()] = value.strip()
                text += f"{name.lower()}:{value.strip()}\n"
        if self._signed and self._trailing:
            lines = [self._previous, hashlib.sha256(text.encode()).hexdigest()]
            if self._verified.signer.of_text("TRAILER", lines) != signature:
                raise _wrong_chunk()


def _wrong_chunk() -> Refusal:
    return Refusal(
        "SignatureDoesNotMatch",
        403,
        "The chunk signature we calculated does not match the signature you provided.",
    )


@dataclass(slots=True)
class Received:
    """A stored body with its MD5 (hexadecimal) and the checksum that came with it."""

    blob: Blob
    md5: str
    checksum: tuple[str, str] | None = None  # ("crc32", base64)


def announced_checksum(request: Request) -> tuple[str, str] | None:
    """("sha256", base64 or "" when it comes in the trailer) from the headers, None without.

    Raises Refusal 400 for more than one or a value that can't be one.
    """
    found = [
        (name.removeprefix("x-amz-checksum-"), value)
        for name, value in request.headers
        if name.startswith("x-amz-checksum-")
        and name.removeprefix("x-amz-checksum-") in CHECKSUM_SIZES
    ]
    trailer = request.headers.get("x-amz-trailer").strip().lower()
    if trailer.startswith("x-amz-checksum-"):
        found.append((trailer.removeprefix("x-amz-checksum-"), ""))
    wanted = request.headers.get("x-amz-sdk-checksum-algorithm").lower()
    if wanted and not found:
        raise Refusal(
            "InvalidRequest",
            400,
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or "
            "x-amz-trailer headers were found.",
        )
    if len(found) > 1:
        raise Refusal(
            "InvalidRequest",
            400,
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        )
    if not found:
        return None
    algorithm, value = found[0]
    if value:
        _checksum_bytes(algorithm, value)
    return algorithm, value


def _checksum_bytes(algorithm: str, value: str) -> bytes:
    try:
        raw = base64.b64decode(value, validate=True)
    except binascii.Error:
        raw = b""
    if len(raw) != CHECKSUM_SIZES[algorithm]:
        raise Refusal(
            "InvalidRequest", 400, f"Value for x-amz-checksum-{algorithm} header is invalid."
        )
    return raw


def receive(
    request: Request,
    verified: Verified,
    spool: Spool,
    *,
    limit: int = MAX_SINGLE,
    passed: Callable[[int], None] = lambda size: None,
) -> Received:
    """Reads the whole body, checks everything that was said about it, and stores it.

    Arguments: `limit` in bytes; `passed` is called with the size of each block (metering, pace).
    Raises Refusal 400, 403 or 411; nothing is kept then.
    """
    length = require_length(request)
    if length > limit:
        raise Refusal(
            "EntityTooLarge",
            400,
            "Your proposed upload exceeds the maximum allowed size",
            {"ProposedSize": str(length), "MaxSizeAllowed": str(limit)},
        )
    claimed_md5 = _claimed_md5(request)
    checksum = announced_checksum(request)
    hashes: list[tuple[str, Crc32 | hashlib._Hash]] = [("md5", hashlib.md5(usedforsecurity=False))]
    if checksum:
        hashes.append((checksum[0], new_checksum(checksum[0])))
    streamed = verified.content_sha256 in STREAMING
    if not streamed and verified.content_sha256 != UNSIGNED:
        if not re.fullmatch("[0-9a-f]{64}", verified.content_sha256):
            raise Refusal(
                "InvalidArgument",
                400,
                "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-..., "
                "or a valid sha256 value.",
            )
        hashes.append(("payload", hashlib.sha256()))

    def see(block: memoryview) -> None:
        for _, state in hashes:
            state.update(block)
        passed(len(block))

    decoder = AwsChunked(io.BufferedReader(request.body), verified) if streamed else None
    source = decoder or request.body
    try:
        blob = store(source.readinto, length, spool, see)
    except EOFError:
        raise Refusal(
            "IncompleteBody",
            400,
            "You did not provide the number of bytes specified by the Content-Length HTTP header",
        ) from None
    if source.readinto(memoryview(bytearray(1))):
        raise Refusal(
            "IncompleteBody", 400, "The body is longer than x-amz-decoded-content-length."
        )
    if decoder is not None and checksum and not checksum[1]:
        value = decoder.trailers.get(f"x-amz-checksum-{checksum[0]}", "")
        _checksum_bytes(checksum[0], value)
        checksum = (checksum[0], value)
    digests = {name: state.digest() for name, state in hashes}
    _compare(digests, claimed_md5, checksum, verified)
    return Received(blob, digests["md5"].hex(), checksum)


def _claimed_md5(request: Request) -> bytes:
    text = request.headers.get("content-md5")
    if not text:
        return b""
    try:
        claimed = base64.b64decode(text, validate=True)
    except binascii.Error:
        claimed = b""
    if len(claimed) != 16:
        raise Refusal("InvalidDigest", 400, "The Content-MD5 you specified was invalid.")
    return claimed


def _compare(
    digests: dict[str, bytes],
    claimed_md5: bytes,
    checksum: tuple[str, str] | None,
    verified: Verified,
) -> None:
    if claimed_md5 and claimed_md5 != digests["md5"]:
        raise Refusal(
            "BadDigest",
            400,
            "The Content-MD5 you specified did not match what we received.",
            {
                "ExpectedDigest": claimed_md5.hex(),
                "CalculatedDigest": base64.b64encode(digests["md5"]).decode(),
            },
        )
    if "payload" in digests and digests["payload"].hex() != verified.content_sha256:
        raise Refusal(
            "XAmzContentSHA256Mismatch",
            400,
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
            {
                "ClientComputedContentSHA256": verified.content_sha256,
                "S3ComputedContentSHA256": digests["payload"].hex(),
            },
        )
    if checksum and _checksum_bytes(*checksum) != digests[checksum[0]]:
        raise Refusal(
            "BadDigest",
            400,
            f"The {checksum[0].upper()} you specified did not match the calculated checksum.",
        )


def small_body(request: Request, verified: Verified, spool: Spool, limit: int) -> bytes:
    """The body of a configuration request as bytes, checked like any other; empty without one."""
    if request.body.length is None and not request.headers.get("x-amz-decoded-content-length"):
        return b""
    return receive(request, verified, spool, limit=limit).blob.read()
