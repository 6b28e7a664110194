"""Files of rivals' prices: read once, all or nothing, and what is known afterwards."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from tenants.accounts.actors import Actor, ActorKind
from tenants.kernel.errors import Conflict, InvalidInput, PermissionDenied
from tenants.kernel.models import OutboxEvent
from tenants.kernel.scope import SYSTEM, system_scope
from tenants.market.importing.moves_csv import shipped_moves
from tenants.market.models import MarketMove, MarketProduct
from tenants.market.moves import History
from tenants.market.selectors import market_history
from tenants.market.services import market_ensure, moves_import, product_classify
from tenants.market.trends.decline import decline
from tenants.market.trends.index import classes_of
from tests.tenants.market.market import (
    csv_of,
    cut,
    launched,
    operator,
    read,
    read_list,
    today,
)
from tests.tenants.pricing.books import platform_make

pytestmark = pytest.mark.django_db


def product(model: str = "acme-1") -> MarketProduct:
    with system_scope():
        return MarketProduct.objects.get(model=model)


def test_the_shipped_history_comes_back_from_the_tables_as_it_was_read() -> None:
    with system_scope():
        market_ensure(tenant_id=platform_make())
        market_ensure(tenant_id=platform_make())
        stored = market_history()
    shipped = History.of(shipped_moves())
    assert stored == shipped
    for name in classes_of(shipped):
        assert decline(stored, name) == decline(shipped, name)


def test_a_move_makes_its_product_cost_what_it_costs_now() -> None:
    done = read(launched(), cut())
    assert (done.added, done.known) == (2, 0)
    assert (product().input, product().output) == (Decimal("0.5"), Decimal(2))
    assert product().priced_on == today()


def test_older_news_changes_history_and_not_today() -> None:
    read(launched(), cut())
    month_ago = (today() - dt.timedelta(days=30)).isoformat()
    read(cut(date=month_ago, kind="rise", input_after=1.5, output_after=6))
    assert product().input == Decimal("0.5")


def test_the_same_file_is_read_once_and_the_same_move_in_another_kept_once() -> None:
    read(launched(), cut())
    with pytest.raises(Conflict, match="this very file"):
        read(launched(), cut())
    again = read(launched(), cut(), launched(model="acme-2"))
    assert (again.added, again.known) == (1, 2)


def test_a_move_told_with_two_prices_is_refused_and_nothing_of_its_file_kept() -> None:
    read(launched(), cut())
    with pytest.raises(Conflict, match="with other prices"):
        read(launched(model="acme-2"), cut(input_after=0.4))
    with system_scope():
        assert not MarketProduct.objects.filter(model="acme-2").exists()
        assert MarketMove.objects.count() == 2


def test_a_promotion_keeps_the_price_it_goes_back_to() -> None:
    until = today() + dt.timedelta(days=10)
    read(launched(), cut(kind=f"promotion until {until}"))
    row = product()
    assert (row.input, row.regular_input, row.promotion_until) == (
        Decimal("0.5"),
        Decimal(1),
        until,
    )


def test_a_list_tells_what_moved_since_and_what_began() -> None:
    read(launched(provider="acme"))
    first = read_list({"acme/acme-1": (1e-6, 4e-6), "other/x": (1e-6, 1e-6)})
    assert (first.added, first.skipped) == (0, 1)
    tomorrow = today() + dt.timedelta(days=1)
    second = read_list(
        {"acme/acme-1": (5e-7, 2e-6), "acme/acme-9": (3e-6, 3e-6)}, observed_on=tomorrow
    )
    assert second.added == 2
    with system_scope():
        kinds = dict(MarketMove.objects.values_list("product__model", "kind").order_by("date"))
    assert kinds == {"acme-1": "cut", "acme/acme-9": "launch"}
    assert product().output == Decimal(2)
    assert product("acme/acme-9").model_class == ""


def test_a_providers_first_list_launches_nothing() -> None:
    read_list({"acme/acme-1": (1e-6, 4e-6)}, providers=["acme"])
    both = {"acme/acme-1": (1e-6, 4e-6), "other/old": (1e-6, 1e-6)}
    tomorrow = today() + dt.timedelta(days=1)
    assert read_list(both, providers=["acme", "other"], observed_on=tomorrow).added == 0


def test_a_file_asks_the_database_as_often_however_long_it_is() -> None:
    def asked(rows: list[dict[str, Any]]) -> int:
        with system_scope(), CaptureQueriesContext(connections[SYSTEM]) as queries:
            moves_import(actor=operator(), text=csv_of(*rows))
        return len(queries)

    asked([launched(model="first")])  # what is asked for once, and kept
    few = asked([launched(model=f"few-{n}") for n in range(2)])
    assert asked([launched(model=f"many-{n}") for n in range(40)]) == few


def test_a_list_of_strangers_names_whom_it_knows() -> None:
    with pytest.raises(InvalidInput, match="name some of its 1 providers: acme"):
        read_list({"acme/acme-1": (1e-6, 4e-6)})
    assert read_list({"acme/acme-1": (1e-6, 4e-6)}, providers=["acme"]).skipped == 0


def test_an_earlier_list_after_a_later_one_is_refused() -> None:
    read_list({"acme/acme-1": (1e-6, 4e-6)}, providers=["acme"])
    with pytest.raises(InvalidInput, match="a later day"):
        read_list(
            {"acme/acme-1": (1e-6, 4e-6)},
            providers=["acme"],
            observed_on=today() - dt.timedelta(days=1),
        )


def test_an_operators_class_stands_and_takes_the_past_along() -> None:
    read(launched(), cut())
    with system_scope():
        product_classify(actor=operator(), product_id=product().id, model_class="frontier")
    read(launched(), cut(), launched(model="acme-2"))
    with system_scope():
        classes = {move.model: move.model_class for move in market_history().moves}
    assert classes == {"acme-1": "frontier", "acme-2": "small"}


@pytest.mark.parametrize("name", ["Frontier", "a--b", "-a", "a" * 41])
def test_a_class_that_is_no_name_is_refused(name: str) -> None:
    read(launched())
    with system_scope(), pytest.raises(InvalidInput, match="lower-case"):
        product_classify(actor=operator(), product_id=product().id, model_class=name)


def test_a_file_from_the_future_is_refused() -> None:
    with pytest.raises(InvalidInput, match="in the future"):
        read(cut(date=(today() + dt.timedelta(days=9)).isoformat()))


def test_customers_do_not_write_the_market_down() -> None:
    member = Actor(kind=ActorKind.MEMBER, id="u", tenant_id=platform_make())
    with system_scope(), pytest.raises(PermissionDenied, match="operators"):
        moves_import(actor=member, text=csv_of(launched()))


def test_each_file_is_told_of() -> None:
    done = read(launched())
    with system_scope():
        (event,) = OutboxEvent.objects.filter(name="market.imported")
    assert event.payload["import_id"] == done.id
    assert event.payload["added"] == 1
