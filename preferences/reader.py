"""A JSON reader for text that people paste: forgiving where that is safe, exact in its messages.

It accepts what JSON (RFC 8259) allows, and besides one comma after the last entry and the invisible
characters that come along from web pages. Both are reported. Names that appear twice are errors.
Comments, single quotes and NaN are not accepted: they would not survive an export.
"""

import json
import math
import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, NamedTuple

MAX_BYTES = 65_536
MAX_DEPTH = 4

INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad"
ODD_SPACES = "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
ODD_SPACES += "\u2028\u2029\u202f\u3000"

COMMA_REMOVED = "a comma after the last entry was removed."
INVISIBLE_REMOVED = "invisible characters, as found in text pasted from a web page, were removed."

Path = tuple[str | int, ...]

_JSON_SPACE = " \t\r\n"
_SKIPPED = re.compile(f"[{_JSON_SPACE}{INVISIBLE}{ODD_SPACES}]*")
_LINE_END = re.compile(r"\r\n|\r|\n")
_PLAIN_TEXT = re.compile(r'[^"\\\x00-\x1f]*')
_NUMBER = re.compile(r"(-?(?:0|[1-9][0-9]*))(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_HEX = re.compile(r"[0-9A-Fa-f]{4}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPES = {
    '"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"
}  # fmt: skip
_WRONG_QUOTES = "'`´‘’‚“”„«»‹›"
_WORDS = {"true": True, "false": False, "null": None}


class Position(NamedTuple):
    """A place in the text; both count from 1."""

    line: int
    column: int


class Place(NamedTuple):
    """Where the name and the value of an entry stand; an array's entry has no name."""

    name: Position | None
    value: Position


class Problem(NamedTuple):
    """An error: a whole sentence that begins with its place, and the place as numbers."""

    message: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class ReadResult:
    """What was read. With `errors` the value is None."""

    value: Any
    errors: tuple[Problem, ...]
    notices: tuple[str, ...]
    """What was cleaned, each a sentence that begins in lower case ("a comma … was removed.")."""
    positions: dict[Path, Place]
    """By path, such as ("main", "region"); () is the whole value."""


def read_json(text: str) -> ReadResult:
    """Read `text` as JSON; never raises.

    Empty text is an empty object. At most 64 KB (of UTF-8) and 4 levels deep. Lines end with LF,
    CRLF or CR. Of several names that appear twice each is reported; after any other error reading
    stops.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        message = f"The text is too long: it has {size:,} bytes and may have {MAX_BYTES:,}."
        return ReadResult(None, (Problem(message, 1, 1),), (), {})
    return _Reader(text).read()


def canonical(value: Any) -> str:
    """Return `value` as the JSON text that is stored: 4 spaces, order kept, no ASCII escapes.

    Half surrogate pairs stay escaped: no database can store them.
    """
    return escaped(json.dumps(value, indent=4, ensure_ascii=False))


def escaped(text: str) -> str:
    """Return `text` with half surrogate pairs as JSON writes them: no page shows them as such."""
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


class _SyntaxFault(Exception):
    def __init__(self, offset: int, message: str) -> None:
        self.offset = offset
        self.message = message


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text.removeprefix("\ufeff")
        self._starts = [0, *(found.end() for found in _LINE_END.finditer(self._text))]
        self._at = 0
        self._last = 0
        """Where the last token ended."""
        self._invisible = text.startswith("\ufeff")
        self._comma = False
        self._duplicates: list[Problem] = []
        self._positions: dict[Path, Place] = {}

    def read(self) -> ReadResult:
        try:
            value = self._document()
        except _SyntaxFault as fault:
            line, column = self._position(fault.offset)
            problem = Problem(f"Line {line}, column {column}: {fault.message}", line, column)
            errors = (*self._duplicates, problem)
        else:
            errors = tuple(self._duplicates)
        if errors:
            return ReadResult(None, errors, (), {})
        notices = (COMMA_REMOVED,) * self._comma + (INVISIBLE_REMOVED,) * self._invisible
        return ReadResult(value, (), notices, self._positions)

    def _document(self) -> Any:
        if not self._peek():
            self._positions[()] = Place(None, self._position(0))
            return {}
        self._positions[()] = Place(None, self._position(self._at))
        value = self._value((), 1)
        if self._peek():
            if not isinstance(value, dict):
                raise _SyntaxFault(self._at, "extra text after the end of the value.")
            raise _SyntaxFault(self._at, "extra text after the end of the object.")
        return value

    def _position(self, offset: int) -> Position:
        line = bisect_right(self._starts, offset)
        return Position(line, offset - self._starts[line - 1] + 1)

    def _peek(self) -> str:
        # The next character that counts, "" at the end.
        end = _SKIPPED.match(self._text, self._at).end()
        if end > self._at:
            if self._text[self._at : end].strip(_JSON_SPACE):
                self._invisible = True
            self._at = end
        return self._text[end : end + 1]

    def _take(self, length: int) -> None:
        self._at += length
        self._last = self._at

    def _value(self, path: Path, depth: int) -> Any:
        character = self._peek()
        if character == '"':
            return self._string()
        if character in ("{", "["):
            if depth > MAX_DEPTH:
                raise _SyntaxFault(self._at, f"nested deeper than {MAX_DEPTH} levels.")
            read = self._object if character == "{" else self._array
            return read(path, depth)
        if not character:
            raise _SyntaxFault(self._last, "the text ends too early; a value is missing here.")
        if character in _WRONG_QUOTES:
            raise _SyntaxFault(self._at, 'use straight double quotes (") around text.')
        found = _NUMBER.match(self._text, self._at)
        if found:
            return self._number(found)
        for word, value in _WORDS.items():
            if self._text.startswith(word, self._at):
                self._take(len(word))
                return value
        raise _SyntaxFault(self._at, f"unexpected {_quoted(character)}; expected a value.")

    def _number(self, found: re.Match) -> int | float:
        try:
            number = float(found[0]) if found[2] or found[3] else int(found[0])
        except ValueError as error:  # int() refuses thousands of digits
            raise _SyntaxFault(self._at, "this number is too long.") from error
        if isinstance(number, float) and math.isinf(number):
            raise _SyntaxFault(self._at, "this number is too large.")
        self._take(len(found[0]))
        return number

    def _object(self, path: Path, depth: int) -> dict[str, Any]:
        opened = self._at
        self._take(1)
        entries: dict[str, Any] = {}
        lines: dict[str, int] = {}
        after_comma = False
        while True:
            character = self._peek()
            if character == "}":
                self._comma |= after_comma
                self._take(1)
                return entries
            self._refuse_no_entry(character, opened, after_comma)
            if character in _WRONG_QUOTES:
                raise _SyntaxFault(self._at, 'use straight double quotes (") around the name.')
            if character != '"':
                raise _SyntaxFault(
                    self._at,
                    f"unexpected {_quoted(character)}; expected a name in double quotes.",
                )
            position = self._position(self._at)
            name = self._string()
            if name in lines:
                self._duplicates.append(
                    Problem(
                        f"Line {position.line}, column {position.column}: {_named(name)} appears "
                        f"twice; the first is on line {lines[name]}.",
                        *position,
                    )
                )
            lines.setdefault(name, position.line)
            if self._peek() != ":":
                at = self._at if self._peek() else self._last
                raise _SyntaxFault(at, f'expected ":" after {_named(name)}.')
            self._take(1)
            self._peek()
            here = (*path, name)
            self._positions[here] = Place(position, self._position(self._at))
            entries[name] = self._value(here, depth + 1)
            after_comma = self._comma_or_end(opened, "}")

    def _array(self, path: Path, depth: int) -> list[Any]:
        opened = self._at
        self._take(1)
        entries: list[Any] = []
        after_comma = False
        while True:
            character = self._peek()
            if character == "]":
                self._comma |= after_comma
                self._take(1)
                return entries
            self._refuse_no_entry(character, opened, after_comma)
            here = (*path, len(entries))
            self._positions[here] = Place(None, self._position(self._at))
            entries.append(self._value(here, depth + 1))
            after_comma = self._comma_or_end(opened, "]")

    def _refuse_no_entry(self, character: str, opened: int, after_comma: bool) -> None:
        if not character:
            raise self._never_closed(opened)
        if character == "," and after_comma:
            raise _SyntaxFault(self._at, "two commas in a row.")

    def _comma_or_end(self, opened: int, closing: str) -> bool:
        character = self._peek()
        if character == ",":
            self._take(1)
            return True
        if character == closing:
            return False
        if not character:
            raise self._never_closed(opened)
        if character in '"{[-' + _WRONG_QUOTES or character.isalnum():
            raise _SyntaxFault(self._last, "a comma is missing after the previous entry.")
        raise _SyntaxFault(
            self._at, f'unexpected {_quoted(character)}; expected a comma or "{closing}".'
        )

    def _never_closed(self, opened: int) -> _SyntaxFault:
        bracket = self._text[opened]
        closing = {"{": "}", "[": "]"}[bracket]
        return _SyntaxFault(opened, f"this {bracket} is never closed; add a {closing}.")

    def _string(self) -> str:
        opened = self._at
        at = opened + 1
        parts: list[str] = []
        text = self._text
        while True:
            found = _PLAIN_TEXT.match(text, at)
            parts.append(found[0])
            at = found.end()
            character = text[at : at + 1]
            if character == '"':
                break
            if character in ("", "\n", "\r"):
                raise _SyntaxFault(opened, "this text has no closing quote.")
            if character != "\\":
                raise _SyntaxFault(
                    at, f"text must not hold the control character \\u{ord(character):04x} as such."
                )
            part, at = self._escape(at)
            parts.append(part)
        self._at = opened
        self._take(at + 1 - opened)
        return self._without_invisible_ends("".join(parts), text[opened + 1 : at])

    def _escape(self, at: int) -> tuple[str, int]:
        character = self._text[at + 1 : at + 2]
        if character in _ESCAPES:
            return _ESCAPES[character], at + 2
        if character == "u":
            found = _HEX.match(self._text, at + 2)
            if not found:
                raise _SyntaxFault(at, "\\u must be followed by four hexadecimal digits.")
            code, end = int(found[0], 16), found.end()
            if 0xD800 <= code <= 0xDBFF and self._text.startswith("\\u", end):
                second = _HEX.match(self._text, end + 2)
                low = int(second[0], 16) if second else 0
                if 0xDC00 <= low <= 0xDFFF:
                    pair = 0x10000 + ((code - 0xD800) << 10 | (low - 0xDC00))
                    return chr(pair), second.end()
            return chr(code), end
        raise _SyntaxFault(at, "a backslash in text is written \\\\.")

    def _without_invisible_ends(self, value: str, source: str) -> str:
        leading = len(source) - len(source.lstrip(INVISIBLE))
        trailing = len(source) - len(source.rstrip(INVISIBLE))
        if not leading and not trailing:
            return value
        self._invisible = True
        return value[leading : max(leading, len(value) - trailing)]


def _quoted(character: str) -> str:
    if character.isprintable():
        return f"'{character}'"
    return f"U+{ord(character):04X}"


def _named(name: str) -> str:
    shown = name if len(name) <= 60 else name[:59] + "…"
    return json.dumps(shown, ensure_ascii=not shown.isprintable())
