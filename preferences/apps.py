from django.apps import AppConfig
from django.apps import apps as global_apps
from django.apps.registry import Apps
from django.contrib.admin import apps as admin_apps
from django.db import DEFAULT_DB_ALIAS
from django.db.models.signals import post_migrate
from django.utils import timezone

from preferences.validation import DEFAULTS


class PreferencesConfig(AppConfig):
    name = "preferences"
    default = True
    verbose_name = "Preferences and people"

    def ready(self) -> None:
        """Register the system checks, and the row of Site Preferences after `flush`."""
        from preferences import checks  # noqa: F401

        post_migrate.connect(make_row, sender=self)


class AdminConfig(admin_apps.AdminConfig):
    """Django's admin with this site's order of sections and its own log-in page."""

    default = False
    default_site = "preferences.site.SiteAdmin"


def make_row(using: str, apps: Apps = global_apps, **kwargs: object) -> None:
    """Make the one row of Site Preferences, and its revision, where `flush` has removed them."""
    if using != DEFAULT_DB_ALIAS:
        return
    try:
        site_preferences = apps.get_model("preferences", "SitePreferences")
    except LookupError:  # after `migrate preferences zero`
        return
    site_preferences.objects.get_or_create(pk=1)
    try:
        revision = apps.get_model("preferences", "PreferenceRevision")
    except LookupError:  # after `migrate preferences 0003`
        return
    if not revision.objects.exists():
        revision.objects.create(
            number=0, created=timezone.now(), source="installation", data=DEFAULTS
        )
