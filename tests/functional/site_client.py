"""Django's test client calls Django alone; here it calls the site's WSGI application around it."""

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse
from django.test.client import ClientHandler

from media.wsgi import DownloadsFirst

_by_django = ClientHandler.__call__


def answer_as_the_site(handler: ClientHandler, environ: dict) -> HttpResponse:
    """Answer a request of the test client as granian's would be; takes the place of
    ClientHandler.__call__."""
    answers = []

    def django(environ: dict, start_response: object) -> tuple:
        answers.append(_by_django(handler, environ))
        return ()

    def start_response(status: str, headers: list) -> None:
        answers.append(HttpResponse(status=int(status[:3]), headers=dict(headers)))

    body = DownloadsFirst(django)(environ, start_response)
    (response,) = answers
    response.wsgi_request = WSGIRequest(environ)
    if body:
        response.content = b"".join(body)
        body.close()
    return response
