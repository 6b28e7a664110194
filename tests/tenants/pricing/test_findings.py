"""The daily sweep: what has come to lie below its floor, what allows it, and when it is gone."""

from __future__ import annotations

import pytest

from tenants.kernel.clock import now
from tenants.kernel.ids import new_id
from tenants.kernel.models import OutboxEvent
from tenants.kernel.scope import system_scope
from tenants.pricing.defaults import LIST_BOOK
from tenants.pricing.models import FloorFinding, PriceOverride
from tenants.pricing.services import floors_sweep, fx_rate_set, price_book_create
from tests.tenants.pricing.books import (
    contract_make,
    operator_make,
    prices_with,
    publish,
    tenant_make,
)
from tests.tenants.pricing.factories import D
from tests.tenants.pricing.floors_made import DAY, cost_measure, override, per_million

pytestmark = pytest.mark.django_db


def findings(state: str = "open") -> list[tuple[str, str, D]]:
    with system_scope():
        rows = FloorFinding.objects.filter(state=state).order_by("tenant_id", "id")
        return [(row.tenant_id, row.permit[:5], row.floor) for row in rows]


def told() -> int:
    with system_scope():
        return OutboxEvent.objects.filter(name="floor.breached").count()


def test_a_price_is_found_once_told_once_and_closed_when_it_is_mended() -> None:
    tenant = tenant_make()
    publish(prices_with(tokens_trained=per_million("6")))
    contract_make(tenant, discount=D("0.1"))
    assert (floors_sweep(), findings()) == (0, [])
    cost_measure("5.5")
    assert (floors_sweep(), floors_sweep()) == (1, 1)
    assert (findings(), told()) == ([(tenant, "", D("5.5"))], 1)
    cost_measure("8.5")  # (5.5 + 8.5) / 2 = 7: the list, too
    assert floors_sweep() == 2
    assert (findings(), told()) == ([("", "", D(7)), (tenant, "", D(7))], 2)
    publish(prices_with(tokens_trained=per_million("8")))
    assert floors_sweep() == 0
    assert findings("closed") == [("", "", D(7)), (tenant, "", D(7))]


def test_an_alert_comes_again_when_what_allowed_a_price_has_ended() -> None:
    cost_measure("5")
    with system_scope():
        soon = PriceOverride.objects.create(
            id=new_id("over_"), book_id=LIST_BOOK, meter="tokens.trained", reason="a war",
            granted_by="user_op", expires_at=now() + DAY,
        )  # fmt: skip
    assert floors_sweep() == 0
    assert (findings(), told()) == ([("", "over_", D(5))], 0)
    with system_scope():
        from django.db import connections

        with connections["owner"].cursor() as cursor:  # rows of it are append-only
            cursor.execute("ALTER TABLE price_override DISABLE TRIGGER append_only")
            cursor.execute(
                "UPDATE price_override SET expires_at = now() - interval '1 s' WHERE id = %s",
                [soon.id],
            )
            cursor.execute("ALTER TABLE price_override ENABLE TRIGGER append_only")
    assert floors_sweep() == 1
    assert (findings(), told()) == ([("", "", D(5))], 1)
    override("tokens.trained", book_id=LIST_BOOK)
    assert floors_sweep() == 0
    assert (findings(), told()) == ([("", "over_", D(5))], 1)


def test_a_book_without_a_rate_is_left_out_and_keeps_no_other_from_being_found() -> None:
    actor = operator_make()
    with system_scope():
        book = price_book_create(actor=actor, name="Yen", currency="JPY")
    publish(prices_with(tokens_trained=per_million("700")), book_id=book.id)
    cost_measure("5")
    assert (floors_sweep(), findings()) == (1, [("", "", D(5))])  # the list's
    with system_scope():
        fx_rate_set(actor=actor, base="USD", quote="JPY", rate=D("150"))
    assert floors_sweep() == 2  # 700 / 150 = 4.67
