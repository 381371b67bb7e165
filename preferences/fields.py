"""The fields of Site Preferences: names, the product's labels, and their values as text."""

import difflib
from typing import Any

from preferences.models import SitePreferences

FIELDS = (
    "s3_configuration",
    "s3_bucket_for_replication",
    "s3_replication_delay",
    "s3_replication_ip_addresses",
    "storage_location",
    "verify_replica_copies",
)
"""The fields that people edit, in the order of the page."""

_ON = frozenset(("on", "true", "yes", "1"))
_OFF = frozenset(("off", "false", "no", "0"))


def label_of(field: str) -> str:
    """Return the product's label of a field of Site Preferences."""
    return str(SitePreferences._meta.get_field(field).verbose_name)


def field_named(name: str) -> str:
    """Return the field that `name` means: its own name or the product's label, in any case.

    Raises ValueError with a suggestion when there is none.
    """
    names = {field: field for field in FIELDS}
    names |= {label_of(field).lower(): field for field in FIELDS}
    found = names.get(name.strip().lower())
    if found is None:
        close = difflib.get_close_matches(name.strip().lower(), names, n=1)
        hint = f" Did you mean {names[close[0]]}?" if close else ""
        raise ValueError(
            f"“{name}” is not a field of Site Preferences.{hint} It has: {', '.join(FIELDS)}."
        )
    return found


def from_text(field: str, text: str) -> Any:
    """Return the value that `text` means for `field`, ready for `validation.validate`.

    `verify_replica_copies` is on or off (also true, yes, 1 and false, no, 0); what is neither is
    returned as it is, for `validate` to refuse. Addresses may have \\n between them, where a line
    feed is hard to write.
    """
    if field == "s3_replication_ip_addresses":
        return text.replace("\\n", "\n")
    if field != "verify_replica_copies":
        return text
    word = text.strip().lower()
    return True if word in _ON else False if word in _OFF else text


def to_text(value: Any) -> str:
    """Return a field's value as a person reads and types it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
