from django.apps import AppConfig


class ShotmediaConfig(AppConfig):
    name = "shotmedia"
