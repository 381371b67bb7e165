"""shotmedia.s3.config: normalising, refusing, hosts and endpoints."""

import json
from importlib.resources import files

import pytest

from shotmedia.s3.config import (
    FIELDS,
    BucketConfig,
    ConfigError,
    Endpoint,
    KeyRefused,
    normalise_vpce,
    partition_of,
    vpce_region,
)

VPCE = "vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com"
NO_ENV: dict[str, str] = {}


def config(**values: str) -> BucketConfig:
    return BucketConfig.from_mapping(
        "main", {"region": "eu-west-1", "bucket": "studio-media", **values}
    )


def problems(**values: object) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        BucketConfig.from_mapping(
            "main", {"region": "eu-west-1", "bucket": "studio-media", **values}
        )
    return dict(caught.value.problems)


def test_the_seeds_entry_is_normalised() -> None:
    entry = BucketConfig.from_mapping(
        "main",
        {
            "region": " us-east-1 ",
            "bucket": "studio-media",
            "prefix": "/media/",
            "aws_role_arn": "arn:aws:iam::111122223333:role/shotgrid",
            "s3_interface_vpc_endpoint_dns_name": f"https://*.{VPCE}/",
        },
    )
    assert entry == BucketConfig(
        name="main",
        region="us-east-1",
        bucket="studio-media",
        prefix="media",
        aws_role_arn="arn:aws:iam::111122223333:role/shotgrid",
        s3_interface_vpc_endpoint_dns_name=VPCE,
    )
    assert hash(entry) == hash(BucketConfig(**{f: getattr(entry, f) for f in ("name", *FIELDS)}))


def test_absent_null_and_empty_mean_not_set() -> None:
    assert config(prefix="", external_id=None, s3_interface_vpc_endpoint_dns_name="") == config()


def test_unknown_fields_are_left_to_the_caller() -> None:
    assert config(regoin="x") == config()


def test_all_problems_come_at_once_with_their_field() -> None:
    wrong = {
        "bucket": "s3://studio",
        "prefix": "a/../b",
        "aws_role_arn": "role/media",
        "s3_interface_vpc_endpoint_dns_name": "vpce-1.ec2.us-east-1.vpce.amazonaws.com",
        "external_id": "x",
        "endpoint_url": "localhost:9000",
        "addressing_style": "host",
        "s3_proxy_host_address": "https://proxy/path",
    }
    assert set(problems(**wrong)) == set(wrong)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("region", "", 'Give "region"'),
        ("region", "us-east1", "not the name of an AWS region"),
        ("region", "<BUCKET_REGION>", "not the name of an AWS region"),
        ("bucket", None, 'Give "bucket"'),
        ("bucket", "arn:aws:s3:::studio", "not a bucket name"),
        ("bucket", 7, "must be text"),
        ("prefix", "a/./b", "segment"),
        ("prefix", "a\tb", "control character"),
        ("aws_role_arn", "arn:aws:iam::1:role/x", "not the ARN of a role"),
        ("aws_role_arn", "arn:aws-cn:iam::111122223333:role/x", "partition"),
        ("external_id", "a b", "2 to 1224"),
        ("s3_interface_vpc_endpoint_dns_name", "10.0.0.1", "interface endpoint"),
        ("s3_interface_vpc_endpoint_dns_name", f"studio-media.bucket.{VPCE}", "interface endpoint"),
        ("endpoint_url", "ftp://host", "https://host"),
        ("endpoint_url", "https://user@host", "https://host"),
        ("endpoint_url", "https://host?x=1", "https://host"),
        ("endpoint_url", "https://host:99999", "not a URL"),
        ("addressing_style", "host", '"virtual"'),
        ("s3_proxy_host_address", "proxy/path", "without a path"),
    ],
)
def test_what_cannot_work_is_refused_with_a_sentence(field: str, value: object, words: str) -> None:
    found = problems(**{field: value})
    assert list(found) == [field]
    assert words in found[field]


def test_a_store_with_endpoint_url_may_have_its_own_regions_and_roles() -> None:
    entry = config(endpoint_url="https://s3.store.example", region="garage")
    assert entry.region == "garage"
    config(endpoint_url="https://s3.store.example", aws_role_arn="arn:minio:iam:::role/some-role")


