"""Logging in by API token."""

import time
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest, HttpResponse
from django.utils.module_loading import import_string

from preferences.addresses import client_address
from preferences.tokens import authenticate, bad_token, bearer
from shotmedia.middleware import json_problem

OPEN_TO_TOKENS = ("/api/", "/media/")
"""Where a token is accepted: what scripts use. Pages, the admin and /account/, where tokens are
made, need a session, so that a token is never worth more than what it was made for."""


class TokenMiddleware:
    """Let a request with `Authorization: Bearer …` in as the token's person.

    Its cookies are ignored, and so there is nothing that a foreign page could borrow: it needs no
    CSRF token. A token that is not good gets 401 JSON at every address. Stands after Django's
    session and authentication middleware, whose answer it replaces.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._session: type[SessionBase] = import_string(f"{settings.SESSION_ENGINE}.SessionStore")

    def __call__(self, request: HttpRequest) -> HttpResponse:
        text = bearer(request)
        if text is None:
            return self.get_response(request)
        request.COOKIES.clear()
        request.session = self._session()
        request.user = AnonymousUser()
        user = authenticate(text, client_address(request), time.time())
        if user is None:
            return bad_token()
        if not request.path_info.startswith(OPEN_TO_TOKENS):
            return json_problem(
                403,
                "not-for-tokens",
                "API tokens open /api/ and /media/ only; this page needs a log-in.",
            )
        request.user = user
        request._dont_enforce_csrf_checks = True  # CsrfViewMiddleware's own switch
        return self.get_response(request)
