"""Objects over the wire: bytes, ranges, conditions, checksums, multipart, listings, CORS."""

import base64
import hashlib
import zlib

import pytest
from botocore.exceptions import ClientError

from shotmedia.emulator import blobs
from tests.functional.emulator_support import Clock, make_emulator, send

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def emulator():
    with make_emulator(Clock()) as running:
        yield running


@pytest.fixture(scope="module")
def client(emulator):
    return emulator.s3("alone")


def put_link(client, key, **params):
    return client.generate_presigned_url("put_object", {"Bucket": "alone", "Key": key} | params)


def get_link(client, key, **params):
    return client.generate_presigned_url("get_object", {"Bucket": "alone", "Key": key} | params)


def code_of(call, **arguments) -> str:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"]


@pytest.mark.parametrize("key", ["a//b", "ü+ %20&?#=", "a/../b", "/leading", "日本/x'()*!.mov"])
def test_hard_keys_survive(client, key):
    client.put_object(Bucket="alone", Key=key, Body=key.encode())
    assert send(get_link(client, key)).body == key.encode()
    assert key in [item["Key"] for item in client.list_objects_v2(Bucket="alone")["Contents"]]
    client.delete_object(Bucket="alone", Key=key)


def test_headers_of_an_object_come_back(client):
    client.put_object(
        Bucket="alone",
        Key="meta",
        Body=b"x",
        ContentType="image/png",
        CacheControl="max-age=5",
        ContentDisposition='attachment; filename="a.png"',
        Metadata={"shot": "010"},
    )
    found = client.head_object(Bucket="alone", Key="meta")
    assert found["ContentType"] == "image/png"
    assert found["CacheControl"] == "max-age=5"
    assert found["ContentDisposition"] == 'attachment; filename="a.png"'
    assert found["Metadata"] == {"shot": "010"}
    assert found["ETag"] == f'"{hashlib.md5(b"x").hexdigest()}"'
    answer = send(
        get_link(
            client,
            "meta",
            ResponseContentType="application/octet-stream",
            ResponseContentDisposition="attachment; filename*=UTF-8''%C3%BC.mov",
        )
    )
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''%C3%BC.mov"


