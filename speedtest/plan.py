"""The measurement plan: sizes, times and limits. "Speed test reference", section 7. Pure."""

from collections.abc import Mapping
from typing import Any

from speedtest.comparison import PAIRS

KIB, MIB = 1 << 10, 1 << 20

PLAN: dict[str, Any] = {
    "seed_bytes": 64 * MIB,
    "cap_bytes": 500_000_000,
    "streams": 4,
    "idle_requests": 12,
    "idle_dropped": 2,
    "probe_ms": 400,
    "probe_timeout_ms": 4000,
    "pause_ms": 3000,
    "upload": {"warm_ms": 2500, "min_ms": 10_000, "max_ms": 15_000},
    "download": {"warm_ms": 2000, "min_ms": 8000, "max_ms": 15_000},
    "single": {"warm_ms": 1000, "min_ms": 6000, "max_ms": 6000},
    "finish_ms": 8000,
    "first_size": 256 * KIB,
    "least_size": 128 * KIB,
    "most_size": 32 * MIB,
    "small_bytes": 1024,
    "files": {"bytes": 64 * KIB, "ms": 5000, "most": 400, "put_streams": 4, "get_streams": 6},
    "parts": [5 * MIB, 5 * MIB, MIB],
    "parts_ms": 10_000,
    "thorough": {"cap_bytes": 5_000_000_000, "max_ms": 30_000},
}
"""Milliseconds and bytes. `cap_bytes` is the most of one direction; `parts_ms`: lines on which the
multipart upload would take longer skip it. `settings.SPEEDTEST_PLAN`
replaces entries, for tests."""

LINK_SECONDS = 900
"""Life of every link of a test."""
RUN_SECONDS = 600
"""A test that is still running after this long was left behind."""
SILENT_SECONDS = 180
"""A run of this server that has said nothing for this long has lost its process."""
CHECK_BYTES = 64 * KIB
"""About what the checks move between the browser and S3."""
COMPARE_MS, COMPARE_PAUSE_MS = 4000, 500
"""Length of each measurement of a comparison, and of the pause before it."""
MANY_SHARE = 0.7
"""Of the bytes that a direction may move, what several streams may use; one stream has the rest."""


def merged(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The plan with `changes`; nested entries are merged. Raises ValueError for unknown names."""
    unknown = set(changes) - set(PLAN)
    if unknown:
        raise ValueError(f"The plan has no {', '.join(sorted(unknown))}.")
    return {
        name: value | changes.get(name, {}) if isinstance(value, dict) else changes.get(name, value)
        for name, value in PLAN.items()
    }


def adjusted(
    plan: Mapping[str, Any],
    *,
    seconds: int | None = None,
    streams: int | None = None,
    cap_bytes: int | None = None,
) -> dict[str, Any]:
    """The plan with what somebody asked for: the most of each phase, streams, bytes each way."""
    made = dict(plan)
    if seconds is not None:
        ms = seconds * 1000
        for name in ("upload", "download", "single"):
            given = plan[name]
            warm, least = min(given["warm_ms"], ms // 4), min(given["min_ms"], ms)
            made[name] = {"warm_ms": warm, "min_ms": least, "max_ms": ms}
        made["thorough"] = made["thorough"] | {"max_ms": ms}
    if streams is not None:
        made["streams"] = streams
    if cap_bytes is not None:
        made["cap_bytes"] = cap_bytes
        made["thorough"] = made["thorough"] | {"cap_bytes": cap_bytes}
    return made


def for_mode(plan: Mapping[str, Any], mode: str) -> dict[str, Any]:
    """The plan of one test: "thorough" may run longer and move more. Each phase gets its cap.

    "compare" measures both directions several times, but shortly.
    """
    made = dict(plan)
    if mode == "compare":
        made["pause_ms"] = min(plan["pause_ms"], COMPARE_PAUSE_MS)
        for direction in ("upload", "download"):
            ms = min(plan[direction]["max_ms"], COMPARE_MS)
            warm = min(plan[direction]["warm_ms"], ms // 4)
            cap = plan["cap_bytes"] // PAIRS
            made[direction] = {"warm_ms": warm, "min_ms": ms, "max_ms": ms, "cap_bytes": cap}
        return made
    if mode == "thorough":
        thorough = plan["thorough"]
        made["cap_bytes"] = thorough["cap_bytes"]
        for direction in ("upload", "download"):
            made[direction] = plan[direction] | {"max_ms": thorough["max_ms"]}
    left = max(0, made["cap_bytes"] - _fixed_bytes(plan))
    many = {"cap_bytes": round(left * MANY_SHARE)}
    made |= {direction: made[direction] | many for direction in ("upload", "download")}
    made["single"] = made["single"] | {"cap_bytes": left - many["cap_bytes"]}
    return made


def _fixed_bytes(plan: Mapping[str, Any]) -> int:
    """The most that small files and the multipart upload move in one direction."""
    files = plan["files"]
    # A part is broken off on purpose and sent again.
    return files["most"] * files["bytes"] + sum(plan["parts"]) + max(plan["parts"])


def sizes(plan: Mapping[str, Any]) -> list[int]:
    """The size classes of uploads in bytes: powers of two between the plan's least and most."""
    found, size = [], plan["least_size"]
    while size <= plan["most_size"]:
        found.append(size)
        size *= 2
    return found


def seed_name(plan: Mapping[str, Any]) -> str:
    """The path of the object that downloads read; kept between tests."""
    size = plan["seed_bytes"]
    text = f"{size // MIB}MiB" if size % MIB == 0 else f"{size}B"
    return f".speedtest/seed-{text}-v1.bin"


def most_bytes(plan: Mapping[str, Any], mode: str) -> int:
    """The most that a test moves in one direction between the browser and S3, in bytes."""
    return CHECK_BYTES if mode == "quick" else for_mode(plan, mode)["cap_bytes"]


def most_seconds(plan: Mapping[str, Any], mode: str) -> int:
    """About how long a test takes, in seconds, when no phase ends early."""
    checks = 8
    if mode == "quick":
        return checks
    current = for_mode(plan, mode)
    phases = [current["upload"], current["download"], current["single"], current["single"]]
    total = sum(phase["max_ms"] for phase in phases) + 5 * current["pause_ms"]
    others = 2 * current["files"]["ms"] + 5000
    return checks + round((total + others) / 1000)


def egress_cost(plan: Mapping[str, Any], mode: str, price_per_gb: float) -> float:
    """What a test's download costs at most; S3 bills what leaves it, not what comes in."""
    return most_bytes(plan, mode) / 1e9 * price_per_gb
