"""Uploads: parts to S3 by signed links, and a media file only for what arrived whole."""

import json
import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import requests
from django.test import Client
from django.utils import timezone

from media import uploads
from media.models import MediaFile, Upload
from preferences.snapshot import current_preferences
from tests.functional.conftest import MAIN

MIB = 1 << 20
BODY = bytes(range(256)) * 4 * 1024 * 17  # 17 MiB: two parts


@pytest.fixture
def artist(site):
    return site.person(username="artist")


@pytest.fixture
def uploader(site, client, artist):
    client.force_login(artist)
    return client


def post(client, url, body):
    return client.post(url, json.dumps(body), content_type="application/json")


def begin(client, **fields):
    fields = {"name": "shot_010.mov", "size": len(BODY), "type": "video/quicktime"} | fields
    return post(client, "/media/uploads", fields)


def send(client, begun, body=BODY):
    """Sign and PUT every part as the page does; return what `complete` takes."""
    parts = []
    for number in range(1, begun["parts"] + 1):
        signed = post(client, begun["links"]["parts"], {"numbers": [number]}).json()["parts"][0]
        start = (number - 1) * begun["part_size"]
        piece = body[start : start + begun["part_size"]]
        assert signed["length"] == len(piece)
        answer = requests.put(
            signed["url"], data=piece, headers={"Origin": "http://testserver"}, timeout=20
        )
        assert answer.status_code == 200, answer.text
        assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
        parts.append({"number": number, "etag": answer.headers["ETag"]})
    return parts


def complete(client, begun, parts):
    return post(client, begun["links"]["complete"], {"parts": parts})


def open_uploads(site):
    return site.emulator.s3(MAIN).list_multipart_uploads(Bucket=MAIN).get("Uploads", [])


def keys(site):
    listed = site.emulator.s3(MAIN).list_objects_v2(Bucket=MAIN).get("Contents", [])
    return {entry["Key"] for entry in listed}


# --- From beginning to end ------------------------------------------------------------------------


def test_a_file_becomes_a_media_file(site, uploader, artist):
    answer = begin(uploader, name="Übung 1.mov")
    assert answer.status_code == 201
    begun = answer.json()
    assert (begun["parts"], begun["part_size"]) == (2, 16 * MIB)
    parts = send(uploader, begun)
    assert not MediaFile.objects.exists()

    done = complete(uploader, begun, parts)
    assert done.status_code == 200, done.content
    media_file = MediaFile.objects.get()
    assert done.json()["url"] == f"/media/{media_file.pk}/"
    assert media_file.name == "Übung 1.mov"
    assert media_file.kind == "video"
    assert media_file.content_type == "video/quicktime"
    assert media_file.size == len(BODY)
    assert media_file.configuration == "main"
    assert media_file.uploaded_by == artist
    assert re.fullmatch(r"\d{4}/\d\d/[0-9a-f]{32}/Ubung_1\.mov", media_file.path)

    stored = site.emulator.s3(MAIN).get_object(Bucket=MAIN, Key=f"shotmedia/{media_file.path}")
    assert stored["Body"].read() == BODY
    assert stored["ETag"].strip('"') == media_file.etag
    assert stored["ContentType"] == "video/quicktime"
    assert stored["ContentDisposition"] == (
        "attachment; filename=\"Ubung_1.mov\"; filename*=utf-8''%C3%9Cbung%201.mov"
    )
    download = uploader.get(f"/media/{media_file.pk}/download")
    assert requests.get(download["Location"], timeout=20).content == BODY


def test_completing_twice_gives_the_same_media_file(site, uploader):
    begun = begin(uploader, size=5).json()
    parts = send(uploader, begun, b"bytes")
    first = complete(uploader, begun, parts)
    again = complete(uploader, begun, parts)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert MediaFile.objects.count() == 1


