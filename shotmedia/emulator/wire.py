"""HTTP/1.1 on a socket: reading requests, their bodies, and writing answers.

The target is kept exactly as it was sent, since the signature covers it byte for byte.
"""

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO
from urllib.parse import unquote

from shotmedia.emulator.blobs import Blob
from shotmedia.emulator.errors import REASONS, Refusal

MAX_LINE = 65_536
MAX_HEADERS = 200
_TOKEN = re.compile(r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")


class BadRequest(Exception):
    """What came over the connection is not HTTP; the connection can't be used any longer."""


class Headers:
    """A request's headers: names lower-case, in their order, repeats kept."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self.pairs = pairs

    def get(self, name: str, default: str = "") -> str:
        """The first value of the lower-case `name`, else `default`."""
        for found, value in self.pairs:
            if found == name:
                return value
        return default

    def all(self, name: str) -> list[str]:
        """Every value of the lower-case `name`."""
        return [value for found, value in self.pairs if found == name]

    def __contains__(self, name: str) -> bool:
        return any(found == name for found, _ in self.pairs)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.pairs)


@dataclass(slots=True)
class Request:
    """One request: `raw_path` and `raw_query` as sent, `query` decoded in its order."""

    method: str
    raw_path: str
    raw_query: str
    headers: Headers
    body: "Body"
    client: str = "127.0.0.1"
    only_bucket: str = ""
    keep_alive: bool = True
    query: list[tuple[str, str]] = field(default_factory=list)

    def arg(self, name: str, default: str = "") -> str:
        """The first value of the query parameter `name`."""
        for found, value in self.query:
            if found == name:
                return value
        return default

    def has(self, name: str) -> bool:
        """Whether the query names the parameter, with or without a value."""
        return any(found == name for found, _ in self.query)


@dataclass(slots=True)
class Part:
    """A stretch of a stored object as the body of an answer: `length` bytes from `offset`."""

    blob: Blob
    offset: int
    length: int


@dataclass(slots=True)
class Response:
    """One answer. `body` is bytes, a part of a stored object, or empty; `length` announces the
    size that an answer without a body (HEAD) would have."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | Part = b""
    length: int | None = None
    code: str = ""
    close: bool = False

    @property
    def size(self) -> int:
        """Bytes of the body that is going to be sent."""
        return self.body.length if isinstance(self.body, Part) else len(self.body)


class Body(io.RawIOBase):
    """The body of a request, read once. Says "100 Continue" before the first read if asked."""

    def __init__(self, source: BinaryIO, length: int | None, chunked: bool = False) -> None:
        super().__init__()
        self._source = source
        self._chunked = chunked
        self._left = 0 if chunked else (length or 0)
        self._ended = not chunked and not length
        self.length = length
        self.before_first_read: Callable[[], None] | None = None
        self.received = 0

    def readable(self) -> bool:
        """Always: a body is there to be read."""
        return True

    @property
    def finished(self) -> bool:
        """Whether the whole body was read, so that the connection can carry the next request."""
        return self._ended

    @property
    def waiting(self) -> bool:
        """Whether the client still waits for "100 Continue" before it sends the body."""
        return self.before_first_read is not None

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fills `buffer` with what is there; 0 at the end. Raises BadRequest when it is cut off."""
        if self._ended:
            return 0
        if self.before_first_read is not None:
            announce, self.before_first_read = self.before_first_read, None
            announce()
        if self._chunked and not self._left:
            self._next_chunk()
            if self._ended:
                return 0
        view = memoryview(buffer)[: min(len(buffer), self._left)]
        count = self._source.readinto1(view)  # type: ignore[attr-defined]
        if not count:
            raise BadRequest("the client went away in the middle of a request's body")
        self._left -= count
        self.received += count
        if not self._left:
            if self._chunked:
                self._source.readline(MAX_LINE)
            else:
                self._ended = True
        return count

    def _next_chunk(self) -> None:
        line = self._source.readline(MAX_LINE).split(b";")[0].strip()
        try:
            self._left = int(line, 16)
        except ValueError:
            raise BadRequest("a chunk's size is no hexadecimal number") from None
        if not self._left:
            while self._source.readline(MAX_LINE) not in (b"\r\n", b"\n", b""):
                pass
            self._ended = True

    def drain(self, limit: int) -> bool:
        """Reads and forgets up to `limit` bytes; True when that was the whole rest."""
        buffer = memoryview(bytearray(65_536))
        while limit > 0 and not self._ended:
            limit -= self.readinto(buffer)
        return self._ended


def parse_query(raw: str) -> list[tuple[str, str]]:
    """The pairs of a raw query string, decoded, in their order. `+` is a space, as for S3."""
    pairs = []
    for item in raw.split("&"):
        if item:
            name, _, value = item.partition("=")
            pairs.append((unquote(name.replace("+", " ")), unquote(value.replace("+", " "))))
    return pairs


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def read_request(source: BinaryIO, client: str, only_bucket: str) -> Request | None:
    """The next request on a connection, or None when the client has closed it.

    Arguments: the buffered connection, the client's address, the bucket that this port serves
    ("" for all). Raises BadRequest for what is not HTTP/1.x.
    """
    line = source.readline(MAX_LINE)
    while line in (b"\r\n", b"\n"):
        line = source.readline(MAX_LINE)
    if not line:
        return None
    words = line.rstrip(b"\r\n").split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/1."):
        raise BadRequest("the first line is not `METHOD target HTTP/1.1`")
    target = _text(words[1])
    if target.startswith(("http://", "https://")):
        target = "/" + target.split("//", 1)[1].partition("/")[2]
    raw_path, _, raw_query = target.partition("?")
    pairs: list[tuple[str, str]] = []
    while (line := source.readline(MAX_LINE)) not in (b"\r\n", b"\n"):
        name, colon, value = line.partition(b":")
        if not line or not colon or not _TOKEN.match(_text(name)) or len(pairs) > MAX_HEADERS:
            raise BadRequest("a header line has no `name: value`")
        pairs.append((_text(name).lower(), _text(value).strip()))
    headers = Headers(pairs)
    chunked = "chunked" in headers.get("transfer-encoding").lower()
    length = headers.get("content-length")
    if length and not length.isdigit():
        raise BadRequest("Content-Length is no number")
    body = Body(source, int(length) if length else None, chunked)
    connection = headers.get("connection").lower()
    keep_alive = "close" not in connection and (
        words[2] == b"HTTP/1.1" or "keep-alive" in connection
    )
    return Request(
        _text(words[0]),
        raw_path,
        raw_query,
        headers,
        body,
        client,
        only_bucket,
        keep_alive,
        parse_query(raw_query),
    )


def head_bytes(response: Response, keep_alive: bool) -> bytes:
    """Status line and headers of an answer. A bodyless 204 or 304 announces no length."""
    lines = [f"HTTP/1.1 {response.status} {REASONS.get(response.status, 'Unknown')}"]
    for name, value in response.headers.items():
        lines.append(f"{name}: {value.replace(chr(13), ' ').replace(chr(10), ' ')}")
    if response.status not in (204, 304):
        size = response.size if response.length is None else response.length
        lines.append(f"Content-Length: {size}")
    if not keep_alive:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


def require_length(request: Request) -> int:
    """The number of bytes that the body carries. Raises Refusal 411 when nobody said it (S3 takes
    no body of unknown length)."""
    decoded = request.headers.get("x-amz-decoded-content-length")
    if decoded.isdigit():
        return int(decoded)
    if request.body.length is None:
        raise Refusal(
            "MissingContentLength", 411, "You must provide the Content-Length HTTP header."
        )
    return request.body.length
