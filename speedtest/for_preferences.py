"""What the speed test does for Site Preferences (`preferences.speedtest_side`)."""

from collections.abc import Iterable

from django.db import IntegrityError, transaction

from shotmedia.s3.config import BucketConfig
from speedtest.models import ReplicationLag, SpeedTestInvitation, SpeedTestRun
from speedtest.steps import REGIONAL


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


def rename(old: str, new: str) -> None:
    """Let everything of the configuration `old` belong to `new`.

    Where it pointed stays with each result, so that results of two places are not mixed.
    """
    for ending in ("", REGIONAL):
        runs = SpeedTestRun.objects.filter(configuration=old + ending)
        runs.exclude(state=SpeedTestRun.State.RUNNING).update(configuration=new + ending)
        try:
            with transaction.atomic():
                runs.update(configuration=new + ending)
        except IntegrityError:
            # A person has a test of the new name running too. The old one ends as a test whose
            # configuration was changed; that must not keep anybody from saving.
            continue
    SpeedTestInvitation.objects.filter(configuration=old).update(configuration=new)
    ReplicationLag.objects.filter(primary=old).update(primary=new)
    ReplicationLag.objects.filter(replica=old).update(replica=new)
