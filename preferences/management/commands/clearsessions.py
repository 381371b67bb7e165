"""manage.py clearsessions: Django's own, whose app would bring a session table of its own."""

from django.contrib.sessions.management.commands.clearsessions import Command

__all__ = ["Command"]
