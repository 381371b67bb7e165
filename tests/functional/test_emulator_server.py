"""The emulator as a server: replication, faults, log, traffic, control API, its own process."""

import http.client
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from shotmedia.emulator import Bucket, Emulator
from tests.functional.emulator_support import Clock, make_emulator, send

CONTROL = {"X-Emulator": "1"}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def emulator(clock):
    with make_emulator(clock) as running:
        yield running


def put(emulator, key="k", body=b"data", bucket="primary"):
    emulator.s3(bucket).put_object(Bucket=bucket, Key=key, Body=body)


def status_of(emulator, key="k", bucket="primary"):
    return emulator.s3(bucket).head_object(Bucket=bucket, Key=key)["ReplicationStatus"]


def test_replication_over_the_api(emulator, clock):
    put(emulator)
    assert status_of(emulator) == "PENDING"
    clock.offset = 59
    assert emulator.replicate_due() == 0
    with pytest.raises(ClientError, match="404"):
        emulator.s3("replica").head_object(Bucket="replica", Key="k")
    clock.offset = 61
    assert emulator.replicate_due() == 1
    assert status_of(emulator) == "COMPLETED"
    assert status_of(emulator, bucket="replica") == "REPLICA"
    copy = emulator.s3("replica").get_object(Bucket="replica", Key="k")
    assert copy["Body"].read() == b"data"
    assert "ReplicationStatus" not in emulator.s3("alone").put_object(
        Bucket="alone", Key="k", Body=b"x"
    )


def test_multipart_and_copies_replicate_too(emulator):
    client = emulator.s3("primary")
    upload = client.create_multipart_upload(Bucket="primary", Key="m")["UploadId"]
    etag = client.upload_part(
        Bucket="primary", Key="m", UploadId=upload, PartNumber=1, Body=b"x" * 300_000
    )["ETag"]
    client.complete_multipart_upload(
        Bucket="primary",
        Key="m",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]},
    )
    client.copy_object(Bucket="primary", Key="c", CopySource={"Bucket": "primary", "Key": "m"})
    assert emulator.replicate_due(everything=True) == 2
    replica = emulator.s3("replica").head_object(Bucket="replica", Key="m")
    assert replica["ETag"] == client.head_object(Bucket="primary", Key="m")["ETag"]
    assert replica["ContentLength"] == 300_000


def test_background_replication_in_real_time():
    buckets = [Bucket("primary"), Bucket("replica", "eu-west-1", "primary")]
    with Emulator(buckets, lag=3600) as emulator:
        put(emulator)
        assert status_of(emulator) == "PENDING"
        emulator.lag = 0
        deadline = time.monotonic() + 10
        while status_of(emulator) == "PENDING":
            assert time.monotonic() < deadline, "the background thread never replicated"
        assert status_of(emulator, bucket="replica") == "REPLICA"


def test_refused_connections_are_real_and_end(emulator):
    put(emulator, bucket="replica")
    client = emulator.s3("replica")
    endpoint = emulator.endpoint_for("replica")
    emulator.faults("replica", refuse=True)
    with pytest.raises(EndpointConnectionError):
        client.head_object(Bucket="replica", Key="k")
    host, port = endpoint.removeprefix("http://").split(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)), timeout=5)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        send(f"{emulator.endpoint}/replica/k")
    put(emulator, bucket="primary")
    emulator.clear_faults("replica")
    assert emulator.endpoint_for("replica") == endpoint
    assert client.head_object(Bucket="replica", Key="k")["ContentLength"] == 4


def test_status_faults_reach_the_client_and_stop(emulator):
    put(emulator)
    client = emulator.s3("primary")
    emulator.faults("primary", status=503, methods=["GET"], count=1)
    with pytest.raises(ClientError, match="SlowDown"):
        client.get_object(Bucket="primary", Key="k")
    assert client.get_object(Bucket="primary", Key="k")["Body"].read() == b"data"
    emulator.faults("primary", status=404, key="other")
    assert client.head_object(Bucket="primary", Key="k")
    with pytest.raises(KeyError, match="there is no bucket nobody"):
        emulator.faults("nobody", status=503)
    with pytest.raises(TypeError):
        emulator.faults("primary", statsu=503)


def test_delay(emulator):
    put(emulator)
    emulator.faults("primary", delay_ms=120)
    emulator.s3("primary").head_object(Bucket="primary", Key="k")
    emulator.settle()
    assert emulator.log[-1].ms >= 120


