"""Charging usage through Django. The gateway runs the same program without it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from tenants.pricing.charge_shares import Sales, Shares, shares_sold
from tenants.pricing.charging import Charged, ChargeRequest, charging_group
from tenants.pricing.drivers import program_run


def usage_charge(*, tenant_id: str, request: ChargeRequest) -> Charged:
    """Charge one request in the scope's transaction; see `charging`.

    Raises ScopeError for another tenant's, Conflict for a key of another charge, InvalidInput.
    """
    (charged,) = program_run(charging_group([request]), tenant_ids={request.tenant_id, tenant_id})
    return charged


def usage_charges(*, requests: Sequence[ChargeRequest]) -> list[Charged]:
    """Charge several tenants' requests in the scope's transaction, all or none; in their order."""
    named = {request.tenant_id for request in requests}
    return program_run(charging_group(requests), tenant_ids=named)


def sales_shares(
    *, tenant_id: str, sales: Sales, at: dt.datetime, currency: str, subject: str
) -> Shares:
    """Partners' shares in what a customer is charged beside `usage_charge`, for its posting."""
    return program_run(shares_sold(sales, at, currency, subject), tenant_ids={tenant_id})
