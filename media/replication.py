"""The decision: which configuration serves one download, and why.

Pure functions of their arguments. The first five rules and the three values of `Use S3 Replication`
are the Media Replication page's ("How it works"); the rest makes sure that a link to the replica
is only given out when the object is known to be there.
"""

import math
from dataclasses import dataclass
from enum import StrEnum


class Source(StrEnum):
    """Where a download goes; CHECK means that the replica has to be asked first."""

    PRIMARY = "primary"
    REPLICA = "replica"
    CHECK = "check"


class Reason(StrEnum):
    """Why a download goes there: sent as X-Media-Source, logged and counted."""

    PRIMARY_REQUESTED = "primary-requested"
    NO_REPLICA = "no-replica"
    STORED_IN_REPLICA = "stored-in-replica"
    USER_NO = "user-no"
    ADDRESS_NOT_LISTED = "address-not-listed"
    TOO_FRESH = "too-fresh"
    DELAY_OVER = "delay-over"
    REPLICA_DOWN = "replica-down"
    READY = "ready"
    UNVERIFIED = "unverified"
    TO_CHECK = "to-check"
    MISSING = "missing"
    FAILED = "failed"
    PENDING = "pending"
    NO_ANSWER = "no-answer"
    PRIMARY_UNUSABLE = "primary-unusable"
    REPLICA_UNUSABLE = "replica-unusable"


@dataclass(frozen=True, slots=True)
class Facts:
    """All that the decision depends on.

    `home` is the configuration that the media file was uploaded to, `replica` the one named by
    `S3 Bucket for Replication` (None without one). `listed` says whether the client's address is
    in `IP Adresses for S3 replication`; `age` and `delay` are seconds. `copy` is the state of the
    replica copy, `due` that it should be checked (again) before it is relied on.
    """

    home: str
    replica: str | None
    use_s3_replication: str
    listed: bool
    age: float
    delay: int
    verify: bool
    circuit_open: bool
    copy: str
    due: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """Where a download goes, why, and in how many seconds that may change by itself."""

    source: Source
    reason: Reason
    changes_in: float | None = None


class Finding(StrEnum):
    """What one look at the replica found."""

    FOUND = "found"
    WRONG_SIZE = "wrong-size"
    MISSING = "missing"
    DENIED = "denied"
    NO_ANSWER = "no-answer"


_KNOWN_COPIES = {
    "missing": Decision(Source.PRIMARY, Reason.MISSING),
    "failed": Decision(Source.PRIMARY, Reason.FAILED),
    "pending": Decision(Source.PRIMARY, Reason.PENDING),
    "ready": Decision(Source.REPLICA, Reason.READY),
    # A copy stays unknown after a look only where the site may not look (403): the delay decides.
    "unknown": Decision(Source.REPLICA, Reason.UNVERIFIED),
}
_CHECK = Decision(Source.CHECK, Reason.TO_CHECK)
_NO_REPLICA = Decision(Source.PRIMARY, Reason.NO_REPLICA)
_STORED_IN_REPLICA = Decision(Source.PRIMARY, Reason.STORED_IN_REPLICA)
_USER_NO = Decision(Source.PRIMARY, Reason.USER_NO)
_ADDRESS_NOT_LISTED = Decision(Source.PRIMARY, Reason.ADDRESS_NOT_LISTED)
_DELAY_OVER = Decision(Source.REPLICA, Reason.DELAY_OVER)
_REPLICA_DOWN = Decision(Source.PRIMARY, Reason.REPLICA_DOWN)


def decide(facts: Facts) -> Decision:
    """Return the decision for `facts`; the first rule that matches wins.

    A decision with source CHECK is settled by `settle` after one look at the replica.
    """
    if facts.replica is None:
        return _NO_REPLICA
    if facts.replica == facts.home:
        return _STORED_IN_REPLICA
    if facts.use_s3_replication == "no":
        return _USER_NO
    if facts.use_s3_replication == "auto" and not facts.listed:
        return _ADDRESS_NOT_LISTED
    if facts.age < facts.delay:
        return Decision(Source.PRIMARY, Reason.TOO_FRESH, changes_in=facts.delay - facts.age)
    if not facts.verify:
        return _DELAY_OVER
    if facts.circuit_open:
        return _REPLICA_DOWN
    if facts.due:
        return _CHECK
    return _KNOWN_COPIES[facts.copy]