@pytest.mark.parametrize(
    "pasted", [VPCE, f"*.{VPCE}", f"bucket.{VPCE}", f"https://bucket.{VPCE}/", f" {VPCE.upper()} "]
)
def test_vpce_names_are_normalised(pasted: str) -> None:
    assert normalise_vpce(pasted) == VPCE
    assert vpce_region(VPCE) == "us-east-1"


@pytest.mark.parametrize(
    "name",
    [
        "vpce-1a2b-us-east-1a.s3.us-east-1.vpce.amazonaws.com",
        "vpce-1a2b.s3.cn-north-1.vpce.amazonaws.com.cn",
    ],
)
def test_zonal_and_chinese_vpce_names_are_accepted(name: str) -> None:
    assert config(s3_interface_vpc_endpoint_dns_name=name)


def test_partitions_agree_with_botocore() -> None:
    data = json.loads((files("botocore") / "data" / "partitions.json").read_text())
    for partition in data["partitions"]:
        for region in partition["regions"]:
            if region.endswith("-global"):
                continue
            ours = partition_of(region)
            assert (ours.name, ours.suffix) == (
                partition["id"],
                partition["outputs"]["dnsSuffix"],
            ), region
            assert BucketConfig.from_mapping("x", {"region": region, "bucket": "abc"})


@pytest.mark.parametrize(
    ("values", "host", "base_path"),
    [
        ({}, "studio-media.s3.eu-west-1.amazonaws.com", ""),
        ({"region": "us-east-1"}, "studio-media.s3.us-east-1.amazonaws.com", ""),
        ({"region": "cn-north-1"}, "studio-media.s3.cn-north-1.amazonaws.com.cn", ""),
        ({"region": "us-gov-west-1"}, "studio-media.s3.us-gov-west-1.amazonaws.com", ""),
        ({"region": "eusc-de-east-1"}, "studio-media.s3.eusc-de-east-1.amazonaws.eu", ""),
        ({"bucket": "studio.media"}, "s3.eu-west-1.amazonaws.com", "/studio.media"),
        ({"bucket": "ab"}, "s3.eu-west-1.amazonaws.com", "/ab"),
        ({"bucket": "Legacy_Bucket"}, "s3.eu-west-1.amazonaws.com", "/Legacy_Bucket"),
        ({"addressing_style": "path"}, "s3.eu-west-1.amazonaws.com", "/studio-media"),
        ({"addressing_style": "auto"}, "studio-media.s3.eu-west-1.amazonaws.com", ""),
    ],
)
def test_aws_hosts(values: dict[str, str], host: str, base_path: str) -> None:
    entry = config(**values)
    assert entry.service_endpoint(NO_ENV) == Endpoint(f"https://{host}", host, base_path)
    assert entry.public_endpoint(NO_ENV) == entry.service_endpoint(NO_ENV)


@pytest.mark.parametrize(
    ("url", "style", "origin", "base_path"),
    [
        ("http://localhost:9000", "", "http://localhost:9000", "/studio-media"),
        ("http://localhost:9000", "auto", "http://localhost:9000", "/studio-media"),
        ("http://localhost:9000", "virtual", "http://studio-media.localhost:9000", ""),
        ("http://127.0.0.1:9000", "virtual", "http://127.0.0.1:9000", "/studio-media"),
        ("http://[::1]:9000", "virtual", "http://[::1]:9000", "/studio-media"),
        ("https://S3.Store.example:443/", "", "https://s3.store.example", "/studio-media"),
        ("https://s3.store.example", "auto", "https://studio-media.s3.store.example", ""),
        ("https://s3.store.example", "virtual", "https://studio-media.s3.store.example", ""),
        ("https://s3.store.example", "path", "https://s3.store.example", "/studio-media"),
        ("https://gateway.example/s3", "", "https://gateway.example", "/s3/studio-media"),
        ("https://10.0.0.9", "auto", "https://10.0.0.9", "/studio-media"),
    ],
)
def test_other_stores(url: str, style: str, origin: str, base_path: str) -> None:
    entry = config(endpoint_url=url, addressing_style=style)
    expected = Endpoint(origin, origin.partition("//")[2], base_path)
    assert entry.service_endpoint(NO_ENV) == expected
    assert entry.public_endpoint(NO_ENV) == expected


def test_a_dotted_bucket_is_never_virtual_on_another_store() -> None:
    entry = config(
        bucket="a.b.c", endpoint_url="https://s3.store.example", addressing_style="virtual"
    )
    assert entry.service_endpoint(NO_ENV).base_path == "/a.b.c"


