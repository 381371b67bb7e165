"""The phases of the measurement, run by this server: threads where the browser has streams.

The same plan, links and estimators as the browser's (rates.js, trials.js), so that both rows
compare. Times are milliseconds.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from speedtest import estimators
from speedtest.estimators import BytesIn, Probe, Request
from speedtest.wire import Answer, Bodies, Body, NoAnswer, Stopped, Wire, milliseconds

TICK_SECONDS = 0.2
MOST_ERRORS = 4

Emit = Callable[[dict[str, Any]], None]
"""Gets {"share": of the phase, ...}; called by the thread that measures, not by its streams."""


class PhaseFailed(Exception):
    """A phase that can't go on; the text is a sentence."""

    def __init__(self, message: str, request_id: str = "") -> None:
        super().__init__(message)
        self.request_id = request_id


class Errors:
    """What S3 refuses for good ends a phase, other things are tried again a few times."""

    def __init__(self) -> None:
        self.count = 0
        self.failure: PhaseFailed | None = None
        self._lock = threading.Lock()

    def add(self, message: str, *, final: bool = False, request_id: str = "") -> None:
        """Count an error; after a final one, or too many, there is a failure."""
        with self._lock:
            self.count += 1
            if self.failure is None and (final or self.count > MOST_ERRORS):
                self.failure = PhaseFailed(message, request_id)

    def refused(self, what: str, answer: Answer) -> None:
        """Count an answer that is no success."""
        self.add(
            f"S3 refused {what}: {answer.said()}.",
            final=answer.status < 500,
            request_id=answer.request_id,
        )


class Phase:
    """What the phases with a rate share: the stop rule, the latency meanwhile, the result.

    times     warm_ms, min_ms, max_ms, cap_bytes
    stopping  set from outside: the test is to end
    probe     link for the latency meanwhile, "" for none
    """

    def __init__(
        self,
        wire: Wire,
        plan: Mapping[str, Any],
        times: Mapping[str, Any],
        stopping: threading.Event,
        emit: Emit,
        probe: str,
    ) -> None:
        self.wire, self.plan, self.times, self.emit = wire, plan, times, emit
        self.stopping, self.probe = stopping, probe
        self.errors = Errors()
        self.cancel = threading.Event()
        self.ids: list[str] = []
        self.start = milliseconds()
        self.stop_at: float | None = None
        self.reason = ""
        self.fifth_at: float | None = None
        self.lock = threading.Lock()

    @property
    def open(self) -> bool:
        """Whether more may be sent or read."""
        return self.stop_at is None and not self.cancelled()

    def cancelled(self) -> bool:
        """Whether what is under way has to be broken off."""
        return self.stopping.is_set() or self.cancel.is_set() or self.errors.failure is not None

    def stop(self, reason: str) -> None:
        """End the counted time; what is under way may finish."""
        with self.lock:
            if self.stop_at is None:
                self.stop_at, self.reason = milliseconds(), reason

    def seen(self, request_id: str) -> None:
        """Remember a few of S3's request ids, for its support."""
        if request_id and len(self.ids) < 2:
            self.ids.append(request_id)

    def run(
        self,
        stream: Callable[[int], None],
        streams: int,
        state: Callable[[float], tuple[float, float, BytesIn]],
        finish_ms: float,
        flying: Callable[[], int],
    ) -> tuple[list[Probe], int]:
        """Run the streams until the stop rule ends them; (latency meanwhile, unfinished ones).

        state(now): bytes so far, until when they are known, and how many a span has.
        """
        unfinished = 0
        with ThreadPoolExecutor(streams + 1) as pool:
            try:
                probing = pool.submit(self._probe)
                running = [pool.submit(stream, index) for index in range(streams)]
                self._watch(running, state)
                if wait(running, finish_ms / 1000).not_done:
                    unfinished = flying()
                self.stop("ended")
            finally:
                self.cancel.set()
        for one in running:
            one.result()
        if self.stopping.is_set():
            raise Stopped
        if self.errors.failure:
            raise self.errors.failure
        return probing.result(), unfinished

    def _watch(
        self,
        running: Sequence[Future],
        state: Callable[[float], tuple[float, float, BytesIn]],
    ) -> None:
        times = self.times
        while self.open and wait(running, TICK_SECONDS).not_done:
            now = milliseconds()
            size, until, bytes_in = state(now)
            if self.fifth_at is None and size >= times["cap_bytes"] / 5:
                self.fifth_at = now
            begin = self.start + times["warm_ms"]
            if self.fifth_at is not None:
                begin = min(begin, self.fifth_at)
            elapsed = now - self.start
            recent = max(self.start, until - 1000)
            self.emit(
                {
                    "share": min(1.0, elapsed / times["max_ms"]),
                    "rate": estimators.mbps(bytes_in(recent, until), until - recent),
                    "bytes": size,
                }
            )
            reason = estimators.stop_reason(
                elapsed=elapsed,
                size=size,
                rates=estimators.second_rates(bytes_in, begin, until),
                min_ms=times["min_ms"],
                max_ms=times["max_ms"],
                cap_bytes=times["cap_bytes"],
            )
            if reason:
                self.stop(reason)

    def _probe(self) -> list[Probe]:
        """Latency meanwhile: 1-byte GETs, one after another, at most one each `probe_ms`."""
        probes: list[Probe] = []
        limit = self.plan["probe_timeout_ms"]
        while self.probe and self.open:
            start = milliseconds()
            try:
                answer = self.wire.get(self.probe, 0, 1, self.cancelled)
                ms = answer.end - start
                if answer.status == 206:
                    probes.append(Probe(start, min(ms, limit), ms > limit))
            except Stopped:
                break
            except NoAnswer:
                probes.append(Probe(start, limit, lost=True))
            self.cancel.wait(max(0.0, start + self.plan["probe_ms"] - milliseconds()) / 1000)
        return probes

    def result(
        self,
        bytes_in: BytesIn,
        size: float,
        streams: int,
        probes: Sequence[Probe],
        idle_median: float | None,
    ) -> dict[str, Any]:
        """The figures of the phase."""
        assert self.stop_at is not None
        window = estimators.window_of(
            self.start, self.stop_at, self.times["warm_ms"], self.fifth_at
        )
        return {
            **estimators.phase_figures(
                bytes_in, start=self.start, window=window, streams=streams, size=size
            ),
            **estimators.loaded_figures(probes, window.begin, idle_median),
            "errors": self.errors.count,
            "capped": self.reason == "cap",
            "ids": self.ids,
        }


