"""Passwords hashed as in production, but in one round: tests sign up hundreds of people."""

from __future__ import annotations

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class QuickHasher(PBKDF2PasswordHasher):
    """The round count stands in each hash, so that a real web process can check it."""

    iterations = 1
