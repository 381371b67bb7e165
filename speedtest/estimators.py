"""The arithmetic of the speed test on the server: the same as the browser's maths.js. Pure.

Times are milliseconds, sizes bytes, rates megabits (10^6 bits) a second. tests/js/estimators.json
holds logs and results that both have to agree on.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

BytesIn = Callable[[float, float], float]
"""How many bytes belong to the span from the first to the second moment."""


class Request(NamedTuple):
    """One acknowledged request: begun, acknowledged, its bytes."""

    start: float
    end: float
    bytes: float


class Window(NamedTuple):
    """The counted part of a phase; `short` when it is under a second."""

    begin: float
    end: float
    short: bool


class Probe(NamedTuple):
    """One small request beside the streams; `lost` when it got no answer in time."""

    start: float
    ms: float
    lost: bool


def mbps(size: float, ms: float) -> float:
    """Rate of `size` bytes in `ms`."""
    return size * 8 / (ms * 1000) if ms > 0 else 0.0


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which a share of the values lies, linear between neighbours."""
    if not values:
        return None
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    low, high = math.floor(place), math.ceil(place)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def jitter(values: Sequence[float]) -> float | None:
    """The mean absolute difference of neighbours."""
    if len(values) < 2:
        return None
    return sum(abs(b - a) for a, b in pairwise(values)) / (len(values) - 1)


def acknowledged_bytes(requests: Sequence[Request], begin: float, end: float) -> float:
    """Bytes in the span; each request counts as sent evenly until it was acknowledged."""
    total = 0.0
    for one in requests:
        overlap = min(one.end, end) - max(one.start, begin)
        if overlap > 0:
            total += one.bytes * (overlap / (one.end - one.start))
    return total


def total_at(log: Sequence[tuple[float, float]], moment: float) -> float:
    """Bytes read until a moment, from a log of (moment, total), linear between entries."""
    if not log or moment < log[0][0]:
        return 0
    if moment >= log[-1][0]:
        return log[-1][1]
    after = bisect_right(log, moment, key=lambda entry: entry[0])
    (then, before), (later, total) = log[after - 1], log[after]
    return before + (total - before) * (moment - then) / (later - then)


def second_rates(bytes_in: BytesIn, begin: float, end: float) -> list[float]:
    """Mean rates of the whole seconds from `begin` to `end`."""
    rates = []
    while begin + 1000 <= end:
        rates.append(mbps(bytes_in(begin, begin + 1000), 1000))
        begin += 1000
    return rates


def variation(rates: Sequence[float]) -> float | None:
    """How far the last four one-second means differ, (most - least) / most; None with fewer."""
    last = rates[-4:]
    if len(last) < 4 or max(last) <= 0:
        return None
    return (max(last) - min(last)) / max(last)


def plus_minus(rates: Sequence[float]) -> float | None:
    """Half the spread of the last four one-second means by their mean; None with fewer."""
    last = rates[-4:]
    mean = sum(last) / 4
    return (max(last) - min(last)) / 2 / mean if len(last) == 4 and mean > 0 else None


def stop_reason(
    *,
    elapsed: float,
    size: float,
    rates: Sequence[float],
    min_ms: float,
    max_ms: float,
    cap_bytes: float,
) -> str:
    """Why a phase is over: "cap", "time", "steady", or "" when it goes on.

    elapsed: since its start; size: bytes so far; rates: one-second means after the warm-up.
    """
    if size >= cap_bytes:
        return "cap"
    if elapsed >= max_ms:
        return "time"
    differ = variation(rates)
    return "steady" if elapsed >= min_ms and differ is not None and differ <= 0.05 else ""


def next_size(size: int, ms: float, least: int, most: int) -> int:
    """The next upload's size: towards 0.6 to 2.5 s each, in powers of two within the limits."""
    seconds, wanted = ms / 1000, float(size)
    if seconds < 0.6:
        wanted = size * min(4, 1.2 / max(seconds, 0.001))
    elif seconds > 2.5:
        wanted = size / 2
    power = 2 ** math.floor(math.log2(wanted) + 0.5)
    return min(most, max(least, power))


