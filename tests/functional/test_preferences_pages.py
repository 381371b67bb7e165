"""The page Site Preferences, the address /preferences, and the index of the admin."""

import json
import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.urls import reverse
from django.utils import timezone

from preferences.models import SitePreferences, User
from preferences.saving import save_preferences
from preferences.snapshot import current_preferences
from speedtest.models import SpeedTestRun

PAGE = "/admin/preferences/sitepreferences/1/change/"
LIST = "/admin/preferences/sitepreferences/"
HISTORY = "/admin/preferences/sitepreferences/1/history/"
MAIN = {"region": "us-east-1", "bucket": "studio-media", "prefix": "media"}
SYDNEY = {"region": "ap-southeast-2", "bucket": "studio-media-sydney", "prefix": "media"}


@pytest.fixture
def people(db):
    made = {
        name: User.objects.create_user(name, password="pw", is_staff=name != "artist")
        for name in ("admin", "viewer", "staff", "artist")
    }
    made["admin"].groups.add(Group.objects.get(name="Media admins"))
    made["viewer"].user_permissions.add(Permission.objects.get(codename="view_sitepreferences"))
    return made


@pytest.fixture
def as_admin(client, people):
    client.force_login(people["admin"])
    return client


def form(version=0, **changes):
    values = {
        "base_version": version,
        "s3_configuration": json.dumps({"main": MAIN, "sydney": SYDNEY}),
        "s3_bucket_for_replication": "sydney",
        "s3_replication_delay": "60",
        "s3_replication_ip_addresses": "10.20.0.0/16",
        "storage_location": "main",
        "verify_replica_copies": "on",
    }
    return values | changes


def said(response):
    return [str(message) for message in response.context["messages"]]


def text_of(response):
    return re.sub(r"\s+", " ", response.content.decode())


@pytest.mark.parametrize("url", [PAGE, LIST, HISTORY, "/preferences", "/preferences/"])
def test_anonymous_visitors_go_to_log_in(client, db, url):
    response = client.get(url)
    assert response.status_code == 302
    assert response["Location"] == f"/login/?next={url}"


def test_anonymous_visitors_of_the_index_end_at_the_sites_log_in(client, db):
    response = client.get("/admin/", follow=True)
    assert response.redirect_chain[-1] == ("/login/?next=/admin/", 302)


@pytest.mark.parametrize("who", ["staff", "artist"])
@pytest.mark.parametrize("url", [PAGE, LIST, HISTORY, "/preferences", "/preferences/"])
def test_without_permission_there_is_403(client, people, who, url):
    client.force_login(people[who])
    assert client.get(url).status_code == 403
    assert client.post(url, form()).status_code in (403, 405)
    assert SitePreferences.objects.get().version == 0


def test_who_may_not_enter_the_admin_gets_403_and_no_second_log_in(client, people):
    client.force_login(people["artist"])
    assert client.get("/admin/").status_code == 403
    assert client.get("/admin/login/").status_code == 403


def test_the_admin_has_no_log_in_page_of_its_own(client, db):
    response = client.get("/admin/login/?next=/admin/preferences/")
    assert response["Location"] == "/login/?next=/admin/preferences/"
    response = client.get("/admin/login/?next=https://evil.example/")
    assert response["Location"] == "/login/?next=/admin/"


@pytest.mark.parametrize("url", [LIST, "/preferences", "/preferences/"])
def test_addresses_lead_to_the_one_page(as_admin, url):
    assert as_admin.get(url)["Location"] == PAGE
    assert reverse("admin:preferences_sitepreferences_changelist") == LIST


@pytest.mark.parametrize("action", ["add/", "1/delete/"])
def test_the_row_is_neither_added_nor_deleted(client, admin_user, action):
    client.force_login(admin_user)
    assert client.get(f"{LIST}{action}").status_code == 403
    assert client.get(f"{LIST}2/change/").status_code == 404


