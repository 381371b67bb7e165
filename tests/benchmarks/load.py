"""A small HTTP load: keep-alive connections that each send a request when the last is answered."""

import selectors
import socket
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """What one round measured: answers, seconds, and the time of each answer in seconds."""

    requests: int
    seconds: float
    latencies: list[float]

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return self.requests / self.seconds

    def percentile(self, share: float) -> float:
        """The time in seconds that `share` (0..1) of the answers took at most."""
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def run(
    port: int, path: str, headers: dict[str, str], *, status: int, connections: int, seconds: float
) -> Result:
    """Load http://127.0.0.1:<port><path> and return the result.

    Every answer must have the status `status` and no body; another one raises RuntimeError, so
    that an error page never counts as speed.
    """
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    expected = f"HTTP/1.1 {status} ".encode()
    selector = selectors.DefaultSelector()
    sent_at: dict[socket.socket, float] = {}
    latencies: list[float] = []
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    try:
        start = time.perf_counter()
        for connection in sockets:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ)
            connection.sendall(request)
            sent_at[connection] = time.perf_counter()
        while (now := time.perf_counter()) < start + seconds:
            for key, _ in selector.select(1):
                connection = key.fileobj
                answer = connection.recv(16_384)
                if not (answer.startswith(expected) and answer.endswith(b"\r\n\r\n")):
                    raise RuntimeError(f"{path} answered {answer[:300]!r}")
                now = time.perf_counter()
                latencies.append(now - sent_at[connection])
                connection.sendall(request)
                sent_at[connection] = now
        return Result(len(latencies), now - start, latencies)
    finally:
        selector.close()
        for connection in sockets:
            connection.close()