def upload(
    phase: Phase,
    links: Sequence[Mapping[str, str]],
    bodies: Bodies,
    streams: int,
    idle_median: float | None,
) -> dict[str, Any]:
    """PUT one body after another, by one link per stream and size.

    Only what S3 acknowledged with 2xx counts. Raises PhaseFailed, Stopped.
    """
    plan, cap = phase.plan, phase.times["cap_bytes"]
    acknowledged: list[Request] = []
    flying: dict[int, float] = {}
    begun = 0

    def claim(size: int) -> bool:
        nonlocal begun
        with phase.lock:
            if begun + size > cap:
                return False
            begun += size
            return True

    def stream(index: int) -> None:
        size = plan["first_size"]
        while phase.open:
            if not claim(size):
                phase.stop("cap")
                return
            flying[index] = milliseconds()
            try:
                answer = phase.wire.put(links[index][str(size)], bodies.take(size), phase.cancelled)
            except Stopped:
                return
            except NoAnswer as error:
                phase.errors.add(f"An upload was interrupted: {error}")
                continue
            finally:
                flying.pop(index, None)
            if not answer.ok:
                phase.errors.refused("an upload", answer)
                continue
            acknowledged.append(Request(answer.start, answer.end, size))
            phase.seen(answer.request_id)
            ms = answer.end - answer.start
            size = estimators.next_size(size, ms, plan["least_size"], plan["most_size"])

    def bytes_in(begin: float, end: float) -> float:
        return estimators.acknowledged_bytes(acknowledged, begin, end)

    def total() -> float:
        return sum(one.bytes for one in acknowledged)

    def state(now: float) -> tuple[float, float, BytesIn]:
        return total(), min([now, *flying.copy().values()]), bytes_in

    probes, unfinished = phase.run(stream, streams, state, plan["finish_ms"], lambda: len(flying))
    figures = phase.result(bytes_in, total(), streams, probes, idle_median)
    return figures | {"unfinished": unfinished}


def download(phase: Phase, url: str, streams: int, idle_median: float | None) -> dict[str, Any]:
    """Read the seed over and over; bytes count when they have been read.

    Raises PhaseFailed, Stopped.
    """
    log: list[tuple[float, float]] = [(phase.start, 0)]
    total, cap = 0, phase.times["cap_bytes"]

    def read(size: int) -> None:
        nonlocal total
        with phase.lock:
            total += size
            now = milliseconds()
            if now - log[-1][0] >= 5:
                log.append((now, total))
            else:
                log[-1] = (log[-1][0], total)
        if total >= cap:
            phase.stop("cap")

    def stream(_index: int) -> None:
        while phase.open:
            try:
                with phase.wire.reading(url, lambda: not phase.open) as (answer, sizes):
                    if not answer.ok:
                        phase.errors.refused("a download", answer)
                        continue
                    phase.seen(answer.request_id)
                    for size in sizes:
                        read(size)
                        if not phase.open:
                            break
            except Stopped:
                return
            except NoAnswer as error:
                phase.errors.add(f"A download was interrupted: {error}")

    def bytes_in(begin: float, end: float) -> float:
        with phase.lock:
            return estimators.total_at(log, end) - estimators.total_at(log, begin)

    probes, _ = phase.run(stream, streams, lambda now: (total, now, bytes_in), 0, lambda: 0)
    return phase.result(bytes_in, total, streams, probes, idle_median)


