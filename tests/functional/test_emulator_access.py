"""Who may do what: signatures over the wire, STS sessions and their policies, buckets' ports."""

import base64
import hashlib
import json
from datetime import UTC, datetime

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.functional.emulator_support import (
    LONG_ROLE,
    OPEN_ROLE,
    ROLE,
    Clock,
    make_emulator,
    send,
)


@pytest.fixture(scope="module")
def clock():
    return Clock()


@pytest.fixture(scope="module")
def emulator(clock):
    with make_emulator(clock) as running:
        running.s3("primary").put_object(Bucket="primary", Key="a/k.txt", Body=b"hello")
        yield running


@pytest.fixture(autouse=True)
def restored(emulator, clock):
    yield
    emulator.clear_faults()
    emulator.set_list_bucket("primary", True)
    clock.offset = 0


def link(emulator, operation="get_object", bucket="primary", expires=300, **params):
    given = {"Bucket": bucket, "Key": "a/k.txt"} | params
    return emulator.s3(bucket).generate_presigned_url(operation, given, ExpiresIn=expires)


def session(emulator, bucket="primary", **options):
    given = {"RoleArn": OPEN_ROLE, "RoleSessionName": "test"} | options
    made = emulator.sts().assume_role(**given)["Credentials"]
    keys = {
        "aws_access_key_id": made["AccessKeyId"],
        "aws_secret_access_key": made["SecretAccessKey"],
        "aws_session_token": made["SessionToken"],
    }
    return emulator.s3(bucket, **keys), made


def code_of(call, **arguments) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_link_opens_and_every_answer_is_numbered(emulator):
    answer = send(link(emulator))
    assert (answer.status, answer.body) == (200, b"hello")
    assert len(answer.headers["x-amz-request-id"]) == 16
    assert answer.headers["x-amz-id-2"]
    assert answer.headers["date"].endswith("GMT")


def test_head_on_a_get_link_is_403_without_a_body(emulator):
    answer = send(link(emulator), "HEAD")
    assert (answer.status, answer.body) == (403, b"")
    assert answer.headers["x-amz-request-id"]


def test_tampered_moved_and_unsigned_requests(emulator):
    url = link(emulator)
    assert send(url + "&x=1").code == "SignatureDoesNotMatch"
    assert send(url, host="127.0.0.1:1").code == "SignatureDoesNotMatch"
    unsigned = send(url.partition("?")[0])
    assert (unsigned.status, unsigned.code) == (403, "AccessDenied")
    assert unsigned.headers["content-type"] == "application/xml"


def test_link_signed_for_one_port_does_not_open_on_another(emulator):
    url = link(emulator)
    moved = url.replace(emulator.endpoint_for("primary"), emulator.endpoint)
    assert send(moved).code == "SignatureDoesNotMatch"


def test_expired_link(emulator, clock):
    url = link(emulator)
    clock.offset = 301
    answer = send(url)
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert answer.element("Message") == "Request has expired"


def test_wrong_clock_is_refused(emulator, clock):
    clock.offset = 1000
    client = emulator.s3("primary")
    assert code_of(client.get_object, Bucket="primary", Key="a/k.txt") == (
        "RequestTimeTooSkewed",
        403,
    )


def test_wrong_region(emulator):
    url = emulator.s3("primary").generate_presigned_url(
        "get_object", {"Bucket": "replica", "Key": "k"}
    )
    url = url.replace(emulator.endpoint_for("primary"), emulator.endpoint)
    answer = send(url)
    assert (answer.status, answer.code) == (400, "AuthorizationQueryParametersError")
    assert answer.element("Region") == "ap-southeast-2"
    assert answer.headers["x-amz-bucket-region"] == "ap-southeast-2"


def test_the_main_port_s_client_reaches_every_region(emulator):
    # botocore reads the right region from the refusal and asks again.
    with pytest.raises(ClientError, match="NoSuchKey"):
        emulator.s3().get_object(Bucket="replica", Key="none")
    assert [record.status for record in list(emulator.log)[-2:]] == [400, 404]


