"""Downloads through the site: every rule with real objects, and who may download."""

import json
import re
from datetime import timedelta

import pytest
import requests
from django.db import OperationalError, connection
from django.utils import timezone
from prometheus_client import REGISTRY

from media import downloads
from media.models import ReplicaCopy
from preferences.models import Session
from tests.functional.conftest import SYDNEY

# Every test here runs both ways.
pytestmark = pytest.mark.usefixtures("way")


def download(client, media_file, query="", **extra):
    return client.get(f"/media/{media_file.pk}/download{query}", **extra)


def came_from(response):
    """Return (configuration, reason) as the header says, after fetching the bytes."""
    assert response.status_code == 302
    fetched = requests.get(response["Location"], timeout=10)
    assert fetched.status_code == 200, fetched.text
    configuration, reason = response["X-Media-Source"].split("; reason=")
    return configuration, reason, fetched.content


def looks_for(site, media_file):
    """Return how many HEADs the embedded S3 has seen for a media file."""
    return sum(
        entry.method == "HEAD" and entry.key.endswith(media_file.path)
        for entry in list(site.emulator.log)
    )


@pytest.fixture
def as_person(site, client):
    def log_in(mode="yes", **fields):
        client.force_login(site.person(mode, **fields))
        return client

    return log_in


# --- The rules ------------------------------------------------------------------------------------


def test_no_always_gets_the_primary(site, as_person):
    assert came_from(download(as_person("no"), site.media_file())) == (
        "main",
        "user-no",
        b"frames",
    )


def test_yes_gets_a_fresh_file_from_the_primary_and_later_from_the_replica(site, as_person):
    client, media_file = as_person("yes"), site.media_file(age=10)
    assert came_from(download(client, media_file)) == ("main", "too-fresh", b"frames")
    media_file.completed_at -= timedelta(seconds=60)
    media_file.save()
    assert came_from(download(client, media_file)) == ("sydney", "ready", b"frames")


def test_a_file_that_has_not_arrived_comes_from_the_primary(site, as_person):
    client, media_file = as_person("yes"), site.media_file(copied=False)
    assert came_from(download(client, media_file)) == ("main", "missing", b"frames")
    assert ReplicaCopy.objects.get().state == "missing"


def test_a_missing_copy_is_asked_for_again_when_it_is_due(site, as_person):
    client, media_file = as_person("yes"), site.media_file(copied=False)
    download(client, media_file)
    site.emulator.s3(SYDNEY).put_object(
        Bucket=SYDNEY, Key=f"shotmedia/{media_file.path}", Body=b"frames"
    )
    assert came_from(download(client, media_file))[:2] == ("main", "missing")
    ReplicaCopy.objects.update(next_check_at=timezone.now() - timedelta(seconds=1))
    assert came_from(download(client, media_file))[:2] == ("sydney", "ready")


def test_a_copy_of_another_size_is_not_used(site, as_person):
    client, media_file = as_person("yes"), site.media_file()
    site.emulator.s3(SYDNEY).put_object(
        Bucket=SYDNEY, Key=f"shotmedia/{media_file.path}", Body=b"fra"
    )
    assert came_from(download(client, media_file)) == ("main", "failed", b"frames")


def test_auto_gets_the_replica_only_from_a_listed_address(site, as_person):
    client, media_file = as_person("auto"), site.media_file()
    assert came_from(download(client, media_file))[:2] == ("main", "address-not-listed")
    listed = download(client, media_file, REMOTE_ADDR="10.20.1.7")
    assert came_from(listed)[:2] == ("sydney", "ready")
    site.prefer(s3_replication_ip_addresses="10.20.0.0/16\n127.0.0.1")
    assert came_from(download(client, media_file))[:2] == ("sydney", "ready")


def test_a_mapped_address_is_the_ipv4_address(site, as_person):
    client, media_file = as_person("auto"), site.media_file()
    response = download(client, media_file, REMOTE_ADDR="::ffff:10.20.1.7")
    assert came_from(response)[:2] == ("sydney", "ready")


def test_a_header_from_an_untrusted_peer_does_not_choose_the_bucket(site, as_person):
    client, media_file = as_person("auto"), site.media_file()
    response = download(client, media_file, HTTP_X_FORWARDED_FOR="10.20.1.7")
    assert came_from(response)[:2] == ("main", "address-not-listed")


def test_without_a_replica_all_comes_from_the_primary(site, as_person):
    client, media_file = as_person("yes"), site.media_file()
    site.prefer(s3_bucket_for_replication="")
    assert came_from(download(client, media_file))[:2] == ("main", "no-replica")


