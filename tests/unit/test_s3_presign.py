"""shotmedia.s3.presign: against AWS's published example and, byte for byte, against botocore."""

import datetime
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from shotmedia.s3.config import BucketConfig, Endpoint, KeyRefused, check_key
from shotmedia.s3.credentials import Credentials
from shotmedia.s3.errors import CredentialsUnavailable
from shotmedia.s3.presign import MAX_LIFE, Signer, percent_encode, response_overrides, signer_for

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOON = datetime.datetime(2026, 8, 30, 12, 0, 0, tzinfo=datetime.UTC).timestamp()


class Holder:
    """Hands out whatever the test says and remembers what was asked for."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self.asked: list[int] = []

    def get(self, min_life: int) -> Credentials:
        self.asked.append(min_life)
        return self.credentials


class Clock:
    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def signer(
    credentials: Credentials = EXAMPLE,
    clock: Callable[[], float] | None = None,
    step: int = 0,
    endpoint: Endpoint | None = None,
    **values: str,
) -> Signer:
    config = BucketConfig.from_mapping(
        "main", {"region": "eu-west-1", "bucket": "studio-media", **values}
    )
    holder = Holder(credentials)
    return Signer(config, holder, step=step, clock=clock or Clock(), endpoint=endpoint)


def botocore_url(
    ours: Signer,
    method: str,
    path: str,
    life: int,
    query: tuple[tuple[str, Any], ...] = (),
    headers: Mapping[str, Any] | None = None,
    credentials: Credentials = EXAMPLE,
    now: float = NOON,
) -> str:
    """The same link by botocore's signer, for the host that is signed."""
    config, endpoint = ours.config, ours.endpoint
    key = f"{config.prefix}/{path}" if config.prefix else path
    scheme = endpoint.origin.partition("://")[0]
    url = f"{scheme}://{endpoint.host}{endpoint.base_path}/{quote(key, safe='/~')}"
    request = AWSRequest(method=method, url=url, headers=dict(headers or {}), params=dict(query))
    auth = S3SigV4QueryAuth(
        ReadOnlyCredentials(
            credentials.access_key, credentials.secret_key, credentials.token or None
        ),
        "s3",
        config.region,
        expires=life,
    )
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    with mock.patch("botocore.auth.get_current_datetime", return_value=moment):
        auth.add_auth(request)
    return request.url.replace(f"{scheme}://{endpoint.host}", endpoint.origin, 1)


def parameter(url: str, name: str) -> str:
    return parse_qs(urlsplit(url).query, keep_blank_values=True)[name][0]


def test_the_example_that_aws_publishes() -> None:
    moment = datetime.datetime(2013, 5, 24, tzinfo=datetime.UTC).timestamp()
    host = "examplebucket.s3.amazonaws.com"
    ours = signer(
        clock=Clock(moment),
        endpoint=Endpoint(f"https://{host}", host),
        bucket="examplebucket",
        region="us-east-1",
    )
    assert ours.sign("GET", "test.txt", 86400) == (
        "https://examplebucket.s3.amazonaws.com/test.txt"
        "?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        moment + 86400,
    )


HARD_KEYS = (
    "a",
    "p re/fx/ü+a.mov",
    "a//b/c/d e+f~%20é&?#=",
    "x'()*!;:@$,[]{}|^`<>\\\"\t日本",
    "/leading//and/trailing/",
    "%2e%2E/%00",
    "...hidden/..a/b..",
)
ENDPOINTS = (
    {},
    {"bucket": "studio.media"},
    {"region": "cn-north-1"},
    {"endpoint_url": "http://127.0.0.1:9000"},
    {"endpoint_url": "https://store.example:8443/s3", "addressing_style": "virtual"},
    {
        "s3_interface_vpc_endpoint_dns_name": "vpce-1a2b.s3.eu-west-1.vpce.amazonaws.com",
        "prefix": "me dia/ü",
    },
    {"s3_proxy_host_address": "proxy.studio.example:8080", "prefix": "media"},
)


