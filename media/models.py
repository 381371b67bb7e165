"""Media files, their replica copies and the uploads that make them."""

import uuid

from django.conf import settings
from django.db import models
from django.urls import reverse

CONFIGURATION_NAME_LENGTH = 100
PATH_LENGTH = 400


class Kind(models.TextChoices):
    """What a media file is, by its content type."""

    IMAGE = "image", "Image"
    VIDEO = "video", "Video"
    AUDIO = "audio", "Audio"
    DOCUMENT = "document", "Document"
    OTHER = "other", "Other"


class MediaFile(models.Model):
    """One immutable object in S3.

    `configuration` is the one it was uploaded to, so that a changed `Storage Location` never
    breaks old media; `path` is its key relative to that configuration's prefix. The row is made
    once the object is complete, so newer files have higher ids.
    """

    name = models.CharField(max_length=255)
    kind = models.CharField(max_length=8, choices=Kind)
    content_type = models.CharField(max_length=127)
    size = models.BigIntegerField(help_text="bytes")
    etag = models.CharField(max_length=80)
    configuration = models.CharField(max_length=CONFIGURATION_NAME_LENGTH)
    path = models.CharField(max_length=PATH_LENGTH, unique=True)
    uploaded_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True)
    completed_at = models.DateTimeField(help_text="when the object was complete on the primary")

    class Meta:
        indexes = [
            models.Index(fields=["kind", "-id"], name="media_by_kind"),
            # Site Preferences count what depends on a configuration before it may go.
            models.Index(fields=["configuration"], name="media_by_configuration"),
        ]
        default_permissions = ("add", "view", "delete")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the address of the media file's page."""
        return reverse("media:detail", args=[self.pk])


class ReplicaCopy(models.Model):
    """What the site knows about a media file's copy in one replica.

    `target` is the fingerprint of the replica's place (BucketConfig.fingerprint): a changed
    bucket, prefix or region starts with no knowledge at all.
    """

    class State(models.TextChoices):
        """The states of DESIGN's glossary; no row means unknown."""

        UNKNOWN = "unknown"
        PENDING = "pending"
        READY = "ready"
        MISSING = "missing"
        FAILED = "failed"

    media_file = models.ForeignKey(MediaFile, models.CASCADE, related_name="replica_copies")
    target = models.CharField(max_length=16)
    state = models.CharField(max_length=8, choices=State, default=State.UNKNOWN)
    detail = models.CharField(max_length=200, default="")
    tries = models.PositiveSmallIntegerField(default=0)
    checked_at = models.DateTimeField(null=True)
    next_check_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["media_file", "target"], name="one_copy_per_replica")
        ]
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.media_file_id} in {self.target}: {self.state}"


class Upload(models.Model):
    """A multipart upload that a person has begun and not yet completed."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE)
    name = models.CharField(max_length=255)
    content_type = models.CharField(max_length=127)
    size = models.BigIntegerField(help_text="bytes")
    part_size = models.BigIntegerField(help_text="bytes")
    configuration = models.CharField(max_length=CONFIGURATION_NAME_LENGTH)
    path = models.CharField(max_length=PATH_LENGTH, unique=True)
    s3_upload_id = models.CharField(max_length=400)
    started_at = models.DateTimeField(auto_now_add=True)
    media_file = models.OneToOneField(MediaFile, models.CASCADE, null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.name