def test_rate_limits_downloads_and_uploads(emulator):
    body = b"x" * 1_000_000
    put(emulator, body=body)
    emulator.faults("primary", rate_mb_s=4)
    url = emulator.s3("primary").generate_presigned_url(
        "get_object", {"Bucket": "primary", "Key": "k"}
    )
    assert send(url).body == body
    emulator.settle()
    # 250 ms, less a tenth of a second's worth that may pass at once.
    assert emulator.log[-1].ms >= 145
    put(emulator, key="slow", body=body)
    emulator.settle()
    assert emulator.log[-1].ms >= 145


def test_sts_can_fail(emulator):
    emulator.faults("sts", status=503)
    with pytest.raises(ClientError, match="SlowDown"):
        emulator.sts().get_caller_identity()
    emulator.clear_faults("sts")
    assert emulator.sts().get_caller_identity()["Account"] == "123456789012"


def test_refused_upload_gets_its_answer_and_the_connection_goes_on(emulator):
    put(emulator)
    url = emulator.s3("primary").generate_presigned_url(
        "put_object", {"Bucket": "primary", "Key": "k"}
    )
    base, good = (
        emulator.endpoint_for("primary"),
        emulator.s3("primary").generate_presigned_url(
            "get_object", {"Bucket": "primary", "Key": "k"}
        ),
    )
    connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=10)
    connection.request("PUT", url.removeprefix(base) + "&x=1", body=b"x" * 3_000_000)
    answer = connection.getresponse()
    assert (answer.status, b"SignatureDoesNotMatch" in answer.read()) == (403, True)
    connection.request("GET", good.removeprefix(base))
    assert connection.getresponse().read() == b"data"
    connection.close()


def test_expect_100_is_only_continued_when_the_request_is_right(emulator):
    host, port = emulator.endpoint_for("primary").removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(
            b"PUT /primary/k HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
            b"Expect: 100-continue\r\n\r\n"
        )
        answer = b""
        while block := raw.recv(65_536):
            answer += block
    assert answer.startswith(b"HTTP/1.1 403")
    assert b"100 Continue" not in answer


def test_a_cut_upload_leaves_nothing(emulator):
    url = emulator.s3("primary").generate_presigned_url(
        "put_object", {"Bucket": "primary", "Key": "cut"}
    )
    base = emulator.endpoint_for("primary")
    host, port = base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        head = f"PUT {url.removeprefix(base)} HTTP/1.1\r\nHost: {host}:{port}\r\n"
        raw.sendall(head.encode() + b"Content-Length: 1000\r\n\r\nonly this")
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(65_536):
            pass
    with pytest.raises(ClientError, match="404"):
        emulator.s3("primary").head_object(Bucket="primary", Key="cut")


