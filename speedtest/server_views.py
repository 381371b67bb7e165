"""/admin/speedtest/server: the test from this server, in the background."""

import threading
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from preferences.addresses import client_address
from preferences.snapshot import current_preferences
from shotmedia.s3.probe import CHECKS
from speedtest import server_run, steps
from speedtest.background import in_background
from speedtest.ending import current_plan, end_left_behind, running_of
from speedtest.models import SpeedTestRun
from speedtest.verdict import leading
from speedtest.views import for_admins, json_body, mode_choice, origin_of, problem

MODES = (
    SpeedTestRun.Mode.QUICK,
    SpeedTestRun.Mode.STANDARD,
    SpeedTestRun.Mode.THOROUGH,
)


@for_admins
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The page; a person's own run that is under way is watched on."""
    preferences = current_preferences()
    running = SpeedTestRun.objects.filter(
        user=request.user, source=SpeedTestRun.Source.SERVER, state="running"
    ).first()
    context = {
        **admin.site.each_context(request),
        "title": "Speed test from this server",
        "configurations": list(preferences.configurations.values()),
        "chosen": preferences.primary.name if preferences.primary else "",
        "modes": [mode_choice(current_plan(), mode) for mode in MODES],
        "data": {
            "start": reverse("speedtest:server_start"),
            "checks": [[check.name, check.title] for check in CHECKS],
            "running": described(running) if running else None,
        },
    }
    return render(request, "speedtest/server.html", context)


@for_admins
@require_POST
def start(request: HttpRequest) -> JsonResponse:
    """Begin a run: {"configuration", "mode", "end": id of a test to end first}.

    Answers how far it is, with where to ask again.
    """
    body = json_body(request)
    name, mode, preferences = body.get("configuration"), body.get("mode"), current_preferences()
    target = steps.target_of(preferences, name) if isinstance(name, str) else None
    if target is None:
        return problem(f"There is no configuration “{name}” in Site Preferences. Reload the page.")
    if mode not in MODES:
        return problem("“mode” must be quick, standard or thorough.")
    now = timezone.now()
    end_left_behind(preferences, now)
    running_of(request.user, name, body.get("end"), preferences, now)
    try:
        run = server_run.begin(
            target,
            source=SpeedTestRun.Source.SERVER,
            mode=mode,
            now=timezone.now(),
            user=request.user,
            address=client_address(request),
            user_agent="this server",
        )
    except server_run.AlreadyRunning as error:
        return problem(f"You have one already: {error}", 409, running=str(error.run.pk))
    origin, stopping = origin_of(request), threading.Event()
    in_background(
        lambda: server_run.execute(
            run,
            target,
            current_plan(mode),
            origin=origin,
            now=timezone.now,
            stopping=stopping,
            show=server_run.Recorder(run, stopping, timezone.now),
        )
    )
    return JsonResponse(described(run))


@for_admins
@require_safe
def look(request: HttpRequest, run_id: UUID) -> JsonResponse:
    """Say how far a person's own run is; one whose process has died is ended here."""
    end_left_behind(current_preferences(), timezone.now())
    return JsonResponse(described(_own(request, run_id)))


@for_admins
@require_POST
def stop(request: HttpRequest, run_id: UUID) -> JsonResponse:
    """Ask a run to stop; its process removes the test objects, and ends it."""
    run = _own(request, run_id)
    SpeedTestRun.objects.filter(pk=run.pk, state="running").update(stop_asked=True)
    return JsonResponse(described(run))


def _own(request: HttpRequest, run_id: UUID) -> SpeedTestRun:
    return get_object_or_404(
        SpeedTestRun, pk=run_id, user=request.user, source=SpeedTestRun.Source.SERVER
    )


def described(run: SpeedTestRun) -> dict[str, Any]:
    """A run as plain values for the page."""
    return {
        "configuration": run.configuration,
        "mode": run.mode,
        "state": run.state,
        "over": run.state != SpeedTestRun.State.RUNNING,
        "progress": run.progress,
        "findings": run.server_findings,
        "cleanup": run.cleanup,
        "figures": run.figures,
        "verdict": {"status": run.verdict_status, "text": run.verdict},
        "leading": leading(run.server_findings, []),
        "look": reverse("speedtest:server_look", args=[run.pk]),
        "stop": reverse("speedtest:server_stop", args=[run.pk]),
        "report": reverse("speedtest:report", args=[run.pk]),
    }
