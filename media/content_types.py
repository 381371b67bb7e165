"""What a media file is called and what it is: from allow-lists, never from what was sent alone.

Both the Content-Disposition and the Content-Type that S3 answers with come from INLINE_TYPES: a
browser that is told "attachment" by one rule and "text/html" by another runs the uploader's script.
"""

import mimetypes
import re
import unicodedata
import uuid
from datetime import datetime
from functools import lru_cache
from pathlib import PurePosixPath
from urllib.parse import quote

from django.utils.http import content_disposition_header

from media.models import Kind

UNKNOWN_TYPE = "application/octet-stream"

INLINE_TYPES = {
    "image/png": "image/png",
    "image/jpeg": "image/jpeg",
    "image/gif": "image/gif",
    "image/webp": "image/webp",
    "image/avif": "image/avif",
    "image/bmp": "image/bmp",
    "video/mp4": "video/mp4",
    "video/webm": "video/webm",
    "video/ogg": "video/ogg",
    "video/quicktime": "video/quicktime",
    "audio/mpeg": "audio/mpeg",
    "audio/mp4": "audio/mp4",
    "audio/aac": "audio/aac",
    "audio/ogg": "audio/ogg",
    "audio/wav": "audio/wav",
    "audio/flac": "audio/flac",
    "audio/webm": "audio/webm",
    "application/pdf": "application/pdf",
    "text/plain": "text/plain; charset=utf-8",
}
"""Types that may be shown in the browser, and the Content-Type each is then served with."""

THUMBNAIL_TYPES = frozenset(name for name in INLINE_TYPES if name.startswith("image/"))
"""Types that an <img> shows in every browser."""

_TYPE_OF_EXTENSION = {
    # The machine's own table (mimetypes) differs from system to system; what a studio uses is here.
    ".mov": "video/quicktime",
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".webm": "video/webm",
    ".ogv": "video/ogg",
    ".mkv": "video/x-matroska",
    ".avi": "video/x-msvideo",
    ".mxf": "application/mxf",
    ".r3d": "video/x-red-r3d",
    ".braw": "video/x-braw",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".m4a": "audio/mp4",
    ".aac": "audio/aac",
    ".aif": "audio/aiff",
    ".aiff": "audio/aiff",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".oga": "audio/ogg",
    ".opus": "audio/ogg",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".tif": "image/tiff",
    ".tiff": "image/tiff",
    ".exr": "image/x-exr",
    ".dpx": "image/x-dpx",
    ".cin": "image/x-cineon",
    ".hdr": "image/vnd.radiance",
    ".tx": "image/x-tx",
    ".tga": "image/x-tga",
    ".psd": "image/vnd.adobe.photoshop",
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
    ".txt": "text/plain",
    ".log": "text/plain",
    ".md": "text/plain",
    ".edl": "text/plain",
    ".cube": "text/plain",
    ".csv": "text/csv",
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "application/xhtml+xml",
    ".xml": "application/xml",
    ".ma": "application/x-maya-ascii",
    ".mb": "application/x-maya-binary",
    ".nk": "application/x-nuke",
    ".hip": "application/x-houdini",
    ".blend": "application/x-blender",
    ".usd": "model/vnd.usd",
    ".usda": "model/vnd.usda",
    ".usdc": "model/vnd.usdc",
    ".usdz": "model/vnd.usdz+zip",
    ".abc": "model/x-alembic",
    ".vdb": "model/x-vdb",
}

_SAME_TYPE = {
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/mp3": "audio/mpeg",
    "audio/x-m4a": "audio/mp4",
    "image/jpg": "image/jpeg",
    "image/x-ms-bmp": "image/bmp",
    "video/x-m4v": "video/mp4",
}

_DOCUMENTS = (
    "application/pdf",
    "application/rtf",
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
    "application/vnd.oasis.opendocument.",
    "application/vnd.openxmlformats-officedocument.",
)
_KIND_OF_TYPE = {"application/mxf": Kind.VIDEO}
_KIND_OF_FAMILY = {
    "image": Kind.IMAGE,
    "video": Kind.VIDEO,
    "audio": Kind.AUDIO,
    "text": Kind.DOCUMENT,
}

# type "/" subtype of restricted names (RFC 6838 section 4.2), short enough for the column.
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")

