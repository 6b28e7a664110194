"""A charge that spares a kind of credit takes the next in order."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tenants.kernel.scope import system_scope
from tenants.ledger.chart import GrantKind, RevenueLine
from tenants.ledger.services import charge_post
from tenants.ledger.statements import ChargeLine
from tests.tenants.billing.factories import customer, granted

pytestmark = pytest.mark.django_db


def test_what_is_spared_pays_nothing() -> None:
    tenant_id = customer()
    granted(tenant_id, "10", GrantKind.ALLOWANCE)
    granted(tenant_id, "4")
    with system_scope():
        outcome = charge_post(
            tenant_id=tenant_id,
            currency="USD",
            key="plan",
            lines=[ChargeLine(RevenueLine.PLAN, Decimal(9))],
            spare=[GrantKind.ALLOWANCE],
        )
    assert (outcome.allowance, outcome.paid, outcome.postpaid) == (0, 4, 5)
