"""/admin/speedtest: who may, and each step against the embedded S3."""

import base64
import hashlib
import json
import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import requests
from django.contrib.auth.models import Permission
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from preferences.models import User
from shotmedia.s3.probe_documents import cors_rules
from speedtest import replays, steps
from speedtest.models import SpeedTestRun
from speedtest.plan import merged
from tests.functional.conftest import MAIN, SYDNEY, Site

SITE = "http://testserver"
PLAN = {"seed_bytes": 20 << 20, "most_size": 1 << 20}
STEPS = ("server", "prepare", "replay", "complete", "join", "finish")


@pytest.fixture(autouse=True)
def small_plan(settings) -> None:
    """A small seed and few sizes."""
    settings.SPEEDTEST_PLAN = PLAN


@pytest.fixture
def ada(db: None) -> User:
    """Somebody who may change Site Preferences."""
    return User.objects.create_superuser("ada", "ada@studio.test", "secret")


@pytest.fixture
def client(ada: User) -> Client:
    """Ada's browser."""
    client = Client()
    client.force_login(ada)
    return client


def post(client: Client, url: str, body: dict | None = None):
    return client.post(url, json.dumps(body or {}), "application/json", headers={"Origin": SITE})


def begin(client: Client, name: str = "main", mode: str = "quick") -> dict[str, str]:
    """Begin a test; the addresses of its steps."""
    answer = post(client, reverse("speedtest:start"), {"configuration": name, "mode": mode})
    assert answer.status_code == 200, answer.content
    return answer.json()["urls"]


def lines(answer) -> list[dict]:
    return [json.loads(line) for line in answer.getvalue().splitlines()]


def links(client: Client, urls: dict[str, str]) -> dict:
    return lines(post(client, urls["prepare"]))[-1]["links"]


def stored(site: Site, bucket: str) -> list[str]:
    answer = site.emulator.s3(bucket).list_object_versions(Bucket=bucket)
    return [one["Key"] for kind in ("Versions", "DeleteMarkers") for one in answer.get(kind, ())]


def empty(site: Site) -> None:
    """Take away what other tests left in the buckets' .speedtest/."""
    for bucket in (MAIN, SYDNEY):
        s3 = site.emulator.s3(bucket)
        answer = s3.list_object_versions(Bucket=bucket, Prefix="shotmedia/.speedtest/")
        for kind in ("Versions", "DeleteMarkers"):
            for one in answer.get(kind, ()):
                s3.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])
        for one in s3.list_multipart_uploads(Bucket=bucket).get("Uploads", ()):
            names = {"Key": one["Key"], "UploadId": one["UploadId"]}
            s3.abort_multipart_upload(Bucket=bucket, **names)


# --- Who may --------------------------------------------------------------------------------


def run_of(user: User, **fields: object) -> SpeedTestRun:
    values = {
        "user": user,
        "configuration": "main",
        "place": "0" * 16,
        "started_at": timezone.now(),
    }
    return SpeedTestRun.objects.create(**values | fields)


@pytest.mark.parametrize("url", ["/admin/speedtest", "/admin/speedtest/"])
def test_the_page_with_and_without_slash(client: Client, site: Site, url: str) -> None:
    answer = client.get(url)
    assert answer.status_code == 200
    assert "Speed test" in answer.content.decode()


@pytest.mark.parametrize("url", ["/admin/speedtest", "/admin/speedtest/"])
def test_anonymous_visitors_log_in(db: None, url: str) -> None:
    answer = Client().get(url)
    assert answer.status_code == 302
    assert "/login/" in answer.headers["Location"]


@pytest.mark.parametrize("step", ["start", *STEPS])
def test_no_step_for_the_anonymous_or_for_others(ada: User, site: Site, step: str) -> None:
    run = run_of(ada)
    url = reverse("speedtest:start") if step == "start" else reverse(f"speedtest:{step}",
                                                                     args=[run.pk])  # fmt: skip
    anonymous = Client().post(url, "{}", "application/json", headers={"Accept": "application/json"})
    assert anonymous.status_code == 401
    artist, staff = Client(), Client()
    artist.force_login(site.person())
    staff.force_login(User.objects.create_user("bob", password="x", is_staff=True))
    assert artist.get("/admin/speedtest").status_code == 403
    assert staff.get("/admin/speedtest").status_code == 403
    assert post(artist, url).status_code == 403
    assert post(staff, url).status_code == 403


