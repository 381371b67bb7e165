"""The site's own address, where there is no request to tell it."""

from django.conf import settings


def site_origin() -> str:
    """This site as browsers see it, as far as the settings tell: scheme and first allowed host."""
    hosts = [host.lstrip(".") for host in settings.ALLOWED_HOSTS if host != "*"]
    return f"http{'s' if settings.HTTPS else ''}://{hosts[0] if hosts else 'localhost'}"
