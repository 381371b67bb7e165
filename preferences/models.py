"""People, their sessions, and the Site Preferences row."""

from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.urls import reverse


class UseS3Replication(models.TextChoices):
    """The values of `Use S3 Replication` (Media Replication, "How it works")."""

    NO = "no", "no"
    YES = "yes", "yes"
    AUTO = "auto", "auto"


class User(AbstractUser):
    """A person who logs in."""

    use_s3_replication = models.CharField(
        "Use S3 Replication",
        max_length=4,
        choices=UseS3Replication,
        default=UseS3Replication.NO,
        help_text=(
            "no: never use the replica. yes: use it when the delay is over. auto: as yes, when the "
            "user's IP address is in “IP Adresses for S3 replication”."
        ),
    )

    def may_see_preferences(self) -> bool:
        """Say whether the page Site Preferences is open to this person, if only to look."""
        return self.is_staff and any(
            self.has_perm(f"preferences.{action}_sitepreferences") for action in ("view", "change")
        )


class Session(AbstractBaseSession):
    """A browser session with its user in a column of its own.

    Django keeps the user inside the signed session data; the download redirect joins session,
    user and media file in one statement and needs them as columns.
    """

    user = models.ForeignKey(User, models.CASCADE, null=True)
    auth_hash = models.CharField(max_length=128, default="")

    @classmethod
    def get_session_store_class(cls):
        """Return the session engine of this model (django.contrib.sessions.base_session)."""
        from preferences.sessions import SessionStore

        return SessionStore


class SitePreferences(models.Model):
    """The one row of Site Preferences (pk 1, made by a migration).

    Rows are changed by `preferences.saving.save_preferences` only, which compares and sets
    `version`.
    """

    s3_configuration = models.TextField("S3 Configuration", blank=True, default="{}")
    s3_bucket_for_replication = models.CharField(
        "S3 Bucket for Replication", max_length=100, blank=True, default=""
    )
    s3_replication_delay = models.PositiveIntegerField("S3 Replication Delay", default=60)
    s3_replication_ip_addresses = models.TextField(
        "IP Adresses for S3 replication", blank=True, default=""
    )
    storage_location = models.CharField("Storage Location", max_length=100, blank=True, default="")
    verify_replica_copies = models.BooleanField("Verify replica copies", default=True)

    version = models.PositiveIntegerField(default=0, editable=False)
    replica_target = models.CharField(max_length=16, default="", editable=False)
    changed_at = models.DateTimeField(null=True, editable=False)
    changed_by = models.ForeignKey(
        User, models.SET_NULL, null=True, editable=False, related_name="+"
    )

    class Meta:
        verbose_name = "Site Preferences"
        verbose_name_plural = "Site Preferences"
        default_permissions = ("view", "change")
        constraints = [models.CheckConstraint(condition=models.Q(pk=1), name="one_row")]

    def __str__(self) -> str:
        return "Site Preferences"

    def get_absolute_url(self) -> str:
        """Return the address of the page that edits the row."""
        return reverse("admin:preferences_sitepreferences_change", args=[self.pk])
