"""What the next page says after a save of Site Preferences."""

from django.contrib import messages
from django.http import HttpRequest

from preferences.fields import FIELDS, label_of
from preferences.saving import Saved
from preferences.validation import Finding, Validated

MOST_WARNINGS_AS_MESSAGES = 3


def report(request: HttpRequest, saved: Saved, validated: Validated) -> None:
    """Say on the next page what was saved, what was cleaned, and what looks odd."""
    if saved.changes:
        messages.success(request, f"Site Preferences were saved (revision {saved.version}).")
    else:
        messages.info(request, "Nothing was changed.")
    for sentence in saved.moved:
        messages.info(request, sentence)
    for warning in saved.warnings:
        messages.warning(request, warning)
    for notice in validated.notices:
        messages.info(request, _labelled(notice))
    for field in FIELDS:
        warnings = [warning for warning in validated.warnings if warning.field == field]
        if len(warnings) > MOST_WARNINGS_AS_MESSAGES:
            text = f"{label_of(field)}: {len(warnings)} warnings, listed below the field."
            messages.warning(request, text)
        else:
            for warning in warnings:
                messages.warning(request, _labelled(warning))


def _labelled(finding: Finding) -> str:
    label = label_of(finding.field)
    if finding.message.startswith((label, f"“{label}")):
        return finding.message
    return f"{label}: {finding.message}"
