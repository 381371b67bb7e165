"""Address lists and the client's address."""

import ipaddress

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from preferences.addresses import (
    Match,
    client_address,
    corrected,
    forwarded_for,
    parse_ranges,
)

# The table of reference S3, "Client IP", point by point.
CLIENTS = [
    ("203.0.113.9", "1.1.1.1", "203.0.113.9"),
    ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
    ("10.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),
    ("127.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
    ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
    ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
    ("10.0.0.1", "203.0.113.9:5123", "203.0.113.9"),
    ("10.0.0.1", "unknown", "10.0.0.1"),
    ("10.0.0.1", "1.1.1.1, garbage, 10.0.0.2", "10.0.0.2"),
    ("10.0.0.1", None, "10.0.0.1"),
    ("", "9.9.9.9, 203.0.113.9", "203.0.113.9"),
    ("10.0.0.1", "::ffff:203.0.113.9", "203.0.113.9"),
    ("10.0.0.1", "10.1.1.1, 10.2.2.2", "10.1.1.1"),
    ("fd00::1", "2001:db8::2", "2001:db8::2"),
    ("10.0.0.1", "  203.0.113.9  ", "203.0.113.9"),
    ("::ffff:203.0.113.9", None, "203.0.113.9"),
]


def request(peer, header=None, name="HTTP_X_FORWARDED_FOR"):
    extra = {name: header} if header is not None else {}
    return RequestFactory().get("/", REMOTE_ADDR=peer, **extra)


@pytest.mark.parametrize(("peer", "header", "answer"), CLIENTS)
def test_client_address_behind_trusted_proxies(settings, peer, header, answer):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"]
    assert client_address(request(peer, header)) == answer


def test_headers_are_ignored_without_trusted_proxies(settings):
    settings.TRUSTED_PROXIES = []
    assert client_address(request("203.0.113.9", "1.1.1.1")) == "203.0.113.9"


def test_only_the_configured_header_is_read(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    settings.CLIENT_ADDRESS_HEADER = "Forwarded"
    sent = request("10.0.0.1", "1.1.1.1")
    assert client_address(sent) == "10.0.0.1"
    sent.META["HTTP_FORWARDED"] = 'for=192.0.2.43, For="[2001:db8:cafe::17]:4711";proto=https'
    assert client_address(sent) == "2001:db8:cafe::17"


def test_at_most_20_hops_are_walked(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    hops = ["9.9.9.9", *[f"10.0.1.{n}" for n in range(30)]]
    assert client_address(request("10.0.0.1", ",".join(hops))) == "10.0.1.10"


def test_a_wrong_trusted_proxy_is_said(settings):
    settings.TRUSTED_PROXIES = ["nginx.local"]
    with pytest.raises(ImproperlyConfigured, match=r"TRUSTED_PROXIES: nginx\.local is not"):
        client_address(request("203.0.113.9"))


def test_forwarded_elements_as_in_rfc_7239():
    value = (
        'for=192.0.2.43, for="[2001:db8:cafe::17]:4711";proto=https;by=203.0.113.43, '
        'proto=http, For=unknown;host="a,b;c"'
    )
    assert forwarded_for(value) == ["192.0.2.43", "[2001:db8:cafe::17]:4711", None, "unknown"]


def test_a_match_quotes_the_entry_and_its_line():
    ranges, problems = parse_ranges("\n10.20.0.0/16, 192.168.1.7\r\n2001:db8::/32")
    assert problems == []
    assert ranges.find("10.20.3.4") == Match("10.20.0.0/16", 2)
    assert ranges.find("192.168.1.7") == Match("192.168.1.7", 2)
    assert ranges.find("2001:db8::9") == Match("2001:db8::/32", 3)
    assert ranges.find("10.21.0.0") is None


def test_mapped_addresses_and_ranges_are_ipv4():
    ranges, _ = parse_ranges("10.0.0.0/8\n::ffff:192.0.2.0/120")
    assert ranges.find("::ffff:10.1.1.1") == Match("10.0.0.0/8", 1)
    assert ranges.find("192.0.2.200") == Match("::ffff:192.0.2.0/120", 2)


@pytest.mark.parametrize("address", ["", "unknown", "10.0.0.1\x00", "10.0.0", "1.2.3.4/8", "é"])
def test_what_is_no_address_is_in_no_range(address):
    ranges, _ = parse_ranges("0.0.0.0/0 ::/0")
    assert ranges.find(address) is None


def test_host_bits_are_corrected_with_a_notice():
    text = "10.20.0.1/16  192.168.1.1\n10.20.0.1/16"
    ranges, problems = parse_ranges(text)
    assert [problem.correction for problem in problems] == ["10.20.0.0/16"] * 2
    assert problems[0].message == (
        "Line 1: 10.20.0.1/16 has host bits set; it was changed to 10.20.0.0/16."
    )
    assert corrected(text, problems) == "10.20.0.0/16  192.168.1.1\n10.20.0.0/16"
    assert ranges.find("10.20.200.1") == Match("10.20.0.0/16", 1)


def test_unreadable_entries_are_named_with_their_line_and_left_out():
    ranges, problems = parse_ranges("10.0.0.0/8\n192.168.1.300\n10.0.0.0/255.0.0.0")
    assert [problem.message for problem in problems] == [
        "Line 2: “192.168.1.300” is not an IP address or a CIDR range such as 10.20.0.0/16.",
        "Line 3: “10.0.0.0/255.0.0.0” is not an IP address or a CIDR range such as 10.20.0.0/16. "
        "Did you mean 10.0.0.0/8?",
    ]
    assert len(ranges) == 1


def test_zero_width_characters_hide_no_entry():
    ranges, problems = parse_ranges("\u200b10.0.0.0/8\ufeff")
    assert problems == []
    assert ranges.find("10.9.9.9") == Match("10.0.0.0/8", 1)


networks = st.builds(
    lambda number, bits: ipaddress.ip_network((number, bits), strict=False),
    st.integers(0x0A000000, 0x0A0000FF),
    st.integers(20, 32),
) | st.builds(
    lambda number, bits: ipaddress.ip_network((number, bits), strict=False),
    st.integers(2**125, 2**125 + 255),
    st.integers(116, 128),
)
addresses = st.integers(0x09FFFFF0, 0x0A00010F).map(ipaddress.IPv4Address) | st.integers(
    2**125 - 16, 2**125 + 300
).map(ipaddress.IPv6Address)


@given(st.lists(networks, max_size=12), st.lists(addresses, min_size=1, max_size=12))
def test_find_agrees_with_a_plain_scan(listed, asked):
    ranges, problems = parse_ranges("\n".join(map(str, listed)))
    assert problems == []
    for address in asked:
        match = ranges.find(str(address))
        assert (match is not None) == any(address in network for network in listed)
        if match:
            assert address in ipaddress.ip_network(match.text)
            assert str(listed[match.line - 1]) == match.text
