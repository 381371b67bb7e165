"""The admin site: sections in the order of the work, one log-in page, 403 for who may not enter."""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import resolve_url
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache

from preferences.models import User
from preferences.overview import Overview, overview
from preferences.snapshot import current_preferences
from preferences.speedtest_side import speedtest_side


class SiteAdmin(AdminSite):
    """Django's admin site, arranged for Shotmedia."""

    site_header = "Shotmedia"
    site_title = "Shotmedia"
    index_title = "Administration"

    def admin_view(self, view: Callable, cacheable: bool = False) -> Callable:
        """Wrap `view`: a person who is logged in and may not enter gets 403.

        Django sends them to a second log-in form instead, where their own password is refused.
        """
        inner = super().admin_view(view, cacheable)

        def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.user.is_authenticated and not self.has_permission(request):
                raise PermissionDenied
            return inner(request, *args, **kwargs)

        return update_wrapper(wrapper, inner)

    @method_decorator(never_cache)
    @login_not_required
    def login(self, request: HttpRequest, extra_context: dict | None = None) -> HttpResponse:
        """Send an anonymous visitor to the site's own log-in page."""
        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied
        wanted = request.GET.get(REDIRECT_FIELD_NAME, "")
        if not url_has_allowed_host_and_scheme(
            wanted, {request.get_host()}, require_https=request.is_secure()
        ):
            wanted = reverse("admin:index", current_app=self.name)
        return redirect_to_login(wanted, resolve_url(settings.LOGIN_URL))

    def index(self, request: HttpRequest, extra_context: dict | None = None) -> HttpResponse:
        """Show the sections, and above them how replication is set to who may see it."""
        if request.user.may_see_preferences():
            extra_context = {**(extra_context or {}), "replication": _replication()}
        return super().index(request, extra_context)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict]:
        """Return the sections of the index: Media, Site (with the speed test), People, the rest."""
        if app_label:
            return super().get_app_list(request, app_label)
        apps = self._build_app_dict(request)
        models = {
            f"{label}.{model['object_name']}": model
            for label, app in apps.items()
            for model in app["models"]
        }
        may_test = request.user.is_authenticated and request.user.may_change_preferences()
        site = [
            models.pop("preferences.SitePreferences", None),
            _link("Speed Test", "SpeedTest", "speedtest:page") if may_test else None,
            *[models.pop(name) for name in list(models) if name.startswith("speedtest.")],
        ]
        people = [
            models.pop(name, None)
            for name in ("preferences.User", "auth.Group", "preferences.ApiToken")
        ]
        sections = [
            _section("Media", "media", _of("media", models)),
            _section("Site", "preferences", site),
            _section("People", "auth", people),
        ]
        for label, app in sorted(apps.items()):
            sections.append(_section(app["name"], label, _of(label, models)))
        return [section for section in sections if section["models"]]


def _replication() -> Overview:
    preferences = current_preferences()
    # Tests are told of while replication is yet to be set up.
    to_test = () if preferences.replica else preferences.configurations.values()
    return overview(preferences, _people_by_choice(), speedtest_side().newest_tests(to_test))


def _people_by_choice() -> dict[str, int]:
    active = User.objects.filter(is_active=True)
    return dict(active.values_list("use_s3_replication").annotate(Count("pk")))


def _of(label: str, models: dict[str, dict]) -> list[dict]:
    names = [name for name in models if name.startswith(f"{label}.")]
    return sorted((models.pop(name) for name in names), key=lambda model: model["name"])


def _section(name: str, label: str, models: list[dict | None]) -> dict:
    models = [model for model in models if model]
    urls = [model["admin_url"] for model in models if model["admin_url"]]
    return {
        "name": name,
        "app_label": label,
        "app_url": urls[0] if urls else reverse("admin:index"),
        "has_module_perms": True,
        "models": models,
    }


def _link(name: str, object_name: str, url_name: str) -> dict:
    return {
        "model": None,
        "name": name,
        "object_name": object_name,
        "perms": {"view": True},
        "admin_url": reverse(url_name),
        "add_url": None,
        "view_only": True,
    }