@pytest.mark.parametrize("values", ENDPOINTS, ids=str)
@pytest.mark.parametrize("path", HARD_KEYS)
def test_hard_keys_on_every_kind_of_endpoint(values: dict[str, str], path: str) -> None:
    ours = signer(**values)
    query = (("response-content-disposition", 'attachment; filename="ü +%.mov"'),)
    assert ours.sign("GET", path, 900).url == botocore_url(ours, "GET", path, 900)
    assert ours.sign("GET", path, 900, query).url == botocore_url(ours, "GET", path, 900, query)


def _literal(path: str) -> bool:
    try:
        check_key(path)
    except KeyRefused:
        return False
    return True


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)
paths = st.one_of(texts, st.text("abcXYZ019._-~/", max_size=60)).filter(_literal)
tokens = st.one_of(st.just(""), st.text("abcXYZ019+/=", min_size=16, max_size=400))
names = st.one_of(
    st.sampled_from(
        (
            "response-content-type",
            "response-content-disposition",
            "response-cache-control",
            "uploadId",
            "partNumber",
            "versionId",
            "A-first",
            "X-Amy",
            "X-Amzz",
            "a",
            "a-b",
            "list type",
        )
    ),
    st.text("abcXYZ-. ", min_size=1, max_size=8).filter(lambda name: not name.startswith("X-Amz-")),
)
queries = st.dictionaries(names, texts, max_size=5).map(lambda values: tuple(values.items()))
header_texts = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)
headers = st.fixed_dictionaries(
    {},
    optional={
        "Content-Type": st.sampled_from(("video/quicktime", "text/plain; charset=utf-8")),
        "content-length": st.integers(0, 5 * 2**40).map(str),
        "x-amz-meta-shot": st.tuples(header_texts, header_texts).map("   ".join),
        "x-amz-server-side-encryption": st.just("aws:kms"),
    },
)


@settings(max_examples=300, deadline=None)
@given(
    values=st.sampled_from(ENDPOINTS),
    method=st.sampled_from(("GET", "HEAD", "PUT", "POST", "DELETE")),
    path=paths,
    life=st.integers(1, MAX_LIFE),
    query=queries,
    extra=headers,
    token=tokens,
    now=st.integers(1_000_000_000, 4_000_000_000),
)
def test_equal_to_botocore_byte_for_byte(
    values: dict[str, str],
    method: str,
    path: str,
    life: int,
    query: tuple[tuple[str, str], ...],
    extra: dict[str, str],
    token: str,
    now: int,
) -> None:
    credentials = Credentials("ASIA/+EXAMPLE", "wJalr/K7MDENG+bPxRfi", token)
    ours = signer(credentials, Clock(now + 0.7), **values)
    link = ours.sign(method, path, life, query, extra)
    assert link.url == botocore_url(
        ours, method, path, life, query, extra, credentials=credentials, now=now
    )
    assert link.expires_at == now + life


def test_repeated_and_alternating_calls_do_not_disturb_each_other() -> None:
    clock = Clock()
    ours = signer(clock=clock)
    overrides = response_overrides("inline", "video/mp4")
    pairs = (("response-content-disposition", "inline"), ("response-content-type", "video/mp4"))
    for second in (0, 0, 1, 86400, 86400, 1):
        clock.now = NOON + second
        for life in (900, 60, 900):
            for query, given_pairs in ((overrides, pairs), ((), ())):
                assert ours.sign("GET", "a/b.mp4", life, query).url == botocore_url(
                    ours, "GET", "a/b.mp4", life, given_pairs, now=clock.now
                )


def test_a_session_token_is_in_the_link_and_signed() -> None:
    with_token = Credentials(EXAMPLE.access_key, EXAMPLE.secret_key, "to/ken+=")
    link, plain = signer(with_token).sign("GET", "a", 900).url, signer().sign("GET", "a", 900).url
    assert parameter(link, "X-Amz-Security-Token") == "to/ken+="
    assert parameter(link, "X-Amz-Signature") != parameter(plain, "X-Amz-Signature")


