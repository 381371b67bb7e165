"""Raw S3 requests of the checks: signed by our own signer, sent by requests, never repeated.

The checks want what the wire says (status, headers, redirects, error documents), so nothing here
retries, follows a redirect or hides an answer. Only `<prefix>/.speedtest/` can be addressed.
"""

import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import quote
from xml.sax.saxutils import unescape

import requests
from requests.structures import CaseInsensitiveDict
from requests.utils import get_environ_proxies

from .config import BucketConfig
from .credentials import Credentials
from .errors import Unreachable
from .presign import CredentialsHolder, Signer
from .probe_documents import TEST_PATH
from .probe_record import Sent, redacted

CONNECT_TIMEOUT, READ_TIMEOUT = 2.0, 5.0
"""Seconds of one request."""
LINK_SECONDS = 900
"""Life of the links of a speed test."""
MAX_ANSWER = 8 << 20


@dataclass(frozen=True, slots=True)
class Held:
    """A credentials holder around credentials that are not refreshed: a test is short."""

    credentials: Credentials

    def get(self, min_life: int = 0) -> Credentials:
        """The credentials, whatever their remaining life."""
        return self.credentials


@dataclass(frozen=True, slots=True)
class Reply:
    """What S3 answered. code, message and region come from the error document or the headers."""

    operation: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False, default=b"")
    code: str = ""
    message: str = ""
    request_id: str = ""
    region: str = ""

    @property
    def ok(self) -> bool:
        """Whether S3 did what was asked for."""
        return 200 <= self.status < 300

    def said(self) -> str:
        """S3's own words: "403 AccessDenied: Access Denied"."""
        words = f"{self.status} {self.code}".strip()
        return f"{words}: {self.message.rstrip('.')}" if self.message else words


class BucketSigner(Signer):
    """Signs requests on the bucket itself too; elsewhere an empty key is a mistake."""

    def _quoted(self, path: str) -> str:
        return "" if path == "" else super()._quoted(path)


class Caller:
    """Sends requests about one configuration.

    holder    credentials, or None: only unsigned requests are possible
    origin    a site's origin to send as `Origin`, as a browser would
    deadline  monotonic seconds at which everything has to be over
    public    True: by the endpoint that browsers use
    """

    def __init__(
        self,
        config: BucketConfig,
        holder: CredentialsHolder | None,
        *,
        clock: Callable[[], float] = time.time,
        deadline: float | None = None,
        public: bool = False,
    ) -> None:
        self.config = config
        self.holder = holder
        self.clock = clock
        self.deadline = deadline
        self.endpoint = config.public_endpoint() if public else config.service_endpoint()
        self.signer: Signer | None = None
        self._bucket_signer: Signer | None = None
        if holder is not None:
            self.signer = Signer(config, holder, clock=clock, endpoint=self.endpoint)
            self._bucket_signer = BucketSigner(
                replace(config, prefix=""), holder, clock=clock, endpoint=self.endpoint
            )
        self._local = threading.local()
        self.sent: list[Sent] = []
        """Every request so far, fit to be shown."""

    def send(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        query: tuple[tuple[str, str], ...] = (),
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        signed: bool = True,
        read_timeout: float = READ_TIMEOUT,
    ) -> Reply:
        """One request on one object below `.speedtest/`.

        operation names the call in findings. `x-amz-*` headers are signed, others are only sent.
        Raises Unreachable when there is no answer, CredentialsUnavailable, ValueError for a path
        outside `.speedtest/`.
        """
        if not path.startswith(TEST_PATH):
            raise ValueError(f"{path!r} is outside {TEST_PATH!r}; the checks never go there.")
        given = dict(headers or {})
        to_sign = {n: v for n, v in given.items() if n.lower().startswith("x-amz-")}
        if signed:
            url = self._require(self.signer).sign(method, path, 300, query, to_sign).url
        else:
            key = quote(self.config.key(path), safe="/~")
            url = f"{self.endpoint.origin}{self.endpoint.base_path}/{key}"
        return self.fetch(operation, method, url, given, body, read_timeout)

    def on_bucket(
        self,
        operation: str,
        method: str,
        query: tuple[tuple[str, str], ...] = (),
        *,
        signed: bool = True,
    ) -> Reply:
        """One request on the bucket itself: HeadBucket and the lists."""
        if signed:
            url = self._require(self._bucket_signer).sign(method, "", 300, query).url
        else:
            url = f"{self.endpoint.origin}{self.endpoint.base_path}/"
        return self.fetch(operation, method, url)

    def fetch(
        self,
        operation: str,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        read_timeout: float = READ_TIMEOUT,
    ) -> Reply:
        """Send one request as it stands; redirects are answers. Raises Unreachable."""
        limit = read_timeout
        if self.deadline is not None:
            limit = min(limit, self.deadline - time.monotonic())
            if limit <= 0:
                raise Unreachable(
                    "The time for these checks was used up.", code="Timeout", operation=operation
                )
        try:
            # Once per thread: sessions are not safe to share, and a new one costs a handshake.
            with self._session().request(
                method,
                url,
                headers=dict(headers or {}),
                data=body,
                allow_redirects=False,
                timeout=(min(CONNECT_TIMEOUT, limit), limit),
                proxies=get_environ_proxies(url),
                stream=True,
            ) as answer:
                content = answer.raw.read(MAX_ANSWER, decode_content=True)
        except (requests.RequestException, OSError, _HTTPError) as error:
            self._note(method, url, headers, None)
            raise Unreachable(
                no_answer(self.endpoint.host, error),
                code=type(root_cause(error)).__name__,
                operation=operation,
            ) from error
        self._note(method, url, headers, answer)
        return parse_reply(operation, answer.status_code, answer.headers, content)

    def _note(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        answer: requests.Response | None,
    ) -> None:
        known = {} if answer is None else answer.headers
        self.sent.append(
            Sent(
                datetime.fromtimestamp(self.clock(), UTC).isoformat(timespec="milliseconds"),
                method,
                redacted(url),
                dict(headers or {}),
                0 if answer is None else answer.status_code,
                known.get("x-amz-request-id", ""),
                known.get("x-amz-id-2", ""),
            )
        )

    def _session(self) -> requests.Session:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            # A .netrc entry would add a second Authorization, which S3 refuses.
            session.trust_env = False
            session.verify = ca_bundle()
        return session

    def _require(self, signer: Signer | None) -> Signer:
        if signer is None:
            raise ValueError("This caller has no credentials; send the request unsigned.")
        return signer


