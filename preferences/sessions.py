"""Session engine: Django's database sessions with the user and its auth hash as columns.

The recipe is Django's own ("Extending database-backed session engines").
"""

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessionStore

from preferences.models import Session


def is_session_key(text: str | None) -> bool:
    """Say whether a cookie's text can be a session's key: it may hold anything, and PostgreSQL
    raises for a NUL."""
    return text is not None and text.isascii() and text.isalnum()


class SessionStore(DatabaseSessionStore):
    """Sessions in `preferences.Session`."""

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key if is_session_key(session_key) else None)

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """Return the model that stores the sessions."""
        return Session

    def create_model_instance(self, data: dict) -> Session:
        """Return the row for `data`, with user and auth hash copied out of it.

        A session whose authentication backend is not installed counts as anonymous, as in
        `django.contrib.auth.get_user`.
        """
        session = super().create_model_instance(data)
        if data.get(BACKEND_SESSION_KEY) in settings.AUTHENTICATION_BACKENDS:
            session.user_id = data.get(SESSION_KEY)
            session.auth_hash = data.get(HASH_SESSION_KEY, "")
        return session