def test_the_vpc_endpoint_is_for_clients_only() -> None:
    entry = config(s3_interface_vpc_endpoint_dns_name=VPCE)
    host = f"studio-media.bucket.{VPCE}"
    assert entry.public_endpoint(NO_ENV) == Endpoint(f"https://{host}", host, "")
    assert entry.service_endpoint(NO_ENV).host == "studio-media.s3.eu-west-1.amazonaws.com"


def test_a_dotted_bucket_behind_a_vpc_endpoint_goes_into_the_path() -> None:
    entry = config(bucket="studio.media", s3_interface_vpc_endpoint_dns_name=VPCE)
    host = f"bucket.{VPCE}"
    assert entry.public_endpoint(NO_ENV) == Endpoint(f"https://{host}", host, "/studio.media")


@pytest.mark.parametrize("address", ["proxy.studio.example", "https://proxy.studio.example/"])
def test_a_proxy_shows_its_own_origin_and_keeps_the_host_that_s3_sees(address: str) -> None:
    entry = config(s3_proxy_host_address=address)
    assert entry.public_endpoint(NO_ENV) == Endpoint(
        "https://proxy.studio.example", "studio-media.s3.eu-west-1.amazonaws.com", ""
    )
    assert (
        entry.service_endpoint(NO_ENV).origin == "https://studio-media.s3.eu-west-1.amazonaws.com"
    )


def test_a_proxy_may_be_plain_http_with_a_port_and_a_path_style_bucket() -> None:
    entry = config(s3_proxy_host_address="http://proxy:8080", bucket="a.b.c")
    assert entry.public_endpoint(NO_ENV) == Endpoint(
        "http://proxy:8080", "s3.eu-west-1.amazonaws.com", "/a.b.c"
    )


def test_endpoint_variables() -> None:
    generic = {"AWS_ENDPOINT_URL": "http://all:1"}
    specific = {**generic, "AWS_ENDPOINT_URL_S3": "http://s3only:2"}
    ignored = {**specific, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    assert config().service_endpoint(generic).origin == "http://all:1"
    assert config().service_endpoint(specific) == Endpoint(
        "http://s3only:2", "s3only:2", "/studio-media"
    )
    assert config().public_endpoint(specific).origin == "http://s3only:2"
    assert config().service_endpoint(ignored).host == "studio-media.s3.eu-west-1.amazonaws.com"
    own = config(endpoint_url="http://own:3")
    assert own.service_endpoint(specific).origin == "http://own:3"
    assert own.service_endpoint(ignored).origin == "http://own:3"


def test_a_bad_endpoint_variable_is_named() -> None:
    with pytest.raises(ConfigError, match="must look like"):
        config().service_endpoint({"AWS_ENDPOINT_URL_S3": "nonsense"})


def test_keys() -> None:
    assert config(prefix="/a/b/").key("c/d.mov") == "a/b/c/d.mov"
    assert config().key("c/d.mov") == "c/d.mov"


@pytest.mark.parametrize(
    "path", ["", ".", "..", "./a", "../a", "a/./b", "a/../b", "a/.", "a/..", "x" * 1025, "\udc80"]
)
def test_refused_keys(path: str) -> None:
    for entry in (config(), config(prefix="p")):
        with pytest.raises(KeyRefused):
            entry.key(path)


@pytest.mark.parametrize("path", [".hidden", "a..b", "a/...", "a//b", "a/.b", "ü", "x" * 1024])
def test_accepted_keys(path: str) -> None:
    assert config().key(path) == path


def test_the_prefix_counts_towards_the_length_of_a_key() -> None:
    with pytest.raises(KeyRefused, match="1025 bytes"):
        config(prefix="p").key("x" * 1023)


def test_the_fingerprint_is_the_place_and_not_the_name() -> None:
    place = config(prefix="p").fingerprint
    assert len(place) == 16
    assert BucketConfig("other", "eu-west-1", "studio-media", "p").fingerprint == place
    others = [
        config(),
        config(prefix="p", region="eu-west-2"),
        config(prefix="p", bucket="b-2"),
        config(prefix="p", endpoint_url="http://h"),
    ]
    assert len({place, *(other.fingerprint for other in others)}) == 5
