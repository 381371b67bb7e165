"""The tolerant JSON reader: what it accepts, what it cleans, and its words."""

import json
import re
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from preferences.reader import (
    COMMA_REMOVED,
    INVISIBLE,
    INVISIBLE_REMOVED,
    MAX_BYTES,
    MAX_DEPTH,
    ODD_SPACES,
    canonical,
    read_json,
)

FAULTS = [
    ('{"a": 1 "b": 2}', "Line 1, column 8: a comma is missing after the previous entry."),
    ('{"a": "x"\n "b": 2}', "Line 1, column 10: a comma is missing after the previous entry."),
    ("{", "Line 1, column 1: this { is never closed; add a }."),
    ('{"a": [1', "Line 1, column 7: this [ is never closed; add a ]."),
    ("{\n'a': 1}", 'Line 2, column 1: use straight double quotes (") around the name.'),
    ('{\n "a": “x”}', 'Line 2, column 7: use straight double quotes (") around text.'),
    ('{"a": "x', "Line 1, column 7: this text has no closing quote."),
    ('{"a":\r\n "x\r\n"}', "Line 2, column 2: this text has no closing quote."),
    ('{"a": 1,, "b": 2}', "Line 1, column 9: two commas in a row."),
    ('{"a": 1}\n\nx', "Line 3, column 1: extra text after the end of the object."),
    ('{"main" 1}', 'Line 1, column 9: expected ":" after "main".'),
    ('{"main":', "Line 1, column 9: the text ends too early; a value is missing here."),
    ('{"main":nan}', "Line 1, column 9: unexpected 'n'; expected a value."),
    ('{"main":}', "Line 1, column 9: unexpected '}'; expected a value."),
    ("{main: 1}", "Line 1, column 2: unexpected 'm'; expected a name in double quotes."),
    ("{,}", "Line 1, column 2: unexpected ','; expected a name in double quotes."),
    ('{"a": [1}', "Line 1, column 9: unexpected '}'; expected a comma or \"]\"."),
    ('{"a": "\\x"}', "Line 1, column 8: a backslash in text is written \\\\."),
    ('{"a": "\\u12"}', "Line 1, column 8: \\u must be followed by four hexadecimal digits."),
    (
        '{"a": "x\ty"}',
        "Line 1, column 9: text must not hold the control character \\u0009 as such.",
    ),
    ('{"a": ' + "9" * 5000 + "}", "Line 1, column 7: this number is too long."),
    ('{"a": 1e999}', "Line 1, column 7: this number is too large."),
    ('{"a":{"b":{"c":{"d":{}}}}}', "Line 1, column 21: nested deeper than 4 levels."),
    ("{// x\n}", "Line 1, column 2: unexpected '/'; expected a name in double quotes."),
]


@pytest.mark.parametrize(("text", "message"), FAULTS)
def test_faults_are_named_with_line_and_column(text, message):
    result = read_json(text)
    assert [error.message for error in result.errors] == [message]
    assert message.startswith(f"Line {result.errors[0].line}, column {result.errors[0].column}: ")
    assert result.value is None


def test_names_that_appear_twice_are_all_named_with_both_lines():
    text = '{\n"main": {},\n    "sydney": {"region": "", "region": ""},\n  "main": {}\n}'
    assert [error.message for error in read_json(text).errors] == [
        'Line 3, column 30: "region" appears twice; the first is on line 3.',
        'Line 4, column 3: "main" appears twice; the first is on line 2.',
    ]


def test_names_are_compared_after_cleaning():
    assert "appears twice" in read_json('{"a": 1, "a\u200b": 2}').errors[0].message


def test_a_comma_after_the_last_entry_is_removed_and_reported():
    result = read_json('{"a": [1, 2,],}')
    assert result.value == {"a": [1, 2]}
    assert result.notices == (COMMA_REMOVED,)


@pytest.mark.parametrize("odd", [*INVISIBLE, *ODD_SPACES])
def test_odd_characters_outside_text_count_as_space_and_are_reported_once(odd):
    result = read_json(f'{odd}{{{odd}"a"{odd}:\n{odd}1{odd}}}{odd}')
    assert result.value == {"a": 1}
    assert result.notices == (INVISIBLE_REMOVED,)


def test_invisible_ends_of_text_are_stripped_and_the_inside_is_kept():
    result = read_json('{"\u200ba\u200bb\ufeff": "\u200b", "c": "\u00ad\u2060x\\u200b"}')
    assert result.value == {"a\u200bb": "", "c": "x\u200b"}
    assert result.notices == (INVISIBLE_REMOVED,)


def test_plain_text_is_read_without_a_notice():
    result = read_json('\t{ "a" : "x y" }\r\n')
    assert (result.value, result.notices) == ({"a": "x y"}, ())


@pytest.mark.parametrize("text", ["", " \r\n", "\ufeff", "\u200b"])
def test_empty_text_is_an_empty_object(text):
    assert read_json(text).value == {}


def test_positions_of_names_and_values():
    result = read_json('{\r\n  "main": {\r\n    "region":\r      "x"}}')
    assert result.positions[("main",)] == ((2, 3), (2, 11))
    assert result.positions[("main", "region")] == ((3, 5), (4, 7))
    assert result.positions[()] == (None, (1, 1))


def test_text_beyond_64_kb_is_refused_in_words():
    result = read_json('"' + "é" * 32_768 + '"')
    assert [error.message for error in result.errors] == [
        "The text is too long: it has 65,538 bytes and may have 65,536."
    ]


