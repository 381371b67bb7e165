"""“Test the buckets”: the speed test's server checks of several configurations at once."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from queue import SimpleQueue
from threading import Event

from preferences.snapshot import Preferences
from shotmedia.s3.config import BucketConfig
from shotmedia.s3.probe import check_configuration
from shotmedia.s3.probe_judgements import Finding

logger = logging.getLogger(__name__)

SECONDS = 30.0
"""For all checks of one configuration; its clean-up may take a little longer."""
MOST = 10
"""Configurations tested at once, each in a thread of its own."""


def tested(preferences: Preferences) -> list[BucketConfig]:
    """Return the configurations that a test takes: the first MOST, the two in use among them."""
    in_use = (preferences.primary, preferences.replica)
    configs = sorted(preferences.configurations.values(), key=lambda config: config not in in_use)
    chosen = configs[:MOST]
    return [config for config in preferences.configurations.values() if config in chosen]


def run_checks(
    preferences: Preferences, origin: str, *, seconds: float = SECONDS
) -> Iterator[tuple[str, Finding | None]]:
    """Check the configurations of `tested` side by side; yield (name, finding) as they come.

    (name, None) says that a configuration is through. `origin` is this site as browsers see it.
    Nothing outside `<prefix>/.speedtest/` is touched, and what was made is removed, also when
    nobody waits for the rest.
    """
    configs = tested(preferences)
    if not configs:
        return
    found: SimpleQueue[tuple[str, Finding | None]] = SimpleQueue()
    stop = Event()

    def check(config: BucketConfig) -> None:
        in_reserve = config == preferences.replica and config != preferences.primary
        try:
            findings = check_configuration(
                config, origin, download_only=in_reserve, seconds=seconds
            )
            with closing(findings):
                for finding in findings:
                    found.put((config.name, finding))
                    if stop.is_set():
                        return
        except Exception:
            # Whoever waits is told, and the other configurations go on.
            logger.exception("a test of a bucket ended early", extra={"configuration": config.name})
            found.put((config.name, _BROKEN))
        finally:
            found.put((config.name, None))

    with ThreadPoolExecutor(len(configs), "test-of-buckets") as threads:
        for config in configs:
            threads.submit(check, config)
        try:
            waiting = len(configs)
            while waiting:
                name, finding = found.get()
                waiting -= finding is None
                yield name, finding
        finally:
            stop.set()


_BROKEN = Finding(
    "site",
    "This site",
    "fail",
    message="The site failed during these checks; its log says how.",
    fix="Try again; if it stays, show the log to whoever runs the site.",
)
