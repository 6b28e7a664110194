"""Sessions in the database; a cookie that cannot be a key of ours is as good as none.

Django's own store asks PostgreSQL for any text of 8 characters: a NUL among them is a 500.
"""

from __future__ import annotations

from django.contrib.sessions.backends.db import SessionStore as DatabaseSessions


class SessionStore(DatabaseSessions):
    """Django's `SESSION_ENGINE`. Its keys are lower-case letters and digits."""

    def _validate_session_key(self, key: str | None) -> bool:
        return key is not None and len(key) >= 8 and key.isascii() and key.isalnum()
