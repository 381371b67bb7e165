"""Counters in Prometheus's format, summed over the worker processes."""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    generate_latest,
    multiprocess,
)

__all__ = ["CONTENT_TYPE_LATEST", "DECISIONS", "exposition"]

DECISIONS = Counter(
    "shotmedia_decisions", "Downloads by the bucket chosen and why", ["configuration", "reason"]
)


def exposition() -> bytes:
    """Return all counters, of every worker when PROMETHEUS_MULTIPROC_DIR names a folder."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry)
