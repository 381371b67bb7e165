import pytest

from shotmedia.emulator.cors import NOT_ENABLED, Rule, answer_headers, preflight_headers
from shotmedia.emulator.errors import Refusal

SITE = Rule(
    ("https://site.example.com",), ("GET", "PUT"), ("content-type", "x-amz-*"), ("ETag",), "3000"
)
ANYONE = Rule(("*",), ("GET",))


def preflight(rules, origin="https://site.example.com", method="PUT", headers="content-type"):
    return preflight_headers(rules, origin, method, headers, "OBJECT")


def test_preflight_of_an_allowed_request():
    assert preflight([SITE], headers="Content-Type, X-Amz-Meta-A") == {
        "Access-Control-Allow-Origin": "https://site.example.com",
        "Access-Control-Allow-Methods": "GET, PUT",
        "Access-Control-Allow-Headers": "content-type, x-amz-meta-a",
        "Access-Control-Expose-Headers": "ETag",
        "Access-Control-Max-Age": "3000",
        "Access-Control-Allow-Credentials": "true",
        "Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
    }


@pytest.mark.parametrize(
    "changed",
    [
        {"origin": "https://evil.example.com"},
        {"origin": "https://site.example.com.evil.org"},
        {"origin": "http://site.example.com"},
        {"method": "DELETE"},
        {"headers": "content-type, authorization"},
    ],
)
def test_preflight_of_anything_else_is_refused(changed):
    with pytest.raises(Refusal) as caught:
        preflight([SITE], **changed)
    assert (caught.value.code, caught.value.status) == ("AccessForbidden", 403)
    assert caught.value.message.startswith("CORSResponse: This CORS request is not allowed.")


def test_preflight_without_rules_says_so():
    with pytest.raises(Refusal) as caught:
        preflight([])
    assert caught.value.message == NOT_ENABLED
    assert caught.value.elements == {"Method": "PUT", "ResourceType": "OBJECT"}


def test_preflight_without_origin_or_method():
    for changed in ({"origin": ""}, {"method": ""}):
        with pytest.raises(Refusal) as caught:
            preflight([SITE], **changed)
        assert caught.value.status == 400


def test_first_matching_rule_counts():
    headers = answer_headers([SITE, ANYONE], "https://site.example.com", "GET")
    assert headers["Access-Control-Allow-Methods"] == "GET, PUT"
    assert headers["Access-Control-Allow-Origin"] == "https://site.example.com"
    other = answer_headers([SITE, ANYONE], "https://else.example.com", "GET")
    assert other["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in other


def test_wildcard_inside_an_origin():
    rule = Rule(("https://*.example.com",), ("GET",))
    assert answer_headers([rule], "https://a.b.example.com", "GET")
    assert not answer_headers([rule], "https://example.com", "GET")
    assert not answer_headers([rule], "https://aXexample.com", "GET")


def test_no_headers_for_foreign_origins_other_methods_or_no_origin():
    assert answer_headers([SITE], "https://evil.example.com", "GET") == {}
    assert answer_headers([SITE], "https://site.example.com", "DELETE") == {}
    assert answer_headers([SITE], "", "GET") == {}
    assert answer_headers([], "https://site.example.com", "GET") == {}


def test_null_origin_only_matches_a_wildcard():
    assert answer_headers([ANYONE], "null", "GET")
    assert not answer_headers([SITE], "null", "GET")
