"""What is wrong with a set of preferences: one answer for the page and every other writer.

What cannot work is an error; everything else is a warning and saved all the same, so that an
example pasted from the documentation can be saved and completed.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from preferences import addresses
from preferences.reader import INVISIBLE_REMOVED, Path, ReadResult, canonical, read_json
from preferences.regions import REGIONS
from shotmedia.s3.config import (
    FIELDS,
    REQUIRED_FIELDS,
    BucketConfig,
    ConfigError,
    normalise_vpce,
    parse_endpoint_url,
    vpce_region,
)

MAX_NAME = 100
MAX_DELAY = 31_536_000
"""Seconds of a year."""
SHORT_DELAY = 60
MAX_ADDRESS_CHARACTERS = 524_288
MAX_ADDRESSES = 10_000
MOST_FINDINGS = 20
"""Findings listed per field and kind; the rest is counted."""

T = TypeVar("T")

DEFAULTS: dict[str, Any] = {
    "s3_configuration": "{}",
    "s3_bucket_for_replication": "",
    "s3_replication_delay": 60,
    "s3_replication_ip_addresses": "",
    "storage_location": "",
    "verify_replica_copies": True,
}

_VPCE = "s3_interface_vpc_endpoint_dns_name"
_PLACEHOLDER = re.compile(r"<[^<>]*>")
_HOST_NAME = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,63}")
_WHOLE_NUMBER = re.compile(r"[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Finding:
    """One error, warning or notice: its field, a whole sentence, and where in the field."""

    field: str
    message: str
    line: int = 0
    """Line of the field's text, counted from 1; 0 where lines mean nothing."""
    column: int = 0


@dataclass(frozen=True, slots=True)
class Validated:
    """Cleaned values and what there is to say about them. With `errors` nothing may be saved."""

    values: dict[str, Any]
    errors: tuple[Finding, ...]
    warnings: tuple[Finding, ...]
    notices: tuple[Finding, ...]
    """What was cleaned."""

    def errors_of(self, field: str) -> list[Finding]:
        """Return the errors of one field, in the order of its text."""
        return [error for error in self.errors if error.field == field]


class _Findings:
    def __init__(self) -> None:
        self.errors: list[Finding] = []
        self.warnings: list[Finding] = []
        self.notices: list[Finding] = []


def validate(values: Mapping[str, Any]) -> Validated:
    """Return `values` cleaned, with every error, warning and notice, sorted by place.

    `values` are as typed, by field name; a missing field has its default. Nothing is read from
    the database or from S3.
    """
    given = {**DEFAULTS, **values}
    found = _Findings()
    entries = _configuration(given, found)
    for field, label in (
        ("s3_bucket_for_replication", "S3 Bucket for Replication"),
        ("storage_location", "Storage Location"),
    ):
        _name(given, field, label, entries, found)
    _delay(given, found)
    _addresses(given, found)
    _verify(given, found)
    if entries is not None and not found.errors:
        _together(given, entries, found)
    return Validated(
        values={field: given[field] for field in DEFAULTS},
        errors=_limited(found.errors),
        warnings=_limited(found.warnings),
        notices=_limited(found.notices),
    )


def _configuration(given: dict[str, Any], found: _Findings) -> dict[str, Any] | None:
    """Check S3 Configuration; return its entries, None when it has errors."""
    field = "s3_configuration"
    result = read_json(str(given[field]))
    errors = [Finding(field, e.message, e.line, e.column) for e in result.errors]
    if not errors and not isinstance(result.value, dict):
        line = result.positions[()].value.line
        errors.append(
            Finding(field, f"Line {line}: the whole value must be a JSON object, {{ … }}.", line, 1)
        )
    if not errors:
        for name in result.value:
            _entry(name, result, errors, found.warnings)
    found.errors += sorted(errors, key=lambda error: (error.line, error.column))
    if errors:
        return None
    found.notices += [Finding(field, f"S3 Configuration: {notice}") for notice in result.notices]
    given[field] = canonical(result.value)
    return result.value


