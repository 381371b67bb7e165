"""Views of the whole site: readiness and metrics."""

import logging

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.defaults import page_not_found

from preferences.addresses import client_address, parse_ranges
from shotmedia.metrics import CONTENT_TYPE_LATEST, exposition
from shotmedia.middleware import json_problem, not_logged_in, wants_json

logger = logging.getLogger(__name__)


@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Answer 200 when the database answers and every migration is applied, else 503."""
    try:
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Error:
        # Anybody may ask: the address and the account of the database are for the log only.
        logger.exception("The database does not answer")
        return _plain("The database does not answer; the site's log says more.", status=503)
    if pending:
        return _plain(
            f"{len(pending)} migrations are not applied: run manage.py migrate.", status=503
        )
    return _plain("ok")


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Answer Prometheus's text format to the addresses in METRICS_ADDRESSES."""
    allowed, _ = parse_ranges("\n".join(settings.METRICS_ADDRESSES))
    if allowed.find(client_address(request)) is None:
        raise PermissionDenied("METRICS_ADDRESSES does not list your address.")
    return HttpResponse(exposition(), content_type=CONTENT_TYPE_LATEST)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say that there is nothing at an address: in JSON to scripts (handler404)."""
    if wants_json(request):
        return json_problem(404, "not-found", "There is nothing at this address.")
    return page_not_found(request, exception)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Refuse a form or a script's call without its CSRF token (settings.CSRF_FAILURE_VIEW)."""
    advice = "Your session or this page is too old, or cookies are off. Load the page again."
    if not wants_json(request):
        return render(request, "403_csrf.html", {"advice": advice}, status=403)
    if not request.user.is_authenticated:
        return not_logged_in()
    return json_problem(403, "no-csrf-token", advice)


def _plain(text: str, status: int = 200) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain")
