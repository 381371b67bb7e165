"""Downloads before Django's handler."""

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from http.client import responses
from typing import Any

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.core.handlers.wsgi import WSGIRequest

from media.downloads import REFUSED, Answer, Refused, answer, grant
from preferences.tokens import write_uses

logger = logging.getLogger(__name__)

Application = Callable[[dict[str, Any], Callable], Iterable[bytes]]

_DOWNLOAD = re.compile(r"/media/([0-9]{1,18})/download\Z")


class DownloadsFirst:
    """A WSGI application (PEP 3333) that gives the links, and leaves the rest to Django's.

    Django's signals, middleware and response cost more than a download's decision and signature,
    and do nothing for it: who asks is found by the download's own statement. Whatever gets no
    link here, and whatever fails here, goes through Django, which has the words for it; the view
    does not look again for what was refused. It answers the same: this class may be left out.
    """

    def __init__(self, application: Application) -> None:
        self.application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable) -> Iterable[bytes]:
        found = _DOWNLOAD.match(environ.get("PATH_INFO", ""))
        answered = _answer(environ, int(found[1])) if found else None
        if answered is None:
            return self.application(environ, start_response)
        status, headers, body = answered
        start_response(f"{status} {responses[status]}", headers)
        return _Body(body)


def _answer(environ: dict[str, Any], media_id: int) -> Answer | None:
    try:
        # A copy: the request writes SCRIPT_NAME back decoded, which Django's could not read again.
        request = WSGIRequest(environ.copy())
        request.get_host()  # for the host alone: DisallowedHost
        if settings.SECURE_SSL_REDIRECT and not request.is_secure():
            return None
        return answer(request, grant(request, media_id))
    except SuspiciousOperation:
        return None
    except Refused as refused:
        environ[REFUSED] = refused
        return None
    except Exception:
        logger.exception("a download is tried again through Django")
        return None


class _Body:
    """The bytes of an answer; closed by the server when they are sent."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __iter__(self) -> Iterator[bytes]:
        yield self.content

    def close(self) -> None:
        write_uses()