def _entry(name: str, result: ReadResult, errors: list[Finding], warnings: list[Finding]) -> None:
    entry = result.value[name]
    shown = addresses.shortened(name)

    def add(to: list[Finding], path: Path, sentence: str, *, at_value: bool = False) -> None:
        place = result.positions[path]
        line, column = place.value if at_value or place.name is None else place.name
        to.append(Finding("s3_configuration", f"Line {line}: {sentence}", line, column))

    if not (0 < len(name) <= MAX_NAME and name.isprintable() and name == name.strip()):
        add(
            errors,
            (name,),
            f'the name "{_printable(shown)}" must have 1 to {MAX_NAME} printable characters, '
            "without a space at its start or end.",
        )
        return
    if _PLACEHOLDER.fullmatch(name):
        add(warnings, (name,), _placeholder(name))
    if not isinstance(entry, dict):
        add(
            errors,
            (name,),
            f'"{shown}" must be an object with region, bucket, …',
            at_value=True,
        )
        return
    refused: set[str] = set()

    def refuse(field: str, sentence: str, *, at_value: bool = False) -> None:
        refused.add(field)
        path = (name, field) if (name, field) in result.positions else (name,)
        add(errors, path, sentence, at_value=at_value)

    for field, value in entry.items():
        if field not in FIELDS:
            refused.add(_unknown_field(shown, field, (name, field), errors, warnings, add))
        elif not isinstance(value, str):
            sentence = f'"{shown}": "{field}" must be text in double quotes.'
            refuse(field, sentence, at_value=True)
        elif _PLACEHOLDER.fullmatch(value.strip()):
            refused.add(field)
            add(warnings, (name, field), _placeholder(value.strip()), at_value=True)
        else:
            sentence = _host_fault(field, value.strip())
            if sentence:
                refuse(field, f'"{shown}": {sentence}', at_value=True)
    for field in REQUIRED_FIELDS:
        if field not in refused and not str(entry.get(field, "")).strip():
            refuse(field, f'"{shown}" has no "{field}".')
    try:
        config = BucketConfig.from_mapping(name, entry)
    except ConfigError as error:
        for field, sentence in error.problems:
            if field not in refused:
                refuse(field, f'"{shown}": {sentence}', at_value=True)
        return
    if not config.endpoint_url and config.region not in REGIONS:
        close = _closest(config.region, REGIONS) if len(warnings) < MOST_FINDINGS else ""
        hint = f" Did you mean “{close}”?" if close else ""
        sentence = f"“{config.region}” is not a region this site knows.{hint}"
        add(warnings, (name, "region"), sentence, at_value=True)
    region = vpce_region(normalise_vpce(config.s3_interface_vpc_endpoint_dns_name))
    if region and region != config.region:
        add(
            warnings,
            (name, _VPCE),
            f'"{shown}": the VPC endpoint is in {region}, but the bucket is in {config.region}.',
            at_value=True,
        )


def _unknown_field(
    shown: str,
    field: str,
    path: Path,
    errors: list[Finding],
    warnings: list[Finding],
    add: Any,
) -> str:
    """Report a field that the site does not know; return the known field that was meant, or ""."""
    label = _printable(addresses.shortened(field))
    # Past what is listed nothing is compared: a suggestion nobody sees may not cost time.
    close = _closest(field.lower(), FIELDS) if len(errors) < MOST_FINDINGS else ""
    if close:
        add(errors, path, f'"{shown}" has an unknown field "{label}". Did you mean "{close}"?')
    else:
        add(warnings, path, f'“{label}” in "{shown}" is not a field this site uses.')
    return close


def _host_fault(field: str, value: str) -> str:
    """Return what is wrong with a host or URL that the site would call, "" when nothing is.

    The names are typed by an admin, and the server connects to them: a VPC endpoint is a host
    name and nothing more, an endpoint URL may not carry log-in or path.
    """
    if not value:
        return ""
    if field == _VPCE and not _HOST_NAME.fullmatch(value.removeprefix("*.")):
        return (
            f"“{_printable(addresses.shortened(value, 100))}” must be a host name, without "
            "https:// and without a path."
        )
    if field == "endpoint_url":
        try:
            path = parse_endpoint_url(value.rstrip("/")).path
        except ConfigError:
            path = "?"
        if path:
            return (
                f"“{_printable(addresses.shortened(value, 100))}” must be http:// or https://, a "
                "host and perhaps a port, without user name and without a path."
            )
    return ""


def _name(
    given: dict[str, Any],
    field: str,
    label: str,
    entries: dict[str, Any] | None,
    found: _Findings,
) -> None:
    typed = str(given[field] or "")
    name = addresses.without_invisible(typed).strip()
    if addresses.has_invisible(typed):
        found.notices.append(Finding(field, f"{label}: {INVISIBLE_REMOVED}"))
    given[field] = name
    # While S3 Configuration is itself invalid nobody knows which names it has.
    if not name or entries is None or name in entries:
        return
    shown = _printable(addresses.shortened(name))
    message = f"“{shown}” is not in S3 Configuration."
    close = _closest(name, entries)
    if close:
        message += f" Did you mean “{close}”?"
    found.errors.append(Finding(field, f"{message} {_it_has(entries)}"))


def _it_has(names: Iterable[str]) -> str:
    names = list(names)
    if not names:
        return "It is empty: add a configuration first."
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"It has: {', '.join(names[:10])}{more}."


def _delay(given: dict[str, Any], found: _Findings) -> None:
    field = "s3_replication_delay"
    typed = given[field]
    text = "" if isinstance(typed, bool) else addresses.without_invisible(str(typed)).strip()
    if not _WHOLE_NUMBER.fullmatch(text):
        found.errors.append(Finding(field, "Enter a whole number of seconds, 0 or more."))
        return
    delay = int(text)
    if delay > MAX_DELAY:
        found.errors.append(
            Finding(field, f"Enter a whole number of seconds, at most {MAX_DELAY} (a year).")
        )
        return
    given[field] = delay


