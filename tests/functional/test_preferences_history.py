"""History of Site Preferences: the table, a revision, restoring it, and the comment."""

import json
import re
from datetime import UTC, datetime

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from preferences.models import PreferenceRevision, PreferenceSource, SitePreferences, User
from preferences.reader import canonical
from preferences.saving import read_row, save_preferences
from tests.functional.test_preferences_pages import (
    HISTORY,
    MAIN,
    PAGE,
    SYDNEY,
    as_admin,  # noqa: F401
    form,
    people,  # noqa: F401
    said,
    text_of,
)
from tests.functional.test_preferences_saving import in_threads

CONFIGURATION = canonical({"main": MAIN, "sydney": SYDNEY})


def revision_url(number):
    return f"{HISTORY}{number}/"


def restore_url(number):
    return f"{HISTORY}{number}/restore/"


@pytest.fixture
def saved(people):  # noqa: F811
    """Three revisions after the defaults: two buckets, a longer delay, no replica."""
    when = datetime(2026, 11, 22, 14, 3, tzinfo=UTC)
    values = {
        "s3_configuration": CONFIGURATION,
        "s3_bucket_for_replication": "sydney",
        "storage_location": "main",
        "s3_replication_ip_addresses": "10.20.0.0/16\n10.30.0.0/16",
    }
    save_preferences(values, 0, people["admin"], now=when, comment="Sydney goes live")
    save_preferences(
        {"s3_replication_delay": 90, "s3_replication_ip_addresses": "10.20.0.0/16"},
        1,
        None,
        source=PreferenceSource.COMMAND_LINE,
        username="ops",
    )
    save_preferences({"s3_bucket_for_replication": ""}, 2, people["admin"], address="10.20.1.7")
    return people


@pytest.mark.parametrize("url", [HISTORY, revision_url(1), restore_url(1)])
def test_anonymous_visitors_go_to_log_in(client, saved, url):
    response = client.get(url)
    assert (response.status_code, response["Location"]) == (302, f"/login/?next={url}")
    assert client.post(url).status_code == 302


def test_half_a_character_is_shown_as_json_writes_it(client, saved):
    main = MAIN | {"profile": "\ud800", "odd\udfff": "\udfff"}
    values = {"s3_configuration": canonical({"main": main, "sydney": SYDNEY})}
    save_preferences(values, 3, saved["admin"])
    client.force_login(saved["admin"])
    page = client.get(HISTORY)
    assert page.status_code == 200
    assert "main.profile: empty → \\ud800" in page.content.decode()
    for url in (revision_url(4), restore_url(4), PAGE):
        assert client.get(url).status_code == 200


@pytest.mark.parametrize("who", ["staff", "artist"])
@pytest.mark.parametrize("url", [HISTORY, revision_url(1), restore_url(1)])
def test_without_permission_there_is_403(client, saved, who, url):
    client.force_login(saved[who])
    assert client.get(url).status_code == 403
    assert client.post(url, {"base_version": 3}).status_code in (403, 405)
    assert read_row().version == 3


def test_a_viewer_sees_history_and_cannot_restore(client, saved):
    client.force_login(saved["viewer"])
    assert client.get(HISTORY).status_code == 200
    page = text_of(client.get(revision_url(1)))
    assert "Sydney goes live" in page
    assert "Restore this revision" not in page
    assert client.get(restore_url(1)).status_code == 403
    assert client.post(restore_url(1), {"base_version": 3}).status_code == 403
    assert read_row().version == 3


def test_what_is_not_there_is_404(as_admin, saved):  # noqa: F811
    for number in ("4", "99999999999999999999999"):
        assert as_admin.get(revision_url(number)).status_code == 404
        assert as_admin.get(restore_url(number)).status_code == 404
        assert as_admin.get(f"{PAGE}?from={number}").status_code == 404
    for number in ("x", "", "²", "9" * 5000):  # int() refuses thousands of digits
        assert as_admin.get(PAGE, {"from": number}).status_code == 404
    assert as_admin.get(HISTORY.replace("/1/", "/2/")).status_code == 404
    assert as_admin.post(HISTORY).status_code == 405
    assert as_admin.post(revision_url(1)).status_code == 405


