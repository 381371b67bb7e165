"""What a test measured, by name: the one place that says what `SpeedTestRun.figures` may hold.

Rates are megabits (10^6 bits) a second, sizes bytes, times milliseconds unless the name says
otherwise. Every figure may be missing: a test measures only what its checks let through.
"""

import re
from collections.abc import Mapping
from typing import Any

NUMBERS = {
    "first_ms": "first request, with connection set-up",
    "idle_median_ms": "latency of an idle line: 1-byte GETs, the first two dropped",
    "idle_p95_ms": "its 95th percentile",
    "jitter_ms": "mean difference of neighbouring requests",
    "bytes_up": "sent to S3 during the measurement (checks not counted)",
    "bytes_down": "read from S3",
    "bytes_used": "their sum",
}
DIRECTIONS = ("upload", "upload_single", "download", "download_single")
"""Several streams at once (the plan's `streams`), and one."""
DIRECTION_NUMBERS = {
    "mbps": "the headline: bytes in the window by the window's length",
    "warm_mbps": "rate before the window",
    "p10": "10th percentile of the window's one-second means",
    "p50": "their median",
    "p90": "their 90th percentile",
    "seconds": "length of the window",
    "warm_seconds": "from the phase's begin to the window's",
    "from_ms": "the window's begin, milliseconds since 1970 by the browser's clock",
    "file_mbps": "upload_single: the rate while a body is under way, as one large file has it",
    "ramp_ms": "what the begin cost compared with the headline rate from the first moment on",
    "bytes": "acknowledged (upload) or read (download) in the whole phase",
    "streams": "at once",
    "variation": "of the last four one-second means: (most - least) / most",
    "steady": "1 when that was 0.05 or less",
    "plus_minus": "half their spread by their mean: “varied ±x”",
    "capped": "1 when the limit of bytes ended the phase",
    "short": "1 when the window is shorter than one second",
    "errors": "requests that failed and were repeated",
    "unfinished": "uploads that were not acknowledged in time; they don't count",
    "loaded_median_ms": "latency meanwhile: one 1-byte GET every 400 ms beside the streams",
    "loaded_p95_ms": "its 95th percentile",
    "loaded_more_ms": "loaded median less idle median",
    "loaded_lost": "such requests without an answer in 4 s (they count as 4 s)",
}
"""`rates` beside them: the phase's one-second means from its begin on, warm-up included;
`grade`: A+ to F by loaded_more_ms."""
FILES = ("small_put", "small_get")
"""64 KiB files: uploads over a new link each, downloads by Range of the test file."""
FILES_NUMBERS = {
    "files_per_s": "files a second",
    "p50_ms": "median time of one",
    "p95_ms": "95th percentile",
    "files": "acknowledged or read",
    "bytes": "of one file",
    "streams": "at once",
    "errors": "requests that failed",
}
TRIALS = ("multipart", "resume")
"""An upload in parts, one of which is broken off and repeated; two halves by Range."""
TRIAL_NUMBERS = {
    "ok": "1 when all bytes came through",
    "ms": "its time",
    "broken_off": "1 when part 2 was really broken off before it was repeated",
}
FLAGS = ("hidden", "offline", "slept", "buffered", "browser_bound")
"""hidden: the tab was not in front; offline: the browser lost its network meanwhile; slept: the
computer was asleep, or the tab was frozen; buffered: something took uploads in before S3 had them;
browser_bound: above what a browser can measure."""
GRADES = ("A+", "A", "B", "C", "D", "F")

_REQUEST_ID = re.compile(r"[A-Za-z0-9+/=_.:-]{1,120}").fullmatch
_MOST_RATES, _MOST_IDS = 60, 20

_GROUPS = (
    dict.fromkeys(DIRECTIONS, DIRECTION_NUMBERS)
    | dict.fromkeys(FILES, FILES_NUMBERS)
    | dict.fromkeys(TRIALS, TRIAL_NUMBERS)
)


def clean_figures(given: Any) -> dict[str, Any]:
    """A browser's figures: known names and finite, non-negative numbers only; the rest is dropped.

    They are not trusted: a page can be made to send anything.
    """
    given = given if isinstance(given, Mapping) else {}
    figures: dict[str, Any] = _numbers(given, NUMBERS)
    for group, names in _GROUPS.items():
        values = given.get(group)
        if isinstance(values, Mapping):
            figures[group] = _numbers(values, names) | _extras(group, values)
    flags = given.get("flags")
    if isinstance(flags, list):
        figures["flags"] = [flag for flag in FLAGS if flag in flags]
    ids = given.get("request_ids")
    if isinstance(ids, list):
        known = [one for one in ids[:_MOST_IDS] if isinstance(one, str) and _REQUEST_ID(one)]
        figures["request_ids"] = known
    return figures


def _numbers(given: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, float]:
    numbers = {name: number_of(given[name]) for name in names if name in given}
    return {name: number for name, number in numbers.items() if number is not None}


def _extras(group: str, values: Mapping[str, Any]) -> dict[str, Any]:
    if group not in DIRECTIONS:
        return {}
    extras: dict[str, Any] = {}
    rates = values.get("rates")
    if isinstance(rates, list):
        numbers = [number_of(rate) for rate in rates[:_MOST_RATES]]
        extras["rates"] = [round(number, 3) for number in numbers if number is not None]
    if values.get("grade") in GRADES:
        extras["grade"] = values["grade"]
    return extras


def number_of(value: Any) -> float | None:
    """A finite number from 0 to 10^15 (true and false are 1 and 0), else None."""
    if isinstance(value, bool):
        return int(value)
    # A whole number may be too large to be a float, which math.isfinite raises for.
    if isinstance(value, int | float) and 0 <= value < 1e15:
        return value
    return None


def text_of(value: Any, most: int) -> str:
    """The first `most` characters of what a browser sent as text, "" for nothing, null or 0.

    Without what no database stores: a NUL (PostgreSQL) and half of a surrogate pair.
    """
    text = str(value or "").replace("\0", "")
    return text.encode("utf-8", "replace").decode()[:most]
