"""Results, links and measurements of the lag follow a configuration that is renamed."""

from django.db import IntegrityError, transaction

from speedtest.models import ReplicationLag, SpeedTestInvitation, SpeedTestRun
from speedtest.steps import REGIONAL


def follow(old: str, new: str) -> None:
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