def test_the_page_has_the_products_labels_in_two_open_categories(as_admin):
    page = text_of(as_admin.get(PAGE))
    labels = re.findall(r"<label for=\"id_(\w+)\">([^<]+):</label>", page)
    assert labels == [
        ("s3_configuration", "S3 Configuration"),
        ("s3_bucket_for_replication", "S3 Bucket for Replication"),
        ("s3_replication_delay", "S3 Replication Delay"),
        ("s3_replication_ip_addresses", "IP Adresses for S3 replication"),
        ("storage_location", "Storage Location"),
        ("verify_replica_copies", "Verify replica copies"),
        ("comment", "Comment"),
        ("try_user", "User"),
        ("try_address", "From IP address"),
        ("try_age", "Media uploaded"),
    ]
    assert re.findall(r"<details class=\"category\" open> <summary><h2>(\w+)</h2>", page) == [
        "Isolation",
        "Advanced",
    ]
    assert "Never changed; defaults in use" in page
    assert "<title>Site Preferences | Shotmedia</title>" in page


def test_a_page_has_nothing_inline_that_the_policy_forbids(as_admin):
    page = as_admin.get(PAGE).content.decode()
    assert not re.search(r"\sstyle=|\son[a-z]+=|<style|<script(?![^>]*\ssrc=)", page)


def test_saving_says_so_and_shows_who_and_when(as_admin, people):
    response = as_admin.post(PAGE, form(), follow=True)
    assert response.redirect_chain == [(PAGE, 302)]
    assert said(response) == ["Site Preferences were saved (revision 1)."]
    row = SitePreferences.objects.get()
    assert json.loads(row.s3_configuration) == {"main": MAIN, "sydney": SYDNEY}
    assert row.changed_by == people["admin"]
    when = row.changed_at
    assert f"Last changed by admin, {when.day} {when:%b %Y %H:%M} UTC — revision 1" in text_of(
        response
    )
    assert '<option value="sydney"></option>' in text_of(response)
    assert LogEntry.objects.get().user == people["admin"]
    assert "Storage Location: empty → main" in text_of(as_admin.get(HISTORY))


def test_saving_what_is_saved_changes_nothing(as_admin):
    as_admin.post(PAGE, form())
    response = as_admin.post(PAGE, form(1), follow=True)
    assert "Nothing was changed." in said(response)
    assert SitePreferences.objects.get().version == 1


def test_the_documented_json_saves_as_pasted_with_zero_width_spaces(as_admin):
    pasted = """{
   "main": {
     "region": "us-east-1",
     "bucket": "studio-media",
     "prefix": "media",
     "aws_role_arn": "arn:aws:iam::111122223333:role/media",
     "s3_interface_vpc_endpoint_dns_name": ""
   },
   "sydney": {
     "region": "ap-southeast-2",
     "bucket": "studio-media-sydney",
     "prefix": "media",
     "aws_role_arn": "arn:aws:iam::111122223333:role/media",
     "s3_interface_vpc_endpoint_dns_name": ""
   },
}""".replace("  ", "\u200b ").replace("\n", "\r\n")
    response = as_admin.post(PAGE, form(s3_configuration=pasted), follow=True)
    assert said(response) == [
        "Site Preferences were saved (revision 1).",
        "S3 Configuration: a comma after the last entry was removed.",
        "S3 Configuration: invisible characters, as found in text pasted from a web page, were "
        "removed.",
    ]
    stored = SitePreferences.objects.get().s3_configuration
    assert "\u200b" not in stored
    assert list(json.loads(stored)) == ["main", "sydney"]


def test_warnings_are_saved_all_the_same_and_said(as_admin):
    response = as_admin.post(
        PAGE, form(s3_replication_delay="5", s3_replication_ip_addresses=""), follow=True
    )
    assert said(response) == [
        "Site Preferences were saved (revision 1).",
        "S3 Replication Delay: With 5 seconds the replica is asked for files that may not have "
        "arrived; S3 may need up to 15 minutes.",
        "IP Adresses for S3 replication: Users set to auto get the main bucket: the IP list is "
        "empty.",
    ]
    assert "With 5 seconds" in text_of(as_admin.get(PAGE))


