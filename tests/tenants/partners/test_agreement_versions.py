"""Versions of an agreement follow one another: at any moment one is in force, and shares once."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict
from tenants.kernel.scope import system_scope
from tenants.partners.models import Agreement, Share
from tenants.partners.services import agreement_end
from tests.tenants.partners.factories import PLUGIN, SEVENTY, agree, partner_make, plugin_priced
from tests.tenants.pricing.books import charge, item, operator_make, tenant_make

pytestmark = pytest.mark.django_db
NINETY = {**SEVENTY, "lines": {"plugins": {"share": "0.9"}}}


def test_one_that_was_to_end_later_ends_where_the_next_one_starts() -> None:
    partner = partner_make(SEVENTY)
    plugin_priced()
    with system_scope():
        later = now() + dt.timedelta(days=400)
        agreement_end(actor=operator_make(), partner_id=partner, ends=later)
    agree(partner, NINETY)
    made = item("plugin.units", "10")
    units = type(made)(made.meter, made.quantity, {"plugin": PLUGIN}, now())
    charge(tenant_make(credit="100"), "job", units)
    with system_scope():
        (share,) = Share.objects.filter(partner_id=partner)
        assert share.amount == Decimal(9)
        first, second = Agreement.objects.filter(tenant_id=partner).order_by("number")
        assert first.ends == second.starts


def test_none_starts_before_the_one_that_still_holds() -> None:
    partner = partner_make(SEVENTY)
    with system_scope():
        (first,) = Agreement.objects.filter(tenant_id=partner)
        later = first.starts + dt.timedelta(days=9)
        agreement_end(actor=operator_make(), partner_id=partner, ends=later)
    with pytest.raises(Conflict, match="starts after it"):
        agree(partner, NINETY, starts=first.starts)
    agree(partner, NINETY, starts=later)
