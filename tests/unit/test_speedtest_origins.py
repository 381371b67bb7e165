"""Office and browser of a test."""

import pytest

from speedtest.origins import browser_of, office_of


@pytest.mark.parametrize(
    ("address", "office"),
    [
        ("203.0.113.77", "203.0.113.0/24"),
        ("::ffff:203.0.113.77", "203.0.113.0/24"),
        ("2001:db8:1234:5678::9", "2001:db8:1234::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", ""),
        ("this server", ""),
    ],
)
def test_an_office_is_an_address_range(address: str, office: str) -> None:
    assert office_of(address) == office


CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "


@pytest.mark.parametrize(
    ("user_agent", "browser"),
    [
        (CHROME + "Chrome/142.0.0.0 Safari/537.36", "Chrome on Windows"),
        (CHROME + "Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0", "Edge on Windows"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
         "Firefox on Linux"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
         "Version/18.0 Safari/605.1.15", "Safari on macOS"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/142.0.0.0 Mobile Safari/537.36",
         "Chrome on Android"),
        ("curl/8.5.0", "curl"),
        ("=HYPERLINK()", "other"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_browser_has_a_short_name(user_agent: str, browser: str) -> None:
    assert browser_of(user_agent) == browser
