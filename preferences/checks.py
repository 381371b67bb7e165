"""System checks: settings, and the stored preferences (with `check --database default`)."""

import difflib
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import WARNING, CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, DatabaseError

from preferences import addresses, locks, snapshot
from preferences.models import SitePreferences
from preferences.saving import lock_problems
from preferences.validation import Finding


@register(Tags.database)
def stored_preferences(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """preferences.E001: something in the saved Site Preferences can't be read.

    Only with a database to look at; says nothing while the table or a column is missing, which is
    the migrations' business.
    """
    if not databases or DEFAULT_DB_ALIAS not in databases:
        return []
    try:
        row = SitePreferences.objects.filter(pk=1).first()
    except DatabaseError:
        return []
    return [
        Error(
            f"Site Preferences, revision {row.version}: {problem}",
            hint="Correct it on the page /preferences; until then it is left out. "
            "(`migrate --skip-checks` migrates all the same.)",
            id="preferences.E001",
        )
        for problem in (snapshot.unreadable(row) if row else ())
    ]


@register(Tags.files)
def media_root_is_unset(**kwargs: Any) -> list[CheckMessage]:
    """preferences.E002: MEDIA_ROOT must stay unset."""
    if not settings.MEDIA_ROOT:
        return []
    return [
        Error(
            "MEDIA_ROOT is set, but media lives in S3 only.",
            hint="Remove MEDIA_ROOT from the settings: “media” is a Python package here, and "
            "uploads would land among its code.",
            id="preferences.E002",
        )
    ]


@register(Tags.security)
def trusted_proxies_are_addresses(**kwargs: Any) -> list[CheckMessage]:
    """preferences.E003: TRUSTED_PROXIES holds something else than addresses and ranges."""
    try:
        addresses.trusted_proxies()
    except ImproperlyConfigured as error:
        return [
            Error(
                str(error),
                hint="List the addresses of your own proxies, separated by commas.",
                id="preferences.E003",
            )
        ]
    return []


@register()
def locks_are_valid(**kwargs: Any) -> list[CheckMessage]:
    """preferences.E004: a MEDIA_PREF_… variable has a value that Site Preferences refuse."""
    return [_bad_lock(problem) for problem in locks.problems()]


@register(Tags.database)
def locks_fit_what_is_stored(
    databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """preferences.E004: likewise, together with what is saved; only with a database to look at."""
    if not databases or DEFAULT_DB_ALIAS not in databases or locks.problems():
        return []
    try:
        row = SitePreferences.objects.filter(pk=1).first()
    except DatabaseError:
        return []
    return [_bad_lock(problem) for problem in lock_problems(row or SitePreferences(pk=1))]


@register()
def lock_names_are_known(**kwargs: Any) -> list[CheckMessage]:
    """preferences.W005: a MEDIA_PREF_… variable is not one that this site reads."""
    found = []
    for name in settings.UNKNOWN_PREFERENCE_LOCKS:
        field = name.removeprefix("MEDIA_PREF_").lower()
        close = difflib.get_close_matches(field, settings.PREFERENCE_LOCKS, n=1)
        hint = "Correct or unset it, and restart. There are: "
        hint += ", ".join(map(locks.variable_of, settings.PREFERENCE_LOCKS)) + "."
        if close:
            hint = f"Did you mean {locks.variable_of(close[0])}? Correct or unset it, and restart."
        found.append(
            CheckMessage(WARNING, f"{name} fixes no preference.", hint=hint, id="preferences.W005")
        )
    return found


def _bad_lock(problem: Finding) -> CheckMessage:
    return Error(
        locks.described(problem),
        hint="Correct or unset the variable and restart. Until then none of the MEDIA_PREF_… "
        "variables is applied, and the site goes on with the preferences that are saved.",
        id="preferences.E004",
    )