def test_a_file_uploaded_to_the_replica_comes_from_there(site, as_person):
    client, media_file = as_person("no"), site.media_file(configuration="sydney")
    assert came_from(download(client, media_file))[:2] == ("sydney", "stored-in-replica")


def test_unverified_copies_go_by_the_delay_alone(site, as_person):
    client, media_file = as_person("yes"), site.media_file(copied=False)
    site.prefer(verify_replica_copies=False)
    assert download(client, media_file)["X-Media-Source"] == "sydney; reason=delay-over"


def test_where_the_site_may_not_look_the_delay_decides(site, as_person):
    client, media_file = as_person("yes"), site.media_file()
    site.emulator.faults(SYDNEY, status=403, methods=["HEAD"])
    assert came_from(download(client, media_file)) == ("sydney", "unverified", b"frames")
    assert came_from(download(client, media_file))[:2] == ("sydney", "unverified")
    assert looks_for(site, media_file) == 1


# --- Downloads never break ------------------------------------------------------------------------


def test_a_copy_deleted_behind_the_sites_back_is_noticed_at_once(site, as_person):
    client, media_file = as_person("yes"), site.media_file()
    assert came_from(download(client, media_file))[:2] == ("sydney", "ready")
    site.emulator.s3(SYDNEY).delete_object(Bucket=SYDNEY, Key=f"shotmedia/{media_file.path}")
    assert came_from(download(client, media_file)) == ("main", "missing", b"frames")
    assert ReplicaCopy.objects.get().state == "missing"


def test_a_page_of_previews_asks_the_replica_once(site, as_person, monkeypatch):
    monkeypatch.setattr(downloads, "PREVIEW_TRUST", 3600)
    client, media_file = as_person("yes"), site.media_file(content_type="video/mp4")
    for _ in range(5):
        response = download(client, media_file, "?disposition=inline")
        assert response["X-Media-Source"] == "sydney; reason=ready"
    assert looks_for(site, media_file) == 1


def test_the_setting_allows_downloads_the_same(site, as_person, settings):
    settings.REPLICA_TRUST_SECONDS = 3600
    client, media_file = as_person("yes"), site.media_file()
    for _ in range(5):
        assert download(client, media_file)["X-Media-Source"] == "sydney; reason=ready"
    assert looks_for(site, media_file) == 1


def test_a_replica_that_refuses_connections_costs_nobody_a_download(site, as_person):
    client, media_file = as_person("yes"), site.media_file()
    assert came_from(download(client, media_file))[:2] == ("sydney", "ready")
    site.emulator.faults(SYDNEY, refuse=True)
    reasons = []
    for _ in range(4):
        configuration, reason, body = came_from(download(client, media_file))
        assert (configuration, body) == ("main", b"frames")
        reasons.append(reason)
    assert reasons == ["no-answer", "no-answer", "no-answer", "replica-down"]


def test_a_replica_that_fails_inside_costs_nobody_a_download(site, as_person):
    client, media_file = as_person("yes"), site.media_file()
    site.emulator.faults(SYDNEY, status=503)
    assert came_from(download(client, media_file))[:2] == ("main", "no-answer")


def test_a_replica_that_is_set_up_wrongly_costs_nobody_a_download(site, as_person):
    client, media_file = as_person("yes"), site.media_file()
    # What S3 answers to a HEAD that is signed for another region.
    site.emulator.faults(SYDNEY, status=400, code="AuthorizationHeaderMalformed", methods=["HEAD"])
    assert came_from(download(client, media_file)) == ("main", "no-answer", b"frames")
    assert "gave no usable answer" in where(client, media_file).json()["words"]


def test_a_replica_whose_role_is_refused_costs_nobody_a_download(site, as_person):
    client, media_file = as_person("yes"), site.media_file()
    configurations = json.loads(site.values["s3_configuration"])
    configurations["sydney"]["profile"] = "not-on-this-machine"
    site.prefer(s3_configuration=json.dumps(configurations))
    assert came_from(download(client, media_file)) == ("main", "no-answer", b"frames")


def test_a_slow_replica_is_waited_for_no_longer_than_the_budget(site, as_person):
    client, media_file = as_person("yes"), site.media_file()
    site.emulator.faults(SYDNEY, delay_ms=3000, methods=["HEAD"])
    response = download(client, media_file)
    assert response["X-Media-Source"] == "main; reason=no-answer"


