"""The emulator as one object: ports, buckets, faults, replication, log."""

import json
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from shotmedia.emulator import control
from shotmedia.emulator.faults import Fault, Faults
from shotmedia.emulator.front import Front, Hangup, Seen
from shotmedia.emulator.listeners import Connection, Listener, Traffic
from shotmedia.emulator.policy import parse_policy
from shotmedia.emulator.replication import Replication
from shotmedia.emulator.signature import Identity
from shotmedia.emulator.store import ACCOUNT, Bucket, Store
from shotmedia.emulator.sts import Role
from shotmedia.emulator.wire import BadRequest, Request, Response

log = logging.getLogger("shotmedia.emulator")
RING = 5000
# boto3 does not allow two clients to be made of one session at the same time.
_session_lock = threading.Lock()


@dataclass(slots=True)
class Record:
    """One request. `code` is S3's error code, "" for success; bytes are those of the bodies; `ms`
    from the end of the request's headers to the end of the answer.

    It is in the log before the answer goes out; `sent` and `ms` are final when the whole answer
    is out (`Emulator.settle` waits for that).
    """

    number: int
    time: float
    method: str
    bucket: str
    key: str
    operation: str
    status: int
    code: str
    received: int
    sent: int
    ms: float
    who: str
    presigned: bool
    origin: str
    range: str


@cache
def _session() -> boto3.Session:
    # Loading the models of a new session takes longer than anything else here.
    return boto3.Session(region_name="us-east-1")


def _role(value: Any) -> Role:
    if isinstance(value, Role):
        return value
    if isinstance(value, Mapping):
        options = dict(value)
        if policy := options.pop("policy", None):
            options["policy"] = parse_policy(json.dumps(policy), "identity-based policy")
        return Role(**options)
    return Role(external_id=value or "")


