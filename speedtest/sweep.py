"""What no page came back to clean up: tests and measurements of the lag that were left, and
objects older than an hour."""

from collections.abc import Iterator
from datetime import datetime

from preferences.snapshot import Preferences
from speedtest import lag as lags
from speedtest import steps
from speedtest.ending import end_left_behind


def sweep(preferences: Preferences, now: datetime) -> Iterator[tuple[str, str]]:
    """End left-behind tests and measurements, then remove old test objects from all buckets.

    Yields (status, sentence) as it goes: pass, warn or fail. Safe to run at any time: what a
    running test has made is younger than an hour.
    """
    while ended := end_left_behind(preferences, now):
        for run in ended:
            told = [one["message"] for one in run.cleanup] or [run.verdict]
            status = "fail" if any(one["status"] == "fail" for one in run.cleanup) else "pass"
            yield status, f"Ended the test of {run}: {' '.join(told)}"
    for lag in lags.end_left_behind(preferences, now):
        status = "pass" if lag.message == lags.STOPPED else "fail"
        yield status, f"Ended the measurement of {lag}: {lag.message}"
    for config in preferences.configurations.values():
        finding = steps.remove_old(config)
        yield finding.status, f"{config.name}: {finding.message}"
