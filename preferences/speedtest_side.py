"""What Site Preferences want of the speed test, which they don't import.

As with `preferences.media_side`: the speed test depends on this app, and registers, when it is
ready, the module that answers (`speedtest.for_preferences`).
"""

from collections.abc import Iterable
from typing import Protocol

from shotmedia.s3.config import BucketConfig


class SpeedtestSide(Protocol):
    """What the speed test does for Site Preferences."""

    def newest_tests(self, configurations: Iterable[BucketConfig]) -> dict[str, bool]:
        """Return by name whether the newest test of each configuration worked.

        One that has not been tested to the end in the place where it is now is left out.
        """

    def rename(self, old: str, new: str) -> None:
        """Let results, links and measurements of the configuration `old` belong to `new`.

        Called inside the transaction that saves the preferences.
        """


_registered: SpeedtestSide | None = None


def register(side: SpeedtestSide) -> None:
    """Let `side` answer from now on."""
    global _registered
    _registered = side


def speedtest_side() -> SpeedtestSide:
    """Return who answers for speed tests. Raises LookupError when that app is not there."""
    if _registered is None:
        raise LookupError("The speed test has not been loaded: nobody knows its results.")
    return _registered
