"""An installation that counted before there were prices owes nothing for that time."""

from __future__ import annotations

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections

pytestmark = pytest.mark.django_db

VERSIONS = """
    SELECT v.number, v.valid_from > now() - interval '1 hour', p.charge ->> 'unit'
    FROM price_book_version v JOIN price p ON p.version_id = v.id AND p.meter = 'tokens.input'
    ORDER BY v.valid_from
"""


def migrate(app: str, *target: str) -> None:
    call_command("migrate", app, *target, database="owner", verbosity=0, interactive=False)
    connections["owner"].close()


@pytest.mark.parametrize("counted", [True, False])
def test_what_was_counted_before_the_first_prices_is_free(database: str, counted: bool) -> None:
    migrate("usage", "0002")
    with psycopg.connect(database) as superuser:
        superuser.execute(
            "INSERT INTO tenant (id, name, slug, is_partner, is_platform, status, weight,"
            " max_running_jobs)"
            " VALUES ('ten_1', 'A', 'a', false, false, 'active', 1, 1)"
        )
        if counted:
            superuser.execute(
                "INSERT INTO usage_event"
                " (id, tenant_id, meter, quantity, event_time, source, key, dimensions)"
                " VALUES ('use_1', 'ten_1', 'tokens.input', 5, now(), 'gateway', 'k', '{}')"
            )

    migrate("pricing")

    with psycopg.connect(database) as superuser:
        found = superuser.execute(VERSIONS).fetchall()
        forced = superuser.execute(
            "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'usage_event'"
        ).fetchone()
    assert found == ([(0, False, "0"), (1, True, "0.60")] if counted else [(1, False, "0.60")])
    assert forced == (True,)
