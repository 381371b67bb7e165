"""One named entry of the preference "S3 Configuration": its keys, hosts and endpoints."""

import hashlib
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

MAX_KEY_BYTES = 1024
"""S3 User Guide, "Creating object key names"."""


class ConfigError(ValueError):
    """A configuration that cannot work. `problems` holds (field, sentence) pairs."""

    def __init__(self, problems: list[tuple[str, str]] | str) -> None:
        if isinstance(problems, str):
            problems = [("", problems)]
        self.problems = tuple(problems)
        super().__init__(" ".join(sentence for _, sentence in self.problems))


class KeyRefused(ValueError):
    """A key that clients or S3 would not treat literally."""


class Partition(NamedTuple):
    """A set of regions that share accounts, ARNs and a domain."""

    name: str
    suffix: str


_AWS = Partition("aws", "amazonaws.com")
# botocore's partitions.json; a test compares every region that it knows.
_PARTITIONS = (
    ("cn-", Partition("aws-cn", "amazonaws.com.cn")),
    ("us-gov-", Partition("aws-us-gov", "amazonaws.com")),
    ("eusc-", Partition("aws-eusc", "amazonaws.eu")),
    ("us-iso-", Partition("aws-iso", "c2s.ic.gov")),
    ("us-isob-", Partition("aws-iso-b", "sc2s.sgov.gov")),
    ("eu-isoe-", Partition("aws-iso-e", "cloud.adc-e.uk")),
    ("us-isof-", Partition("aws-iso-f", "csp.hci.ic.gov")),
    ("eu-isof-", Partition("aws-iso-f", "csp.hci.ic.gov")),
)

ADDRESSING_STYLES = ("", "auto", "virtual", "path")

_AWS_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+){1,3}-\d{1,2}")
_ANY_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_VIRTUAL_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_VPCE = re.compile(r"vpce-[0-9a-z-]+\.s3\.([a-z0-9-]+)\.vpce\.amazonaws\.com(\.cn)?")
_ROLE = re.compile(r"arn:(aws[a-z-]*):iam::\d{12}:role/[\w+=,.@/-]+", re.ASCII)
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_DOT_SEGMENT = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")


def partition_of(region: str) -> Partition:
    """The partition of a region; a region of unknown shape counts as plain AWS."""
    for start, partition in _PARTITIONS:
        if region.startswith(start):
            return partition
    return _AWS