def test_history_lists_who_when_how_why_and_what(as_admin, saved):  # noqa: F811
    page = text_of(as_admin.get(HISTORY))
    headings = re.findall(r'<th scope="col">(\w+)</th>', page)
    assert headings == ["Revision", "When", "Who", "How", "Comment", "Changed"]
    rows = re.findall(r"<tr> <th scope=\"row\">.*?</tr>", page)
    assert [re.search(r">(\d+)</a>", row)[1] for row in rows] == ["3", "2", "1", "0"]
    words = [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)) for row in rows]
    assert "current" in words[0]
    assert "current" not in "".join(words[1:])
    assert "admin from 10.20.1.7 page" in words[0]
    assert "S3 Bucket for Replication: sydney → empty" in words[0]
    assert "ops command line – S3 Replication Delay: 60 → 90" in words[1]
    assert "IP Adresses for S3 replication: removed 10.30.0.0/16" in words[1]
    assert "22 Nov 2026 14:03 UTC admin page Sydney goes live" in words[2]
    assert "added sydney" in words[2]
    assert "the installation installation – the defaults" in words[3]


def test_history_has_pages_and_the_last_of_a_page_has_its_changes(as_admin, people):  # noqa: F811
    for n in range(30):
        save_preferences({"s3_replication_delay": 100 + n}, n, people["admin"])
    page = text_of(as_admin.get(HISTORY))
    assert "S3 Replication Delay: 104 → 105" in page
    assert "S3 Replication Delay: 103 → 104" not in page
    assert "31 revisions. Nothing deletes a revision." in page
    assert "S3 Replication Delay: 103 → 104" in text_of(as_admin.get(f"{HISTORY}?p=2"))
    assert as_admin.get(f"{HISTORY}?p=nonsense").status_code == 200


def test_history_takes_few_statements(as_admin, saved, django_assert_max_num_queries):  # noqa: F811
    as_admin.get(HISTORY)
    with django_assert_max_num_queries(9):
        as_admin.get(HISTORY)


def test_a_revision_shows_what_it_changed_and_what_changed_since(as_admin, saved):  # noqa: F811
    page = as_admin.get(revision_url(2))
    context = page.context
    assert [(d.field, d.in_words) for d in context["from_older"]] == [
        ("s3_replication_delay", "1 line removed, 1 line added"),
        ("s3_replication_ip_addresses", "1 line removed"),
    ]
    assert [d.field for d in context["to_current"]] == ["s3_bucket_for_replication"]
    text = text_of(page)
    assert (
        '<li class="removed"><span class="sign" aria-hidden="true">−</span>'
        '<span class="visually-hidden">removed: </span><code>10.30.0.0/16</code></li>' in text
    )
    assert (
        '<li class="added"><span class="sign" aria-hidden="true">+</span>'
        '<span class="visually-hidden">added: </span><code>90</code></li>' in text
    )
    assert "What it changed: revision 1 → 2" in text
    assert "What has changed since: revision 2 → 3 (current)" in text
    assert f'<a class="button" href="{restore_url(2)}">Restore this revision</a>' in text
    current = text_of(as_admin.get(revision_url(3)))
    assert "These are the preferences now in force." in current
    assert "Restore this revision" not in current


def test_restoring_shows_the_difference_and_warnings_first_and_saves_nothing(
    as_admin,  # noqa: F811
    saved,
):
    page = text_of(as_admin.get(restore_url(0)))
    assert "What would change: current (revision 3) → restored" in page
    assert "<code> &quot;main&quot;: {</code>" in page
    assert read_row().version == 3
    save_preferences({"s3_replication_delay": 5}, 3, saved["admin"])
    save_preferences({"s3_replication_delay": 60}, 4, saved["admin"])
    page = text_of(as_admin.get(restore_url(4)))
    assert "With 5 seconds the replica is asked for files that may not have arrived" in page