def test_a_database_that_takes_no_writes_costs_nobody_a_download(
    site, as_person, monkeypatch, caplog
):
    def refuse(*arguments):
        raise OperationalError("cannot execute INSERT in a read-only transaction")

    client, media_file = as_person("yes"), site.media_file()
    monkeypatch.setattr(downloads, "remember", refuse)
    assert came_from(download(client, media_file)) == ("sydney", "ready", b"frames")
    assert where(client, media_file).json()["reason"] == "ready"
    assert "read-only transaction" in caplog.text


def test_a_configuration_that_is_gone_is_said_and_the_copy_is_used(site, as_person, settings):
    client, media_file = as_person("yes"), site.media_file(age=10, configuration="gone")
    ReplicaCopy.objects.create(
        media_file=media_file,
        target=_replica().fingerprint,
        state="ready",
        next_check_at=timezone.now() + timedelta(hours=1),
    )
    assert came_from(download(client, media_file)) == ("sydney", "primary-unusable", b"frames")
    answer = where(client, media_file).json()
    assert (answer["configuration"], answer["reason"]) == ("sydney", "primary-unusable")
    assert (answer["source"], answer["bucket"]) == ("replica", SYDNEY)
    other = site.media_file(age=10, configuration="gone")
    response = download(client, other)
    assert response.status_code == 503
    assert "“gone” is not in S3 Configuration" in response.content.decode()
    assert "“gone” is not in S3 Configuration" in where(client, other).json()["words"]


def _replica():
    from preferences.snapshot import current_preferences

    return current_preferences().replica


# --- The link -------------------------------------------------------------------------------------


def test_range_requests_and_resuming_work(site, as_person):
    client, media_file = as_person("yes"), site.media_file(body=b"0123456789")
    link = download(client, media_file)["Location"]
    part = requests.get(link, headers={"Range": "bytes=4-"}, timeout=10)
    assert (part.status_code, part.content) == (206, b"456789")
    assert part.headers["Content-Range"] == "bytes 4-9/10"


def test_head_is_answered_with_a_link_for_head(site, as_person):
    client, media_file = as_person("no"), site.media_file()
    response = client.head(f"/media/{media_file.pk}/download")
    assert response.status_code == 302
    head = requests.head(response["Location"], timeout=10)
    assert (head.status_code, head.headers["Content-Length"]) == (200, "6")
    assert requests.get(response["Location"], timeout=10).status_code == 403


def test_attachment_unless_asked_and_allowed(site, as_person):
    client = as_person("no")
    movie = site.media_file(name="cut.mp4", content_type="video/mp4")
    page = site.media_file(name="notes.html", content_type="text/html", kind="other")

    def headers(media_file, query):
        return requests.get(download(client, media_file, query)["Location"], timeout=10).headers

    assert headers(movie, "")["Content-Disposition"] == 'attachment; filename="cut.mp4"'
    inline = headers(movie, "?disposition=inline")
    assert inline["Content-Disposition"].startswith("inline")
    assert inline["Content-Type"] == "video/mp4"
    unsafe = headers(page, "?disposition=inline")
    assert unsafe["Content-Disposition"].startswith("attachment")
    assert unsafe["Content-Type"] == "application/octet-stream"


def test_a_name_with_any_characters_survives(site, as_person):
    client = as_person("no")
    name = 'Schluß "最終版", 1/2.mov'
    media_file = site.media_file(name=name)
    fetched = requests.get(download(client, media_file)["Location"], timeout=10)
    assert "filename*=utf-8''Schlu%C3%9F" in fetched.headers["Content-Disposition"]


def test_the_redirect_is_never_cached_and_sends_no_referrer(site, as_person):
    response = download(as_person("no"), site.media_file())
    assert response["Cache-Control"] == "private, no-store"
    assert response["Referrer-Policy"] == "no-referrer"


def test_a_repeated_link_is_the_same_text(site, as_person, settings):
    settings.LINK_STEP_SECONDS = 604_800 // 2
    client, media_file = as_person("no"), site.media_file()
    first, second = (download(client, media_file)["Location"] for _ in range(2))
    assert first == second


def test_json_instead_of_a_redirect(site, as_person):
    client, media_file = as_person("yes"), site.media_file()
    answer = download(client, media_file, "?redirect=0").json()
    assert requests.get(answer.pop("url"), timeout=10).content == b"frames"
    assert timezone.datetime.fromisoformat(answer.pop("expires_at")) > timezone.now()
    assert answer == {
        "configuration": "sydney",
        "reason": "ready",
        "name": "shot.mov",
        "size": 6,
        "content_type": "video/quicktime",
    }