@pytest.mark.parametrize("size", [1000, 3 * MIB])
def test_ranges(client, size):
    data = bytes(i * 7 % 251 for i in range(1000)) * (size // 1000 + 1)
    data = data[:size]
    client.put_object(Bucket="alone", Key="range", Body=data)
    url = get_link(client, "range")

    def ranged(text, **headers):
        return send(url, headers={"Range": text} | headers)

    for text, expected in {
        "bytes=0-0": data[:1],
        "bytes=10-99": data[10:100],
        "bytes=500-": data[500:],
        "bytes=-7": data[-7:],
        f"bytes=900-{size * 2}": data[900:],
        f"bytes=-{size * 2}": data,
    }.items():
        answer = ranged(text)
        assert (answer.status, answer.body) == (206, expected), text
        start = size - len(expected) if text.startswith("bytes=-") else int(text[6:].split("-")[0])
        assert answer.headers["content-range"] == (
            f"bytes {start}-{start + len(expected) - 1}/{size}"
        )
    assert ranged("bytes=0-1,5-6").status == 200
    assert ranged("lines=0-1").status == 200
    outside = ranged(f"bytes={size}-")
    assert (outside.status, outside.code) == (416, "InvalidRange")
    assert outside.element("ActualObjectSize") == str(size)
    etag = send(url).headers["etag"]
    assert ranged("bytes=0-3", **{"If-Range": etag}).status == 206
    assert ranged("bytes=0-3", **{"If-Range": '"other"'}).status == 200
    assert send(url).body == data
    assert send(url).headers["accept-ranges"] == "bytes"


def test_conditions(client):
    client.put_object(Bucket="alone", Key="cond", Body=b"x")
    url = get_link(client, "cond")
    first = send(url)
    same = send(url, headers={"If-None-Match": first.headers["etag"]})
    assert (same.status, same.body, same.headers["etag"]) == (304, b"", first.headers["etag"])
    unchanged = send(url, headers={"If-Modified-Since": first.headers["last-modified"]})
    assert unchanged.status == 304
    assert send(url, headers={"If-None-Match": '"other"'}).status == 200
    assert send(url, headers={"If-Match": '"other"'}).status == 412
    assert code_of(client.put_object, Bucket="alone", Key="cond", Body=b"y", IfNoneMatch="*") == (
        "PreconditionFailed"
    )
    client.put_object(Bucket="alone", Key="cond-new", Body=b"y", IfNoneMatch="*")


def test_head_matches_get(client):
    client.put_object(Bucket="alone", Key="h", Body=b"x" * 1234)
    url = client.generate_presigned_url("head_object", {"Bucket": "alone", "Key": "h"})
    answer = send(url, "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == "1234"


def test_wrong_md5_checksum_and_hash_are_refused(client):
    wrong_md5 = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    url = put_link(client, "bad", ContentMD5=wrong_md5)
    answer = send(url, "PUT", {"Content-MD5": wrong_md5}, b"body")
    assert (answer.status, answer.code) == (400, "BadDigest")
    crc = base64.b64encode(zlib.crc32(b"other").to_bytes(4, "big")).decode()
    url = put_link(client, "bad", ChecksumCRC32=crc)
    answer = send(url, "PUT", {"x-amz-checksum-crc32": crc}, b"body")
    assert (answer.status, answer.code) == (400, "BadDigest")
    assert code_of(client.head_object, Bucket="alone", Key="bad") == "404"


def test_right_checksum_is_kept(client):
    body = b"body"
    sha = base64.b64encode(hashlib.sha256(body).digest()).decode()
    url = put_link(client, "sum", ChecksumSHA256=sha)
    answer = send(url, "PUT", {"x-amz-checksum-sha256": sha}, body)
    assert (answer.status, answer.headers["x-amz-checksum-sha256"]) == (200, sha)
    assert (
        client.head_object(Bucket="alone", Key="sum", ChecksumMode="ENABLED")["ChecksumSHA256"]
        == sha
    )
    assert "ChecksumSHA256" not in client.head_object(Bucket="alone", Key="sum")


def test_length_is_required_and_kept_to(client):
    url = put_link(client, "len")
    chunked = send(url, "PUT", {"Transfer-Encoding": "chunked"}, b"4\r\nbody\r\n0\r\n\r\n")
    assert (chunked.status, chunked.code) == (411, "MissingContentLength")


def upload(client, key, parts, **options):
    upload_id = client.create_multipart_upload(Bucket="alone", Key=key, **options)["UploadId"]
    done = []
    for number, body in parts:
        url = client.generate_presigned_url(
            "upload_part",
            {"Bucket": "alone", "Key": key, "UploadId": upload_id, "PartNumber": number},
        )
        answer = send(url, "PUT", body=body)
        assert answer.status == 200
        done.append({"PartNumber": number, "ETag": answer.headers["etag"]})
    return upload_id, done


def complete(client, key, upload_id, parts):
    return client.complete_multipart_upload(
        Bucket="alone", Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}
    )


def test_multipart(client):
    first, second, third = b"1" * (5 * MIB), b"2" * (5 * MIB + 3), b"3" * 10
    upload_id, parts = upload(
        client, "big", [(2, second), (1, first), (7, third)], ContentType="video/mp4"
    )
    parts.sort(key=lambda part: part["PartNumber"])
    listed = client.list_parts(Bucket="alone", Key="big", UploadId=upload_id)
    assert [(p["PartNumber"], p["Size"]) for p in listed["Parts"]] == [
        (1, len(first)),
        (2, len(second)),
        (7, 10),
    ]
    page = client.list_parts(
        Bucket="alone", Key="big", UploadId=upload_id, PartNumberMarker=2, MaxParts=1
    )
    assert [p["PartNumber"] for p in page["Parts"]] == [7]
    answer = complete(client, "big", upload_id, parts)
    digests = b"".join(hashlib.md5(part).digest() for part in (first, second, third))
    assert answer["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'
    assert send(get_link(client, "big")).body == first + second + third
    across = send(get_link(client, "big"), headers={"Range": f"bytes={5 * MIB - 2}-{5 * MIB + 1}"})
    assert across.body == b"1122"
    assert client.head_object(Bucket="alone", Key="big")["ContentType"] == "video/mp4"
    part = client.get_object(Bucket="alone", Key="big", PartNumber=3)
    assert (part["Body"].read(), part["PartsCount"]) == (third, 3)
    # The answer got lost: asking again is no error.
    assert complete(client, "big", upload_id, parts)["ETag"] == answer["ETag"]


def test_multipart_mistakes(client):
    upload_id, parts = upload(client, "wrong", [(1, b"a"), (2, b"b")])
    assert code_of(complete, client=client, key="wrong", upload_id=upload_id, parts=parts) == (
        "EntityTooSmall"
    )
    back = parts[::-1]
    assert code_of(complete, client=client, key="wrong", upload_id=upload_id, parts=back) == (
        "InvalidPartOrder"
    )
    other = [{"PartNumber": 1, "ETag": '"0"'}]
    assert code_of(complete, client=client, key="wrong", upload_id=upload_id, parts=other) == (
        "InvalidPart"
    )
    url = client.generate_presigned_url(
        "upload_part",
        {"Bucket": "alone", "Key": "wrong", "UploadId": upload_id, "PartNumber": 10_001},
    )
    assert send(url, "PUT", body=b"x").code == "InvalidArgument"
    ids = [u["UploadId"] for u in client.list_multipart_uploads(Bucket="alone")["Uploads"]]
    assert upload_id in ids
    client.abort_multipart_upload(Bucket="alone", Key="wrong", UploadId=upload_id)
    assert code_of(complete, client=client, key="wrong", upload_id=upload_id, parts=parts) == (
        "NoSuchUpload"
    )
    assert "Uploads" not in client.list_multipart_uploads(Bucket="alone", Prefix="wrong")


def test_uploads_tell_their_age_and_are_paged(client, emulator):
    made = [upload(client, f"page/{n}", [])[0] for n in range(3)]
    first = client.list_multipart_uploads(Bucket="alone", Prefix="page/", MaxUploads=2)
    assert [u["UploadId"] for u in first["Uploads"]] == made[:2]
    assert abs(first["Uploads"][0]["Initiated"].timestamp() - emulator.now()) < 60
    rest = client.list_multipart_uploads(
        Bucket="alone",
        Prefix="page/",
        KeyMarker=first["NextKeyMarker"],
        UploadIdMarker=first["NextUploadIdMarker"],
    )
    assert [u["UploadId"] for u in rest["Uploads"]] == made[2:]


def test_part_checksums_need_an_algorithm_at_the_start(client):
    upload_id, _ = upload(client, "sums", [])
    with pytest.raises(ClientError, match="Checksum Type mismatch"):
        client.upload_part(
            Bucket="alone",
            Key="sums",
            UploadId=upload_id,
            PartNumber=1,
            Body=b"x",
            ChecksumAlgorithm="SHA256",
        )


def test_copies_share_the_bytes(client):
    upload_id, parts = upload(client, "src", [(1, b"s" * (5 * MIB)), (2, b"t")])
    complete(client, "src", upload_id, parts)
    client.copy_object(Bucket="alone", Key="dst", CopySource={"Bucket": "alone", "Key": "src"})
    assert send(get_link(client, "dst")).body == b"s" * (5 * MIB) + b"t"
    upload_id, _ = upload(client, "dst2", [])
    copied = client.upload_part_copy(
        Bucket="alone",
        Key="dst2",
        UploadId=upload_id,
        PartNumber=1,
        CopySource={"Bucket": "alone", "Key": "src"},
        CopySourceRange=f"bytes={5 * MIB - 1}-{5 * MIB}",
    )
    etag = copied["CopyPartResult"]["ETag"]
    complete(client, "dst2", upload_id, [{"PartNumber": 1, "ETag": etag}])
    assert send(get_link(client, "dst2")).body == b"st"


def test_listing(client):
    for key in ("list/a", "list/b/1", "list/b/2", "list/c"):
        client.put_object(Bucket="alone", Key=key, Body=b"x")
    found = client.list_objects_v2(Bucket="alone", Prefix="list/", Delimiter="/")
    assert [item["Key"] for item in found["Contents"]] == ["list/a", "list/c"]
    assert found["CommonPrefixes"] == [{"Prefix": "list/b/"}]
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket="alone", Prefix="list/", PaginationConfig={"PageSize": 1}
    )
    assert [i["Key"] for page in pages for i in page["Contents"]] == [
        "list/a",
        "list/b/1",
        "list/b/2",
        "list/c",
    ]
    old = client.list_objects(Bucket="alone", Prefix="list/", Marker="list/b/1")
    assert [item["Key"] for item in old["Contents"]] == ["list/b/2", "list/c"]


def test_versions_and_delete_markers(emulator):
    client = emulator.s3("primary")
    first = client.put_object(Bucket="primary", Key="v", Body=b"1")["VersionId"]
    second = client.put_object(Bucket="primary", Key="v", Body=b"2")["VersionId"]
    old = client.get_object(Bucket="primary", Key="v", VersionId=first)
    assert old["Body"].read() == b"1"
    marker = client.delete_object(Bucket="primary", Key="v")
    assert marker["DeleteMarker"]
    url = client.generate_presigned_url("get_object", {"Bucket": "primary", "Key": "v"})
    gone = send(url)
    assert (gone.status, gone.headers["x-amz-delete-marker"]) == (404, "true")
    versions = client.list_object_versions(Bucket="primary", Prefix="v")
    assert {v["VersionId"] for v in versions["Versions"]} == {first, second}
    client.delete_object(Bucket="primary", Key="v", VersionId=marker["VersionId"])
    assert client.get_object(Bucket="primary", Key="v")["Body"].read() == b"2"


def test_tags(client):
    client.put_object(Bucket="alone", Key="tagged", Body=b"x", Tagging="a=1&b=2")
    assert client.head_object(Bucket="alone", Key="tagged")["TagCount"] == 2
    tags = client.get_object_tagging(Bucket="alone", Key="tagged")["TagSet"]
    assert {"Key": "a", "Value": "1"} in tags


def test_cors_document_put_through_the_api_is_obeyed(client):
    rule = {
        "AllowedOrigins": ["http://site.test"],
        "AllowedMethods": ["GET", "PUT"],
        "AllowedHeaders": ["content-type"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 30,
    }
    url = put_link(client, "cors")

    def preflight(origin="http://site.test", method="PUT"):
        headers = {
            "Origin": origin,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Headers": "content-type",
        }
        return send(url, "OPTIONS", headers)

    before = preflight()
    assert (before.status, before.code) == (403, "AccessForbidden")
    assert "CORS is not enabled" in before.element("Message")
    client.put_bucket_cors(Bucket="alone", CORSConfiguration={"CORSRules": [rule]})
    allowed = preflight()
    assert allowed.status == 200
    assert allowed.headers["access-control-allow-origin"] == "http://site.test"
    assert allowed.headers["access-control-allow-methods"] == "GET, PUT"
    assert allowed.headers["access-control-max-age"] == "30"
    for refused in (preflight(origin="http://evil.test"), preflight(method="DELETE")):
        assert refused.status == 403
        assert not [name for name in refused.headers if name.startswith("access-control")]

    origin = {"Origin": "http://site.test"}
    done = send(url, "PUT", origin, b"x")
    assert done.headers["access-control-expose-headers"] == "ETag"
    error = send(url + "&x=1", "PUT", origin, b"x")
    assert (error.status, error.headers["access-control-allow-origin"]) == (403, "http://site.test")
    for headers in ({"Origin": "http://evil.test"}, {}):
        foreign = send(get_link(client, "cors"), headers=headers)
        assert foreign.status == 200
        assert not [name for name in foreign.headers if name.startswith("access-control")]
    client.delete_bucket_cors(Bucket="alone")
    assert (
        "access-control-allow-origin" not in send(get_link(client, "cors"), headers=origin).headers
    )


def test_configuration_documents_work(client, emulator):
    assert emulator.s3("replica").get_bucket_location(Bucket="replica")["LocationConstraint"] == (
        "ap-southeast-2"
    )
    versioning = emulator.s3("primary").get_bucket_versioning(Bucket="primary")
    assert versioning["Status"] == "Enabled"
    rules = emulator.s3("primary").get_bucket_replication(Bucket="primary")
    destination = rules["ReplicationConfiguration"]["Rules"][0]["Destination"]["Bucket"]
    assert destination == "arn:aws:s3:::replica"
    assert code_of(client.get_bucket_cors, Bucket="alone") == "NoSuchCORSConfiguration"
    made = emulator.s3()
    made.create_bucket(Bucket="made-later")
    made.put_object(Bucket="made-later", Key="k", Body=b"x")
    assert code_of(made.delete_bucket, Bucket="made-later") == "BucketNotEmpty"
    made.delete_object(Bucket="made-later", Key="k")
    made.delete_bucket(Bucket="made-later")
    names = [bucket["Name"] for bucket in made.list_buckets()["Buckets"]]
    assert names == ["primary", "replica", "alone"]


def test_a_listing_of_versions_reads_no_bytes(emulator, monkeypatch):
    """moto copies each version with its bytes, and everything waits for it."""
    client = emulator.s3("primary")
    client.put_object(Bucket="primary", Key="bytes/a", Body=b"a" * 100)

    def fail(*_):
        raise AssertionError("the bytes were read")

    monkeypatch.setattr(blobs.BlobReader, "readinto", fail)
    (listed,) = client.list_object_versions(Bucket="primary", Prefix="bytes/")["Versions"]
    assert (listed["Key"], listed["Size"], listed["IsLatest"]) == ("bytes/a", 100, True)


def test_pages_of_versions_meet(emulator):
    client = emulator.s3("primary")
    for key in ("pages/a", "pages/b", "pages/c/x", "pages/c/y"):
        for body in (b"1", b"22"):
            client.put_object(Bucket="primary", Key=key, Body=body)
    client.delete_object(Bucket="primary", Key="pages/b")

    def pages(**arguments):
        found, groups, markers, sizes = [], [], [], []
        paginator = client.get_paginator("list_object_versions")
        for page in paginator.paginate(
            Bucket="primary", Prefix="pages/", PaginationConfig={"PageSize": 2}, **arguments
        ):
            found += [(v["Key"], v["Size"], v["IsLatest"]) for v in page.get("Versions", [])]
            markers += [m["Key"] for m in page.get("DeleteMarkers", [])]
            groups += [g["Prefix"] for g in page.get("CommonPrefixes", [])]
            sizes.append(sum(len(page.get(n, [])) for n in LISTED))
        assert all(size <= 2 for size in sizes)
        return found, markers, groups

    plain = [
        (key, size, size == 2 and key != "pages/b")
        for key in ("pages/a", "pages/b", "pages/c/x", "pages/c/y")
        for size in (2, 1)
    ]
    assert pages() == (plain, ["pages/b"], [])
    assert pages(Delimiter="/") == (plain[:4], ["pages/b"], ["pages/c/"])


LISTED = ("Versions", "DeleteMarkers", "CommonPrefixes")
