"""Differences between two versions of Site Preferences, line by line."""

import json

from preferences.differences import as_text, difference, differences
from preferences.models import SitePreferences


def lines(found):
    return [(line.sign, line.text) for line in found.lines]


def test_a_changed_number_is_a_line_removed_and_a_line_added():
    found = difference("s3_replication_delay", 60, 90)
    assert lines(found) == [("−", "60"), ("+", "90")]
    assert found.in_words == "1 line removed, 1 line added"


def test_nothing_and_switches_are_words():
    assert lines(difference("storage_location", "", "main")) == [("−", "empty"), ("+", "main")]
    assert lines(difference("verify_replica_copies", True, False)) == [("−", "on"), ("+", "off")]


def test_json_is_compared_as_laid_out_with_the_lines_around_a_change():
    entry = {"region": "us-east-1", "bucket": "studio-media", "prefix": "a", "aws_role_arn": ""}
    more = {f"other{n}": entry for n in range(3)}
    old = json.dumps({"main": entry} | more)
    new = json.dumps({"main": {**entry, "prefix": "b"}} | more)
    assert lines(difference("s3_configuration", old, new)) == [
        (" ", "{"),
        (" ", '    "main": {'),
        (" ", '        "region": "us-east-1",'),
        (" ", '        "bucket": "studio-media",'),
        ("−", '        "prefix": "a",'),
        ("+", '        "prefix": "b",'),
        (" ", '        "aws_role_arn": ""'),
        (" ", "    },"),
        (" ", '    "other0": {'),
        ("…", "18 unchanged lines"),
    ]


def test_a_change_of_layout_only_and_text_that_is_no_json_are_shown_as_they_are():
    assert lines(difference("s3_configuration", "{}", "{ }")) == [("−", "{}"), ("+", "{ }")]
    assert lines(difference("s3_configuration", "{", "{}")) == [("−", "{"), ("+", "{}")]


def test_address_lists_are_compared_line_by_line():
    found = difference("s3_replication_ip_addresses", "10.0.0.0/8\n10.1.1.1", "10.0.0.0/8\n::1")
    assert lines(found) == [(" ", "10.0.0.0/8"), ("−", "10.1.1.1"), ("+", "::1")]


def test_a_difference_of_thousands_of_lines_is_cut_and_counted():
    found = difference("s3_replication_ip_addresses", "", "\n".join(["10.0.0.1"] * 10_000))
    assert found.in_words == "1 line removed, 10,000 lines added"
    assert len(found.lines) == 2001
    assert lines(found)[-1] == ("…", "8,001 more lines")


def test_only_fields_that_differ_are_compared_in_the_order_of_the_page():
    old = SitePreferences(s3_replication_delay=60)
    new = SitePreferences(s3_replication_delay=90, s3_bucket_for_replication="sydney")
    found = differences(old, new)
    assert [one.field for one in found] == ["s3_bucket_for_replication", "s3_replication_delay"]
    assert as_text(found) == (
        "S3 Bucket for Replication (1 line removed, 1 line added)\n"
        "  - empty\n"
        "  + sydney\n"
        "S3 Replication Delay (1 line removed, 1 line added)\n"
        "  - 60\n"
        "  + 90"
    )
