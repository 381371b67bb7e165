"""Differences between two versions of Site Preferences, line by line, for page and terminal."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from preferences.addresses import split_lines
from preferences.models import SitePreferences
from preferences.reader import canonical, read_json
from preferences.saving import FIELDS

CONTEXT = 3
"""Lines that are shown around a change."""
MOST_LINES = 2000
"""Lines that are shown of one field; the rest is counted."""

SIGNS = {"same": " ", "removed": "−", "added": "+", "gap": "…"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a difference: `kind` is same, removed, added or gap (lines left out)."""

    kind: str
    text: str

    @property
    def sign(self) -> str:
        """The sign in front of the line; differences are read without colour."""
        return SIGNS[self.kind]


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs in one field."""

    field: str
    label: str
    lines: tuple[Line, ...]
    removed: int
    added: int

    @property
    def in_words(self) -> str:
        """How much differs: "1 line removed, 2 lines added"."""
        counts = ((self.removed, "removed"), (self.added, "added"))
        parts = [f"{n:,} line{'' if n == 1 else 's'} {verb}" for n, verb in counts if n]
        return ", ".join(parts)


def differences(old: SitePreferences, new: SitePreferences) -> tuple[Difference, ...]:
    """Return the fields that differ, in the order of the page."""
    return tuple(
        difference(field, getattr(old, field), getattr(new, field))
        for field in FIELDS
        if getattr(old, field) != getattr(new, field)
    )


def difference(field: str, old: Any, new: Any) -> Difference:
    """Return what differs between two values of `field`."""
    before, after = readable(field, old), readable(field, new)
    if before == after:  # the layout of the JSON only
        before, after = str(old), str(new)
    lines = list(_compared(split_lines(before), split_lines(after)))
    shown = lines[:MOST_LINES]
    if len(lines) > MOST_LINES:
        shown.append(Line("gap", f"{len(lines) - MOST_LINES:,} more lines"))
    return Difference(
        field=field,
        label=str(SitePreferences._meta.get_field(field).verbose_name),
        lines=tuple(shown),
        removed=sum(line.kind == "removed" for line in lines),
        added=sum(line.kind == "added" for line in lines),
    )


def readable(field: str, value: Any) -> str:
    """Return a value as people read it: a switch as on or off, nothing as "empty", JSON laid out.

    Text that is no JSON object stays as it is.
    """
    if isinstance(value, bool):
        return "on" if value else "off"
    if field == "s3_configuration" and isinstance(value, str):
        read = read_json(value)
        if not read.errors and isinstance(read.value, dict):
            return canonical(read.value)
    return "empty" if value in ("", None) else str(value)


def as_text(found: Iterable[Difference]) -> str:
    """Return differences for a terminal: + and - in front of the lines, fields by their label."""
    lines: list[str] = []
    for one in found:
        lines.append(f"{one.label} ({one.in_words})")
        for line in one.lines:
            sign = "-" if line.kind == "removed" else line.sign
            lines.append(f"  {sign} {line.text}".rstrip())
    return "\n".join(lines)


def _compared(old: list[str], new: list[str]) -> Iterator[Line]:
    end = 0
    for group in SequenceMatcher(None, old, new).get_grouped_opcodes(CONTEXT):
        yield from _between(old[end : group[0][1]])
        for kind, i1, i2, j1, j2 in group:
            if kind == "equal":
                yield from (Line("same", text) for text in old[i1:i2])
            else:
                yield from (Line("removed", text) for text in old[i1:i2])
                yield from (Line("added", text) for text in new[j1:j2])
        end = group[-1][2]
    yield from _between(old[end:])


def _between(unchanged: list[str]) -> Iterator[Line]:
    if len(unchanged) > 1:
        yield Line("gap", f"{len(unchanged):,} unchanged lines")
    else:
        yield from (Line("same", text) for text in unchanged)