_HTTPError = requests.packages.urllib3.exceptions.HTTPError


def ca_bundle() -> str:
    """The file of trusted authorities: AWS_CA_BUNDLE as boto3, REQUESTS_CA_BUNDLE, or certifi's."""
    return (
        os.environ.get("AWS_CA_BUNDLE")
        or os.environ.get("REQUESTS_CA_BUNDLE")
        or requests.certs.where()
    )


def parse_reply(
    operation: str, status: int, headers: Mapping[str, str], body: bytes = b""
) -> Reply:
    """A Reply out of an answer's parts; the error document is read with care, not trusted."""
    text = body[:20_000].decode("utf-8", "replace") if status >= 300 else ""
    return Reply(
        operation,
        status,
        CaseInsensitiveDict(headers),
        body,
        code=_element(text, "Code") or (str(status) if status >= 300 else ""),
        message=_element(text, "Message"),
        request_id=headers.get("x-amz-request-id", "") or _element(text, "RequestId"),
        region=headers.get("x-amz-bucket-region", "") or _element(text, "Region"),
    )


def _element(text: str, name: str) -> str:
    match = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    return unescape(match[1]).strip()[:600] if match else ""


def root_cause(error: BaseException) -> BaseException:
    """The innermost reason of a chain of requests', urllib3's and socket errors."""
    seen = {id(error)}
    while True:
        inner = getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((a for a in error.args if isinstance(a, BaseException)), None)
        inner = inner or error.__cause__ or error.__context__
        if inner is None or id(inner) in seen:
            return error
        seen.add(id(inner))
        error = inner


def no_answer(host: str, error: BaseException) -> str:
    """A sentence for a request that got no answer."""
    cause = root_cause(error)
    if isinstance(cause, socket.gaierror):
        return f"The name {host} could not be looked up ({cause.strerror or cause})."
    if isinstance(cause, ConnectionRefusedError):
        return f"{host} refused the connection: nothing listens there, or a firewall rejects it."
    if isinstance(cause, TimeoutError) or "timed out" in str(cause).lower():
        return f"{host} did not answer in time: a firewall may drop the packets."
    if isinstance(cause, ssl.SSLError):
        return f"The TLS connection to {host} failed: {cause}."
    if isinstance(cause, ConnectionError) or "closed connection" in str(cause):
        return f"{host} closed the connection without an answer."
    return f"{host} gave no usable answer: {cause}."
