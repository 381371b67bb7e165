"""Replica copies: looking for one in S3, remembering what was found, and the circuit breaker."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from media.models import ReplicaCopy
from media.replication import Finding
from shotmedia.s3.clients import head_object
from shotmedia.s3.config import BucketConfig
from shotmedia.s3.errors import AccessDenied, ObjectMissing, S3Error

logger = logging.getLogger(__name__)

HEAD_BUDGET = 0.8
"""Seconds that one look at the replica may take in all; a person is waiting."""

RETRY_AFTER = (5, 15, 30, 60, 120, 300, 900, 3600)
"""Seconds until a copy that was missing or wrong is looked for again, by number of tries."""

CONFIRM_AFTER = 3600
"""Seconds after which a ready copy is looked for again whatever else is known."""

DENIED_FOR = 300
"""Seconds for which a 403 on the site's look is remembered."""


class Circuit:
    """Whether one replica answers, as far as this process knows.

    Opens after `limit` failures in a row and stays open for `pause` seconds; then one caller at a
    time may try. Thread-safe.
    """

    def __init__(
        self, *, limit: int = 3, pause: float = 15, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._pause = pause
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0
        self._open_until = 0.0
        self._answered_at = float("-inf")

    def is_open(self) -> bool:
        """Say whether the replica is known to be down."""
        return self._failures >= self._limit and self._clock() < self._open_until

    def take_turn(self) -> bool:
        """Say whether the caller may ask the replica now.

        Always while it answers; after failures only one caller per pause, so that a replica that
        is down costs one person's wait and not everybody's.
        """
        if self._failures < self._limit:
            return True
        with self._lock:
            now = self._clock()
            if self._failures >= self._limit and now < self._open_until:
                return False
            self._open_until = now + self._pause
            return True

    def answered_within(self, seconds: float) -> bool:
        """Say whether the replica has answered in the last `seconds`."""
        return self._clock() - self._answered_at < seconds

    def answered(self) -> None:
        """Note an answer of any kind: the replica is up."""
        with self._lock:
            self._failures = 0
            self._answered_at = self._clock()

    def failed(self) -> None:
        """Note a timeout, a refused connection, a 5xx or credentials that fail."""
        with self._lock:
            self._failures += 1
            self._answered_at = float("-inf")
            if self._failures >= self._limit:
                self._open_until = self._clock() + self._pause


_circuits: dict[str, Circuit] = {}


def circuit_of(replica: BucketConfig) -> Circuit:
    """Return this process's circuit for the place that `replica` names."""
    target = replica.fingerprint
    try:
        return _circuits[target]
    except KeyError:
        return _circuits.setdefault(target, Circuit())


def forget_circuits() -> None:
    """Close every circuit of this process (tests start from here)."""
    _circuits.clear()


def look_for_copy(replica: BucketConfig, path: str, size: int) -> Finding:
    """Ask the replica once for the object at `path` and return what was found.

    `size` is the media file's size in bytes. Takes HEAD_BUDGET seconds at most, and tells the
    replica's circuit whether it answered.
    """
    circuit = circuit_of(replica)
    try:
        head = head_object(replica, path, timeout=HEAD_BUDGET)
    except ObjectMissing:
        circuit.answered()
        return Finding.MISSING
    except AccessDenied:
        circuit.answered()
        return Finding.DENIED
    except S3Error as error:
        # Out of reach, or set up so that it cannot be asked (its role, its region): either way a
        # download must not wait for it, let alone fail.
        circuit.failed()
        logger.warning(
            "replica gave no usable answer", extra={"replica": replica.name, "why": str(error)}
        )
        return Finding.NO_ANSWER
    circuit.answered()
    return Finding.FOUND if head.size == size else Finding.WRONG_SIZE


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a finding says about a replica copy, and when to look again (seconds from now)."""

    state: ReplicaCopy.State
    next_check_in: int
    tries: int
    detail: str = ""


def learn(finding: Finding, tries: int) -> Knowledge | None:
    """Return what to remember after `finding`, the `tries`-th in a row that was not FOUND.

    None means: nothing was learned about the copy (the replica did not answer).
    """
    again = RETRY_AFTER[min(tries, len(RETRY_AFTER) - 1)]
    match finding:
        case Finding.FOUND:
            return Knowledge(ReplicaCopy.State.READY, CONFIRM_AFTER, 0)
        case Finding.MISSING:
            return Knowledge(ReplicaCopy.State.MISSING, again, tries + 1, "S3 answers 404")
        case Finding.WRONG_SIZE:
            return Knowledge(ReplicaCopy.State.FAILED, again, tries + 1, "other size")
        case Finding.DENIED:
            return Knowledge(ReplicaCopy.State.UNKNOWN, DENIED_FOR, tries + 1, "S3 answers 403")
        case Finding.NO_ANSWER:
            return None


def remember(media_file_id: int, target: str, knowledge: Knowledge, now: float) -> None:
    """Store `knowledge` about the copy of a media file in the replica `target`.

    `now` is in seconds since the epoch. One statement, so two processes that looked at once do
    not fail.
    """
    at = datetime.fromtimestamp(now, UTC)
    ReplicaCopy.objects.bulk_create(
        [
            ReplicaCopy(
                media_file_id=media_file_id,
                target=target,
                state=knowledge.state,
                detail=knowledge.detail,
                tries=min(knowledge.tries, 32_767),
                checked_at=at,
                next_check_at=at + timedelta(seconds=knowledge.next_check_in),
            )
        ],
        update_conflicts=True,
        unique_fields=["media_file", "target"],
        update_fields=["state", "detail", "tries", "checked_at", "next_check_at"],
    )
