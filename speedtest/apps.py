from django.apps import AppConfig


class SpeedtestConfig(AppConfig):
    name = "speedtest"
    verbose_name = "Speed test"