def window_of(start: float, stop: float, warm_ms: float, fifth_at: float | None) -> Window:
    """The counted part: after the warm-up, or from when a fifth of the cap was used up.

    A phase that ended before that has a window of its last three quarters.
    """
    begin = start + warm_ms
    if fifth_at is not None:
        begin = min(begin, fifth_at)
    if stop - begin >= 1000:
        return Window(begin, stop, short=False)
    begin = min(begin, start + (stop - start) / 4)
    return Window(begin, stop, short=stop - begin < 1000)


def phase_figures(
    bytes_in: BytesIn, *, start: float, window: Window, streams: int, size: float
) -> dict[str, Any]:
    """The figures of a phase, by their names in figures.py. `size`: bytes of all of it."""
    span, warm = window.end - window.begin, window.begin - start
    rates = second_rates(bytes_in, window.begin, window.end)
    before = bytes_in(start, window.begin)
    rate, differ = mbps(bytes_in(window.begin, window.end), span), variation(rates)
    return {
        "mbps": rate,
        "warm_mbps": mbps(before, warm),
        "warm_seconds": warm / 1000,
        "ramp_ms": max(0.0, warm - before * 8 / (rate * 1000)) if rate > 0 else 0.0,
        "rates": second_rates(bytes_in, start, window.end),
        "p10": percentile(rates, 0.1),
        "p50": percentile(rates, 0.5),
        "p90": percentile(rates, 0.9),
        "seconds": span / 1000,
        "variation": differ,
        "plus_minus": plus_minus(rates),
        "steady": differ is not None and differ <= 0.05,
        "short": window.short,
        "streams": streams,
        "bytes": size,
    }


def loaded_figures(
    probes: Sequence[Probe], begin: float, idle_median: float | None
) -> dict[str, Any]:
    """Latency under load since `begin`; the first probe of all sets a connection up."""
    counted = [probe for probe in probes[1:] if probe.start >= begin]
    if not counted:
        return {}
    times = [probe.ms for probe in counted]
    median = percentile(times, 0.5) or 0.0
    more = None if idle_median is None else max(0.0, median - idle_median)
    return {
        "loaded_median_ms": median,
        "loaded_p95_ms": percentile(times, 0.95),
        "loaded_more_ms": more,
        "loaded_lost": sum(probe.lost for probe in counted),
        "grade": grade(more),
    }


def grade(more: float | None) -> str:
    """A mark for how much a full line delays everything else, in milliseconds."""
    if more is None:
        return ""
    limits = ((5, "A+"), (30, "A"), (60, "B"), (200, "C"), (400, "D"))
    return next((mark for limit, mark in limits if more < limit), "F")


def files_per_second(requests: Sequence[Request], begin: float, end: float) -> float:
    """Files a second from their requests: each counts evenly over its time."""
    files = [one._replace(bytes=1) for one in requests]
    return acknowledged_bytes(files, begin, end) / ((end - begin) / 1000) if end > begin else 0.0


def idle_figures(times: Sequence[float], dropped: int) -> dict[str, Any]:
    """Idle latency out of sequential requests; the first `dropped` set the connection up."""
    counted = times[dropped:]
    return {
        "first_ms": times[0] if times else None,
        "idle_median_ms": percentile(counted, 0.5),
        "idle_p95_ms": percentile(counted, 0.95),
        "jitter_ms": jitter(counted),
    }


def bytes_moved(figures: Mapping[str, Any], parts: Sequence[int]) -> dict[str, float]:
    """What the phases moved, each way; `parts` are the sizes of the multipart upload's parts."""

    def rate(name: str) -> float:
        return figures.get(name, {}).get("bytes", 0)

    def files(name: str) -> float:
        group = figures.get(name, {})
        return group.get("files", 0) * group.get("bytes", 0)

    up = rate("upload") + rate("upload_single") + files("small_put")
    down = rate("download") + rate("download_single") + files("small_get")
    up += sum(parts) if "multipart" in figures else 0
    down += sum(parts) if "resume" in figures else 0
    return {"bytes_up": up, "bytes_down": down, "bytes_used": up + down}
