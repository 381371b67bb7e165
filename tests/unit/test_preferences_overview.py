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
        (preferences(), "Media Isolation is not set up", [False, None, False]),
        (preferences(MAIN), "Media Isolation is not set up", [True, None, False]),
        (
            preferences(MAIN, primary=MAIN),
            "Replication: off, as S3 Bucket for Replication is empty",
            [False, None, False],
        ),
        (
            preferences(MAIN, SYDNEY, primary=MAIN, replica_name="perth"),
            "Replication: off, as “perth” cannot be used",
            [True, None, False],
        ),
        (preferences(MAIN, SYDNEY, primary=MAIN, replica=SYDNEY), "Replication: on → sydney", []),
    ],
)
def test_the_headline_and_the_three_steps(state, headline, done):
    shown = overview(state, {})
    assert shown.headline == headline
    assert [step.done for step in shown.steps] == done
    assert shown.is_on == (not shown.steps)


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
    [said] = overview(preferences(MAIN, SYDNEY, primary=MAIN, **state), people).warnings
    assert said.startswith(warning)


def test_nothing_is_warned_of_where_replication_is_used():
    state = preferences(
        MAIN, SYDNEY, primary=MAIN, replica=SYDNEY, addresses="10.0.0.0/8\n2001:db8::/32"
    )
    shown = overview(state, {"no": 2, "yes": 1, "auto": 3})
    assert shown.warnings == ()
    assert dict(shown.facts)["Use S3 Replication"] == "2 no · 1 yes · 3 auto"
    assert dict(shown.facts)["Addresses for auto"] == "2 ranges"
