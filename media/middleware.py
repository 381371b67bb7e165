"""The short way to the download view."""

import re
from collections.abc import Callable

from django.conf import settings
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse

from media.downloads import download

_DOWNLOAD = re.compile(r"/media/(\d{1,18})/download\Z")


class DownloadMiddleware:
    """Call the download view before the middleware that it has no use for.

    The view finds session, user and media file in one statement by itself. Through the URLconf it
    answers the same, only later: this class may be taken out of MIDDLEWARE at any time. What ends
    in a page of words goes that way, too, for the policy and the navigation that pages have.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        match = _DOWNLOAD.match(request.path_info)
        if match is None or (settings.SECURE_SSL_REDIRECT and not request.is_secure()):
            return self.get_response(request)
        request.get_host()  # raises DisallowedHost, as CommonMiddleware would have
        try:
            response = download(request, int(match[1]))
        except (BadRequest, Http404):
            return self.get_response(request)
        if response.status_code == 503 and response["Content-Type"].startswith("text/html"):
            return self.get_response(request)
        return response
