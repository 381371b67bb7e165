"""Saving Site Preferences: one writer wins, nobody's change is lost, each is recorded."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.db import DatabaseError, transaction
from django.utils import timezone

from preferences import locks, snapshot, usage
from preferences.addresses import shortened, split_lines
from preferences.models import PreferenceRevision, PreferenceSource, SitePreferences, User
from preferences.reader import escaped
from preferences.speedtest_side import speedtest_side
from preferences.validation import Finding, validate

logger = logging.getLogger(__name__)

FIELDS = (
    "s3_configuration",
    "s3_bucket_for_replication",
    "s3_replication_delay",
    "s3_replication_ip_addresses",
    "storage_location",
    "verify_replica_copies",
)
"""The fields that people edit, in the order of the page."""

MOST_CHANGES_LOGGED = 50


@dataclass(frozen=True, slots=True)
class Saved:
    """What a save did: the version now in force, and each change in words (none: no change)."""

    version: int
    changes: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    """Fields that the environment fixes and that were to change: they kept their value."""
    moved: tuple[str, ...] = ()
    """What went along with a renamed configuration, a sentence each."""
    warnings: tuple[str, ...] = ()
    """Files that are looked for elsewhere from now on, a sentence each."""


class Conflict(Exception):
    """Somebody else has saved since the page was loaded; nothing was saved."""

    def __init__(self, row: SitePreferences) -> None:
        revision = PreferenceRevision.objects.filter(number=row.version).first()
        self.row = row
        self.version = row.version
        self.who = revision.who if revision else "somebody else"
        self.when = row.changed_at
        self.at = _at(row.changed_at)
        """When, for a sentence: " at 14:03 UTC", "" when nobody knows."""
        super().__init__(
            f"These preferences were changed by {self.who}{self.at} while you were "
            "editing. Nothing was saved. Your text is kept below; compare it with the current "
            "values in History, then save again."
        )


def save_preferences(
    values: Mapping[str, Any],
    base_version: int,
    user: User | None,
    *,
    source: PreferenceSource = PreferenceSource.PAGE,
    username: str = "",
    address: str = "",
    comment: str = "",
    restored_from: int | None = None,
    renames: Mapping[str, str] | None = None,
    now: datetime | None = None,
) -> Saved:
    """Save `values` as a new revision if the row still is at `base_version`; all or nothing.

    `values` are cleaned values by field name, as `validation.validate` returns them; fields that
    are missing keep their value, and so do fields that the environment fixes (take what is to be
    validated from `merged`, which knows them, too). `user` is who saves, None for the site itself
    (which writes no LogEntry: Django's needs a person); `username` names somebody who is no user.
    `source`, `address` (of the client), `comment` (at most PreferenceRevision.MAX_COMMENT
    characters) and `restored_from` (the number of a revision) are kept with the revision. Values
    equal to the saved ones change nothing and make no revision.

    `renames` maps old names of configurations to new ones: media files, open uploads, results of
    speed tests, and the fields that name them go along. Raises Conflict when the row has another
    version, usage.InUse when a configuration that something depends on would be gone,
    usage.RenameRefused.
    """
    unknown = set(values) - set(FIELDS)
    if unknown:
        raise ValueError(f"Not fields of Site Preferences: {', '.join(sorted(unknown))}.")
    if len(comment) > PreferenceRevision.MAX_COMMENT:
        raise ValueError(f"A comment has at most {PreferenceRevision.MAX_COMMENT} characters.")
    now, renames = now or timezone.now(), renames or {}
    with transaction.atomic():
        old = read_row()
        if old.version != base_version:
            raise Conflict(old)
        skipped: tuple[str, ...] = ()
        if source != PreferenceSource.ENVIRONMENT:
            values, skipped = merged(values, old)
        new = as_row(usage.follow(values_of(old) | values, renames), base_version + 1)
        usage.require_kept(old, new, renames)
        changes = describe_changes(old, new)
        if not changes:
            return Saved(base_version, (), skipped)
        warnings = usage.moved_places(old, new, renames)
        new.replica_target = snapshot.parse(new).replica_target
        won = SitePreferences.objects.filter(pk=1, version=base_version).update(
            **values_of(new),
            version=new.version,
            replica_target=new.replica_target,
            changed_at=now,
            changed_by=user,
        )
        if not won:
            raise Conflict(SitePreferences.objects.select_related("changed_by").get(pk=1))
        moved = usage.move(renames)
        for name, new_name in usage.all_renames(old, new, renames).items():
            speedtest_side().rename(name, new_name)
        PreferenceRevision.objects.create(
            number=new.version,
            created=now,
            user=user,
            username=user.get_username() if user else username,
            source=source,
            address=address,
            comment=" ".join([comment, *moved]).strip()[: PreferenceRevision.MAX_COMMENT],
            data=values_of(new),
            restored_from=restored_from,
        )
        if user is not None:
            log_change(user, new, (*changes, *moved))
    snapshot.forget()
    return Saved(new.version, changes, skipped, tuple(moved), tuple(warnings))


def merged(
    values: Mapping[str, Any], row: SitePreferences
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return all values that a save of `values` over `row` would have, and the fields it skips.

    Fields that the environment fixes are skipped: they keep the row's value.
    """
    old = values_of(row)
    fixed = [field for field in locks.locked() if field in values]
    skipped = tuple(field for field in fixed if str(values[field]) != str(old[field]))
    return old | {f: v for f, v in values.items() if f not in fixed}, skipped


_enforced = False
"""Whether this process has brought the row in line with its environment."""


def enforce_locks(row: SitePreferences) -> SitePreferences:
    """Return the row with what the environment fixes, saved as a revision where it was not.

    Never raises for a bad variable or a database that can't be written: the row then stays in
    force as it is, and the log says why. A row that another process has set from another
    environment is left alone once this process has had its say, so that two processes that were
    given different variables do not answer each other for ever.
    """
    global _enforced
    fixed = locks.locked()
    if not fixed:
        return row
    for _ in range(3):
        problems = lock_problems(row)
        if problems:
            for problem in problems:
                logger.error("%s", locks.described(problem))
            return row
        valid = validate(values_of(row) | fixed).values
        wanted = {field: valid[field] for field in fixed if valid[field] != getattr(row, field)}
        if not wanted:
            _enforced = True
            return row
        last = PreferenceRevision.objects.filter(number=row.version).first()
        if _enforced and last and last.source == PreferenceSource.ENVIRONMENT:
            logger.error(
                "Processes have different values of %s: revision %d is another one's.",
                ", ".join(map(locks.variable_of, wanted)),
                row.version,
            )
            return row
        comment = f"Set by {', '.join(map(locks.variable_of, wanted))}"
        try:
            save_preferences(
                wanted, row.version, None, source=PreferenceSource.ENVIRONMENT, comment=comment
            )
        except Conflict as conflict:
            row = conflict.row
            continue
        except (DatabaseError, usage.InUse):
            logger.exception("What MEDIA_PREF_… sets could not be saved.")
            return row
        row = read_row()
    return row


def lock_problems(row: SitePreferences) -> list[Finding]:
    """Return what keeps the environment's values from being written over `row`.

    Faults that the row has already are no reason.
    """
    fixed = locks.locked()
    if not fixed:
        return []
    known = validate(values_of(row)).errors
    wanted = usage.checked(validate(values_of(row) | fixed), row)
    return [error for error in wanted.errors if error not in known]


def read_row() -> SitePreferences:
    """Return the row with its last author; one that is gone is made again, as last saved."""
    row = SitePreferences.objects.select_related("changed_by").filter(pk=1).first()
    if row is not None:
        return row
    last = PreferenceRevision.objects.first()
    again = as_row(last.data, last.number) if last else SitePreferences(pk=1)
    row, _ = SitePreferences.objects.get_or_create(
        pk=1,
        defaults=values_of(again)
        | {"version": again.version, "replica_target": snapshot.parse(again).replica_target},
    )
    return row


def current_row() -> SitePreferences:
    """Return the row for a page or a command, in line with what the environment fixes.

    One read, once this process has parsed the version.
    """
    row = read_row()
    if snapshot.preferences_at(row.version).version != row.version:
        row = read_row()
    return row


def restore_comment(number: int, comment: str) -> str:
    """Return the comment of the revision that brings revision `number` back."""
    return f"Restored revision {number}: {comment}" if comment else f"Restored revision {number}"


def values_of(row: SitePreferences) -> dict[str, Any]:
    """Return what people edit of `row`, by field name."""
    return {field: getattr(row, field) for field in FIELDS}


def as_row(data: Mapping[str, Any], version: int) -> SitePreferences:
    """Return the values of a revision as an unsaved row; fields it does not have are as default."""
    known = {field: data[field] for field in FIELDS if field in data}
    return SitePreferences(pk=1, version=version, **known)


def log_change(user: User, target: SitePreferences | User, changes: tuple[str, ...]) -> None:
    """Write a LogEntry that reads "Changed S3 Replication Delay: 60 → 90."."""
    LogEntry.objects.log_actions(
        user_id=user.pk,
        queryset=[target],
        action_flag=CHANGE,
        change_message=[{"changed": {"fields": list(changes)}}],
        single_object=True,
    )


def describe_changes(old: SitePreferences, new: SitePreferences) -> tuple[str, ...]:
    """Return each difference between two rows in words, with the old and the new value."""
    changes: list[str] = []
    for name in FIELDS:
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        label = str(SitePreferences._meta.get_field(name).verbose_name)
        if name == "s3_configuration":
            changes += [f"{label}: {change}" for change in _configuration_changes(before, after)]
        elif name == "s3_replication_ip_addresses":
            changes += [f"{label}: {change}" for change in _line_changes(before, after)]
        else:
            changes.append(f"{label}: {_shown(before)} → {_shown(after)}")
    if len(changes) > MOST_CHANGES_LOGGED:
        rest = len(changes) - MOST_CHANGES_LOGGED
        changes = [*changes[:MOST_CHANGES_LOGGED], f"{rest} more"]
    return tuple(map(escaped, changes))


def _configuration_changes(before: str, after: str) -> list[str]:
    old, new = _entries(before), _entries(after)
    if old is None or new is None:
        return [f"{_shown(before)} → {_shown(after)}"]
    changes = [f"removed {name} ({_fields(old[name])})" for name in old if name not in new]
    for name, entry in new.items():
        if name not in old:
            changes.append(f"added {name} ({_fields(entry)})")
        elif isinstance(entry, dict) and isinstance(old[name], dict):
            changes += [
                f"{name}.{field}: {_shown(old[name].get(field))} → {_shown(entry.get(field))}"
                for field in dict.fromkeys([*old[name], *entry])
                if (old[name].get(field) or "") != (entry.get(field) or "")
            ]
        elif entry != old[name]:
            changes.append(f"{name}: {_shown(old[name])} → {_shown(entry)}")
    return changes or ["order or empty fields"]


def _entries(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _fields(entry: Any) -> str:
    if not isinstance(entry, dict):
        return _shown(entry)
    return ", ".join(f"{field} {_shown(value)}" for field, value in entry.items() if value != "")


def _line_changes(before: str, after: str) -> list[str]:
    old = [line.strip() for line in split_lines(before) if line.strip()]
    new = [line.strip() for line in split_lines(after) if line.strip()]
    known, kept = set(old), set(new)
    removed = [f"removed {_shown(line)}" for line in old if line not in kept]
    added = [f"added {_shown(line)}" for line in new if line not in known]
    return removed + added or ["order or layout"]


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "empty"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, str):
        return shortened(value, 200)
    return shortened(json.dumps(value, ensure_ascii=False), 200)


def _at(when: datetime | None) -> str:
    if when is None:
        return ""
    when = when.astimezone(UTC)
    today = when.date() == timezone.now().astimezone(UTC).date()
    return f" at {when:%H:%M} UTC" if today else f" on {when.day} {when:%b %Y} at {when:%H:%M} UTC"
