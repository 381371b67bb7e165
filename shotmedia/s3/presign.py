"""SigV4 query signing: links that work without credentials until they expire.

S3 API Reference, "Authenticating Requests: Using Query Parameters". boto3's presigner takes some
300 microseconds a link; here everything that does not depend on the link (signing key, scope,
query of the second) is prepared once, which leaves one SHA-256 and one HMAC.
"""

import hashlib
import hmac
import re
import time
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, unquote

from .config import MAX_KEY_BYTES, BucketConfig, Endpoint, check_key
from .credentials import Credentials, credentials_for
from .errors import CredentialsUnavailable
from .process import ProcessCache

MAX_LIFE = 604_800
"""Seconds; AWS refuses more (seven days)."""
EXPIRY_MARGIN = 30
"""Seconds that a link ends before the credentials that signed it."""

_METHODS = frozenset(("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"))
_SAFE_PATH = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~/-]*").fullmatch
_ENCODED = r"(?:[A-Za-z0-9._~-]|%[0-9A-F]{2})"
_ENCODED_QUERY = re.compile(rf"{_ENCODED}+={_ENCODED}*(?:&{_ENCODED}+={_ENCODED}*)*").fullmatch
_UNRESERVED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_PERCENT = [chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in range(256)]
_INNER_PAD = bytes(value ^ 0x36 for value in range(256))
_OUTER_PAD = bytes(value ^ 0x5C for value in range(256))
_sha256 = hashlib.sha256

Query = str | Iterable[tuple[str, Any]]


class EncodedQuery(str):
    """A query that is known to be encoded and ordered as SigV4 wants it, after X-Amz-*."""

    __slots__ = ()


def percent_encode(value: str) -> str:
    """`value` with all but A-Z a-z 0-9 - . _ ~ percent-encoded, as SigV4 wants it.

    The same as urllib's quote(value, safe="~") in half the time.
    """
    return "".join(map(_PERCENT.__getitem__, value.encode()))


class SignedURL(NamedTuple):
    """A link and the moment (epoch seconds) at which S3 will start to refuse it."""

    url: str
    expires_at: float


class CredentialsHolder(Protocol):
    """Whatever hands out credentials; see RoleCredentials.get."""

    def get(self, min_life: int) -> Credentials: ...


class _Prepared(NamedTuple):
    """What all links of one second and life share."""

    canonical_auth: str  # X-Amz-... up to and with "X-Amz-SignedHeaders=", in canonical order
    url_auth: str  # the same up to "X-Amz-SignedHeaders=", in the URL's order
    url_token: str  # "&X-Amz-Security-Token=..." or ""
    plain_canonical: str  # canonical_auth for links without extra headers
    plain_url: str  # url_auth + headers + token for links without extra headers
    inner: Any  # SHA-256 state: HMAC's inner pad, then the head of the string to sign
    outer: Any  # SHA-256 state: HMAC's outer pad
    expires_at: float


