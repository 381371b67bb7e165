"""The server's checks of one configuration, each with a finding that says what to do.

`check_configuration` yields findings one by one, so that a page can show them as they come. A
check that fails stops those that build on it and no others.
"""

import base64
import hashlib
import ipaddress
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from uuid import uuid4

from botocore.exceptions import ClientError
from requests.utils import get_environ_proxies

from .config import BucketConfig
from .credentials import Credentials, assume_role, credentials_for
from .errors import AccessDenied, CredentialsUnavailable, S3Error, Unreachable, translated
from .presign import CredentialsHolder
from .probe_calls import Caller, Held, Reply
from .probe_cleanup import Removal, Stored, remove_below
from .probe_cors import allowed, diagnose_cors, judge_exposed, preflight
from .probe_documents import (
    RUNS_PATH,
    as_text,
    caller_policy,
    role_policy,
    session_policy,
    trust_policy,
)
from .probe_judgements import (
    Finding,
    Outcome,
    about,
    denied_from,
    explain_refusal,
    explain_tls,
    judge_bucket,
    judge_clock,
    judge_removal,
    lint,
)
from .probe_link import Link, kind_of, look_at_link, resolve

TOTAL_SECONDS = 75.0
"""All checks together; what is not begun by then is not run."""
SMALL = 1024
PART = 5 << 20


@dataclass(frozen=True, slots=True)
class Check:
    """A check: its short name, its title, and the checks that have to work before it."""

    name: str
    title: str
    needs: tuple[str, ...] = ()


CHECKS = (
    Check("configuration", "Configuration"),
    Check("clock", "Clock"),
    Check("credentials", "The site's own credentials"),
    Check("role", "Role", ("credentials",)),
    Check("dns", "Name look-up"),
    Check("tls", "Connection and TLS", ("dns",)),
    Check("bucket", "Bucket and region", ("tls",)),
    Check("put", "Upload 1 KiB", ("clock", "role", "bucket")),
    Check("head", "Look at an object", ("clock", "role", "bucket")),
    Check("get", "Download", ("clock", "role", "bucket")),
    Check("range", "Download a part (Range)", ("get",)),
    Check("checksum", "Same bytes back", ("put", "get")),
    Check("multipart", "Multipart upload", ("put",)),
    Check("cors", "CORS for this site", ("bucket",)),
    Check("exposed", "Headers that the browser may read", ("cors",)),
    Check("cleanup", "Clean-up"),
)
TITLES = {check.name: check.title for check in CHECKS}


def check_configuration(
    config: BucketConfig,
    origin: str,
    *,
    run_path: str = "",
    download_only: bool = False,
    fallback_path: str = "",
    clock: Callable[[], float] = time.time,
    seconds: float = TOTAL_SECONDS,
    remove: bool = True,
) -> Iterator[Finding]:
    """Run the server's checks of a configuration and yield a Finding for each.

    config         what is checked
    origin         this site as browsers see it, "https://studio.example.com"; CORS is asked for it
    run_path       where the test objects go, below ".speedtest/runs/"; a fresh one when empty
    download_only  the configuration is only ever downloaded from (a replica): what is only needed
                   for uploads warns instead of failing
    fallback_path  an object to read when nothing may be uploaded (the seed, come by replication)
    clock          epoch seconds
    seconds        the limit for all checks together
    remove         False: leave the objects to the caller, who removes them with `remove_below`

    Touches nothing outside `<prefix>/.speedtest/`. Expected troubles become findings; anything
    else propagates.
    """
    path = run_path or f"{RUNS_PATH}{uuid4()}/"
    probe = _Probe(config, origin, path, download_only, fallback_path, clock, seconds, remove)
    return probe.run()


@dataclass(slots=True)
class _Sample:
    """The object that the reading checks read."""

    path: str
    size: int
    sha256: str = ""


