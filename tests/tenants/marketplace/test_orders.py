"""Orders in a price book from before there were any: what parties agree on has its own price."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tenants.accounts.actors import system_actor
from tenants.kernel.errors import Conflict
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.marketplace.models import Order
from tenants.marketplace.services.builtins import builtins_release
from tenants.marketplace.services.orders import order_place
from tenants.pricing.defaults import AGREED, LIST_BOOK, PRICES
from tenants.pricing.models import PriceBookVersion
from tenants.pricing.services import price_version_draft, price_version_publish
from tenants.pricing.services.books import NewPrice
from tests.saas.api.marketplace import service_offered
from tests.tenants.partners.releases import partner_tenant
from tests.tenants.pricing.books import operator_make, platform_make, tenant_make

pytestmark = pytest.mark.django_db


def older_book() -> None:
    """The list as an upgrade finds it: it prices units of services, and none that are agreed on."""
    actor = operator_make()
    with system_scope():
        prices = [NewPrice(p.meter, p.revenue, p.charge, p.match) for p in PRICES if p != AGREED]
        drafted = price_version_draft(actor=actor, book_id=LIST_BOOK, prices=prices)
        price_version_publish(actor=actor, version_id=drafted.id)


def placed(customer: str, service_id: str) -> Order:
    with tenant_scope(customer):
        return order_place(
            actor=system_actor(customer), service_id=service_id, quantity=Decimal("2.5")
        )


def test_a_book_from_before_there_were_orders_is_told_once_what_is_agreed_on() -> None:
    platform = platform_make()
    customer, service = tenant_make(credit="100"), service_offered(partner_tenant(), price="12")
    older_book()
    with pytest.raises(Conflict, match="knows no agreed prices"):
        placed(customer, service.id)
    versions = []
    for _ in range(2):
        with system_scope():
            builtins_release(tenant_id=platform)
            versions.append(PriceBookVersion.objects.filter(book_id=LIST_BOOK).count())
    assert versions == [3, 3]
    assert placed(customer, service.id).price == Decimal(12)
    with system_scope():
        latest = PriceBookVersion.objects.filter(book_id=LIST_BOOK).latest("number")
        assert latest.prices.count() == len(PRICES)  # nothing else is lost
