"""shotmedia.s3.clients: where boto3's requests go, with which keys, and the raw HEAD."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.awsrequest import AWSRequest, AWSResponse

from shotmedia.emulator import Emulator
from shotmedia.s3 import clients, errors, presign
from shotmedia.s3.clients import ObjectHead, head_object, s3_client, sts_client
from shotmedia.s3.config import BucketConfig
from shotmedia.s3.credentials import Credentials, RoleCredentials, assume_role, credentials_for
from shotmedia.s3.process import forget_all

ROLE = "arn:aws:iam::111122223333:role/media"
ENVIRONMENT = (
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_STS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
    "AWS_DEFAULT_REGION",
)


@pytest.fixture(autouse=True)
def _own_keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Known ambient keys, no endpoint variables, and nothing left over from another test."""
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAAMBIENT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ambient secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    forget_all()
    yield
    forget_all()


def config(**values: str) -> BucketConfig:
    return BucketConfig.from_mapping(
        "main", {"region": "eu-west-1", "bucket": "studio-media"} | values
    )


class Answer:
    """What botocore reads from a response."""

    def __init__(self, body: bytes = b"") -> None:
        self.body = body

    def stream(self, **_: Any) -> Iterator[bytes]:
        yield self.body


def form(request: AWSRequest) -> dict[str, list[str]]:
    body = request.body
    return parse_qs(body if isinstance(body, str) else body.decode())


def sent_by(client: Any, call: Callable[[], Any]) -> AWSRequest:
    """The request that a call would send; nothing leaves the process."""
    seen: list[AWSRequest] = []

    def answer(request: AWSRequest, **_: Any) -> AWSResponse:
        seen.append(request)
        return AWSResponse(request.url, 200, {}, Answer())

    client.meta.events.register_first("before-send", answer)
    try:
        call()
    finally:
        client.meta.events.unregister("before-send", answer)
    return seen[0]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"region": "us-east-1"},
        {"region": "cn-north-1"},
        {"region": "us-gov-west-1"},
        {"region": "eusc-de-east-1"},
        {"bucket": "studio.media"},
        {"addressing_style": "path"},
        {"s3_interface_vpc_endpoint_dns_name": "vpce-1a.s3.eu-west-1.vpce.amazonaws.com"},
        {"s3_proxy_host_address": "proxy.example"},
        {"endpoint_url": "http://127.0.0.1:9000"},
        {"endpoint_url": "http://127.0.0.1:9000", "addressing_style": "virtual"},
        {"endpoint_url": "http://localhost:9000", "addressing_style": "virtual"},
        {"endpoint_url": "https://store.example/s3", "region": "garage"},
        {"endpoint_url": "https://store.example", "addressing_style": "auto"},
        {"endpoint_url": "https://store.example", "addressing_style": "virtual", "bucket": "a.b.c"},
    ],
    ids=str,
)
def test_boto3_and_our_signer_go_to_the_same_place(values: dict[str, str]) -> None:
    entry = config(prefix="me dia", **values)
    client = s3_client(entry)
    key = entry.key("ü a.mov")
    sent = sent_by(client, lambda: client.head_object(Bucket=entry.bucket, Key=key))
    ours = presign.signer_for(entry, public=False).sign("HEAD", "ü a.mov", 60).url
    assert sent.url == ours.partition("?")[0]
    assert f"/{entry.region}/s3/aws4_request" in sent.headers["Authorization"].decode()


def test_the_endpoint_variables_hold_for_boto3_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def goes_to() -> str:
        client = s3_client(config())
        return sent_by(client, lambda: client.head_object(Bucket="studio-media", Key="a")).url

    assert goes_to() == "https://studio-media.s3.eu-west-1.amazonaws.com/a"
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000")
    assert goes_to() == "http://127.0.0.1:9000/studio-media/a"
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
    assert goes_to() == "https://studio-media.s3.eu-west-1.amazonaws.com/a"