def test_response_overrides_are_percent_encoded_and_empty_ones_left_out() -> None:
    assert response_overrides() == ""
    assert (
        response_overrides("attachment; filename*=utf-8''%C3%BC.mov", "video/quicktime", "private")
        == "response-cache-control=private"
        "&response-content-disposition=attachment%3B%20filename%2A%3Dutf-8%27%27%25C3%25BC.mov"
        "&response-content-type=video%2Fquicktime"
    )
    ours = signer()
    assert ours.sign("GET", "a", 900, response_overrides()) == ours.sign("GET", "a", 900)
    text = response_overrides("inline", "image/png")
    assert ours.sign("GET", "a", 900, text) == ours.sign(
        "GET",
        "a",
        900,
        (("response-content-disposition", "inline"), ("response-content-type", "image/png")),
    )
    assert ours.sign("GET", "a", 900, text) == ours.sign("GET", "a", 900, str(text))


@given(texts)
def test_percent_encoding_is_urllibs(value: str) -> None:
    assert percent_encode(value) == quote(value, safe="~")


@pytest.mark.parametrize(
    "query",
    ["a b=c", "a", "a=%2f", "a=b&", "?a=b", (("X-Amz-Date", "1"),), (("a", 1), ("a", 2))],
)
def test_queries_that_would_not_verify_are_refused(query: Any) -> None:
    with pytest.raises(ValueError):
        signer().sign("GET", "a", 900, query)


