"""The library and the page of a media file: what they show, to whom, and at what cost."""

import re
from importlib import import_module
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from media.library import PAGE_SIZE, Wanted, find_page, read_wanted
from media.models import MediaFile
from tests.functional.conftest import MAIN, SYDNEY


def make(count, **fields):
    """Make `count` media files without objects; newer ones have higher numbers."""
    from django.utils import timezone

    start = MediaFile.objects.count()
    fields = {
        "kind": "video",
        "content_type": "video/quicktime",
        "size": 1,
        "configuration": "main",
        "completed_at": timezone.now(),
    } | fields
    pattern = fields.pop("name", "shot_{:03d}.mov")
    return MediaFile.objects.bulk_create(
        MediaFile(name=pattern.format(number), path=f"p/{number}", **fields)
        for number in range(start, start + count)
    )


def names(page):
    return [media_file.name for media_file in page.media_files]


# --- Queries --------------------------------------------------------------------------------------


@pytest.fixture
def files(db):
    make(2, name="sh{:03d}_comp.mov")
    make(2, name="SH{:03d}_Anim 100%.mov")
    make(1, name="sound_{:03d}.wav", kind="audio")


def test_newest_first(files):
    assert names(find_page(Wanted())) == [
        "sound_004.wav",
        "SH003_Anim 100%.mov",
        "SH002_Anim 100%.mov",
        "sh001_comp.mov",
        "sh000_comp.mov",
    ]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ({"q": "sh00"}, [3, 2, 1, 0]),
        ({"q": "mov sh00 anim"}, [3, 2]),
        ({"q": "100%"}, [3, 2]),
        ({"q": "sh_0"}, []),
        ({"q": "%"}, [3, 2]),
        ({"q": "'; --"}, []),
        ({"q": "\0"}, [4, 3, 2, 1, 0]),
        ({"q": "\u200esh\u200f00"}, [3, 2, 1, 0]),
        ({"kind": "audio"}, [4]),
        ({"kind": "audio", "q": "sh00"}, []),
        ({"kind": "nonsense"}, [4, 3, 2, 1, 0]),
        ({"before": "x"}, [4, 3, 2, 1, 0]),
        ({"before": "²"}, [4, 3, 2, 1, 0]),
        ({"before": "9" * 19}, [4, 3, 2, 1, 0]),
        ({"before": "9" * 40}, [4, 3, 2, 1, 0]),
        ({"before": "0"}, []),
    ],
)
def test_search_kind_and_odd_input(files, query, numbers):
    found = [int(re.search(r"\d{3}", name)[0]) for name in names(find_page(read_wanted(query)))]
    assert found == numbers


@pytest.mark.parametrize("word", ["übung_(1).v2", "ÜBUNG_(1)", "u\u0308bung", "Ü", "最終版"])
def test_case_and_composition_do_not_matter_in_any_alphabet(db, word):
    make(1, name="Übung_(1).v2 最終版_{}.mov")
    make(1, name="ubung_(1)xv2_{}.mov")
    assert names(find_page(read_wanted({"q": word}))) == ["Übung_(1).v2 最終版_0.mov"]


def test_pages_in_both_directions_meet_every_file_once(db):
    made = make(10)
    first = find_page(Wanted(), 4)
    second = find_page(Wanted(before=first.media_files[-1].pk), 4)
    third = find_page(Wanted(before=second.media_files[-1].pk), 4)
    seen = [*first.media_files, *second.media_files, *third.media_files]
    assert seen == made[::-1]
    assert [(page.has_newer, page.has_older) for page in (first, second, third)] == [
        (False, True),
        (True, True),
        (True, False),
    ]
    back = find_page(Wanted(after=third.media_files[0].pk), 4)
    assert back == second
    top = find_page(Wanted(after=back.media_files[0].pk), 4)
    assert top.media_files == first.media_files
    assert not top.has_newer