@pytest.mark.parametrize("step", STEPS)
def test_another_admins_test_is_not_mine(client: Client, site: Site, step: str) -> None:
    other = User.objects.create_superuser("eve", "eve@studio.test", "secret")
    run = run_of(other)
    assert post(client, reverse(f"speedtest:{step}", args=[run.pk])).status_code == 404
    run.refresh_from_db()
    assert run.state == "running"


def test_steps_are_posts_with_a_token(client: Client, ada: User, site: Site) -> None:
    assert client.get(reverse("speedtest:start")).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(ada)
    assert post(strict, reverse("speedtest:start")).status_code == 403


# --- The page -------------------------------------------------------------------------------


def test_the_page_may_call_the_buckets_and_nothing_else(client: Client, site: Site) -> None:
    policy = client.get("/admin/speedtest").headers["Content-Security-Policy"]
    connect = next(part for part in policy.split("; ") if part.startswith("connect-src"))
    hosts = {site.emulator.endpoint_for(MAIN), site.emulator.endpoint_for(SYDNEY)}
    assert set(connect.split()) == {"connect-src", "'self'"} | hosts
    assert "unsafe" not in policy


def test_the_configuration_can_be_chosen_by_the_address(client: Client, site: Site) -> None:
    page = client.get("/admin/speedtest?configuration=sydney").content.decode()
    assert '<option value="sydney" selected>' in page
    # As the page of a result asks that was compared without its VPC endpoint.
    page = client.get("/admin/speedtest?configuration=sydney (regional endpoint)").content.decode()
    assert '<option value="sydney" selected>' in page
    assert '<option value="main" selected>' in client.get("/admin/speedtest").content.decode()


def test_without_configurations_the_page_says_what_to_do(client: Client, db: None) -> None:
    page = client.get("/admin/speedtest").content.decode()
    assert "no configuration to test yet" in page
    assert reverse("preferences:site") in page


def test_bytes_time_and_cost_are_told_before_start(client: Client, site: Site, settings) -> None:
    settings.SPEEDTEST_PLAN = {}
    page = " ".join(client.get("/admin/speedtest").content.decode().split())
    assert "less than 0.1 MB · about 8 s · less than $0.01" in page
    assert "at most 500 MB each way · about 80 s · $0.05" in page
    assert "at most 5.0 GB each way · about 110 s · $0.45" in page
    assert "stores a test file of 67 MB" in page
    settings.SPEEDTEST_EGRESS_PRICE_PER_GB = 0.2
    assert "$1.00" in client.get("/admin/speedtest").content.decode()
    settings.SPEEDTEST_EGRESS_PRICE_PER_GB = 0
    assert "$" not in client.get("/admin/speedtest").content.decode()


# --- Beginning ------------------------------------------------------------------------------


def test_one_running_test_per_person_and_configuration(client: Client, site: Site) -> None:
    urls = begin(client)
    again = post(client, reverse("speedtest:start"), {"configuration": "main", "mode": "quick"})
    assert again.status_code == 409
    assert again.json()["running"] in urls["finish"]
    begin(client, "sydney")
    assert SpeedTestRun.objects.filter(state="running").count() == 2


def test_the_database_refuses_a_second_one(ada: User, site: Site) -> None:
    run_of(ada)
    with pytest.raises(IntegrityError), transaction.atomic():
        run_of(ada)
    run_of(ada, state="done")


def test_a_test_that_was_left_behind_does_not_block(client: Client, site: Site) -> None:
    urls = begin(client)
    SpeedTestRun.objects.update(started_at=timezone.now() - timedelta(minutes=11))
    assert begin(client) != urls
    assert sorted(SpeedTestRun.objects.values_list("state", flat=True)) == ["left", "running"]


@pytest.mark.parametrize(
    "body",
    [{}, {"configuration": "nowhere", "mode": "quick"}, {"configuration": ["main"]},
     {"configuration": "main", "mode": "endless"}],
)  # fmt: skip
def test_what_cannot_begin(client: Client, site: Site, body: dict) -> None:
    answer = post(client, reverse("speedtest:start"), body)
    assert answer.status_code == 400
    assert answer.json()["message"]
    assert not SpeedTestRun.objects.exists()


# --- Steps ----------------------------------------------------------------------------------


def test_the_servers_checks_come_line_by_line_and_are_kept(client: Client, site: Site) -> None:
    urls = begin(client)
    answer = post(client, urls["server"])
    assert answer.streaming
    found = lines(answer)
    assert [finding["check"] for finding in found][:2] == ["configuration", "clock"]
    # "http://testserver" is no secure context, which is worth a warning.
    warned = [finding["check"] for finding in found if finding["status"] not in ("pass", "skip")]
    assert warned == ["configuration"]
    assert SpeedTestRun.objects.get().server_findings == [
        json.loads(json.dumps(finding)) for finding in found
    ]


