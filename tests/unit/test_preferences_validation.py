"""What the page says about a set of preferences."""

import json
import time

import botocore.session
import pytest

from preferences.regions import REGIONS
from preferences.validation import validate

MAIN = {"region": "us-east-1", "bucket": "studio-media", "prefix": "media"}
SYDNEY = {"region": "ap-southeast-2", "bucket": "studio-media-sydney", "prefix": "media"}
VPCE = "vpce-1a2b-3c4d.s3.us-east-1.vpce.amazonaws.com"


def configuration(**entries):
    return json.dumps(entries)


BOTH = configuration(main=MAIN, sydney=SYDNEY)


def messages(findings):
    return [finding.message for finding in findings]


def errors(**values):
    return messages(validate(values).errors)


def warnings(**values):
    validated = validate(values)
    assert validated.errors == ()
    return messages(validated.warnings)


def with_main(**fields):
    return configuration(main={**MAIN, **fields})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "Line 1: the whole value must be a JSON object, { … }."),
        ('\n"x"', "Line 2: the whole value must be a JSON object, { … }."),
        ('{\n"main": "x"}', 'Line 2: "main" must be an object with region, bucket, …'),
        ('{\n"main": {"bucket": "bbb"}}', 'Line 2: "main" has no "region".'),
        ('{\n"main": {"region": " ", "bucket": "bbb"}}', 'Line 2: "main" has no "region".'),
        (
            '{"main": {\n"bucket": "bbb",\n"regoin": "us-east-1"}}',
            'Line 3: "main" has an unknown field "regoin". Did you mean "region"?',
        ),
        (
            '{"main": {"region": "us-east-1",\n\n\n"bucket": 3}}',
            'Line 4: "main": "bucket" must be text in double quotes.',
        ),
        (
            '{"main": {"region": "us-east-1", "bucket": "bbb",\n'
            '"s3_interface_vpc_endpoint_dns_name": "vpce-1/x"}}',
            'Line 2: "main": “vpce-1/x” must be a host name, without https:// and without a path.',
        ),
        (
            '{"": {"region": "us-east-1", "bucket": "bbb"}}',
            'Line 1: the name "" must have 1 to 100 printable characters, without a space at its '
            "start or end.",
        ),
    ],
)
def test_configuration_errors(text, message):
    assert errors(s3_configuration=text) == [message]


def test_errors_are_sorted_by_place_and_syntax_errors_come_with_a_column():
    found = validate({"s3_configuration": '{"b": {"bucket": "x"},\n"a": {"region": "us-east-1"}}'})
    assert [error.line for error in found.errors] == [1, 2]
    found = validate({"s3_configuration": '{"main": {}\n'})
    assert (found.errors[0].line, found.errors[0].column) == (1, 1)


@pytest.mark.parametrize(
    "name",
    ["main\n", "a\x00b", "x" * 101, " main", "m\u202eain", "\ud800"],
)
def test_names_that_could_not_be_chosen_or_sent_are_refused(name):
    assert "printable characters" in errors(s3_configuration=configuration(**{name: MAIN}))[0]


@pytest.mark.parametrize(
    "host",
    [
        "https://vpce-1.s3.us-east-1.vpce.amazonaws.com",
        "vpce-1.s3.us-east-1.vpce.amazonaws.com/x",
        "vpce-1.s3.us-east-1.vpce.amazonaws.com:443",
        "me@vpce-1.s3.us-east-1.vpce.amazonaws.com",
        "169.254.169.254",
        "[::1]",
        "localhost",
    ],
)
def test_a_vpc_endpoint_is_a_host_name_and_nothing_more(host):
    text = with_main(s3_interface_vpc_endpoint_dns_name=host)
    assert "must be a host name" in errors(s3_configuration=text)[0]


@pytest.mark.parametrize("host", ["", VPCE, f"*.{VPCE}"])
def test_vpc_endpoint_names_as_aws_shows_them(host):
    text = with_main(s3_interface_vpc_endpoint_dns_name=host)
    assert errors(s3_configuration=text) == []


@pytest.mark.parametrize(
    "url",
    ["ftp://x", "http://me:pw@store", "http://store/path", "//store", "http://", "file:///etc"],
)
def test_an_endpoint_url_carries_no_log_in_and_no_path(url):
    assert "must be http:// or https://" in errors(s3_configuration=with_main(endpoint_url=url))[0]