def idle(
    wire: Wire, url: str, plan: Mapping[str, Any], stopping: threading.Event, emit: Emit
) -> dict[str, Any]:
    """Idle latency: sequential GETs of one byte. Raises PhaseFailed, Stopped, NoAnswer."""
    times: list[float] = []
    for number in range(plan["idle_requests"]):
        answer = wire.get(url, 0, 1, stopping.is_set)
        if stopping.is_set():
            raise Stopped
        if answer.status != 206:
            raise PhaseFailed(
                f"S3 answered a request for one byte with {answer.said()}.", answer.request_id
            )
        times.append(answer.end - answer.start)
        emit({"share": (number + 1) / plan["idle_requests"], "latency": times[-1]})
    return estimators.idle_figures(times, plan["idle_dropped"])


def small_files(
    what: str,
    send: Callable[[int, Callable[[], bool]], Answer],
    streams: int,
    plan: Mapping[str, Any],
    stopping: threading.Event,
    emit: Emit,
) -> dict[str, Any]:
    """Small files for `files.ms`, or until `files.most` were begun; what is under way may finish.

    send(number, stopped) moves one. Raises PhaseFailed, Stopped.
    """
    files = plan["files"]
    errors, cancel, lock = Errors(), threading.Event(), threading.Lock()
    done: list[Request] = []
    start, begun = milliseconds(), 0
    stop_at: list[float] = []

    def stopped() -> bool:
        return stopping.is_set() or cancel.is_set() or errors.failure is not None

    def stream() -> None:
        nonlocal begun
        while not stopped() and milliseconds() < start + files["ms"]:
            with lock:
                if begun >= files["most"]:
                    break
                number, begun = begun, begun + 1
            try:
                answer = send(number, stopped)
            except Stopped:
                return
            except NoAnswer as error:
                errors.add(f"S3 gave no answer to {what}: {error}")
                continue
            if answer.ok:
                done.append(Request(answer.start, answer.end, files["bytes"]))
            else:
                errors.refused(what, answer)
        # The streams are no longer all at work from here on.
        stop_at.append(milliseconds())

    with ThreadPoolExecutor(streams) as pool:
        try:
            running = [pool.submit(stream) for _ in range(streams)]
            limit = start + files["ms"] + plan["finish_ms"]
            while milliseconds() < limit and wait(running, TICK_SECONDS).not_done:
                elapsed = milliseconds() - start
                rate = len(done) / (elapsed / 1000)
                emit({"share": min(1.0, elapsed / files["ms"]), "files": rate})
        finally:
            cancel.set()
    for one in running:
        one.result()
    if stopping.is_set():
        raise Stopped
    if errors.failure:
        raise errors.failure
    if not done:
        raise PhaseFailed(f"S3 gave no answer to {what} in time.")
    times = [one.end - one.start for one in done]
    return {
        "files_per_s": estimators.files_per_second(done, start, min(stop_at)),
        "p50_ms": estimators.percentile(times, 0.5),
        "p95_ms": estimators.percentile(times, 0.95),
        "files": len(done),
        "bytes": files["bytes"],
        "streams": streams,
        "errors": errors.count,
    }


def multipart(
    wire: Wire,
    parts: Mapping[str, Any],
    sent: Sequence[Body],
    join: Callable[[str, list[str]], Any],
    stopping: threading.Event,
) -> dict[str, Any]:
    """An upload in parts: break part 2 off and repeat it, then `join(upload_id, etags)`.

    Raises PhaseFailed, Stopped, NoAnswer.
    """
    start = milliseconds()
    etags: list[str] = []
    broken_off = False
    for number, (part, body) in enumerate(zip(parts["parts"], sent, strict=True), 1):
        if number == 2:
            broken_off = _break_off(wire, part["url"], body)
        answer = wire.put(part["url"], body, stopping.is_set)
        if not answer.ok:
            raise PhaseFailed(f"S3 refused part {number}: {answer.said()}.", answer.request_id)
        etags.append(answer.etag)
    finding = join(parts["upload_id"], etags)
    if finding.status != "pass":
        raise PhaseFailed(finding.message, finding.request_id)
    return {"ok": True, "ms": milliseconds() - start, "broken_off": broken_off}


def _break_off(wire: Wire, url: str, body: Body) -> bool:
    """Break a PUT off once some of it is under way; whether that came in time."""
    asked = 0

    def after_the_first_chunk() -> bool:
        nonlocal asked
        asked += 1
        return asked > 1

    try:
        wire.put(url, body, after_the_first_chunk)
    except Stopped:
        return True
    return False


def resume(wire: Wire, url: str, sent: Sequence[Body], stopping: threading.Event) -> dict[str, Any]:
    """Read an object in two halves and compare it with what was sent.

    Raises PhaseFailed, Stopped, NoAnswer.
    """
    whole = b"".join(body.content() for body in sent)
    half, start = len(whole) // 2, milliseconds()
    for begin, end in ((0, half), (half, len(whole))):
        answer = wire.get(url, begin, end, stopping.is_set)
        if answer.status != 206:
            raise PhaseFailed(
                f"S3 answered a request for half of an object with {answer.said()}.",
                answer.request_id,
            )
        if answer.body != whole[begin:end]:
            raise PhaseFailed("What was read back is not what was uploaded.", answer.request_id)
    return {"ok": True, "ms": milliseconds() - start}
