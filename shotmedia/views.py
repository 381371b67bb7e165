"""Views of the whole site: readiness, metrics, and what is said when something goes wrong."""

import logging
import sys
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView as DjangoLoginView
from django.contrib.auth.views import LogoutView as DjangoLogoutView
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import Error, InterfaceError, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import Resolver404, get_script_prefix, resolve, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.defaults import page_not_found, permission_denied

from preferences.addresses import client_address, parse_ranges
from shotmedia.metrics import CONTENT_TYPE_LATEST, exposition
from shotmedia.middleware import json_problem, not_logged_in, policy, wants_json

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


class LoginView(DjangoLoginView):
    """Django's own; it leads to pages only."""

    redirect_authenticated_user = True

    def get_redirect_url(self) -> str:
        """Go on to the page of a media file in place of its download, and never to this one.

        A download answers with a redirect to S3, where no form of this site may lead (its
        Content-Security-Policy): the browser would stay here without a word.
        """
        address = super().get_redirect_url()
        try:
            match = resolve(urlsplit(address).path.removeprefix(get_script_prefix()[:-1]))
        except Resolver404:
            return address
        if match.view_name == "media:download":
            return reverse("media:detail", args=[match.kwargs["media_id"]])
        return "" if match.view_name == "login" else address


class LogoutView(DjangoLogoutView):
    """Django's own, which logs out by POST alone; who opens the address is shown the library."""

    http_method_names = ["get", "head", "options", "post"]

    def get(self, request: HttpRequest) -> HttpResponse:
        """Go to the library: a foreign page's picture could ask for this as well."""
        return redirect("media:library")


# --- When something goes wrong --------------------------------------------------------------------


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say what is wrong with what was asked (handler400)."""
    # Others than our own come from Django, and are about attacks.
    message = str(exception) if isinstance(exception, BadRequest) else ""
    message = message or "The site does not understand what was asked at this address."
    if wants_json(request):
        return json_problem(400, "bad-request", message)
    context = {"title": "That cannot be asked", "message": message}
    response = render(request, "problem.html", context, status=400)
    # With HTTPS the host is looked at before the middleware that sends it.
    response.headers["Content-Security-Policy"] = policy({})
    return response


def not_allowed(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say that this person may not (handler403)."""
    if wants_json(request):
        message = str(exception) or "Your account may not do this."
        return json_problem(403, "not-allowed", message)
    return permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Say that there is nothing at an address: in JSON to scripts (handler404)."""
    if wants_json(request):
        return json_problem(404, "not-found", "There is nothing at this address.")
    return page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """Say that the site has failed, or with 503 its database, which is not asked (handler500)."""
    status, code = 500, "failed"
    message = "The site could not answer. The error is in the site's log."
    if isinstance(sys.exc_info()[1], (InterfaceError, OperationalError)):
        status, code = 503, "database-down"
        message = "The site cannot use its database at the moment."
    message += " Try again in a minute, and tell an admin if it stays."
    if wants_json(request):
        return json_problem(status, code, message)
    return HttpResponse(render_to_string("500.html", {"message": message}), status=status)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Refuse a form or a script's call without its CSRF token (settings.CSRF_FAILURE_VIEW)."""
    advice = "Your session or this page is too old, or cookies are off. Load the page again."
    if not wants_json(request):
        if request.user.is_authenticated and request.path == reverse("login"):
            # They have logged in meanwhile, in another tab.
            return redirect(request.get_full_path())
        return render(request, "403_csrf.html", {"advice": advice}, status=403)
    if not request.user.is_authenticated:
        return not_logged_in()
    return json_problem(403, "no-csrf-token", advice)


def _plain(text: str, status: int = 200) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain")
