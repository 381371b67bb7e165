"""What is stored: moto's S3 backend for buckets, versions, listings and configuration documents,
with the bytes of objects kept outside of moto's memory.

Each emulator has a backend of its own, so several can run in one process. moto's backend knows no
threads: every look into it happens under one lock; bodies never move under it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from moto.core.request import Request as MotoRequest
from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, S3Backend, s3_backends
from moto.s3.responses import S3Response

from shotmedia.emulator.blobs import Blob, BlobReader, Spool
from shotmedia.emulator.cors import Rule
from shotmedia.emulator.errors import Refusal, access_denied, no_such_bucket
from shotmedia.emulator.policy import Policy, PolicyError, parse_policy

ACCOUNT = "123456789012"
_names_lock = threading.Lock()


@dataclass(slots=True)
class Bucket:
    """A bucket of the emulator.

    replica_of names the bucket whose objects appear here after the lag. versioning None means on
    for both sides of a replication (S3 demands it there), else off. Without list_bucket the
    requester may not list, so a missing key is answered with 403. port 0 takes any free port.
    """

    name: str
    region: str = "us-east-1"
    replica_of: str = ""
    versioning: bool | None = None
    list_bucket: bool = True
    port: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """A look at one object: its moto key and its bytes, or where a delete marker stands."""

    key: FakeKey | None
    blob: Blob
    marker: str = ""


def _to_naive(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC).replace(tzinfo=None)


class Store:
    """The buckets and objects of one emulator. `clock` gives epoch seconds."""

    def __init__(self, clock: Callable[[], float] = time.time, directory: str | None = None):
        self.clock = clock
        self.directory = directory
        self.lock = threading.RLock()
        self.backend = S3Backend("us-east-1", ACCOUNT)
        backend = self.backend

        class Answers(S3Response):
            """moto's S3 answers on this store's own backend."""

            @property
            def backend(self) -> S3Backend:
                return backend

        self._answers = Answers

    def spool(self) -> Spool:
        """A place for the body of one object or the parts of one upload."""
        return Spool(self.directory)

    # Buckets

    def create_bucket(self, bucket: Bucket, versioned: bool) -> None:
        """Adds an empty bucket."""
        with _names_lock, self.lock:
            # moto keeps one global register of names; other emulators may use the same ones.
            s3_backends.bucket_accounts.pop(bucket.name, None)
            self.backend.create_bucket(bucket.name, bucket.region)
            s3_backends.bucket_accounts.pop(bucket.name, None)
            if versioned:
                self.backend.put_bucket_versioning(bucket.name, "Enabled")

    def bucket(self, name: str) -> FakeBucket:
        """moto's bucket. Raises Refusal 404."""
        found = self.backend.buckets.get(name)
        if found is None:
            raise no_such_bucket(name)
        return found

    def region(self, name: str) -> str:
        """The bucket's region, "" for an unknown bucket."""
        found = self.backend.buckets.get(name)
        return found.region_name if found else ""

    def regions(self) -> frozenset[str]:
        """The regions of all buckets."""
        return frozenset(bucket.region_name for bucket in list(self.backend.buckets.values()))

    def cors_rules(self, name: str) -> list[Rule]:
        """The bucket's CORS rules as the API stored them; none for an unknown bucket."""
        found = self.backend.buckets.get(name)
        if found is None or not found.cors:
            return []
        return [
            Rule(
                tuple(rule.allowed_origins),
                tuple(rule.allowed_methods),
                tuple(rule.allowed_headers or ()),
                tuple(rule.exposed_headers or ()),
                str(rule.max_age_seconds or ""),
            )
            for rule in found.cors
        ]

    def set_cors(self, name: str, rules: list[dict[str, Any]]) -> None:
        """Replaces the CORS rules by a list as the S3 console takes it; an empty one removes."""
        document = [
            {
                "AllowedMethod": list(rule["AllowedMethods"]),
                "AllowedOrigin": list(rule["AllowedOrigins"]),
                "AllowedHeader": list(rule.get("AllowedHeaders", [])),
                "ExposeHeader": list(rule.get("ExposeHeaders", [])),
                "MaxAgeSeconds": str(rule.get("MaxAgeSeconds", "")),
                "ID": str(rule.get("ID", "")),
            }
            for rule in rules
        ]
        with self.lock:
            self.bucket(name).set_cors(document)

    def bucket_policy(self, name: str) -> Policy | None:
        """The bucket policy, None without. Raises Refusal 403 when it isn't understood here."""
        found = self.backend.buckets.get(name)
        if found is None or not found.policy:
            return None
        try:
            return parse_policy(found.policy, "resource-based policy")
        except PolicyError as error:
            raise access_denied(f"The emulator can't apply the bucket policy: {error}") from None

    def set_replication(self, source: str, targets: list[str]) -> None:
        """Writes down the rules of a replication, so that GetBucketReplication shows them."""
        rules = [
            {
                "ID": f"to-{target}",
                "Priority": str(number),
                "Status": "Enabled",
                "Destination": {"Bucket": f"arn:aws:s3:::{target}"},
            }
            for number, target in enumerate(targets, 1)
        ]
        role = f"arn:aws:iam::{ACCOUNT}:role/s3-replication"
        with self.lock:
            self.backend.put_bucket_replication(source, {"Role": role, "Rule": rules})

    # Objects

    def find(self, bucket: str, key: str, version_id: str = "") -> Found:
        """The current (or the named) version. Raises Refusal 404 for an unknown bucket."""
        with self.lock:
            versions = self.bucket(bucket).keys.getlist(key, [])
            if version_id:
                versions = [v for v in versions if str(v.version_id) == version_id]
            if not versions:
                return Found(None, Blob())
            newest = versions[-1]
            if isinstance(newest, FakeDeleteMarker):
                return Found(None, Blob(), newest.version_id)
            return Found(newest, blob_of(newest))

    def put(
        self,
        bucket: str,
        key: str,
        blob: Blob,
        etag: str,
        metadata: dict[str, str],
        *,
        storage_class: str = "",
        checksum: tuple[str, str] | None = None,
        checksum_type: str = "FULL_OBJECT",
        part_sizes: tuple[int, ...] = (),
        tags: dict[str, str] | None = None,
        version_id: str = "",
        last_modified: float | None = None,
        replication_status: str = "",
        check: Callable[[Found], None] = lambda found: None,
    ) -> FakeKey:
        """Makes an object of bytes that are already stored.

        Arguments: ETag without quotes; metadata with the names S3 stores; `check` sees what was
        there before and may raise Refusal (conditional writes), all in one step.
        """
        with self.lock, translated():
            check(self.find(bucket, key))
            made = self.backend.put_object(
                bucket, key, b"", storage=storage_class or None, etag=etag
            )
            # moto registers every object for its dashboard, for ever; bytes would never be freed.
            if FakeKey.instances_tracked and FakeKey.instances_tracked[-1] is made:
                FakeKey.instances_tracked.pop()
            made._value_buffer.close()
            made._value_buffer = BlobReader(blob)
            made.contentsize = blob.size
            # Blobs close their files with the last reference; moto need not warn about them.
            made.disposed = True
            made.last_modified = _to_naive(self.clock() if last_modified is None else last_modified)
            if version_id:
                made._version_id = version_id
            made.set_metadata(dict(metadata))
            if checksum:
                made.checksum_algorithm = checksum[0].upper()
                made.checksum_value = checksum[1]
                made.checksum_type = checksum_type
            made.part_sizes = part_sizes
            made.replication_status = replication_status
            if tags:
                self.backend.put_object_tagging(made, tags)
            return made

    def delete(self, bucket: str, key: str, version_id: str = "") -> dict[str, str]:
        """Deletes, or sets a delete marker; returns the answer's headers."""
        with self.lock, translated():
            existing = self.bucket(bucket).keys
            if not version_id and existing.get(key) is None:
                return {}
            _, meta = self.backend.delete_object(bucket, key, version_id or None)
            return {f"x-amz-{name}": value for name, value in meta.items()}

    def is_versioned(self, bucket: str) -> bool:
        """Whether versioning is on."""
        return bool(self.bucket(bucket).is_versioned)

    def is_current(self, bucket: str, key: FakeKey) -> bool:
        """Whether this very version still exists and isn't hidden by a delete marker."""
        with self.lock:
            found = self.backend.buckets.get(bucket)
            versions = found.keys.getlist(key.name, []) if found else []
            return any(version is key for version in versions) and not isinstance(
                versions[-1], FakeDeleteMarker
            )

    def current_keys(self, bucket: str) -> dict[str, FakeKey]:
        """The bucket's objects by key, without those hidden by a delete marker."""
        with self.lock:
            newest = {name: versions[-1] for name, versions in self.bucket(bucket).keys.lists()}
        return {name: key for name, key in newest.items() if isinstance(key, FakeKey)}

    def versions(self, bucket: str) -> dict[str, list[FakeKey | FakeDeleteMarker]]:
        """All versions and delete markers by key, the newest first."""
        with self.lock:
            return {name: found[::-1] for name, found in self.bucket(bucket).keys.lists()}

    def tags(self, key: FakeKey) -> dict[str, str]:
        """The object's tags."""
        with self.lock:
            return self.backend.tagger.get_tag_dict_for_resource(key.arn)

    # moto's own answers

    def moto(
        self,
        method: str,
        bucket: str,
        key: str,
        raw_query: str,
        headers: dict[str, str],
        body: bytes,
        region: str,
    ) -> tuple[int, dict[str, str], bytes]:
        """moto's answer to a request that the front has verified: configuration documents,
        listings, tags. `raw_query` without the signature's parameters."""
        path = f"/{quote(bucket)}/{quote(key, safe='/~')}" if bucket else "/"
        url = f"http://localhost{path}" + (f"?{raw_query}" if raw_query else "")
        # moto takes the region from the scope of the credentials.
        headers = headers | {
            "Host": "localhost",
            "Authorization": "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20000101/"
            f"{region}/s3/aws4_request, SignedHeaders=host, Signature=0",
        }
        request = MotoRequest.from_primitives(method, url, headers, body)
        request.environ["RAW_URI"] = path
        handler = self._answers()
        with _names_lock, self.lock:
            call = handler.key_response if key else handler.bucket_response
            before = set(s3_backends.bucket_accounts)
            status, answer_headers, answer = call(request, request.raw_url, request.headers)
            for name in set(s3_backends.bucket_accounts) - before:
                s3_backends.bucket_accounts.pop(name, None)
        data = answer.encode() if isinstance(answer, str) else (answer or b"")
        return int(status), {k: str(v) for k, v in answer_headers.items()}, data

    def close(self) -> None:
        """Forgets everything; the files go with it."""
        with self.lock:
            self.backend.reset()


def blob_of(key: FakeKey) -> Blob:
    """The bytes of an object, also of one that moto itself has written."""
    buffer = key._value_buffer
    return buffer.blob if isinstance(buffer, BlobReader) else Blob.of(key.value)


@contextmanager
def translated() -> Iterator[None]:
    """moto's exceptions become refusals."""
    try:
        yield
    except S3ClientError as error:
        status = 403 if error.code == "AccessDenied" else 400
        raise Refusal(error.code, status, str(error.message)) from None
