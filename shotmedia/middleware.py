"""Middleware of the whole site: health, content security policy, login."""

from collections.abc import Callable, Iterable
from functools import wraps

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.middleware import LoginRequiredMiddleware as DjangoLoginRequired
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render

Handler = Callable[[HttpRequest], HttpResponse]


class HealthMiddleware:
    """Answer /healthz before hosts, HTTPS and sessions are looked at: is the process alive?"""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info in ("/healthz", "/healthz/"):
            return HttpResponse("ok\n", content_type="text/plain")
        return self.get_response(request)


class ContentSecurityPolicyMiddleware:
    """Send settings.SECURE_CSP with each page, with the hosts that its view has allowed."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        extra = getattr(response, "csp_hosts", {})
        response.headers.setdefault("Content-Security-Policy", policy(extra))
        return response


class NoStoreMiddleware:
    """Keep pages out of every cache that their views say nothing about: they are one person's."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Cache-Control", "private, no-store")
        return response


def policy(extra: dict[str, list[str]]) -> str:
    """Return the header's value: settings.SECURE_CSP with `extra` sources per directive."""
    return "; ".join(
        f"{directive} {' '.join([*sources, *extra.get(directive, [])])}"
        for directive, sources in settings.SECURE_CSP.items()
    )


def allow_hosts(response: HttpResponse, origins: Iterable[str], *directives: str) -> HttpResponse:
    """Allow the page in `response` to reach `origins` (such as "https://b.s3.r.amazonaws.com").

    `directives` are names such as "img-src", "connect-src". Returns `response`.
    """
    sources = sorted(set(origins))
    response.csp_hosts = dict.fromkeys(directives, sources)
    return response


def wants_json(request: HttpRequest) -> bool:
    """Say whether the client asked for JSON or sent it: a script never gets a login page."""
    scheme = request.headers.get("Authorization", "").partition(" ")[0].lower()
    return (
        request.path_info.startswith("/api/")
        # Not request.GET, which raises for too many fields, also while that is being told.
        or "redirect=0" in request.META.get("QUERY_STRING", "").split("&")
        # A browser sends Basic by itself, behind a proxy that asks for a password.
        or scheme not in ("", "basic")
        or request.content_type == "application/json"
        or request.get_preferred_type(["text/html", "application/json"]) == "application/json"
    )


def json_problem(status: int, code: str, message: str, **more: object) -> JsonResponse:
    """Return what a script is told when its request fails: a code for it, a sentence for people."""
    return JsonResponse(
        {"error": code, "message": message, **more},
        status=status,
        headers={"Cache-Control": "private, no-store"},
    )


def not_logged_in() -> JsonResponse:
    """Return the answer for a script that is not logged in."""
    response = json_problem(
        401, "not-logged-in", "Log in first: this address needs a session or an API token."
    )
    response.headers["WWW-Authenticate"] = 'Bearer realm="Shotmedia"'
    return response


def json_login_required(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Let an address for scripts answer 401 JSON, and never a login page, to the anonymous."""

    @wraps(view)
    def answer(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if not request.user.is_authenticated:
            return not_logged_in()
        return view(request, *args, **kwargs)

    return login_not_required(answer)


class MethodNotAllowedMiddleware:
    """Say in words what the 405 of Django's and django-ninja's views say in a header alone."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code != 405:
            return response
        allowed = response.headers["Allow"]
        message = f"This address takes {allowed}, and not {request.method}."
        if wants_json(request):
            answer = json_problem(405, "method-not-allowed", message)
        else:
            context = {"title": "That cannot be done here", "message": message}
            answer = render(request, "problem.html", context, status=405)
        answer.headers["Allow"] = allowed
        return answer


class LoginRequiredMiddleware(DjangoLoginRequired):
    """Every page needs a login unless its view says otherwise; scripts get 401 as JSON."""

    def process_view(
        self, request: HttpRequest, view_func: Callable, view_args: tuple, view_kwargs: dict
    ) -> HttpResponse | None:
        """Let views that need no login through without asking the database who it is."""
        if not getattr(view_func, "login_required", True):
            return None
        return super().process_view(request, view_func, view_args, view_kwargs)

    def handle_no_permission(self, request: HttpRequest, view_func: Callable) -> HttpResponse:
        """Return 401 JSON for a client that asked for JSON, else the redirect to log in.

        A form that was sent after its person was logged out is shown, so that nothing typed is
        lost.
        """
        if wants_json(request):
            return not_logged_in()
        if request.POST.keys() - {"csrfmiddlewaretoken"}:
            return render(request, "403_csrf.html", status=403)
        return super().handle_no_permission(request, view_func)