def test_cors_is_asked_for_the_origin_of_this_site(client: Client, site: Site) -> None:
    site.emulator.set_cors(MAIN, [])
    found = {f["check"]: f for f in lines(post(client, begin(client)["server"]))}
    assert found["cors"]["status"] == "fail"
    assert SITE in found["cors"]["documents"][0][1]


def test_links_are_for_the_tests_own_objects(client: Client, site: Site) -> None:
    empty(site)
    urls = begin(client, mode="standard")
    given = links(client, urls)
    run = SpeedTestRun.objects.get()
    every = [given["put"]["url"], given["read_back"]["url"], given["multipart"]["url"]]
    every += [url for stream in given["uploads"] for url in stream.values()]
    assert len(given["uploads"]) == 4
    for url in every:
        assert f"/shotmedia/.speedtest/runs/{run.pk}/browser/" in url
        assert "X-Amz-Expires=900" in url
    for size, url in given["uploads"][0].items():
        assert "SignedHeaders=content-length%3Bhost" in url
        assert url.split("?")[0].endswith(f"-{size}.bin")
    assert "/shotmedia/.speedtest/seed-20MiB-v1.bin?" in given["seed"]["url"]
    body = requests.get(given["get"]["url"], timeout=5).content
    assert hashlib.sha256(body).hexdigest() == given["get"]["sha256"]


def test_an_upload_link_takes_exactly_its_size(client: Client, site: Site) -> None:
    url = links(client, begin(client))["put"]["url"]
    assert requests.put(url, data=b"x" * 1023, timeout=5).status_code == 403
    assert requests.put(url, data=b"x" * 1024, timeout=5).status_code == 200


def test_small_files_have_a_new_link_each_on_few_objects(client: Client, site: Site) -> None:
    empty(site)
    urls = begin(client, mode="standard")
    small = links(client, urls)["small_put"]
    assert len(small) == len(set(small)) == 400
    assert len({url.split("?")[0] for url in small}) == 4
    body = b"s" * (64 << 10)
    for url in small[:6]:
        assert requests.put(url, data=body, timeout=5).status_code == 200
    assert requests.put(small[6], data=body[1:], timeout=5).status_code == 403
    post(client, urls["finish"], {"state": "done"})
    assert [key for key in stored(site, MAIN) if "/runs/" in key] == []


def test_the_measured_parts_are_joined(client: Client, site: Site, settings) -> None:
    settings.SPEEDTEST_PLAN = PLAN | {"parts": [5 << 20, 1 << 20]}
    urls = begin(client, mode="standard")
    given = links(client, urls)["parts"]
    assert [part["bytes"] for part in given["parts"]] == [5 << 20, 1 << 20]
    body = {"upload_id": given["upload_id"], "etags": ["one"]}
    assert "2 ETags" in post(client, urls["join"], body).json()["message"]
    assert post(client, urls["join"], {"etags": ["one", "two"]}).status_code == 400
    etags = [
        requests.put(part["url"], data=b"p" * part["bytes"], timeout=5).headers["ETag"]
        for part in given["parts"]
    ]
    wrong = {"upload_id": given["upload_id"], "etags": [etags[0], '"0000"']}
    assert post(client, urls["join"], wrong).json()["status"] == "fail"
    right = {"upload_id": given["upload_id"], "etags": etags}
    assert post(client, urls["join"], right).json()["status"] == "pass"
    half = requests.get(given["read"], headers={"Range": "bytes=0-99"}, timeout=5)
    assert (half.status_code, half.content) == (206, b"p" * 100)


def test_every_object_that_a_browser_may_store_is_known_to_the_clean_up(
    client: Client, site: Site
) -> None:
    given = links(client, begin(client, mode="thorough"))
    run = SpeedTestRun.objects.get()
    known = {f"/shotmedia/{path}" for path in steps.test_paths(run.path, merged(PLAN))}
    every = [given["put"]["url"], given["multipart"]["url"], *given["small_put"]]
    every += [url for stream in given["uploads"] for url in stream.values()]
    every += [part["url"] for part in given["parts"]["parts"]]
    # Under 127.0.0.1 the emulator's buckets are in the path.
    stored_at = {urlsplit(url).path.removeprefix(f"/{MAIN}") for url in every}
    assert stored_at <= known