def test_the_primary_can_be_asked_for(site, as_person):
    client, media_file = as_person("yes"), site.media_file()
    response = download(client, media_file, "?source=primary")
    assert came_from(response)[:2] == ("main", "primary-requested")
    assert download(client, media_file, "?source=sydney").status_code == 400


def test_what_cannot_be_downloaded_is_said_on_a_page_like_any_other(site, as_person):
    client = as_person("no", username="rhea")
    gone = site.media_file(age=10, configuration="gone")
    pages = [
        client.get("/media/12345/download"),
        download(client, gone, "?source=sydney"),
        download(client, gone),
    ]
    assert [page.status_code for page in pages] == [404, 400, 503]
    for page in pages:
        assert "default-src 'none'" in page["Content-Security-Policy"]
        assert "rhea" in page.content.decode()


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_only_get_and_head(site, as_person, method):
    client, media_file = as_person("yes"), site.media_file()
    response = getattr(client, method)(f"/media/{media_file.pk}/download")
    assert response.status_code == 405


def test_a_media_file_that_does_not_exist(site, as_person):
    client = as_person("yes")
    assert client.get("/media/12345/download").status_code == 404
    assert client.get("/media/99999999999999999999/download").status_code == 404
    answer = client.get("/media/12345/download?redirect=0")
    assert (answer.status_code, answer.json()["error"]) == (404, "not-found")


# --- Who may --------------------------------------------------------------------------------------


def test_anonymous_visitors_are_sent_to_log_in(site, client):
    media_file = site.media_file()
    response = download(client, media_file)
    assert response.status_code == 302
    assert response["Location"] == f"/login/?next=/media/{media_file.pk}/download"


@pytest.mark.parametrize(
    "asking",
    [
        {"query": "?redirect=0"},
        {"HTTP_ACCEPT": "application/json"},
        {"HTTP_AUTHORIZATION": "Token nonsense"},
    ],
)
def test_a_script_gets_401_and_never_a_login_page(site, client, asking):
    response = download(client, site.media_file(), **asking)
    assert response.status_code == 401
    assert response.json()["error"] == "not-logged-in"


def refused(client, media_file):
    return download(client, media_file, "?redirect=0").status_code == 401


@pytest.mark.parametrize("cookie", ["", "x", "\x00", "ü" * 32, "a" * 5000, "' OR 1=1 --"])
def test_a_cookie_that_is_no_session(site, client, cookie):
    client.cookies["sessionid"] = cookie
    assert refused(client, site.media_file())


def test_an_expired_session(site, as_person):
    client, media_file = as_person(), site.media_file()
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    assert refused(client, media_file)


def test_a_deactivated_person(site, client):
    person, media_file = site.person("yes"), site.media_file()
    client.force_login(person)
    assert not refused(client, media_file)
    person.is_active = False
    person.save()
    assert refused(client, media_file)


def test_a_changed_password_ends_other_sessions(site, client):
    person, media_file = site.person("yes"), site.media_file()
    client.force_login(person)
    person.set_password("another")
    person.save()
    assert refused(client, media_file)


def test_a_rotated_secret_key_holds_only_while_it_is_a_fallback(site, as_person, settings):
    client, media_file = as_person(), site.media_file()
    old = settings.SECRET_KEY
    settings.SECRET_KEY = "another"
    assert refused(client, media_file)
    settings.SECRET_KEY_FALLBACKS = [old]
    assert not refused(client, media_file)


def test_logging_out(site, as_person):
    client, media_file = as_person(), site.media_file()
    cookie = client.cookies["sessionid"].value
    client.post("/logout/")
    client.cookies["sessionid"] = cookie
    assert refused(client, media_file)


def test_a_deleted_person(site, client):
    person, media_file = site.person(), site.media_file()
    client.force_login(person)
    person.delete()
    assert refused(client, media_file)


def test_a_host_that_is_not_ours(site, as_person, settings):
    settings.ALLOWED_HOSTS = ["media.example.com"]
    response = download(as_person(), site.media_file(), HTTP_HOST="evil.example.com")
    assert response.status_code == 400


def test_https_is_insisted_on(site, as_person, settings):
    client, media_file = as_person(), site.media_file()
    settings.SECURE_SSL_REDIRECT = True
    response = download(client, media_file)
    assert (response.status_code, response["Location"]) == (
        301,
        f"https://testserver/media/{media_file.pk}/download",
    )


# --- Cost -----------------------------------------------------------------------------------------