def test_pages_stay_in_place_when_something_is_uploaded(db):
    made = make(6)
    first = find_page(Wanted(), 3)
    make(2)
    second = find_page(Wanted(before=first.media_files[-1].pk), 3)
    assert second.media_files == made[:3][::-1]


@pytest.mark.skipif("connection.vendor != 'postgresql'")
def test_the_search_can_use_the_trigram_index(db):
    make(50)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_indexscan = off")
        plan = MediaFile.objects.filter(name__icontains="hot_01").explain()
    assert "media_name_trigrams" in plan


@pytest.mark.skipif("connection.vendor != 'postgresql'")
def test_migrating_goes_on_where_the_trigram_index_cannot_be_had(db, monkeypatch, caplog):
    migration = import_module("media.migrations.0003_search_index")
    monkeypatch.setattr(migration, "EXTENSION", "CREATE EXTENSION not_installed_here")
    with connection.schema_editor() as editor:
        migration.drop_index(None, editor)
        migration.create_index(None, editor)
    assert "CREATE EXTENSION not_installed_here;  CREATE INDEX" in caplog.text
    assert not MediaFile.objects.exists()


# --- The library's page ---------------------------------------------------------------------------


@pytest.fixture
def visitor(site, client):
    client.force_login(site.person("yes", username="artist"))
    return client


def page_text(answer):
    return re.sub(r"\s+", " ", answer.content.decode())


def test_anonymous_visitors_are_sent_to_log_in_and_scripts_get_401(client, db):
    make(1)
    for address in ("/", "/media/1/"):
        assert client.get(address)["Location"] == f"/login/?next={address}"
        answer = client.get(address, headers={"Accept": "application/json"})
        assert answer.status_code == 401
        assert answer.json()["error"] == "not-logged-in"


def test_a_tile_says_what_how_big_how_old_and_from_where(site, visitor):
    site.media_file(name="übung.mov", body=b"x" * 2048, age=3 * 3600)
    text = page_text(visitor.get("/"))
    assert "übung.mov" in text
    assert "Video · </span>2.0 KB" in text
    assert "3 h ago" in text
    assert "Whether the copy is there is checked at the download." in text
    assert '<span class="badge "' in text


@pytest.mark.parametrize(
    ("mode", "age", "badge", "words"),
    [
        ("no", 3600, "primary", "the replica is never used"),
        ("yes", 10, "primary", "S3 Replication Delay is 60 s"),
        ("auto", 3600, "primary", "is not in IP Adresses for S3 replication"),
    ],
)
def test_the_badge_is_this_persons_own(site, client, mode, age, badge, words):
    client.force_login(site.person(mode))
    site.media_file(age=age)
    text = page_text(client.get("/"))
    assert f'<span class="badge {badge}"' in text
    assert words in text


def test_the_badge_is_the_replicas_when_the_copy_is_known(site, visitor):
    media_file = site.media_file()
    assert visitor.get(f"/media/{media_file.pk}/download")["X-Media-Source"].startswith("sydney;")
    text = page_text(visitor.get("/"))
    assert '<span class="badge replica"' in text
    assert "</span>sydney<span" in text


def test_the_library_asks_s3_nothing(site, visitor):
    site.media_file()
    before = len(site.emulator.log)
    visitor.get("/")
    assert len(site.emulator.log) == before


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"name": "a.png", "content_type": "image/png", "kind": "image"}, True),
        ({"name": "a.svg", "content_type": "image/svg+xml", "kind": "image"}, False),
        ({"name": "a.exr", "content_type": "image/x-exr", "kind": "image"}, False),
        ({"name": "a.mov"}, False),
    ],
)
def test_only_pictures_that_browsers_know_stand_for_themselves(site, visitor, fields, shown):
    media_file = site.media_file(**fields)
    text = page_text(visitor.get("/"))
    image = f'<img src="/media/{media_file.pk}/download?disposition=inline" alt="" loading="lazy"'
    assert (image in text) is shown
    assert ('<svg class="kind-icon" hidden>' in text) is shown