def test_a_restore_is_a_new_revision(as_admin, saved):  # noqa: F811
    response = as_admin.post(
        restore_url(1), {"base_version": 3, "comment": "the copier runs again"}, follow=True
    )
    assert said(response) == ["Revision 1 was restored as revision 4."]
    made = PreferenceRevision.objects.first()
    assert (made.number, made.source, made.restored_from, made.username, made.address) == (
        4,
        "restore",
        1,
        "admin",
        "127.0.0.1",
    )
    assert made.comment == "Restored revision 1: the copier runs again"
    old = PreferenceRevision.objects.get(number=1).data
    configuration = json.loads(made.data.pop("s3_configuration"))
    assert configuration == json.loads(old.pop("s3_configuration"))
    assert made.data == old
    assert PreferenceRevision.objects.count() == 5
    row = read_row()
    assert (row.s3_bucket_for_replication, row.s3_replication_delay) == ("sydney", 60)
    assert "S3 Replication Delay: 90 → 60" in LogEntry.objects.first().get_change_message()
    assert 'Values of <a href="' + revision_url(1) in text_of(as_admin.get(revision_url(4)))


def test_a_restore_loses_to_who_saved_meanwhile_and_shows_the_new_difference(
    as_admin,  # noqa: F811
    saved,
):
    save_preferences({"s3_replication_delay": 300}, 3, saved["viewer"])
    response = as_admin.post(restore_url(1), {"base_version": 3, "comment": "back"})
    assert response.status_code == 409
    page = text_of(response)
    when = read_row().changed_at
    assert f"viewer saved revision 4 at {when:%H:%M} UTC while you were looking." in page
    assert '<input type="hidden" name="base_version" value="4">' in page
    assert 'name="comment" value="back"' in page
    assert "<code>300</code>" in page
    assert read_row().version == 4


def test_a_restore_that_todays_rules_refuse_leads_to_the_page_with_its_values(
    as_admin,  # noqa: F811
    saved,
):
    # As saved before the rule that names have to be in S3 Configuration.
    PreferenceRevision.objects.filter(number=1).update(
        data=read_data(1) | {"s3_bucket_for_replication": "sidney"}
    )
    page = text_of(as_admin.get(restore_url(1)))
    assert "“sidney” is not in S3 Configuration. Did you mean “sydney”?" in page
    assert "<button" not in page.split('id="content-main"')[1]
    assert "What would change: current (revision 3) → restored" in page
    assert "<code>sidney</code>" in page
    assert f'href="{PAGE}?from=1"' in page
    assert as_admin.post(restore_url(1), {"base_version": 3}).status_code == 200
    assert read_row().version == 3

    response = as_admin.get(f"{PAGE}?from=1")
    page = text_of(response)
    assert 'name="s3_bucket_for_replication" value="sidney"' in page
    assert "“sidney” is not in S3 Configuration." in page
    assert 'name="base_version" value="3"' in page
    assert "Nothing is saved before you choose" in page
    assert read_row().version == 3
    corrected = form(3, comment="Corrected from revision 1")
    assert "Site Preferences were saved (revision 4)." in said(
        as_admin.post(PAGE, corrected, follow=True)
    )


def read_data(number):
    return PreferenceRevision.objects.get(number=number).data


def test_restoring_what_is_in_force_changes_nothing(as_admin, saved):  # noqa: F811
    assert "there is nothing to restore" in text_of(as_admin.get(restore_url(3)))
    response = as_admin.post(restore_url(3), {"base_version": 3}, follow=True)
    assert "Nothing was changed." in said(response)
    assert read_row().version == 3


