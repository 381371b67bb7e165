"""Site Preferences as the rest of the site reads them: parsed once per version and process."""

import json
import logging
from dataclasses import dataclass

from preferences.addresses import AddressRanges, parse_ranges
from preferences.models import SitePreferences
from shotmedia.s3.config import BucketConfig, ConfigError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Preferences:
    """One version of Site Preferences, parsed; never changed once made."""

    version: int
    configurations: dict[str, BucketConfig]
    """The configurations that can work, by name, in the order of `S3 Configuration`."""
    primary: BucketConfig | None
    """The configuration named by `Storage Location`; None when there is no such one."""
    replica: BucketConfig | None
    """The configuration named by `S3 Bucket for Replication`; None turns replication off."""
    delay: int
    """`S3 Replication Delay` in seconds."""
    ranges: AddressRanges
    """`IP Adresses for S3 replication`."""
    verify: bool
    """`Verify replica copies`."""
    storage_location: str = ""
    """`Storage Location` as saved, also when no usable configuration has that name."""
    replica_name: str = ""
    """`S3 Bucket for Replication` as saved, likewise."""
    problems: tuple[str, ...] = ()
    """What in the saved row can't be used, in sentences."""

    @property
    def replica_target(self) -> str:
        """The fingerprint of the replica's place (ReplicaCopy.target); "" without a replica."""
        return self.replica.fingerprint if self.replica else ""


_current: Preferences | None = None


def current_preferences() -> Preferences:
    """Return Site Preferences as they are now: one indexed read, nothing parsed twice."""
    if _current is None:
        return _load()
    version = SitePreferences.objects.filter(pk=1).values_list("version", flat=True).first()
    return preferences_at(version or 0)


def preferences_at(version: int) -> Preferences:
    """Return the preferences of `version`, which the caller has just read from the row.

    No read at all when it is the version at hand. When it is not, the row is loaded; should it
    have been saved again in the meantime, the newer preferences are the answer.
    """
    current = _current
    if current is not None and current.version == version:
        return current
    return _load()


def forget() -> None:
    """Drop the parsed preferences of this process; the next read loads the row."""
    global _current
    _current = None


def parse(row: SitePreferences) -> Preferences:
    """Return the preferences in `row`.

    Never raises for what the row holds: a configuration, name or address that can't be used is
    left out and named in `problems`, so that a bad row costs the replica and not the downloads.
    """
    problems: list[str] = []
    configurations: dict[str, BucketConfig] = {}
    for name, entry in _entries(row.s3_configuration, problems).items():
        try:
            if not isinstance(entry, dict):
                raise ConfigError("it must be an object with region, bucket, …")
            configurations[name] = BucketConfig.from_mapping(name, entry)
        except ConfigError as error:
            problems.append(f"S3 Configuration “{name}”: {error}")
    for label, name in (
        ("Storage Location", row.storage_location),
        ("S3 Bucket for Replication", row.s3_bucket_for_replication),
    ):
        if name and name not in configurations:
            problems.append(f"{label} names “{name}”, which is no usable configuration.")
    ranges, entry_problems = parse_ranges(row.s3_replication_ip_addresses)
    problems += [problem.message for problem in entry_problems if not problem.correction]
    return Preferences(
        version=row.version,
        configurations=configurations,
        primary=configurations.get(row.storage_location),
        replica=configurations.get(row.s3_bucket_for_replication),
        delay=row.s3_replication_delay,
        ranges=ranges,
        verify=row.verify_replica_copies,
        storage_location=row.storage_location,
        replica_name=row.s3_bucket_for_replication,
        problems=tuple(problems),
    )


def unreadable(row: SitePreferences) -> tuple[str, ...]:
    """Return what in `row` cannot be read at all, in sentences.

    Only what no writer of the site saves counts. A configuration that still holds placeholders
    was saved on purpose.
    """
    problems: list[str] = []
    entries = _entries(row.s3_configuration, problems)
    problems += [
        f"S3 Configuration “{name}” is not an object with region, bucket, …"
        for name, entry in entries.items()
        if not isinstance(entry, dict)
    ]
    _, entry_problems = parse_ranges(row.s3_replication_ip_addresses)
    problems += [problem.message for problem in entry_problems if not problem.correction]
    return tuple(problems)


def _entries(text: str, problems: list[str]) -> dict[str, object]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        problems.append(f"S3 Configuration is not JSON: {error}")
        return {}
    if not isinstance(value, dict):
        problems.append("S3 Configuration is not a JSON object.")
        return {}
    return value


def _load() -> Preferences:
    global _current
    row = SitePreferences.objects.filter(pk=1).first() or SitePreferences(pk=1)
    current = _current
    if current is not None and current.version == row.version:
        return current
    # Saving builds on this module, and only here does reading need to save.
    from preferences.saving import enforce_locks

    row = enforce_locks(row)
    loaded = parse(row)
    for problem in loaded.problems:
        logger.error("Site Preferences: %s", problem, extra={"version": loaded.version})
    _current = loaded
    return loaded
