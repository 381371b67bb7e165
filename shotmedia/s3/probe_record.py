"""What the checks have sent, fit to be shown: for "Copy for IT". Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

SECRETS = ("x-amz-signature", "x-amz-credential", "x-amz-security-token")
"""Query parameters that would let a reader use the link, or tell whose it is."""
MOST = 6
"""Requests told of one check."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One request and its answer.

    url without signature and credential; time as ISO 8601 UTC; status 0: there was no answer;
    request_id and id_2 are what AWS support asks for.
    """

    time: str
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 0
    request_id: str = ""
    id_2: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The request as plain values, for JSON."""
        return asdict(self)


def redacted(url: str) -> str:
    """A link without its signature, credential and session token; the rest as it was sent."""
    # Not urlsplit, which raises for some texts: a browser's account of a link may be anything.
    address, mark, query = url.partition("?")
    pairs = []
    for pair in query.split("&"):
        name = pair.partition("=")[0]
        pairs.append(f"{name}=REDACTED" if name.lower() in SECRETS else pair)
    return f"{address}{mark}{'&'.join(pairs)}"


def worth_telling(sent: Sequence[Sent]) -> tuple[dict[str, Any], ...]:
    """The requests of one check that explain it: those that S3 refused, else the last ones."""
    refused = [one for one in sent if one.status == 0 or one.status >= 300]
    return tuple(one.as_dict() for one in (refused[:MOST] or sent[-2:]))
