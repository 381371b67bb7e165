"""Faults that a test or a person switches on for a bucket (or for "sts")."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from shotmedia.emulator.errors import ACCESS_DENIED, NO_SUCH_KEY, Refusal

CODES = {
    301: ("PermanentRedirect", "The bucket you are attempting to access must be addressed using "
          "the specified endpoint. Please send all future requests to this endpoint."),
    400: ("ExpiredToken", "The provided token has expired."),
    403: ("AccessDenied", ACCESS_DENIED),
    404: ("NoSuchKey", NO_SUCH_KEY),
    500: ("InternalError", "We encountered an internal error. Please try again."),
    503: ("SlowDown", "Please reduce your request rate."),
}  # fmt: skip


@dataclass(slots=True)
class Fault:
    """One fault. Only requests whose method is in `methods` (all when empty) and whose key
    contains `key` suffer it, and only `count` times (None: until it is cleared).

    delay_ms: milliseconds before the answer. rate_mb_s: megabytes a second for bodies in both
    directions, shared by all requests that suffer this fault. status: the error to answer, with
    `code` and `message` instead of the usual ones if given; preflights are spared unless
    `methods` names OPTIONS. refuse: the bucket's own port refuses connections, and on the main
    port the connection closes without an answer. fail_replication: objects with such a key
    become FAILED instead of replicated.
    """

    delay_ms: float = 0
    rate_mb_s: float = 0
    status: int = 0
    code: str = ""
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    hide_cors: bool = False
    corrupt: bool = False
    refuse: bool = False
    fail_replication: bool = False
    methods: tuple[str, ...] = ()
    key: str = ""
    count: int | None = None
    _next_free: float = field(default=0.0, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.methods, str):
            self.methods = tuple(self.methods.replace(",", " ").split())
        self.methods = tuple(name.upper() for name in self.methods)
        if self.status and self.status not in CODES and not self.code:
            known = ", ".join(str(status) for status in CODES)
            raise ValueError(f"status {self.status} needs a `code`; known without: {known}")
        if min(self.delay_ms, self.rate_mb_s) < 0:
            raise ValueError("delay_ms and rate_mb_s can't be negative")

    def concerns(self, method: str, key: str) -> bool:
        """Whether a request with this method and key suffers the fault."""
        return (not self.methods or method in self.methods) and self.key in key

    def wait_for(self, size: int, now: float) -> float:
        """Seconds to wait after `size` bytes so that the rate is kept. `now` is monotonic."""
        with self._lock:
            start = max(self._next_free, now - 0.1)
            self._next_free = start + size / (self.rate_mb_s * 1e6)
            return max(0.0, self._next_free - now)

    def refusal(self, key: str) -> Refusal:
        """The error that `status` stands for."""
        code, message = CODES.get(self.status, (self.code, "Injected by the emulator."))
        elements = {"Key": key} if self.status == 404 and key and not self.code else {}
        return Refusal(
            self.code or code, self.status, self.message or message, elements, self.headers
        )

    def as_dict(self) -> dict[str, Any]:
        """What was asked for, for the control API."""
        shown = ("delay_ms", "rate_mb_s", "status", "code", "message", "headers", "refuse")
        shown += ("hide_cors", "corrupt", "fail_replication", "methods", "key", "count")
        return {name: getattr(self, name) for name in shown}


@dataclass(frozen=True, slots=True)
class Effect:
    """What all faults together do to one request."""

    delay: float = 0.0
    refuse: bool = False
    error: Refusal | None = None
    slowed_by: Fault | None = None
    hide_cors: bool = False
    corrupt: bool = False


NO_EFFECT = Effect()


class Faults:
    """The faults of every bucket. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_bucket: dict[str, list[Fault]] = {}

    def add(self, bucket: str, **fault: Any) -> Fault:
        """Switches a fault on. Raises TypeError for an unknown word, ValueError for a bad value."""
        added = Fault(**fault)
        with self._lock:
            self._by_bucket.setdefault(bucket, []).append(added)
        return added

    def clear(self, bucket: str | None = None) -> None:
        """Switches off the bucket's faults, or all."""
        with self._lock:
            if bucket is None:
                self._by_bucket.clear()
            else:
                self._by_bucket.pop(bucket, None)

    def of(self, bucket: str) -> list[Fault]:
        """The bucket's faults."""
        with self._lock:
            return list(self._by_bucket.get(bucket, ()))

    def all(self) -> dict[str, list[dict[str, Any]]]:
        """Every bucket's faults, as the control API shows them."""
        with self._lock:
            return {b: [f.as_dict() for f in faults] for b, faults in self._by_bucket.items()}

    def effect(self, bucket: str, method: str, key: str) -> Effect:
        """What the faults do to this request; uses up one of their counts."""
        if not self._by_bucket:
            return NO_EFFECT
        delay, refuse, error, slowed_by = 0.0, False, None, None
        hide_cors = corrupt = False
        with self._lock:
            for fault in list(self._by_bucket.get(bucket, ())):
                if fault.fail_replication or not fault.concerns(method, key):
                    continue
                if fault.status and method == "OPTIONS" and "OPTIONS" not in fault.methods:
                    continue
                delay = max(delay, fault.delay_ms / 1000)
                refuse = refuse or fault.refuse
                hide_cors = hide_cors or fault.hide_cors
                corrupt = corrupt or fault.corrupt
                if fault.status and error is None:
                    error = fault.refusal(key)
                if fault.rate_mb_s and (slowed_by is None or fault.rate_mb_s < slowed_by.rate_mb_s):
                    slowed_by = fault
                self._use(bucket, fault)
        return Effect(delay, refuse, error, slowed_by, hide_cors, corrupt)

    def _use(self, bucket: str, fault: Fault) -> None:
        if fault.count is not None:
            fault.count -= 1
            if fault.count <= 0:
                self._by_bucket[bucket].remove(fault)

    def refuses(self, bucket: str) -> bool:
        """Whether the bucket's own port has to refuse connections."""
        return any(fault.refuse for fault in self.of(bucket))

    def takes_replicas(self, bucket: str) -> bool:
        """Whether replication can write into the bucket now."""
        return not any(
            fault.refuse or (fault.status and fault.concerns("PUT", fault.key))
            for fault in self.of(bucket)
        )

    def fails_replication(self, bucket: str, key: str) -> bool:
        """Whether replication of this object of the source bucket is to fail for good."""
        with self._lock:
            for fault in self._by_bucket.get(bucket, ()):
                if fault.fail_replication and fault.key in key:
                    self._use(bucket, fault)
                    return True
        return False


class Pace:
    """Keeps bodies to the rate of a fault; without one it does nothing."""

    def __init__(self, fault: Fault | None, wait: Callable[[float], Any]) -> None:
        self._fault = fault
        self._wait = wait
        # About 20 steps a second, so that a slow transfer looks steady to the other side.
        self.step = max(4096, int(fault.rate_mb_s * 1e6 / 20)) if fault else 0

    def passed(self, size: int) -> None:
        """Called after each block; waits as long as the rate asks for."""
        if self._fault is not None and size:
            seconds = self._fault.wait_for(size, time.monotonic())
            if seconds > 0:
                self._wait(seconds)