def test_a_viewer_does_not_get_old_values_into_the_form(client, saved):
    client.force_login(saved["viewer"])
    page = text_of(client.get(f"{PAGE}?from=1"))
    assert "You can view these preferences." in page
    assert "<textarea" not in page


def test_the_comment_is_saved_and_shown_on_the_page(as_admin, people):  # noqa: F811
    as_admin.post(PAGE, form(comment="  Sydney goes live "))
    revision = PreferenceRevision.objects.first()
    assert (revision.comment, revision.source, revision.address, revision.user) == (
        "Sydney goes live",
        "page",
        "127.0.0.1",
        people["admin"],
    )
    page = text_of(as_admin.get(PAGE))
    assert re.search(r"Last changed by admin, [^—]+ UTC — “Sydney goes live” — revision 1", page)
    assert 'name="comment" value' not in page


def test_a_comment_that_is_too_long_is_refused_and_kept(as_admin):  # noqa: F811
    response = as_admin.post(PAGE, form(comment="x" * 501))
    page = text_of(response)
    assert "Comment: A comment has at most 500 characters." in page
    assert "x" * 501 in page
    assert SitePreferences.objects.get().version == 0


def test_a_conflict_keeps_the_comment_and_compares_theirs_with_mine(as_admin, people):  # noqa: F811
    as_admin.post(PAGE, form())
    save_preferences({"s3_replication_ip_addresses": "10.30.0.0/16"}, 1, people["viewer"])
    mine = form(1, s3_replication_ip_addresses="10.20.0.0/16\n10.40.0.0/16", comment="office 40")
    response = as_admin.post(PAGE, mine)
    assert response.status_code == 409
    page = text_of(response)
    assert 'name="comment" value="office 40"' in page
    assert "10.20.0.0/16\n10.40.0.0/16</textarea>" in response.content.decode()
    assert "From theirs to yours (1 line removed, 2 lines added):" in page
    assert "<code>10.30.0.0/16</code>" in page
    assert "<code>10.40.0.0/16</code>" in page
    assert 'class="difference"' in page
    assert page.count('class="difference"') == 1


def test_what_is_stored_is_escaped_in_history(as_admin, people):  # noqa: F811
    save_preferences(
        {"s3_replication_ip_addresses": "<script>alert(1)</script>"},
        0,
        None,
        username="<script>alert(2)",
        comment="<script>alert(3)",
        source=PreferenceSource.COMMAND_LINE,
    )
    for url in (HISTORY, revision_url(1), revision_url(0)):
        page = as_admin.get(url).content.decode()
        assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.django_db(transaction=True)
def test_of_16_pages_saved_at_once_one_wins_and_15_keep_text_and_comment():
    clients = []
    for n in range(16):
        user = User.objects.create_superuser(f"admin{n}")
        clients.append(Client())
        clients[n].force_login(user)

    def save(n):
        mine = form(s3_replication_ip_addresses=f"10.20.0.0/16\n10.{n}.0.0/24", comment=f"mine {n}")
        response = clients[n].post(PAGE, mine)
        return n, response.status_code, response.content.decode()

    outcomes = in_threads(16, save)
    assert sorted(status for _, status, _ in outcomes) == [302] + [409] * 15
    winner = next(n for n, status, _ in outcomes if status == 302)
    revisions = list(PreferenceRevision.objects.all())
    assert [(r.number, r.username) for r in revisions] == [
        (1, f"admin{winner}"),
        (0, ""),
    ]
    when = revisions[0].created
    for n, status, page in outcomes:
        if status == 409:
            assert f"changed by admin{winner} at {when:%H:%M} UTC while you were editing" in page
            assert f"10.20.0.0/16\n10.{n}.0.0/24</textarea>" in page
            assert f'name="comment" value="mine {n}"' in page
            assert f'<pre class="value">10.20.0.0/16\n10.{winner}.0.0/24</pre>' in page
            assert f"<code>10.{winner}.0.0/24</code>" in page
