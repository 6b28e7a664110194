"""Sign-up gives its welcome credit in its own transaction, on every way in."""

from __future__ import annotations

import ast
import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest
from django.test import override_settings

from tenants.accounts.models import Tenant
from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.errors import Conflict
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.models import CreditGrant
from tenants.ledger.selectors import Balance, wallet_balance
from tenants.pricing.services import customer_sign_up, welcome_credit_grant
from tests.architecture.sources import source_files, tree_of

pytestmark = pytest.mark.django_db


def sign_up(email: str = "ann@example.test") -> str:
    signed_up = customer_sign_up(
        organisation="Acme", email=email, password="correct horse battery 9"
    )
    return signed_up.tenant.id


def balance(tenant_id: str) -> Balance:
    with tenant_scope(tenant_id):
        return wallet_balance(tenant_id=tenant_id, currency="USD")


def test_a_new_organisation_has_five_dollars_for_ninety_days() -> None:
    found = balance(sign_up())
    assert found.available.amount == Decimal(5)
    (grant,) = found.grants
    assert grant.kind == "promotion"
    assert grant.expires_at is not None
    assert dt.timedelta(days=89) < grant.expires_at - grant.created_at <= dt.timedelta(days=90)


def test_it_is_given_once() -> None:
    tenant = sign_up()
    with system_scope():
        welcome_credit_grant(tenant_id=tenant)
    assert balance(tenant).available.amount == 5


def test_the_amount_is_a_setting_and_may_be_nothing() -> None:
    with override_settings(WELCOME_CREDIT="12.50", WELCOME_CREDIT_DAYS=7):
        assert balance(sign_up("a@example.test")).available.amount == Decimal("12.50")
    with override_settings(WELCOME_CREDIT="0"):
        assert balance(sign_up("b@example.test")).grants == ()


def test_a_sign_up_that_fails_leaves_neither_tenant_nor_credit() -> None:
    sign_up()
    with system_scope():
        before = Tenant.objects.count(), CreditGrant.objects.count()
    with pytest.raises(Conflict):
        sign_up()
    with system_scope():
        assert (Tenant.objects.count(), CreditGrant.objects.count()) == before


def test_the_platform_itself_gets_none() -> None:
    platform = platform_tenant_ensure()
    sign_up()
    assert balance(platform.id).grants == ()


def test_nobody_signs_up_past_the_welcome_credit() -> None:
    """`tenant_sign_up` alone would make a tenant without it."""
    callers = {
        path.name
        for path in source_files()
        for node in _names(path)
        if node == "tenant_sign_up" and path.parts[-3:-1] != ("tenants", "accounts")
    }
    assert callers == {"welcome.py"}


def _names(path: Path) -> set[str]:
    return {node.id for node in ast.walk(tree_of(path)) if isinstance(node, ast.Name)}
