"""What the server sees where a browser is told nothing: the same request, the same host.

A browser tells scripts neither why a request failed nor what a refusal without CORS headers says.
"""

import os
import time
from dataclasses import replace
from typing import Any

from requests.utils import get_environ_proxies

from shotmedia.s3.errors import Unreachable
from shotmedia.s3.presign import CredentialsHolder
from shotmedia.s3.probe import test_credentials
from shotmedia.s3.probe_calls import Caller, Reply
from shotmedia.s3.probe_cors import diagnose_cors, judge_exposed, preflight
from shotmedia.s3.probe_judgements import Finding, Outcome, about, denied_from, explain_refusal
from shotmedia.s3.probe_link import kind_of, look_at_link
from shotmedia.s3.probe_record import Sent
from speedtest.figures import text_of
from speedtest.steps import Target

REPLAYS = {"get": "GET", "range": "GET", "put": "PUT", "etag": "PUT"}
"""What the browser may ask the server to repeat, by the method that failed."""
NAMES = tuple(REPLAYS)
"""The same, to look for whatever was sent: a dict raises for a list."""
SMALL = 1024


def replay(
    target: Target,
    path: str,
    origin: str,
    what: str,
    *,
    said: Reply | None = None,
    address: str = "",
) -> Finding:
    """Send the request that failed in the browser from here, with the same Origin, and explain.

    what     a name in REPLAYS
    said     S3's refusal, where the browser could read it
    address  the browser's, for the statement of a bucket policy

    Raises CredentialsUnavailable.
    """
    holder = test_credentials(target.config)
    start = time.perf_counter()
    replayed = _Replay(target, holder, path, origin, what, said, address)
    outcome = replayed.outcome()
    ms = round((time.perf_counter() - start) * 1000)
    return outcome.as_finding(what, "The same request from this server", ms, replayed.sent)


def said_by_s3(value: Any) -> Reply | None:
    """A browser's account of a refusal, {"status", "code", "message", "request_id"}; or None."""
    if not isinstance(value, dict) or not isinstance(value.get("status"), int):
        return None
    texts = [text_of(value.get(name), 600) for name in ("code", "message", "request_id")]
    status = value["status"]
    if not 300 <= status <= 599:
        return None
    return Reply("", status, {}, b"", texts[0] or str(status), texts[1], texts[2])


def view_of_host(target: Target) -> dict[str, Any]:
    """How this server sees the host that browsers call: names, addresses, connection, TLS.

    Values are "" where there is nothing to tell; with a proxy in between only "proxy" is true.
    """
    origin = target.config.public_endpoint().origin
    if get_environ_proxies(origin).get(origin.partition(":")[0]):
        return {"proxy": True}
    link = look_at_link(origin)
    return {
        "proxy": False,
        "addresses": list(link.addresses),
        "private": bool(link.addresses) and kind_of(link.addresses) == "private",
        "dns_error": link.dns_error,
        "tcp_error": link.tcp_error,
        "tls_error": "" if link.tls_error is None else str(link.tls_error),
        "issuer": link.issuer,
    }


class _Replay:
    """One request of the browser, repeated."""

    def __init__(
        self,
        target: Target,
        holder: CredentialsHolder,
        path: str,
        origin: str,
        what: str,
        said: Reply | None,
        address: str,
    ) -> None:
        self.target, self.config, self.holder = target, target.config, holder
        self.path, self.origin, self.what = path, origin, what
        self.said, self.address = said, address
        self.doing = "download" if REPLAYS[what] == "GET" else "upload"
        self.sent: list[Sent] = []

    def outcome(self) -> Outcome:
        """What the repeated request shows."""
        try:
            return self._by(public=True)
        except Unreachable as error:
            first = Outcome("fail", error.message, error.operation, error.code, error.request_id)
        if self.said is not None:
            return self._refused(self.said)
        if self.config.public_endpoint() == self.config.service_endpoint():
            return first
        # The browser's endpoint is out of this server's reach: the regional one knows the rules.
        try:
            outcome = self._by(public=False)
        except Unreachable:
            return first
        host = self.config.service_endpoint().host
        return replace(outcome, message=f"{outcome.message} (Asked at {host}; {first.message})")

    def _by(self, *, public: bool) -> Outcome:
        caller = Caller(self.config, self.holder, public=public)
        caller.sent = self.sent
        reply = self._send(caller)
        # A file that is not there (yet) says nothing about what browsers may do.
        fine = reply.ok or (self.doing == "download" and reply.status == 404)
        if self.said is not None:
            return self._only_there(self.said) if fine else self._refused(self.said)
        if not fine:
            return self._refused(reply)
        if self.what in ("etag", "range") and reply.ok:
            wanted = "etag" if self.what == "etag" else "content-range"
            return judge_exposed(
                self.config,
                self.origin,
                [(REPLAYS[self.what], reply, (wanted,))],
                download_only=self.target.download_only,
            )
        return self._ask_cors(caller)

    def _send(self, caller: Caller) -> Reply:
        headers = {"Origin": self.origin}
        if self.doing == "upload":
            path, body = f"{self.path}browser/replay.bin", os.urandom(SMALL)
            return caller.send("PutObject", "PUT", path, headers=headers, body=body)
        if self.what == "range":
            headers["Range"] = "bytes=100-199"
        return caller.send("GetObject", "GET", f"{self.path}browser/get-1k.bin", headers=headers)

    def _refused(self, reply: Reply) -> Outcome:
        return explain_refusal(
            self.config,
            reply,
            self.doing,
            download_only=self.target.download_only,
            address=self.address or "ADDRESS-OF-THE-BROWSER/32",
        )

    def _only_there(self, said: Reply) -> Outcome:
        """S3 refuses the browser what it allows this server, by the same kind of link."""
        if said.status != 403:
            return self._refused(said)
        if self.doing == "download":
            return denied_from(
                self.config, said, "This server may download, your browser may not", self.address
            )
        return Outcome(
            "fail",
            f"This server may upload, your browser at {self.address} may not: the bucket's policy "
            f"or the VPC endpoint's refuses that address. S3 said {said.said()}.",
            *about(said),
            fix=f"Let {self.address} (or its VPC) through in the Deny statement for s3:PutObject "
            "of the bucket's policy, or in the policy of the VPC endpoint.",
        )

    def _ask_cors(self, caller: Caller) -> Outcome:
        def ask(origin: str, method: str, names: str) -> Reply:
            return preflight(caller, f"{self.path}browser/preflight", origin, method, names)

        outcome = diagnose_cors(
            self.config, ask, self.origin, download_only=self.target.download_only
        )
        if outcome.status == "fail":
            return outcome
        return Outcome(
            "pass",
            "The same request passes from this server, with this site's origin. So something "
            "between your browser and S3 stops it: a proxy, an extension, a VPN, or the browser's "
            "protection of the local network.",
            outcome.call,
            outcome.code,
            outcome.request_id,
            fix="Try another network or a private window without extensions.",
        )
