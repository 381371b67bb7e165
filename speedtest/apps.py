from django.apps import AppConfig


class SpeedtestConfig(AppConfig):
    name = "speedtest"
    verbose_name = "Speed test"

    def ready(self) -> None:
        """Follow renamed configurations."""
        from preferences import followers
        from speedtest.renames import follow

        followers.register(follow)
