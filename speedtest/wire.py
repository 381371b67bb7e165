"""Requests of the server's own measurement: by signed links, timed, and never repeated.

The server's counterpart of network.js. Safe to use from several threads at once.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
from requests.utils import get_environ_proxies
from urllib3.exceptions import HTTPError

from shotmedia.s3.probe_calls import ca_bundle, no_answer, parse_reply

CHUNK = 256 << 10
"""Bytes that are sent or read at a time."""
BUFFER = 8 << 20
CONNECT_SECONDS, READ_SECONDS = 10.0, 15.0
MOST_TEXT = 64 << 10


class Stopped(Exception):
    """The request was stopped on purpose."""


class NoAnswer(Exception):
    """There was no answer; the text is a sentence."""


def milliseconds() -> float:
    """The moment, for differences."""
    return time.perf_counter() * 1000


@dataclass(frozen=True, slots=True)
class Answer:
    """What S3 answered, when the request began and when it was over (milliseconds)."""

    status: int
    body: bytes
    etag: str
    request_id: str
    start: float
    end: float

    @property
    def ok(self) -> bool:
        """Whether S3 did what was asked for."""
        return 200 <= self.status < 300

    def said(self) -> str:
        """S3's own words."""
        return parse_reply("", self.status, {}, self.body).said()


class Bodies:
    """Bodies of any size out of one random buffer, each beginning at another place."""

    def __init__(self) -> None:
        self._bytes = os.urandom(BUFFER)
        self._offset = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> "Body":
        """A body of `size` bytes; it only refers to the buffer."""
        with self._lock:
            offset = self._offset
            self._offset = (offset + 1_000_003) % BUFFER
        return Body(self._bytes, offset, size)


@dataclass(frozen=True, slots=True)
class Body:
    """`size` bytes of a buffer that begins again at its end."""

    buffer: bytes
    offset: int
    size: int

    def chunks(self) -> Iterator[memoryview]:
        """The bytes, at most CHUNK at a time."""
        view, place, left = memoryview(self.buffer), self.offset, self.size
        while left:
            length = min(CHUNK, left, len(view) - place)
            yield view[place : place + length]
            left -= length
            place = (place + length) % len(view)

    def content(self) -> bytes:
        """The whole body; for the small ones."""
        return b"".join(self.chunks())


class _Stream:
    """A body as requests sends it: with its length, until `stopped` says no."""

    def __init__(self, body: Body, stopped: Callable[[], bool]) -> None:
        self.body, self.stopped = body, stopped

    def __len__(self) -> int:
        return self.body.size

    def __iter__(self) -> Iterator[memoryview]:
        for chunk in self.body.chunks():
            if self.stopped():
                raise Stopped
            yield chunk


def _never() -> bool:
    return False


class Wire:
    """One connection for each thread, kept between requests."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._sessions: list[requests.Session] = []

    def close(self) -> None:
        """Close all connections."""
        for session in self._sessions:
            session.close()

    def put(self, url: str, body: Body, stopped: Callable[[], bool] = _never) -> Answer:
        """PUT a body. Raises NoAnswer, and Stopped as soon as `stopped()` is true."""
        start = milliseconds()
        with self._send("PUT", url, stopped, data=_Stream(body, stopped)) as answer:
            return _whole(answer, start)

    def get(self, url: str, begin: int, end: int, stopped: Callable[[], bool] = _never) -> Answer:
        """GET the bytes from `begin` up to `end`, which is not included. Raises as `put`."""
        start = milliseconds()
        headers = {"Range": f"bytes={begin}-{end - 1}"}
        with self._send("GET", url, stopped, headers=headers) as answer:
            return _whole(answer, start, end - begin)

    @contextmanager
    def reading(
        self, url: str, stopped: Callable[[], bool] = _never
    ) -> Iterator[tuple[Answer, Iterator[int]]]:
        """GET an object bit by bit: the answer (its body only when S3 refused), sizes as read.

        Whoever stops early closes the connection. Raises as `put`.
        """
        start = milliseconds()
        with self._send("GET", url, stopped) as answer:
            if answer.ok:
                sizes = (len(chunk) for chunk in iter(lambda: answer.raw.read(CHUNK), b""))
                yield _answer(answer, b"", start), sizes
            else:
                yield _whole(answer, start), iter(())

    @contextmanager
    def _send(
        self, method: str, url: str, stopped: Callable[[], bool], **more: object
    ) -> Iterator[requests.Response]:
        try:
            with self._session().request(
                method,
                url,
                allow_redirects=False,
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                proxies=get_environ_proxies(url),
                stream=True,
                **more,
            ) as answer:
                yield answer
        except (requests.RequestException, OSError, HTTPError) as error:
            if stopped():
                raise Stopped from error
            raise NoAnswer(no_answer(urlsplit(url).netloc, error)) from error

    def _session(self) -> requests.Session:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            # A .netrc entry would add an Authorization, which S3 refuses beside a signed link.
            session.trust_env = False
            session.verify = ca_bundle()
            # Encoded bodies would be counted at another size than what came over the line.
            session.headers["Accept-Encoding"] = "identity"
            self._sessions.append(session)
        return session


def _whole(answer: requests.Response, start: float, most: int = MOST_TEXT) -> Answer:
    return _answer(answer, answer.raw.read(max(most, MOST_TEXT)), start)


def _answer(answer: requests.Response, body: bytes, start: float) -> Answer:
    headers = answer.headers
    request_id = headers.get("x-amz-request-id", "")
    end = milliseconds()
    return Answer(answer.status_code, body, headers.get("ETag", ""), request_id, start, end)
