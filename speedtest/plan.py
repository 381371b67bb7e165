"""The measurement plan: sizes, times and limits. "Speed test reference", section 7. Pure."""

from collections.abc import Mapping
from typing import Any

KIB, MIB = 1 << 10, 1 << 20

PLAN: dict[str, Any] = {
    "seed_bytes": 64 * MIB,
    "cap_bytes": 500_000_000,
    "streams": 4,
    "idle_requests": 12,
    "idle_dropped": 2,
    "pause_ms": 3000,
    "upload": {"warm_ms": 2500, "min_ms": 10_000, "max_ms": 15_000},
    "download": {"warm_ms": 2000, "min_ms": 8000, "max_ms": 15_000},
    "single": {"warm_ms": 1000, "min_ms": 6000, "max_ms": 6000},
    "finish_ms": 8000,
    "first_size": 256 * KIB,
    "least_size": 128 * KIB,
    "most_size": 32 * MIB,
    "small_bytes": 1024,
}
"""Milliseconds and bytes. `settings.SPEEDTEST_PLAN` replaces entries, for tests."""

LINK_SECONDS = 900
"""Life of every link of a test."""
RUN_SECONDS = 600
"""A test that is still running after this long was left behind."""


def merged(changes: Mapping[str, Any]) -> dict[str, Any]:
    """The plan with `changes`; nested entries are merged. Raises ValueError for unknown names."""
    unknown = set(changes) - set(PLAN)
    if unknown:
        raise ValueError(f"The plan has no {', '.join(sorted(unknown))}.")
    return {
        name: value | changes.get(name, {}) if isinstance(value, dict) else changes.get(name, value)
        for name, value in PLAN.items()
    }


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
    """The most that a test moves between the browser and S3, in bytes."""
    checks = 64 * KIB
    return checks if mode == "quick" else checks + 2 * plan["cap_bytes"]


def seconds(plan: Mapping[str, Any]) -> int:
    """About how long the measurement takes at most, in seconds."""
    phases = [plan["upload"], plan["download"], plan["single"], plan["single"]]
    total = sum(phase["max_ms"] for phase in phases) + 3 * plan["pause_ms"] + 5000
    return round(total / 1000)
