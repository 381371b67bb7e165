"""CORS as S3 decides it: the first rule that matches, or nothing.

Amazon S3 User Guide, "How does Amazon S3 evaluate the CORS configuration on a bucket".
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from shotmedia.emulator.errors import Refusal

VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
NOT_ENABLED = "CORSResponse: CORS is not enabled for this bucket."
NOT_ALLOWED = (
    "CORSResponse: This CORS request is not allowed. This is usually because the evalution of "
    "Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers "
    "are not whitelisted by the resource's CORS spec."
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a bucket's CORS configuration."""

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    max_age: str = ""


@lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    start, star, end = text.partition("*")
    return re.compile(re.escape(start) + (".*" if star else "") + re.escape(end), re.DOTALL)


def find_rule(
    rules: Sequence[Rule], origin: str, method: str, headers: Sequence[str] = ()
) -> Rule | None:
    """The first rule for this origin, method and (preflights) lower-case request headers."""
    for rule in rules:
        if (
            method in rule.methods
            and any(_pattern(text).fullmatch(origin) for text in rule.origins)
            and all(
                any(_pattern(text.lower()).fullmatch(name) for text in rule.headers)
                for name in headers
            )
        ):
            return rule
    return None


def _headers(rule: Rule, origin: str) -> dict[str, str]:
    wildcard = "*" in rule.origins
    answer = {"Access-Control-Allow-Origin": "*" if wildcard else origin}
    answer["Access-Control-Allow-Methods"] = ", ".join(rule.methods)
    if rule.expose:
        answer["Access-Control-Expose-Headers"] = ", ".join(rule.expose)
    if rule.max_age:
        answer["Access-Control-Max-Age"] = rule.max_age
    if not wildcard:
        answer["Access-Control-Allow-Credentials"] = "true"
    answer["Vary"] = VARY
    return answer


def answer_headers(rules: Sequence[Rule], origin: str, method: str) -> dict[str, str]:
    """The headers to add to an answer, errors too; none without origin or matching rule."""
    rule = find_rule(rules, origin, method) if origin else None
    return _headers(rule, origin) if rule else {}


def preflight_headers(
    rules: Sequence[Rule], origin: str, method: str, requested: str, resource_type: str
) -> dict[str, str]:
    """The headers of the answer to OPTIONS. Raises Refusal in S3's words when no rule matches.

    Arguments: the rules, the request's Origin, Access-Control-Request-Method and -Headers, and
    OBJECT or BUCKET for the error.
    """
    if not origin:
        raise Refusal("BadRequest", 400, "Insufficient information. Origin request header needed.")
    if method not in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        raise Refusal(
            "BadRequest", 400, f"Invalid Access-Control-Request-Method: {method or 'null'}"
        )
    elements = {"Method": method, "ResourceType": resource_type}
    if not rules:
        raise Refusal("AccessForbidden", 403, NOT_ENABLED, elements)
    names = [name.strip().lower() for name in requested.split(",") if name.strip()]
    rule = find_rule(rules, origin, method, names)
    if rule is None:
        raise Refusal("AccessForbidden", 403, NOT_ALLOWED, elements)
    answer = _headers(rule, origin)
    if names:
        answer["Access-Control-Allow-Headers"] = ", ".join(names)
    return answer
