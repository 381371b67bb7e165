"""/admin/speedtest/lag: how long the replica takes to receive a file."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from preferences.snapshot import current_preferences
from speedtest import lag as lags
from speedtest.models import ReplicationLag
from speedtest.views import for_admins

HISTORY = 20


@for_admins
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The page; a measurement that is under way is watched on."""
    preferences = current_preferences()
    measured = list(ReplicationLag.objects.select_related("user")[:HISTORY])
    watched = next((lag for lag in measured if lag.state == lags.State.WATCHING), None)
    return render(
        request,
        "speedtest/lag.html",
        {
            **admin.site.each_context(request),
            "title": "Replication lag",
            "primary": preferences.primary,
            "replica": preferences.replica,
            "delay": preferences.delay,
            "measured": [_described(lag) for lag in measured if lag is not watched],
            "data": {
                "start": reverse("speedtest:lag_start"),
                "watched": _described(watched) if watched else None,
            },
        },
    )


@for_admins
@require_POST
def start(request: HttpRequest) -> JsonResponse:
    """Put a marker on the primary, unless one is being watched already: then that is the answer."""
    watched = ReplicationLag.objects.filter(
        state=lags.State.WATCHING, stored_at__gt=timezone.now() - lags.GIVE_UP
    ).first()
    if watched is None:
        try:
            watched = lags.begin(request.user, current_preferences(), timezone.now)
        except lags.LagRefused as error:
            return JsonResponse({"message": str(error)}, status=400)
    return JsonResponse(_described(watched))


@for_admins
@require_POST
def look(request: HttpRequest, lag_id: UUID) -> JsonResponse:
    """Look once for the marker in the replica."""
    lag = get_object_or_404(ReplicationLag, pk=lag_id)
    return JsonResponse(_described(lags.look(lag, current_preferences(), timezone.now)))


@for_admins
@require_POST
def stop(request: HttpRequest, lag_id: UUID) -> JsonResponse:
    """End the measurement and remove the marker."""
    lag = get_object_or_404(ReplicationLag, pk=lag_id)
    return JsonResponse(_described(lags.stop(lag, current_preferences(), timezone.now())))


def _described(lag: ReplicationLag) -> dict[str, Any]:
    """Return a measurement as plain values for the template and for JSON."""
    now = timezone.now()
    return {
        "when": timezone.localtime(lag.stored_at).strftime("%Y-%m-%d %H:%M"),
        "iso": lag.stored_at.isoformat(),
        "who": lag.user.get_username() if lag.user else "(removed)",
        "primary": lag.primary,
        "replica": lag.replica,
        "over": lag.state != lags.State.WATCHING,
        "state": lag.get_state_display(),
        "status": lag.status,
        "message": lag.message,
        "seconds": None if lag.seconds is None else round(lag.seconds, 1),
        "delay": lag.delay,
        "source_status": lag.source_status,
        "waited": round((now - lag.stored_at).total_seconds(), 1),
        "again_in": lags.pause(lag.stored_at, now),
        "look": reverse("speedtest:lag_look", args=[lag.pk]),
        "stop": reverse("speedtest:lag_stop", args=[lag.pk]),
    }
