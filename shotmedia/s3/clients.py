"""The only `import boto3`: sessions, clients, time-outs and retries, and the one raw HEAD."""

import email.utils
import os
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
import urllib3
from botocore.config import Config
from botocore.credentials import (
    CredentialProvider,
    CredentialResolver,
    ReadOnlyCredentials,
)
from botocore.credentials import Credentials as BotoCredentials
from botocore.utils import get_environ_proxies

from .config import BucketConfig, parse_endpoint_url
from .credentials import RoleCredentials, credentials_for, credentials_key
from .errors import S3Error, Unreachable, error_class, translated
from .presign import Signer, signer_for
from .process import ProcessCache

CONNECT_TIMEOUT, READ_TIMEOUT = 2.0, 5.0
"""Seconds, of each attempt of the site's own calls."""
HEAD_THREADS = 8
"""Concurrent HEADs per origin: a slow store cannot take more than its share."""

_cache = ProcessCache()


def aws_session(profile: str = "") -> boto3.Session:
    """The session with botocore's own credential chain, one per profile and process.

    Raises CredentialsUnavailable when the profile does not exist.
    """

    def build() -> boto3.Session:
        with translated("GetCredentials"):
            return boto3.Session(botocore_session=_core_session(profile))

    return _cache.get(("session", profile), build)


def _core_session(profile: str) -> botocore.session.Session:
    core = botocore.session.Session(profile=profile or None)
    # The global endpoint's tokens do not work in every region.
    core.set_config_variable("sts_regional_endpoints", "regional")
    return core


def sts_client(region: str, profile: str = "") -> Any:
    """A boto3 STS client at the region's endpoint (or AWS_ENDPOINT_URL_STS), at most 2 attempts."""

    def build() -> Any:
        config = Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": 2},
        )
        return aws_session(profile).client("sts", region_name=region, config=config)

    names = ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
    return _cache.get(("sts", region, profile, *map(os.environ.get, names)), build)


class _HeldCredentials(BotoCredentials):
    """botocore's view of our holder: every request is signed with what the holder has then."""

    method = "shotmedia"
    account_id = None

    def __init__(self, holder: RoleCredentials) -> None:
        self._holder = holder

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        held = self._holder.get(60)
        return ReadOnlyCredentials(held.access_key, held.secret_key, held.token or None)

    @property
    def access_key(self) -> str:
        return self._holder.get(60).access_key

    @property
    def secret_key(self) -> str:
        return self._holder.get(60).secret_key

    @property
    def token(self) -> str | None:
        return self._holder.get(60).token or None


class _HeldProvider(CredentialProvider):
    METHOD = CANONICAL_NAME = "shotmedia"

    def __init__(self, holder: RoleCredentials) -> None:
        super().__init__()
        self._holder = holder

    def load(self) -> _HeldCredentials:
        return _HeldCredentials(self._holder)


def s3_client(config: BucketConfig, *, read_timeout: float = READ_TIMEOUT) -> Any:
    """The boto3 S3 client for the site's own calls on a configuration, one per process.

    It goes to the service endpoint, signs with SigV4 and with credentials that refresh. An attempt
    may take 2 s to connect and `read_timeout` seconds between bytes; there are at most 3 attempts.
    """
    custom = config.custom_endpoint_url()
    key = ("s3", config, read_timeout, custom)
    return _cache.get(key, lambda: _build_s3(config, read_timeout, custom))


def _build_s3(config: BucketConfig, read_timeout: float, custom: str) -> Any:
    def session() -> boto3.Session:
        core = _core_session(config.profile)
        provider = _HeldProvider(credentials_for(config))
        core.register_component("credential_provider", CredentialResolver([provider]))
        return boto3.Session(botocore_session=core)

    path_style = config.uses_path_style()
    options = Config(
        signature_version="s3v4",
        s3={
            "addressing_style": "path" if path_style else "virtual",
            "us_east_1_regional_endpoint": "regional",
        },
        # Older S3-compatible stores refuse the chunked uploads of the default.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "total_max_attempts": 3},
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=read_timeout,
        max_pool_connections=16,
        # Our own configuration decides, so that the client and the signer never differ.
        ignore_configured_endpoint_urls=True,
    )
    with translated("CreateClient"):
        return _cache.get(("held", credentials_key(config)), session).client(
            "s3",
            region_name=config.region,
            endpoint_url=parse_endpoint_url(custom).url if custom else None,
            config=options,
        )


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """What HEAD says about an object.

    size in bytes; etag without quotes; last_modified in epoch seconds; replication_status and
    version_id "" when S3 does not send them.
    """

    size: int
    etag: str
    last_modified: float | None
    replication_status: str
    version_id: str


