from django.apps import AppConfig


class SpeedtestConfig(AppConfig):
    name = "speedtest"
    verbose_name = "Speed test"

    def ready(self) -> None:
        """Register with Site Preferences."""
        from preferences import speedtest_side
        from speedtest import for_preferences

        speedtest_side.register(for_preferences)