def test_a_large_picture_is_not_its_own_thumbnail(site, visitor):
    make(1, kind="image", content_type="image/png", size=5 * 1024 * 1024 + 1)
    assert '<img src="/media/' not in page_text(visitor.get("/"))


def test_the_number_of_queries_does_not_grow(site, visitor):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert visitor.get("/").status_code == 200
        return len(captured)

    make(1)
    few = queries()
    make(PAGE_SIZE + 5)
    assert queries() == few
    assert few <= 6


def test_pages_are_linked_with_the_search(site, visitor):
    make(PAGE_SIZE + 2, name="a&b_{:03d}.mov")
    text = page_text(visitor.get("/", {"q": "a&b", "kind": "video"}))
    older = re.search(r'href="([^"]+)" rel="next"', text)[1].replace("&amp;", "&")
    assert 'rel="prev"' not in text
    answer = visitor.get(older)
    text = page_text(answer)
    assert "a&amp;b_001.mov" in text
    assert "a&amp;b_002.mov" not in text
    assert 'rel="next"' not in text
    newer = re.search(r'href="([^"]+)" rel="prev"', text)[1].replace("&amp;", "&")
    assert visitor.get(newer)["Location"] == "/?q=a%26b&kind=video"


def test_what_is_typed_is_shown_as_text(site, visitor):
    text = page_text(visitor.get("/", {"q": '<script>alert("x")</script>'}))
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_names_are_shown_as_text(site, visitor):
    make(1, name='<img src=x onerror="{}">')
    assert "<img src=x" not in page_text(visitor.get("/"))
    assert "<img src=x" not in page_text(visitor.get(MediaFile.objects.get().get_absolute_url()))


def test_no_signed_link_is_in_any_page(site, visitor):
    media_file = site.media_file(name="a.png", content_type="image/png", kind="image")
    for address in ("/", f"/media/{media_file.pk}/", "/upload/"):
        answer = visitor.get(address)
        assert answer.status_code == 200
        assert b"X-Amz-" not in answer.content


# --- Empty ----------------------------------------------------------------------------------------


def test_an_empty_library_points_to_the_upload(site, visitor):
    text = page_text(visitor.get("/"))
    assert "No media yet" in text
    assert 'href="/upload/">Upload the first files' in text


def test_a_new_site_points_admins_to_the_preferences(client, django_user_model, db):
    client.force_login(django_user_model.objects.create_user("artist"))
    text = page_text(client.get("/"))
    assert "There is no Storage Location yet" in text
    assert "/admin/preferences" not in text
    client.force_login(django_user_model.objects.create_user("admin", is_staff=True))
    text = page_text(client.get("/"))
    assert 'href="/admin/preferences/sitepreferences/1/change/"' in text


def test_a_search_without_a_match_says_so_and_leads_back(site, visitor):
    make(1)
    text = page_text(visitor.get("/", {"q": "nothing such", "kind": "audio"}))
    assert "No media file of the kind “Audio” has all of the words “nothing such”" in text
    assert 'href="/">Show everything' in text


def test_a_page_beyond_the_oldest_match_does_not_say_that_nothing_matches(site, visitor):
    make(1)
    text = page_text(visitor.get("/", {"q": "shot", "before": "1"}))
    assert "beyond the oldest media file that matches" in text
    assert 'href="/?q=shot">Show the newest' in text
    assert "Nothing matches" not in text