def test_an_endpoint_in_the_shared_file_does_not_part_boto3_from_our_signer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "config").write_text("[default]\nendpoint_url = http://127.0.0.1:9\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    client = s3_client(config())
    sent = sent_by(client, lambda: client.head_object(Bucket="studio-media", Key="a"))
    assert sent.url == presign.signer_for(config()).endpoint.origin + "/a"


def test_a_client_is_built_once_for_equal_configurations() -> None:
    assert s3_client(config()) is s3_client(config())
    assert s3_client(config()) is not s3_client(config(prefix="p"))


def test_time_outs_and_attempts_of_the_sites_own_calls() -> None:
    options = s3_client(config()).meta.config
    assert (options.connect_timeout, options.read_timeout) == (2, 5)
    assert options.retries["total_max_attempts"] == 3
    options = sts_client("eu-west-1").meta.config
    assert (options.connect_timeout, options.read_timeout) == (2, 5)
    assert options.retries["total_max_attempts"] == 2


def test_uploads_are_plain_bodies_that_every_store_understands() -> None:
    client = s3_client(config())
    sent = sent_by(client, lambda: client.put_object(Bucket="studio-media", Key="a", Body=b"hello"))
    assert "x-amz-trailer" not in {name.lower() for name in sent.headers}
    assert sent.headers.get("Content-Encoding") is None


def test_a_client_signs_with_credentials_that_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000.0]
    numbers = iter(range(1, 9))
    holder = RoleCredentials(
        lambda: Credentials(f"ASIA{next(numbers)}", "secret", "token", now[0] + 3600),
        clock=lambda: now[0],
    )
    monkeypatch.setattr(clients, "credentials_for", lambda _: holder)
    client = s3_client(config())

    def signed_with() -> str:
        sent = sent_by(client, lambda: client.head_object(Bucket="studio-media", Key="a"))
        assert sent.headers["X-Amz-Security-Token"] == b"token"
        return sent.headers["Authorization"].decode().partition("Credential=")[2].split("/")[0]

    assert signed_with() == "ASIA1"
    now[0] += 3000
    assert signed_with() == "ASIA1"
    now[0] += 570
    assert signed_with() == "ASIA2"


def test_ambient_credentials_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    assert credentials_for(config()).get(900) == Credentials(
        "AKIAAMBIENT", "ambient secret", "session", None
    )


def test_a_profile_is_read_from_the_shared_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    shared = tmp_path / "credentials"
    shared.write_text("[studio]\naws_access_key_id=AKIASTUDIO\naws_secret_access_key=s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    assert credentials_for(config(profile="studio")).get(60).access_key == "AKIASTUDIO"
    with pytest.raises(errors.CredentialsUnavailable, match="nobody"):
        credentials_for(config(profile="nobody")).get(60)


def test_no_credentials_at_all_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(errors.CredentialsUnavailable, match="AWS_ACCESS_KEY_ID") as caught:
        credentials_for(config()).get(60)
    assert caught.value.code == "NoCredentials"


def test_the_expiry_of_refreshable_ambient_credentials_is_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """A credential process stands for what instances and containers hand out."""
    expires = int(time.time()) + 7200
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expires))
    given = {
        "Version": 1,
        "AccessKeyId": "ASIAPROC",
        "SecretAccessKey": "s",
        "SessionToken": "t",
        "Expiration": stamp,
    }
    (tmp_path / "out.json").write_text(json.dumps(given))
    (tmp_path / "config").write_text(
        f"[profile proc]\ncredential_process = cat {tmp_path / 'out.json'}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert credentials_for(config(profile="proc")).get(900) == Credentials(
        "ASIAPROC", "s", "t", float(expires)
    )


ASSUMED = b"""<AssumeRoleResponse><AssumeRoleResult><Credentials>
<AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>role secret</SecretAccessKey>
<SessionToken>role token</SessionToken><Expiration>2033-05-18T03:33:20Z</Expiration>
</Credentials></AssumeRoleResult></AssumeRoleResponse>"""


