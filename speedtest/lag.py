"""Replication lag, measured: a marker is put on the primary and watched for on the replica.

Nothing runs in the background: whoever watches (the page, the command) asks again and again, each
time for one look. So any process can answer, and a closed tab leaves no thread behind.
"""

import math
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from preferences.models import User
from preferences.snapshot import Preferences
from shotmedia.s3.config import BucketConfig
from shotmedia.s3.errors import CredentialsUnavailable, Unreachable
from shotmedia.s3.probe import test_credentials
from shotmedia.s3.probe_calls import Caller
from shotmedia.s3.probe_cleanup import Stored, remove_below
from shotmedia.s3.probe_judgements import explain_refusal, judge_removal
from speedtest.models import ReplicationLag

MARKER_BYTES = 1 << 20
GIVE_UP = timedelta(minutes=15)
"""What S3 Replication Time Control promises for 99.99 % of objects."""
UNWATCHED = timedelta(seconds=30)
"""Looks that are further apart (a closed page, a computer asleep) only tell a range."""
NEAR = 0.8
"""Of the delay: a lag above it has little room left."""

STOPPED = "Stopped."
MARKER_STAYS = "Its marker stays where they pointed, until the lifecycle rule removes it."

State = ReplicationLag.State


class LagRefused(Exception):
    """The lag can't be measured; the text is a sentence for the page."""


def begin(
    user: User | None, preferences: Preferences, now: Callable[[], datetime]
) -> ReplicationLag:
    """Put a marker of 1 MiB on the primary; return the measurement, to be watched with `look`.

    Ends measurements that somebody stopped watching long ago. Raises LagRefused when there is
    nothing to measure, or S3 does not take the marker.
    """
    primary, replica = preferences.primary, preferences.replica
    if primary is None:
        raise LagRefused("Storage Location names no usable configuration.")
    if replica is None:
        raise LagRefused("S3 Bucket for Replication names no usable configuration.")
    if primary.fingerprint == replica.fingerprint:
        raise LagRefused("Storage Location and S3 Bucket for Replication are the same place.")
    end_left_behind(preferences, now())
    lag = ReplicationLag(
        user=user,
        primary=primary.name,
        replica=replica.name,
        places=_places(primary, replica),
        delay=preferences.delay,
    )
    try:
        caller = Caller(primary, test_credentials(primary))
        reply = caller.send(
            "PutObject", "PUT", _marker(lag), body=os.urandom(MARKER_BYTES), read_timeout=60
        )
    except (Unreachable, CredentialsUnavailable) as error:
        raise LagRefused(error.message) from error
    if not reply.ok:
        raise LagRefused(explain_refusal(primary, reply, "upload").message)
    lag.stored_at = now()
    lag.save()
    return lag


def look(
    lag: ReplicationLag, preferences: Preferences, now: Callable[[], datetime]
) -> ReplicationLag:
    """Look once for the marker in the replica; ends the measurement when that settles it.

    Returns `lag`, saved. Does nothing when it is over.
    """
    if lag.state != State.WATCHING:
        return lag
    configs = _configs(lag, preferences)
    if configs is None:
        message = f"The configurations were changed meanwhile. {MARKER_STAYS}"
        return _end(lag, State.FAILED, "fail", message, now())
    primary, replica = configs
    try:
        found = Caller(replica, test_credentials(replica)).send("HeadObject", "HEAD", _marker(lag))
        seen_at = now()
        source = Caller(primary, test_credentials(primary)).send("HeadObject", "HEAD", _marker(lag))
    except (Unreachable, CredentialsUnavailable) as error:
        return _still(lag, now(), f"{error.message} Asking again.", configs)
    lag.source_status = source.headers.get("x-amz-replication-status", "")[:20]
    if found.ok:
        most = (seen_at - lag.stored_at).total_seconds()
        before = lag.missed_at or lag.stored_at
        watched = seen_at - before <= UNWATCHED
        least = most if watched else (before - lag.stored_at).total_seconds()
        lag.seconds = most if watched else None
        status, message = judge(most, lag.delay, verify=preferences.verify, least=least)
        return _end(lag, State.ARRIVED, status, message, seen_at, configs)
    if found.status == 403:
        message = (
            f"S3 lets the site not look into “{replica.name}” ({found.said()}), so nobody can tell "
            "when a file has arrived. Allow s3:GetObject and s3:ListBucket on it to the role."
        )
        return _end(lag, State.FAILED, "fail", message, seen_at, configs)
    if found.status != 404:
        return _still(lag, seen_at, f"“{replica.name}” said {found.said()}. Asking again.", configs)
    if source.status == 404:
        # As test objects that are an hour old are; then S3 says nothing of replication either.
        message = "The marker was cleaned up before anybody saw it in the replica. Measure again."
        return _end(lag, State.STOPPED, "warn", message, seen_at, configs)
    lag.missed_at = seen_at
    if lag.source_status == "FAILED":
        message = (
            "S3 says that it failed to replicate the marker, and it does not try again. Look at "
            "the replication role's permissions on both buckets, and on the KMS keys if there are "
            "any."
        )
        return _end(lag, State.FAILED, "fail", message, seen_at, configs)
    return _still(lag, seen_at, "", configs)


def stop(lag: ReplicationLag, preferences: Preferences, now: datetime) -> ReplicationLag:
    """End a measurement early and remove its marker."""
    if lag.state != State.WATCHING:
        return lag
    configs = _configs(lag, preferences)
    message = STOPPED if configs else f"{STOPPED} {MARKER_STAYS}"
    return _end(lag, State.STOPPED, "warn", message, now, configs)


