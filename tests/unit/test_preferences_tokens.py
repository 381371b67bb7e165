"""What makes an API token good: pure, so every rule by itself."""

import re

import pytest
from django.test import RequestFactory

from preferences.models import ApiToken
from preferences.tokens import Claim, Standing, bearer, holds, new_secret, note_use, read_token

NOW = 1_000_000.0
GOOD = Standing(7, "d" * 64, True, None, None, "", None)


def test_a_new_token_is_long_random_and_stored_as_a_digest():
    first, second = ApiToken(), ApiToken()
    text, other = new_secret(first), new_secret(second)
    assert re.fullmatch(r"shot_[0-9a-f]{16}_[0-9a-f]{64}", text)
    assert text != other
    assert first.key in text
    assert first.digest not in text
    assert read_token(text) == Claim(first.key, first.digest)
    secret = text.rpartition("_")[2]
    assert secret not in (first.key, first.digest, str(first), repr(vars(first)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "shot_",
        "shot_0123456789abcdef_" + "a" * 63,
        "shot_0123456789abcdef_" + "a" * 65,
        "shot_0123456789abcdef_" + "a" * 64 + "\n",
        "shot_0123456789ABCDEF_" + "a" * 64,
        "Shot_0123456789abcdef_" + "a" * 64,
        "shot_0123456789abcde\x00_" + "a" * 64,
        "shot_٠123456789abcdef_" + "a" * 64,
    ],
)
def test_what_has_not_the_form_of_a_token_is_none(text):
    assert read_token(text) is None


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (None, None),
        ("Basic dXNlcjpwYXNz", None),
        ("", None),
        ("Bearer", ""),
        ("Bearer ", ""),
        ("bearer abc", "abc"),
        ("BEARER  abc ", "abc"),
        ("Bearer a b", "a b"),
    ],
)
def test_the_header(header, text):
    extra = {} if header is None else {"HTTP_AUTHORIZATION": header}
    assert bearer(RequestFactory().get("/", **extra)) == text


@pytest.mark.parametrize(
    ("standing", "good"),
    [
        (GOOD, True),
        (GOOD._replace(digest="e" * 64), False),
        (GOOD._replace(is_active=False), False),
        (GOOD._replace(revoked=NOW - 1), False),
        (GOOD._replace(expires=NOW + 1), True),
        (GOOD._replace(expires=NOW), False),
        (GOOD._replace(expires=NOW - 1), False),
        (GOOD._replace(addresses="10.20.0.0/16"), True),
        (GOOD._replace(addresses="192.168.0.0/16\n10.20.1.7"), True),
        (GOOD._replace(addresses="10.21.0.0/16"), False),
        # A row that nothing of the site has written opens nothing.
        (GOOD._replace(addresses="nonsense"), False),
    ],
)
def test_each_rule(standing, good):
    assert holds(standing, Claim("k", "d" * 64), "10.20.1.7", NOW) is good


def test_a_mapped_address_is_the_ipv4_address():
    standing = GOOD._replace(addresses="10.20.0.0/16")
    assert holds(standing, Claim("k", "d" * 64), "::ffff:10.20.1.7", NOW)
    assert not holds(standing, Claim("k", "d" * 64), "", NOW)


def test_the_digests_are_compared_in_constant_time(monkeypatch):
    compared = []

    def compare(one, other):
        compared.append((one, other))
        return one == other

    monkeypatch.setattr("preferences.tokens.constant_time_compare", compare)
    holds(GOOD, Claim("k", "e" * 64), "", NOW)
    assert compared == [("d" * 64, "e" * 64)]


@pytest.fixture
def unwritten(monkeypatch):
    noted = {}
    monkeypatch.setattr("preferences.tokens._noted", {})
    monkeypatch.setattr("preferences.tokens._unwritten", noted)
    return noted


def test_a_use_is_noted_once_in_ten_minutes(unwritten):
    note_use(GOOD, NOW)
    assert unwritten == {7: NOW}
    unwritten.clear()  # as after a write, or one that failed
    note_use(GOOD, NOW + 599)
    assert unwritten == {}
    note_use(GOOD, NOW + 600)
    assert unwritten == {7: NOW + 600}


def test_a_use_that_another_process_has_written_is_not_noted(unwritten):
    note_use(GOOD._replace(last_used=NOW - 599), NOW)
    assert unwritten == {}
