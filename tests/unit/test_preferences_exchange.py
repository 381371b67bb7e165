"""Site Preferences as a file, and the names of preferences."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from preferences.exchange import ExchangeError, exported, field_named, imported
from preferences.reader import canonical
from preferences.validation import DEFAULTS


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("s3_replication_delay", "s3_replication_delay"),
        ("S3 Configuration", "s3_configuration"),
        ("S3 Bucket for replication", "s3_bucket_for_replication"),
        ("S3 replication delay", "s3_replication_delay"),
        ("Replication Delay", "s3_replication_delay"),
        ("IP Adresses for S3 replication", "s3_replication_ip_addresses"),
        ("IP Addresses for S3 Replication", "s3_replication_ip_addresses"),
        ("Storage Location", "storage_location"),
        ("verify replica copies", "verify_replica_copies"),
    ],
)
def test_preferences_are_known_by_field_and_by_the_products_label(name, field):
    assert field_named(name) == field


def test_a_name_that_is_close_is_suggested_and_any_other_gets_the_list():
    with pytest.raises(ExchangeError, match=r"Did you mean s3_replication_delay\?"):
        field_named("s3_replication_dely")
    with pytest.raises(ExchangeError, match="There are: s3_configuration, s3_bucket"):
        field_named("colour")


ENTRIES = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.dictionaries(st.sampled_from(["region", "bucket", "prefix"]), st.text(max_size=8)),
    max_size=4,
)


@given(entries=ENTRIES, delay=st.integers(0, 10**6), verify=st.booleans())
def test_exports_come_back_to_the_last_byte(entries, delay, verify):
    values = DEFAULTS | {
        "s3_configuration": canonical(entries),
        "s3_replication_delay": delay,
        "verify_replica_copies": verify,
        "s3_replication_ip_addresses": "10.0.0.0/8\n::1",
    }
    text = exported(values)
    assert imported(text) == values
    assert exported(imported(text)) == text


@pytest.mark.parametrize("stored", ["{", '{"b":1,"a":2}', "[]", "", '{"a": 1, "a": 2}', "{}"])
def test_a_text_that_is_not_as_the_site_writes_it_is_exported_as_it_is(stored):
    values = DEFAULTS | {"s3_configuration": stored}
    assert imported(exported(values)) == values


def test_configurations_are_readable_in_the_file_and_keep_their_order():
    configuration = canonical({"z": {"region": "us-east-1"}, "a": {"region": "eu-west-1"}})
    text = exported(DEFAULTS | {"s3_configuration": configuration})
    assert '"s3_configuration": {\n        "z": {\n            "region": "us-east-1"' in text
    assert list(json.loads(text)["s3_configuration"]) == ["z", "a"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Line 1, column 2: this is not JSON"),
        ("[]", "must hold a JSON object"),
        ('{"delay": 1}', "Not preferences: delay."),
        ('{"s3_configuration": {"a": {}, "a": {}}}', "“a” appears twice."),
        ('{"storage_location": 1}', "“storage_location” must be text"),
        ('{"s3_configuration": []}', "“s3_configuration” must be text"),
        ('{"storage_location": "\\ud800"}', "half of a character"),
        ("[" * 100_000, "nested too deep"),
    ],
)
def test_a_file_that_is_no_export_is_refused_with_the_reason(text, message):
    with pytest.raises(ExchangeError) as caught:
        imported(text)
    assert message in str(caught.value)