@dataclass(slots=True)
class _Probe:
    config: BucketConfig
    origin: str
    path: str
    download_only: bool
    fallback_path: str
    clock: Callable[[], float]
    seconds: float
    remove: bool

    caller: Caller | None = None
    plain: Caller | None = None
    caller_arn: str = ""
    ambient: CredentialsHolder | None = None
    link: Link | None = None
    sample: _Sample | None = None
    made: list[Stored] = field(default_factory=list)
    blocked: dict[str, str] = field(default_factory=dict)
    put_refused: bool = False
    browsers_put: bool = True
    downloaded: bytes = b""
    deadline: float = 0.0

    def run(self) -> Iterator[Finding]:
        self.deadline = time.monotonic() + self.seconds
        self.plain = Caller(self.config, None, clock=self.clock, deadline=self.deadline)
        try:
            for check in CHECKS:
                if check.name == "cleanup" and not self.remove:
                    continue
                yield self._finding(check)
        finally:
            # Whoever stops listening half-way leaves nothing behind either.
            if self.remove and self.made and self.caller is not None:
                self._remove()

    def _finding(self, check: Check) -> Finding:
        root = next((self.blocked[need] for need in check.needs if need in self.blocked), "")
        if root:
            self.blocked[check.name] = root
            return Finding(
                check.name,
                check.title,
                "skip",
                message=f"Not run, because “{root}” did not pass.",
            )
        if time.monotonic() > self.deadline and check.name != "cleanup":
            self.blocked[check.name] = check.title
            return Finding(
                check.name,
                check.title,
                "skip",
                message=f"Not run: the {self.seconds:g} s for these checks were used up.",
            )
        start = time.perf_counter()
        already = len(self.plain.sent)
        try:
            outcome = getattr(self, f"_check_{check.name}")()
        except Unreachable as error:
            outcome = Outcome(
                "fail",
                error.message,
                error.operation,
                error.code,
                error.request_id,
                fix="Try again; if it stays, look at the network between this server and S3.",
            )
        except CredentialsUnavailable as error:
            outcome = self._no_credentials(error)
        ms = round((time.perf_counter() - start) * 1000)
        if check.name in ("dns", "tls") and self.link is not None:
            ms = self.link.dns_ms if check.name == "dns" else self.link.tls_ms
        if outcome.stops:
            self.blocked[check.name] = check.title
        return outcome.as_finding(check.name, check.title, ms, self.plain.sent[already:])

    # --- Before S3 is asked -----------------------------------------------------------------

    def _check_configuration(self) -> Outcome:
        return lint(self.config, self.origin)

    def _look(self) -> Link:
        """Find out about the way to the endpoint, within a hard time limit."""
        if self.link is None:
            self.link = look_at_link(self.plain.endpoint.origin)
        return self.link

    def _behind_proxy(self) -> str:
        proxies = get_environ_proxies(self.plain.endpoint.origin)
        return proxies.get(self.plain.endpoint.origin.partition(":")[0], "")

    def _check_clock(self) -> Outcome:
        nothing = Outcome(
            "skip",
            "S3 did not answer, so there is no time to compare with; see “Name look-up” and "
            "“Connection and TLS”.",
            blocks=False,
        )
        if not self._behind_proxy():
            link = self._look()
            if link.dns_error or link.tcp_error or link.tls_error:
                return nothing
        try:
            reply = self.plain.on_bucket("HEAD", "HEAD", signed=False)
        except Unreachable:
            return nothing
        try:
            theirs = parsedate_to_datetime(reply.headers.get("Date", "")).timestamp()
        except (TypeError, ValueError):
            return Outcome("skip", "S3's answer had no Date to compare with.", blocks=False)
        return judge_clock(self.clock() - theirs)

    def _check_credentials(self) -> Outcome:
        own = replace(self.config, aws_role_arn="", external_id="")
        self.ambient = credentials_for(own)
        held = self.ambient.get(60)
        if self.config.custom_endpoint_url() and not (
            self.config.aws_role_arn
            or os.environ.get("AWS_ENDPOINT_URL_STS")
            or os.environ.get("AWS_ENDPOINT_URL")
        ):
            return Outcome(
                "pass",
                f"The site signs with the access key {held.access_key}. (This store has no STS to "
                "say who that is.)",
            )
        from .clients import sts_client

        client = sts_client(self.config.region, self.config.profile)
        try:
            with translated("GetCallerIdentity"):
                answer = client.get_caller_identity()
        except ClientError as error:
            return self._identity_refused(error.response.get("Error", {}).get("Code", ""), error)
        except AccessDenied as error:
            return self._identity_refused(error.code, error)
        except Unreachable as error:
            return Outcome(
                "warn",
                f"The site has the access key {held.access_key}, but STS did not answer, so nobody "
                "confirmed it.",
                "GetCallerIdentity",
                error.code,
                fix=f"Let this server reach sts.{self.config.region}.{self.config.suffix} on port "
                "443.",
            )
        self.caller_arn = answer["Arn"]
        return Outcome(
            "pass",
            f"The site is {self.caller_arn}.",
            "GetCallerIdentity",
            facts=(("Identity of the site", self.caller_arn),),
        )

    def _identity_refused(self, code: str, error: Exception) -> Outcome:
        return Outcome(
            "fail",
            f"AWS does not accept the site's own credentials: {error}",
            "GetCallerIdentity",
            code,
            fix="Renew the access key or the session token in the site's environment; if they are "
            f"right, check that {self.config.region} is enabled in their account.",
        )

    def _no_credentials(self, error: CredentialsUnavailable) -> Outcome:
        if error.operation == "AssumeRole":
            return self._role_refused(error)
        return Outcome(
            "fail",
            f"The site has no AWS identity that works. {error.message}",
            error.operation,
            error.code,
            error.request_id,
            fix="Run the site on an instance, task or pod role, or set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY (with AWS_SESSION_TOKEN for temporary ones) in its environment.",
        )

    def _check_role(self) -> Outcome:
        if not self.config.aws_role_arn:
            self.caller = self._caller(self.ambient)
            return Outcome(
                "skip", "No role is configured: the site uses its own credentials.", blocks=False
            )
        try:
            credentials = narrowed_role(self.config)
        except CredentialsUnavailable as error:
            return self._role_refused(error)
        self.caller = self._caller(Held(credentials))
        minutes = round((credentials.expires_at - self.clock()) / 60)
        return Outcome(
            "pass",
            f"{self.config.aws_role_arn} was assumed for {minutes} min, narrowed to "
            f"{self._below('.speedtest/')}. Links die with that session, whatever their own life.",
            "AssumeRole",
        )

    def _role_refused(self, error: S3Error) -> Outcome:
        who = self.caller_arn or "the site"
        paste, title = (
            as_text(trust_policy(self.config, self.caller_arn)),
            "Trust policy of the role",
        )
        fix = (
            "Paste the first document into the role (IAM → Roles → the role → Trust relationships) "
            "and the second into the permissions of the site's own identity."
        )
        also = (("Policy of the site's own identity", as_text(caller_policy(self.config))),)
        if error.code == "ValidationError":
            fix = "Set the role's maximum session duration to at least one hour."
            paste, also = "", ()
        elif error.code == "RegionDisabledException":
            fix = f"Switch {self.config.region} on in the account settings of the site's account."
            paste, also = "", ()
        return Outcome(
            "fail",
            f"AWS refused the role {self.config.aws_role_arn} for {who}. {error.message}",
            "AssumeRole",
            error.code,
            error.request_id,
            fix,
            paste,
            title,
            also,
        )

    def _caller(self, holder: CredentialsHolder, deadline: float | None = None) -> Caller:
        caller = Caller(self.config, holder, clock=self.clock, deadline=deadline or self.deadline)
        # One record of all requests, in their order.
        caller.sent = self.plain.sent
        return caller

    def _check_dns(self) -> Outcome:
        host = re.sub(r":\d+$", "", self.plain.endpoint.host)
        proxy = self._behind_proxy()
        if proxy:
            return Outcome(
                "skip", f"This server reaches S3 through the proxy {_bare(proxy)}.", blocks=False
            )
        link = self._look()
        if link.dns_error:
            return Outcome(
                "fail",
                f"This server cannot look up {host}: {link.dns_error}.",
                "DNS",
                fix="Check the server's resolver, the region and the bucket's name.",
            )
        facts = [(f"Addresses of {host}", ", ".join(link.addresses))]
        if link.local_address:
            facts.append(("Address of this server", link.local_address))
        if link.addresses == (host,):
            message = f"{host} is an address; there is no name to look up."
        else:
            more = " …" if link.addresses[3:] else ""
            message = f"{host} is {', '.join(link.addresses[:3])}{more}."
        return self._vpc_endpoint_dns(message, facts)

    def _vpc_endpoint_dns(self, found: str, facts: list[tuple[str, str]]) -> Outcome:
        name = self.config.s3_interface_vpc_endpoint_dns_name
        if not name:
            return Outcome("pass", found, "DNS", facts=tuple(facts))
        host = self.config.public_endpoint().host.partition(":")[0]
        addresses, error = resolve(host)
        if error:
            return Outcome(
                "warn",
                f"{found} The VPC endpoint {host} cannot be looked up from this server ({error}). "
                "Normal if this server is outside that VPC: the browser's result decides.",
                "DNS",
                fix="If browsers cannot look it up either, forward the name to the VPC's resolver "
                "(Route 53 inbound endpoint) or check the endpoint's name.",
                facts=(*facts, (f"Addresses of {host}", error)),
            )
        return Outcome(
            "pass",
            f"{found} The VPC endpoint is {', '.join(addresses[:3])} ({kind_of(addresses)}).",
            "DNS",
            facts=(*facts, (f"Addresses of {host}", ", ".join(addresses))),
        )

    def _check_tls(self) -> Outcome:
        endpoint = self.plain.endpoint
        if self._behind_proxy():
            return Outcome("skip", "The proxy makes the connection.", blocks=False)
        link = self._look()
        if link.tcp_error:
            return Outcome(
                "fail",
                link.tcp_error,
                "connect",
                fix="Let this server connect to that host and port; check that the store runs.",
            )
        if not endpoint.origin.startswith("https://"):
            return Outcome(
                "skip",
                f"{endpoint.host} accepts connections. The endpoint is plain http, so there is no "
                "certificate to check.",
                "connect",
                blocks=False,
            )
        if link.tls_error is not None:
            return self._tls_failed(link)
        return Outcome(
            "pass", f"{link.tls_version}, certificate issued by {link.issuer or 'a trusted CA'}.",
            "TLS handshake",
        )  # fmt: skip

    def _tls_failed(self, link: Link) -> Outcome:
        return explain_tls(self.config, self.plain.endpoint.host, link.tls_error, link.issuer)

    # --- The bucket -------------------------------------------------------------------------

    def _check_bucket(self) -> Outcome:
        signed = self.caller is not None and "clock" not in self.blocked
        reply = (self.caller if signed else self.plain).on_bucket(
            "HeadBucket", "HEAD", signed=signed
        )
        return judge_bucket(self.config, reply, signed)

    def _check_put(self) -> Outcome:
        body = os.urandom(SMALL)
        digest = hashlib.sha256(body).digest()
        path = f"{self.path}server-1k.bin"
        reply = self.caller.send(
            "PutObject",
            "PUT",
            path,
            headers={"x-amz-checksum-sha256": base64.b64encode(digest).decode()},
            body=body,
        )
        if reply.ok:
            self._made(path, reply, SMALL)
            self.sample = _Sample(path, SMALL, digest.hex())
            return Outcome("pass", f"{SMALL} bytes were stored.", *about(reply))
        if reply.status == 403 and self.download_only:
            self.put_refused = True
            return replace(
                self._refused(reply, "upload"),
                status="warn",
                message="The site may not upload here. That is fine for a replica: S3 fills it, "
                f"and the site only downloads from it. S3 said {reply.said()}.",
                blocks=True,
            )
        return self._refused(reply, "upload")

    def _made(self, path: str, reply: Reply, size: int) -> None:
        self.made.append(Stored(path, size, reply.headers.get("x-amz-version-id", "")))

    def _refused(self, reply: Reply, doing: str) -> Outcome:
        return explain_refusal(
            self.config,
            reply,
            doing,
            download_only=self.download_only,
            address=self._address(),
        )

    def _check_head(self) -> Outcome:
        if self.sample is None and not self.fallback_path:
            return self._nothing_to_read()
        path = self.sample.path if self.sample else self.fallback_path
        reply = self.caller.send(
            "HeadObject", "HEAD", path, headers={"x-amz-checksum-mode": "ENABLED"}
        )
        if self.sample is None and reply.status == 404:
            return self._nothing_to_read()
        if not reply.ok:
            # S3 asks for s3:GetObject here too, and an answer to HEAD has no text.
            return self._get_refused(reply)
        size = int(reply.headers.get("Content-Length", -1))
        if self.sample is None:
            self.sample = _Sample(path, size)
        if size != self.sample.size:
            return Outcome(
                "fail",
                f"S3 says the object has {size} bytes; {self.sample.size} were uploaded.",
                *about(reply),
                fix=self._bodies_changed(),
            )
        etag = reply.headers.get("ETag", "no ETag")
        return Outcome("pass", f"{size} bytes, ETag {etag}.", *about(reply))

    def _nothing_to_read(self) -> Outcome:
        why = (
            "nothing could be uploaded"
            if "put" in self.blocked and not self.put_refused
            else "the test file has not been replicated to this bucket yet"
        )
        return Outcome("skip", f"Not run, because {why}: there is no object to read.", blocks=True)

    def _check_get(self) -> Outcome:
        if self.sample is None:
            return self._nothing_to_read()
        whole = self.sample.size <= SMALL
        headers = {} if whole else {"Range": f"bytes=0-{SMALL - 1}"}
        reply = self.caller.send("GetObject", "GET", self.sample.path, headers=headers)
        if not reply.ok:
            return self._get_refused(reply)
        if whole and len(reply.body) != self.sample.size:
            return Outcome(
                "fail",
                f"{len(reply.body)} bytes came back instead of {self.sample.size}.",
                *about(reply),
                fix=self._bodies_changed(),
            )
        self.downloaded = reply.body
        return Outcome("pass", f"{len(reply.body)} bytes came back.", *about(reply))

    def _get_refused(self, reply: Reply) -> Outcome:
        """A download that S3 refused, when the upload before it went through."""
        role_is_it = "identity-based policy" in reply.message or "kms:" in reply.message
        if reply.status != 403 or "put" in self.blocked or role_is_it:
            return self._refused(reply, "download")
        lead = "Uploads work, downloads are denied"
        outcome = denied_from(self.config, reply, lead, self._address())
        return replace(
            outcome,
            message=f"{lead} from this server's address. S3 said {reply.said()}.",
            fix=f"{outcome.fix} If there is no such policy, give the role s3:GetObject. The "
            "browser's result decides for artists.",
            also=(
                ("Role policy", as_text(role_policy(
                    self.config, download_only=self.download_only
                ))),
            ),
        )  # fmt: skip

    def _address(self) -> str:
        """This server's address as a policy names it, when it is one that S3 can see."""
        local = self.link.local_address if self.link else ""
        if local and ipaddress.ip_address(local.partition("%")[0]).is_global:
            return f"{local}/{128 if ':' in local else 32}"
        return "ADDRESS-OF-THIS-SERVER/32"

    def _check_range(self) -> Outcome:
        reply = self.caller.send(
            "GetObject", "GET", self.sample.path, headers={"Range": "bytes=100-199"}
        )
        if reply.status == 200:
            return Outcome(
                "fail",
                "S3 answered a request for 100 bytes with the whole object: seeking and resuming "
                "will not work.",
                *about(reply),
                fix="A proxy between this server and S3 drops the Range header: exempt the S3 "
                "host.",
            )
        if not reply.ok:
            return self._refused(reply, "download")
        range_ = reply.headers.get("Content-Range", "")
        if len(reply.body) != 100 or not range_.startswith("bytes 100-199/"):
            return Outcome(
                "fail",
                f"100 bytes were asked for; {len(reply.body)} came, with Content-Range “{range_}”.",
                *about(reply),
                fix=self._bodies_changed(),
            )
        return Outcome("pass", f"206 with {range_}.", *about(reply))

    def _check_checksum(self) -> Outcome:
        if not self.sample.sha256:
            return Outcome("skip", "Not run: nothing was uploaded to compare with.", blocks=False)
        found = hashlib.sha256(self.downloaded).hexdigest()
        if found != self.sample.sha256:
            return Outcome(
                "fail",
                "The bytes that came back are not the bytes that were sent.",
                "GetObject",
                fix=self._bodies_changed(),
            )
        return Outcome("pass", "SHA-256 is the same.", "GetObject")

    def _bodies_changed(self) -> str:
        return (
            "A proxy or antivirus between this server and S3 changes what passes: exempt "
            f"{self.plain.endpoint.host} from inspection."
        )

    def _check_multipart(self) -> Outcome:
        path = f"{self.path}server-multipart.bin"
        reply, upload_id = self._create_upload(path)
        if not upload_id:
            return self._refused(reply, "begin multipart uploads")
        tags = []
        # One byte more than the least that S3 takes as a part, in two parts.
        for number, size in ((1, PART), (2, 1)):
            reply = self.caller.send(
                "UploadPart",
                "PUT",
                path,
                query=(("partNumber", str(number)), ("uploadId", upload_id)),
                body=os.urandom(size),
                read_timeout=15,
            )
            if not reply.ok:
                return self._refused(reply, "upload parts")
            tags.append(reply.headers.get("ETag", ""))
        reply = self.caller.send("ListParts", "GET", path, query=(("uploadId", upload_id),))
        if reply.status == 403:
            return self._may_not_tidy(reply, "list their parts")
        if not reply.ok:
            return self._refused(reply, "list parts")
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
            for number, tag in enumerate(tags, 1)
        )
        reply = self.caller.send(
            "CompleteMultipartUpload",
            "POST",
            path,
            query=(("uploadId", upload_id),),
            body=f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode(),
            read_timeout=15,
        )
        # S3 may answer 200 and still say <Error> in the body (API Reference).
        if not reply.ok or b"<Error>" in reply.body:
            return self._refused(reply, "complete multipart uploads")
        self._made(path, reply, PART + 1)
        return self._abort(f"{self.path}server-aborted.bin")

    def _create_upload(self, path: str) -> tuple[Reply, str]:
        reply = self.caller.send(
            "CreateMultipartUpload", "POST", path, query=(("uploads", ""),), body=b""
        )
        match = re.search(rb"<UploadId>([^<]+)</UploadId>", reply.body)
        if reply.ok and match:
            self.made.append(Stored(path, upload_id=match[1].decode()))
            return reply, match[1].decode()
        return reply, ""

    def _abort(self, path: str) -> Outcome:
        reply, upload_id = self._create_upload(path)
        if not upload_id:
            return self._refused(reply, "begin multipart uploads")
        reply = self.caller.send(
            "AbortMultipartUpload", "DELETE", path, query=(("uploadId", upload_id),)
        )
        if reply.status == 403:
            return self._may_not_tidy(reply, "abort them")
        if not reply.ok:
            return self._refused(reply, "abort multipart uploads")
        return Outcome("pass", "Two parts were joined; another upload was aborted.", *about(reply))

    def _may_not_tidy(self, reply: Reply, what: str) -> Outcome:
        return Outcome(
            "fail",
            f"Multipart uploads work, but the role may not {what}: unfinished parts would stay "
            f"and be billed. S3 said {reply.said()}.",
            *about(reply),
            fix="Add s3:AbortMultipartUpload and s3:ListMultipartUploadParts to the role.",
            paste=as_text(role_policy(self.config)),
            paste_title="Role policy",
        )

    # --- CORS -------------------------------------------------------------------------------

    def _check_cors(self) -> Outcome:
        path = f"{self.path}preflight"

        def ask(origin: str, method: str, headers: str) -> Reply:
            reply = preflight(self.plain, path, origin, method, headers)
            if (origin, method, headers) == (self.origin, "PUT", ""):
                self.browsers_put = allowed(reply, origin)
            return reply

        return diagnose_cors(
            self.config, ask, self.origin, download_only=self.download_only or self.put_refused
        )

    def _check_exposed(self) -> Outcome:
        if self.caller is None or "clock" in self.blocked or "role" in self.blocked:
            return Outcome("skip", "Not run, because no request could be signed.", blocks=False)
        if self.sample is None:
            return self._nothing_to_read()
        origin = {"Origin": self.origin}
        got = self.caller.send(
            "GetObject", "GET", self.sample.path, headers={**origin, "Range": "bytes=0-0"}
        )
        replies = [("GET", got, ("content-range",))]
        # Of a replica that browsers may only read from, the answer to a PUT is nobody's business.
        if "put" not in self.blocked and self.browsers_put:
            path = f"{self.path}server-origin.bin"
            put = self.caller.send("PutObject", "PUT", path, headers=origin, body=b"x")
            if put.ok:
                self._made(path, put, 1)
            replies.append(("PUT", put, ("etag",)))
        return judge_exposed(self.config, self.origin, replies, download_only=self.download_only)

    # --- After ------------------------------------------------------------------------------

    def _check_cleanup(self) -> Outcome:
        if not self.made or self.caller is None:
            return Outcome("skip", "Nothing was made, so there is nothing to remove.", blocks=False)
        return judge_removal(self.config, self._remove())

    def _remove(self) -> Removal:
        # The time for the checks may be over; what they made is removed all the same.
        caller = self._caller(self.caller.holder, time.monotonic() + 20)
        removal = remove_below(caller, self.path, known=self.made)
        self.made.clear()
        return removal

    def _below(self, path: str) -> str:
        return f"{self.config.bucket}/{self.config.key(path)}"


def _bare(url: str) -> str:
    """A proxy's address without the password that may be in it."""
    return url.rpartition("@")[2].removeprefix("http://").rstrip("/")


def narrowed_role(config: BucketConfig) -> Credentials:
    """The configuration's role for an hour, limited to `<prefix>/.speedtest/`.

    Raises CredentialsUnavailable, Unreachable.
    """
    return assume_role(config, policy=session_policy(config), duration=3600)


def test_credentials(config: BucketConfig) -> CredentialsHolder:
    """Credentials for test objects: the narrowed role, or the site's own where no role is set.

    Raises CredentialsUnavailable, Unreachable.
    """
    return Held(narrowed_role(config)) if config.aws_role_arn else credentials_for(config)
