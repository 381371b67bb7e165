"""The WSGI application that the server (granian) runs."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shotmedia.settings")
django_application = get_wsgi_application()

from media.wsgi import DownloadsFirst  # noqa: E402  needs Django set up, as its models do

application = DownloadsFirst(django_application)
