"""Preferences that the environment sets: `MEDIA_PREF_*` locks a field.

A locked value is written into the row when a process starts, as a revision of its own, and the row
alone is what the site reads. So the download's one statement, which joins on columns of the row,
needs to know nothing of the environment, and every process decides alike.
"""

import logging

from django.conf import settings
from django.db import DatabaseError

from preferences.fields import FIELDS, from_text
from preferences.models import PreferenceSource, SitePreferences
from preferences.saving import Conflict, Saved, read_row, save_preferences
from preferences.usage import checked
from preferences.validation import Finding, Validated, validate

logger = logging.getLogger(__name__)

TRIES = 5
"""Starting processes that write the same values at once: one wins, the others find it done."""


def variable_of(field: str) -> str:
    """Return the name of the environment variable that locks `field`."""
    return f"MEDIA_PREF_{field.upper()}"


def locked_fields() -> dict[str, str]:
    """Return the text of each locked field, in the order of the page."""
    return {f: settings.MEDIA_PREF[f] for f in FIELDS if f in settings.MEDIA_PREF}


def locked_message(field: str) -> str:
    """Return what is said where somebody would change a locked field."""
    return f"Set by the environment variable {variable_of(field)}. Change it there and restart."


def problems_of_locks() -> list[Finding]:
    """Return why the locked values can't be put in force with the row as it is, if they can't."""
    row = read_row()
    return list(_validated(row).errors)


def apply_locks() -> Saved | None:
    """Put the locked values in force; None when there are none or they are in force already.

    Values that don't validate change nothing, and are logged: a bad variable may not take the
    downloads down. `manage.py check --database default` names them (preferences.E004).
    """
    if not locked_fields():
        return None
    for _ in range(TRIES):
        row = read_row()
        validated = _validated(row)
        if validated.errors:
            for error in validated.errors:
                logger.error("not applied: %s: %s", variable_of(error.field), error.message)
            return None
        values = {field: validated.values[field] for field in locked_fields()}
        names = ", ".join(variable_of(field) for field in values)
        try:
            saved = save_preferences(
                values,
                row.version,
                None,
                source=PreferenceSource.ENVIRONMENT,
                comment=f"Set by {names}",
            )
        except Conflict:
            continue
        return saved if saved.changes else None
    logger.error("not applied: the preferences were saved by others at each try")
    return None


def apply_locks_at_start() -> None:
    """Put the locked values in force when a process starts that serves the site.

    A database that is away or not migrated yet stops nobody from starting: /readyz says so, and the
    values wait for the next start.
    """
    try:
        apply_locks()
    except DatabaseError:
        logger.exception("the values of MEDIA_PREF_* were not applied")


def _validated(row: SitePreferences) -> Validated:
    values = {field: getattr(row, field) for field in FIELDS}
    locked = {f: from_text(f, text) for f, text in locked_fields().items()}
    return checked(validate(values | locked), row)
