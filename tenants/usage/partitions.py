"""Months of `usage_event`, made before they begin."""

from __future__ import annotations

from django.db import connections

from tenants.kernel.scope import SYSTEM, system_scope

MONTHS_AHEAD = 3


def partitions_ensure(*, ahead: int = MONTHS_AHEAD) -> list[str]:
    """Make the partitions of this month and the next `ahead`, and of months whose late events lie
    in the DEFAULT partition; return the names of the new ones.

    Raises OperationalError where the table stays locked for 5 seconds: the next run does it.
    """
    with system_scope(), connections[SYSTEM].cursor() as cursor:
        cursor.execute("SELECT usage_partitions_ensure(%s)", [ahead])
        made: list[str] = cursor.fetchone()[0]
    return made
