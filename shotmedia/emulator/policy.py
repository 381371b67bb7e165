"""Policies: the part of IAM's language that the site's roles, session and bucket policies use.

Evaluation as in the IAM User Guide, "Policy evaluation logic": an explicit Deny wins, else an
Allow is needed. Whatever isn't understood is refused when the policy is handed in, so that a test
never passes because a condition was skipped.
"""

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any


class PolicyError(ValueError):
    """The policy is no policy, or uses something that isn't understood here."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; patterns as written, conditions as (operator, key, values)."""

    allow: bool
    actions: tuple[str, ...]
    not_actions: tuple[str, ...]
    resources: tuple[str, ...]
    not_resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]

    def matches(self, action: str, resource: str, context: Mapping[str, str]) -> bool:
        """Whether the statement speaks about this action, resource and request context."""
        if self.actions and not _any(self.actions, action, ignore_case=True):
            return False
        if self.not_actions and _any(self.not_actions, action, ignore_case=True):
            return False
        if self.resources and not _any(self.resources, resource):
            return False
        if self.not_resources and _any(self.not_resources, resource):
            return False
        return all(
            OPERATORS[operator](context.get(key.lower()), values)
            for operator, key, values in self.conditions
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """A parsed policy and what it is called in messages ("session policy")."""

    kind: str
    statements: tuple[Statement, ...]

    def denies(self, action: str, resource: str, context: Mapping[str, str]) -> bool:
        """Whether a Deny statement forbids it."""
        return any(not s.allow and s.matches(action, resource, context) for s in self.statements)

    def allows(self, action: str, resource: str, context: Mapping[str, str]) -> bool:
        """Whether an Allow statement permits it."""
        return any(s.allow and s.matches(action, resource, context) for s in self.statements)


@lru_cache(maxsize=1024)
def _pattern(text: str, ignore_case: bool) -> re.Pattern[str]:
    body = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in text)
    return re.compile(body, re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def _any(patterns: tuple[str, ...], text: str, ignore_case: bool = False) -> bool:
    return any(_pattern(pattern, ignore_case).fullmatch(text) for pattern in patterns)


def _in_networks(value: str | None, ranges: tuple[str, ...]) -> bool:
    if value is None:
        return False
    address = ipaddress.ip_address(value)
    return any(address in ipaddress.ip_network(text, strict=False) for text in ranges)


# A negated operator is true when the key is absent (IAM User Guide, "Condition operators").
OPERATORS: dict[str, Callable[[str | None, tuple[str, ...]], bool]] = {
    "StringEquals": lambda value, wanted: value is not None and value in wanted,
    "StringNotEquals": lambda value, wanted: value is None or value not in wanted,
    "StringLike": lambda value, wanted: value is not None and _any(wanted, value),
    "StringNotLike": lambda value, wanted: value is None or not _any(wanted, value),
    "IpAddress": _in_networks,
    "NotIpAddress": lambda value, ranges: not _in_networks(value, ranges),
    "Bool": lambda value, wanted: value is not None and value in wanted,
}
KEYS = (
    "s3:prefix",
    "aws:sourceip",
    "aws:sourcevpce",
    "aws:sourcevpc",
    "aws:securetransport",
    "aws:useragent",
)


def _texts(value: Any, what: str) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    if not all(isinstance(item, str) for item in items):
        raise PolicyError(f"{what} must be a text or a list of texts")
    return tuple(items)


def parse_policy(text: str | bytes, kind: str) -> Policy:
    """A JSON policy. Raises PolicyError with a sentence for what is wrong or not understood."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise PolicyError(f"the {kind} is no JSON: {error}") from None
    if not isinstance(document, dict) or "Statement" not in document:
        raise PolicyError(f"the {kind} has no Statement")
    statements = document["Statement"]
    if isinstance(statements, dict):
        statements = [statements]
    return Policy(kind, tuple(_statement(item, kind) for item in statements))


def _statement(item: Any, kind: str) -> Statement:
    if not isinstance(item, dict) or item.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError(f"each statement of the {kind} needs an Effect of Allow or Deny")
    if ("Action" in item) == ("NotAction" in item):
        raise PolicyError(f"each statement of the {kind} needs Action or NotAction")
    if "Resource" not in item and "NotResource" not in item:
        raise PolicyError(f"each statement of the {kind} needs a Resource")
    conditions = []
    for operator, tests in item.get("Condition", {}).items():
        if operator not in OPERATORS:
            raise PolicyError(f"the condition operator {operator} is not understood here")
        for key, values in tests.items():
            if key.lower() not in KEYS:
                raise PolicyError(f"the condition key {key} is not understood here")
            conditions.append((operator, key, _texts(values, f"the condition {key}")))
    return Statement(
        item["Effect"] == "Allow",
        _texts(item.get("Action", []), "Action"),
        _texts(item.get("NotAction", []), "NotAction"),
        _texts(item.get("Resource", []), "Resource"),
        _texts(item.get("NotResource", []), "NotResource"),
        tuple(conditions),
    )


def refusal_reason(
    policies: tuple[Policy, ...],
    bucket_policy: Policy | None,
    action: str,
    resource: str,
    context: Mapping[str, str],
) -> str:
    """Why the request is refused, in the words AWS ends its message with; "" when it may go on.

    `policies` are the identity's, each of which must allow; without any the identity may do all
    (the account's own key). A bucket policy here only takes away.
    """
    if bucket_policy is not None and bucket_policy.denies(action, resource, context):
        return "with an explicit deny in a resource-based policy"
    for policy in policies:
        if policy.denies(action, resource, context):
            return f"with an explicit deny in a {policy.kind}"
    for policy in policies:
        if not policy.allows(action, resource, context):
            return f"because no {policy.kind} allows the {action} action"
    return ""