@pytest.mark.parametrize("url", ["", "http://127.0.0.1:9000", "https://store.example.com/"])
def test_endpoint_urls_of_s3_compatible_stores(url):
    assert errors(s3_configuration=with_main(endpoint_url=url)) == []


def test_the_example_of_the_documentation_can_be_saved_and_completed():
    text = """{
   "<S3_CONFIG_NAME>": {
     "region": "<BUCKET_REGION>",
     "bucket": "<BUCKET_NAME>",
     "prefix": "<BUCKET_PREFIX>",
     "aws_role_arn": "<ROLE_ARN>",
     "s3_interface_vpc_endpoint_dns_name": "<S3_INTERFACE_VPC_ENDPOINT>"
   },
}""".replace("\n ", "\n\u200b ")
    validated = validate({"s3_configuration": text, "storage_location": "<S3_CONFIG_NAME>"})
    assert validated.errors == ()
    assert messages(validated.notices) == [
        "S3 Configuration: a comma after the last entry was removed.",
        "S3 Configuration: invisible characters, as found in text pasted from a web page, were "
        "removed.",
    ]
    said = messages(validated.warnings)
    assert "Line 3: “<BUCKET_REGION>” looks like a placeholder from the documentation." in said
    assert "“<S3_CONFIG_NAME>” cannot be used before its placeholders are filled in." in said
    assert json.loads(validated.values["s3_configuration"])["<S3_CONFIG_NAME>"]["prefix"] == (
        "<BUCKET_PREFIX>"
    )


def test_the_stored_text_is_canonical_and_keeps_the_order_and_the_same_bucket_twice():
    text = configuration(zeta=MAIN, alpha=MAIN)
    stored = validate({"s3_configuration": text}).values["s3_configuration"]
    assert stored == json.dumps({"zeta": MAIN, "alpha": MAIN}, indent=4)


def test_names_must_be_in_the_configuration():
    assert errors(
        s3_configuration=BOTH, s3_bucket_for_replication="sidney", storage_location="tokyo"
    ) == [
        "“sidney” is not in S3 Configuration. Did you mean “sydney”? It has: main, sydney.",
        "“tokyo” is not in S3 Configuration. It has: main, sydney.",
    ]


def test_names_are_not_checked_while_the_configuration_is_invalid():
    assert errors(s3_configuration="{", s3_bucket_for_replication="sidney") == [
        "Line 1, column 1: this { is never closed; add a }."
    ]


def test_pasted_names_are_cleaned_and_said():
    validated = validate(
        {
            "s3_configuration": BOTH,
            "storage_location": "main",
            "s3_bucket_for_replication": " sydney\u200b",
        }
    )
    assert validated.values["s3_bucket_for_replication"] == "sydney"
    assert messages(validated.notices) == [
        "S3 Bucket for Replication: invisible characters, as found in text pasted from a web "
        "page, were removed."
    ]


@pytest.mark.parametrize("delay", ["", "soon", "-5", "1.5", "1e3", "٣", None, True])
def test_the_delay_is_a_whole_number(delay):
    assert errors(s3_replication_delay=delay) == ["Enter a whole number of seconds, 0 or more."]


def test_the_delay_is_at_most_a_year():
    assert errors(s3_replication_delay="31536001") == [
        "Enter a whole number of seconds, at most 31536000 (a year)."
    ]


def test_a_delay_is_read():
    for typed in (" 90 ", "90\u200b"):
        assert validate({"s3_replication_delay": typed}).values["s3_replication_delay"] == 90


def test_addresses_are_checked_line_by_line_and_corrected():
    assert errors(s3_replication_ip_addresses="10.0.0.0/8\n192.168.1.300") == [
        "Line 2: “192.168.1.300” is not an IP address or a CIDR range such as 10.20.0.0/16."
    ]
    validated = validate({"s3_replication_ip_addresses": "10.20.0.1/16\r\n\u200b10.30.0.1\r\n\r\n"})
    assert validated.values["s3_replication_ip_addresses"] == "10.20.0.0/16\n10.30.0.1"
    assert messages(validated.notices) == [
        "IP Adresses for S3 replication: invisible characters, as found in text pasted from a web "
        "page, were removed.",
        "Line 1: 10.20.0.1/16 has host bits set; it was changed to 10.20.0.0/16.",
    ]