BROKEN = '{\n  "main": {"region": "us-east-1" "bucket": "<b>"},\n  \u200b}'


def test_errors_keep_what_was_typed_and_are_summed_up_with_links(as_admin):
    response = as_admin.post(
        PAGE,
        form(
            s3_configuration=BROKEN,
            s3_replication_delay=" soon",
            s3_replication_ip_addresses="10.0.0.0/8\n192.168.1.300",
            s3_bucket_for_replication="sidney",
            verify_replica_copies="",
        ),
    )
    assert response.status_code == 200
    page = response.content.decode()
    assert "<title>Error: Site Preferences | Shotmedia</title>" in page
    assert response.context["form"]["s3_configuration"].value() == BROKEN
    assert "\n  \u200b}</textarea>" in page
    assert 'value=" soon"' in page
    assert 'value="sidney"' in page
    assert not response.context["form"]["verify_replica_copies"].value()
    summary = re.search(r'id="error-summary".*?</section>', page, re.DOTALL)[0]
    assert 'role="alert" tabindex="-1"' in summary
    assert re.findall(r'<a href="#(\w+)"', summary) == [
        "id_s3_configuration",
        "id_s3_replication_delay",
        "id_s3_replication_ip_addresses",
    ]
    assert "Line 2, column 33: a comma is missing after the previous entry." in summary
    assert 'data-line="2" data-column="33"' in summary
    assert "Line 2: “192.168.1.300” is not an IP address" in summary
    assert page.count('aria-invalid="true"') == 3
    assert SitePreferences.objects.get().version == 0


def test_an_unknown_bucket_is_suggested(as_admin):
    response = as_admin.post(PAGE, form(s3_bucket_for_replication="sidney"))
    assert (
        "“sidney” is not in S3 Configuration. Did you mean “sydney”? It has: main, sydney."
        in text_of(response)
    )


def test_zero_bytes_are_refused_and_lose_nothing(as_admin):
    response = as_admin.post(PAGE, form(storage_location="ma\x00in"))
    assert response.status_code == 200
    assert "Null characters are not allowed." in text_of(response)


def test_a_page_without_its_version_is_not_saved(as_admin):
    response = as_admin.post(PAGE, form(base_version=""))
    assert "The page was incomplete." in text_of(response)
    assert SitePreferences.objects.get().version == 0


def test_a_conflict_keeps_mine_shows_theirs_and_lets_me_choose(as_admin, people):
    save_preferences({"s3_replication_delay": 90}, 0, people["viewer"])
    response = as_admin.post(PAGE, form(s3_replication_delay="120"))
    assert response.status_code == 409
    page = text_of(response)
    assert "<title>Error: Site Preferences | Shotmedia</title>" in page
    assert "These preferences were changed by viewer at" in page
    assert 'name="s3_replication_delay" value="120"' in page
    assert 'Current value, saved by viewer:</p> <pre class="value">90</pre>' in page
    assert f'<a class="closelink" href="{PAGE}" data-discards>Reload theirs</a>' in page
    assert SitePreferences.objects.get().s3_replication_delay == 90
    button = re.search(r'<button [^>]*name="(\w+)" value="(\d+)">Save mine anyw', page)
    # A browser sends the hidden field first and the button after it.
    mine = {**form(s3_replication_delay="120"), button[1]: ["0", button[2]]}
    response = as_admin.post(PAGE, mine, follow=True)
    assert "Site Preferences were saved (revision 2)." in said(response)
    assert SitePreferences.objects.get().s3_replication_delay == 120