class Emulator:
    """S3 and STS on 127.0.0.1.

    Arguments: the buckets; `lag` of the replication in seconds; the account's own key pair (made
    at random when not given); roles by ARN, each an ExternalId, a Role, or a dict of Role's
    fields with the policy as a document; `port` of the main endpoint (0: any free one); `clock`
    in epoch seconds. With another clock than time.time replication waits for `replicate_due()`;
    `background` says otherwise. `directory` holds large objects' nameless files (default: the
    system's temporary directory).
    """

    def __init__(
        self,
        buckets: Iterable[Bucket],
        *,
        lag: float = 3.0,
        access_key: str = "",
        secret_key: str = "",
        roles: Mapping[str, Any] | None = None,
        port: int = 0,
        clock: Callable[[], float] = time.time,
        background: bool | None = None,
        directory: str | None = None,
    ) -> None:
        self.buckets = {bucket.name: replace(bucket) for bucket in buckets}
        self.access_key = access_key or "AKIA" + secrets.token_hex(8).upper()
        self.secret_key = secret_key or secrets.token_urlsafe(30)
        self.clock_offset = 0.0
        self._clock = clock
        self._background = clock is time.time if background is None else background
        self._stopping = threading.Event()
        self._number = 0
        self._busy = 0
        self._idle = threading.Condition()
        self._clients: dict[tuple[str, str], Any] = {}
        self.log: deque[Record] = deque(maxlen=RING)
        self.traffic = Traffic()
        self.store = Store(self.now, directory)
        self._faults = Faults()
        targets = self._make_buckets()
        self.replication = Replication(self.store, self._faults, targets, lag, self.now)
        self.front = Front(
            self.store,
            self._faults,
            self.replication,
            self.buckets,
            {arn: _role(value) for arn, value in (roles or {}).items()},
            self.now,
            self._stopping.wait,
            self.traffic.passed,
        )
        owner = Identity(
            self.access_key,
            self.secret_key,
            f"arn:aws:iam::{ACCOUNT}:user/emulator",
            "AIDAEMULATOR",
        )
        self.front.add_identity(owner)
        self._main = Listener(port, self._serve)
        self._ports = {
            name: Listener(bucket.port, self._serve, name) for name, bucket in self.buckets.items()
        }

    def _make_buckets(self) -> dict[str, list[str]]:
        targets: dict[str, list[str]] = {}
        for bucket in self.buckets.values():
            if bucket.replica_of:
                if bucket.replica_of not in self.buckets:
                    raise ValueError(
                        f"bucket {bucket.name} is a replica of {bucket.replica_of}, "
                        "which is not among the buckets"
                    )
                targets.setdefault(bucket.replica_of, []).append(bucket.name)
        for bucket in self.buckets.values():
            takes_part = bool(bucket.replica_of or targets.get(bucket.name))
            versioned = takes_part if bucket.versioning is None else bucket.versioning
            self.store.create_bucket(bucket, versioned)
        for source, names in targets.items():
            self.store.set_replication(source, names)
        return targets

    def now(self) -> float:
        """The emulator's time in epoch seconds; `clock_offset` makes its clock wrong."""
        return self._clock() + self.clock_offset

    # Life

    def start(self) -> "Emulator":
        """Opens the ports."""
        self._main.listen()
        for listener in self._ports.values():
            listener.listen()
        if self._background:
            self.replication.start()
        return self

    def stop(self) -> None:
        """Closes the ports and forgets everything."""
        self._stopping.set()
        self.replication.stop()
        self._main.stop()
        for listener in self._ports.values():
            listener.stop()
        try:
            self.settle(5)
        except TimeoutError:
            log.warning("requests were still running when the emulator was stopped")
        for client in self._clients.values():
            client.close()
        self.store.close()

    def __enter__(self) -> "Emulator":
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    # What tests and the demo use

    @property
    def endpoint(self) -> str:
        """The main address: all buckets, STS and the control API."""
        return self._main.endpoint

    def endpoint_for(self, bucket: str) -> str:
        """The bucket's own address."""
        return self._ports[bucket].endpoint

    @property
    def lag(self) -> float:
        """Seconds until an object appears in the replica."""
        return self.replication.lag

    @lag.setter
    def lag(self, seconds: float) -> None:
        self.replication.lag = seconds
        self.replication.wake()

    def replicate_due(self, everything: bool = False) -> int:
        """Replicates what is old enough, or everything that waits; returns the copies made."""
        return self.replication.replicate_due(everything)

    def set_cors(self, bucket: str, rules: list[dict[str, Any]]) -> None:
        """Replaces the bucket's CORS rules (a list as the S3 console takes it; [] removes)."""
        self.store.set_cors(bucket, rules)

    def set_list_bucket(self, bucket: str, allowed: bool) -> None:
        """Whether requesters may list; without, missing keys are answered with 403."""
        self.buckets[bucket].list_bucket = allowed

    def faults(self, bucket: str, **fault: Any) -> Fault:
        """Switches a fault on for a bucket, or for "sts"; see Fault for the words.

        Raises KeyError for an unknown bucket, TypeError or ValueError for a bad fault.
        """
        if bucket != "sts" and bucket not in self.buckets:
            raise KeyError(f"there is no bucket {bucket}; known: {', '.join(self.buckets)}")
        added = self._faults.add(bucket, **fault)
        self._apply_refusals()
        return added

    def clear_faults(self, bucket: str | None = None) -> None:
        """Switches off the bucket's faults, or all of them."""
        self._faults.clear(bucket)
        self._apply_refusals()
        self.replication.wake()

    def _apply_refusals(self) -> None:
        for name, listener in self._ports.items():
            if self._faults.refuses(name):
                listener.refuse()
            else:
                listener.listen()

    def s3(self, bucket: str | None = None, **credentials: str) -> Any:
        """A boto3 client with the account's key: for one bucket (its region, its own port), or
        for the main port in the first bucket's region (botocore corrects the region itself)."""
        region = self.buckets[bucket or next(iter(self.buckets))].region
        endpoint = self.endpoint_for(bucket) if bucket else self.endpoint
        if credentials:
            return self._client("s3", region, endpoint, **credentials)
        if ("s3", bucket or "") not in self._clients:
            self._clients["s3", bucket or ""] = self._client("s3", region, endpoint)
        return self._clients["s3", bucket or ""]

    def sts(self, region: str = "us-east-1") -> Any:
        """A boto3 STS client with the account's key."""
        if ("sts", region) not in self._clients:
            self._clients["sts", region] = self._client("sts", region, self.endpoint)
        return self._clients["sts", region]

    def _client(self, service: str, region: str, endpoint: str, **credentials: str) -> Any:
        keys = {
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
        }
        with _session_lock:
            return self._new_client(service, region, endpoint, keys | credentials)

    @staticmethod
    def _new_client(service: str, region: str, endpoint: str, keys: dict[str, str]) -> Any:
        return _session().client(
            service,
            region_name=region,
            endpoint_url=endpoint,
            config=Config(
                signature_version="s3v4" if service == "s3" else None,
                s3={"addressing_style": "path"},
                retries={"mode": "standard", "total_max_attempts": 1},
                max_pool_connections=16,
            ),
            **keys,
        )

    def settle(self, seconds: float = 10.0) -> None:
        """Waits until every request that has arrived is answered, measured and logged.

        Raises TimeoutError after `seconds`.
        """
        with self._idle:
            if not self._idle.wait_for(lambda: not self._busy, seconds):
                raise TimeoutError(f"requests are still being answered after {seconds} seconds")

    def state(self) -> dict[str, Any]:
        """Everything about the emulator that is no secret, for the control API."""
        return {
            "endpoint": self.endpoint,
            "sts_endpoint": self.endpoint,
            "lag": self.lag,
            "clock_offset": self.clock_offset,
            "buckets": [
                asdict(bucket)
                | {"endpoint": self.endpoint_for(name), "port": self._ports[name].port}
                for name, bucket in self.buckets.items()
            ],
            "roles": list(self.front.roles),
            "faults": self._faults.all(),
            "waiting": [list(item) for item in self.replication.waiting],
        }

    # Serving

    def _serve(self, connection: Connection) -> None:
        try:
            while (request := connection.next_request()) is not None:
                if not self._serve_one(connection, request):
                    return
        except BadRequest as error:
            connection.bad_request(error)

    def _serve_one(self, connection: Connection, request: Request) -> bool:
        if not request.only_bucket and control.is_control(request):
            pace = Seen().pace
            return connection.send(request, control.answer(self, request), pace, lambda size: None)
        with self._idle:
            self._busy += 1
        try:
            return self._answer(connection, request)
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def _answer(self, connection: Connection, request: Request) -> bool:
        started, moment = time.perf_counter(), time.time()
        seen = Seen(slow_down=connection.slow_down)
        record, sent = None, 0

        def passed(size: int) -> None:
            nonlocal sent
            sent += size
            self.traffic.passed(seen.bucket, "out", size)

        try:
            response = self.front.answer(request, seen)
            record = self._remember(request, response, seen, moment)
            return connection.send(request, response, seen.pace, passed)
        except Hangup:
            connection.abort()
            return False
        finally:
            if record is None:
                nothing = Response(0, code="NoAnswer")
                record = self._remember(request, nothing, seen, moment)
            record.received, record.sent = request.body.received, sent
            record.ms = round((time.perf_counter() - started) * 1000, 2)
            log.info(
                "%s %s/%s %s%s in=%d out=%d %.1fms %s",
                record.method,
                record.bucket or "-",
                record.key,
                record.status,
                f" {record.code}" if record.code else "",
                record.received,
                record.sent,
                record.ms,
                record.who,
            )

    def _remember(self, request: Request, response: Response, seen: Seen, moment: float) -> Record:
        with self._idle:
            self._number += 1
            record = Record(
                number=self._number,
                time=moment,
                method=request.method,
                bucket=seen.bucket,
                key=seen.key,
                operation=seen.operation,
                status=response.status,
                code=response.code,
                received=request.body.received,
                sent=0,
                ms=0.0,
                who=seen.who,
                presigned=seen.presigned,
                origin=request.headers.get("origin"),
                range=request.headers.get("range"),
            )
            self.log.append(record)
        return record
