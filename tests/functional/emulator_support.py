"""What the emulator's own tests share: one emulator with a clock that can be moved, and HTTP
without a library's good manners."""

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

from shotmedia.emulator import Bucket, Emulator, Role

ROLE = "arn:aws:iam::111122223333:role/site-media"
OPEN_ROLE = "arn:aws:iam::111122223333:role/open"
LONG_ROLE = "arn:aws:iam::111122223333:role/long"


class Clock:
    """Real time plus an offset in seconds that a test moves."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self) -> float:
        return time.time() + self.offset


def make_emulator(clock: Clock, **options: Any) -> Emulator:
    """A primary, its replica in another region, and a bucket that takes part in nothing."""
    return Emulator(
        [
            Bucket("primary", "us-east-1"),
            Bucket("replica", "ap-southeast-2", "primary"),
            Bucket("alone", "eu-west-1"),
        ],
        lag=60,
        roles={ROLE: "studio-7", OPEN_ROLE: "", LONG_ROLE: Role(max_session=43_200)},
        clock=clock,
        **options,
    )


@dataclass(frozen=True)
class Answer:
    """One answer: headers by lower-case name."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The Code of an S3 or STS error document, "" without."""
        return self.element("Code")

    def element(self, name: str) -> str:
        """The text of an element of the XML body, "" without."""
        if not self.body:
            return ""
        for node in ElementTree.fromstring(self.body).iter():
            if node.tag.rpartition("}")[2] == name:
                return node.text or ""
        return ""


def send(
    url: str,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    host: str = "",
) -> Answer:
    """One request exactly as written; `host` is sent instead of the address's own."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host or parts.netloc)
        given = dict(headers or {})
        if body is not None and not {"content-length", "transfer-encoding"} & {
            name.lower() for name in given
        }:
            given["Content-Length"] = str(len(body))
        for name, value in given.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        data = response.read()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, data)
    finally:
        connection.close()
