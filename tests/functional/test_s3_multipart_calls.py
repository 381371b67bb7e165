"""shotmedia.s3.multipart against the embedded S3: create, sign, list, complete, abort."""

from collections.abc import Iterator

import pytest
import urllib3
from botocore.exceptions import ClientError

from shotmedia.emulator import Bucket, Emulator
from shotmedia.s3 import multipart
from shotmedia.s3.clients import head_object, s3_client
from shotmedia.s3.config import BucketConfig
from shotmedia.s3.errors import BucketMissing, UploadMissing
from shotmedia.s3.process import forget_all

PATH = "2026/08/0123/shot 010.mov"
MIB = multipart.MIB


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketConfig]:
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    forget_all()
    with Emulator([Bucket("studio-media", "eu-west-1")]) as emulator:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", emulator.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", emulator.secret_key)
        yield BucketConfig.from_mapping(
            "main",
            {
                "region": "eu-west-1",
                "bucket": "studio-media",
                "prefix": "media",
                "endpoint_url": emulator.endpoint_for("studio-media"),
            },
        )
    forget_all()


def put(config: BucketConfig, upload: str, number: int, body: bytes) -> str:
    link = multipart.sign_part(config, PATH, upload, number, len(body), 900)
    with urllib3.PoolManager() as pool:
        answer = pool.request("PUT", link.url, body=body)
    assert answer.status == 200, answer.data
    return answer.headers["ETag"]


def test_an_upload_from_create_to_complete(config: BucketConfig) -> None:
    upload = multipart.create(
        config, PATH, content_type="video/quicktime", content_disposition="attachment"
    )
    assert multipart.list_parts(config, PATH, upload) == []
    second = put(config, upload, 2, b"tail")
    first = put(config, upload, 1, b"x" * 5 * MIB)
    assert multipart.list_parts(config, PATH, upload) == [
        multipart.Part(1, 5 * MIB, first.strip('"')),
        multipart.Part(2, 4, second.strip('"')),
    ]
    etag = multipart.complete(config, PATH, upload, [(2, second), (1, first.strip('"'))])
    assert etag.endswith("-2")
    head = head_object(config, PATH, timeout=10)
    assert (head.size, head.etag) == (5 * MIB + 4, etag)
    stored = s3_client(config).head_object(Bucket=config.bucket, Key=f"media/{PATH}")
    assert stored["ContentType"] == "video/quicktime"
    assert stored["ContentDisposition"] == "attachment"


def test_a_completion_whose_answer_was_lost_can_be_repeated(config: BucketConfig) -> None:
    upload = multipart.create(config, PATH, content_type="video/mp4")
    parts = [(1, put(config, upload, 1, b"all"))]
    etag = multipart.complete(config, PATH, upload, parts)
    client = s3_client(config, read_timeout=multipart.COMPLETE_TIMEOUT)
    gone = ClientError(
        {
            "Error": {"Code": "NoSuchUpload", "Message": "gone"},
            "ResponseMetadata": {"HTTPStatusCode": 404},
        },
        "CompleteMultipartUpload",
    )

    def refuse(**_: object) -> None:
        raise gone

    client.meta.events.register_first("before-send.s3.CompleteMultipartUpload", refuse)
    assert multipart.complete(config, PATH, upload, parts) == etag
    with pytest.raises(UploadMissing):
        multipart.complete(config, PATH, upload, [*parts, (2, "other")])
    with pytest.raises(UploadMissing):
        multipart.complete(config, "never/uploaded.mov", upload, parts)


def test_parts_that_s3_refuses_are_not_hidden(config: BucketConfig) -> None:
    upload = multipart.create(config, PATH, content_type="video/mp4")
    put(config, upload, 1, b"all")
    with pytest.raises(ClientError, match="InvalidPart"):
        multipart.complete(config, PATH, upload, [(1, "0" * 32)])


def test_an_aborted_upload_is_gone_and_may_be_aborted_again(config: BucketConfig) -> None:
    upload = multipart.create(config, PATH, content_type="video/mp4")
    put(config, upload, 1, b"all")
    multipart.abort(config, PATH, upload)
    with pytest.raises(UploadMissing):
        multipart.list_parts(config, PATH, upload)
    multipart.abort(config, PATH, upload)


def test_all_pages_of_parts_are_listed(config: BucketConfig) -> None:
    upload = multipart.create(config, PATH, content_type="video/mp4")
    for number in (1, 2, 3):
        put(config, upload, number, b"%d" % number)
    client = s3_client(config)

    def two_a_page(params: dict, **_: object) -> None:
        params.setdefault("MaxParts", 2)

    client.meta.events.register("before-parameter-build.s3.ListParts", two_a_page)
    assert [part.number for part in multipart.list_parts(config, PATH, upload)] == [1, 2, 3]


def test_a_missing_bucket_is_named(config: BucketConfig) -> None:
    elsewhere = BucketConfig.from_mapping(
        "x", {"region": "eu-west-1", "bucket": "nowhere", "endpoint_url": config.endpoint_url}
    )
    with pytest.raises(BucketMissing):
        multipart.create(elsewhere, PATH, content_type="video/mp4")


def test_a_part_link_binds_method_length_number_and_upload(config: BucketConfig) -> None:
    link = multipart.sign_part(config, PATH, "UP/1+", 7, 16 * MIB, 900).url
    assert "?partNumber=7&uploadId=UP%2F1%2B&" in link
    assert "&X-Amz-Expires=900&X-Amz-SignedHeaders=content-length%3Bhost&" in link