SLOW_CANDIDATES = {
    "open braces": "{" * 65_536,
    "nested names": '{"a":' * 13_000,
    "one long text": '"' + "a" * 65_000 + '"',
    "escapes": '"' + "\\u0041" * 10_900 + '"',
    "backslashes": '"' + "\\\\" * 32_000 + '"',
    "no closing quote": '"' + '\\"' * 32_000,
    "invisible": "\u200b" * 21_000,
    "spaces, then a fault": " " * 65_000 + "x",
    "line ends": "\n" * 65_000 + "}",
    "many entries": "{" + ",".join(f'"k{n}":1' for n in range(6_000)) + "}",
    "all twice": "{" + ",".join('"k":1' for _ in range(9_000)) + "}",
    "commas": "[" + "1," * 32_000 + "]",
    "digits": "[" + "1" * 65_000 + "]",
    "exponent": "[1e" + "9" * 65_000 + "]",
    "invisible ends": '{"' + "\u200b" * 10_000 + "a" + "\u200b" * 10_000 + '":1}',
}


@pytest.mark.parametrize("text", SLOW_CANDIDATES.values(), ids=SLOW_CANDIDATES)
def test_the_work_grows_with_the_text_and_no_faster(text):
    """Counted in calls, which a busy machine does not change."""
    assert calls_of(text) < 20 * len(text)


def calls_of(text):
    """Read `text` and return how many functions that called."""
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        read_json(text)
    finally:
        sys.setprofile(None)
    return calls


def depth(value):
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


# Text that invisible characters begin or end is changed on purpose; tested above.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(
    lambda text: text == text.strip(INVISIBLE)
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
).filter(lambda value: depth(value) <= MAX_DEPTH)


@given(values, st.booleans(), st.sampled_from([None, 0, 1, 4, "\t"]))
def test_what_python_writes_is_read_alike(value, ascii_only, indent):
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    result = read_json(text)
    assert result.errors == ()
    assert result.notices == ()
    assert result.value == value
    assert json.dumps(result.value) == json.dumps(value)


FRAGMENTS = (
    *"{}[]:,\"\\0123456789.eE+- \n\r\t\x00\u200b\u00a0“'é\ud800",
    *("true", "null", '"a"', '"b"', "\\u", "d83d", "\\ude00", "NaN", "//"),
)
fragments = st.lists(st.sampled_from(FRAGMENTS), max_size=30).map("".join)


@given(fragments)
@example('{"a":1}')
@example('"\\ud83d\\u0041"')
@example('["\\ud83d\\ude00"]')
def test_any_text_gives_a_value_or_our_errors_and_agrees_with_python(text):
    result = read_json(text)
    assert (result.value is None and bool(result.errors)) or not result.errors
    try:
        expected = json.loads(text)
    except ValueError:
        expected = ValueError
    if expected is ValueError:
        # Read all the same: only because of what is cleaned, or because it is empty.
        assert result.errors or result.notices or not text.strip()
    elif not result.errors and INVISIBLE_REMOVED not in result.notices:
        assert result.notices == ()
        assert json.dumps(result.value) == json.dumps(expected)
    elif result.errors:
        assert (
            depth(expected) > MAX_DEPTH
            or "appears twice" in result.errors[0].message
            or "NaN" in text
        )


@settings(max_examples=30, deadline=None)
@given(fragments, st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=6).map("".join))
@example("", "{")
@example('{"a":', "\u200b")
@example("[", "[],")
@example('"', "\\u200b")
def test_64_kb_of_anything_are_read_or_refused_in_as_many_steps(beginning, repeated):
    """What begins in any way and goes on in any way, up to the limit."""
    count = (MAX_BYTES - 200) // len(repeated.encode("utf-8", "surrogatepass"))
    text = beginning + repeated * count
    result = read_json(text)
    assert not result.errors or result.value is None
    assert all(error.line >= 1 and error.column >= 1 for error in result.errors)
    assert calls_of(text) < 20 * len(text)


TOKENS = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')
dirt = st.text(st.sampled_from(INVISIBLE + ODD_SPACES + " \t\n"), max_size=3)


@given(values, st.data())
def test_what_is_cleaned_between_tokens_changes_no_value(value, data):
    """A line end, odd spaces, invisible characters and one comma before each closing bracket."""
    tokens = TOKENS.findall(json.dumps(value))
    dirty, odd, comma = [], False, False
    for before, token in zip(["", *tokens], tokens, strict=False):
        piece = data.draw(dirt)
        if token in "}]" and before not in "{[" and data.draw(st.booleans()):
            piece, comma = f",{piece}", True
        odd |= bool(piece.strip(", \t\n"))
        dirty.append(piece + token)
    result = read_json("".join(dirty))
    assert result.errors == ()
    assert json.dumps(result.value) == json.dumps(value)
    assert (COMMA_REMOVED in result.notices, INVISIBLE_REMOVED in result.notices) == (comma, odd)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
def test_text_in_quotes_loses_invisible_ends_and_nothing_else(text):
    result = read_json(json.dumps([text], ensure_ascii=False))
    assert result.value == [text.strip(INVISIBLE)]


@given(values)
def test_canonical_text_reads_back_with_order_kept(value):
    text = canonical(value)
    assert read_json(text).value == value
    assert canonical(read_json(text).value) == text


def test_canonical_text_is_indented_unescaped_and_can_be_stored():
    assert canonical({"b": {"ü": "1"}, "a": "\ud800"}) == (
        '{\n    "b": {\n        "ü": "1"\n    },\n    "a": "\\ud800"\n}'
    )
    canonical({"a": "\ud800\x00"}).encode()
