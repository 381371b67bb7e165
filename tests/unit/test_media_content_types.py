"""Names, paths, kinds, and what may be shown in a browser."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.content_types import (
    INLINE_TYPES,
    UNKNOWN_TYPE,
    clean_name,
    content_type_of,
    disposition,
    kind_of,
    new_path,
    safe_name,
    served_type,
)
from shotmedia.s3.config import check_key

DANGEROUS = [
    "text/html",
    "application/xhtml+xml",
    "image/svg+xml",
    "application/xml",
    "text/xml",
    "text/javascript",
    "application/mathml+xml",
    "multipart/x-mixed-replace",
    "text/html; charset=utf-8",
    "TEXT/HTML",
]


@pytest.mark.parametrize("content_type", DANGEROUS)
def test_what_can_run_script_is_an_attachment_without_a_type(content_type):
    header, served = disposition("page.html", content_type, True)
    assert header.startswith("attachment;")
    assert served == "application/octet-stream"


def test_an_allowed_type_is_shown_when_asked_for_and_saved_otherwise():
    assert disposition("a.png", "image/png", True) == ('inline; filename="a.png"', "image/png")
    assert disposition("a.png", "image/png", False) == (
        'attachment; filename="a.png"',
        "image/png",
    )


def test_no_type_on_the_allow_list_can_run_script():
    assert not [name for name in INLINE_TYPES if re.search("html|xml|svg|script", name)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("..\\..\\evil/name.mov", 'filename="....evilname.mov"'),
        ("übung, 1.mov", "filename=\"ubung_1.mov\"; filename*=utf-8''%C3%BCbung%2C%201.mov"),
        ("映像.mov", "filename=\"file.mov\"; filename*=utf-8''%E6%98%A0%E5%83%8F.mov"),
        (
            "plate.%04d.exr",
            "filename=\"plate.%04d.exr\"; filename*=utf-8''plate.%2504d.exr",
        ),
        ("///", 'filename="file"'),
        ("line feed.mov\n", 'filename="line feed.mov"'),
        ('quo"te.mov', r'filename="quo\"te.mov"'),
    ],
)
def test_the_name_in_the_header(name, expected):
    header, _ = disposition(name, "video/mp4", False)
    assert header == f"attachment; {expected}"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), st.booleans())
def test_the_header_is_one_line_of_ascii_without_slashes_in_the_name(name, inline):
    header, _ = disposition(name, "video/mp4", inline)
    assert header.isascii()
    assert not re.search(r"[\x00-\x1f\x7f]", header)
    assert "/" not in header
    assert not re.search(r'\\[^"\\]', header)


@pytest.mark.parametrize(
    ("name", "declared", "expected"),
    [
        ("shot.mov", "", "video/quicktime"),
        ("SHOT.MOV", "application/x-whatever", "video/quicktime"),
        ("plate.exr", "", "image/x-exr"),
        ("sound.wav", "audio/x-wav", "audio/wav"),
        ("picture.html", "image/png", "text/html"),
        ("no extension", "image/png", "image/png"),
        ("no extension", "Image/PNG; charset=x", "image/png"),
        ("no extension", "rubbish", UNKNOWN_TYPE),
        ("no extension", "a/b\r\nX-Evil: 1", UNKNOWN_TYPE),
        ("no extension", "", UNKNOWN_TYPE),
        ("scene.zip", "", "application/zip"),
        ("thing.unheardof", "", UNKNOWN_TYPE),
    ],
)
def test_the_type_comes_from_the_extension_and_then_from_the_sender(name, declared, expected):
    assert content_type_of(name, declared) == expected


@given(st.text(max_size=60), st.text(max_size=200))
def test_a_type_always_fits_its_column(name, declared):
    found = content_type_of(name, declared)
    assert len(found) <= 127
    assert re.fullmatch(r"[!-~]+/[!-~]+", found)
    assert served_type(found) in {*INLINE_TYPES.values(), UNKNOWN_TYPE}


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("video/mp4", "video"),
        ("application/mxf", "video"),
        ("image/x-exr", "image"),
        ("audio/wav", "audio"),
        ("application/pdf", "document"),
        ("text/csv", "document"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "document"),
        ("application/vnd.ms-excel", "document"),
        ("application/zip", "other"),
        ("model/vnd.usd", "other"),
    ],
)
def test_kinds(content_type, kind):
    assert kind_of(content_type) == kind


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("C:\\fakepath\\shot.mov", "shot.mov"),
        ("/etc/passwd", "passwd"),
        (" shot.mov\n", "shot.mov"),
        ("a\x00b\x1b.mov", "ab.mov"),
        ("u\u0308bung.mov", "\u00fcbung.mov"),
        ("\u202egpj.exe", "gpj.exe"),
        ("\ud800x.mov", "x.mov"),
        ("映像 🎬.mov", "映像 🎬.mov"),
        ("\x00\n", ""),
    ],
)
def test_the_name_that_is_kept(name, kept):
    assert clean_name(name) == kept


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("shot_010.v002.mov", "shot_010.v002.mov"),
        ("übung 1 (final).mov", "ubung_1_final.mov"),
        ("映像.mov", "file.mov"),
        (".bashrc", "file.bashrc"),
        ("..", "file"),
        ("", "file"),
        ("-rf", "-rf"),
        ("a/../b.mov", "a_.._b.mov"),
    ],
)
def test_safe_names(name, safe):
    assert safe_name(name) == safe


@given(st.text(max_size=400))
def test_a_safe_name_is_always_a_good_end_of_a_key(name):
    safe = safe_name(name)
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}", safe)
    check_key(f"prefix/{new_path(datetime(2026, 3, 1, tzinfo=UTC), name)}")


def test_a_long_name_keeps_its_extension():
    assert safe_name("x" * 300 + ".mov") == "x" * 196 + ".mov"


def test_a_path_is_new_each_time():
    now = datetime(2026, 3, 1, tzinfo=UTC)
    first, second = new_path(now, "a b.mov"), new_path(now, "a b.mov")
    assert re.fullmatch(r"2026/03/[0-9a-f]{32}/a_b\.mov", first)
    assert first != second
