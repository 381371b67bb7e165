"""Replication: an object of a bucket appears in its replicas after the lag, as S3's engine does.

Amazon S3 User Guide, "Replicating objects", "Getting replication status information".
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from moto.s3.models import FakeKey

from shotmedia.emulator.faults import Faults
from shotmedia.emulator.store import Store, blob_of

PENDING, COMPLETED, FAILED, REPLICA = "PENDING", "COMPLETED", "FAILED", "REPLICA"


@dataclass(slots=True)
class _Job:
    source: str
    key: FakeKey
    created: float
    targets: list[str]


class Replication:
    """Copies what is due. The lag (seconds) may be changed at any time and also holds for objects
    that wait already. `clock` gives epoch seconds."""

    def __init__(
        self,
        store: Store,
        faults: Faults,
        targets: dict[str, list[str]],
        lag: float,
        clock: Callable[[], float],
    ) -> None:
        self.lag = lag
        self._store = store
        self._faults = faults
        self._targets = targets
        self._clock = clock
        self._jobs: list[_Job] = []
        self._changed = threading.Condition()
        self._working = threading.Lock()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def first_status(self, bucket: str) -> str:
        """The status that a new object of the bucket starts with."""
        return PENDING if self._targets.get(bucket) else ""

    def created(self, bucket: str, key: FakeKey) -> None:
        """A new object waits for its replicas."""
        if self._targets.get(bucket):
            with self._changed:
                job = _Job(bucket, key, self._clock(), list(self._targets[bucket]))
                self._jobs.append(job)
                self._changed.notify()

    @property
    def waiting(self) -> list[tuple[str, str]]:
        """(bucket, key) of what isn't replicated yet, oldest first."""
        with self._changed:
            return [(job.source, job.key.name) for job in self._jobs]

    def replicate_due(self, everything: bool = False) -> int:
        """Replicates what is old enough (or everything); returns the number of copies made.

        A deleted object is forgotten. A replica that is down or refuses writes keeps the object
        PENDING. An object with the fault fail_replication becomes FAILED for good.
        """
        copies = 0
        with self._working:
            with self._changed:
                now = self._clock()
                due = [job for job in self._jobs if everything or job.created + self.lag <= now]
            for job in due:
                copies += self._work(job)
            with self._changed:
                self._jobs = [job for job in self._jobs if job.targets]
        return copies

    def _work(self, job: _Job) -> int:
        copies = 0
        if not self._store.is_current(job.source, job.key):
            job.targets = []
        elif self._faults.fails_replication(job.source, job.key.name):
            job.targets = []
            job.key.replication_status = FAILED
        for target in list(job.targets):
            if self._faults.takes_replicas(target) and self._copy(job, target):
                copies += 1
                job.targets.remove(target)
                if not job.targets:
                    job.key.replication_status = COMPLETED
        return copies

    def _copy(self, job: _Job, target: str) -> bool:
        key, store = job.key, self._store
        with store.lock:
            if not store.region(target):
                return False
            versioned = store.is_versioned(target) and key.version_id != "null"
            copy = store.put(
                target,
                key.name,
                blob_of(key),
                key.etag.strip('"'),
                dict(key.metadata),
                storage_class=key.storage_class or "",
                checksum=(
                    (key.checksum_algorithm.lower(), key.checksum_value)
                    if key.checksum_algorithm and key.checksum_value
                    else None
                ),
                checksum_type=getattr(key, "checksum_type", "FULL_OBJECT"),
                part_sizes=getattr(key, "part_sizes", ()),
                tags=store.tags(key),
                version_id=key.version_id if versioned else "",
                replication_status=REPLICA,
            )
            copy.last_modified = key.last_modified
        return True

    def start(self) -> None:
        """Replicates in the background from now on."""
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="replication", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the background thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def wake(self) -> None:
        """Looks again at what is due, after the lag or a fault has changed."""
        with self._changed:
            self._changed.notify()

    def _run(self) -> None:
        while not self._stopped:
            self.replicate_due()
            with self._changed:
                if self._stopped:
                    return
                self._changed.wait(self._pause())

    def _pause(self) -> float | None:
        if not self._jobs:
            return None
        next_due = min(job.created for job in self._jobs) + self.lag - self._clock()
        # What is overdue waits for its replica to come back: look again soon.
        return min(max(next_due, 0.05), 1.0)
