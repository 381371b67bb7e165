"""Uploads: from a person's file to a media file, with S3's multipart calls in between.

The bytes go from the browser to S3; the site begins the upload, signs each part when it is about to
be sent, joins the parts and looks at the result before the media file exists. The errors are about
uploads and know no HTTP; S3's own (shotmedia.s3.errors) pass through.
"""

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from botocore.exceptions import ClientError
from django.db import transaction

from media.content_types import (
    clean_name,
    content_type_of,
    disposition,
    kind_of,
    new_path,
)
from media.models import MediaFile, Upload
from preferences.models import User
from preferences.snapshot import Preferences
from shotmedia.s3 import multipart
from shotmedia.s3.clients import ObjectHead, head_object, s3_client
from shotmedia.s3.config import BucketConfig
from shotmedia.s3.errors import AccessDenied, ObjectMissing, translated
from shotmedia.s3.errors import UploadMissing as S3UploadMissing
from shotmedia.s3.multipart import PartPlan, plan_parts

logger = logging.getLogger(__name__)

PART_LINK_SECONDS = 900
"""Life of a part's link. S3 looks at it when the PUT begins, and a part is signed just before."""

PARTS_AT_ONCE = 50
"""Links that one call signs at most: they are wanted shortly before they are used."""

HEAD_SECONDS = 5.0
"""Budget of the look at the finished object; a person waits, but losing the upload is worse."""


class UploadError(Exception):
    """An upload cannot go on; the text says why, in a sentence for the person."""

    code = "upload-failed"


class BadFile(UploadError):
    """The file cannot be uploaded at all: its name, its size."""

    code = "bad-file"


class BadParts(UploadError):
    """The parts named are not those of the upload."""

    code = "bad-parts"


class NoStorageLocation(UploadError):
    """There is nowhere to upload to."""

    code = "no-storage-location"


class UploadMissing(UploadError):
    """This person has no such upload."""

    code = "no-such-upload"


class UploadComplete(UploadError):
    """The upload is already a media file."""

    code = "upload-complete"


class Damaged(UploadError):
    """What is in S3 is not what was sent; it has been removed."""

    code = "damaged"


@dataclass(frozen=True, slots=True)
class PartLink:
    """A link to PUT one part of `length` bytes."""

    number: int
    url: str
    length: int


def begin(
    *,
    user: User,
    name: str,
    size: int,
    declared_type: str,
    preferences: Preferences,
    now: datetime,
) -> tuple[Upload, PartPlan]:
    """Begin the upload of a file of `size` bytes to Storage Location.

    The key is made here and bound to the person and the upload. Raises BadFile,
    NoStorageLocation and S3Error.
    """
    name = _checked_name(name)
    plan = _planned(size)
    config = preferences.primary
    if config is None:
        raise NoStorageLocation(
            "There is nowhere to upload to yet: an admin has to choose a Storage Location in Site "
            "Preferences."
        )
    content_type = content_type_of(name, declared_type)
    path = new_path(now, name)
    content_disposition, stored_type = disposition(name, content_type, False)
    s3_upload_id = multipart.create(
        config, path, content_type=stored_type, content_disposition=content_disposition
    )
    upload = Upload.objects.create(
        user=user,
        name=name,
        content_type=content_type,
        size=size,
        part_size=plan.part_size,
        configuration=config.name,
        path=path,
        s3_upload_id=s3_upload_id,
    )
    return upload, plan


def _checked_name(name: str) -> str:
    longest = Upload._meta.get_field("name").max_length
    kept = clean_name(name)
    if not kept or kept in (".", ".."):
        raise BadFile("The file has no name that can be kept. Rename it and try again.")
    if len(kept) > longest:
        raise BadFile(
            f"The file's name has {len(kept)} characters; {longest} can be kept. Give it a shorter "
            "name and try again."
        )
    return kept


def _planned(size: int) -> PartPlan:
    if size < 1:
        raise BadFile("The file is empty (0 bytes): there is nothing to upload.")
    try:
        return plan_parts(size)
    except ValueError as error:
        raise BadFile(str(error)) from error


def find(*, user: User, upload_id: object) -> Upload:
    """Return the person's upload with this id. Raises UploadMissing, also for others' uploads."""
    upload = Upload.objects.filter(pk=upload_id, user=user).select_related("media_file").first()
    if upload is None:
        raise UploadMissing("There is no such upload: it was cancelled, or it is not yours.")
    return upload


