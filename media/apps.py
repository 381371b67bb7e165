from django.apps import AppConfig


class MediaConfig(AppConfig):
    name = "media"

    def ready(self) -> None:
        """Register the system checks, and who answers for media files to Site Preferences."""
        from media import checks, for_preferences  # noqa: F401
        from preferences import media_side

        media_side.register(for_preferences)
