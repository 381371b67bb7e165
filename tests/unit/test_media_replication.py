"""The decision: each rule, their order, and the words."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.replication import (
    Facts,
    Finding,
    Reason,
    Source,
    decide,
    duration,
    explain,
    settle,
)

USABLE = Facts(
    home="main",
    replica="sydney",
    use_s3_replication="yes",
    listed=False,
    age=120.0,
    delay=60,
    verify=True,
    circuit_open=False,
    copy="ready",
    due=False,
)

CASES = {
    "1 no replica": ({"replica": None}, Source.PRIMARY, Reason.NO_REPLICA),
    "1 own configuration": ({"home": "sydney"}, Source.PRIMARY, Reason.STORED_IN_REPLICA),
    "2 no": ({"use_s3_replication": "no"}, Source.PRIMARY, Reason.USER_NO),
    "2 no, though listed": (
        {"use_s3_replication": "no", "listed": True},
        Source.PRIMARY,
        Reason.USER_NO,
    ),
    "3 auto, not listed": (
        {"use_s3_replication": "auto"},
        Source.PRIMARY,
        Reason.ADDRESS_NOT_LISTED,
    ),
    "3 auto, listed": (
        {"use_s3_replication": "auto", "listed": True},
        Source.REPLICA,
        Reason.READY,
    ),
    "4 younger than the delay": ({"age": 59.9}, Source.PRIMARY, Reason.TOO_FRESH),
    "4 as old as the delay": ({"age": 60.0}, Source.REPLICA, Reason.READY),
    "4 from the future, by a clock that runs behind": (
        {"age": -5.0, "delay": 0},
        Source.PRIMARY,
        Reason.TOO_FRESH,
    ),
    "not verified": ({"verify": False, "copy": "missing"}, Source.REPLICA, Reason.DELAY_OVER),
    "not verified, circuit open": (
        {"verify": False, "circuit_open": True, "due": True},
        Source.REPLICA,
        Reason.DELAY_OVER,
    ),
    "not verified, too fresh": ({"verify": False, "age": 1}, Source.PRIMARY, Reason.TOO_FRESH),
    "5 down": ({"circuit_open": True}, Source.PRIMARY, Reason.REPLICA_DOWN),
    "6 ready": ({}, Source.REPLICA, Reason.READY),
    "7 unknown": ({"copy": "unknown", "due": True}, Source.CHECK, Reason.TO_CHECK),
    "7 ready and due": ({"due": True}, Source.CHECK, Reason.TO_CHECK),
    "7 missing and due": ({"copy": "missing", "due": True}, Source.CHECK, Reason.TO_CHECK),
    "7 may not look, asked a moment ago": (
        {"copy": "unknown", "due": False},
        Source.REPLICA,
        Reason.UNVERIFIED,
    ),
    "8 missing": ({"copy": "missing"}, Source.PRIMARY, Reason.MISSING),
    "8 failed": ({"copy": "failed"}, Source.PRIMARY, Reason.FAILED),
    "8 pending": ({"copy": "pending"}, Source.PRIMARY, Reason.PENDING),
}


@pytest.mark.parametrize(("changes", "source", "reason"), CASES.values(), ids=CASES)
def test_each_rule(changes, source, reason):
    decision = decide(replace(USABLE, **changes))
    assert (decision.source, decision.reason) == (source, reason)


def test_too_fresh_says_when_it_changes():
    assert decide(replace(USABLE, age=45.0)).changes_in == 15.0
    assert decide(USABLE).changes_in is None


SETTLED = {
    Finding.FOUND: (Source.REPLICA, Reason.READY),
    Finding.WRONG_SIZE: (Source.PRIMARY, Reason.FAILED),
    Finding.MISSING: (Source.PRIMARY, Reason.MISSING),
    Finding.DENIED: (Source.REPLICA, Reason.UNVERIFIED),
    Finding.NO_ANSWER: (Source.PRIMARY, Reason.NO_ANSWER),
}


@pytest.mark.parametrize("finding", Finding)
def test_each_finding_settles_the_decision(finding):
    decision = settle(finding)
    assert (decision.source, decision.reason) == SETTLED[finding]


facts = st.builds(
    Facts,
    home=st.sampled_from(["main", "sydney", "old"]),
    replica=st.sampled_from([None, "sydney"]),
    use_s3_replication=st.sampled_from(["no", "yes", "auto"]),
    listed=st.booleans(),
    age=st.floats(-1e6, 1e9),
    delay=st.integers(0, 10**6),
    verify=st.booleans(),
    circuit_open=st.booleans(),
    copy=st.sampled_from(["unknown", "pending", "ready", "missing", "failed"]),
    due=st.booleans(),
)


@given(facts)
def test_the_seed_holds_whatever_else_is_known(facts):
    """Media Replication, "How it works": no never; yes and auto when the delay is over."""
    decision = decide(facts)
    if decision.source is not Source.PRIMARY:
        assert facts.replica not in (None, facts.home)
        assert facts.use_s3_replication in ("yes", "auto")
        assert facts.age >= facts.delay
        assert facts.use_s3_replication == "yes" or facts.listed


@given(facts)
def test_a_copy_that_is_not_known_to_be_there_is_never_linked_to(facts):
    if facts.verify and decide(facts).source is Source.REPLICA:
        assert facts.copy in ("ready", "unknown")
        assert not facts.due
        assert not facts.circuit_open


@given(facts, st.sampled_from(Reason))
def test_every_reason_has_words(facts, reason):
    words = explain(facts, reason, who="rhea", address="10.20.1.7", listing="10.20.0.0/16")
    assert words.endswith(".")


def test_words_of_a_fresh_file_name_all_that_counted():
    facts = replace(USABLE, use_s3_replication="auto", listed=True, age=45.0)
    assert explain(
        facts,
        Reason.TOO_FRESH,
        who="rhea",
        address="10.20.1.7",
        listing="10.20.0.0/16 (line 1)",
    ) == (
        "rhea has Use S3 Replication = auto; 10.20.1.7 is in 10.20.0.0/16 (line 1); but the media "
        "is 45 s old and S3 Replication Delay is 60 s. In 15 s it would be sydney, when its copy "
        "is there."
    )


@pytest.mark.parametrize(
    ("age", "delay", "words"),
    [
        (59.7, 60, "is 59 s old and S3 Replication Delay is 60 s. In 1 s it"),
        (899.5, 900, "is 14 min old and S3 Replication Delay is 15 min. In 1 s it"),
        (130.0, 150, "is 2 min old and S3 Replication Delay is 150 s. In 20 s it"),
        (0.0, 901, "is 0 s old and S3 Replication Delay is 901 s. In 16 min it"),
        (0.0, 172_800, "is 0 s old and S3 Replication Delay is 48 h. In 2 days it"),
    ],
)
def test_the_words_of_a_fresh_file_never_say_that_the_delay_is_over(age, delay, words):
    facts = replace(USABLE, age=age, delay=delay)
    assert words in explain(facts, Reason.TOO_FRESH, who="rhea", address="")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (119.9, "119 s"),
        (179, "2 min"),
        (120, "2 min"),
        (7_100, "118 min"),
        (7_200, "2 h"),
        (200_000, "2 days"),
    ],
)
def test_duration(seconds, words):
    assert duration(seconds) == words