_guess = mimetypes.MimeTypes()
"""Python's own table only: the machine's files must not decide what is shown inline."""


def content_type_of(name: str, declared: str) -> str:
    """Return the content type of a file called `name` whose sender declares the type `declared`.

    The extension decides where it is known, because senders' tables are often wrong about studio
    files; otherwise a well-formed declared type, without parameters; else UNKNOWN_TYPE.
    """
    extension = PurePosixPath(name).suffix.lower()
    found = _TYPE_OF_EXTENSION.get(extension) or _guess.guess_type(f"file{extension}")[0]
    if not found:
        found = declared.partition(";")[0].strip().lower()
        if not _TYPE.fullmatch(found):
            return UNKNOWN_TYPE
    return _SAME_TYPE.get(found, found)


def kind_of(content_type: str) -> Kind:
    """Return what a media file of `content_type` is for the library."""
    if content_type.startswith(_DOCUMENTS):
        return Kind.DOCUMENT
    family = content_type.partition("/")[0]
    return _KIND_OF_TYPE.get(content_type) or _KIND_OF_FAMILY.get(family, Kind.OTHER)


def served_type(content_type: str) -> str:
    """Return the Content-Type that S3 may answer with: UNKNOWN_TYPE unless on INLINE_TYPES."""
    return INLINE_TYPES.get(content_type, UNKNOWN_TYPE)


@lru_cache(maxsize=4096)
def disposition(name: str, content_type: str, inline: bool) -> tuple[str, str]:
    """Return the Content-Disposition and the Content-Type to serve a media file with.

    `inline` asks for it to be shown; only types in INLINE_TYPES are, everything else (HTML, SVG and
    XML among it) is an attachment of UNKNOWN_TYPE. RFC 6266, with both forms of a name that is not
    ASCII (its appendix D); `/` and `\\` are taken out because Django's content_disposition_header
    keeps them and some clients read them as folders.
    """
    shown = inline and content_type in INLINE_TYPES
    # Django 5.2 leaves a line feed at the end of a name as it is; control characters go, too.
    kept = (character for character in name if unicodedata.category(character) != "Cc")
    file_name = "".join(kept).replace("/", "").replace("\\", "") or "file"
    header = content_disposition_header(as_attachment=not shown, filename=file_name)
    if "filename*=" in header:
        # curl's -J reads the plain form alone, and would call every such file "download".
        header = header.replace("filename*=", f'filename="{safe_name(file_name)}"; filename*=')
    elif "%" in file_name:
        # Browsers decode the plain form: "plate.%04d.exr" would be saved as "plate._d.exr".
        header += f"; filename*=utf-8''{quote(file_name)}"
    return header, served_type(content_type)


# --- Names and paths ------------------------------------------------------------------------------

SAFE_NAME_LENGTH = 200

# Invisible characters that turn the reading direction: "gpj.exe" can be made to read "exe.jpg".
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_name(name: str) -> str:
    """Return a person's file name as it is kept: composed (NFC), without folders in front and
    without control characters, lone surrogates and characters that turn the reading direction.

    May return "": then nothing of the name was left.
    """
    return without_hidden(name.replace("\\", "/").rpartition("/")[2]).strip()


def without_hidden(text: str) -> str:
    """Return `text` composed (NFC), without what `clean_name` takes out of a name."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(
        character
        for character in composed
        if unicodedata.category(character) not in ("Cc", "Cs") and character not in _TURNING
    )


def safe_name(name: str) -> str:
    """Return `name` in the alphabet of keys, `[A-Za-z0-9._-]`, at most SAFE_NAME_LENGTH characters.

    The extension survives. Never empty and never starts with a dot: clients normalise the segments
    `.` and `..` of an address, and then the signature does not fit.
    """
    stem, _, extension = name.rpartition(".")
    if re.fullmatch(r"[A-Za-z0-9]{1,16}", extension):
        extension = "." + extension
    else:
        stem, extension = name, ""
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    safe = re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._") or "file"
    return safe[: SAFE_NAME_LENGTH - len(extension)] + extension


def new_path(now: datetime, name: str) -> str:
    """Return a path that no other media file has: `<yyyy>/<mm>/<32 hex>/<safe name>`.

    `name` is the person's file name, `now` the time of the upload.
    """
    return f"{now:%Y/%m}/{uuid.uuid4().hex}/{safe_name(name)}"
