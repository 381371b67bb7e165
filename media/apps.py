from django.apps import AppConfig


class MediaConfig(AppConfig):
    name = "media"

    def ready(self) -> None:
        """Register the system checks."""
        from media import checks  # noqa: F401
