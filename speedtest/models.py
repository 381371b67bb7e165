"""Results of speed tests."""

import uuid

from django.conf import settings
from django.db import models


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

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="speed_tests"
    )
    configuration = models.CharField(max_length=100)
    place = models.CharField(max_length=16)
    bucket = models.CharField(max_length=255)
    region = models.CharField(max_length=63)
    mode = models.CharField(max_length=10, choices=Mode, default=Mode.STANDARD)
    state = models.CharField(max_length=10, choices=State, default=State.RUNNING)
    started_at = models.DateTimeField(db_index=True)
    finished_at = models.DateTimeField(null=True)
    address = models.CharField(max_length=45)
    user_agent = models.CharField(max_length=400)
    server_findings = models.JSONField(default=list)
    browser_findings = models.JSONField(default=list)
    cleanup = models.JSONField(default=list)
    figures = models.JSONField(default=dict)
    verdict_status = models.CharField(max_length=4, default="")
    verdict = models.TextField(default="")

    class Meta:
        verbose_name = "speed test result"
        default_permissions = ("view", "delete")
        ordering = ("-started_at",)
        constraints = [
            models.UniqueConstraint(
                fields=["user", "configuration"],
                condition=models.Q(state="running"),
                name="one_running_test",
            )
        ]

    def __str__(self) -> str:
        return f"{self.configuration} at {self.started_at:%Y-%m-%d %H:%M}"

    @property
    def path(self) -> str:
        """Where the test's objects are, relative to the configuration's prefix."""
        return f".speedtest/runs/{self.id}/"