def test_thorough_gets_a_longer_plan(client: Client, site: Site) -> None:
    for name, mode, longest in (("main", "standard", 15_000), ("sydney", "thorough", 30_000)):
        body = {"configuration": name, "mode": mode}
        plan = post(client, reverse("speedtest:start"), body).json()["plan"]
        assert plan["upload"]["max_ms"] == plan["download"]["max_ms"] == longest


def test_the_seed_is_made_once_and_kept(client: Client, site: Site) -> None:
    empty(site)
    urls = begin(client, mode="standard")
    progress = [e["progress"] for e in lines(post(client, urls["prepare"])) if "progress" in e]
    assert any("8.4 MB of 21 MB" in text for text in progress)
    s3, key = site.emulator.s3(MAIN), "shotmedia/.speedtest/seed-20MiB-v1.bin"
    first = s3.head_object(Bucket=MAIN, Key=key)
    body = s3.get_object(Bucket=MAIN, Key=key)["Body"].read()
    assert len(body) == 20 << 20
    assert first["Metadata"]["sha256"] == hashlib.sha256(body).hexdigest()
    # Incompressible: base64 of half of it does not occur in the rest.
    assert base64.b64encode(body[:48]) not in base64.b64encode(body[48 : 1 << 20])
    links(client, urls)
    assert s3.head_object(Bucket=MAIN, Key=key)["LastModified"] == first["LastModified"]
    post(client, urls["finish"], {"state": "done"})
    assert s3.head_object(Bucket=MAIN, Key=key)["ETag"] == first["ETag"]


def test_a_read_only_replica_waits_for_replication(client: Client, site: Site) -> None:
    empty(site)
    site.emulator.faults(SYDNEY, status=403, methods=["PUT", "POST"])
    urls = begin(client, "sydney", "standard")
    given = links(client, urls)
    assert given["seed"] is None
    assert "has not been replicated to “sydney” yet" in given["notes"][0]
    assert given["download_only"] is True
    assert "shotmedia/.speedtest/seed-20MiB-v1.bin" in stored(site, MAIN)
    # While S3 replicates, nothing refuses writes.
    site.emulator.clear_faults()
    site.emulator.replicate_due(everything=True)
    site.emulator.faults(SYDNEY, status=403, methods=["PUT", "POST"])
    again = links(client, urls)
    assert again["seed"]["bytes"] == 20 << 20
    assert again["get"]["range"] == "bytes=0-1023"


def test_browsers_upload_to_a_replica_only_where_its_rules_let_them(
    client: Client, site: Site
) -> None:
    replica, primary = begin(client, "sydney"), begin(client, "main")
    assert links(client, replica)["download_only"] is False
    site.emulator.set_cors(SYDNEY, cors_rules(SITE, download_only=True))
    assert links(client, replica)["download_only"] is True
    # The primary has to take uploads, and a bucket without rules fails in the browser.
    site.emulator.set_cors(MAIN, cors_rules(SITE, download_only=True))
    assert links(client, primary)["download_only"] is False
    site.emulator.set_cors(SYDNEY, [])
    assert links(client, replica)["download_only"] is False


def test_links_without_credentials_are_a_problem_in_words(client: Client, site: Site) -> None:
    configurations = json.loads(site.values["s3_configuration"])
    configurations["main"]["profile"] = "nobody"
    site.prefer(s3_configuration=json.dumps(configurations))
    assert "cannot sign links" in lines(post(client, begin(client)["prepare"]))[-1]["problem"]


def test_replays_show_what_the_browser_may_not_see(client: Client, site: Site) -> None:
    urls = begin(client)
    links(client, urls)
    passes = post(client, urls["replay"], {"what": "get"}).json()
    assert passes["status"] == "pass"
    assert "between your browser and S3" in passes["message"]
    site.emulator.set_cors(MAIN, [])
    refused = post(client, urls["replay"], {"what": "put"}).json()
    assert "no CORS rules" in refused["message"]
    assert SITE in refused["documents"][0][1]
    site.emulator.faults(MAIN, status=403, methods=["PUT"])
    denied = post(client, urls["replay"], {"what": "put"}).json()
    assert denied["code"] == "AccessDenied"
    assert post(client, urls["replay"], {"what": "delete"}).status_code == 400


def test_a_replay_over_an_endpoint_that_only_browsers_reach(client: Client, site: Site) -> None:
    configurations = json.loads(site.values["s3_configuration"])
    configurations["main"]["s3_proxy_host_address"] = "http://127.0.0.1:9"
    site.prefer(s3_configuration=json.dumps(configurations))
    site.emulator.set_cors(MAIN, [])
    finding = post(client, begin(client)["replay"], {"what": "put"}).json()
    assert "no CORS rules" in finding["message"]
    assert f"Asked at {urlsplit(site.emulator.endpoint_for(MAIN)).netloc}" in finding["message"]


def test_a_refusal_of_the_browsers_address_only_gives_the_statement(
    client: Client, site: Site
) -> None:
    """The documented bucket policy: uploads work, downloads are denied from elsewhere."""
    urls = begin(client)
    links(client, urls)
    said = {"status": 403, "code": "AccessDenied", "message": "Access Denied", "request_id": "R1"}
    answer = post(client, urls["replay"], {"what": "get", "said": said}).json()
    assert (answer["status"], answer["code"], answer["request_id"]) == (
        "fail",
        "AccessDenied",
        "R1",
    )
    assert "This server may download, your browser may not" in answer["message"]
    assert "add 127.0.0.1/32 to its NotIpAddress" in answer["fix"]
    statement = json.loads(answer["documents"][0][1])
    assert statement["Condition"]["NotIpAddress"] == {"aws:SourceIp": ["127.0.0.1/32"]}
    assert statement["Resource"] == f"arn:aws:s3:::{MAIN}/shotmedia/*"
    put = post(client, urls["replay"], {"what": "put", "said": said}).json()
    assert "your browser at 127.0.0.1/32 may not" in put["message"]
    # Where the server is refused too, it is explained as any refusal.
    site.emulator.faults(MAIN, status=403, methods=["GET"])
    both = post(client, urls["replay"], {"what": "get", "said": said}).json()
    assert "the site's identity may not download" in both["message"].lower()


@pytest.mark.parametrize(
    "said", [None, "403", {"status": "403"}, {"status": 200}, {"code": "AccessDenied"}]
)
def test_what_a_browser_says_is_not_trusted(client: Client, site: Site, said: object) -> None:
    urls = begin(client)
    links(client, urls)
    answer = post(client, urls["replay"], {"what": "get", "said": said}).json()
    assert answer["status"] == "pass"


def test_a_replay_for_headers_that_the_page_may_not_read(client: Client, site: Site) -> None:
    urls = begin(client)
    links(client, urls)
    rules = [{"AllowedOrigins": [SITE], "AllowedMethods": ["GET", "PUT"], "AllowedHeaders": ["*"]}]
    site.emulator.set_cors(MAIN, rules)
    for what, header in (("range", "Content-Range"), ("etag", "ETag")):
        answer = post(client, urls["replay"], {"what": what}).json()
        assert f"may not read {header}" in answer["message"]
        assert SITE in answer["documents"][0][1]
        assert answer["requests"][0]["headers"]["Origin"] == SITE


def test_the_servers_view_of_the_host(client: Client, site: Site) -> None:
    view = post(client, begin(client)["replay"], {"what": "reach"}).json()
    assert view["addresses"] == ["127.0.0.1"]
    assert view["private"] is True
    assert [view[name] for name in ("dns_error", "tcp_error", "tls_error")] == ["", "", ""]
    site.emulator.faults(MAIN, refuse=True)
    urls = {"replay": reverse("speedtest:replay", args=[SpeedTestRun.objects.get().pk])}
    assert "refused" in post(client, urls["replay"], {"what": "reach"}).json()["tcp_error"]


def test_the_servers_view_through_a_proxy_is_none(
    client: Client, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = begin(client)
    monkeypatch.setattr(
        "speedtest.replays.get_environ_proxies", lambda url: {"http": "http://proxy:3128"}
    )
    assert post(client, urls["replay"], {"what": "reach"}).json() == {"proxy": True}


def test_a_part_from_the_browser_is_joined(client: Client, site: Site) -> None:
    urls = begin(client)
    part = links(client, urls)["multipart"]
    etag = requests.put(part["url"], data=b"p" * part["bytes"], timeout=5).headers["ETag"]
    body = {"upload_id": part["upload_id"], "etag": etag}
    assert post(client, urls["complete"], body).json()["status"] == "pass"
    wrong = body | {"etag": '"<Part>"'}
    assert post(client, urls["complete"], wrong).status_code == 400


# --- The end --------------------------------------------------------------------------------


def test_the_end_removes_everything_and_keeps_the_result(client: Client, site: Site) -> None:
    empty(site)
    urls = begin(client)
    links(client, urls)
    path = next(key for key in stored(site, MAIN) if "/runs/" in key)
    site.emulator.replicate_due(everything=True)
    assert path in stored(site, SYDNEY)
    answer = post(
        client,
        urls["finish"],
        {
            "state": "done",
            "findings": [{"check": "get", "status": "pass"}],
            "figures": {"download": {"mbps": 94.2, "streams": 4}, "idle_median_ms": 12},
        },
    ).json()
    assert answer["row"]["download"] == "94.2 Mbit/s"
    assert [finding["status"] for finding in answer["cleanup"]] == ["pass", "pass"]
    for bucket in (MAIN, SYDNEY):
        assert [key for key in stored(site, bucket) if "/runs/" in key] == []
    run = SpeedTestRun.objects.get()
    uploads = site.emulator.s3(MAIN).list_multipart_uploads(Bucket=MAIN).get("Uploads", [])
    assert [upload for upload in uploads if run.path in upload["Key"]] == []
    assert (run.state, run.figures["download"]["mbps"]) == ("done", 94.2)
    assert run.finished_at is not None
    page = client.get("/admin/speedtest").content.decode()
    assert "94.2 Mbit/s" in page
    assert re.search(r"12 ms", page)


def test_an_end_that_is_told_again_is_answered_again(client: Client, site: Site) -> None:
    urls = begin(client)
    told = {"state": "done", "figures": {"download": {"mbps": 94.2}}}
    first = post(client, urls["finish"], told).json()
    # The answer was lost on the way; what the page says now changes nothing.
    second = post(client, urls["finish"], {"state": "stopped"})
    assert second.status_code == 200
    assert second.json() == first
    assert SpeedTestRun.objects.get().state == "done"
    assert post(client, urls["prepare"]).status_code == 409


def test_what_is_in_the_way_is_said_to_be_where_it_is(
    client: Client, ada: User, site: Site
) -> None:
    run_of(ada, state="running", source="server", seen_at=timezone.now())
    body = {"configuration": "main", "mode": "quick"}
    answer = post(client, reverse("speedtest:start"), body)
    assert answer.status_code == 409
    assert answer.json()["message"].endswith(", from this server.")


def take_over(client: Client, run: str):
    body = {"configuration": "main", "mode": "quick", "end": run}
    return post(client, reverse("speedtest:start"), body)


def test_a_page_whose_test_was_taken_over_is_told_and_cleaned_up_after(
    client: Client, site: Site
) -> None:
    urls = begin(client)
    run = SpeedTestRun.objects.get()
    assert take_over(client, str(run.pk)).status_code == 200
    # It did not know, and went on.
    key = f"shotmedia/{run.path}browser/up-0-131072.bin"
    site.emulator.s3(MAIN).put_object(Bucket=MAIN, Key=key, Body=b"late")
    assert "ended meanwhile" in post(client, urls["prepare"]).json()["message"]
    answer = post(client, urls["finish"], {"state": "done"})
    assert answer.status_code == 409
    assert "ended from another tab or window" in answer.json()["message"]
    assert "Its test objects were removed." in answer.json()["message"]
    assert key not in stored(site, MAIN)
    run.refresh_from_db()
    assert run.state == "left"
    assert "1 test object" in run.cleanup[0]["message"]


def test_a_computer_that_slept_through_its_test_is_told_so(client: Client, site: Site) -> None:
    urls = begin(client)
    SpeedTestRun.objects.update(started_at=timezone.now() - timedelta(minutes=11))
    begin(client, "sydney")
    site.emulator.faults(MAIN, refuse=True)
    message = post(client, urls["finish"], {"state": "done"}).json()["message"]
    assert "as 10 minutes had gone by" in message
    assert "Perhaps this computer was asleep." in message
    # What is not proven is not said.
    assert "could not be removed now" in message
    assert "were removed." not in message


def test_what_is_taken_over_after_its_configuration_was_changed_is_not_called_clean(
    client: Client, site: Site
) -> None:
    begin(client)
    run = SpeedTestRun.objects.get()
    configurations = json.loads(site.values["s3_configuration"])
    configurations["main"]["prefix"] = "elsewhere"
    site.prefer(s3_configuration=json.dumps(configurations))
    assert take_over(client, str(run.pk)).status_code == 200
    run.refresh_from_db()
    assert f"what the test left in {MAIN} below {run.path}" in run.verdict
    assert run.cleanup == []


def test_links_that_are_still_being_made_when_the_test_is_stopped_leave_nothing(
    client: Client, site: Site
) -> None:
    empty(site)
    urls = begin(client, mode="standard")
    preparing = post(client, urls["prepare"])
    post(client, urls["finish"], {"state": "stopped"})
    assert b'"links"' in preparing.getvalue()
    assert [key for key in stored(site, MAIN) if "/runs/" in key] == []
    assert "Uploads" not in site.emulator.s3(MAIN).list_multipart_uploads(Bucket=MAIN)


def test_a_replay_that_is_under_way_when_the_test_is_stopped_leaves_nothing(
    client: Client, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty(site)
    urls = begin(client)
    replay = replays.replay

    def late(*args: object, **kwargs: object):
        post(client, urls["finish"], {"state": "stopped"})
        return replay(*args, **kwargs)

    monkeypatch.setattr(replays, "replay", late)
    assert post(client, urls["replay"], {"what": "put"}).status_code == 200
    assert [key for key in stored(site, MAIN) if "/runs/" in key] == []


def test_a_beacon_ends_a_test(client: Client, site: Site) -> None:
    urls = begin(client)
    links(client, urls)
    client.post(urls["finish"], {"result": json.dumps({"state": "left"})})
    assert SpeedTestRun.objects.get().state == "left"
    assert [key for key in stored(site, MAIN) if "/runs/" in key] == []


def test_what_interrupted_tests_left_is_removed_by_the_next(client: Client, site: Site) -> None:
    first = begin(client)
    post(client, first["finish"], {"state": "left"})
    run = SpeedTestRun.objects.get()
    key = f"shotmedia/{run.path}browser/up-0-131072.bin"
    site.emulator.s3(MAIN).put_object(Bucket=MAIN, Key=key, Body=b"late")
    answer = post(client, begin(client)["finish"], {"state": "done"}).json()
    assert "1 left over from earlier tests" in answer["cleanup"][0]["message"]
    assert key not in stored(site, MAIN)


def test_media_is_never_touched(client: Client, site: Site) -> None:
    media = site.media_file()
    key = f"shotmedia/{media.path}"
    site.emulator.log.clear()
    urls = begin(client, mode="standard")
    post(client, urls["server"]).getvalue()
    links(client, urls)
    post(client, urls["finish"], {"state": "done"})
    touched = {record.key for record in site.emulator.log if record.key}
    assert touched
    assert all(one.startswith("shotmedia/.speedtest/") for one in touched)
    assert key in stored(site, MAIN)


def test_objects_that_stay_are_told(client: Client, site: Site) -> None:
    urls = begin(client)
    links(client, urls)
    site.emulator.faults(MAIN, status=403, methods=["DELETE"])
    answer = post(client, urls["finish"], {"state": "done"}).json()
    assert answer["cleanup"][0]["status"] == "fail"
    assert "could not be removed" in answer["cleanup"][0]["message"]


def test_a_replica_that_is_down_does_not_lose_the_result(client: Client, site: Site) -> None:
    urls = begin(client)
    site.emulator.faults(SYDNEY, refuse=True)
    answer = post(client, urls["finish"], {"state": "done"}).json()
    assert [finding["status"] for finding in answer["cleanup"]] == ["pass", "fail"]
    assert SpeedTestRun.objects.get().state == "done"


def test_a_configuration_that_was_changed_meanwhile(client: Client, site: Site) -> None:
    urls = begin(client)
    configurations = json.loads(site.values["s3_configuration"])
    configurations["main"]["prefix"] = "elsewhere"
    site.prefer(s3_configuration=json.dumps(configurations))
    for step in STEPS:
        answer = post(client, urls[step], {"state": "done"})
        assert answer.status_code == 409
        assert "was changed while the test ran" in answer.json()["message"]
    assert SpeedTestRun.objects.get().state == "failed"


# --- For IT ---------------------------------------------------------------------------------


def test_the_text_for_it(client: Client, site: Site) -> None:
    site.emulator.set_cors(MAIN, [])
    urls = begin(client)
    post(client, urls["server"]).getvalue()
    url = links(client, urls)["put"]["url"]
    request = {"by": "browser", "method": "PUT", "url": url, "headers": {"Origin": SITE},
               "status": 0, "time": "2026-11-25T10:00:00Z"}  # fmt: skip
    finding = {"check": "put", "title": "Upload 1 KiB", "status": "fail", "message": "May not.",
               "requests": [request, "no", {"headers": 1}]}  # fmt: skip
    answer = post(client, urls["finish"], {"state": "done", "findings": [finding]}).json()
    text = client.get(answer["report"])
    assert text.headers["Content-Type"] == "text/plain; charset=utf-8"
    body = text.content.decode()
    host = urlsplit(site.emulator.endpoint_for(MAIN)).netloc
    for words in (
        f"- Site: {SITE}",
        f"s3://{MAIN}/shotmedia in us-east-1",
        "- Person: ada",
        "- Address of the browser: 127.0.0.1",
        "- Address of this server: 127.0.0.1",
        "CORS for this site (from this server): failed",
        f"    OPTIONS http://{host}/{MAIN}/shotmedia/.speedtest/runs/",
        "    Access-Control-Request-Method: PUT",
        "Upload 1 KiB (from the browser): failed",
        "X-Amz-Signature=REDACTED",
        '"CORSRules"',
        f'"{SITE}"',
    ):
        assert words in body
    ids = re.findall(r"-> 403, x-amz-request-id (\w+), x-amz-id-2 \S+", body)
    assert ids
    signature = re.search(r"X-Amz-Signature=(\w+)", url)[1]
    credential = re.search(r"X-Amz-Credential=([^&]+)", url)[1]
    for secret in (signature, credential):
        assert secret not in body
        assert secret not in json.dumps(SpeedTestRun.objects.get().browser_findings)


def test_the_text_for_it_is_for_admins(client: Client, site: Site) -> None:
    other = User.objects.create_superuser("eve", "eve@studio.test", "secret")
    url = reverse("speedtest:report", args=[run_of(other, state="done").pk])
    # The list of results is everybody's who may test.
    assert client.get(url).status_code == 200
    assert client.post(url).status_code == 405
    artist, staff = Client(), Client()
    artist.force_login(site.person())
    staff.force_login(User.objects.create_user("bob", password="x", is_staff=True))
    assert artist.get(url).status_code == 403
    assert staff.get(url).status_code == 403
    assert Client().get(url).status_code == 302
    nobody = reverse("speedtest:report", args=["00000000-0000-4000-8000-000000000000"])
    assert client.get(nobody).status_code == 404


def test_there_is_one_list_of_results(client: Client, ada: User, site: Site) -> None:
    run = run_of(ada, state="done", figures={"download": {"mbps": 50.0}})
    results = reverse("speedtest:results")
    assert client.get(reverse("admin:speedtest_speedtestrun_changelist")).url == results
    change = reverse("admin:speedtest_speedtestrun_change", args=[run.pk])
    assert client.get(change).url == reverse("speedtest:result", args=[run.pk])
    assert client.get(reverse("admin:speedtest_speedtestrun_add")).status_code == 403
    assert (
        reverse("admin:speedtest_speedtestrun_changelist") in client.get("/admin/").content.decode()
    )


def test_a_result_is_deleted_after_a_question(client: Client, ada: User, site: Site) -> None:
    run = run_of(ada, state="done")
    delete = reverse("admin:speedtest_speedtestrun_delete", args=[run.pk])
    assert delete in client.get(reverse("speedtest:result", args=[run.pk])).content.decode()
    assert "Are you sure" in client.get(delete).content.decode()
    answer = client.post(delete, {"post": "yes"}, follow=True)
    assert answer.redirect_chain[-1][0] == reverse("speedtest:results")
    assert "was deleted successfully" in answer.content.decode()
    assert not SpeedTestRun.objects.exists()
    # Nobody would clean up after a test that runs.
    running = run_of(ada)
    delete = reverse("admin:speedtest_speedtestrun_delete", args=[running.pk])
    assert client.post(delete, {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("pk", ["x", "00000000-0000-0000-0000-000000000000"])
def test_a_result_that_does_not_exist_is_not_found_in_the_admin(client: Client, pk: str) -> None:
    assert client.get(f"/admin/speedtest/speedtestrun/{pk}/change/").status_code == 404


def test_who_may_only_view_results_sees_them_and_starts_nothing(site: Site, ada: User) -> None:
    viewer = User.objects.create_user("vi", password="x", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_speedtestrun"))
    client = Client()
    client.force_login(viewer)
    run = run_of(ada, state="done")
    for name, args in (("results", []), ("result", [run.pk]), ("report", [run.pk]),
                       ("results_csv", []), ("results_json", [])):  # fmt: skip
        assert client.get(reverse(f"speedtest:{name}", args=args)).status_code == 200, name
    page = client.get(reverse("speedtest:result", args=[run.pk])).content.decode()
    assert "Test this configuration again" not in page
    assert "Delete this result" not in page
    assert client.get("/admin/speedtest").status_code == 403
    assert post(client, reverse("speedtest:start")).status_code == 403


def test_the_newest_results_lead_to_their_pages(client: Client, ada: User, site: Site) -> None:
    run = run_of(ada, state="done")
    page = client.get("/admin/speedtest").content.decode()
    assert f'href="{reverse("speedtest:result", args=[run.pk])}"' in page
