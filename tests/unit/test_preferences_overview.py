"""How replication is set, in words."""

import pytest

from preferences.addresses import parse_ranges
from preferences.overview import overview
from preferences.snapshot import Preferences
from shotmedia.s3.config import BucketConfig

MAIN = BucketConfig.from_mapping("main", {"region": "us-east-1", "bucket": "studio-media"})
SYDNEY = BucketConfig.from_mapping(
    "sydney", {"region": "ap-southeast-2", "bucket": "studio-media-sydney"}
)


def preferences(*configs, primary=None, replica=None, addresses="", **more):
    return Preferences(
        version=1,
        configurations={config.name: config for config in configs},
        primary=primary,
        replica=replica,
        delay=60,
        ranges=parse_ranges(addresses)[0],
        verify=True,
        **more,
    )


@pytest.mark.parametrize(
    ("state", "headline", "done"),
    [
        (preferences(), "Media Isolation is not set up", [False, False, False]),
        (preferences(MAIN), "Media Isolation is not set up", [True, False, False]),
        (
            preferences(MAIN, primary=MAIN),
            "Replication: off, as S3 Bucket for Replication is empty",
            [False, False, False],
        ),
        (
            preferences(MAIN, SYDNEY, primary=MAIN, replica_name="perth"),
            "Replication: off, as “perth” cannot be used",
            [True, False, False],
        ),
        (preferences(MAIN, SYDNEY, primary=MAIN, replica=SYDNEY), "Replication: on → sydney", []),
    ],
)
def test_the_headline_and_the_three_steps(state, headline, done):
    shown = overview(state, {}, {})
    assert shown.headline == headline
    assert [step.done for step in shown.steps] == done
    assert shown.is_on == (not shown.steps)


PERTH = BucketConfig.from_mapping("perth", {"region": "ap-southeast-2", "bucket": "studio-perth"})


@pytest.mark.parametrize(
    ("tests", "about", "done", "remark"),
    [
        ({}, "sydney", False, ""),
        ({"main": True}, "sydney", False, ""),  # the primary's test says nothing of a replica
        ({"sydney": True}, "sydney", True, "“sydney” works"),
        ({"sydney": False}, "sydney", False, "“sydney” failed its last test"),
        ({"perth": True, "sydney": False}, "perth", True, "“perth” works"),
        ({"perth": False}, "perth", False, "“perth” failed its last test"),
    ],
)
def test_the_step_that_tests_goes_by_the_last_tests(tests, about, done, remark):
    step = overview(preferences(MAIN, SYDNEY, PERTH, primary=MAIN), {}, tests).steps[1]
    assert (step.about, step.done, step.remark) == (about, done, remark)


def test_any_configuration_may_become_the_first_one():
    steps = overview(preferences(MAIN), {}, {"main": True}).steps
    assert [(step.about, step.done) for step in steps] == [
        ("s3_configuration", True),
        ("main", True),
        ("storage_location", False),
    ]


@pytest.mark.parametrize(
    ("state", "people", "warning"),
    [
        ({"replica": MAIN}, {"yes": 1}, "S3 Bucket for Replication is the main configuration."),
        ({"replica": SYDNEY}, {"auto": 1}, "1 person is on auto, but IP Adresses"),
        ({"replica": SYDNEY}, {"auto": 1200}, "1,200 people are on auto, but IP Adresses"),
        ({"replica": SYDNEY}, {"no": 4}, "Nobody uses the replica"),
        ({"problems": ("a bad row",)}, {}, "a bad row"),
    ],
)
def test_what_looks_wrong_is_said(state, people, warning):
    [said] = overview(preferences(MAIN, SYDNEY, primary=MAIN, **state), people, {}).warnings
    assert said.startswith(warning)


def test_nothing_is_warned_of_where_replication_is_used():
    state = preferences(
        MAIN, SYDNEY, primary=MAIN, replica=SYDNEY, addresses="10.0.0.0/8\n2001:db8::/32"
    )
    shown = overview(state, {"no": 2, "yes": 1, "auto": 3}, {})
    assert shown.warnings == ()
    assert dict(shown.facts)["Use S3 Replication"] == "2 no · 1 yes · 3 auto"
    assert dict(shown.facts)["Addresses for auto"] == "2 ranges"