def test_completing_again_after_a_lost_answer_from_s3(site, uploader, monkeypatch):
    begun = begin(uploader, size=5).json()
    parts = send(uploader, begun, b"bytes")

    def die(*arguments, **options):
        raise RuntimeError("the site dies here")

    with monkeypatch.context() as patched:
        patched.setattr(uploads, "_become", die)
        with pytest.raises(RuntimeError):
            complete(uploader, begun, parts)
    assert not MediaFile.objects.exists()
    assert complete(uploader, begun, parts).status_code == 200
    assert MediaFile.objects.get().size == 5


def test_html_is_stored_as_bytes_to_be_saved(site, uploader):
    begun = begin(uploader, name="page.html", size=5, type="image/png").json()
    complete(uploader, begun, send(uploader, begun, b"<html"))
    media_file = MediaFile.objects.get()
    stored = site.emulator.s3(MAIN).head_object(Bucket=MAIN, Key=f"shotmedia/{media_file.path}")
    assert stored["ContentType"] == "application/octet-stream"
    assert stored["ContentDisposition"].startswith("attachment")


def test_storage_location_is_the_one_at_the_beginning(site, uploader):
    begun = begin(uploader, size=5).json()
    site.prefer(storage_location="sydney", s3_bucket_for_replication="")
    complete(uploader, begun, send(uploader, begun, b"bytes"))
    assert MediaFile.objects.get().configuration == "main"


# --- What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"size": 0}, "empty"),
        ({"size": -1}, "empty"),
        ({"size": 6 * 2**40}, "at most"),
        ({"size": 2**80}, "at most"),
        ({"name": "x" * 256}, "256 characters; 255"),
        ({"name": "\x00"}, "no name"),
        ({"name": ".."}, "no name"),
        ({"name": "\ud800"}, "no name"),
        ({"name": 5}, "Send"),
        ({"size": "5"}, "Send"),
        ({"size": True}, "Send"),
        ({"size": 1.5}, "Send"),
        ({"type": None}, "Send"),
    ],
)
def test_files_that_cannot_be_uploaded(site, uploader, fields, sentence):
    before = len(open_uploads(site))
    answer = begin(uploader, **fields)
    assert answer.status_code == 400
    assert sentence in answer.json()["message"]
    assert not Upload.objects.exists()
    assert len(open_uploads(site)) == before