def test_a_role_is_assumed_at_the_regional_endpoint_with_its_external_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_STS_REGIONAL_ENDPOINTS", "legacy")
    sent: list[AWSRequest] = []

    def answer(request: AWSRequest, **_: Any) -> AWSResponse:
        sent.append(request)
        return AWSResponse(request.url, 200, {}, Answer(ASSUMED))

    sts_client("us-east-1").meta.events.register_first("before-send", answer)
    entry = config(region="us-east-1", aws_role_arn=ROLE, external_id="studio-7")
    given = assume_role(entry, policy={"Version": "2012-10-17"}, duration=900)
    assert given == Credentials("ASIAROLE", "role secret", "role token", 2_000_000_000.0)
    assert urlsplit(sent[0].url).hostname == "sts.us-east-1.amazonaws.com"
    body = form(sent[0])
    assert body["RoleArn"] == [ROLE]
    assert body["ExternalId"] == ["studio-7"]
    assert body["DurationSeconds"] == ["900"]
    assert body["Policy"] == ['{"Version":"2012-10-17"}']
    assert body["RoleSessionName"][0].startswith("site-")
    assert credentials_for(entry).get(900) == given
    body = form(sent[1])
    assert body["DurationSeconds"] == ["3600"]
    assert "Policy" not in body


def test_the_sts_endpoint_variable_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    with Emulator([], roles={ROLE: ""}) as emulator:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", emulator.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", emulator.secret_key)
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", emulator.endpoint)
        forget_all()
        given = credentials_for(config(region="us-east-1", aws_role_arn=ROLE)).get(900)
    assert given.access_key.startswith("ASIA")
    assert 3500 < given.expires_at - time.time() <= 3601


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("AccessDenied", 403, "trust policy"),
        ("ValidationError", 400, "role chaining"),
        ("ExpiredToken", 403, "have expired"),
        ("InvalidClientTokenId", 403, "check the access key"),
        ("RegionDisabledException", 403, "switched off in eu-west-1"),
        ("Odd", 400, "some words"),
    ],
)
def test_a_refused_role_says_what_to_check(code: str, status: int, words: str) -> None:
    client = sts_client("eu-west-1")
    body = (
        f"<ErrorResponse><Error><Code>{code}</Code><Message>some words</Message></Error>"
        "<RequestId>REQ9</RequestId></ErrorResponse>"
    ).encode()
    client.meta.events.register_first(
        "before-send", lambda request, **_: AWSResponse(request.url, status, {}, Answer(body))
    )
    with pytest.raises(errors.CredentialsUnavailable, match=words) as caught:
        assume_role(config(aws_role_arn=ROLE), duration=7200)
    error = caught.value
    assert (error.code, error.status, error.operation) == (code, status, "AssumeRole")
    assert error.request_id == "REQ9"


def test_an_sts_that_cannot_be_reached_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(errors.Unreachable):
        assume_role(config(aws_role_arn=ROLE))


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Store:
    """An HTTP server that answers HEAD as told and remembers requests and connections."""

    def __init__(self) -> None:
        self.status = 200
        self.headers: dict[str, str] = {}
        self.paths: list[str] = []
        self.peers: set[tuple[str, int]] = set()
        self.hold: threading.Event | None = None
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                store.paths.append(self.path)
                store.peers.add(self.client_address)
                if store.hold is not None:
                    store.hold.wait(10)
                self.send_response(store.status)
                for name, value in store.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def stop(self) -> None:
        if self.hold is not None:
            self.hold.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def store() -> Iterator[Store]:
    server = Store()
    yield server
    server.stop()


def test_head_reads_what_s3_says_over_one_kept_connection(store: Store) -> None:
    store.headers = {
        "Content-Length": "67108864",
        "ETag": '"0123-4"',
        "Last-Modified": formatdate(1_700_000_000, usegmt=True),
        "x-amz-replication-status": "REPLICA",
        "x-amz-version-id": "v1",
    }
    entry = config(endpoint_url=store.url, prefix="media")
    expected = ObjectHead(67108864, "0123-4", 1_700_000_000.0, "REPLICA", "v1")
    for _ in range(3):
        assert head_object(entry, "a b.mov", timeout=10) == expected
    assert len(store.peers) == 1
    assert store.paths[0].startswith("/studio-media/media/a%20b.mov?X-Amz-Algorithm=")


def test_head_does_not_go_through_the_vpc_endpoint_or_the_proxy_of_clients(store: Store) -> None:
    store.headers = {"Content-Length": "5"}
    entry = config(
        endpoint_url=store.url,
        s3_interface_vpc_endpoint_dns_name="vpce-1a.s3.eu-west-1.vpce.amazonaws.com",
        s3_proxy_host_address="proxy.invalid",
    )
    assert head_object(entry, "a", timeout=10).size == 5


