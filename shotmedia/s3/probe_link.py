"""The way to an endpoint: name look-up, connection, TLS handshake, each within a time limit."""

import ipaddress
import socket
import ssl
import threading
import time
from dataclasses import dataclass

from .probe_calls import CONNECT_TIMEOUT, ca_bundle, no_answer


@dataclass(slots=True)
class Link:
    """What is known about the way to the endpoint, found out once."""

    addresses: tuple[str, ...] = ()
    dns_error: str = ""
    dns_ms: int = 0
    tcp_error: str = ""
    tls_error: ssl.SSLError | None = None
    tls_version: str = ""
    issuer: str = ""
    tls_ms: int = 0
    local_address: str = ""
    """This server's own address on that way."""


def resolve(host: str, timeout: float = 2.0) -> tuple[tuple[str, ...], str]:
    """The addresses of a name, or what went wrong, within `timeout` seconds.

    getaddrinfo cannot be given a time limit, hence the thread.
    """
    found: list[tuple[str, ...]] = []
    errors: list[str] = []

    def look() -> None:
        try:
            infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found.append(tuple(dict.fromkeys(str(info[4][0]) for info in infos)))
        except OSError as error:
            errors.append(error.strerror or str(error))

    thread = threading.Thread(target=look, daemon=True, name="speedtest-dns")
    thread.start()
    thread.join(timeout)
    if found:
        return found[0], ""
    return (), errors[0] if errors else f"no answer within {timeout:g} s"


def kind_of(addresses: tuple[str, ...]) -> str:
    """ "private" or "public": a browser asks people before it calls a private address."""
    private = all(ipaddress.ip_address(a.partition("%")[0]).is_private for a in addresses)
    return "private" if private else "public"


def look_at_link(origin: str) -> Link:
    """Look up, connect to and shake hands with "https://host[:port]", each step limited."""
    link = Link()
    scheme, _, rest = origin.partition("://")
    host, _, port = rest.partition(":") if not rest.startswith("[") else (rest, "", "")
    if rest.startswith("["):
        host, _, port = rest[1:].partition("]")
        port = port.removeprefix(":")
    number = int(port or (443 if scheme == "https" else 80))
    start = time.perf_counter()
    link.addresses, link.dns_error = resolve(host)
    link.dns_ms = round((time.perf_counter() - start) * 1000)
    if link.dns_error:
        return link
    start = time.perf_counter()
    try:
        with socket.create_connection((host, number), CONNECT_TIMEOUT) as connection:
            link.local_address = str(connection.getsockname()[0])
            if scheme == "https":
                context = ssl.create_default_context(cafile=ca_bundle())
                try:
                    with context.wrap_socket(connection, server_hostname=host) as secure:
                        link.tls_version = secure.version() or ""
                        link.issuer = read_issuer(secure.getpeercert(binary_form=True))
                except ssl.SSLError as error:
                    link.tls_error = error
    except OSError as error:
        link.tcp_error = no_answer(f"{host}:{number}", error)
    if link.tls_error is not None:
        link.issuer = _untrusted_issuer(host, number)
    link.tls_ms = round((time.perf_counter() - start) * 1000)
    return link


def _untrusted_issuer(host: str, port: int) -> str:
    """Who issued a certificate that is not trusted: names the proxy that re-signs TLS.

    Nothing is sent over this connection.
    """
    context = ssl._create_unverified_context()  # noqa: S323
    try:
        with (
            socket.create_connection((host, port), CONNECT_TIMEOUT) as connection,
            context.wrap_socket(connection, server_hostname=host) as secure,
        ):
            return read_issuer(secure.getpeercert(binary_form=True))
    except OSError:
        return ""


def read_issuer(certificate: bytes) -> str:
    """The issuer's organisation and common name in a DER certificate (RFC 5280, section 4.1).

    Python's ssl decodes only certificates that it trusts, and the untrusted one is the point.
    """
    names = {b"\x55\x04\x03": "", b"\x55\x04\x0a": ""}
    to_be_signed = _der(_der(certificate)[0][1])[0][1]
    fields = [item for item in _der(to_be_signed) if item[0] != 0xA0]
    for _, relative in _der(fields[2][1]):
        for _, pair in _der(relative):
            (_, oid), (_, value) = _der(pair)[:2]
            if oid in names:
                names[oid] = value.decode("utf-8", "replace")
    return ", ".join(dict.fromkeys(value for value in reversed(names.values()) if value))


def _der(data: bytes) -> list[tuple[int, bytes]]:
    """The (tag, content) pairs of concatenated DER values."""
    items, position = [], 0
    while position < len(data):
        tag, length = data[position], data[position + 1]
        position += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[position : position + size])
            position += size
        items.append((tag, data[position : position + length]))
        position += length
    return items