@pytest.mark.parametrize(
    "extra",
    [{"Host": "x"}, {"a b": "x"}, {"x-amz-a": "1\r\nx: y"}, {"x-amz-a": "1", "X-Amz-A": "2"}],
)
def test_headers_that_would_not_verify_are_refused(extra: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        signer().sign("PUT", "a", 900, (), extra)


def test_extra_headers_are_named_in_the_link() -> None:
    link = signer().sign("PUT", "a", 900, (("partNumber", 3),), {"Content-Length": 5}).url
    assert parameter(link, "X-Amz-SignedHeaders") == "content-length;host"
    assert parameter(link, "partNumber") == "3"


def test_methods_are_upper_case() -> None:
    with pytest.raises(ValueError, match="capitals"):
        signer().sign("get", "a", 900)


@pytest.mark.parametrize("path", ["", ".", "..", "../a", "./a", "a/../b", "a/..", "x" * 1025])
def test_keys_that_would_not_arrive_literally_are_refused(path: str) -> None:
    for ours in (signer(), signer(prefix="media")):
        with pytest.raises(KeyRefused):
            ours.sign("GET", path, 900)


def test_the_longest_key_counts_the_prefix() -> None:
    ours = signer(prefix="ü" * 10)
    assert ours.sign("GET", "x" * 1003, 900)
    with pytest.raises(KeyRefused, match="1025 bytes"):
        ours.sign("GET", "x" * 1004, 900)
    with pytest.raises(KeyRefused, match="1025 bytes"):
        ours.sign("GET", "é" * 502, 900)


@pytest.mark.parametrize(
    ("life", "expires"),
    [
        (0, 1),
        (-5, 1),
        (1, 1),
        (1.5, 1),
        (604_800, 604_800),
        (604_801, 604_800),
        (10**7, 604_800),
    ],
)
def test_the_life_is_brought_into_what_aws_accepts(life: Any, expires: int) -> None:
    link = signer().sign("GET", "a", life)
    assert parameter(link.url, "X-Amz-Expires") == str(expires)
    assert link.expires_at == NOON + expires


def test_within_a_step_the_link_stays_the_same_and_lives_as_long_as_asked() -> None:
    clock = Clock(NOON + 1)
    ours = signer(clock=clock, step=300)
    first = ours.sign("GET", "a", 900)
    assert parameter(first.url, "X-Amz-Date") == "20260830T120000Z"
    assert parameter(first.url, "X-Amz-Expires") == "1200"
    assert first.url == botocore_url(ours, "GET", "a", 1200)
    clock.now = NOON + 299.9
    assert ours.sign("GET", "a", 900) == first
    assert first.expires_at - clock.now >= 900
    clock.now = NOON + 300
    assert ours.sign("GET", "a", 900).url != first.url


@pytest.mark.parametrize("step", [-1, MAX_LIFE])
def test_a_senseless_step_is_refused(step: int) -> None:
    with pytest.raises(ValueError):
        signer(step=step)


def test_a_step_never_makes_a_life_beyond_seven_days() -> None:
    link = signer(step=300).sign("GET", "a", MAX_LIFE)
    assert parameter(link.url, "X-Amz-Expires") == "604800"


@settings(max_examples=200, deadline=None)
@given(
    step=st.integers(0, 3600),
    life=st.integers(1, MAX_LIFE),
    left=st.floats(31, 100_000),
    offset=st.integers(0, 3600),
)
def test_a_link_never_outlives_its_credentials(
    step: int, life: int, left: float, offset: int
) -> None:
    now = NOON + offset
    credentials = Credentials("AKIA", "secret", "token", now + left)
    link = signer(credentials, Clock(now), step=step).sign("GET", "a", life)
    assert link.expires_at <= now + left - 30
    assert now < link.expires_at
    date = datetime.datetime.strptime(
        parameter(link.url, "X-Amz-Date") + "+0000", "%Y%m%dT%H%M%SZ%z"
    ).timestamp()
    assert link.expires_at == date + int(parameter(link.url, "X-Amz-Expires"))


def test_credentials_without_life_sign_nothing() -> None:
    dying = Credentials("AKIA", "secret", "token", NOON + 30)
    with pytest.raises(CredentialsUnavailable, match="about to expire"):
        signer(dying).sign("GET", "a", 900)


def test_the_holder_is_asked_for_the_whole_life_once_a_second() -> None:
    clock = Clock()
    ours = signer(clock=clock, step=300)
    for _ in range(3):
        ours.sign("GET", "a", 900)
    assert ours._holder.asked == [1200]
    clock.now += 1
    ours.sign("GET", "a", 900)
    assert ours._holder.asked == [1200, 1200]


def test_new_credentials_are_used_from_the_next_second() -> None:
    clock = Clock()
    ours = signer(clock=clock)
    ours.sign("GET", "a", 900)
    renewed = Credentials("ASIANEW", "other secret", "new")
    ours._holder.credentials = renewed
    clock.now += 1
    assert ours.sign("GET", "a", 900).url == botocore_url(
        ours, "GET", "a", 900, credentials=renewed, now=clock.now
    )


def test_threads_over_midnight_sign_like_botocore() -> None:
    midnight = NOON + 12 * 3600
    ticks = iter(range(10**9))
    ours = signer(clock=lambda: midnight - 2 + (next(ticks) % 40) / 10)
    links: list[tuple[str, str]] = []

    def work(number: int) -> None:
        for count in range(200):
            path = f"{number}/{count}.mov"
            links.append((path, ours.sign("GET", path, 900).url))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(links) == 1600
    assert len({parameter(url, "X-Amz-Credential") for _, url in links}) == 2
    for path, url in links[::7]:
        stamp = re.search(r"X-Amz-Date=(\d{8}T\d{6}Z)", url)[1]
        now = datetime.datetime.strptime(f"{stamp}+0000", "%Y%m%dT%H%M%SZ%z").timestamp()
        assert url == botocore_url(ours, "GET", path, 900, now=now)


def test_equal_configurations_share_one_signer(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(**values: str) -> BucketConfig:
        return BucketConfig.from_mapping("m", {"region": "eu-west-1", "bucket": "b-1", **values})

    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    first = signer_for(make())
    assert signer_for(make()) is first
    assert signer_for(make(prefix="p")) is not first
    assert signer_for(make(), step=300) is not first
    assert signer_for(make(), public=False) is not first
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    assert signer_for(make()).endpoint.origin == "http://127.0.0.1:9"
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert signer_for(make()) is first


def test_the_sites_own_calls_are_not_signed_for_the_vpc_endpoint() -> None:
    config = BucketConfig.from_mapping(
        "m",
        {
            "region": "eu-west-1",
            "bucket": "b-1",
            "s3_interface_vpc_endpoint_dns_name": "vpce-1a.s3.eu-west-1.vpce.amazonaws.com",
        },
    )
    holder = Holder(EXAMPLE)
    outside = Signer(config, holder, public=True).sign("GET", "a", 60).url
    inside = Signer(config, holder, public=False).sign("GET", "a", 60).url
    assert outside.startswith("https://b-1.bucket.vpce-1a.s3.eu-west-1.vpce.amazonaws.com/a?")
    assert inside.startswith("https://b-1.s3.eu-west-1.amazonaws.com/a?")
