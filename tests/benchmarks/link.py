"""A link with a rate and a delay, as a TCP front: python -m tests.benchmarks.link HOST:PORT

Bytes of all connections share the link, each direction for itself: a chunk goes out when those
before it have, and arrives a delay later. A short queue stands in front of the link; when it is
full, nothing more is read, so that senders feel the link. What the kernel does with lost packets
and slow start is not there: this is for rates and waiting times.

Speaks lines of JSON: at the start {"port"}; to a line "counts" on its standard input
{"up": [[ms since 1970, bytes], ...], "down": ...}, bytes delivered in steps of 50 ms; "rate N" sets
the rate to N Mbit/s. Ends with its standard input.
"""

import argparse
import asyncio
import contextlib
import json
import socket
import sys
import time
from collections import Counter

STEP = 0.05
"""Seconds that deliveries are counted by."""
QUEUE = 0.05
"""Seconds of data that wait in front of the link at most."""
RECEIVE_BUFFER = 128 << 10
LONGEST = 1000
"""Chunks of one connection that may be on their way."""


class Direction:
    """One direction of the link. rate: bytes a second; delay: seconds; clock: monotonic seconds."""

    def __init__(self, rate: float, delay: float) -> None:
        self.rate = rate
        self.delay = delay
        self.free_at = 0.0
        self.delivered: Counter[int] = Counter()
        self._turn = asyncio.Lock()

    @property
    def chunk(self) -> int:
        """Bytes to read at once: 2 ms of the link, so that connections take turns."""
        return int(min(64 << 10, max(4 << 10, self.rate * 0.002)))

    async def admit(self, size: int) -> float:
        """Wait for room in the queue; the moment at which these bytes arrive at the other end."""
        async with self._turn:
            wait = self.free_at - time.monotonic() - QUEUE
            if wait > 0:
                await asyncio.sleep(wait)
            return self.schedule(size, time.monotonic())

    def schedule(self, size: int, now: float) -> float:
        """Take the link for `size` bytes from `now` on; returns when they arrive."""
        self.free_at = max(self.free_at, now) + size / self.rate
        return self.free_at + self.delay

    def count(self, size: int) -> None:
        """Note bytes that have just been delivered."""
        self.delivered[int(time.time() / STEP)] += size

    def counts(self) -> list[tuple[int, int]]:
        """Deliveries as (milliseconds since 1970, bytes), in order."""
        return [(round(step * STEP * 1000), size) for step, size in sorted(self.delivered.items())]


def bytes_between(counts: list[tuple[int, int]], start_ms: float, end_ms: float) -> float:
    """Bytes of `Direction.counts()` between two moments; steps at the edges by their share."""
    width = STEP * 1000
    return sum(
        size * max(0.0, min(end_ms, at + width) - max(start_ms, at)) / width for at, size in counts
    )


async def _pump(direction: Direction, source: socket.socket, target: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    on_the_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(LONGEST)

    async def deliver() -> None:
        while True:
            due, data = await on_the_way.get()
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            if not data:
                with contextlib.suppress(OSError):  # it had closed first
                    target.shutdown(socket.SHUT_WR)
                return
            await loop.sock_sendall(target, data)
            direction.count(len(data))

    delivering = asyncio.create_task(deliver())
    try:
        while not delivering.done():
            data = await loop.sock_recv(source, direction.chunk)
            due = await direction.admit(len(data))
            await on_the_way.put((due, data))
            if not data:
                break
        await delivering
    finally:
        delivering.cancel()


async def _connection(client: socket.socket, target: tuple[str, int], up: Direction,
                      down: Direction) -> None:  # fmt: skip
    loop = asyncio.get_running_loop()
    with client, socket.socket() as server:
        client.setblocking(False)
        server.setblocking(False)
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(server, target)
        pumps = [
            asyncio.create_task(_pump(up, client, server)),
            asyncio.create_task(_pump(down, server, client)),
        ]
        # One side's reset ends both, as resets do; a half that was closed in order lets the other
        # go on.
        _, waiting = await asyncio.wait(pumps, return_when=asyncio.FIRST_EXCEPTION)
        for pump in waiting:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def serve(target: tuple[str, int], rate_mbps: float, delay_ms: float) -> None:
    """Carry connections to `target` until the standard input ends."""
    loop = asyncio.get_running_loop()
    rate = rate_mbps * 1e6 / 8
    up, down = Direction(rate, delay_ms / 1000), Direction(rate, delay_ms / 1000)
    listener = socket.socket()
    # Accepted sockets inherit it: what the sender got rid of should be near the link.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    listener.bind(("127.0.0.1", 0))
    listener.listen(64)
    listener.setblocking(False)
    _say({"port": listener.getsockname()[1]})
    tasks = set()

    async def accept() -> None:
        while True:
            client, _ = await loop.sock_accept(listener)
            task = asyncio.create_task(_connection(client, target, up, down))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    accepting = asyncio.create_task(accept())
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        word, _, value = line.strip().partition(" ")
        if word == "counts":
            _say({"up": up.counts(), "down": down.counts()})
        elif word == "rate":
            up.rate = down.rate = float(value) * 1e6 / 8
            _say({"rate": float(value)})
    accepting.cancel()
    for task in list(tasks):
        task.cancel()
    listener.close()


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target", help="HOST:PORT to carry to")
    parser.add_argument("--rate", type=float, default=100, help="Mbit/s each way (100)")
    parser.add_argument("--delay", type=float, default=10, help="one way, in ms (10)")
    options = parser.parse_args()
    host, _, port = options.target.rpartition(":")
    asyncio.run(serve((host, int(port)), options.rate, options.delay))


if __name__ == "__main__":
    main()