def test_head_bucket_says_the_region(emulator):
    client = emulator.s3("replica")
    headers = client.head_bucket(Bucket="replica")["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-amz-bucket-region"] == "ap-southeast-2"
    wrong = emulator.s3("primary").generate_presigned_url("head_bucket", {"Bucket": "primary"})
    wrong = wrong.replace("us-east-1", "eu-west-1")
    answer = send(wrong, "HEAD")
    assert (answer.status, answer.headers["x-amz-bucket-region"]) == (301, "us-east-1")


def test_unsigned_amz_header(emulator):
    answer = send(link(emulator), headers={"x-amz-request-payer": "requester"})
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert answer.element("HeadersNotSigned") == "x-amz-request-payer"


def test_signed_length_binds_the_body(emulator):
    url = link(emulator, "put_object", Key="a/exact", ContentLength=5)
    assert send(url, "PUT", body=b"123456").code == "SignatureDoesNotMatch"
    assert send(url, "PUT", body=b"12345").status == 200


def test_a_bucket_s_port_serves_no_other_bucket_and_no_sts(emulator):
    url = emulator.s3("primary").generate_presigned_url(
        "get_object", {"Bucket": "alone", "Key": "k"}
    )
    assert send(url).code == "NoSuchBucket"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = send(emulator.endpoint_for("primary") + "/", "POST", form, b"Action=AssumeRole")
    assert answer.status in (400, 403, 404)
    assert b"Credentials" not in answer.body


def test_virtual_hosted_and_vpc_endpoint_hosts(emulator):
    for host in (
        "primary.localhost:9000",
        "primary.s3.us-east-1.amazonaws.com",
        "primary.bucket.vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com",
    ):
        moment = datetime.now(UTC)
        aws = AWSRequest("GET", f"http://{host}/a/k.txt")
        keys = Credentials(emulator.access_key, emulator.secret_key)
        S3SigV4Auth(keys, "s3", "us-east-1").add_auth(aws)
        answer = send(emulator.endpoint + "/a/k.txt", headers=dict(aws.headers), host=host)
        assert (answer.status, answer.body) == (200, b"hello"), (host, moment, answer.body)


def test_missing_key_is_404_or_403(emulator):
    client = emulator.s3("primary")
    assert code_of(client.get_object, Bucket="primary", Key="none") == ("NoSuchKey", 404)
    assert code_of(client.head_object, Bucket="primary", Key="none") == ("404", 404)
    emulator.set_list_bucket("primary", False)
    assert code_of(client.get_object, Bucket="primary", Key="none") == ("AccessDenied", 403)
    assert code_of(client.head_object, Bucket="primary", Key="none") == ("403", 403)
    assert code_of(client.list_objects_v2, Bucket="primary") == ("AccessDenied", 403)
    assert client.head_object(Bucket="primary", Key="a/k.txt")["ContentLength"] == 5


def test_unknown_bucket(emulator):
    assert code_of(emulator.s3().get_object, Bucket="nobody", Key="k") == ("NoSuchBucket", 404)


def test_assume_role_needs_the_right_external_id(emulator):
    sts = emulator.sts()
    for wrong in ({}, {"ExternalId": "other"}):
        found = code_of(sts.assume_role, RoleArn=ROLE, RoleSessionName="test", **wrong)
        assert found == ("AccessDenied", 403)
    unknown = "arn:aws:iam::111122223333:role/unknown"
    assert code_of(sts.assume_role, RoleArn=unknown, RoleSessionName="test")[0] == "AccessDenied"
    client, made = session(emulator, RoleArn=ROLE, ExternalId="studio-7")
    assert made["AccessKeyId"].startswith("ASIA")
    assert client.get_object(Bucket="primary", Key="a/k.txt")["Body"].read() == b"hello"
    assert emulator.log[-1].who == "arn:aws:sts::111122223333:assumed-role/site-media/test"


