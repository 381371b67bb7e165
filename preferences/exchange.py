"""Site Preferences as a file, and fields by the names that people use. Pure."""

import difflib
import json
import re
from collections.abc import Mapping
from typing import Any

from preferences.models import SitePreferences
from preferences.reader import canonical, read_json
from preferences.validation import DEFAULTS

CONFIGURATION = "s3_configuration"
ALSO_KNOWN_AS = {
    "replication_delay": "s3_replication_delay",
    "ip_addresses_for_s3_replication": "s3_replication_ip_addresses",
}
"""Names from the product's documentation besides its labels, as `_key` writes them."""


class ExchangeError(Exception):
    """A name or a file that can't be used; the message says why and what would be right."""


def field_named(name: str) -> str:
    """Return the field that `name` means: its own name or the product's label, in any case.

    Raises ExchangeError, with the names there are, for any other.
    """
    known = {field: field for field in DEFAULTS} | ALSO_KNOWN_AS
    for field in DEFAULTS:
        known[_key(str(SitePreferences._meta.get_field(field).verbose_name))] = field
    key = _key(name)
    if key in known:
        return known[key]
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.7)
    hint = f"Did you mean {known[close[0]]}?" if close else f"There are: {', '.join(DEFAULTS)}."
    raise ExchangeError(f"“{name}” is not a preference. {hint}")


def exported(values: Mapping[str, Any]) -> str:
    """Return `values` as a JSON file that `imported` reads back to the last byte.

    S3 Configuration is an object in it where its text is as the site writes it, which every saved
    one is; else the text itself.
    """
    written = dict(values)
    text = written.get(CONFIGURATION, "")
    read = read_json(text)
    if not read.errors and isinstance(read.value, dict) and canonical(read.value) == text:
        written[CONFIGURATION] = read.value
    return json.dumps(written, indent=4, ensure_ascii=False) + "\n"


def imported(text: str) -> dict[str, Any]:
    """Return the values in a file of `exported`, by field, as typed: they are yet to be validated.

    Raises ExchangeError when it is no JSON object of preferences.
    """
    try:
        values = json.loads(text.removeprefix("\ufeff"), object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        place = f"Line {error.lineno}, column {error.colno}"
        raise ExchangeError(f"{place}: this is not JSON ({error.msg}).") from None
    except RecursionError:
        raise ExchangeError("This is not a file of preferences: it is nested too deep.") from None
    if not isinstance(values, dict):
        raise ExchangeError("The file must hold a JSON object, as `preferences export` writes it.")
    unknown = [name for name in values if name not in DEFAULTS]
    if unknown:
        raise ExchangeError(f"Not preferences: {', '.join(unknown)}.")
    try:
        json.dumps(values, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ExchangeError("It holds half of a character (a lone \\ud8…); remove it.") from None
    if isinstance(values.get(CONFIGURATION), dict):
        values[CONFIGURATION] = canonical(values[CONFIGURATION])
    for field, default in DEFAULTS.items():
        if isinstance(default, str) and not isinstance(values.get(field, ""), str):
            raise ExchangeError(f"“{field}” must be text in double quotes.")
    return values


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ExchangeError(f"“{name}” appears twice.")
        found[name] = value
    return found