def test_mine_anyway_takes_back_nothing_that_i_had_not_changed(as_admin, people):
    as_admin.post(PAGE, form())
    theirs = {"s3_replication_ip_addresses": "10.30.0.0/16", "verify_replica_copies": False}
    save_preferences(theirs | {"s3_replication_delay": 90}, 1, people["viewer"])
    page = text_of(as_admin.post(PAGE, form(1, s3_replication_delay="120", comment="slow")))
    assert (
        "You had not changed IP Adresses for S3 replication, Verify replica copies: the current "
        "value stands below." in page
    )
    assert page.count("Current value, saved by viewer:") == 1
    assert 'name="s3_replication_delay" value="120"' in page
    assert "> 10.30.0.0/16</textarea>" in page
    assert "checked" not in re.search(r'<input[^>]*name="verify_replica_copies"[^>]*>', page)[0]
    assert 'name="comment" value="slow"' in page
    # The browser sends what the page shows.
    mine = form(2, s3_replication_delay="120", s3_replication_ip_addresses="10.30.0.0/16")
    del mine["verify_replica_copies"]
    as_admin.post(PAGE, mine)
    row = SitePreferences.objects.get()
    assert (row.version, row.s3_replication_delay) == (3, 120)
    assert (row.s3_replication_ip_addresses, row.verify_replica_copies) == ("10.30.0.0/16", False)


def test_what_cannot_work_with_theirs_is_said_with_the_conflict(as_admin, people):
    as_admin.post(PAGE, form(s3_bucket_for_replication=""))
    gone = {"s3_configuration": json.dumps({"main": MAIN}, indent=4)}
    save_preferences(gone, 1, people["viewer"])
    response = as_admin.post(PAGE, form(1))
    page = text_of(response)
    assert response.status_code == 409
    assert page.count('id="error-summary"') == 1
    assert "You had not changed S3 Configuration: the current value stands below." in page
    assert "“sydney” is not in S3 Configuration. It has: main." in page
    assert 'name="s3_bucket_for_replication" value="sydney"' in page
    assert 'name="base_version" value="2">Save mine anyway' in page


def test_a_conflict_with_a_version_that_never_was_keeps_all_as_typed(as_admin, people):
    page = text_of(as_admin.post(PAGE, form(99, s3_replication_delay="120")))
    assert "You had not changed" not in page
    assert 'name="s3_replication_delay" value="120"' in page


def test_mine_anyway_meets_a_third_writer(as_admin, people):
    save_preferences({"s3_replication_delay": 90}, 0, people["viewer"])
    as_admin.post(PAGE, form(s3_replication_delay="120"))
    save_preferences({"s3_replication_delay": 100}, 1, people["viewer"])
    assert as_admin.post(PAGE, form(1, s3_replication_delay="120")).status_code == 409


def test_a_viewer_sees_values_as_text_and_cannot_save(client, people):
    save_preferences({"s3_replication_delay": 90}, 0, people["admin"])
    client.force_login(people["viewer"])
    page = text_of(client.get(PAGE))
    assert (
        "You can view these preferences. Changing them needs the permission ‘Can change Site "
        "Preferences’." in page
    )
    assert "90 seconds" in page
    assert "Save changes" not in page
    assert "<textarea" not in page
    assert client.post(PAGE, form(1)).status_code == 403
    assert SitePreferences.objects.get().version == 1


def test_a_stored_text_that_cannot_be_read_is_shown_with_its_error(as_admin):
    SitePreferences.objects.filter(pk=1).update(s3_configuration="{", version=1)
    page = text_of(as_admin.get(PAGE))
    assert "Line 1, column 1: this { is never closed; add a }." in page
    assert ">\n{</textarea>" in as_admin.get(PAGE).content.decode()


def test_what_is_typed_is_escaped(as_admin):
    evil = '{"<script>alert(1)</script>": {"region": "</textarea><b>", "bucket": "bbb"}}'
    page = as_admin.post(PAGE, form(s3_configuration=evil)).content.decode()
    assert "<script>alert" not in page
    assert "</textarea><b>" not in page