class Signer:
    """Signs links for one configuration. Safe to share between threads.

    config              the configuration
    credentials_holder  its `get(min_life)` answers with Credentials
    step                seconds; the date is rounded down to a multiple and the life lengthened by
                        it, so that a link asked for again within the step is the same text, which
                        a browser can cache. 0 or 1: every second has its own
    clock               epoch seconds
    public              True: for the endpoint that clients use; False: for the site's own calls
    endpoint            sign for this endpoint instead
    """

    def __init__(
        self,
        config: BucketConfig,
        credentials_holder: CredentialsHolder,
        *,
        step: int = 0,
        clock: Callable[[], float] = time.time,
        public: bool = True,
        endpoint: Endpoint | None = None,
    ) -> None:
        if not 0 <= step <= MAX_LIFE // 2:
            raise ValueError(f"The step is {step} s; it must be 0 to {MAX_LIFE // 2} s.")
        if endpoint is None:
            endpoint = config.public_endpoint() if public else config.service_endpoint()
        self.config = config
        self.endpoint = endpoint
        self.step = step
        self._holder = credentials_holder
        self._clock = clock
        prefix = f"{config.prefix}/" if config.prefix else ""
        self._origin = endpoint.origin
        self._base = f"{endpoint.base_path}/{quote(prefix, safe='/~')}"
        self._room = MAX_KEY_BYTES - len(prefix.encode())
        self._host_tail = f"\nhost:{endpoint.host}\n\nhost\nUNSIGNED-PAYLOAD"
        self._second: tuple[int, dict[int, _Prepared]] = (-1, {})
        self._key: tuple[Credentials | None, str, Any, Any] = (None, "", None, None)

    def sign(
        self,
        method: str,
        path: str,
        life: int,
        query: Query = (),
        headers: Mapping[str, Any] | None = None,
    ) -> SignedURL:
        """A link for one method on one path.

        method   upper case; a link for GET does not work for HEAD
        path     key relative to the prefix, not encoded
        life     seconds, brought into 1..604800 and never beyond the credentials' own
        query    further parameters: pairs, or text that is already percent-encoded
                 (`response_overrides`)
        headers  headers that the client must send with exactly these values, e.g. content-length

        Raises KeyRefused, ValueError for what cannot be signed, CredentialsUnavailable.
        """
        second = int(self._clock())
        current = self._second
        if current[0] != second:
            self._second = current = (second, {})
        prepared = current[1].get(life)
        if prepared is None:
            prepared = current[1][life] = self._prepare(second, life)
        _, _, _, canonical_auth, url_auth, inner, outer, expires_at = prepared
        if headers:
            canonical_auth, url_auth, tail = self._with_headers(prepared, headers)
        else:
            tail = self._host_tail
        if _SAFE_PATH(path) and "/." not in path and len(path) <= self._room:
            target = self._base + path
        else:
            target = self._base + self._quoted(path)
        if method not in _METHODS:
            raise ValueError(f"{method!r} is not a method of S3; write it in capitals.")
        if not query:
            canonical = f"{method}\n{target}\n{canonical_auth}{tail}"
            start = f"{self._origin}{target}?{url_auth}"
        elif type(query) is EncodedQuery:
            canonical = f"{method}\n{target}\n{canonical_auth}&{query}{tail}"
            start = f"{self._origin}{target}?{query}&{url_auth}"
        else:
            text = query if type(query) is str else tuple(query)
            before, after, given = _query_forms(text)
            canonical = f"{method}\n{target}\n{before}{canonical_auth}{after}{tail}"
            start = f"{self._origin}{target}?{given}&{url_auth}"
        inner = inner.copy()
        inner.update(_sha256(canonical.encode()).hexdigest().encode())
        outer = outer.copy()
        outer.update(inner.digest())
        return SignedURL(f"{start}&X-Amz-Signature={outer.hexdigest()}", expires_at)

    def _quoted(self, path: str) -> str:
        check_key(path)
        if len(path.encode()) > self._room:
            check_key(self.config.key(path))
        return quote(path, safe="/~")

    def _prepare(self, second: int, life: int) -> _Prepared:
        date = second - second % self.step if self.step else second
        wanted = min(max(1, min(int(life), MAX_LIFE)) + self.step, MAX_LIFE)
        credentials = self._holder.get(wanted)
        expires = wanted
        if credentials.expires_at is not None:
            expires = min(wanted, int(credentials.expires_at) - EXPIRY_MARGIN - date)
            if date + expires <= second:
                raise CredentialsUnavailable(
                    "The credentials are about to expire and could not be refreshed, so no link "
                    "was signed.",
                    code="ExpiredToken",
                    operation="Sign",
                )
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(date))
        scope = f"{stamp[:8]}/{self.config.region}/s3/aws4_request"
        inner, outer = self._key_states(credentials, stamp[:8])
        inner = inner.copy()
        inner.update(f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n".encode())
        auth = (
            "X-Amz-Algorithm=AWS4-HMAC-SHA256"
            f"&X-Amz-Credential={percent_encode(f'{credentials.access_key}/{scope}')}"
            f"&X-Amz-Date={stamp}&X-Amz-Expires={expires}"
        )
        token = ""
        if credentials.token:
            token = f"&X-Amz-Security-Token={percent_encode(credentials.token)}"
        canonical_auth = f"{auth}{token}&X-Amz-SignedHeaders="
        url_auth = f"{auth}&X-Amz-SignedHeaders="
        return _Prepared(
            canonical_auth,
            url_auth,
            token,
            f"{canonical_auth}host",
            f"{url_auth}host{token}",
            inner,
            outer.copy(),
            float(date + expires),
        )

    def _key_states(self, credentials: Credentials, day: str) -> tuple[Any, Any]:
        """The two SHA-256 states of HMAC under the day's signing key."""
        held_credentials, held_day, inner, outer = self._key
        if held_credentials is not credentials or held_day != day:
            key = f"AWS4{credentials.secret_key}".encode()
            for part in (day, self.config.region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            block = key.ljust(64, b"\0")
            inner = _sha256(block.translate(_INNER_PAD))
            outer = _sha256(block.translate(_OUTER_PAD))
            self._key = (credentials, day, inner, outer)
        return inner, outer

    def _with_headers(
        self, prepared: _Prepared, headers: Mapping[str, Any]
    ) -> tuple[str, str, str]:
        pairs = tuple((name, str(value)) for name, value in headers.items())
        names, tail = _header_forms(self.endpoint.host, pairs)
        return (
            prepared.canonical_auth + names,
            f"{prepared.url_auth}{names}{prepared.url_token}",
            tail,
        )


@lru_cache(maxsize=4096)
def _query_forms(query: str | tuple[tuple[str, Any], ...]) -> tuple[str, str, str]:
    """A caller's query as (canonical part before X-Amz-*, part after them, as the URL has it)."""
    if isinstance(query, str):
        if not _ENCODED_QUERY(query):
            raise ValueError(
                f"The query {query!r} is not percent-encoded as SigV4 wants it; pass pairs."
            )
        encoded = [tuple(pair.split("=", 1)) for pair in query.split("&")]
    else:
        encoded = [(percent_encode(name), percent_encode(str(value))) for name, value in query]
    names = [name for name, _ in encoded]
    if len(set(names)) != len(names):
        raise ValueError(f"The query names a parameter twice: {', '.join(map(unquote, names))}.")
    if any(name.startswith("X-Amz-") or not name for name in names):
        raise ValueError("The signer itself adds X-Amz-... parameters; leave them out.")
    before = "".join(f"{n}={v}&" for n, v in sorted(encoded) if n < "X-Amz-")
    after = "".join(f"&{n}={v}" for n, v in sorted(encoded) if n >= "X-Amz-")
    return before, after, "&".join(f"{n}={v}" for n, v in encoded)


@lru_cache(maxsize=1024)
def _header_forms(host: str, pairs: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """(names as X-Amz-SignedHeaders has them, tail of the canonical request)."""
    lines = {"host": host}
    for name, value in pairs:
        name = name.lower().strip()
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9a-z-]+", name):
            raise ValueError(f"{name!r} is not a header name.")
        if name in lines:
            raise ValueError(f"The header {name!r} is given twice, or is Host, which is automatic.")
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
            raise ValueError(f"The value of the header {name!r} holds a control character.")
        lines[name] = " ".join(value.split())
    names = ";".join(sorted(lines))
    canonical = "".join(f"{name}:{lines[name]}\n" for name in sorted(lines))
    return percent_encode(names), f"\n{canonical}\n{names}\nUNSIGNED-PAYLOAD"


@lru_cache(maxsize=4096)
def response_overrides(
    content_disposition: str = "", content_type: str = "", cache_control: str = ""
) -> EncodedQuery:
    """The percent-encoded query that makes S3 answer a GET with these headers.

    Empty values are left out. S3 API Reference, GetObject, "Overriding response header values".
    """
    pairs = (
        ("response-cache-control", cache_control),
        ("response-content-disposition", content_disposition),
        ("response-content-type", content_type),
    )
    return EncodedQuery(
        "&".join(f"{name}={percent_encode(value)}" for name, value in pairs if value)
    )


_signers = ProcessCache(limit=256)


def signer_for(config: BucketConfig, *, step: int = 0, public: bool = True) -> Signer:
    """The process's signer of a configuration; built once for equal arguments.

    Raises ConfigError for a bad AWS_ENDPOINT_URL_S3.
    """
    key = (config, step, public, config.custom_endpoint_url())
    return _signers.get(
        key, lambda: Signer(config, credentials_for(config), step=step, public=public)
    )