@pytest.mark.parametrize("line", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"])
def test_what_is_no_http_is_answered_400(emulator, line):
    host, port = emulator.endpoint.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        raw.sendall(line)
        assert raw.recv(65_536).startswith(b"HTTP/1.1 400")


def test_log_has_a_line_per_request(emulator, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("shotmedia"), "propagate", True)
    monkeypatch.setattr(logging.getLogger("shotmedia.emulator"), "propagate", True)
    with caplog.at_level("INFO", logger="shotmedia.emulator"):
        put(emulator, key="seen", body=b"12345")
        emulator.settle()
    record = emulator.log[-1]
    assert (record.method, record.bucket, record.key) == ("PUT", "primary", "seen")
    assert (record.operation, record.status, record.received) == ("PutObject", 200, 5)
    assert record.who.endswith(":user/emulator")
    assert not record.presigned
    assert "PUT primary/seen 200 in=5" in caplog.text


def test_traffic_counts_what_was_received_and_sent(emulator):
    put(emulator, body=b"x" * 400_000)
    emulator.s3("primary").get_object(Bucket="primary", Key="k")["Body"].read()
    emulator.settle()
    assert sum(size for _, size in emulator.traffic.of("primary", "in")) == 400_000
    assert sum(size for _, size in emulator.traffic.of("primary", "out")) == 400_000


def test_many_clients_at_once(emulator):
    put(emulator, body=b"y" * 200_000)
    url = emulator.s3("primary").generate_presigned_url(
        "get_object", {"Bucket": "primary", "Key": "k"}
    )
    bodies: list[bytes] = []
    threads = [threading.Thread(target=lambda: bodies.append(send(url).body)) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bodies == [b"y" * 200_000] * 24


def control(emulator, method, path, value=None, headers=CONTROL):
    body = None if value is None else json.dumps(value).encode()
    answer = send(f"{emulator.endpoint}/_emulator/{path}", method, headers, body)
    return answer.status, json.loads(answer.body)


def test_control_api(emulator):
    put(emulator)
    assert control(emulator, "PUT", "lag", 5)[0] == 200
    assert emulator.lag == 5
    assert control(emulator, "PUT", "faults/primary", {"status": 503, "count": 1})[0] == 200
    status, state = control(emulator, "GET", "state")
    assert (status, state["faults"]["primary"][0]["status"]) == (200, 503)
    assert state["waiting"] == [["primary", "k"]]
    assert emulator.secret_key not in json.dumps(state)
    assert control(emulator, "DELETE", "faults")[0] == 200
    assert control(emulator, "GET", "faults") == (200, {})
    assert control(emulator, "POST", "replicate") == (200, {"copies": 1})
    last = control(emulator, "GET", "log")[1][-1]
    assert (last["operation"], last["key"]) == ("PutObject", "k")
    assert control(emulator, "GET", f"log?since={last['number']}") == (200, [])
    rules = [{"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]}]
    assert control(emulator, "PUT", "cors/primary", rules)[0] == 200
    assert emulator.store.cors_rules("primary")[0].origins == ("*",)
    assert control(emulator, "PUT", "list_bucket/primary", False)[0] == 200
    assert not emulator.buckets["primary"].list_bucket


def test_control_api_says_what_is_wrong(emulator):
    assert control(emulator, "PUT", "faults/nobody", {"status": 503})[0] == 400
    assert control(emulator, "PUT", "faults/primary", {"statsu": 503})[0] == 400
    assert control(emulator, "PUT", "faults/primary", [])[0] == 400
    assert control(emulator, "PUT", "lag", "soon")[0] == 400
    assert control(emulator, "GET", "nothing")[0] == 404


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Emulator": "yes"},
        {"X-Emulator": "1", "Origin": "http://127.0.0.1:8000"},
    ],
)
def test_pages_of_other_origins_do_not_reach_the_control_api(emulator, headers):
    assert control(emulator, "GET", "state", headers=headers)[0] == 403
    preflight = {
        "Origin": "http://evil.test",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "x-emulator",
    }
    answer = send(f"{emulator.endpoint}/_emulator/lag", "OPTIONS", preflight)
    assert answer.status == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_rebound_host_does_not_reach_the_control_api(emulator):
    answer = send(f"{emulator.endpoint}/_emulator/state", headers=CONTROL, host="evil.test")
    assert answer.status == 403
    own = send(f"{emulator.endpoint_for('primary')}/_emulator/state", headers=CONTROL)
    assert (own.status, own.code) == (404, "NoSuchBucket")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, None])
def test_as_a_process(how):
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "shotmedia.emulator",
            "--json",
            "--bucket=media:us-east-1",
            "--bucket=copy:eu-west-1:media",
            "--lag=1.5",
            "--role=arn:aws:iam::111122223333:role/site=secret-id",
            "--until-stdin-closes",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        state = json.loads(process.stdout.readline())
        assert state["lag"] == 1.5
        assert [bucket["name"] for bucket in state["buckets"]] == ["media", "copy"]
        assert state["roles"] == ["arn:aws:iam::111122223333:role/site"]
        assert state["access_key"]
        assert state["secret_key"]
        answer = send(state["buckets"][0]["endpoint"] + "/media/k")
        assert answer.status == 403
        if how is None:
            process.stdin.close()
        else:
            process.send_signal(how)
        assert process.wait(timeout=15) == 0
        log = process.stderr.read().decode()
        assert "GET media/k 403 AccessDenied" in log
        assert "Traceback" not in log
        with pytest.raises(ConnectionRefusedError):
            send(state["endpoint"] + "/")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


def test_bad_arguments_are_explained():
    ran = subprocess.run(
        [sys.executable, "-m", "shotmedia.emulator", "--bucket=media"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert "is not name:region" in ran.stderr


def test_a_port_in_use_is_explained(emulator):
    port = emulator.endpoint.rpartition(":")[2]
    ran = subprocess.run(
        [sys.executable, "-m", "shotmedia.emulator", f"--port={port}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert "The emulator can't start" in ran.stderr