def test_other_methods_are_refused(as_admin):
    assert as_admin.delete(PAGE).status_code == 405
    assert as_admin.post("/preferences").status_code == 405


def test_the_index_is_in_the_order_of_the_work(client, admin_user):
    client.force_login(admin_user)
    response = client.get("/admin/")
    names = [
        (section["name"], [model["name"] for model in section["models"]])
        for section in response.context["app_list"]
    ]
    assert [name for name, _ in names] == ["Media", "Site", "People"]
    assert names[1][1][:2] == ["Site Preferences", "Speed Test"]
    assert names[2][1] == ["Users", "Groups", "API tokens"]
    page = text_of(response)
    assert 'href="/admin/speedtest"' in page
    assert '<a class="viewsitelink" href="/">View site</a>' in page
    row = re.search(r'<tr class="model-sitepreferences.*?</tr>', page)[0]
    assert "Change" in row
    assert "Add" not in row


def test_the_index_says_what_to_set_up_and_then_how_replication_is_set(client, people):
    client.force_login(people["viewer"])
    page = text_of(client.get("/admin/"))
    assert "Media Isolation is not set up" in page
    assert re.findall(r'<li><a href="([^"]+)">([^<]+)</a>', page)[:2] == [
        ("/preferences#id_s3_configuration", "Add a configuration to S3 Configuration"),
        ("/preferences#id_storage_location", "Choose it as Storage Location"),
    ]
    assert "<li>Test it</li>" in page  # the speed test is for who may change the preferences
    values = {"s3_configuration": json.dumps({"main": MAIN, "sydney": SYDNEY})}
    save_preferences(values | {"storage_location": "main"}, 0, None)
    page = text_of(client.get("/admin/"))
    assert "Replication: off, as S3 Bucket for Replication is empty" in page
    assert 'configuration to S3 Configuration</a> <span class="done">✓ done</span>' in page
    User.objects.create_user("a", use_s3_replication="auto")
    User.objects.create_user("b", use_s3_replication="auto", is_active=False)
    values = {
        "s3_bucket_for_replication": "sydney",
        "s3_replication_ip_addresses": "10.20.0.0/16\n10.30.0.0/16",
    }
    save_preferences(values, 1, None)
    page = text_of(client.get("/admin/"))
    assert "Replication: on → sydney" in page
    assert re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", page) == [
        ("Storage Location", "main (bucket studio-media, us-east-1)"),
        ("Replica", "sydney (bucket studio-media-sydney, ap-southeast-2)"),
        ("Delay", "60 s"),
        ("Addresses for auto", "2 ranges"),
        ("Use S3 Replication", "4 no · 0 yes · 1 auto"),
    ]


def test_the_index_says_whether_the_replica_has_been_tested(client, people):
    client.force_login(people["admin"])
    values = {"s3_configuration": json.dumps({"main": MAIN, "sydney+2": SYDNEY})}
    save_preferences(values | {"storage_location": "main"}, 0, None)
    place = current_preferences().configurations["sydney+2"].fingerprint
    step = '<li><a href="/admin/speedtest?configuration=sydney%2B2">Test it</a>'

    def tested(status, minutes_ago, **more):
        values = {"configuration": "sydney+2", "place": place, "state": "done"} | more
        started = timezone.now() - timedelta(minutes=minutes_ago)
        SpeedTestRun.objects.create(started_at=started, verdict_status=status, **values)
        return text_of(client.get("/admin/"))

    assert f"{step}</li>" in text_of(client.get("/admin/"))
    for more in (
        {"configuration": "main"},
        {"place": "0" * 16},  # the bucket that it was in before
        {"state": "running"},
        {"state": "stopped"},
        {"mode": "compare"},
    ):
        assert f"{step}</li>" in tested("pass", 0, **more)
    failed = '<span class="failed">✗ “sydney+2” failed its last test</span>'
    assert f"{step} {failed}" in tested("fail", 9)
    assert f"{step} {failed}" in tested("pass", 10)
    done = '<span class="done">✓ done: “sydney+2” works</span>'
    assert f"{step} {done}" in tested("warn", 8)
    assert f"{step} {failed}" in tested("fail", 7, state="failed")
    assert f"{step} {done}" in tested("pass", 6, source="command")