def check_key(key: str) -> None:
    """Refuse a key that would not arrive literally.

    "." and ".." segments are normalised away by browsers and proxies, so the signature would not
    match or another object would answer. Longer than 1024 bytes of UTF-8 is refused by S3.

    Raises KeyRefused.
    """
    if not key:
        raise KeyRefused("The key is empty; name an object.")
    if _DOT_SEGMENT.search(key):
        raise KeyRefused(f'The key {key!r} has a "." or ".." segment; use another name.')
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise KeyRefused(f"The key {key!r} is not valid Unicode.") from error
    if size > MAX_KEY_BYTES:
        raise KeyRefused(f"The key is {size} bytes long; S3 allows {MAX_KEY_BYTES}.")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where requests for one bucket go.

    origin     "https://host[:port]" as the URL shows it
    host       what is signed as Host
    base_path  "" (virtual-hosted) or "/bucket" (path style), percent-encoded
    """

    origin: str
    host: str
    base_path: str = ""


class EndpointURL(NamedTuple):
    """The parts of an endpoint URL: scheme, host with a non-default port, path without slash."""

    scheme: str
    host: str
    path: str

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}{self.path}"


@lru_cache(maxsize=256)
def parse_endpoint_url(url: str, what: str = "endpoint_url") -> EndpointURL:
    """Split an endpoint URL, e.g. "http://localhost:9000".

    url: http or https, a host, optionally a port and a path. what: its name in messages.
    Raises ConfigError.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").lower()
    except ValueError as error:
        raise ConfigError([(what, f"{what} {url!r} is not a URL: {error}.")]) from error
    if ":" in host:
        host = f"[{host}]"
    if (
        parts.scheme not in ("http", "https")
        or not _HOST.fullmatch(host)
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        sentence = f'{what} {url!r} must look like "https://host" or "http://host:9000".'
        raise ConfigError([(what, sentence)])
    default = 443 if parts.scheme == "https" else 80
    if port not in (None, default):
        host = f"{host}:{port}"
    return EndpointURL(parts.scheme, host, quote(parts.path.rstrip("/"), safe="/~%"))


def is_virtual_hostable(bucket: str) -> bool:
    """Whether the bucket can be a host label: no dot (the certificate is a wildcard), 3 to 63."""
    return _VIRTUAL_BUCKET.fullmatch(bucket) is not None


def normalise_vpce(name: str) -> str:
    """A VPC endpoint's DNS name without what people paste around it.

    Strips "https://", "*.", "bucket." and a trailing slash. The result is not yet validated.
    """
    name = name.strip().rstrip("/").lower()
    name = name.removeprefix("https://").removeprefix("http://")
    return name.removeprefix("*.").removeprefix("bucket.")


def vpce_region(name: str) -> str:
    """The region inside a normalised VPC endpoint name, "" when it is not one."""
    match = _VPCE.fullmatch(name)
    return match[1] if match else ""


def _is_address(host: str) -> bool:
    if host.startswith("["):
        return True
    try:
        ipaddress.ip_address(host.partition(":")[0])
    except ValueError:
        return False
    return True


@lru_cache(maxsize=1024)
def _fingerprint(region: str, bucket: str, prefix: str, endpoint_url: str) -> str:
    place = "\n".join((region, bucket, prefix, endpoint_url))
    return hashlib.sha256(place.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class BucketConfig:
    """One configuration. Make it with `from_mapping`, which normalises and checks."""

    name: str
    region: str
    bucket: str
    prefix: str = ""
    aws_role_arn: str = ""
    s3_interface_vpc_endpoint_dns_name: str = ""
    external_id: str = ""
    endpoint_url: str = ""
    addressing_style: str = ""
    profile: str = ""
    s3_proxy_host_address: str = ""

    @classmethod
    def from_mapping(cls, name: str, mapping: Mapping[str, Any]) -> "BucketConfig":
        """A configuration from one entry of the preference.

        mapping: plain texts by field name; absent, null and "" all mean "not set". Unknown fields
        are left to the caller, who knows where they stand.
        Raises ConfigError with one (field, sentence) pair for everything that cannot work.
        """
        problems: list[tuple[str, str]] = []
        values: dict[str, str] = {}
        for field in FIELDS:
            value = mapping.get(field)
            if value is None:
                value = ""
            if not isinstance(value, str):
                problems.append((field, f'"{field}" must be text in quotes, not {value!r}.'))
                value = ""
            values[field] = value.strip()
        values["prefix"] = values["prefix"].strip("/")
        vpce = "s3_interface_vpc_endpoint_dns_name"
        values[vpce] = normalise_vpce(values[vpce])
        values["endpoint_url"] = values["endpoint_url"].rstrip("/")
        refused = {field for field, _ in problems}
        problems += [pair for pair in _problems(values) if pair[0] not in refused]
        if problems:
            raise ConfigError(problems)
        return cls(name=name, **values)

    def key(self, path: str) -> str:
        """The key of a path: prefix + "/" + path, or the path when there is no prefix.

        Raises KeyRefused.
        """
        key = f"{self.prefix}/{path}" if self.prefix else path
        check_key(path)
        check_key(key)
        return key

    @property
    def fingerprint(self) -> str:
        """16 hex digits that identify the place (not the name): a changed bucket is another."""
        return _fingerprint(self.region, self.bucket, self.prefix, self.endpoint_url)

    @property
    def partition(self) -> str:
        """The partition as ARNs name it, e.g. "aws-cn"."""
        return partition_of(self.region).name

    @property
    def suffix(self) -> str:
        """The partition's domain, e.g. "amazonaws.com.cn"."""
        return partition_of(self.region).suffix

    def custom_endpoint_url(self, environ: Mapping[str, str] = os.environ) -> str:
        """The endpoint URL of an S3-compatible store, "" on AWS.

        The configuration's own wins; then AWS_ENDPOINT_URL_S3 and AWS_ENDPOINT_URL unless
        AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is true (AWS SDKs guide, "Service-specific endpoints").
        """
        if self.endpoint_url:
            return self.endpoint_url
        url = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
        if url and environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
            return ""
        return url

    def public_endpoint(self, environ: Mapping[str, str] = os.environ) -> Endpoint:
        """The endpoint for URLs handed to clients: VPC endpoint, else as the site's own.

        With s3_proxy_host_address the URL shows the proxy, and Host is signed as S3 will see it:
        the proxy must pass that Host on. Raises ConfigError for a bad variable.
        """
        if self.s3_interface_vpc_endpoint_dns_name:
            endpoint = self._vpc_endpoint()
        else:
            endpoint = self.service_endpoint(environ)
        if self.s3_proxy_host_address:
            proxy = _proxy_url(self.s3_proxy_host_address)
            return Endpoint(f"{proxy.scheme}://{proxy.host}", endpoint.host, endpoint.base_path)
        return endpoint

    def service_endpoint(self, environ: Mapping[str, str] = os.environ) -> Endpoint:
        """The endpoint for the site's own calls: the regional host or the store's, never the VPC's.

        Raises ConfigError for a bad variable.
        """
        parts = self._service_url(environ)
        if self.uses_path_style(environ):
            origin = f"{parts.scheme}://{parts.host}"
            return Endpoint(origin, parts.host, f"{parts.path}/{quote(self.bucket, safe='~')}")
        host = f"{self.bucket}.{parts.host}"
        return Endpoint(f"{parts.scheme}://{host}", host, parts.path)

    def uses_path_style(self, environ: Mapping[str, str] = os.environ) -> bool:
        """Whether the service endpoint has the bucket in the path instead of the host.

        On AWS only where a host cannot be (dots, under 3 characters) or where asked for. On another
        store unless addressing_style says "virtual", or "auto" and the host is a full domain name.
        """
        if self.addressing_style == "path" or not is_virtual_hostable(self.bucket):
            return True
        if not self.custom_endpoint_url(environ):
            return False
        host = self._service_url(environ).host
        if self.addressing_style == "auto":
            return _is_address(host) or "." not in host
        return self.addressing_style != "virtual" or _is_address(host)

    def _service_url(self, environ: Mapping[str, str]) -> EndpointURL:
        url = self.custom_endpoint_url(environ)
        if url:
            return parse_endpoint_url(url)
        return EndpointURL("https", f"s3.{self.region}.{self.suffix}", "")

    def _vpc_endpoint(self) -> Endpoint:
        vpce = self.s3_interface_vpc_endpoint_dns_name
        if is_virtual_hostable(self.bucket):
            host = f"{self.bucket}.bucket.{vpce}"
            return Endpoint(f"https://{host}", host)
        host = f"bucket.{vpce}"
        return Endpoint(f"https://{host}", host, f"/{quote(self.bucket, safe='~')}")


FIELDS = tuple(field.name for field in fields(BucketConfig) if field.name != "name")
"""The known fields of an entry, in order."""

REQUIRED_FIELDS = ("region", "bucket")


def _proxy_url(address: str) -> EndpointURL:
    url = address if "://" in address else f"https://{address}"
    return parse_endpoint_url(url.rstrip("/"), "s3_proxy_host_address")


def _problems(values: dict[str, str]) -> list[tuple[str, str]]:
    """(field, sentence) for everything in the normalised values that cannot work."""
    found: list[tuple[str, str]] = []

    def problem(field: str, sentence: str) -> None:
        found.append((field, sentence))

    for field, value in values.items():
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
            problem(field, f'"{field}" holds a control character; type it again.')
    region, bucket, store = values["region"], values["bucket"], values["endpoint_url"]
    if not region:
        problem("region", 'Give "region", the bucket\'s AWS region, e.g. "us-east-1".')
    elif not (_ANY_REGION if store else _AWS_REGION).fullmatch(region):
        problem(
            "region",
            f'{region!r} is not the name of an AWS region such as "us-east-1"; '
            'for another S3-compatible store give "endpoint_url" too.',
        )
    if not bucket:
        problem("bucket", 'Give "bucket", the name of the S3 bucket.')
    elif not _BUCKET.fullmatch(bucket):
        problem("bucket", f"{bucket!r} is not a bucket name; give the bare name, no URL or ARN.")
    if values["prefix"]:
        try:
            check_key(values["prefix"])
        except KeyRefused as error:
            problem("prefix", f"The prefix cannot work. {error}")
    _role_problems(values, problem)
    vpce = values["s3_interface_vpc_endpoint_dns_name"]
    if vpce and not _VPCE.fullmatch(vpce):
        problem(
            "s3_interface_vpc_endpoint_dns_name",
            f"{vpce!r} is not the DNS name of an S3 interface endpoint such as "
            '"vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com".',
        )
    for field, parse in (("endpoint_url", parse_endpoint_url), ("s3_proxy_host_address", _proxy)):
        if values[field]:
            try:
                parse(values[field])
            except ConfigError as error:
                problem(field, str(error))
    if values["addressing_style"] not in ADDRESSING_STYLES:
        problem(
            "addressing_style",
            f'"addressing_style" is {values["addressing_style"]!r}; '
            'it can be "auto", "virtual" or "path".',
        )
    return found


def _proxy(address: str) -> None:
    if _proxy_url(address).path:
        sentence = f"s3_proxy_host_address {address!r} must be a host, without a path."
        raise ConfigError([("s3_proxy_host_address", sentence)])


def _role_problems(values: dict[str, str], problem: Any) -> None:
    role, external_id = values["aws_role_arn"], values["external_id"]
    if role and not values["endpoint_url"]:
        match = _ROLE.fullmatch(role)
        partition = partition_of(values["region"]).name
        if not match:
            problem(
                "aws_role_arn",
                f"{role!r} is not the ARN of a role, "
                'such as "arn:aws:iam::111122223333:role/media".',
            )
        elif values["region"] and match[1] != partition:
            problem(
                "aws_role_arn",
                f"The role is in the partition {match[1]!r}, but the region {values['region']!r} "
                f"is in {partition!r}: AWS does not let one work in the other.",
            )
    elif role and not (role.startswith("arn:") and 20 <= len(role) <= 2048):
        problem("aws_role_arn", f'{role!r} is not the ARN of a role: it must start with "arn:".')
    if external_id and not _EXTERNAL_ID.fullmatch(external_id):
        problem(
            "external_id",
            '"external_id" must have 2 to 1224 letters, digits or + = , . @ : / - _.',
        )