def end_left_behind(preferences: Preferences, now: datetime) -> list[ReplicationLag]:
    """End measurements that nobody has watched to their end; returns them."""
    left = ReplicationLag.objects.filter(state=State.WATCHING, stored_at__lt=now - GIVE_UP)
    return [stop(one, preferences, now) for one in left]


def watch(
    lag: ReplicationLag,
    preferences: Preferences,
    now: Callable[[], datetime],
    sleep: Callable[[float], None],
) -> Iterator[ReplicationLag]:
    """Look until the measurement is over; yields it after each look. `sleep` takes seconds."""
    while lag.state == State.WATCHING:
        yield look(lag, preferences, now)
        if lag.state == State.WATCHING:
            sleep(pause(lag.stored_at, now()))


def pause(stored_at: datetime, now: datetime) -> float:
    """Return after how many seconds to look again: a tenth of the wait, between 1 and 10."""
    return min(10.0, max(1.0, (now - stored_at).total_seconds() / 10))


def judge(
    seconds: float, delay: int, *, verify: bool, least: float | None = None
) -> tuple[str, str]:
    """Return "pass" or "warn" and a sentence: does the delay cover the lag? Pure.

    `seconds` is the lag, or the most that it can be where nobody watched, and `least` the least
    then; `delay` is S3 Replication Delay, `verify` is Verify replica copies.
    """
    unwatched = least is not None and least < seconds
    most = "at most " * unwatched
    measured = f"The marker (1 MiB) was in the replica after {most}{_seconds(seconds)}"
    if unwatched and seconds > NEAR * delay:
        return "warn", (
            f"The marker (1 MiB) was in the replica after {_seconds(least)} to "
            f"{_seconds(seconds)}: nobody watched in between, as the page was closed or the "
            f"computer slept. S3 Replication Delay is {delay} s. Measure again, with the page open."
        )
    if seconds <= NEAR * delay:
        return "pass", (
            f"{measured}; S3 Replication Delay is {delay} s: safe for files of this size. Large "
            "ones take longer."
        )
    better = 30 * math.ceil(2 * seconds / 30)
    verified = (
        " Nobody gets a broken link meanwhile, as Verify replica copies is on; they get the main "
        "bucket."
        if verify
        else " Until then people are sent to files that have not arrived."
    )
    if seconds <= delay:
        return "warn", (
            f"{measured}; S3 Replication Delay is {delay} s, which leaves little room. Raise it to "
            f"{better} s.{verified}"
        )
    return (
        "warn",
        f"{measured}, but S3 Replication Delay is {delay} s. Raise it to {better} s.{verified}",
    )


def _still(
    lag: ReplicationLag,
    now: datetime,
    message: str,
    configs: tuple[BucketConfig, BucketConfig],
) -> ReplicationLag:
    if now - lag.stored_at < GIVE_UP:
        lag.message = message
        _keep(lag, "message", "source_status", "missed_at")
        return lag
    minutes = round(GIVE_UP.total_seconds() / 60)
    says = {
        "": "The primary shows no replication status for it: no replication rule of the bucket "
        "covers .speedtest/runs/. A rule that leaves that folder out is fine for media, but then "
        "the lag can't be measured this way.",
        "PENDING": "S3 still says PENDING on the primary.",
        "COMPLETED": "S3 says COMPLETED on the primary: it went to another bucket or key than "
        "this configuration names. Compare bucket and prefix.",
    }.get(lag.source_status, f"S3 says {lag.source_status} on the primary.")
    message = f"The marker did not arrive within {minutes} minutes. {says}"
    return _end(lag, State.NEVER, "fail", message, now, configs)


def _end(
    lag: ReplicationLag,
    state: str,
    status: str,
    message: str,
    now: datetime,
    configs: tuple[BucketConfig, BucketConfig] | None = None,
) -> ReplicationLag:
    lag.state, lag.status, lag.ended_at = state, status, now
    lag.message = message
    names = ("state", "status", "ended_at", "message", "seconds", "source_status", "missed_at")
    if not _keep(lag, *names):
        return lag
    lefts = [text for config in configs or () if (text := _left_in(config, lag))]
    if lefts:
        lag.message = " ".join([message, *lefts])
        lag.save(update_fields=["message"])
    return lag


def _keep(lag: ReplicationLag, *names: str) -> bool:
    """Store these fields; False when the measurement is over: then `lag` is as its end was stored.

    Another tab, or Stop while a look is under way, may have been faster.
    """
    watching = ReplicationLag.objects.filter(pk=lag.pk, state=State.WATCHING)
    stored = watching.update(**{name: getattr(lag, name) for name in names})
    if not stored:
        lag.refresh_from_db()
    return bool(stored)


def _left_in(config: BucketConfig, lag: ReplicationLag) -> str:
    """Remove the marker from one bucket; "" when it is gone, else a sentence."""
    where = f"“{config.name}” ({config.bucket})"
    try:
        caller = Caller(config, test_credentials(config))
        outcome = judge_removal(
            config, remove_below(caller, lag.path, known=[Stored(_marker(lag))]), where=where
        )
    except (Unreachable, CredentialsUnavailable) as error:
        return f"The marker in {where} could not be removed now: {error.message}"
    return "" if outcome.status == "pass" else outcome.message


def _marker(lag: ReplicationLag) -> str:
    return f"{lag.path}lag-1MiB.bin"


def _places(primary: BucketConfig, replica: BucketConfig) -> str:
    return f"{primary.fingerprint} {replica.fingerprint}"


def _configs(
    lag: ReplicationLag, preferences: Preferences
) -> tuple[BucketConfig, BucketConfig] | None:
    primary = preferences.configurations.get(lag.primary)
    replica = preferences.configurations.get(lag.replica)
    if primary is None or replica is None or _places(primary, replica) != lag.places:
        return None
    return primary, replica


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