def test_session_names_and_durations(emulator):
    sts = emulator.sts()

    def assume(**changed):
        given = {"RoleArn": OPEN_ROLE, "RoleSessionName": "test", "DurationSeconds": 3600}
        return sts.assume_role(**(given | changed))

    assert code_of(assume, DurationSeconds=7200) == ("ValidationError", 400)
    assert code_of(assume, DurationSeconds=43_201, RoleArn=LONG_ROLE)[0] == "ValidationError"
    assert code_of(assume, RoleSessionName="not allowed")[0] == "ValidationError"
    made = assume(DurationSeconds=43_200, RoleArn=LONG_ROLE)["Credentials"]
    life = made["Expiration"].timestamp() - emulator.now()
    assert life == pytest.approx(43_200, abs=5)


def test_role_chaining_is_capped_at_an_hour(emulator):
    _, made = session(emulator)
    chained = emulator._client(
        "sts",
        "us-east-1",
        emulator.endpoint,
        aws_access_key_id=made["AccessKeyId"],
        aws_secret_access_key=made["SecretAccessKey"],
        aws_session_token=made["SessionToken"],
    )
    given = {"RoleArn": LONG_ROLE, "RoleSessionName": "test"}
    assert code_of(chained.assume_role, **given, DurationSeconds=3601)[0] == "ValidationError"
    assert chained.assume_role(**given, DurationSeconds=3600)["Credentials"]
    assert chained.get_caller_identity()["Arn"].endswith(":assumed-role/open/test")
    chained.close()


def test_sts_refuses_a_wrong_secret(emulator):
    wrong = emulator._client(
        "sts", "us-east-1", emulator.endpoint, aws_secret_access_key="not-the-secret"
    )
    assert code_of(wrong.get_caller_identity) == ("SignatureDoesNotMatch", 403)
    wrong.close()
    nobody = emulator._client("sts", "us-east-1", emulator.endpoint, aws_access_key_id="AKIANOBODY")
    assert code_of(nobody.get_caller_identity) == ("InvalidClientTokenId", 403)
    nobody.close()


def test_session_ends(emulator, clock):
    client, made = session(emulator, DurationSeconds=900)
    url = client.generate_presigned_url(
        "get_object", {"Bucket": "primary", "Key": "a/k.txt"}, ExpiresIn=3600
    )
    assert send(url).status == 200
    token = "X-Amz-Security-Token="
    without = "&".join(part for part in url.split("&") if not part.startswith(token))
    assert send(without).code == "InvalidAccessKeyId"
    clock.offset = 901
    answer = send(url)
    assert (answer.status, answer.code) == (400, "ExpiredToken")
    assert len(made["SessionToken"]) > 400


def test_session_policy_holds(emulator):
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"],
                "Resource": "arn:aws:s3:::primary/p/.speedtest/runs/*",
            }
        ],
    }
    client, _ = session(emulator, Policy=json.dumps(policy))
    inside = "p/.speedtest/runs/1/x"
    client.put_object(Bucket="primary", Key=inside, Body=b"1")
    assert client.get_object(Bucket="primary", Key=inside)["Body"].read() == b"1"
    with pytest.raises(ClientError, match="no session policy allows the s3:PutObject action"):
        client.put_object(Bucket="primary", Key="p/media.mov", Body=b"1")
    assert code_of(client.get_object, Bucket="primary", Key="a/k.txt") == ("AccessDenied", 403)
    assert code_of(client.list_objects_v2, Bucket="primary") == ("AccessDenied", 403)
    # Without s3:ListBucket a missing key can't be told from a forbidden one.
    assert code_of(client.head_object, Bucket="primary", Key=inside + "2") == ("403", 403)
    url = client.generate_presigned_url("get_object", {"Bucket": "primary", "Key": "a/k.txt"})
    assert send(url).code == "AccessDenied"
    deleted = client.delete_objects(
        Bucket="primary", Delete={"Objects": [{"Key": inside}, {"Key": "a/k.txt"}]}
    )
    assert [item["Key"] for item in deleted["Deleted"]] == [inside]
    assert [item["Code"] for item in deleted["Errors"]] == ["AccessDenied"]
    answer = client.head_bucket
    assert code_of(answer, Bucket="primary") == ("403", 403)


