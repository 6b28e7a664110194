"""The two clocks: this process's, and the database's, which alone decides about leases."""

from __future__ import annotations

from datetime import datetime

from django.db import connections
from django.utils import timezone

from tenants.kernel.scope import current_alias


def now() -> datetime:
    """This process's time, aware, in UTC."""
    return timezone.now()


def database_now() -> datetime:
    """The database's own time, moving also inside a transaction (`clock_timestamp()`)."""
    with connections[current_alias()].cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment
