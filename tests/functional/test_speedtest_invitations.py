"""“Send this test”: links for artists, and every way in which they end."""

import json
from datetime import timedelta

import pytest
import requests
from django.core.signing import Signer
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from preferences.models import User
from preferences.snapshot import current_preferences
from speedtest import invitation_views
from speedtest.invitations import path_of, plain_result, token_of, verdict_by_link
from speedtest.models import SpeedTestInvitation, SpeedTestRun
from tests.functional.conftest import MAIN, Site

SITE = "http://testserver"
STEPS = ("prepare", "replay", "complete", "join", "finish")
LIST = "/admin/speedtest/invitations/"


@pytest.fixture(autouse=True)
def small_plan(settings) -> None:
    """A small seed and few sizes."""
    settings.SPEEDTEST_PLAN = {"seed_bytes": 4 << 20, "most_size": 1 << 20, "parts": [5 << 20]}


@pytest.fixture
def ada(db: None) -> User:
    """Somebody who may change Site Preferences."""
    return User.objects.create_superuser("ada", "ada@studio.test", "secret")


@pytest.fixture
def admin(ada: User) -> Client:
    client = Client()
    client.force_login(ada)
    return client


@pytest.fixture
def anna(site: Site, ada: User) -> SpeedTestInvitation:
    """A link to test “main”, made by ada."""
    return invite(ada)


def invite(maker: User, **fields: object) -> SpeedTestInvitation:
    now = timezone.now()
    values = {
        "configuration": "main",
        "place": current_preferences().configurations["main"].fingerprint,
        "note": "Anna, home office",
        "made_by": maker,
        "created_at": now,
        "expires_at": now + timedelta(days=7),
    }
    return SpeedTestInvitation.objects.create(**values | fields)


def post(client: Client, url: str, body: dict | None = None):
    return client.post(url, json.dumps(body or {}), "application/json", headers={"Origin": SITE})


def begin(client: Client, invitation: SpeedTestInvitation, **body: object):
    return post(client, f"{path_of(invitation)}/start", body)


def lines(answer) -> list[dict]:
    return [json.loads(line) for line in answer.getvalue().splitlines()]


# --- Who may --------------------------------------------------------------------------------


def test_links_are_made_and_listed_by_admins_only(anna: SpeedTestInvitation) -> None:
    revoke = reverse("speedtest:revoke_invitation", args=[anna.pk])
    staff, artist = Client(), Client()
    staff.force_login(User.objects.create_user("bob", password="x", is_staff=True))
    artist.force_login(User.objects.create_user("art", password="x"))
    assert "/login/" in Client().get(LIST).headers["Location"]
    assert Client().post(revoke).status_code == 302
    for client in (staff, artist):
        assert client.get(LIST).status_code == 403
        assert client.post(LIST, {"note": "x"}).status_code == 403
        assert client.post(revoke).status_code == 403
    anna.refresh_from_db()
    assert anna.revoked_at is None
    assert SpeedTestInvitation.objects.count() == 1


def test_whoever_holds_a_link_gets_nothing_else(anna: SpeedTestInvitation, ada: User) -> None:
    visitor = Client()
    assert visitor.get(path_of(anna)).status_code == 200
    run = begin(visitor, anna).json()
    elsewhere = ["/admin/speedtest", LIST, "/admin/speedtest/results/", "/admin/", "/", "/account/",
                 "/admin/speedtest/results.csv", "/admin/speedtest/results.json",
                 f"/admin/speedtest/results/{run['run']}/", "/admin/speedtest/lag",
                 f"/admin/speedtest/runs/{run['run']}/report.txt"]  # fmt: skip
    for url in elsewhere:
        answer = visitor.get(url)
        assert answer.status_code == 302, url
        assert "/login/" in answer.headers["Location"], url
    for step in ("server", *STEPS):
        url = reverse(f"speedtest:{step}", args=[run["run"]])
        assert post(visitor, url).status_code == 401


def test_the_run_of_another_link_is_not_found(anna: SpeedTestInvitation, ada: User) -> None:
    run = begin(Client(), anna).json()["run"]
    other = invite(ada, note="Ben")
    own = SpeedTestRun.objects.create(
        user=ada, configuration="main", place=anna.place, started_at=timezone.now()
    )
    for step in STEPS:
        for pk in (run, own.pk):
            url = reverse(f"speedtest:invited_{step}", args=[token_of(other), pk])
            assert post(Client(), url).status_code == 404
    assert SpeedTestRun.objects.filter(state="running").count() == 2


def test_steps_are_posts_with_a_form_token(anna: SpeedTestInvitation) -> None:
    assert Client().get(f"{path_of(anna)}/start").status_code == 405
    strict = Client(enforce_csrf_checks=True)
    assert begin(strict, anna).status_code == 401
    strict.get(path_of(anna))
    headers = {"Origin": SITE, "X-CSRFToken": strict.cookies["csrftoken"].value}
    url = f"{path_of(anna)}/start"
    answer = strict.post(url, "{}", "application/json", headers=headers)
    assert answer.status_code == 200


# --- Making ---------------------------------------------------------------------------------


def test_an_admin_makes_copies_and_revokes_a_link(admin: Client, ada: User, site: Site) -> None:
    form = {"note": "Anna, home office", "configuration": "sydney", "days": "1", "max_runs": "3"}
    page = admin.post(LIST, form, follow=True).content.decode()
    made = SpeedTestInvitation.objects.get()
    assert (made.configuration, made.made_by, made.max_runs) == ("sydney", ada, 3)
    assert made.expires_at - made.created_at == timedelta(days=1)
    assert f'value="{SITE}{path_of(made)}"' in page
    assert Client().get(path_of(made)).status_code == 200
    page = admin.post(reverse("speedtest:revoke_invitation", args=[made.pk]), follow=True)
    assert "This link was withdrawn." in page.content.decode()
    assert path_of(made) not in page.content.decode()
    assert Client().get(path_of(made)).status_code == 410


def test_a_link_that_may_still_be_used_is_listed_however_old(
    admin: Client, ada: User, anna: SpeedTestInvitation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invitation_views, "LISTED", 1)
    for number in range(1, 4):
        made = timezone.now() + timedelta(minutes=number)
        invite(ada, note=f"dead {number}", created_at=made, revoked_at=made)
    page = admin.get(LIST).content.decode()
    assert page.index("dead 3") < page.index(path_of(anna))
    assert "dead 2" not in page


@pytest.mark.parametrize(
    "wrong", [{"note": "  "}, {"configuration": "nowhere"}, {"days": "365"}, {"max_runs": "0"}]
)
def test_a_wrong_form_keeps_what_was_typed(admin: Client, site: Site, wrong: dict) -> None:
    form = {"note": "Zoë", "configuration": "main", "days": "7", "max_runs": "19"} | wrong
    answer = admin.post(LIST, form)
    assert answer.status_code == 200
    assert 'class="st-error"' in answer.content.decode()
    if "max_runs" not in wrong:
        assert 'value="19"' in answer.content.decode()
    assert not SpeedTestInvitation.objects.exists()


def test_without_a_configuration_there_is_nothing_to_send(admin: Client, db: None) -> None:
    assert "no configuration to test yet" in admin.get(LIST).content.decode()


# --- Every way in which a link ends ---------------------------------------------------------


def expire(link: SpeedTestInvitation, site: Site) -> None:
    SpeedTestInvitation.objects.update(expires_at=timezone.now())


def revoke(link: SpeedTestInvitation, site: Site) -> None:
    SpeedTestInvitation.objects.update(revoked_at=timezone.now())


def deactivate(link: SpeedTestInvitation, site: Site) -> None:
    User.objects.filter(pk=link.made_by_id).update(is_active=False)


def demote(link: SpeedTestInvitation, site: Site) -> None:
    User.objects.filter(pk=link.made_by_id).update(is_superuser=False)


def unstaff(link: SpeedTestInvitation, site: Site) -> None:
    User.objects.filter(pk=link.made_by_id).update(is_staff=False)


def remove_maker(link: SpeedTestInvitation, site: Site) -> None:
    User.objects.filter(pk=link.made_by_id).delete()


def point_elsewhere(link: SpeedTestInvitation, site: Site) -> None:
    site.prefer(s3_configuration=site.values["s3_configuration"].replace('"shotmedia"', '"else"'))


def remove_configuration(link: SpeedTestInvitation, site: Site) -> None:
    left = json.loads(site.values["s3_configuration"])
    del left["main"]
    site.prefer(
        s3_configuration=json.dumps(left), storage_location="sydney", s3_bucket_for_replication=""
    )


WAYS = {
    expire: "good until",
    revoke: "withdrawn",
    deactivate: "may not send tests",
    demote: "may not send tests",
    unstaff: "may not send tests",
    remove_maker: "may not send tests",
    point_elsewhere: "changed since",
    remove_configuration: "changed since",
}


@pytest.mark.parametrize(("way", "said"), WAYS.items())
def test_a_dead_link_says_why_and_starts_nothing(
    anna: SpeedTestInvitation, site: Site, way, said: str
) -> None:
    way(anna, site)
    page = Client().get(path_of(anna))
    assert page.status_code == 410
    assert said in page.content.decode()
    assert "Ask whoever sent it to you" in page.content.decode()
    answer = begin(Client(), anna)
    assert answer.status_code == 410
    assert said in answer.json()["message"]
    assert not SpeedTestRun.objects.exists()


@pytest.mark.parametrize("way", WAYS)
def test_it_also_ends_while_a_test_runs(anna: SpeedTestInvitation, site: Site, way) -> None:
    visitor = Client()
    urls = begin(visitor, anna).json()["urls"]
    way(anna, site)
    for step in ("prepare", "replay", "complete", "join"):
        assert post(visitor, urls[step]).status_code == 410, step
    # Whatever has happened to the link, its test ends.
    answer = post(visitor, urls["finish"], {"state": "stopped"})
    changed = way in (point_elsewhere, remove_configuration)
    assert answer.status_code == (409 if changed else 200)
    assert not SpeedTestRun.objects.filter(state="running").exists()


def test_a_tampered_or_foreign_token_is_not_found(anna: SpeedTestInvitation, ada: User) -> None:
    token = token_of(anna)
    other = invite(ada, note="Ben")
    forged = f"{other.pk}.{token.rpartition('.')[2]}"
    wrong = [token[:-1], token + "x", forged, str(anna.pk), "x",
             Signer(salt="another", sep=".").sign(str(anna.pk)),
             Signer(salt="speedtest.invitation", sep=".").sign("no uuid"),
             Signer(salt="speedtest.invitation", sep=".").sign("0" * 32)]  # fmt: skip
    for text in wrong:
        assert Client().get(reverse("speedtest:invited", args=[text])).status_code == 404
        url = reverse("speedtest:invited_start", args=[text])
        assert post(Client(), url).status_code == 404
    assert not SpeedTestRun.objects.exists()


def test_a_link_is_used_up(anna: SpeedTestInvitation) -> None:
    SpeedTestInvitation.objects.update(max_runs=2)
    visitor = Client()
    for _ in range(2):
        post(visitor, begin(visitor, anna).json()["urls"]["finish"], {"state": "done"})
    assert "good for 2 tests" in visitor.get(path_of(anna)).content.decode()
    answer = begin(visitor, anna)
    assert answer.status_code == 410
    assert "good for 2 tests" in answer.json()["message"]
    assert anna.runs.count() == 2


# --- A test ---------------------------------------------------------------------------------


def test_one_running_test_for_each_link(anna: SpeedTestInvitation, ada: User, site: Site) -> None:
    first = begin(Client(), anna).json()["run"]
    again = begin(Client(), anna)
    assert (again.status_code, again.json()["running"]) == (409, first)
    assert begin(Client(), anna, end=first).status_code == 200
    assert SpeedTestRun.objects.get(pk=first).state == "left"
    assert begin(Client(), invite(ada, note="Ben")).status_code == 200
    with pytest.raises(IntegrityError), transaction.atomic():
        SpeedTestRun.objects.create(
            invitation=anna, configuration="main", place="", started_at=timezone.now()
        )


def test_a_test_that_another_tab_has_ended_is_told_in_plain_words(
    anna: SpeedTestInvitation, site: Site
) -> None:
    visitor = Client()
    first = begin(visitor, anna).json()
    run = SpeedTestRun.objects.get()
    begin(visitor, anna, end=first["run"])
    key = f"shotmedia/{run.path}browser/up-0-131072.bin"
    site.emulator.s3(MAIN).put_object(Bucket=MAIN, Key=key, Body=b"late")
    answer = post(visitor, first["urls"]["finish"], {"state": "done"})
    assert answer.status_code == 409
    assert "ended meanwhile: from another tab" in answer.json()["message"]
    stored = site.emulator.s3(MAIN).list_objects_v2(Bucket=MAIN, Prefix=f"shotmedia/{run.path}")
    assert stored["KeyCount"] == 0


def test_an_end_that_is_told_again_is_answered_again(anna: SpeedTestInvitation) -> None:
    visitor = Client()
    finish = begin(visitor, anna).json()["urls"]["finish"]
    first = post(visitor, finish, {"state": "stopped"}).json()
    assert post(visitor, finish, {"state": "done"}).json() == first


def test_who_is_logged_in_runs_one_test_of_a_configuration(
    anna: SpeedTestInvitation, ada: User
) -> None:
    visitor = Client()
    visitor.force_login(User.objects.create_user("art", password="x"))
    run = SpeedTestRun.objects.get(pk=begin(visitor, anna).json()["run"])
    assert run.user.get_username() == "art"
    assert begin(visitor, invite(ada, note="Ben")).status_code == 409


def test_always_the_standard_test_of_its_own_configuration(anna: SpeedTestInvitation) -> None:
    answer = begin(Client(), anna, mode="thorough", configuration="sydney").json()
    run = SpeedTestRun.objects.get()
    assert (run.mode, run.configuration, run.user) == ("standard", "main", None)
    assert answer["plan"]["cap_bytes"] == 500_000_000
    assert "server" not in answer["urls"]


def test_links_are_for_the_tests_own_objects_and_all_are_removed(
    anna: SpeedTestInvitation, site: Site
) -> None:
    visitor = Client()
    begun = begin(visitor, anna).json()
    given = lines(post(visitor, begun["urls"]["prepare"]))[-1]["links"]
    for url in [given["put"]["url"], *given["small_put"], given["parts"]["parts"][0]["url"]]:
        assert f"/shotmedia/.speedtest/runs/{begun['run']}/browser/" in url
        assert "X-Amz-Expires=900" in url
        assert "SignedHeaders=content-length%3Bhost" in url
    assert requests.put(given["put"]["url"], data=b"x" * 1023, timeout=5).status_code == 403
    assert requests.put(given["put"]["url"], data=b"x" * 1024, timeout=5).status_code == 200
    post(visitor, begun["urls"]["finish"], {"state": "done"})
    answer = site.emulator.s3(MAIN).list_object_versions(Bucket=MAIN)
    kept = [one["Key"] for kind in ("Versions", "DeleteMarkers") for one in answer.get(kind, ())]
    assert [key for key in kept if begun["run"] in key] == []


def test_the_result_is_with_the_admin_under_the_note(
    anna: SpeedTestInvitation, admin: Client
) -> None:
    visitor = Client(REMOTE_ADDR="203.0.113.9")
    begun = begin(visitor, anna).json()
    figures = {"download": {"mbps": 480.0}, "upload": {"mbps": 96.0}, "idle_median_ms": 12}
    findings = [{"check": "get", "title": "Download", "status": "pass"}]
    told = post(visitor, begun["urls"]["finish"],
                {"state": "done", "figures": figures, "findings": findings})  # fmt: skip
    assert told.json() == {
        "told": {
            "status": "pass",
            "title": "Done, thank you. The result is with whoever sent you the link.",
            "sentences": [
                "Download 480 Mbit/s: a 2 GB plate takes 33 s.",
                "Upload 96.0 Mbit/s: a 2 GB plate takes 2 min 47 s.",
                "Enough for 24 reviews in 1080p at once.",
                "An answer takes 12 ms.",
            ],
        }
    }
    run = SpeedTestRun.objects.get()
    assert (run.verdict_status, run.verdict) == ("pass", "From there everything works.")
    page = admin.get("/admin/speedtest/results/?office=203.0.113.0/24").content.decode()
    assert "Anna, home office" in page
    assert "480 Mbit/s" in page
    assert "Anna, home office" in admin.get("/admin/speedtest").content.decode()
    assert ">1</a> of 20" in admin.get(LIST).content.decode()


def test_a_fault_is_explained_to_the_admin_and_not_to_the_visitor(
    anna: SpeedTestInvitation, admin: Client, site: Site
) -> None:
    visitor = Client()
    site.emulator.set_cors(MAIN, [])
    begun = begin(visitor, anna).json()
    told = post(visitor, begun["urls"]["replay"], {"what": "put"})
    assert set(told.json()) == {"status", "message"}
    assert MAIN not in told.content.decode()
    finding = {"check": "put", "title": "Upload", "status": "fail",
               "message": "Your browser may not upload."}  # fmt: skip
    end = post(visitor, begun["urls"]["finish"], {"state": "done", "findings": [finding]})
    assert end.json()["told"]["title"].startswith("Not everything worked.")
    assert MAIN not in end.content.decode()
    page = admin.get(f"/admin/speedtest/results/{begun['run']}/").content.decode()
    assert "The same request from this server" in page
    assert "no CORS rules" in page
    assert SpeedTestRun.objects.get().verdict_status == "fail"


def test_what_s3_says_stays_with_the_site(anna: SpeedTestInvitation, site: Site) -> None:
    site.emulator.faults(MAIN, status=403)
    visitor = Client()
    urls = begin(visitor, anna).json()["urls"]
    told = post(visitor, urls["prepare"]).getvalue().decode()
    assert "AccessDenied" not in told
    assert json.loads(told.splitlines()[-1])["links"]["notes"] == []
    body = {"upload_id": "u", "etag": '"e"'}
    answer = post(visitor, urls["complete"], body).json()
    assert answer == {
        "check": "multipart",
        "status": "fail",
        "message": "The site has noted why, for whoever sent you the link.",
    }
    assert "403" in json.dumps(SpeedTestRun.objects.get().server_findings)


FINDING = {"check": "get", "status": "fail", "message": "m"}


@pytest.mark.parametrize(
    ("step", "body", "status"),
    [
        ("replay", '{"what": []}', 400),
        ("replay", '{"what": "get", "said": {"status": 403, "message": "\\u0000\\ud800"}}', 200),
        ("complete", '{"upload_id": "\\ud800", "etag": "e"}', 400),
        ("complete", '{"upload_id": ' + "[" * 900 + "]" * 900 + "}", 400),
        ("finish", json.dumps({"findings": [FINDING | {"message": "\0\ud800"}]}), 200),
        ("finish", json.dumps({"findings": [FINDING | {"requests": [{"url": "http://["}]}]}), 200),
        ("finish", json.dumps({"figures": {"bytes_up": 10**400}}), 200),
        ("finish", json.dumps({"findings": [FINDING | {"requests": [{"status": 10**400}]}]}), 200),
    ],
    ids=lambda value: str(value)[:40],
)
def test_whatever_is_sent_is_answered(
    anna: SpeedTestInvitation, step: str, body: str, status: int
) -> None:
    visitor = Client()
    url = begin(visitor, anna).json()["urls"][step]
    answer = visitor.post(url, body, "application/json", headers={"Origin": SITE})
    assert answer.status_code == status
    SpeedTestRun.objects.get()


def test_a_form_in_place_of_json_is_answered(anna: SpeedTestInvitation) -> None:
    visitor = Client()
    urls = begin(visitor, anna).json()["urls"]
    assert visitor.post(urls["join"], {"a": "b"}).status_code == 400


@pytest.mark.parametrize("body", [{}, {"upload_id": "u"}, {"upload_id": "u", "etag": "<e>"}])
def test_what_cannot_be_joined(anna: SpeedTestInvitation, body: dict) -> None:
    visitor = Client()
    urls = begin(visitor, anna).json()["urls"]
    for step in ("replay", "complete", "join"):
        assert post(visitor, urls[step], body).status_code == 400
    assert post(visitor, urls["join"], {"upload_id": "u", "etags": [1]}).status_code == 400


def test_the_page_may_call_that_bucket_only_and_names_nothing(
    anna: SpeedTestInvitation, site: Site
) -> None:
    answer = Client().get(path_of(anna))
    policy = answer.headers["Content-Security-Policy"]
    connect = next(part for part in policy.split("; ") if part.startswith("connect-src"))
    assert set(connect.split()) == {"connect-src", "'self'", site.emulator.endpoint_for(MAIN)}
    assert answer.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert "no-store" in answer.headers["Cache-Control"]
    page = answer.content.decode()
    assert MAIN not in page
    assert "arn:" not in page
    assert "moves at most 500 MB each way" in page


# --- Words ----------------------------------------------------------------------------------


def test_the_verdict_of_a_test_by_link() -> None:
    passed, failed = [{"status": "pass"}], [{"status": "fail", "message": "Not removed."}]
    assert verdict_by_link(passed, passed, "done") == ("pass", "From there everything works.")
    assert verdict_by_link(failed, passed, "stopped")[0] == "fail"
    assert verdict_by_link(passed, failed, "done")[1].endswith("but: Not removed.")
    assert verdict_by_link([{"status": "warn"}], passed, "done")[0] == "warn"
    assert "was stopped" in verdict_by_link(passed, passed, "stopped")[1]
    assert "could not be finished" in verdict_by_link(passed, passed, "failed")[1]


def test_plain_words_for_little_and_for_nothing() -> None:
    assert plain_result("pass", "stopped", {}, 20) == {
        "status": "warn", "title": "The test was stopped.", "sentences": []
    }  # fmt: skip
    told = plain_result("pass", "failed", {"download": {"mbps": 25.0}}, 20)
    assert told["status"] == "fail"
    assert "Enough for one review in 1080p at once." in told["sentences"]
    assert plain_result("pass", "done", {"download": {"mbps": 10.0}}, 20)["sentences"] == [
        "Download 10.0 Mbit/s: a 2 GB plate takes 26 min 40 s."
    ]
