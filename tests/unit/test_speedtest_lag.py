"""What a measured lag means for S3 Replication Delay."""

from datetime import UTC, datetime, timedelta

import pytest

from speedtest.lag import judge, pause

START = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "delay", "status", "words"),
    [
        (41, 60, "pass", "after 41 s; S3 Replication Delay is 60 s: safe"),
        (48, 60, "pass", "safe"),
        (50, 60, "warn", "leaves little room. Raise it to 120 s."),
        (0.44, 0, "warn", "after 0.4 s, but S3 Replication Delay is 0 s. Raise it to 30 s."),
        (170, 60, "warn", "after 170 s, but S3 Replication Delay is 60 s. Raise it to 360 s."),
    ],
)
def test_a_delay_is_held_against_the_lag(seconds, delay, status, words):
    found, message = judge(seconds, delay, verify=True)
    assert found == status
    assert words in message


@pytest.mark.parametrize(
    ("verify", "words"),
    [(True, "they get the main bucket"), (False, "files that have not arrived")],
)
def test_what_a_short_delay_costs_depends_on_verifying(verify, words):
    assert words in judge(100, 60, verify=verify)[1]


@pytest.mark.parametrize(("waited", "expected"), [(0, 1), (9, 1), (50, 5), (99, 9.9), (800, 10)])
def test_the_longer_it_takes_the_rarer_it_is_asked(waited, expected):
    assert pause(START, START + timedelta(seconds=waited)) == pytest.approx(expected)
