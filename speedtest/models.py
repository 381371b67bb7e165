"""Results of speed tests."""

import uuid
from typing import Any

from django.conf import settings
from django.db import models

from speedtest.origins import browser_of, office_of


class SpeedTestInvitation(models.Model):
    """Lets whoever holds its link test one configuration, without a log-in.

    The link carries only the signed id: this row says what it is good for, and for how long.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    configuration = models.CharField(max_length=100)
    place = models.CharField(max_length=16)
    """The configuration's fingerprint: once it points elsewhere, the link is dead."""
    note = models.CharField(max_length=80)
    """For whom, such as "Anna, home office": stands for the person in the results."""
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="speed_test_invitations"
    )
    created_at = models.DateTimeField(db_index=True)
    expires_at = models.DateTimeField()
    max_runs = models.PositiveSmallIntegerField(default=20)
    revoked_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "speed test invitation"
        default_permissions = ()
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"{self.configuration} for {self.note}"


class SpeedTestRun(models.Model):
    """One test of one configuration by one person, running or over."""

    class State(models.TextChoices):
        """Where a test is, or how it ended."""

        RUNNING = "running", "running"
        DONE = "done", "done"
        STOPPED = "stopped", "stopped"
        FAILED = "failed", "failed"
        LEFT = "left", "left (the page was closed)"

    class Mode(models.TextChoices):
        """What was asked for."""

        QUICK = "quick", "Quick"
        STANDARD = "standard", "Standard"
        THOROUGH = "thorough", "Thorough"
        COMPARE = "compare", "Comparison"

    class Source(models.TextChoices):
        """From where it was measured."""

        BROWSER = "browser", "browser"
        SERVER = "server", "this server"
        COMMAND = "command", "command line"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="speed_tests"
    )
    invitation = models.ForeignKey(
        SpeedTestInvitation, models.SET_NULL, null=True, related_name="runs"
    )
    # With room for what a configuration without its VPC endpoint is called (steps.REGIONAL).
    configuration = models.CharField(max_length=120)
    place = models.CharField(max_length=16)
    bucket = models.CharField(max_length=255)
    region = models.CharField(max_length=63)
    mode = models.CharField(max_length=10, choices=Mode, default=Mode.STANDARD)
    source = models.CharField(max_length=10, choices=Source, default=Source.BROWSER)
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    started_at = models.DateTimeField(db_index=True)
    finished_at = models.DateTimeField(null=True)
    address = models.CharField(max_length=45)
    office = models.CharField(max_length=45, db_index=True, default="")
    """The address range that `address` is in; empty when this server measured."""
    user_agent = models.CharField(max_length=400)
    browser = models.CharField(max_length=40, db_index=True, default="")
    """The short name of `user_agent`, or "this server", "command line"."""
    server_findings = models.JSONField(default=list)
    browser_findings = models.JSONField(default=list)
    cleanup = models.JSONField(default=list)
    figures = models.JSONField(default=dict)
    verdict_status = models.CharField(max_length=4, default="")
    verdict = models.TextField(default="")
    progress = models.JSONField(default=dict)
    """How far a run of this server is: stage, title, share, and what it shows."""
    seen_at = models.DateTimeField(null=True)
    """When the process that runs it last said so; None for a browser's."""
    stop_asked = models.BooleanField(default=False)
    """Somebody wants a run of this server to stop; its process looks."""

    class Meta:
        verbose_name = "speed test result"
        default_permissions = ("view", "delete")
        ordering = ("-started_at",)
        constraints = [
            models.UniqueConstraint(
                fields=["user", "configuration"],
                condition=models.Q(state="running"),
                name="one_running_test",
            ),
            models.UniqueConstraint(
                fields=["invitation"],
                condition=models.Q(state="running"),
                name="one_running_test_by_link",
            ),
        ]
        indexes = [
            models.Index(
                fields=["configuration", "office", "started_at"], name="results_to_compare"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.configuration} at {self.started_at:%Y-%m-%d %H:%M}"

    def save(self, **kwargs: Any) -> None:
        """Save it; a new one is told the office and the browser that it comes from."""
        if self._state.adding:
            if self.source == self.Source.BROWSER:
                self.office = office_of(self.address)
                self.browser = browser_of(self.user_agent)
            else:
                # Address and user agent are those of whoever asked for it.
                self.browser = self.get_source_display()
        super().save(**kwargs)

    @property
    def who(self) -> str:
        """The person who was logged in or for whom the link was made, or what stands for one."""
        if self.invitation:
            return self.invitation.note
        if self.user:
            return self.user.get_username()
        return "command line" if self.source == self.Source.COMMAND else "(removed)"

    @property
    def path(self) -> str:
        """Where the test's objects are, relative to the configuration's prefix."""
        return f".speedtest/runs/{self.id}/"


class ReplicationLag(models.Model):
    """One measurement of how long the replica takes to receive a file."""

    class State(models.TextChoices):
        """Where the measurement is, or how it ended."""

        WATCHING = "watching", "watching"
        ARRIVED = "arrived", "arrived"
        NEVER = "never", "did not arrive"
        FAILED = "failed", "failed"
        STOPPED = "stopped", "stopped"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="replication_lags"
    )
    primary = models.CharField(max_length=100)
    replica = models.CharField(max_length=100)
    places = models.CharField(max_length=40)
    """The fingerprints of both: a configuration may be pointed elsewhere meanwhile."""
    state = models.CharField(max_length=10, choices=State, default=State.WATCHING)
    stored_at = models.DateTimeField(db_index=True)
    """When the primary had the marker."""
    ended_at = models.DateTimeField(null=True)
    missed_at = models.DateTimeField(null=True)
    """When somebody last looked, and the marker was not in the replica yet."""
    seconds = models.FloatField(null=True)
    """From `stored_at` to the look that found the marker in the replica; None while it was not
    found, and when nobody had watched for so long that it says nothing."""
    source_status = models.CharField(max_length=20, blank=True)
    """x-amz-replication-status of the marker on the primary, as last seen."""
    delay = models.PositiveIntegerField()
    """S3 Replication Delay at the time, in seconds."""
    status = models.CharField(max_length=4, blank=True)
    message = models.TextField(blank=True)

    class Meta:
        verbose_name = "replication lag"
        default_permissions = ()
        ordering = ("-stored_at",)

    def __str__(self) -> str:
        return f"{self.primary} → {self.replica} at {self.stored_at:%Y-%m-%d %H:%M}"

    @property
    def path(self) -> str:
        """Where the marker is, relative to the configurations' prefixes."""
        return f".speedtest/runs/{self.id}/"
