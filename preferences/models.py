"""People, their sessions, the Site Preferences row and its revisions."""

from datetime import datetime
from typing import Any, NoReturn

from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.urls import reverse
from django.utils import timezone


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

    def may_change_preferences(self) -> bool:
        """Say whether this person may save Site Preferences, and so run speed tests."""
        return self.is_staff and self.has_perm("preferences.change_sitepreferences")


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


class Kept(models.QuerySet):
    """Rows that nothing deletes."""

    def delete(self) -> NoReturn:
        """Refuse."""
        raise NotDeleted(self.model)


class NotDeleted(Exception):
    """Site Preferences and their revisions are never deleted."""

    def __init__(self, model: type[models.Model]) -> None:
        super().__init__(f"{model._meta.verbose_name}: nothing deletes these; save or restore.")


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

    objects = Kept.as_manager()

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

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: there is always one row."""
        raise NotDeleted(type(self))


class PreferenceSource(models.TextChoices):
    """From where Site Preferences were saved, in words for History."""

    PAGE = "page", "page"
    API = "api", "API"
    COMMAND_LINE = "command line", "command line"
    RESTORE = "restore", "restore"
    ENVIRONMENT = "environment", "environment"
    INSTALLATION = "installation", "installation"


class PreferenceRevision(models.Model):
    """One version of Site Preferences: all values, who saved them, when and from where.

    Made by `preferences.saving.save_preferences` in the transaction that changes the row; never
    changed and never deleted. The one with the highest number is in force.
    """

    MAX_COMMENT = 500

    number = models.PositiveIntegerField(unique=True)
    created = models.DateTimeField()
    user = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    username = models.CharField(max_length=150, blank=True)
    """Who saved, also when the person is gone or never was one of the site's; "": the site."""
    source = models.CharField(max_length=12, choices=PreferenceSource)
    address = models.CharField(max_length=64, blank=True)
    """The client address of a page or API request."""
    comment = models.CharField(max_length=MAX_COMMENT, blank=True)
    data = models.JSONField()
    """The values by field name (preferences.saving.FIELDS)."""
    restored_from = models.PositiveIntegerField(null=True)
    """The number of the revision whose values were restored."""

    objects = Kept.as_manager()

    class Meta:
        # Who may see or change Site Preferences may see or restore its revisions.
        default_permissions = ()
        ordering = ("-number",)

    def __str__(self) -> str:
        return f"revision {self.number}"

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: nothing deletes a revision."""
        raise NotDeleted(type(self))

    @property
    def who(self) -> str:
        """Who saved it, for a sentence: a name, or the kind of writer without one."""
        return self.username or {
            PreferenceSource.API: "a program",
            PreferenceSource.COMMAND_LINE: "somebody on the command line",
            PreferenceSource.ENVIRONMENT: "the environment",
            PreferenceSource.INSTALLATION: "the installation",
        }.get(self.source, "somebody else")


class ApiToken(models.Model):
    """A token that a script logs in with, as the person it belongs to (preferences.tokens).

    The token itself is not stored: `key` finds the row, `digest` proves the rest.
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="api_tokens")
    name = models.CharField(
        max_length=100, help_text="What uses the token, such as the script and its machine."
    )
    key = models.CharField(max_length=16, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    created = models.DateTimeField(default=timezone.now, editable=False)
    created_by = models.ForeignKey(
        User, models.SET_NULL, null=True, editable=False, related_name="+"
    )
    """None when it was made on the command line."""
    expires_at = models.DateTimeField("expires", null=True, editable=False)
    addresses = models.TextField(
        blank=True,
        default="",
        help_text="Addresses and ranges that may use it, one per line. Empty: from anywhere.",
    )
    revoked_at = models.DateTimeField("revoked", null=True, editable=False)
    last_used_at = models.DateTimeField("last used", null=True, editable=False)
    """To some ten minutes."""

    class Meta:
        verbose_name = "API token"
        verbose_name_plural = "API tokens"
        default_permissions = ("add", "view", "change")
        ordering = ("-created", "-pk")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "name"],
                condition=models.Q(revoked_at=None),
                name="one_token_of_a_name",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} (shot_{self.key}_…)"

    def state(self, now: datetime | None = None) -> str:
        """Return whether the token can be used: "revoked", "expired" or "active"."""
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= (now or timezone.now()):
            return "expired"
        return "active"