def _addresses(given: dict[str, Any], found: _Findings) -> None:
    field, label = "s3_replication_ip_addresses", "IP Adresses for S3 replication"
    typed = str(given[field] or "")
    if len(typed) > MAX_ADDRESS_CHARACTERS or addresses.count_entries(typed) > MAX_ADDRESSES:
        found.errors.append(
            Finding(field, f"The list is too long: it may have {MAX_ADDRESSES:,} entries.")
        )
        return
    if addresses.has_invisible(typed):
        found.notices.append(Finding(field, f"{label}: {INVISIBLE_REMOVED}"))
    text = addresses.without_invisible(typed)
    ranges, problems = addresses.parse_ranges(text)
    for problem in problems:
        to = found.notices if problem.correction else found.errors
        to.append(Finding(field, problem.message, problem.line))
    text = addresses.corrected(text, problems)
    given[field] = "\n".join(line.rstrip() for line in addresses.split_lines(text)).rstrip("\n")
    for network, match in ranges.entries:
        if network.prefixlen == 0:
            found.warnings.append(Finding(field, f"{match.text} includes everyone.", match.line))


def _verify(given: dict[str, Any], found: _Findings) -> None:
    field = "verify_replica_copies"
    if not isinstance(given[field], bool):
        found.errors.append(Finding(field, "Verify replica copies is either on or off."))


def _together(given: dict[str, Any], entries: dict[str, Any], found: _Findings) -> None:
    """Warn about values that are right by themselves and wrong together."""
    delay, replica = given["s3_replication_delay"], given["s3_bucket_for_replication"]
    location, verify = given["storage_location"], given["verify_replica_copies"]

    def warn(field: str, message: str) -> None:
        found.warnings.append(Finding(field, message))

    if delay < SHORT_DELAY and verify:
        warn(
            "s3_replication_delay",
            f"With {delay} seconds the replica is asked for files that may not have arrived; S3 "
            "may need up to 15 minutes.",
        )
    elif delay < SHORT_DELAY:
        warn(
            "s3_replication_delay",
            f"With {delay} seconds users may be sent to a file that has not arrived; S3 may need "
            "up to 15 minutes.",
        )
    if not location and len(entries) == 1:
        only = next(iter(entries))
        warn(
            "storage_location",
            f"Storage Location is empty, so nothing can be uploaded. Did you mean “{only}”?",
        )
    elif not location and entries:
        warn(
            "storage_location",
            "Storage Location is empty, so nothing can be uploaded: name the main configuration. "
            f"{_it_has(entries)}",
        )
    for field, name in (("storage_location", location), ("s3_bucket_for_replication", replica)):
        if name and _usable(name, entries[name]) is None:
            warn(field, f"“{name}” cannot be used before its placeholders are filled in.")
    if replica:
        if not given["s3_replication_ip_addresses"].strip():
            warn(
                "s3_replication_ip_addresses",
                "Users set to auto get the main bucket: the IP list is empty.",
            )
        for message in _pair_warnings(location, replica, entries):
            warn("s3_bucket_for_replication", message)


def _pair_warnings(location: str, replica: str, entries: dict[str, Any]) -> list[str]:
    if replica == location:
        return ["S3 Bucket for Replication is the main configuration."]
    first = _usable(location, entries[location]) if location else None
    second = _usable(replica, entries[replica])
    if first is None or second is None:
        return []
    if first.fingerprint == second.fingerprint:
        return [f"“{replica}” and “{location}” are the same place: there is no second copy."]
    if first.prefix != second.prefix:
        return [
            f"The prefixes differ: “{location}” has {_prefix(first)} and “{replica}” has "
            f"{_prefix(second)}. S3 replicates a file under the same key, so the replica's files "
            "are not found, unless a copier of your own renames them."
        ]
    return []


def _usable(name: str, entry: Any) -> BucketConfig | None:
    try:
        return BucketConfig.from_mapping(name, entry)
    except ConfigError:
        return None


def _prefix(config: BucketConfig) -> str:
    return f"“{config.prefix}”" if config.prefix else "none"


def _placeholder(text: str) -> str:
    return f"“{addresses.shortened(text)}” looks like a placeholder from the documentation."


def _closest(word: str, known: Iterable[str]) -> str:
    if len(word) > MAX_NAME:
        return ""
    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=0.75)), "")


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def limited(found: list[T], as_found: Callable[[str], T]) -> list[T]:
    """Return the first MOST_FINDINGS of `found`; `as_found` makes one of the words for the rest."""
    rest = len(found) - MOST_FINDINGS
    more = [as_found(f"{rest:,} more of this kind.")] if rest > 0 else []
    return found[:MOST_FINDINGS] + more


def _limited(findings: list[Finding]) -> tuple[Finding, ...]:
    kept: list[Finding] = []
    for field in DEFAULTS:
        of_field = sorted(
            (f for f in findings if f.field == field), key=lambda f: (f.line, f.column)
        )
        kept += limited(of_field, partial(Finding, field))
    return tuple(kept)
