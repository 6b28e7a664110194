"""`manage.py bootstrap`: make the database and its three roles on a PostgreSQL of your own."""

from __future__ import annotations

import os
from typing import Any

import psycopg
from django.core.management.base import BaseCommand, CommandError

from saas.runtime import roles


class Command(BaseCommand):
    help = "Make or repair database and roles, as the superuser in DATABASE_SUPERUSER_URL."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own declaration

    def handle(self, *args: Any, **options: Any) -> None:
        del args, options
        if not os.environ.get("DATABASE_SUPERUSER_URL"):
            raise CommandError(
                "set DATABASE_SUPERUSER_URL=postgresql://postgres:…@host:5432/postgres, beside the "
                "addresses of the three roles"
            )
        try:
            roles.main()
        except psycopg.Error as error:
            raise CommandError(f"the database refused: {error}") from error
