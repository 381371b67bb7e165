"""Comparison of two targets: turns, ratio and spread, and when something is suggested."""

import pytest

from speedtest.comparison import (
    Ratio,
    add_range_query,
    is_worth_it,
    pairs_of,
    range_around,
    ratio_of,
    sentence,
)


def test_the_turns_are_a_b_b_a():
    assert pairs_of([1, 10, 20, 2, 3, 30, 40, 4]) == [(1, 10), (2, 20), (3, 30), (4, 40)]
    assert pairs_of([1, 10, 20]) == [(1, 10)]


def test_the_ratio_has_its_spread():
    ratio = ratio_of([(100, 280), (100, 310), (100, 330), (100, 310)])
    assert ratio == Ratio(pytest.approx(3.1), 2.8, 3.3, 4, 4)
    assert sentence("main", "sydney", ratio) == (
        "sydney 3.1× faster than main (2.8–3.3, 4 of 4 pairs)"
    )


def test_the_faster_one_comes_first():
    ratio = ratio_of([(200, 100), (400, 100), (200, 100), (100, 110)])
    assert sentence("main", "sydney", ratio) == (
        "main 2.0× faster than sydney (0.91–4.0, 3 of 4 pairs)"
    )


def test_about_as_fast():
    said = sentence("main", "sydney", ratio_of([(100, 101), (100, 99), (100, 102)]))
    assert said == "sydney and main are about as fast (0.99–1.02, 3 pairs)"


def test_pairs_that_contradict_each_other_name_no_winner():
    said = sentence("main", "sydney", ratio_of([(100, 300), (100, 300), (100, 50), (100, 50)]))
    assert said == "sydney and main are about as fast (0.50–3.0, 4 pairs)"


def test_nothing_measured_is_no_ratio():
    assert ratio_of([]) is None
    assert ratio_of([(0, 5)]) is None


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [([125] * 4, True), ([300, 300, 300, 124], False), ([300] * 3, False), ([80] * 4, False)],
)
def test_suggested_from_a_quarter_faster_in_all_pairs(seconds, wanted):
    assert is_worth_it(ratio_of([(100, one) for one in seconds])) is wanted


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("203.0.113.7", "203.0.113.0/24"),
        ("2001:db8:12:34::1", "2001:db8:12::/48"),
        ("::ffff:203.0.113.7", "203.0.113.0/24"),
        ("", ""),
        ("unknown", ""),
    ],
)
def test_the_range_around_an_address(address, wanted):
    assert range_around(address) == wanted


def test_the_query_reads_as_a_range():
    assert add_range_query("203.0.113.0/24") == "add_range=203.0.113.0/24"


def test_which_is_named_first_does_not_decide():
    pairs = [(1, 2), (1, 2), (1, 0.5), (1, 0.5)]
    ratio = ratio_of(pairs)
    exchanged = ratio_of([(second, first) for first, second in pairs])
    assert ratio.median == pytest.approx(1 / exchanged.median) == pytest.approx(1)