def test_warnings_of_a_set_that_is_right_are_none():
    assert (
        warnings(
            s3_configuration=BOTH,
            storage_location="main",
            s3_bucket_for_replication="sydney",
            s3_replication_ip_addresses="10.20.0.0/16",
        )
        == []
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"s3_replication_delay": "5", "verify_replica_copies": False},
            "With 5 seconds users may be sent to a file that has not arrived; S3 may need up to "
            "15 minutes.",
        ),
        (
            {"s3_replication_delay": "5"},
            "With 5 seconds the replica is asked for files that may not have arrived; S3 may need "
            "up to 15 minutes.",
        ),
        (
            {"s3_replication_ip_addresses": ""},
            "Users set to auto get the main bucket: the IP list is empty.",
        ),
        (
            {"s3_bucket_for_replication": "main"},
            "S3 Bucket for Replication is the main configuration.",
        ),
        ({"s3_replication_ip_addresses": "0.0.0.0/0"}, "0.0.0.0/0 includes everyone."),
        (
            {"storage_location": ""},
            "Storage Location is empty, so nothing can be uploaded: name the main configuration. "
            "It has: main, sydney.",
        ),
        (
            {
                "s3_configuration": with_main(),
                "s3_bucket_for_replication": "",
                "storage_location": "",
            },
            "Storage Location is empty, so nothing can be uploaded. Did you mean “main”?",
        ),
        (
            {"s3_configuration": configuration(main=MAIN, sydney={**SYDNEY, "prefix": "p"})},
            "The prefixes differ: “main” has “media” and “sydney” has “p”. S3 replicates a file "
            "under the same key, so the replica's files are not found, unless a copier of your "
            "own renames them.",
        ),
        (
            {"s3_configuration": configuration(main=MAIN, sydney=MAIN)},
            "“sydney” and “main” are the same place: there is no second copy.",
        ),
        (
            {
                "s3_configuration": configuration(
                    main={**MAIN, "region": "us-east-9"}, sydney=SYDNEY
                )
            },
            "Line 1: “us-east-9” is not a region this site knows. Did you mean “us-east-2”?",
        ),
        (
            {"s3_configuration": configuration(main={**MAIN, "colour": "red"}, sydney=SYDNEY)},
            'Line 1: “colour” in "main" is not a field this site uses.',
        ),
        (
            {
                "s3_configuration": configuration(
                    main=MAIN, sydney={**SYDNEY, "s3_interface_vpc_endpoint_dns_name": VPCE}
                )
            },
            'Line 1: "sydney": the VPC endpoint is in us-east-1, but the bucket is in '
            "ap-southeast-2.",
        ),
    ],
)
def test_warnings_do_not_block(changes, message):
    values = {
        "s3_configuration": BOTH,
        "storage_location": "main",
        "s3_bucket_for_replication": "sydney",
        "s3_replication_ip_addresses": "10.20.0.0/16",
    }
    assert message in warnings(**(values | changes))


def test_a_region_of_another_store_is_not_questioned():
    text = with_main(region="garage", endpoint_url="http://127.0.0.1:3900")
    assert warnings(s3_configuration=text, storage_location="main") == []


def test_many_errors_are_counted_and_cost_no_more_than_a_moment():
    entries = {f"k{n}": {"regoin": "a", "b": ""} for n in range(1800)}
    started = time.process_time()
    found = errors(s3_configuration=configuration(**entries))
    assert time.process_time() - started < 3
    assert len(found) == 21
    assert found[-1].endswith(" more of this kind.")


def test_too_many_addresses_are_refused_at_once():
    started = time.process_time()
    assert errors(s3_replication_ip_addresses="1," * 200_000) == [
        "The list is too long: it may have 10,000 entries."
    ]
    assert time.process_time() - started < 2


def test_regions_are_those_of_botocore():
    session = botocore.session.get_session()
    known = {
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("s3", partition)
    }
    assert known - set(REGIONS) == set()
