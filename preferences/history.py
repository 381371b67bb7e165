"""Revisions compared, and an earlier one put in force again."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from preferences.addresses import split_lines
from preferences.fields import FIELDS, label_of, to_text
from preferences.locks import locked_fields
from preferences.models import PreferenceRevision, PreferenceSource, SitePreferences, User
from preferences.saving import Saved, read_row, save_preferences, values_of
from preferences.usage import checked
from preferences.validation import DEFAULTS, Validated, validate

CONTEXT_LINES = 3

_WORDS = {"+": "added", "-": "removed", " ": "", "@": "lines left out"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a difference. `words` say what the sign says, for who doesn't see it."""

    sign: str
    """"+", "-", " " (in both), or "@" where equal lines are left out."""
    text: str

    @property
    def words(self) -> str:
        """What happened to the line."""
        return _WORDS[self.sign]


@dataclass(frozen=True, slots=True)
class Difference:
    """What is different in one field."""

    field: str
    label: str
    lines: tuple[Line, ...]


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Return what has to be removed from and added to `old` to make it `new`, field by field."""
    return [
        difference(field, old[field], new[field]) for field in FIELDS if old[field] != new[field]
    ]


def difference(field: str, old: Any, new: Any) -> Difference:
    """Return the difference of two values of `field`, line by line."""
    before, after = to_text(old), to_text(new)
    compared = difflib.unified_diff(
        split_lines(before) if before else [],
        split_lines(after) if after else [],
        n=CONTEXT_LINES,
        lineterm="",
    )
    # The first two lines are the names of files, the third says where the first hunk starts.
    lines = [line for number, line in enumerate(compared) if number > 2]
    return Difference(
        field,
        label_of(field),
        tuple(Line(line[0], "" if line[0] == "@" else line[1:]) for line in lines),
    )


def as_text(compared: list[Difference]) -> str:
    """Return differences as a terminal shows them; "" when there are none."""
    blocks = []
    for difference in compared:
        lines = ["…" if line.sign == "@" else line.sign + line.text for line in difference.lines]
        blocks.append("\n".join([f"{difference.label} ({difference.field})", *lines]))
    return "\n\n".join(blocks)


# --- Restoring ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Restoration:
    """What restoring one revision would do now; nothing is done yet."""

    revision: PreferenceRevision
    row: SitePreferences
    """The row that was looked at; its version is what the restoration starts from."""
    validated: Validated
    """The values by today's rules. With errors the revision can't be restored."""
    skipped: tuple[str, ...]
    """Fields that the environment sets and that stay as they are, though the revision differs."""

    @property
    def differences(self) -> list[Difference]:
        """From the values now in force to the restored ones."""
        return differences(values_of(self.row), self.validated.values)


def values_at(revision: PreferenceRevision) -> dict[str, Any]:
    """Return a revision's values; fields that came later have their defaults."""
    return {field: revision.data.get(field, DEFAULTS[field]) for field in FIELDS}


def plan_restoration(number: int) -> Restoration:
    """Return what restoring revision `number` would do.

    Raises PreferenceRevision.DoesNotExist.
    """
    revision = PreferenceRevision.objects.get(number=number)
    row = read_row()
    values = values_at(revision)
    kept = {field: getattr(row, field) for field in locked_fields()}
    skipped = tuple(field for field, value in kept.items() if values[field] != value)
    return Restoration(revision, row, checked(validate(values | kept), row), skipped)


def restore(plan: Restoration, user: User | None, *, address: str = "", comment: str = "") -> Saved:
    """Save the values of a revision as a new revision.

    Raises ValueError when they are not valid by today's rules, Conflict when the row has been
    saved since it was looked at.
    """
    if plan.validated.errors:
        raise ValueError("; ".join(error.message for error in plan.validated.errors))
    number = plan.revision.number
    return save_preferences(
        plan.validated.values,
        plan.row.version,
        user,
        source=PreferenceSource.RESTORE,
        address=address,
        comment=comment or f"Restored revision {number}",
        restored_from=number,
    )
