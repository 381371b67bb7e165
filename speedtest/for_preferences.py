"""The answers to what Site Preferences ask about speed tests (`preferences.speedtest_side`)."""

from collections.abc import Iterable

from shotmedia.s3.config import BucketConfig
from speedtest.models import SpeedTestRun


def newest_tests(configurations: Iterable[BucketConfig]) -> dict[str, bool]:
    """Return by name whether the newest test of each configuration worked, with or without remarks.

    Tests that somebody broke off say nothing, nor do comparisons, which check nothing.
    """
    states = (SpeedTestRun.State.DONE, SpeedTestRun.State.FAILED)
    ended = SpeedTestRun.objects.filter(state__in=states).exclude(mode=SpeedTestRun.Mode.COMPARE)
    found = {}
    for config in configurations:
        runs = ended.filter(configuration=config.name, place=config.fingerprint)
        newest = runs.order_by("-started_at", "-id").values_list("verdict_status", flat=True)
        status = newest.first()
        if status is not None:
            found[config.name] = status in ("pass", "warn")
    return found
