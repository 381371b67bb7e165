"""How replication is set, for the first page of the admin: pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from preferences.snapshot import Preferences
from shotmedia.s3.config import BucketConfig


@dataclass(frozen=True, slots=True)
class Step:
    """One of the three things to do, on the page "preferences" or "speedtest"."""

    words: str
    page: str
    about: str
    """The field of Site Preferences, or the configuration to test ("": none is there yet)."""
    done: bool
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Overview:
    """Whether replication is on, and what to know or to do about it."""

    is_on: bool
    headline: str
    facts: tuple[tuple[str, str], ...]
    """Pairs of a label and a value."""
    steps: tuple[Step, ...]
    """What is missing, in order; empty while replication is on."""
    warnings: tuple[str, ...]


def overview(
    preferences: Preferences, people: Mapping[str, int], tests: Mapping[str, bool]
) -> Overview:
    """Return the overview.

    people  how many active ones there are, by their `Use S3 Replication`
    tests   whether the newest speed test of a configuration worked, by its name
    """
    replica, primary = preferences.replica, preferences.primary
    facts = [("Storage Location", _place(primary))] if primary else []
    if replica:
        ranges = len(preferences.ranges)
        facts += [
            ("Replica", _place(replica)),
            ("Delay", f"{preferences.delay} s"),
            ("Addresses for auto", f"{ranges} range{'' if ranges == 1 else 's'}"),
        ]
    if primary:
        counts = (f"{people.get(value, 0)} {value}" for value in ("no", "yes", "auto"))
        facts.append(("Use S3 Replication", " · ".join(counts)))
    return Overview(
        replica is not None,
        _headline(preferences),
        tuple(facts),
        () if replica else _steps(preferences, tests),
        tuple(_warnings(preferences, people)),
    )


def _headline(preferences: Preferences) -> str:
    if preferences.replica:
        return f"Replication: on → {preferences.replica.name}"
    if preferences.replica_name:
        return f"Replication: off, as “{preferences.replica_name}” cannot be used"
    if preferences.primary:
        return "Replication: off, as S3 Bucket for Replication is empty"
    return "Media Isolation is not set up"


def _steps(preferences: Preferences, tests: Mapping[str, bool]) -> tuple[Step, ...]:
    primary = preferences.primary
    names = [name for name in preferences.configurations if primary is None or name != primary.name]
    what, label, field = "a configuration", "Storage Location", "storage_location"
    if primary:
        what, label = "the replica's configuration", "S3 Bucket for Replication"
        field = "s3_bucket_for_replication"
    return (
        Step(f"Add {what} to S3 Configuration", "preferences", "s3_configuration", bool(names)),
        _test_step(names, tests),
        Step(f"Choose it as {label}", "preferences", field, done=False),
    )


def _test_step(names: Sequence[str], tests: Mapping[str, bool]) -> Step:
    for name in names:
        if tests.get(name):
            return Step("Test it", "speedtest", name, done=True, remark=f"“{name}” works")
    for name in names:
        if name in tests:
            remark = f"“{name}” failed its last test"
            return Step("Test it", "speedtest", name, done=False, remark=remark)
    return Step("Test it", "speedtest", names[0] if names else "", done=False)


def _warnings(preferences: Preferences, people: Mapping[str, int]) -> list[str]:
    warnings = list(preferences.problems)
    replica, auto, yes = preferences.replica, people.get("auto", 0), people.get("yes", 0)
    if replica and preferences.primary and replica.name == preferences.primary.name:
        warnings.append("S3 Bucket for Replication is the main configuration.")
    if replica and auto and not preferences.ranges:
        warnings.append(
            f"{_people(auto)} on auto, but IP Adresses for S3 replication is empty: they get the "
            "main bucket."
        )
    if replica and not auto and not yes:
        warnings.append(
            "Nobody uses the replica: Use S3 Replication is no for everybody. Set it under Users."
        )
    return warnings


def _place(config: BucketConfig) -> str:
    return f"{config.name} (bucket {config.bucket}, {config.region})"


def _people(number: int) -> str:
    return "1 person is" if number == 1 else f"{number:,} people are"
