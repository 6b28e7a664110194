"""An installation that has counted already keeps every event, and gets its sums."""

from __future__ import annotations

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections

pytestmark = pytest.mark.django_db


def migrate(*target: str) -> None:
    call_command("migrate", "usage", *target, database="owner", verbosity=0, interactive=False)
    connections["owner"].close()


def test_events_are_carried_over_into_months_and_sums(database: str) -> None:
    migrate("0002")
    with psycopg.connect(database) as superuser:
        superuser.execute(
            "INSERT INTO tenant (id, name, slug, is_partner, is_platform, status, weight,"
            " max_running_jobs)"
            " VALUES ('ten_1', 'A', 'a', false, false, 'active', 1, 1)"
        )
        superuser.execute(
            "INSERT INTO usage_event"
            " (id, tenant_id, meter, quantity, event_time, source, key, dimensions)"
            " SELECT 'use_' || n, 'ten_1', 'tokens.input', n, now() - n * interval '9 days',"
            " 'gateway', 'k' || n, jsonb_build_object('model', 'm', 'request_id', n::text)"
            " FROM generate_series(1, 100) AS n"
        )
        before = superuser.execute("SELECT * FROM usage_event ORDER BY id").fetchall()

    migrate()

    columns = "id, meter, quantity, event_time, ingested_at, source, key, dimensions, tenant_id"
    with psycopg.connect(database) as superuser:
        after = superuser.execute(f"SELECT {columns} FROM usage_event ORDER BY id").fetchall()
        default = superuser.execute("SELECT min(event_time) FROM usage_event_default").fetchone()
        months = superuser.execute(
            "SELECT count(DISTINCT tableoid) FROM usage_event"
            " WHERE event_time > now() - interval '23 months'"
        ).fetchone()
        sums = superuser.execute(
            "SELECT count(*), sum(quantity), sum(events), max(dimensions::text) FROM usage_hour"
        ).fetchone()
        assert superuser.execute("SELECT to_regclass('usage_event_unpartitioned')").fetchone() == (
            None,
        )
    assert after == before
    assert default != (None,)  # what is older than two years
    assert months is not None
    assert months[0] >= 23
    assert sums == (100, 5050, 100, '{"model": "m"}')
