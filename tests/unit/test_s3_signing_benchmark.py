"""tests.benchmarks.signing: that it compares like with like."""

import os
from collections.abc import Iterator

import pytest

from shotmedia.s3.process import forget_all
from tests.benchmarks.signing import measure, microseconds, same_link


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    forget_all()


def test_links_are_the_same_when_only_the_order_of_parameters_differs() -> None:
    link = "https://h/a%20b?x=1&y=2"
    assert same_link(link, "https://h/a%20b?y=2&x=1")
    for other in ("https://h/a%20b?x=1&y=3", "https://g/a%20b?x=1&y=2", "https://h/a+b?x=1&y=2"):
        assert not same_link(link, other)


def test_every_link_of_a_round_is_made() -> None:
    made: list[int] = []
    assert microseconds(made.append, 5) > 0
    assert made == [0, 1, 2, 3, 4]


def test_it_measures_boto3_and_our_signer_on_equal_links_and_leaves_no_keys_behind() -> None:
    before = dict(os.environ)
    found = measure(rounds=1, links=60)
    assert {"boto3", "ratio, warm overrides", "ratio, cold overrides"} < set(found)
    assert all(value > 0 for value in found.values())
    assert dict(os.environ) == before