_SETTLED = {
    Finding.FOUND: _KNOWN_COPIES["ready"],
    Finding.WRONG_SIZE: _KNOWN_COPIES["failed"],
    Finding.MISSING: _KNOWN_COPIES["missing"],
    Finding.DENIED: _KNOWN_COPIES["unknown"],
    Finding.NO_ANSWER: Decision(Source.PRIMARY, Reason.NO_ANSWER),
}


def settle(finding: Finding) -> Decision:
    """Return the decision after one look at the replica.

    A 404 is missing and a 403 is unknown, never missing (S3 API Reference, HeadObject: without
    s3:ListBucket a missing key answers 403 too).
    """
    return _SETTLED[finding]


def explain(facts: Facts, reason: Reason, *, who: str, address: str, listing: str = "") -> str:
    """Return the reason in words, as one or two sentences.

    `who` is the person's name, `address` the client address as the site sees it and `listing` the
    entry of `IP Adresses for S3 replication` that it matched ("" when none).
    """
    age, delay = duration(facts.age), _exactly(facts.delay)
    if facts.use_s3_replication == "auto" and listing:
        mode = f"{who} has Use S3 Replication = auto; {address} is in {listing}"
    else:
        mode = f"{who} has Use S3 Replication = {facts.use_s3_replication}"
    old_enough = f"{mode}; the media is {age} old and S3 Replication Delay is {delay}"
    match reason:
        case Reason.PRIMARY_REQUESTED:
            return "The link asks for the bucket that the file was uploaded to."
        case Reason.NO_REPLICA:
            return "No replica is set up: S3 Bucket for Replication is empty."
        case Reason.STORED_IN_REPLICA:
            return f"The file was uploaded to {facts.home}, which is the replica itself."
        case Reason.USER_NO:
            return f"{who} has Use S3 Replication = no: the replica is never used."
        case Reason.ADDRESS_NOT_LISTED:
            return (
                f"{who} has Use S3 Replication = auto, and {address} is not in IP Adresses for "
                "S3 replication."
            )
        case Reason.TOO_FRESH:
            left = math.ceil(facts.delay - facts.age)
            wait = duration(left if left < 120 else -(-left // 60) * 60)
            there = ", when its copy is there" if facts.verify else ""
            return (
                f"{mode}; but the media is {age} old and S3 Replication Delay is {delay}. "
                f"In {wait} it would be {facts.replica}{there}."
            )
        case Reason.DELAY_OVER:
            return f"{old_enough}. Verify replica copies is off, so the delay alone decides."
        case Reason.REPLICA_DOWN:
            return f"{old_enough}; but the replica {facts.replica} has not been answering."
        case Reason.READY:
            return f"{old_enough}; the copy in {facts.replica} was found, with the right size."
        case Reason.UNVERIFIED:
            return (
                f"{old_enough}. The site may not look into {facts.replica} (S3 answers 403), so "
                "the delay alone decides."
            )
        case Reason.TO_CHECK:
            return f"{old_enough}. Whether the copy is there is checked at the download."
        case Reason.MISSING:
            return f"{old_enough}; but the file is not in the replica {facts.replica}."
        case Reason.FAILED:
            return f"{old_enough}; but the copy in {facts.replica} has another size."
        case Reason.PENDING:
            return f"{old_enough}; but S3 has not finished the copy in {facts.replica}."
        case Reason.NO_ANSWER:
            return f"{old_enough}; but the replica {facts.replica} gave no usable answer in time."
        case Reason.PRIMARY_UNUSABLE:
            return (
                f"No link to {facts.home} could be made (it is not in S3 Configuration, or its "
                f"credentials fail), so the copy in {facts.replica} is used."
            )
        case Reason.REPLICA_UNUSABLE:
            return f"{old_enough}; but no link to {facts.replica} could be made."


def duration(seconds: float) -> str:
    """Return a number of seconds in words that a person reads at a glance: "45 s", "3 min".

    Rounded down, as people tell an age: nothing is 60 s old before a delay of 60 s is over.
    """
    seconds = max(math.floor(seconds), 0)
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _exactly(seconds: int) -> str:
    """Return a setting of so many seconds in the largest unit that does not round it."""
    for size, unit in ((3_600, "h"), (60, "min")):
        if seconds >= 2 * size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