def plan_of(upload: Upload) -> PartPlan:
    """Return the plan that the upload was begun with."""
    return PartPlan(upload.size, upload.part_size, -(-upload.size // upload.part_size))


def sign_parts(
    *, upload: Upload, numbers: Collection[int], preferences: Preferences
) -> list[PartLink]:
    """Return a link for each of the parts `numbers`, PARTS_AT_ONCE at most.

    Raises BadParts, UploadComplete, NoStorageLocation and S3Error.
    """
    _must_be_open(upload)
    plan = plan_of(upload)
    if not 1 <= len(numbers) <= PARTS_AT_ONCE:
        raise BadParts(f"Ask for 1 to {PARTS_AT_ONCE} parts at a time.")
    if not all(1 <= number <= plan.count for number in numbers):
        raise BadParts(f"The parts of this upload have the numbers 1 to {plan.count}.")
    config = _config_of(upload, preferences)
    return [
        PartLink(number, link.url, plan.length(number))
        for number in numbers
        for link in [
            multipart.sign_part(
                config,
                upload.path,
                upload.s3_upload_id,
                number,
                plan.length(number),
                PART_LINK_SECONDS,
            )
        ]
    ]


def complete(
    *,
    upload: Upload,
    parts: Iterable[tuple[int, str]],
    preferences: Preferences,
    now: datetime,
) -> MediaFile:
    """Join the parts, look at the object and return the new media file; safe to repeat.

    `parts` are (number, ETag) of all parts. The media file comes into being only when S3 shows an
    object of the declared size with the ETag that joining gave; otherwise the object is removed and
    the upload is over. Raises BadParts, Damaged, UploadMissing, NoStorageLocation and S3Error.
    """
    if upload.media_file is not None:
        return upload.media_file
    config = _config_of(upload, preferences)
    etag = _joined(config, upload, _checked_parts(upload, parts))
    try:
        head = head_object(config, upload.path, timeout=HEAD_SECONDS)
    except ObjectMissing as error:
        upload.delete()
        raise Damaged("S3 joined the parts, but the file is not there. Upload it again.") from error
    if head.size != upload.size or head.etag != etag:
        _remove(config, upload.path, head)
        upload.delete()
        raise Damaged(
            f"The file arrived with {head.size} bytes instead of {upload.size}, or changed on the "
            "way; it was removed. Upload it again."
        )
    media_file = _become(upload, head, now)
    if media_file is None:
        _remove(config, upload.path, head)
        raise UploadMissing("The upload was cancelled while it was being completed.")
    return media_file


def _checked_parts(upload: Upload, parts: Iterable[tuple[int, str]]) -> list[tuple[int, str]]:
    by_number = dict(parts)
    count = plan_of(upload).count
    missing = [number for number in range(1, count + 1) if number not in by_number]
    if missing or len(by_number) != count:
        first = f", the first is part {missing[0]}" if missing else ""
        raise BadParts(
            f"The upload has {count} parts; {len(missing)} are missing{first}, and "
            f"{len(by_number) - count + len(missing)} do not belong to it."
        )
    return sorted(by_number.items())


# What S3 answers when the ETags or sizes are not those of the parts that it holds
# (API Reference, CompleteMultipartUpload, "Errors").
_PARTS_REFUSED = ("InvalidPart", "InvalidPartOrder", "EntityTooSmall", "MalformedXML")


def _joined(config: BucketConfig, upload: Upload, parts: list[tuple[int, str]]) -> str:
    try:
        return multipart.complete(config, upload.path, upload.s3_upload_id, parts)
    except S3UploadMissing as error:
        upload.delete()
        raise UploadMissing(
            "S3 no longer knows this upload: it was cancelled or cleaned up. Upload the file again."
        ) from error
    except ClientError as error:
        answer = error.response["Error"]
        if answer.get("Code") not in _PARTS_REFUSED:
            raise
        raise BadParts(
            f"S3 does not hold the parts as they were named ({answer['Code']}: "
            f"{answer.get('Message', '')})."
        ) from error


def _become(upload: Upload, head: ObjectHead, now: datetime) -> MediaFile | None:
    """Make the media file of `upload`, or return the one that another request has just made.

    None when the upload has been cancelled meanwhile.
    """
    with transaction.atomic():
        locked = Upload.objects.select_for_update().filter(pk=upload.pk).first()
        if locked is None:
            return None
        if locked.media_file_id is not None:
            return MediaFile.objects.get(pk=locked.media_file_id)
        locked.media_file = MediaFile.objects.create(
            name=upload.name,
            kind=kind_of(upload.content_type),
            content_type=upload.content_type,
            size=head.size,
            etag=head.etag,
            # As the locked row has it: Site Preferences may have renamed it meanwhile.
            configuration=locked.configuration,
            path=upload.path,
            uploaded_by_id=upload.user_id,
            # Not S3's Last-Modified, which is when a multipart upload was begun (S3 User Guide).
            completed_at=now,
        )
        locked.save(update_fields=["media_file"])
        return locked.media_file


def _remove(config: BucketConfig, path: str, head: ObjectHead) -> None:
    """Remove the object that `head` shows: the version itself, for nothing refers to it."""
    version = {"VersionId": head.version_id} if head.version_id else {}
    with translated("DeleteObject"):
        s3_client(config).delete_object(Bucket=config.bucket, Key=config.key(path), **version)
    logger.warning("damaged upload removed", extra={"configuration": config.name, "path": path})


def cancel(*, upload: Upload, preferences: Preferences) -> None:
    """Give the upload up and free what S3 holds of it.

    Raises UploadComplete, NoStorageLocation and S3Error; then the upload is still there.
    """
    _must_be_open(upload)
    config = _config_of(upload, preferences)
    multipart.abort(config, upload.path, upload.s3_upload_id)
    left = _joined_before(config, upload)
    # Another request may have completed it meanwhile: then there is a media file, and it stays.
    Upload.objects.filter(pk=upload.pk, media_file=None).delete()
    if Upload.objects.filter(pk=upload.pk).exists():
        raise UploadComplete(f"“{upload.name}” is already uploaded.")
    if left is not None:
        _remove(config, upload.path, left)


def _joined_before(config: BucketConfig, upload: Upload) -> ObjectHead | None:
    """Return the object of an upload whose parts were joined, but that never became a media file.

    So it is where S3 joined the parts and then gave no answer to the look at the object.
    """
    try:
        return head_object(config, upload.path, timeout=HEAD_SECONDS)
    except (ObjectMissing, AccessDenied):
        # Without s3:ListBucket S3 answers 403 for what is not there.
        return None


def _must_be_open(upload: Upload) -> None:
    if upload.media_file is not None:
        raise UploadComplete(f"“{upload.name}” is already uploaded.")


def _config_of(upload: Upload, preferences: Preferences) -> BucketConfig:
    config = preferences.configurations.get(upload.configuration)
    if config is None:
        raise NoStorageLocation(
            f"The upload began on “{upload.configuration}”, which is no longer in S3 "
            "Configuration. Upload the file again."
        )
    return config
