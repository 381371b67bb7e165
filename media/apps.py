from django.apps import AppConfig


class MediaConfig(AppConfig):
    name = "media"

    def ready(self) -> None:
        """Register the system checks, and who says how large media files are."""
        from media import checks, sizes  # noqa: F401
        from preferences import media_facts

        media_facts.register(sizes.media_sizes)
