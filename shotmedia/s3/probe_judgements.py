"""Findings, and the judgements behind them: what an answer means and what to do. All pure."""

import ssl
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from .config import BucketConfig, is_virtual_hostable, vpce_region
from .probe_calls import Reply
from .probe_cleanup import Removal
from .probe_documents import (
    as_text,
    corrected_entry,
    download_statement,
    kms_statement,
    lifecycle_rules,
    role_policy,
)
from .probe_record import Sent, worth_telling

Status = Literal["pass", "warn", "fail", "skip"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found.

    check       short name, stable: "cors"
    title       what it looked at
    status      pass, warn, fail, or skip (not run; the message says why)
    ms          milliseconds, None when it was not run
    call        the S3 or STS call
    code        S3's code, or the HTTP status where S3 sends none
    request_id  what AWS support asks for
    message     a sentence: what is so
    fix         a sentence: what to do, "" when there is nothing to do
    documents   (title, text) of documents to paste
    facts       (name, value): addresses, hosts, whoever IT has to know about
    requests    what was sent, where it explains a warning or a failure (probe_record.Sent)
    """

    check: str
    title: str
    status: Status
    ms: int | None = None
    call: str = ""
    code: str = ""
    request_id: str = ""
    message: str = ""
    fix: str = ""
    documents: tuple[tuple[str, str], ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    requests: tuple[dict[str, Any], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The finding as plain values, for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A check's result before it has a name and a duration.

    paste, paste_title, also: the documents; blocks: dependants are not run.
    """

    status: Status
    message: str
    call: str = ""
    code: str = ""
    request_id: str = ""
    fix: str = ""
    paste: str = ""
    paste_title: str = ""
    also: tuple[tuple[str, str], ...] = ()
    blocks: bool | None = None
    facts: tuple[tuple[str, str], ...] = ()

    @property
    def documents(self) -> tuple[tuple[str, str], ...]:
        """All documents to paste."""
        return ((self.paste_title, self.paste), *self.also) if self.paste else self.also

    def as_finding(self, check: str, title: str, ms: int, sent: Sequence[Sent] = ()) -> Finding:
        """The finding of the check with this name and title, which took `ms` milliseconds.

        sent: the requests that it made.
        """
        return Finding(
            check,
            title,
            self.status,
            ms if self.status != "skip" else None,
            self.call,
            self.code,
            self.request_id,
            self.message,
            self.fix,
            self.documents,
            self.facts,
            worth_telling(sent) if self.status in ("warn", "fail") else (),
        )

    @property
    def stops(self) -> bool:
        """Whether checks that build on this one make no sense any more."""
        return self.status == "fail" if self.blocks is None else self.blocks


def worst(findings: list[Finding]) -> Status:
    """The worst status of several findings: fail, warn, pass (skip counts as nothing)."""
    found = {finding.status for finding in findings}
    return next((s for s in ("fail", "warn", "pass") if s in found), "skip")


def about(reply: Reply) -> tuple[str, str, str]:
    return reply.operation, reply.code, reply.request_id


REGION_FACT = "Region of the bucket"
"""Names the fact of a region that is not the configured one."""
ENTRY = "Corrected entry of S3 Configuration"


def lint(config: BucketConfig, origin: str) -> Outcome:
    """What the configuration's own text shows, without asking anybody."""
    problems: list[str] = []
    fixes: list[str] = []
    paste = ""
    vpce = config.s3_interface_vpc_endpoint_dns_name
    inside = vpce_region(vpce)
    if vpce and inside != config.region:
        problems.append(
            f"“region” says {config.region}, but the VPC endpoint is in {inside}; that works only "
            "with a cross-region endpoint."
        )
        fixes.append(
            "Correct the endpoint; or, if the region is the slip, paste the entry below into "
            "S3 Configuration."
        )
        paste = corrected_entry(config, region=inside)
    if not origin.startswith("https://") and not _is_local(origin):
        problems.append(
            "This site is served over plain http: browsers give such pages no SHA-256 and may "
            "refuse to call private addresses."
        )
        fixes.append("Serve the site over https.")
    if not is_virtual_hostable(config.bucket) and not config.custom_endpoint_url():
        problems.append(
            f"The bucket's name {config.bucket} cannot be a host name under S3's certificate, so "
            "links use path style."
        )
        fixes.append("Nothing has to be done; a bucket without dots in its name is simpler.")
    if config.aws_role_arn and not config.external_id and not config.custom_endpoint_url():
        account = config.aws_role_arn.split(":")[4]
        note = f" The role is in account {account}, without an external id."
    else:
        note = ""
    where = f"s3://{config.bucket}/{config.prefix}".rstrip("/")
    host = config.public_endpoint().origin
    facts = [
        ("Site", origin),
        ("Bucket", f"{where} in {config.region}"),
        ("Role", config.aws_role_arn or "none; the site's own credentials"),
        ("Address that browsers call", host),
    ]
    if config.service_endpoint().origin != host:
        facts.append(("Address that this server calls", config.service_endpoint().origin))
    if problems:
        return Outcome(
            "warn",
            " ".join(problems) + note,
            fix=" ".join(fixes),
            paste=paste,
            paste_title=ENTRY,
            facts=tuple(facts),
        )
    return Outcome(
        "pass", f"{where} in {config.region}; browsers use {host}.{note}", facts=tuple(facts)
    )


def _is_local(origin: str) -> bool:
    host = origin.partition("://")[2]
    host = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return host in ("localhost", "127.0.0.1", "::1") or host.endswith(".localhost")


def judge_clock(ahead: float) -> Outcome:
    """How far this server's clock is ahead of S3's (seconds; negative: behind).

    S3 refuses requests more than 15 minutes off (RequestTimeTooSkewed).
    """
    off = abs(ahead)
    direction = "ahead of" if ahead > 0 else "behind"
    if off > 900:
        return Outcome(
            "fail",
            f"This server's clock is {_span(off)} {direction} S3's; every signed link is refused.",
            "HEAD",
            "RequestTimeTooSkewed",
            fix="Set the clock: run chrony or another NTP client on this server.",
        )
    if off > 60:
        return Outcome(
            "warn",
            f"This server's clock is {_span(off)} {direction} S3's. Links still work, until it is "
            "more than 15 min.",
            "HEAD",
            fix="Run chrony or another NTP client on this server.",
        )
    return Outcome("pass", f"The clocks agree within {max(1, round(off))} s.", "HEAD")


def _span(seconds: float) -> str:
    return f"{round(seconds / 60)} min" if seconds >= 120 else f"{round(seconds)} s"


def explain_tls(config: BucketConfig, host: str, error: ssl.SSLError, issuer: str) -> Outcome:
    """Why a TLS handshake failed."""
    code = type(error).__name__
    reason = getattr(error, "verify_message", "") or error.reason or str(error)
    if "mismatch" in reason.lower() or "not valid for" in reason.lower():
        dotted = "." in config.bucket and not config.custom_endpoint_url()
        return Outcome(
            "fail",
            f"The certificate of {host} is for another name ({reason}).",
            "TLS handshake",
            code,
            fix="A bucket name with dots does not fit S3's certificate: set “addressing_style” to "
            "“path”."
            if dotted
            else "Correct the endpoint's name, or install a certificate for it.",
        )
    if isinstance(error, ssl.SSLCertVerificationError):
        by = f" Its issuer is “{issuer}”." if issuer else ""
        return Outcome(
            "fail",
            f"The certificate of {host} is not trusted ({reason}).{by} A proxy that inspects TLS "
            "does this.",
            "TLS handshake",
            code,
            fix=f"Exempt *.{config.suffix} from TLS inspection, or point AWS_CA_BUNDLE at a file "
            "with the issuer's certificate.",
        )
    return Outcome(
        "fail",
        f"The TLS handshake with {host} failed: {reason}.",
        "TLS handshake",
        code,
        fix="Look for a proxy or a firewall that breaks TLS on the way, and whether the endpoint "
        "really speaks https.",
    )


def judge_bucket(config: BucketConfig, reply: Reply, signed: bool) -> Outcome:
    """What HeadBucket says: is the bucket there, and in the configured region?"""
    asked = about(reply)
    if reply.region and reply.region != config.region:
        return Outcome(
            "fail",
            f"The bucket {config.bucket} is in {reply.region}; the configuration says "
            f"{config.region}.",
            *asked,
            fix=f"Use {reply.region}: set “region” of “{config.name}” to “{reply.region}”.",
            paste=corrected_entry(config, region=reply.region),
            paste_title=ENTRY,
            facts=((REGION_FACT, reply.region),),
        )
    if reply.status in (301, 307):
        return Outcome(
            "fail",
            f"S3 sends requests for {config.bucket} elsewhere ({reply.said()}): the region is "
            "wrong.",
            *asked,
            fix=f"Look up the bucket's region in the S3 console and set it in “{config.name}”.",
        )
    if reply.status == 404:
        return Outcome(
            "fail",
            f"There is no bucket {config.bucket}.",
            reply.operation,
            reply.code if reply.code != "404" else "NoSuchBucket",
            reply.request_id,
            fix=f"Correct “bucket” of “{config.name}”, or create the bucket in {config.region}.",
        )
    there = f"The bucket {config.bucket} is in {config.region}"
    if reply.status == 403:
        if not reply.region:
            there = f"The bucket {config.bucket} exists"
        if not signed:
            return Outcome(
                "pass", f"{there}. (Asked without credentials, as there are none.)", *asked
            )
        narrowed = " with credentials that reach only the test objects" * bool(config.aws_role_arn)
        return Outcome(
            "pass",
            f"{there}. S3 says no more{narrowed}; the next checks decide.",
            *asked,
        )
    if not reply.ok:
        return Outcome(
            "fail",
            f"S3 answered HeadBucket with {reply.said()}.",
            *asked,
            fix="Check the region, the endpoint and the addressing style.",
        )
    return Outcome("pass", f"{there}.", *asked)


_LAYERS = (
    ("explicit deny in a resource-based policy", "the bucket's policy denies it",
     "Find the Deny statement in the bucket policy and exempt the role (or this server's address "
     "or VPC)."),
    ("explicit deny in an identity-based policy", "a policy of the role denies it",
     "Remove the Deny statement from the role's policies."),
    ("no identity-based policy allows", "the role's policy does not allow it",
     "Give the role the policy below."),
    ("session policy", "the session's policy does not allow it",
     "Give the role the policy below; the test narrows it to .speedtest/ only."),
    ("VPC endpoint policy", "the VPC endpoint's policy does not allow it",
     "Allow the bucket in the policy of the VPC endpoint that this server uses."),
    ("service control policy", "a service control policy of the organisation denies it",
     "Ask whoever runs the AWS organisation to allow it."),
    ("resource control policy", "a resource control policy of the organisation denies it",
     "Ask whoever runs the AWS organisation to allow it."),
    ("permissions boundary", "the role's permissions boundary does not allow it",
     "Extend the role's permissions boundary."),
)  # fmt: skip


def explain_refusal(
    config: BucketConfig,
    reply: Reply,
    doing: str,
    *,
    download_only: bool = False,
    address: str = "ADDRESS-OF-THIS-SERVER/32",
) -> Outcome:
    """A failed request in words: which layer refused, and what to do.

    doing    "upload", "download", ...: what was refused
    address  where the request came from, for the statement of a bucket policy

    AWS names the layer for requests within one account since August 2024; elsewhere it is plain
    Access Denied.
    """
    who = config.aws_role_arn or "the site's identity"
    asked = about(reply)
    policy = as_text(role_policy(config, download_only=download_only))
    where = f"s3://{config.bucket}/{config.prefix}".rstrip("/")
    said = f"S3 said {reply.said()}."
    if "kms:" in reply.message or reply.code.startswith("KMS"):
        return Outcome(
            "fail",
            f"The bucket is encrypted with a KMS key that {who} may not use. {said}",
            *asked,
            fix="Add the statement below to the role's policy (with the key's ARN), and the role "
            "to the key's policy.",
            paste=as_text(kms_statement(config)),
            paste_title="Policy statement",
        )
    if reply.code in ("RequestTimeTooSkewed", "RequestExpired") or "expired" in (
        reply.message.lower()
    ):
        return Outcome(
            "fail",
            f"S3 finds the request too old or too new. {said}",
            *asked,
            fix="Set this server's clock (NTP); if it is right, the credentials have expired.",
        )
    if reply.code in ("InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"):
        return Outcome(
            "fail",
            f"S3 does not accept the site's signature. {said}",
            *asked,
            fix="Check the access key and its secret; a proxy that changes the Host header breaks "
            "signatures too.",
        )
    if reply.status == 403:
        if doing == "download" and RESOURCE_DENY in reply.message:
            return denied_from(config, reply, f"{_capital(who)} may not download", address)
        for words, layer, fix in _LAYERS:
            if words in reply.message:
                paste = policy if "below" in fix else ""
                return Outcome(
                    "fail",
                    f"{_capital(who)} may not {doing} in {where}: {layer}. {said}",
                    *asked,
                    fix=fix,
                    paste=paste,
                    paste_title="Role policy" if paste else "",
                )
        return Outcome(
            "fail",
            f"{_capital(who)} may not {doing} in {where}. {said}",
            *asked,
            fix="Give the role the policy below; if it has it, look for a Deny in the bucket "
            "policy, the VPC endpoint's policy or the organisation's policies.",
            paste=policy,
            paste_title="Role policy",
        )
    if reply.status == 503:
        return Outcome(
            "fail",
            f"S3 is asking for fewer requests. {said}",
            *asked,
            fix="Try again in a minute. If it stays, something else asks this bucket more than "
            "3,500 times a second for writes or 5,500 times for reads below one prefix.",
        )
    if reply.status == 400 and ("Content-MD5" in reply.message or "Object Lock" in reply.message):
        return Outcome(
            "fail",
            f"The bucket {config.bucket} has Object Lock with a default retention, which wants a "
            f"checksum with every upload. {said}",
            *asked,
            fix="Switch the default retention off (S3 console: the bucket → Properties → Object "
            "Lock), or use a bucket without it: browsers upload without a checksum, and test "
            "objects could not be removed.",
        )
    if reply.status == 413:
        return Outcome(
            "fail",
            f"Something between here and S3 refuses bodies of this size. {said}",
            *asked,
            fix="S3 itself takes 5 GB at once: raise the limit of the proxy in between, or let S3 "
            "go around it.",
        )
    if reply.status in (301, 307) or reply.code in (
        "AuthorizationHeaderMalformed",
        "AuthorizationQueryParametersError",
        "IllegalLocationConstraintException",
    ):
        region = f" (S3 names {reply.region})" if reply.region else ""
        return Outcome(
            "fail",
            f"The bucket is not in {config.region}{region}. {said}",
            *asked,
            fix=f"Correct “region” of “{config.name}”.",
            paste=corrected_entry(config, region=reply.region) if reply.region else "",
            paste_title=ENTRY,
        )
    return Outcome(
        "fail",
        f"S3 would not {doing}. {said}",
        *asked,
        fix="Look S3's code up in its list of error responses; with the request id, AWS support "
        "finds the request.",
    )


RESOURCE_DENY = "explicit deny in a resource-based policy"


def denied_from(config: BucketConfig, reply: Reply, lead: str, address: str) -> Outcome:
    """Downloads refused at one address while others get them: the recommended bucket policy.

    lead: the sentence's beginning; address: who was refused, as the policy names it.
    """
    return Outcome(
        "fail",
        f"{lead} from s3://{config.bucket}/{config.prefix} at this address: the bucket's policy "
        f"denies it. S3 said {reply.said()}.",
        *about(reply),
        fix="If a bucket policy restricts s3:GetObject by address or VPC (as the recommended one "
        f"does), add {address} to its NotIpAddress, or the VPC to its StringNotEquals. Do not "
        "exempt the role: links are signed with it, so everybody would be let in.",
        paste=as_text(download_statement(config, address)),
        paste_title="The statement, with this address let in (keep your other addresses)",
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:] if text.startswith("the ") else text


def judge_removal(config: BucketConfig, removal: Removal, *, where: str = "") -> Outcome:
    """What a clean-up achieved; whatever is left is listed, with a lifecycle rule against it."""
    where = where or config.bucket
    counted = f"{removal.objects} test object{'s' * (removal.objects != 1)}"
    counted += f" ({size_text(removal.size)})"
    if removal.uploads:
        counted += f" and {removal.uploads} unfinished upload{'s' * (removal.uploads != 1)}"
    if removal.left:
        return _left_behind(config, removal, where)
    if not removal.verified:
        reply = removal.refusal
        return Outcome(
            "warn",
            f"S3 accepted to remove the test objects from {where}. The role may not list, so "
            "nobody looked whether anything is left"
            f"{f' (S3 said {reply.said()})' if reply else ''}.",
            "DeleteObject",
            reply.code if reply else "",
            reply.request_id if reply else "",
            fix="Give the role the policy below.",
            paste=as_text(role_policy(config)),
            paste_title="Role policy",
        )
    if not removal.objects and not removal.uploads:
        return Outcome("pass", f"There was nothing to remove from {where}.", "List")
    return Outcome(
        "pass", f"{counted} removed from {where}; a look afterwards found nothing.", "DeleteObject"
    )


def _left_behind(config: BucketConfig, removal: Removal, where: str) -> Outcome:
    shown = ", ".join(removal.left[:8]) + (" …" if len(removal.left) > 8 else "")
    count = len(removal.left)
    counted = f"{count} test object{'s' * (count != 1)} ({size_text(removal.left_size)})"
    reply = removal.refusal
    fix = "Give the role s3:DeleteObject, s3:DeleteObjectVersion and s3:AbortMultipartUpload."
    if reply and ("object lock" in reply.message.lower() or reply.code == "InvalidRequest"):
        fix = (
            "Object Lock keeps them until their retention is over. Switch the bucket's default "
            "retention off for tests."
        )
    return Outcome(
        "fail",
        f"{counted} could not be removed from {where}: {shown}."
        + (f" S3 said {reply.said()}." if reply else ""),
        "DeleteObject",
        reply.code if reply else "",
        reply.request_id if reply else "",
        fix=f"{fix} The lifecycle rules below remove what stays (they replace the bucket's "
        "lifecycle document: merge them).",
        paste=as_text(lifecycle_rules(config)),
        paste_title=f"Lifecycle rules for {config.bucket}",
        also=(("Role policy", as_text(role_policy(config))),),
    )


def size_text(size: float) -> str:
    """Bytes for people, decimal: "33 MB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if size >= 10 or unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError
