"""Results of speed tests in Django's admin: there they can be deleted.

They are listed and shown at /admin/speedtest/results/, and nowhere else.
"""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from speedtest.access import may_read
from speedtest.models import SpeedTestRun


@admin.register(SpeedTestRun)
class SpeedTestRunAdmin(admin.ModelAdmin):
    """An entry of the index, and the page that asks before a result is deleted."""

    actions = None

    def changelist_view(
        self, request: HttpRequest, extra_context: dict | None = None
    ) -> HttpResponse:
        """Go to the one list of results."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return redirect("speedtest:results")

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict | None = None,
    ) -> HttpResponse:
        """Go to the result's page."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = self.get_object(request, object_id)
        if run is None:
            raise Http404("There is no such result.")
        return redirect("speedtest:result", run.pk)

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: str) -> HttpResponse:
        """Say that it was deleted, in the list of results."""
        super().response_delete(request, obj_display, obj_id)
        return redirect("speedtest:results")

    def has_view_permission(self, request: HttpRequest, obj: SpeedTestRun | None = None) -> bool:
        """Whoever may see the list of results."""
        return may_read(request.user)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """As above, for the index."""
        return may_read(request.user)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Tests are run, not typed in."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """A result stays what was measured."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: SpeedTestRun | None = None) -> bool:
        """Not while the test runs: nobody would clean up after it."""
        running = obj is not None and obj.state == SpeedTestRun.State.RUNNING
        return not running and super().has_delete_permission(request, obj)