def test_one_statement_answers_a_redirect(
    site, as_person, settings, django_assert_num_queries, client
):
    settings.REPLICA_TRUST_SECONDS = 3600
    client, media_file = as_person("yes"), site.media_file()
    download(client, media_file)
    with django_assert_num_queries(1) as captured:
        assert download(client, media_file)["X-Media-Source"] == "sydney; reason=ready"
    assert "preferences_session" in captured[0]["sql"]


@pytest.mark.parametrize("query", ["", "?redirect=0"])
def test_a_download_is_counted_and_logged_once(site, as_person, caplog, query):
    client, media_file = as_person("no"), site.media_file()
    sample = "shotmedia_decisions_total", {"configuration": "main", "reason": "user-no"}
    before = REGISTRY.get_sample_value(*sample) or 0
    with caplog.at_level("INFO", logger="media.downloads"):
        download(client, media_file, query)
        download(client, media_file, "?source=nonsense")
    assert REGISTRY.get_sample_value(*sample) - before == 1
    (event,) = [record for record in caplog.records if record.name == "media.downloads"]
    assert event.getMessage() == "download"
    assert (event.media_file, event.configuration) == (media_file.pk, "main")
    assert event.reason == "user-no"


def test_a_changed_preference_is_seen_by_the_next_request(site, as_person):
    client, media_file = as_person("yes"), site.media_file()
    assert download(client, media_file)["X-Media-Source"] == "sydney; reason=ready"
    site.prefer(s3_replication_delay=100_000)
    assert download(client, media_file)["X-Media-Source"] == "main; reason=too-fresh"


def test_a_dropped_connection_is_made_anew(site, as_person, transactional_db):
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no connection to drop")
    client, media_file = as_person("no"), site.media_file()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    other = connection.copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
    other.close()
    assert download(client, media_file).status_code == 302


# --- Where it would come from ---------------------------------------------------------------------


def where(client, media_file, query="", **extra):
    return client.get(f"/media/{media_file.pk}/source{query}", **extra)


def test_source_says_which_bucket_and_why(site, as_person):
    client, media_file = as_person("yes", username="rhea"), site.media_file(age=45)
    answer = where(client, media_file).json()
    assert answer["configuration"] == "main"
    assert answer["reason"] == "too-fresh"
    assert 0 < answer["changes_in"] <= 15
    assert re.fullmatch(
        r"rhea has Use S3 Replication = yes; but the media is \d+ s old and S3 Replication Delay "
        r"is 60 s\. In \d+ s it would be sydney, when its copy is there\.",
        answer["words"],
    )


def test_source_says_the_same_as_the_download(site, as_person):
    client, media_file = as_person("yes"), site.media_file(copied=False)
    answer = where(client, media_file).json()
    response = download(client, media_file)
    assert response["X-Media-Source"] == f"{answer['configuration']}; reason={answer['reason']}"


def test_staff_may_ask_for_another_person_or_address(site, as_person):
    client, media_file = as_person("no", is_staff=True), site.media_file()
    site.person("auto", username="rhea")
    answer = where(client, media_file, "?user=rhea&address=10.20.1.7").json()
    assert (answer["configuration"], answer["reason"]) == ("sydney", "ready")
    assert "10.20.1.7 is in 10.20.0.0/16 (line 1)" in answer["words"]
    assert where(client, media_file, "?user=nobody").status_code == 404
    assert where(client, media_file, "?user=no%00body").status_code == 404
    assert where(client, media_file, "?address=10.20.1.777").status_code == 400


def test_others_may_not_ask_for_another_person(site, as_person):
    client, media_file = as_person("no"), site.media_file()
    assert where(client, media_file, "?user=artist0").status_code == 403


def test_source_needs_a_login_and_says_so_in_json(site, client):
    answer = where(client, site.media_file())
    assert (answer.status_code, answer.json()["error"]) == (401, "not-logged-in")


def test_source_of_a_media_file_that_does_not_exist(site, as_person):
    assert as_person().get("/media/12345/source").status_code == 404


def test_the_primary_is_not_asked(site, as_person):
    """The decision for the primary asks S3 for nothing."""
    client, media_file = as_person("no"), site.media_file()
    came_from(download(client, media_file))
    assert looks_for(site, media_file) == 0


def test_a_count_that_cannot_be_kept_costs_no_download(site, as_person, monkeypatch, caplog):
    def full(configuration, reason):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(downloads, "_counter", full)
    assert came_from(download(as_person("no"), site.media_file()))[0] == "main"
    assert "PROMETHEUS_MULTIPROC_DIR cannot be written to: [Errno 28]" in caplog.text
