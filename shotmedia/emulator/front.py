"""The front: finds out what a request is about, verifies it, and lets the right part answer."""

import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from urllib.parse import quote, unquote

from werkzeug.exceptions import HTTPException

from shotmedia.emulator import cors, listing, multipart, objects, sts
from shotmedia.emulator.errors import (
    ACCESS_DENIED,
    Refusal,
    access_denied,
    no_such_bucket,
    s3_error_body,
    sts_error_body,
)
from shotmedia.emulator.faults import NO_EFFECT, Faults, Pace
from shotmedia.emulator.objects import Call
from shotmedia.emulator.policy import refusal_reason
from shotmedia.emulator.receive import small_body
from shotmedia.emulator.replication import Replication
from shotmedia.emulator.signature import Identity, Verified, verify
from shotmedia.emulator.store import Bucket, Store
from shotmedia.emulator.sts import Role
from shotmedia.emulator.wire import BadRequest, Part, Request, Response

log = logging.getLogger("shotmedia.emulator")

MAX_DOCUMENT = 4 * 1024 * 1024
# Where the bucket stands in front of the host, as AWS and local stores spell it.
_HOSTS = (
    re.compile(
        r"(?:(?P<bucket>.+)\.)?bucket\.vpce-[0-9a-z-]+\.s3\.[a-z0-9-]+\.vpce\.amazonaws\.com(?:\.cn)?"
    ),
    re.compile(r"(?:(?P<bucket>.+?)\.)?s3(?:[.-][a-z0-9.-]+)?\.amazonaws\.(?:com(?:\.cn)?|eu)"),
    re.compile(r"(?:(?P<bucket>.+)\.)?localhost"),
)
# Configuration documents: query parameter -> the middle of the action's name.
BUCKET_DOCUMENTS = {
    "accelerate": "AccelerateConfiguration",
    "acl": "BucketAcl",
    "cors": "BucketCORS",
    "encryption": "EncryptionConfiguration",
    "inventory": "InventoryConfiguration",
    "lifecycle": "LifecycleConfiguration",
    "location": "BucketLocation",
    "logging": "BucketLogging",
    "notification": "BucketNotification",
    "object-lock": "BucketObjectLockConfiguration",
    "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy",
    "policyStatus": "BucketPolicyStatus",
    "publicAccessBlock": "BucketPublicAccessBlock",
    "replication": "ReplicationConfiguration",
    "tagging": "BucketTagging",
    "versioning": "BucketVersioning",
    "website": "BucketWebsite",
}
OBJECT_DOCUMENTS = {
    "acl": "ObjectAcl",
    "attributes": "ObjectAttributes",
    "legal-hold": "ObjectLegalHold",
    "retention": "ObjectRetention",
    "tagging": "ObjectTagging",
}
_DROPPED_FOR_MOTO = (
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-md5",
    "expect",
    "host",
    "origin",
    "transfer-encoding",
    "x-amz-checksum-",
    "x-amz-content-sha256",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-trailer",
)
_KEPT_FROM_MOTO = ("content-type", "location", "x-amz-")


class Hangup(Exception):
    """The connection is to be closed without an answer (the fault `refuse`)."""


@dataclass(slots=True)
class Seen:
    """What is known about a request by the time it is answered: for the log and the writer."""

    bucket: str = ""
    key: str = ""
    operation: str = ""
    who: str = "-"
    presigned: bool = False
    pace: Pace = field(default_factory=lambda: Pace(None, time.sleep))
    slow_down: Callable[[], None] = lambda: None


def locate(request: Request) -> tuple[str, str]:
    """(bucket, key) of a request: from the host when it carries a bucket, else from the path.

    Raises Refusal 400 for a path that is no UTF-8.
    """
    host = request.headers.get("host").lower().rpartition(":")
    name = host[0] if host[1] and host[2].isdigit() else request.headers.get("host").lower()
    match = next(filter(None, (pattern.fullmatch(name) for pattern in _HOSTS)), None)
    try:
        path = unquote(request.raw_path, errors="strict").removeprefix("/")
    except UnicodeDecodeError:
        raise Refusal("InvalidURI", 400, "Couldn't parse the specified URI.") from None
    if match and match["bucket"]:
        return match["bucket"], path
    bucket, _, key = path.partition("/")
    return bucket, key


