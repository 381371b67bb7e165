"""Two targets side by side, measured in turn A-B-B-A: which is faster, and how sure that is. Pure.

In turn, because a line that changes meanwhile would favour whichever comes first.
"""

import ipaddress
import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple
from urllib.parse import urlencode

ORDER = "ABBAABBA"
PAIRS = len(ORDER) // 2
SUGGESTED = 1.25
"""So much faster the replica has to be in every pair before anything is suggested."""
PREFIXES = {4: 24, 6: 48}
"""What an office has: the range around an address, by IP version."""


class Ratio(NamedTuple):
    """The second target's rate by the first's: median, least and most of the pairs."""

    median: float
    least: float
    most: float
    pairs: int
    faster: int
    """Pairs in which the one that is faster on the whole was the faster one."""


def pairs_of(rates: Sequence[float]) -> list[tuple[float, float]]:
    """(A, B) of each whole pair, from rates in the order of ORDER."""
    pairs = []
    for number in range(min(len(rates), len(ORDER)) // 2):
        pair = dict(zip(ORDER[2 * number :][:2], rates[2 * number :][:2], strict=True))
        pairs.append((pair["A"], pair["B"]))
    return pairs


def ratio_of(pairs: Sequence[tuple[float, float]]) -> Ratio | None:
    """How B compares with A; None without a usable pair."""
    ratios = [second / first for first, second in pairs if first > 0 and second > 0]
    if not ratios:
        return None
    # Of the logarithms, so that naming the other one first gives the reciprocal.
    middle = math.exp(median(map(math.log, ratios)))
    agreeing = sum(one > 1 if middle >= 1 else one < 1 for one in ratios)
    return Ratio(middle, min(ratios), max(ratios), len(ratios), agreeing)


def sentence(first: str, second: str, ratio: Ratio) -> str:
    """Say in words which is faster, with the spread of the pairs; the faster one comes first."""
    if ratio.median < 1:
        ratio = Ratio(1 / ratio.median, 1 / ratio.most, 1 / ratio.least, ratio.pairs, ratio.faster)
        first, second = second, first
    spread = f"{_times(ratio.least)}–{_times(ratio.most)}"
    if ratio.median < 1.05 or 2 * ratio.faster <= ratio.pairs:
        return f"{second} and {first} are about as fast ({spread}, {ratio.pairs} pairs)"
    return (
        f"{second} {_times(ratio.median)}× faster than {first} "
        f"({spread}, {ratio.faster} of {ratio.pairs} pairs)"
    )


def _times(value: float) -> str:
    return f"{value:.0f}" if value >= 9.95 else f"{value:.2f}" if value < 1.5 else f"{value:.1f}"


def is_worth_it(ratio: Ratio | None) -> bool:
    """Whether B is so much faster in all of the pairs that its use is suggested."""
    return ratio is not None and ratio.pairs >= PAIRS and ratio.least >= SUGGESTED


def range_around(address: str) -> str:
    """The office's range around an address: /24 or /48; "" for what is no address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    found = getattr(found, "ipv4_mapped", None) or found
    return str(ipaddress.ip_network(f"{found}/{PREFIXES[found.version]}", strict=False))


def add_range_query(network: str) -> str:
    """The query that has the page of Site Preferences fill a range in, without saving it."""
    return urlencode({"add_range": network}, safe="/:")