def test_head_without_the_optional_headers(store: Store) -> None:
    store.headers = {"Content-Length": "0"}
    assert head_object(config(endpoint_url=store.url), "a", timeout=10) == ObjectHead(
        0, "", None, "", ""
    )


@pytest.mark.parametrize(
    ("status", "headers", "expected", "words"),
    [
        (404, {}, errors.ObjectMissing, "no such object"),
        (403, {}, errors.AccessDenied, "does not let"),
        (500, {}, errors.Unreachable, "status 500"),
        (503, {}, errors.Unreachable, "status 503"),
        (429, {}, errors.Unreachable, "status 429"),
        (301, {"x-amz-bucket-region": "us-east-1"}, errors.S3Error, "is in us-east-1, not in eu"),
        (400, {}, errors.S3Error, "unexpected status 400"),
        (307, {"Location": "http://127.0.0.1:1/"}, errors.S3Error, "307"),
    ],
)
def test_head_refusals(
    store: Store, status: int, headers: dict[str, str], expected: type, words: str
) -> None:
    store.status = status
    store.headers = {"Content-Length": "0", "x-amz-request-id": "REQ3", **headers}
    with pytest.raises(errors.S3Error, match=words) as caught:
        head_object(config(endpoint_url=store.url), "a", timeout=10)
    assert type(caught.value) is expected
    assert (caught.value.status, caught.value.request_id) == (status, "REQ3")
    assert len(store.paths) == 1


def test_head_on_a_closed_port_is_unreachable() -> None:
    entry = config(endpoint_url=f"http://127.0.0.1:{closed_port()}")
    with pytest.raises(errors.Unreachable) as caught:
        head_object(entry, "a", timeout=10)
    assert (caught.value.status, caught.value.code) == (0, "NewConnectionError")


def test_head_keeps_its_budget_when_nothing_answers(store: Store) -> None:
    store.hold = threading.Event()
    started = time.monotonic()
    with pytest.raises(errors.Unreachable):
        head_object(config(endpoint_url=store.url), "a", timeout=0.2)
    assert time.monotonic() - started < 2
    assert len(store.paths) == 1


def test_head_keeps_its_budget_when_the_answer_drips() -> None:
    """Every byte comes within the socket's time-out, the whole never does."""
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            while not stop.wait(0.02):
                try:
                    connection.sendall(b"H")
                except OSError:
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        started = time.monotonic()
        entry = config(endpoint_url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(errors.Unreachable) as caught:
            head_object(entry, "a", timeout=0.3)
        assert time.monotonic() - started < 2
        assert caught.value.code == "Timeout"
    finally:
        stop.set()
        thread.join()
        listener.close()


def test_head_keeps_its_budget_while_credentials_are_awaited(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def slow_sts() -> Credentials:
        release.wait(10)
        return Credentials("AKIA", "s")

    monkeypatch.setattr(presign, "credentials_for", lambda _: RoleCredentials(slow_sts))
    store.headers = {"Content-Length": "1"}
    entry = config(endpoint_url=store.url)
    started = time.monotonic()
    with pytest.raises(errors.Unreachable, match=r"within 0\.2 s"):
        head_object(entry, "a", timeout=0.2)
    assert time.monotonic() - started < 2
    release.set()
    assert head_object(entry, "a", timeout=10).size == 1


def test_head_refuses_a_key_that_would_not_arrive_literally(store: Store) -> None:
    with pytest.raises(ValueError, match="segment"):
        head_object(config(endpoint_url=store.url), "a/../b", timeout=10)
    assert store.paths == []


def test_head_goes_through_the_environments_proxy(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", store.url)
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    store.headers = {"Content-Length": "5"}
    entry = config(endpoint_url="http://store.invalid")
    assert head_object(entry, "a", timeout=10).size == 5
    assert store.paths[0].startswith("http://store.invalid/studio-media/a?")


def test_nothing_of_it_imports_django_and_signing_does_not_need_boto3() -> None:
    program = (
        "import sys, shotmedia.s3.presign\n"
        "assert 'boto3' not in sys.modules\n"
        "import shotmedia.s3.multipart\n"
        "assert 'django' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