# --- The page of a media file ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"content_type": "video/mp4", "kind": "video"}, "<video data-shown controls"),
        ({"content_type": "audio/wav", "kind": "audio"}, "<audio data-shown controls"),
        ({"content_type": "image/png", "kind": "image"}, "<img data-shown"),
        ({"content_type": "application/pdf", "kind": "document"}, "Open in a new tab</a>"),
        (
            {"content_type": "image/svg+xml", "kind": "image"},
            "There is no preview of image/svg+xml",
        ),
        ({"content_type": "text/html", "kind": "document"}, "There is no preview of text/html"),
    ],
)
def test_a_media_file_is_shown_as_what_it_is(site, visitor, fields, expected):
    media_file = site.media_file(**fields)
    answer = visitor.get(f"/media/{media_file.pk}/")
    text = page_text(answer)
    assert expected in text
    shown = f'"/media/{media_file.pk}/download?disposition=inline"' in text
    assert shown is ("There is no preview of" not in expected)


def test_the_page_has_the_facts_and_the_reason(site, visitor):
    media_file = site.media_file(name="shot.mov", body=b"x" * 3000, age=20)
    text = page_text(visitor.get(f"/media/{media_file.pk}/"))
    assert f'<a class="button primary" href="/media/{media_file.pk}/download">' in text
    assert "2.9 KB (3,000 bytes)" in text
    assert "video/quicktime" in text
    assert "a person who is no longer here" in text
    assert "S3 Replication Delay is 60 s" in text
    assert float(re.search(r'data-changes-in="([\d.]+)"', text)[1]) == pytest.approx(40, abs=5)
    assert media_file.path not in text
    assert "Ask for another person" not in text


def test_the_reason_is_looked_up_in_the_replica(site, visitor):
    media_file = site.media_file(copied=False)
    text = page_text(visitor.get(f"/media/{media_file.pk}/"))
    assert "the file is not in the replica sydney" in text
    assert 'data-changes-in=""' in text


def test_staff_may_ask_for_others_and_see_the_path(site, client):
    client.force_login(site.person(is_staff=True, first_name="Ada", last_name="Admin"))
    media_file = site.media_file()
    text = page_text(client.get(f"/media/{media_file.pk}/"))
    assert f'action="/media/{media_file.pk}/source"' in text
    assert media_file.path in text


@pytest.mark.parametrize("address", ["/media/4711/", f"/media/{2**63}/", f"/media/{10**30}/"])
def test_a_media_file_that_is_not_there(site, visitor, address):
    assert visitor.get(address).status_code == 404


def test_pages_may_load_media_from_every_bucket_and_nowhere_else(site, visitor):
    media_file = site.media_file()
    hosts = set()
    for bucket in (MAIN, SYDNEY):
        parts = urlsplit(site.emulator.endpoint_for(bucket))
        hosts.add(f"{parts.scheme}://{parts.netloc}")
    for address, directives in (
        ("/", {"img-src"}),
        (f"/media/{media_file.pk}/", {"img-src", "media-src"}),
    ):
        policy = {
            directive.split()[0]: set(directive.split()[1:])
            for directive in visitor.get(address)["Content-Security-Policy"].split("; ")
        }
        for directive, sources in policy.items():
            assert (sources - {"'self'"} - {"'none'"}) == (
                hosts if directive in directives else set()
            )


# --- Admin ----------------------------------------------------------------------------------------


def test_the_admins_list_is_for_looking_only(site, client):
    make(3)
    media_file = MediaFile.objects.first()
    client.force_login(site.person(is_staff=True, is_superuser=True))
    assert client.get("/admin/media/mediafile/").status_code == 200
    page = client.get(f"/admin/media/mediafile/{media_file.pk}/change/")
    assert page.status_code == 200
    assert media_file.path.encode() in page.content
    for address in ("add/", f"{media_file.pk}/delete/"):
        assert client.get(f"/admin/media/mediafile/{address}").status_code == 403
    client.post(f"/admin/media/mediafile/{media_file.pk}/change/", {"name": "other"})
    media_file.refresh_from_db()
    assert media_file.name == "shot_000.mov"
    client.force_login(site.person(is_staff=True))
    assert client.get("/admin/media/mediafile/").status_code == 403
    client.force_login(site.person())
    assert client.get("/admin/media/mediafile/").status_code in (302, 403)