def head_object(config: BucketConfig, path: str, *, timeout: float = 0.8) -> ObjectHead:
    """HEAD of one object at the service endpoint: one attempt, over kept-alive connections.

    timeout: seconds for everything together, names and TLS included.
    Raises ObjectMissing (404), AccessDenied (403), Unreachable (time-out, no connection, 5xx),
    CredentialsUnavailable, and S3Error for any other status (e.g. a bucket in another region).
    """
    signer = signer_for(config, public=False)
    origin = signer.endpoint.origin
    threads = _cache.get(
        ("threads", origin),
        lambda: ThreadPoolExecutor(HEAD_THREADS, thread_name_prefix="s3-head"),
    )
    # Socket time-outs cover neither the name look-up, nor a server that sends byte by byte, nor
    # the STS call that signing may have to wait for.
    waiting = threads.submit(_head, signer, path, timeout)
    try:
        status, headers = waiting.result(timeout)
    except FutureTimeout:
        waiting.cancel()
        raise Unreachable(
            f"{origin} gave no answer within {timeout:g} s.", code="Timeout", operation="HeadObject"
        ) from None
    except urllib3.exceptions.HTTPError as error:
        cause = _cause(error)
        raise Unreachable(
            f"{origin} gave no answer: {cause}", code=type(cause).__name__, operation="HeadObject"
        ) from error
    if status != 200:
        raise _head_error(config, origin, status, headers)
    return _object_head(headers)


def _head(signer: Signer, path: str, timeout: float) -> tuple[int, Any]:
    origin = signer.endpoint.origin
    answer = _cache.get(("pool", origin), lambda: _pool(origin)).request(
        "HEAD",
        signer.sign("HEAD", path, 60).url,
        redirect=False,
        retries=False,
        timeout=urllib3.Timeout(total=timeout),
    )
    return answer.status, answer.headers


def _pool(origin: str) -> urllib3.PoolManager:
    """Kept-alive connections, through the same proxy and with the same CA bundle as boto3."""
    options: dict[str, Any] = {"maxsize": HEAD_THREADS}
    bundle = os.environ.get("AWS_CA_BUNDLE")
    if bundle:
        options["ca_certs"] = bundle
    proxy = get_environ_proxies(origin).get(urlsplit(origin).scheme)
    if proxy:
        return urllib3.ProxyManager(proxy, **options)
    return urllib3.PoolManager(**options)


def _cause(error: Exception) -> Exception:
    reason = getattr(error, "reason", None)
    return reason if isinstance(reason, Exception) else error


def _head_error(config: BucketConfig, origin: str, status: int, headers: Any) -> S3Error:
    region = headers.get("x-amz-bucket-region", "")
    if status >= 500 or status == 429:
        message = f"{origin} answered with status {status}."
    elif status == 404:
        message = "There is no such object."
    elif status == 403:
        message = "S3 does not let the site look at the object (403)."
    elif region and region != config.region:
        message = f"The bucket {config.bucket} is in {region}, not in {config.region}."
    else:
        message = f"S3 answered HEAD with the unexpected status {status}."
    return (error_class(str(status), status) or S3Error)(
        message,
        code=str(status),
        status=status,
        request_id=headers.get("x-amz-request-id", ""),
        operation="HeadObject",
    )


def _object_head(headers: Any) -> ObjectHead:
    modified = headers.get("last-modified")
    return ObjectHead(
        size=int(headers.get("content-length", 0)),
        etag=headers.get("etag", "").strip('"'),
        last_modified=email.utils.parsedate_to_datetime(modified).timestamp() if modified else None,
        replication_status=headers.get("x-amz-replication-status", ""),
        version_id=headers.get("x-amz-version-id", ""),
    )
