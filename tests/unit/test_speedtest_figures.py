"""What a browser sends as figures is not trusted."""

import math

import pytest

from speedtest.figures import (
    DIRECTION_NUMBERS,
    DIRECTIONS,
    FILES,
    FILES_NUMBERS,
    FLAGS,
    NUMBERS,
    TRIAL_NUMBERS,
    TRIALS,
    clean_figures,
)


def test_all_documented_names_pass() -> None:
    given = dict.fromkeys(NUMBERS, 1.5)
    for group in DIRECTIONS:
        given[group] = dict.fromkeys(DIRECTION_NUMBERS, 2) | {"rates": [1, 2.5], "grade": "A+"}
    for group in FILES:
        given[group] = dict.fromkeys(FILES_NUMBERS, 3)
    for group in TRIALS:
        given[group] = dict.fromkeys(TRIAL_NUMBERS, 1)
    given |= {"flags": list(FLAGS), "request_ids": ["TX0000AB-1", "a/b+c=="]}
    assert clean_figures(given) == given


@pytest.mark.parametrize("value", [None, "94", -1, math.inf, math.nan, 1e16, [], {}])
def test_what_is_no_finite_number_is_dropped(value: object) -> None:
    assert clean_figures({"idle_median_ms": value, "upload": {"mbps": value}}) == {"upload": {}}


def test_true_and_false_are_one_and_nought() -> None:
    assert clean_figures({"upload": {"steady": True, "capped": False}}) == {
        "upload": {"steady": 1, "capped": 0}
    }


def test_unknown_names_are_dropped() -> None:
    given = {"mbps": 1, "upload": {"html": 1, "mbps": 2}, "sideload": {"mbps": 3}}
    assert clean_figures(given) == {"upload": {"mbps": 2}}


@pytest.mark.parametrize("given", [None, [], "x", 3, {"upload": 4}, {"flags": "hidden"}])
def test_other_shapes_are_no_figures(given: object) -> None:
    assert clean_figures(given) == {}


def test_lists_are_bounded_and_their_values_checked() -> None:
    given = {
        "upload": {"rates": [1, "x", None, 2.00049] + [5] * 100, "grade": "Z"},
        "flags": ["hidden", "admin", 4],
        "request_ids": ["ok", "<b>", 7, "x" * 200] + ["id"] * 100,
    }
    figures = clean_figures(given)
    assert figures["upload"]["rates"][:3] == [1, 2.0, 5]
    assert len(figures["upload"]["rates"]) <= 60
    assert "grade" not in figures["upload"]
    assert figures["flags"] == ["hidden"]
    assert figures["request_ids"][:2] == ["ok", "id"]
    assert len(figures["request_ids"]) <= 20