def test_malformed_session_policy(emulator):
    given = {"RoleArn": OPEN_ROLE, "RoleSessionName": "test", "Policy": '{"Statement": [{}]}'}
    assert code_of(emulator.sts().assume_role, **given) == ("MalformedPolicyDocument", 400)


def test_bucket_policy_denies_downloads(emulator):
    client = emulator.s3("alone")
    client.put_object(Bucket="alone", Key="shotgun/k", Body=b"1")
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:GetObject*",
                "Resource": "arn:aws:s3:::alone/shotgun/*",
                "Condition": {"NotIpAddress": {"aws:SourceIp": ["192.0.2.0/24"]}},
            }
        ],
    }
    client.put_bucket_policy(Bucket="alone", Policy=json.dumps(policy))
    assert code_of(client.get_object, Bucket="alone", Key="shotgun/k") == ("AccessDenied", 403)
    client.put_object(Bucket="alone", Key="shotgun/k", Body=b"2")
    client.delete_bucket_policy(Bucket="alone")
    assert client.get_object(Bucket="alone", Key="shotgun/k")["Body"].read() == b"2"


def chunked_put(emulator, key, chunks, *, signed, spoil=False, trailer=""):
    """A PUT with an aws-chunked body, signed with botocore's signer as the protocol says."""
    url = f"{emulator.endpoint_for('primary')}/primary/{key}"
    payload = b"".join(chunks)
    kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" if signed else "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    headers = {
        "Content-Encoding": "aws-chunked",
        "X-Amz-Content-SHA256": kind,
        "X-Amz-Decoded-Content-Length": str(len(payload)),
    }
    if trailer:
        headers["X-Amz-Trailer"] = trailer.partition(":")[0]
    signer = S3SigV4Auth(Credentials(emulator.access_key, emulator.secret_key), "s3", "us-east-1")
    signer.payload = lambda request: kind
    aws = AWSRequest("PUT", url, headers=headers)
    signer.add_auth(aws)
    previous = aws.headers["Authorization"].rpartition("Signature=")[2]
    body = b""
    for chunk in [*chunks, b""]:
        line = f"{len(chunk):x}"
        if signed:
            text = "\n".join(
                [
                    "AWS4-HMAC-SHA256-PAYLOAD",
                    aws.context["timestamp"],
                    signer.credential_scope(aws),
                    previous,
                    hashlib.sha256(b"").hexdigest(),
                    hashlib.sha256(chunk).hexdigest(),
                ]
            )
            previous = signer.signature(text, aws)
            line += f";chunk-signature={previous}"
        if spoil and chunk:
            chunk = b"X" + chunk[1:]
        body += line.encode() + b"\r\n"
        body += chunk + b"\r\n" if chunk else b""
    body += (trailer.encode() + b"\r\n" if trailer else b"") + b"\r\n"
    return send(url, "PUT", dict(aws.headers), body)


def test_signed_chunks(emulator):
    chunks = [b"a" * 70_000, b"b" * 10]
    assert chunked_put(emulator, "chunks", chunks, signed=True).status == 200
    stored = emulator.s3("primary").get_object(Bucket="primary", Key="chunks")
    assert stored["Body"].read() == b"".join(chunks)
    assert "ContentEncoding" not in stored
    answer = chunked_put(emulator, "spoiled", chunks, signed=True, spoil=True)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")


def test_unsigned_chunks_with_a_checksum_in_the_trailer(emulator):
    data = b"hello chunks"
    good = base64.b64encode(hashlib.sha256(data).digest()).decode()
    trailer = f"x-amz-checksum-sha256:{good}"
    assert chunked_put(emulator, "t", [data], signed=False, trailer=trailer).status == 200
    head = emulator.s3("primary").head_object(Bucket="primary", Key="t", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"] == good
    answer = chunked_put(emulator, "t2", [data + b"!"], signed=False, trailer=trailer)
    assert (answer.status, answer.code) == (400, "BadDigest")
