"""Values that are built once per key and process."""

import os
import threading
import weakref
from collections.abc import Callable, Hashable
from typing import Any

_caches: "weakref.WeakSet[ProcessCache]" = weakref.WeakSet()


def forget_all() -> None:
    """Empty every cache, e.g. when a test starts another S3 or changes the environment's keys."""
    for cache in list(_caches):
        cache.clear()


class ProcessCache:
    """Built values by key. A hit takes no lock; a forked child starts with an empty cache.

    Clients, credentials and their locks must not be shared across a fork (boto3 guide, "Clients"),
    and clients must not be created concurrently, hence one lock around building.
    """

    def __init__(self, limit: int = 128) -> None:
        self._limit = limit
        self.clear()
        _caches.add(self)

    def clear(self) -> None:
        """Forget everything."""
        self._values: dict[Hashable, Any] = {}
        self._lock = threading.RLock()

    def get(self, key: Hashable, build: Callable[[], Any]) -> Any:
        """The value of `key`; `build()` makes it when there is none. Its errors propagate."""
        try:
            return self._values[key]
        except KeyError:
            pass
        with self._lock:
            if key not in self._values:
                value = build()
                while len(self._values) >= self._limit:
                    del self._values[next(iter(self._values))]
                self._values[key] = value
                return value
            return self._values[key]


os.register_at_fork(after_in_child=forget_all)