def test_who_may_not_see_the_preferences_is_not_told_on_the_index(client, people):
    client.force_login(people["staff"])
    assert "replication-status" not in text_of(client.get("/admin/"))


def test_a_viewer_is_offered_view_on_the_index(client, people):
    client.force_login(people["viewer"])
    row = re.search(r'<tr class="model-sitepreferences.*?</tr>', text_of(client.get("/admin/")))[0]
    assert "View" in row


@pytest.mark.parametrize("who", ["staff", "viewer"])
@pytest.mark.parametrize("url", ["/admin/", PAGE, "/account/"])
def test_who_may_not_run_speed_tests_is_offered_none(client, people, who, url):
    client.force_login(people[who])
    assert client.get("/admin/speedtest").status_code == 403
    assert "/admin/speedtest" not in text_of(client.get(url))


def test_a_range_is_filled_in_and_not_saved(as_admin):
    as_admin.post(PAGE, form())
    page = text_of(as_admin.get(PAGE, {"add_range": "203.0.113.0/24"}))
    assert ">\n10.20.0.0/16\n203.0.113.0/24</textarea>".replace("\n", " ") in page
    assert "203.0.113.0/24 was added to the addresses below. It is not saved yet." in page
    assert SitePreferences.objects.get().s3_replication_ip_addresses == "10.20.0.0/16"


@pytest.mark.parametrize("typed", ["", "nonsense", "10.0.0.0/8 11.0.0.0/8", "10.20.0.0/16"])
def test_what_is_no_new_range_is_not_filled_in(as_admin, typed):
    as_admin.post(PAGE, form())
    page = text_of(as_admin.get(PAGE, {"add_range": typed}))
    assert "> 10.20.0.0/16</textarea>" in page


def test_a_region_is_filled_in_and_not_saved(as_admin):
    as_admin.post(PAGE, form())
    before = SitePreferences.objects.get().s3_configuration
    query = {"configuration": "main", "use_region": "ap-northeast-1"}
    answer = as_admin.get(PAGE, query)
    shown = json.loads(answer.context["form"]["s3_configuration"].value())
    was = json.loads(before)
    assert shown == was | {"main": was["main"] | {"region": "ap-northeast-1"}}
    message = "The region ap-northeast-1 was filled in for “main” below. It is not saved yet."
    assert message in text_of(answer)
    assert SitePreferences.objects.get().s3_configuration == before


@pytest.mark.parametrize(
    "query",
    [
        {"configuration": "nowhere", "use_region": "ap-northeast-1"},
        {"configuration": "main", "use_region": ""},
        {"configuration": "main", "use_region": "<script>"},
        {"use_region": "ap-northeast-1"},
    ],
)
def test_what_is_no_region_is_not_filled_in(as_admin, query):
    as_admin.post(PAGE, form())
    answer = as_admin.get(PAGE, query)
    stored = SitePreferences.objects.get().s3_configuration
    assert answer.context["form"]["s3_configuration"].value() == stored
    assert "It is not saved yet" not in text_of(answer)


def test_a_viewer_gets_nothing_filled_in(client, people):
    client.force_login(people["viewer"])
    query = {"configuration": "main", "use_region": "ap-northeast-1"}
    assert "ap-northeast-1" not in text_of(client.get(PAGE, query))
    assert "203.0.113" not in text_of(client.get(PAGE, {"add_range": "203.0.113.0/24"}))
