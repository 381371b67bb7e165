"""Sockets: ports that listen or refuse, a thread per connection, and writing answers."""

import contextlib
import logging
import socket
import struct
import threading
import time
from collections.abc import Callable

from shotmedia.emulator.faults import Pace
from shotmedia.emulator.wire import (
    BadRequest,
    Part,
    Request,
    Response,
    head_bytes,
    read_request,
)

log = logging.getLogger("shotmedia.emulator")

HOST = "127.0.0.1"
IDLE_SECONDS = 75
SENDFILE_STEP = 1024 * 1024
SMALL = 64 * 1024
# How much of a refused upload is still read, so that the client gets to see the answer.
DRAIN = 64 * 1024 * 1024
SLOW_BUFFER = 256 * 1024


class Listener:
    """One port on 127.0.0.1. While it refuses, the port stays reserved but nobody listens, so
    connections are refused by the system, and the open ones are gone."""

    def __init__(self, port: int, serve: Callable[["Connection"], None], bucket: str = "") -> None:
        self.bucket = bucket
        self._serve = serve
        self._lock = threading.Lock()
        self._connections: set[Connection] = set()
        self._socket = self._bound(port)
        self._port: int = self._socket.getsockname()[1]
        self._stopped = False
        self._listening = False

    @property
    def port(self) -> int:
        """The port's number."""
        return self._port

    @property
    def endpoint(self) -> str:
        """The address for clients."""
        return f"http://{HOST}:{self._port}"

    @staticmethod
    def _bound(port: int) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((HOST, port))
        except OSError:
            made.close()
            raise
        return made

    def listen(self) -> None:
        """Accepts connections from now on."""
        with self._lock:
            if self._listening or self._stopped:
                return
            self._listening = True
            self._socket.listen(256)
            # Closing does not wake accept() everywhere; the time-out does.
            self._socket.settimeout(0.5)
            threading.Thread(
                target=self._accept, args=(self._socket,), name=f"port-{self._port}", daemon=True
            ).start()

    def refuse(self) -> None:
        """Refuses connections from now on and cuts the open ones."""
        with self._lock:
            if not self._listening or self._stopped:
                return
            self._listening = False
            _close(self._socket)
            self._socket = self._bound(self._port)
        self._cut()

    def stop(self) -> None:
        """Closes the port and its connections for good."""
        with self._lock:
            self._stopped = True
            self._listening = False
            _close(self._socket)
        self._cut()

    def _cut(self) -> None:
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.abort()

    def _accept(self, listening: socket.socket) -> None:
        while self._listening and listening is self._socket:
            try:
                accepted, address = listening.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            connection = Connection(accepted, address[0], self)
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=self._run, args=(connection,), daemon=True).start()

    def _run(self, connection: "Connection") -> None:
        try:
            self._serve(connection)
        except (OSError, BadRequest) as error:
            log.debug("connection of %s ended: %s", connection.client, error)
        finally:
            connection.close()
            with self._lock:
                self._connections.discard(connection)


def _close(closing: socket.socket) -> None:
    with contextlib.suppress(OSError):
        closing.shutdown(socket.SHUT_RDWR)
    closing.close()


class Connection:
    """One client's connection."""

    def __init__(self, accepted: socket.socket, client: str, listener: Listener) -> None:
        self.client = client
        self.listener = listener
        self._socket = accepted
        accepted.settimeout(IDLE_SECONDS)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._source = accepted.makefile("rb", buffering=SMALL)

    def next_request(self) -> Request | None:
        """The next request, None when the client is done. Raises BadRequest, OSError."""
        request = read_request(self._source, self.client, self.listener.bucket)
        if request and request.headers.get("expect").lower() == "100-continue":
            request.body.before_first_read = self._continue
        return request

    def _continue(self) -> None:
        self._socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def slow_down(self) -> None:
        """Keeps the kernel from taking much more of a body than the pace allows."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_BUFFER)

    def send(
        self, request: Request, response: Response, pace: Pace, passed: Callable[[int], None]
    ) -> bool:
        """Writes the answer; True when the connection can carry another request."""
        body = request.body
        drainable = body.finished or (
            not body.waiting and body.length is not None and body.length - body.received <= DRAIN
        )
        keep = request.keep_alive and drainable and not response.close
        head = head_bytes(response, keep)
        bodyless = request.method == "HEAD" or response.status in (204, 304)
        if bodyless or not response.size:
            self._socket.sendall(head)
        elif isinstance(response.body, Part):
            self._send_part(head, response.body, pace, passed)
        else:
            self._socket.sendall(head + response.body)
            passed(response.size)
        if not body.finished and not body.waiting:
            if not keep:
                self._socket.shutdown(socket.SHUT_WR)
                self._socket.settimeout(5)
            return body.drain(DRAIN) and keep
        return keep

    def _send_part(
        self, head: bytes, part: Part, pace: Pace, passed: Callable[[int], None]
    ) -> None:
        if part.length <= SMALL and not pace.step:
            self._socket.sendall(head + part.blob.read(part.offset, part.length))
            passed(part.length)
            return
        self._socket.sendall(head)
        step = pace.step or SENDFILE_STEP
        for source, start, length in part.blob.pieces(part.offset, part.length):
            for offset in range(start, start + length, step):
                size = min(step, start + length - offset)
                if isinstance(source, bytes):
                    self._socket.sendall(memoryview(source)[offset : offset + size])
                else:
                    self._sendfile(source, offset, size)
                passed(size)
                pace.passed(size)

    def _sendfile(self, source: object, offset: int, size: int) -> None:
        try:
            sent = self._socket.sendfile(source, offset, size)  # type: ignore[arg-type]
        except AttributeError as error:
            # When the client is gone before the first byte, the standard library gives sendfile()
            # up and wants to read() the file instead.
            raise ConnectionResetError("the client has gone") from error
        if sent != size:
            raise OSError("a stored object's file is shorter than it was written")

    def bad_request(self, error: BadRequest) -> None:
        """Answers what is not HTTP, as far as the client still listens."""
        with contextlib.suppress(OSError):
            text = f"{error}\n".encode()
            head = f"HTTP/1.1 400 Bad Request\r\nContent-Length: {len(text)}\r\n"
            self._socket.sendall(head.encode() + b"Connection: close\r\n\r\n" + text)

    def abort(self) -> None:
        """Cuts the connection with a reset, also in the middle of something."""
        with contextlib.suppress(OSError):
            linger = struct.pack("ii", 1, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes the connection."""
        with contextlib.suppress(OSError):
            self._source.close()
        self._socket.close()


class Traffic:
    """Bytes per 50 ms, direction and bucket: what the other end of a measurement has really
    received. Kept for two minutes."""

    BIN = 0.05
    KEPT = 2400

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._bins: dict[tuple[str, str], dict[int, int]] = {}

    def passed(self, bucket: str, direction: str, size: int) -> None:
        """Counts `size` bytes; direction is "in" (uploads) or "out" (downloads)."""
        slot = int(self._clock() / self.BIN)
        with self._lock:
            bins = self._bins.setdefault((bucket, direction), {})
            bins[slot] = bins.get(slot, 0) + size
            while len(bins) > self.KEPT:
                del bins[next(iter(bins))]

    def of(self, bucket: str, direction: str) -> list[tuple[float, int]]:
        """(start in epoch seconds, bytes) of each 50 ms in which something passed."""
        with self._lock:
            bins = self._bins.get((bucket, direction), {})
            return [(slot * self.BIN, size) for slot, size in sorted(bins.items())]
