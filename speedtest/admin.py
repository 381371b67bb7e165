"""The list of results in the admin: to look at and to delete, not to change."""

from django.contrib import admin
from django.http import HttpRequest

from speedtest.models import SpeedTestRun


@admin.register(SpeedTestRun)
class SpeedTestRunAdmin(admin.ModelAdmin):
    """Speed tests, newest first."""

    list_display = (
        "started_at",
        "configuration",
        "user",
        "address",
        "state",
        "verdict_status",
        "download",
        "upload",
    )
    list_filter = ("configuration", "state", "verdict_status")
    list_select_related = ("user",)
    search_fields = ("configuration", "address", "user__username")
    date_hierarchy = "started_at"

    @admin.display(description="Download, Mbit/s")
    def download(self, run: SpeedTestRun) -> str:
        """The download rate of a run."""
        return _rate(run, "download")

    @admin.display(description="Upload, Mbit/s")
    def upload(self, run: SpeedTestRun) -> str:
        """The upload rate of a run."""
        return _rate(run, "upload")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Tests are run, not typed in."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """A result stays what was measured."""
        return False


def _rate(run: SpeedTestRun, direction: str) -> str:
    rate = run.figures.get(direction, {}).get("mbps")
    return "–" if rate is None else f"{rate:.1f}"
