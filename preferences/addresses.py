"""Addresses: the list in `IP Adresses for S3 replication`, and the address a request came from."""

import ipaddress
import re
import socket
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

MAX_HOPS = 20

_INVISIBLE = re.compile("[\u200b-\u200d\u2060\ufeff\u00ad]")
_ENTRY = re.compile(r"[^\s,;]+")
_CIDR = re.compile(r"(?P<address>[^/]+)(?:/(?P<bits>[0-9]{1,3}))?", re.ASCII)
_FORWARDED_FOR = re.compile(r'\s*for\s*=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*)\s*', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Match:
    """The entry of the list that contains an address."""

    text: str
    """The entry as typed, such as "10.20.0.0/16"."""
    line: int
    """Its line in the preference, counted from 1."""


@dataclass(frozen=True, slots=True)
class AddressProblem:
    """What is wrong with one entry; with a `correction` it is a notice, else an error."""

    line: int
    text: str
    message: str
    correction: str = ""


class AddressRanges:
    """Address ranges that are quick to search: outermost ranges only, bisected on integers."""

    __slots__ = ("_v4", "_v6", "entries")

    def __init__(self, entries: list[tuple[ipaddress._BaseNetwork, Match]]) -> None:
        self.entries = tuple(entries)
        self._v4 = _merged(entries, 4)
        self._v6 = _merged(entries, 6)

    def __bool__(self) -> bool:
        return bool(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def find(self, address: str) -> Match | None:
        """Return the entry that contains `address`, or None.

        `address` is text as of `client_address`; IPv4-mapped IPv6 is unmapped. Where entries
        overlap, the widest one is named. Text that is no address is in no range.
        """
        try:
            number = int.from_bytes(socket.inet_pton(socket.AF_INET, address))
            starts, ends, matches = self._v4
        except OSError:
            try:
                number = int.from_bytes(
                    socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
                )
            except (OSError, ValueError):
                return None
            if number >> 32 == 0xFFFF:
                number &= 0xFFFFFFFF
                starts, ends, matches = self._v4
            else:
                starts, ends, matches = self._v6
        except ValueError:
            return None
        index = bisect_right(starts, number) - 1
        if index >= 0 and number <= ends[index]:
            return matches[index]
        return None


def parse_ranges(text: str) -> tuple[AddressRanges, list[AddressProblem]]:
    """Return the ranges in `text`, and what is wrong with it, in the order of the lines.

    One address or CIDR range per line, IPv4 or IPv6; several on a line may be separated by commas,
    semicolons or spaces. Host bits are corrected ("10.20.0.1/16" is read as "10.20.0.0/16") and
    reported as a problem with a correction. An entry that can't be read is left out and reported.
    """
    entries: list[tuple[ipaddress._BaseNetwork, Match]] = []
    problems: list[AddressProblem] = []
    for line, typed in _entries(text):
        network = _network(typed)
        if network is None:
            problems.append(AddressProblem(line, typed, _unreadable(typed, line)))
            continue
        if network.corrected:
            problems.append(
                AddressProblem(
                    line,
                    typed,
                    f"Line {line}: {typed} has host bits set; it was changed to {network.text}.",
                    network.text,
                )
            )
        entries.append((network.network, Match(network.text, line)))
    return AddressRanges(entries), problems


def corrected(text: str, problems: list[AddressProblem]) -> str:
    """Return `text` with the corrections of `problems` made, every other character kept."""
    corrections = {(p.line, p.text): p.correction for p in problems if p.correction}
    lines = split_lines(text)
    for number in {line for line, _ in corrections}:

        def replacement(found: re.Match, number: int = number) -> str:
            typed = _INVISIBLE.sub("", found[0])
            return corrections.get((number, typed), found[0])

        lines[number - 1] = _ENTRY.sub(replacement, lines[number - 1])
    return "\n".join(lines)


def count_entries(text: str) -> int:
    """Return how many entries `text` has, readable or not."""
    return sum(1 for _ in _ENTRY.finditer(text))


def has_invisible(text: str) -> bool:
    """Say whether `text` holds zero-width characters, as found in text pasted from a web page."""
    return bool(_INVISIBLE.search(text))


def without_invisible(text: str) -> str:
    """Return `text` without zero-width characters."""
    return _INVISIBLE.sub("", text)


def split_lines(text: str) -> list[str]:
    """Return the lines of `text`; CRLF, CR and LF each end one."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def plain_address(text: str) -> str:
    """Return an address in its shortest form, IPv4-mapped IPv6 unmapped, or "" for no address.

    Brackets, a port and a zone id are dropped: "[2001:db8::1]:4711" is "2001:db8::1".
    """
    text = text.strip().strip('"').strip()
    if text.startswith("["):
        text, closed, rest = text[1:].partition("]")
        if not closed or (rest and not _is_port(rest)):
            return ""
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port(f":{port}"):
            return ""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    return str(getattr(address, "ipv4_mapped", None) or address)


def client_address(request: HttpRequest) -> str:
    """Return the address that the request came from; "" when the server does not know it.

    REMOTE_ADDR, unless it is one of settings.TRUSTED_PROXIES (or empty: a unix socket, which only
    our own proxy can open). Then settings.CLIENT_ADDRESS_HEADER is read from the right, over
    trusted addresses, at most 20 of them; the first other is the client. What can't be parsed
    ends the walk at the last address that a trusted proxy vouched for. Both settings are read at
    each call, and parsed once per value.
    """
    meta = request.META
    peer = meta.get("REMOTE_ADDR") or ""
    if ":" in peer:
        peer = plain_address(peer) or peer
    trusted = trusted_proxies()
    if peer and not (trusted and trusted.find(peer)):
        return peer
    header = settings.CLIENT_ADDRESS_HEADER
    value = meta.get("HTTP_" + header.upper().replace("-", "_"))
    if not value:
        return peer
    hops = forwarded_for(value) if header.lower() == "forwarded" else value.split(",")
    answer = peer
    for hop in hops[: -MAX_HOPS - 1 : -1]:
        address = plain_address(hop or "")
        if not address:
            break
        answer = address
        if not trusted.find(address):
            break
    return answer


def trusted_proxies() -> AddressRanges:
    """Return settings.TRUSTED_PROXIES, parsed once per value.

    Raises ImproperlyConfigured for an entry that is no address or range.
    """
    return _trusted_proxies(tuple(settings.TRUSTED_PROXIES))


def forwarded_for(value: str) -> list[str | None]:
    """Return what each element of a Forwarded header says in "for", left to right (RFC 7239).

    An element without "for" is None. Commas and semicolons inside quotes separate nothing.
    """
    hops: list[str | None] = []
    for element in _split_outside_quotes(value, ","):
        found = None
        for pair in _split_outside_quotes(element, ";"):
            matched = _FORWARDED_FOR.fullmatch(pair)
            if matched:
                found = re.sub(r"\\(.)", r"\1", matched[1].strip('"'))
                break
        hops.append(found)
    return hops


@dataclass(frozen=True, slots=True)
class _Network:
    network: ipaddress._BaseNetwork
    text: str
    corrected: bool


def _entries(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(split_lines(_INVISIBLE.sub("", text)), start=1):
        for found in _ENTRY.finditer(line):
            yield number, found[0]


def _network(typed: str) -> _Network | None:
    parts = _CIDR.fullmatch(typed)
    if not parts:
        return None
    try:
        network = ipaddress.ip_network(typed, strict=False)
    except ValueError:
        return None
    host_bits = ipaddress.ip_address(parts["address"]) != network.network_address
    text = str(network) if host_bits else typed
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped and network.prefixlen >= 96:
        network = ipaddress.ip_network(f"{mapped}/{network.prefixlen - 96}")
    return _Network(network, text, host_bits)


def _unreadable(typed: str, line: int) -> str:
    message = (
        f"Line {line}: “{shortened(typed)}” is not an IP address or a CIDR range such as "
        "10.20.0.0/16."
    )
    try:
        meant = ipaddress.ip_network(typed, strict=False)
    except ValueError:
        return message
    return f"{message} Did you mean {meant}?"


def shortened(text: str, length: int = 60) -> str:
    """Return `text`, cut to `length` characters with an ellipsis, for use in a message."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _merged(
    entries: list[tuple[ipaddress._BaseNetwork, Match]], version: int
) -> tuple[list[int], list[int], list[Match]]:
    # CIDR ranges nest or are apart, so dropping the nested ones leaves them disjoint. Neighbours
    # are not joined: the reason of a decision quotes the entry as it was typed.
    found = sorted(
        (
            (int(network.network_address), int(network.broadcast_address), match)
            for network, match in entries
            if network.version == version
        ),
        key=lambda item: (item[0], -item[1], item[2].line),
    )
    starts: list[int] = []
    ends: list[int] = []
    matches: list[Match] = []
    for start, end, match in found:
        if ends and start <= ends[-1]:
            continue
        starts.append(start)
        ends.append(end)
        matches.append(match)
    return starts, ends, matches


def _is_port(text: str) -> bool:
    return text[:1] == ":" and text[1:].isascii() and text[1:].isdigit()


def _split_outside_quotes(text: str, separator: str) -> list[str]:
    parts, start, quoted, position = [], 0, False, 0
    while position < len(text):
        character = text[position]
        if quoted and character == "\\":
            position += 1
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    parts.append(text[start:])
    return parts


@lru_cache(maxsize=8)
def _trusted_proxies(entries: tuple[str, ...]) -> AddressRanges:
    ranges, problems = parse_ranges("\n".join(entries))
    errors = [problem.text for problem in problems if not problem.correction]
    if errors:
        raise ImproperlyConfigured(
            f"TRUSTED_PROXIES: {', '.join(errors)} is not an IP address or a CIDR range such as "
            "10.0.0.0/8."
        )
    return ranges
