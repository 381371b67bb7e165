"""The answers to what Site Preferences ask about media files (`preferences.media_side`)."""

from collections.abc import Collection
from datetime import timedelta
from math import inf

from django.db.models import Count
from django.utils import timezone

from media.models import MediaFile, Upload
from media.replication import Facts, Reason, Source, decide, explain
from media.sizes import media_sizes  # noqa: F401 (one of the answers)
from preferences.media_side import Choice, Question, Use
from preferences.snapshot import Preferences

UNDER_WAY = timedelta(days=1)
"""An upload that was begun longer ago and is not complete was left behind: nothing waits for it."""


def which_bucket(preferences: Preferences, question: Question) -> Choice | None:
    """Decide one download of media in Storage Location, as `media.replication.decide` does.

    Nothing is known about the copy, and the replica is taken to be up: with `Verify replica copies`
    on, the choice is the replica, and the primary otherwise. None when there is no primary, or when
    the decision depends on an address or an age that is not known.
    """
    primary, replica = preferences.primary, preferences.replica
    if primary is None:
        return None
    match = preferences.ranges.find(question.address or "")
    # What is not known may be either way; before the upload stands for younger than any delay.
    listed = [match is not None] if question.address else [False, True]
    ages = [question.age] if question.age is not None else [-1.0, inf]
    cases = [
        Facts(
            home=primary.name,
            replica=replica.name if replica else None,
            use_s3_replication=question.use_s3_replication,
            listed=is_listed,
            age=age,
            delay=preferences.delay,
            verify=preferences.verify,
            circuit_open=False,
            copy="unknown",
            due=True,
        )
        for is_listed in listed
        for age in ages
    ]
    facts, decisions = cases[0], [decide(case) for case in cases]
    decision = decisions[0]
    if any(other != decision for other in decisions):
        return None
    if decision.reason is Reason.NO_REPLICA and preferences.replica_name:
        why = (
            f"S3 Bucket for Replication names “{preferences.replica_name}”, which is no usable "
            "configuration."
        )
    else:
        why = explain(
            facts,
            decision.reason,
            who=question.who,
            address=question.address or "",
            listing=f"{match.text} (line {match.line})" if match else "",
        )
    if decision.source is Source.PRIMARY:
        return Choice(primary, why)
    return Choice(replica, why, primary if decision.source is Source.CHECK else None)


def count_use(names: Collection[str]) -> dict[str, Use]:
    """Return how many media files and uploads under way each of the configurations has.

    One that has neither is left out. Both are counted in an index.
    """
    counted = {}
    recent = Upload.objects.filter(media_file=None, started_at__gt=timezone.now() - UNDER_WAY)
    for rows in (MediaFile.objects.all(), recent):
        found = rows.filter(configuration__in=names).values_list("configuration")
        counted[rows.model] = dict(found.annotate(Count("pk")).order_by())
    files, uploads = counted[MediaFile], counted[Upload]
    return {
        name: Use(files.get(name, 0), uploads.get(name, 0))
        for name in names
        if name in files or name in uploads
    }


def move(old: str, new: str) -> int:
    """Let the media files and open uploads of the configuration `old` belong to `new`.

    Uploads first: one that is being completed holds its row until its media file is there to be
    moved too (`media.uploads`). What is known about replica copies stays true, for it is kept by
    the replica's place and not by its name. Returns how many media files were moved.
    """
    Upload.objects.filter(configuration=old, media_file=None).update(configuration=new)
    return MediaFile.objects.filter(configuration=old).update(configuration=new)