def test_the_longest_name_is_kept_whole(site, uploader):
    name = "ü" * 251 + ".mov"
    assert begin(uploader, name=name, size=5).status_code == 201
    assert Upload.objects.get().name == name


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"\xff", b"[" * 100_000])
def test_bodies_that_are_no_json_object(site, uploader, body):
    answer = uploader.post("/media/uploads", body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json()["message"] == "Send a JSON object."


def test_a_form_in_place_of_json(site, artist):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(artist)
    token = strict.get("/upload/").cookies["csrftoken"].value
    answer = strict.post("/media/uploads", {"csrfmiddlewaretoken": token, "name": "a.mov"})
    assert (answer.status_code, answer.json()["message"]) == (400, "Send a JSON object.")


def test_without_a_storage_location_the_answer_says_so(site, uploader):
    site.prefer(storage_location="", s3_bucket_for_replication="")
    answer = begin(uploader)
    assert answer.status_code == 409
    assert "Storage Location" in answer.json()["message"]


def test_a_configuration_that_was_removed_meanwhile(site, uploader):
    begun = begin(uploader, size=5).json()
    # An upload that was begun today would keep its configuration from being removed.
    Upload.objects.update(started_at=timezone.now() - timedelta(days=2))
    site.prefer(storage_location="", s3_bucket_for_replication="", s3_configuration="{}")
    answer = post(uploader, begun["links"]["parts"], {"numbers": [1]})
    assert answer.status_code == 409
    assert "“main”" in answer.json()["message"]


@pytest.mark.parametrize("numbers", [[], [0], [3], [-1], [2**70], ["1"], [True], None, [1] * 51])
def test_part_numbers_that_are_not_the_uploads(site, uploader, numbers):
    begun = begin(uploader).json()
    answer = post(uploader, begun["links"]["parts"], {"numbers": numbers})
    assert answer.status_code == 400
    assert answer.json()["message"]


def test_a_parts_link_takes_no_other_part_and_no_other_length(site, uploader):
    begun = begin(uploader).json()
    url = post(uploader, begun["links"]["parts"], {"numbers": [2]}).json()["parts"][0]["url"]
    assert requests.put(url, data=b"x" * MIB, timeout=10).status_code == 200
    assert requests.put(url, data=b"x" * 5, timeout=10).status_code == 403
    other = url.replace("partNumber=2", "partNumber=1")
    assert requests.put(other, data=b"x" * MIB, timeout=10).status_code == 403
    assert requests.get(url, timeout=10).status_code == 403


@pytest.mark.parametrize(
    "change",
    [
        lambda parts: parts[:1],
        lambda parts: [*parts, {"number": 3, "etag": "0" * 32}],
        lambda parts: [parts[0], {"number": 2, "etag": "0" * 32}],
        lambda parts: [parts[0], {"number": 2, "etag": "<x/>"}],
        lambda parts: [parts[0], {"number": 2, "etag": ""}],
        lambda parts: [parts[0], {"number": 2}],
        lambda parts: [parts[0], "2"],
        lambda parts: None,
        lambda parts: [],
    ],
)
def test_parts_that_are_not_those_that_s3_holds(site, uploader, change):
    begun = begin(uploader).json()
    parts = send(uploader, begun)
    answer = complete(uploader, begun, change(parts))
    assert answer.status_code == 400, answer.content
    assert not MediaFile.objects.exists()
    assert complete(uploader, begun, parts).status_code == 200


# --- What arrived is looked at --------------------------------------------------------------------


@pytest.mark.parametrize("field", ["size", "etag"])
def test_an_object_that_differs_is_removed_and_refused(site, uploader, monkeypatch, field):
    begun = begin(uploader, size=5).json()
    parts = send(uploader, begun, b"bytes")
    if field == "size":
        Upload.objects.update(size=6)
    else:
        joined = uploads.multipart.complete
        monkeypatch.setattr(
            uploads.multipart, "complete", lambda *arguments: joined(*arguments)[::-1]
        )
    path = Upload.objects.get().path
    answer = complete(uploader, begun, parts)
    assert answer.status_code == 422
    assert "removed" in answer.json()["message"]
    assert not MediaFile.objects.exists()
    assert not Upload.objects.exists()
    versions = site.emulator.s3(MAIN).list_object_versions(Bucket=MAIN, Prefix=f"shotmedia/{path}")
    assert not versions.get("Versions")
    assert not versions.get("DeleteMarkers")


def test_without_a_look_at_the_object_there_is_no_media_file_yet(site, uploader):
    begun = begin(uploader, size=5).json()
    parts = send(uploader, begun, b"bytes")
    site.emulator.faults(MAIN, status=503, methods=["HEAD"])
    answer = complete(uploader, begun, parts)
    assert answer.status_code == 503
    assert answer.json()["error"] == "s3-unreachable"
    assert "answered with status 503 (HeadObject 503). Try again" in answer.json()["message"]
    assert not MediaFile.objects.exists()
    site.emulator.clear_faults()
    assert complete(uploader, begun, parts).status_code == 200
    assert MediaFile.objects.count() == 1


def test_s3_refusing_to_begin_is_said_in_words(site, uploader):
    site.emulator.faults(MAIN, status=403)
    answer = begin(uploader)
    assert answer.status_code == 502
    assert "speed test" in answer.json()["message"]
    assert not Upload.objects.exists()


def test_s3_out_of_reach_is_said_without_its_address_which_is_for_the_log(site, uploader, caplog):
    site.emulator.faults(MAIN, refuse=True)
    answer = begin(uploader)
    assert answer.status_code == 503
    assert answer.json()["message"] == (
        "S3 is out of reach. It did not answer (CreateMultipartUpload EndpointConnectionError). "
        "Try again in a moment."
    )
    assert "S3 failed" in caplog.text


def test_no_role_and_no_account_is_told_to_who_uploads_or_downloads(
    site, uploader, monkeypatch, caplog
):
    role = "arn:aws:iam::111122223333:role/hidden"
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", site.emulator.endpoint)
    media_file = site.media_file()
    configurations = json.loads(site.values["s3_configuration"])
    for configuration in configurations.values():
        configuration["aws_role_arn"] = role
    site.prefer(s3_configuration=json.dumps(configurations))
    refused = [begin(uploader), uploader.get(f"/media/{media_file.pk}/download?redirect=0")]
    assert [answer.status_code for answer in refused] == [502, 503]
    for answer in refused:
        assert "AWS does not let the site assume the role […]. Check" in answer.json()["message"]
    assert role in caplog.text


def test_an_answer_that_nobody_expects_is_still_said_in_json(site, uploader):
    site.emulator.faults(MAIN, status=400, code="AuthorizationHeaderMalformed")
    answer = begin(uploader)
    assert answer.status_code == 502
    assert "AuthorizationHeaderMalformed" in answer.json()["message"]


def test_an_upload_that_s3_has_forgotten(site, uploader):
    begun = begin(uploader, size=5).json()
    parts = send(uploader, begun, b"bytes")
    upload = Upload.objects.get()
    site.emulator.s3(MAIN).abort_multipart_upload(
        Bucket=MAIN, Key=f"shotmedia/{upload.path}", UploadId=upload.s3_upload_id
    )
    answer = complete(uploader, begun, parts)
    assert answer.status_code == 404
    assert "Upload the file again" in answer.json()["message"]


# --- Cancelling -----------------------------------------------------------------------------------


def test_cancelling_frees_the_parts_in_s3(site, uploader):
    begun = begin(uploader).json()
    send(uploader, begun)
    upload = Upload.objects.get()
    answer = uploader.delete(begun["links"]["self"])
    assert answer.status_code == 200
    assert upload.s3_upload_id not in {entry["UploadId"] for entry in open_uploads(site)}
    assert not Upload.objects.exists()
    assert uploader.delete(begun["links"]["self"]).status_code == 404


def test_a_complete_upload_cannot_be_cancelled(site, uploader):
    begun = begin(uploader, size=5).json()
    complete(uploader, begun, send(uploader, begun, b"bytes"))
    answer = uploader.delete(begun["links"]["self"])
    assert answer.status_code == 409
    assert f"shotmedia/{MediaFile.objects.get().path}" in keys(site)
    assert post(uploader, begun["links"]["parts"], {"numbers": [1]}).status_code == 409


def test_cancelling_removes_what_was_joined_but_never_looked_at(site, uploader):
    begun = begin(uploader, size=5).json()
    site.emulator.faults(MAIN, status=503, methods=["HEAD"])
    assert complete(uploader, begun, send(uploader, begun, b"bytes")).status_code == 503
    key = f"shotmedia/{Upload.objects.get().path}"
    assert key in keys(site)
    assert uploader.delete(begun["links"]["self"]).status_code == 503
    site.emulator.clear_faults()
    assert uploader.delete(begun["links"]["self"]).status_code == 200
    assert key not in keys(site)
    assert not Upload.objects.exists()


def test_cancelling_needs_no_right_to_see_what_is_missing(site, uploader):
    begun = begin(uploader).json()
    site.emulator.set_list_bucket(MAIN, False)
    try:
        assert uploader.delete(begun["links"]["self"]).status_code == 200
    finally:
        site.emulator.set_list_bucket(MAIN, True)


def test_an_upload_cancelled_while_it_is_completed_leaves_nothing(site, uploader, monkeypatch):
    begun = begin(uploader, size=5).json()
    parts = send(uploader, begun, b"bytes")
    upload = Upload.objects.get()
    look = uploads.head_object

    def cancelled_meanwhile(*arguments, **options):
        head = look(*arguments, **options)
        Upload.objects.all().delete()
        return head

    monkeypatch.setattr(uploads, "head_object", cancelled_meanwhile)
    assert complete(uploader, begun, parts).status_code == 404
    assert not MediaFile.objects.exists()
    assert f"shotmedia/{upload.path}" not in keys(site)


def test_what_is_completed_while_it_is_cancelled_stays_and_is_said(site, uploader, monkeypatch):
    begun = begin(uploader, size=5).json()
    parts = send(uploader, begun, b"bytes")
    abort = uploads.multipart.abort

    def completed_meanwhile(*arguments):
        assert complete(uploader, begun, parts).status_code == 200
        abort(*arguments)

    monkeypatch.setattr(uploads.multipart, "abort", completed_meanwhile)
    answer = uploader.delete(begun["links"]["self"])
    assert answer.status_code == 409
    assert "already uploaded" in answer.json()["message"]
    assert complete(uploader, begun, parts).json()["id"] == MediaFile.objects.get().pk


# --- Who ------------------------------------------------------------------------------------------


def every_address(begun):
    return [
        ("post", "/media/uploads"),
        ("delete", begun["links"]["self"]),
        ("post", begun["links"]["parts"]),
        ("post", begun["links"]["complete"]),
    ]


def test_anonymous_visitors_get_401_as_json(site, uploader):
    begun = begin(uploader).json()
    for method, url in every_address(begun):
        answer = getattr(Client(), method)(url, "{}", content_type="application/json")
        assert answer.status_code == 401, url
        assert answer.json()["error"] == "not-logged-in"


def test_another_persons_upload_does_not_exist(site, uploader):
    begun = begin(uploader, size=5).json()
    parts = send(uploader, begun, b"bytes")
    other = Client()
    other.force_login(site.person(is_staff=True, is_superuser=True))
    assert post(other, begun["links"]["parts"], {"numbers": [1]}).status_code == 404
    assert complete(other, begun, parts).status_code == 404
    assert other.delete(begun["links"]["self"]).status_code == 404
    assert complete(uploader, begun, parts).status_code == 200
    assert complete(other, begun, parts).status_code == 404


def test_other_methods_are_not_allowed(site, uploader):
    begun = begin(uploader).json()
    for _, url in every_address(begun):
        assert uploader.get(url).status_code == 405


def test_requests_from_other_sites_are_refused(site, artist):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(artist)
    assert begin(strict).status_code == 403
    token = strict.get("/upload/").cookies["csrftoken"].value
    answer = strict.post(
        "/media/uploads",
        json.dumps({"name": "a.mov", "size": 5}),
        content_type="application/json",
        headers={"X-CSRFToken": token},
    )
    assert answer.status_code == 201


# --- The page -------------------------------------------------------------------------------------


def test_the_page_may_reach_the_buckets_and_no_other_host(site, uploader):
    answer = uploader.get("/upload/")
    assert answer.status_code == 200
    policy = dict(
        directive.split(" ", 1) for directive in answer["Content-Security-Policy"].split("; ")
    )
    bucket = urlsplit(site.emulator.endpoint_for(MAIN))
    assert f"{bucket.scheme}://{bucket.netloc}" in policy["connect-src"].split()
    assert policy["img-src"] == "'self'"
    assert b'data-url="/media/uploads"' in answer.content
    assert b"csrftoken" not in answer.content


def test_the_page_says_when_there_is_nowhere_to_upload_to(site, uploader):
    site.prefer(storage_location="", s3_bucket_for_replication="")
    answer = uploader.get("/upload/")
    assert b"There is no Storage Location yet" in answer.content
    assert b"/admin/" not in answer.content
    uploader.force_login(site.person(is_staff=True))
    answer = uploader.get("/upload/")
    assert b"/admin/preferences/sitepreferences/1/change/" in answer.content


def test_the_page_asks_anonymous_visitors_to_log_in(client, db):
    assert client.get("/upload/")["Location"] == "/login/?next=/upload/"


def test_two_completions_at_once_make_one_media_file(site, uploader):
    begun = begin(uploader, size=5).json()
    parts = send(uploader, begun, b"bytes")
    upload = Upload.objects.get()
    assert complete(uploader, begun, parts).status_code == 200
    # A second request that had read the upload before the first one finished.
    assert upload.media_file is None
    media_file = uploads.complete(
        upload=upload,
        parts=[(part["number"], part["etag"]) for part in parts],
        preferences=current_preferences(),
        now=MediaFile.objects.get().completed_at,
    )
    assert media_file == MediaFile.objects.get()