class Front:
    """Everything that one emulator knows, behind one method: `answer`."""

    def __init__(
        self,
        store: Store,
        faults: Faults,
        replication: Replication,
        buckets: Mapping[str, Bucket],
        roles: Mapping[str, Role],
        now: Callable[[], float],
        wait: Callable[[float], object],
        passed: Callable[[str, str, int], None],
    ) -> None:
        self.store = store
        self.faults = faults
        self.replication = replication
        self.buckets = buckets
        self.roles = roles
        self.now = now
        self.uploads = multipart.Uploads()
        self.identities: dict[str, Identity] = {}
        self._lock = threading.Lock()
        self._wait = wait
        self._passed = passed

    def add_identity(self, identity: Identity) -> None:
        """From now on requests of this identity are accepted; dead sessions are forgotten after
        a day, until then they are answered with ExpiredToken."""
        with self._lock:
            for key, old in list(self.identities.items()):
                if old.expires_at is not None and old.expires_at < self.now() - 86_400:
                    del self.identities[key]
            self.identities[identity.access_key] = identity

    # Permissions

    def _context(self, request: Request, prefix: str | None) -> dict[str, str]:
        context = {
            "aws:sourceip": request.client,
            "aws:securetransport": "false",
            "aws:useragent": request.headers.get("user-agent"),
        }
        return context if prefix is None else context | {"s3:prefix": prefix}

    def _reason(self, call: Call, action: str, resource: str, prefix: str | None = None) -> str:
        bucket = resource.removeprefix("arn:aws:s3:::").partition("/")[0]
        return refusal_reason(
            call.verified.identity.policies,
            self.store.bucket_policy(bucket),
            action,
            resource,
            self._context(call.request, prefix),
        )

    def denied(self, call: Call, action: str, resource: str, reason: str = "") -> Refusal:
        """The 403 of an action that no policy allows, naming it as AWS does."""
        if not reason:
            return access_denied(ACCESS_DENIED)
        return access_denied(
            f"User: {call.verified.identity.arn} is not authorized to perform: {action} "
            f'on resource: "{resource}" {reason}'
        )

    def may_list(self, call: Call) -> bool:
        """Whether a missing key may be told from a forbidden one (s3:ListBucket)."""
        known = self.buckets.get(call.bucket)
        if known is not None and not known.list_bucket:
            return False
        resource = f"arn:aws:s3:::{call.bucket}"
        return not self._reason(call, "s3:ListBucket", resource, prefix=call.key)

    # Answering

    def answer(self, request: Request, seen: Seen) -> Response:
        """The answer to a request; `seen` is filled on the way. Raises Hangup, BadRequest."""
        request_id, host_id = secrets.token_hex(8).upper(), secrets.token_urlsafe(57)
        for_sts, effect = False, NO_EFFECT
        try:
            seen.bucket, seen.key = locate(request)
            for_sts = not request.only_bucket and not seen.bucket and sts.is_sts(request)
            if for_sts:
                seen.bucket = "sts"
            effect = self.faults.effect(seen.bucket, request.method, seen.key)
            if effect is not NO_EFFECT:
                seen.pace = Pace(effect.slowed_by, self._wait)
                if effect.slowed_by is not None:
                    seen.slow_down()
                if effect.delay:
                    self._wait(effect.delay)
                if effect.refuse:
                    raise Hangup
                if effect.error is not None:
                    raise effect.error
            response = self._sts(request, seen) if for_sts else self._s3(request, seen)
        except Refusal as error:
            response = Response(error.status, {"Content-Type": "application/xml"}, code=error.code)
            response.headers |= error.headers
            if for_sts:
                response.headers["Content-Type"] = "text/xml"
                response.body = sts_error_body(error, request_id)
            elif request.method != "HEAD":
                resource = unquote(request.raw_path, errors="replace")
                response.body = s3_error_body(error, resource, request_id, host_id)
        except (Hangup, BadRequest, OSError):
            raise
        except Exception:
            log.exception("the emulator failed on %s %s", request.method, request.raw_path)
            error = Refusal("InternalError", 500, "The emulator failed; its log says why.")
            body = s3_error_body(error, request.raw_path, request_id, host_id)
            response = Response(500, {"Content-Type": "application/xml"}, body, code=error.code)
        names = {
            "x-amz-request-id": request_id,
            "x-amz-id-2": host_id,
            "Date": formatdate(self.now(), usegmt=True),
            "Server": "AmazonS3",
        }
        response.headers = names | response.headers
        if effect.corrupt and response.status < 300:
            response.body = _corrupted(response.body)
        if effect.hide_cors:
            return response
        if request.method != "OPTIONS" and (origin := request.headers.get("origin")):
            rules = self.store.cors_rules(seen.bucket)
            response.headers |= cors.answer_headers(rules, origin, request.method)
        return response

    def _sts(self, request: Request, seen: Seen) -> Response:
        seen.operation = "sts"
        response, seen.who = sts.answer_sts(self, request)
        return response

    def _s3(self, request: Request, seen: Seen) -> Response:
        bucket, key = seen.bucket, seen.key
        if request.only_bucket and bucket != request.only_bucket:
            raise no_such_bucket(bucket)
        if request.method == "OPTIONS":
            seen.operation = "preflight"
            return self._preflight(request, bucket, key)
        verified = self._verify(request, bucket, key)
        seen.who, seen.presigned = verified.identity.arn, verified.presigned
        call = self._call(request, verified, seen)
        seen.operation, handler = self._route(request, bucket, key)
        creating = request.method == "PUT" and not key and not request.query
        if bucket and not creating:
            self.store.bucket(bucket)
        return handler(call)

    def _preflight(self, request: Request, bucket: str, key: str) -> Response:
        if not self.store.region(bucket):
            raise Refusal("AccessForbidden", 403, "CORSResponse: Bucket not found")
        headers = cors.preflight_headers(
            self.store.cors_rules(bucket),
            request.headers.get("origin"),
            request.headers.get("access-control-request-method"),
            request.headers.get("access-control-request-headers"),
            "OBJECT" if key else "BUCKET",
        )
        return Response(200, headers)

    def _verify(self, request: Request, bucket: str, key: str) -> Verified:
        region = self.store.region(bucket)
        try:
            return verify(request, self.identities, self.now(), region=region)
        except Refusal as error:
            if "Region" in error.elements:
                error.headers["x-amz-bucket-region"] = region
                if request.method == "HEAD" and not key:
                    error.code, error.status = "PermanentRedirect", 301
            raise

    def _call(self, request: Request, verified: Verified, seen: Seen) -> Call:
        bucket, key, pace = seen.bucket, seen.key, seen.pace

        def passed(size: int) -> None:
            self._passed(bucket, "in", size)
            pace.passed(size)

        def require(action: str, resource: str = "", prefix: str | None = None) -> None:
            what = resource or f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else "")
            reason = self._reason(call, action, what, prefix)
            if reason:
                raise self.denied(call, action, what, reason)

        call = Call(request, verified, bucket, key, pace, passed, require)
        return call

    def _route(
        self, request: Request, bucket: str, key: str
    ) -> tuple[str, Callable[[Call], Response]]:
        names = {name for name, _ in request.query}
        if not bucket:
            if request.method != "GET":
                raise _not_allowed(request.method)
            return "ListBuckets", partial(self._moto, action="s3:ListAllMyBuckets", resource="*")
        if key:
            return self._object_route(request, names)
        return self._bucket_route(request, names)

    def _object_route(
        self, request: Request, names: set[str]
    ) -> tuple[str, Callable[[Call], Response]]:
        method = request.method
        for name, noun in OBJECT_DOCUMENTS.items():
            if name in names and method in ("GET", "PUT", "DELETE"):
                action = f"{method.capitalize()}{noun}"
                return action, partial(self._object_document, action=f"s3:{action}")
        copies = "x-amz-copy-source" in request.headers
        part = "partNumber" in names and "uploadId" in names
        found: tuple[str, Callable[[Front, Call], Response]] | None = None
        if method in ("GET", "HEAD"):
            if method == "GET" and "uploadId" in names:
                found = "ListParts", multipart.list_parts
            else:
                found = ("GetObject" if method == "GET" else "HeadObject"), objects.get_object
        elif method == "PUT" and part:
            found = (
                ("UploadPartCopy", multipart.upload_part_copy)
                if copies
                else ("UploadPart", multipart.upload_part)
            )
        elif method == "PUT":
            found = (
                ("CopyObject", objects.copy_object) if copies else ("PutObject", objects.put_object)
            )
        elif method == "DELETE" and "uploadId" in names:
            found = "AbortMultipartUpload", multipart.abort_upload
        elif method == "DELETE":
            found = "DeleteObject", objects.delete_object
        elif method == "POST" and "uploads" in names:
            found = "CreateMultipartUpload", multipart.create_upload
        elif method == "POST" and "uploadId" in names:
            found = "CompleteMultipartUpload", multipart.complete_upload
        if found is None:
            raise _not_allowed(method)
        name, handler = found
        return name, partial(handler, self)

    def _bucket_route(
        self, request: Request, names: set[str]
    ) -> tuple[str, Callable[[Call], Response]]:
        method = request.method
        if method == "HEAD":
            return "HeadBucket", self._head_bucket
        if method == "POST" and "delete" in names:
            return "DeleteObjects", partial(objects.delete_objects, self)
        if method not in ("GET", "PUT", "DELETE"):
            raise _not_allowed(method)
        for name, noun in BUCKET_DOCUMENTS.items():
            if name in names:
                verb = "Get" if method == "GET" else "Put"
                if method == "DELETE" and name in ("policy", "website"):
                    verb = "Delete"
                action = f"{verb}{noun}"
                return action, partial(self._moto, action=f"s3:{action}")
        if method == "GET" and "uploads" in names:
            return "ListMultipartUploads", self._list_uploads
        if method == "GET" and "versions" in names:
            return "ListObjectVersions", self._list_versions
        if method == "GET":
            return "ListObjects", self._list_objects
        name = "CreateBucket" if method == "PUT" else "DeleteBucket"
        return name, partial(self._moto, action=f"s3:{name}")

    def _head_bucket(self, call: Call) -> Response:
        region = self.store.region(call.bucket)
        headers = {"x-amz-bucket-region": region, "Content-Type": "application/xml"}
        known = self.buckets.get(call.bucket)
        try:
            if known is not None and not known.list_bucket:
                raise access_denied()
            call.require("s3:ListBucket")
        except Refusal as error:
            error.headers = headers
            raise
        return Response(200, headers | {"x-amz-access-point-alias": "false"})

    def _require_listing(self, call: Call, action: str) -> str | None:
        known = self.buckets.get(call.bucket)
        if known is not None and not known.list_bucket:
            raise access_denied()
        prefix = call.request.arg("prefix") if call.request.has("prefix") else None
        call.require(action, prefix=prefix)
        return prefix

    def _list_objects(self, call: Call) -> Response:
        self._require_listing(call, "s3:ListBucket")
        return listing.list_objects(self, call)

    def _list_versions(self, call: Call) -> Response:
        self._require_listing(call, "s3:ListBucketVersions")
        return listing.list_versions(self, call)

    def _list_uploads(self, call: Call) -> Response:
        call.require("s3:ListBucketMultipartUploads")
        return multipart.list_uploads(self, call)

    def _object_document(self, call: Call, action: str) -> Response:
        found = self.store.find(call.bucket, call.key, call.request.arg("versionId"))
        if found.key is None:
            call.require(action)
            if not self.may_list(call):
                raise access_denied()
            raise objects.no_such_key(call.key)
        return self._moto(call, action)

    def _moto(
        self, call: Call, action: str, resource: str = "", prefix: str | None = None
    ) -> Response:
        call.require(action, resource, prefix)
        request = call.request
        body = small_body(request, call.verified, self.store.spool(), MAX_DOCUMENT)
        pairs = [
            f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
            for name, value in request.query
            if not name.lower().startswith("x-amz-")
        ]
        headers = {
            name: value for name, value in request.headers if not name.startswith(_DROPPED_FOR_MOTO)
        }
        try:
            status, found, data = self.store.moto(
                request.method,
                call.bucket,
                call.key,
                "&".join(pairs),
                headers,
                body,
                call.verified.region,
            )
        except NotImplementedError:
            raise Refusal(
                "NotImplemented", 501, "The emulator does not know this operation."
            ) from None
        except HTTPException as error:
            raise Refusal(
                getattr(error, "error_type", "InvalidRequest"),
                error.code or 400,
                str(getattr(error, "message", error.description)),
            ) from None
        kept = {
            name: value
            for name, value in found.items()
            if name.lower().startswith(_KEPT_FROM_MOTO) and "request" not in name.lower()
        }
        code = ""
        if status >= 400:
            match = re.search(rb"<Code>([^<]+)</Code>", data)
            code = match[1].decode() if match else str(status)
        return Response(status, kept, data, code=code)


def _corrupted(body: bytes | Part) -> bytes:
    data = body.blob.read(body.offset, body.length) if isinstance(body, Part) else body
    return bytes([data[0] ^ 0xFF]) + data[1:] if data else data


def _not_allowed(method: str) -> Refusal:
    return Refusal(
        "MethodNotAllowed",
        405,
        "The specified method is not allowed against this resource.",
        {"Method": method},
    )
