"""The measurement plan: caps, times and costs, told before the start."""

import math

import pytest

from speedtest.plan import (
    PLAN,
    adjusted,
    egress_cost,
    for_mode,
    merged,
    most_bytes,
    most_seconds,
    seed_name,
    sizes,
)
from speedtest.steps import test_paths as every_path
from speedtest.views import cost_text


@pytest.mark.parametrize(("mode", "cap"), [("standard", 500_000_000), ("thorough", 5_000_000_000)])
def test_what_the_phases_may_move_together_is_the_cap(mode: str, cap: int) -> None:
    plan = for_mode(PLAN, mode)
    files, parts = plan["files"], plan["parts"]
    fixed = files["most"] * files["bytes"] + sum(parts) + max(parts)
    for direction in ("upload", "download"):
        assert plan[direction]["cap_bytes"] + plan["single"]["cap_bytes"] + fixed == cap
    assert most_bytes(PLAN, mode) == cap


def test_thorough_runs_longer_and_nothing_else_changes() -> None:
    standard, thorough = for_mode(PLAN, "standard"), for_mode(PLAN, "thorough")
    for direction in ("upload", "download"):
        assert (standard[direction]["max_ms"], thorough[direction]["max_ms"]) == (15_000, 30_000)
        assert standard[direction]["min_ms"] == thorough[direction]["min_ms"]
    assert PLAN["upload"].get("cap_bytes") is None


def test_quick_moves_next_to_nothing_and_standard_fits_in_90_seconds() -> None:
    assert most_bytes(PLAN, "quick") < 5_000_000
    assert most_seconds(PLAN, "quick") < most_seconds(PLAN, "standard") <= 90
    assert most_seconds(PLAN, "thorough") == most_seconds(PLAN, "standard") + 30


def test_a_cap_below_what_small_files_take_leaves_nothing_to_the_rest() -> None:
    plan = for_mode(merged({"cap_bytes": 1000}), "standard")
    assert plan["upload"]["cap_bytes"] == plan["single"]["cap_bytes"] == 0


def test_changes_are_merged_into_nested_entries_and_unknown_names_refused() -> None:
    plan = merged({"files": {"most": 3}, "streams": 2})
    assert plan["files"] == PLAN["files"] | {"most": 3}
    assert plan["streams"] == 2
    with pytest.raises(ValueError, match="stream_count"):
        merged({"stream_count": 2})


def test_uploads_come_in_powers_of_two() -> None:
    found = sizes(PLAN)
    assert found[0] == 128 << 10
    assert found[-1] == 32 << 20
    assert all(math.log2(size).is_integer() for size in found)


def test_the_seed_is_named_by_its_size() -> None:
    assert seed_name(PLAN) == ".speedtest/seed-64MiB-v1.bin"
    assert seed_name(merged({"seed_bytes": 1000})) == ".speedtest/seed-1000B-v1.bin"


def test_cost_is_the_download_at_the_price_of_a_gigabyte() -> None:
    assert egress_cost(PLAN, "standard", 0.09) == pytest.approx(0.045)
    assert egress_cost(PLAN, "thorough", 0.09) == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("dollars", "text"),
    [(0.000006, "less than $0.01"), (0.045, "$0.05"), (0.45, "$0.45"), (1, "$1.00")],
)
def test_cost_in_words_is_rounded_up(dollars: float, text: str) -> None:
    assert cost_text(dollars) == text


def test_the_paths_that_a_test_may_store_under_are_few_and_its_own() -> None:
    paths = every_path(".speedtest/runs/x/", PLAN)
    assert len(paths) == len(set(paths)) < 100
    assert all(path.startswith(".speedtest/runs/x/browser/") for path in paths)


def test_what_somebody_asks_for_is_in_the_plan():
    asked = adjusted(PLAN, seconds=4, streams=8, cap_bytes=200_000_000)
    assert asked["download"] == {"warm_ms": 1000, "min_ms": 4000, "max_ms": 4000}
    assert asked["single"]["max_ms"] == 4000
    assert (asked["streams"], for_mode(asked, "standard")["cap_bytes"]) == (8, 200_000_000)
    assert for_mode(asked, "thorough")["cap_bytes"] == 200_000_000
    assert adjusted(PLAN) == PLAN


def test_a_comparison_measures_shortly_and_often():
    plan = for_mode(PLAN, "compare")
    assert plan["download"]["max_ms"] == 4000
    assert plan["download"]["cap_bytes"] * 4 == PLAN["cap_bytes"]
    assert plan["pause_ms"] == 500
