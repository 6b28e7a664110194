"""Money at the console: what is shown is what the books say, and acts do what they say."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from saas.console.columns import as_money, as_percent
from saas.console.lists.budgets import state_of, with_use
from saas.console.price_words import price_said
from saas.console.spending import daily_spend, spent_since
from tenants.accounts.roles import Role
from tenants.billing.models import TaxProfile
from tenants.kernel.clock import now
from tenants.kernel.ids import new_id
from tenants.kernel.scope import tenant_scope
from tenants.ledger.models import Budget
from tests.saas.console.factories import Person, colleague_of
from tests.saas.money import billed, top_up, trained
from tests.tenants.billing.factories import used

NEW = "/console/ledger/budget/new/"


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "0.00 USD"),
        ("12.5", "12.50 USD"),
        ("1234567.891", "1,234,567.891 USD"),
        ("0.00012345678", "0.000123 USD"),
        ("0.000000001", "0.000000001 USD"),
        ("-3", "-3.00 USD"),
    ],
)
def test_amounts_show_cents_and_what_says_something_below(amount: str, shown: str) -> None:
    assert as_money(Decimal(amount), "USD") == shown


def test_yen_have_no_cents_and_shares_are_percents() -> None:
    assert as_money(Decimal(1200), "JPY") == "1,200 JPY"
    assert as_percent(Decimal("0.195")) == "19.5 %"


@pytest.mark.parametrize(
    ("charge", "said"),
    [
        ({"model": "standard", "unit": "4", "per": "1000000"}, "4.00 USD for 1,000,000"),
        ({"model": "standard", "unit": "0"}, "free"),
        ({"model": "flat", "fee": "9"}, "9.00 USD a month"),
        (
            {
                "model": "graduated",
                "tiers": [{"up_to": "1000", "unit": "0.02"}, {"up_to": None, "unit": "0.01"}],
                "allowance": "50",
                "cap": "80",
            },
            "0.02 USD up to 1,000, then 0.01 USD; 50 a month free; at most 80.00 USD",
        ),
        ({"model": "package", "price": "1.5", "size": "100"}, "1.50 USD for each begun 100"),
        ({"model": "cost_plus", "cost": "2", "markup": "30"}, "2.00 USD and 30 % on top"),
        ({"model": "percentage", "percent": "3"}, "3 % of the amount"),
        ({"model": "matrix", "dimensions": ["model", "region"], "cells": []}, "by model × region"),
    ],
)
def test_every_charge_model_is_said_in_words(charge: dict[str, object], said: str) -> None:
    assert price_said(charge, "USD") == said


@pytest.mark.django_db
def test_spend_is_what_was_charged_split_as_asked(owner: Person, rival: Person) -> None:
    today = now()
    used(owner.tenant.id, "a", 1_000_000, today)
    trained(owner.tenant, "ftjob-1")
    used(rival.tenant.id, "c", 9_000_000, today)

    with tenant_scope(owner.tenant.id):
        rows = daily_spend(group="revenue", days=7, currency="USD")
        total = spent_since(today.date(), "USD")

    amounts = {row.group: row.quantity for row in rows}
    assert amounts == {"tokens": Decimal("0.6"), "training": Decimal(4)}
    assert total == Decimal("4.6")
    for group in ("revenue", "model", "key", "'"):
        page = owner.get("/console/spend/", group=group, days="7")
        assert page.status_code == 200
        assert page.context["upcoming"]["total"] == "4.60 USD"


@pytest.mark.django_db
def test_the_wallet_shows_credit_and_every_movement_with_its_sign(owner: Person) -> None:
    before = owner.get("/console/wallet/")
    top_up(owner.tenant, "25.00")
    used(owner.tenant.id, new_id("req_"), 1_000_000, now())

    page = owner.get("/console/wallet/")

    figures = {str(label): value for label, value, _note in page.context["figures"]}
    assert before.context["figures"][0][1] == "1,000.00 USD"
    assert figures["Credit left"] == "1,024.40 USD"
    moved = [cells[2][0] for cells in page.context["transactions"].cells]
    assert moved[:2] == ["-0.60 USD", "25.00 USD"]
    assert "TOPUP-" in page.content.decode()


@pytest.mark.django_db
def test_a_budget_is_made_shown_changed_and_archived(owner: Person) -> None:
    answer = owner.post(NEW, subject="tenant:", soft="1", hard="2")
    assert answer.headers["location"] == "/console/ledger/budget/"
    with tenant_scope(owner.tenant.id):
        budget = Budget.objects.get()
    where = f"/console/ledger/budget/{budget.pk}/"
    used(owner.tenant.id, "a", 2_000_000, now())
    assert "Beyond the alert" in owner.get("/console/ledger/budget/").content.decode()
    assert "Beyond the alert" in owner.get("/console/").content.decode()

    assert owner.get(f"{where}do/change/").context["form"].initial == {"soft": "1", "hard": "2"}
    owner.post(f"{where}do/change/", soft="", hard="1.1")
    with tenant_scope(owner.tenant.id):
        row = with_use(Budget.objects.all()).get()
    assert (row.soft, row.hard, state_of(row)) == (None, Decimal("1.1"), "passed")

    owner.post(f"{where}do/archive/")
    assert budget.pk not in owner.get("/console/ledger/budget/").content.decode()
    with tenant_scope(owner.tenant.id):
        assert Budget.objects.get().archived_at is not None


@pytest.mark.django_db
@pytest.mark.parametrize(
    "sent",
    [
        {"subject": "tenant:"},
        {"subject": "tenant:", "hard": "-1"},
        {"subject": "api_key:key_of_somebody", "hard": "1"},
        {"subject": "tenant:", "hard": "NaN"},
        {"subject": "tenant:", "soft": "3", "hard": "1"},
    ],
)
def test_a_faulty_budget_is_not_made(owner: Person, sent: dict[str, str]) -> None:
    assert owner.post(NEW, **sent).status_code == 200

    with tenant_scope(owner.tenant.id):
        assert not Budget.objects.exists()


@pytest.mark.django_db
def test_an_invoice_reads_from_its_sum_down_to_the_events(owner: Person) -> None:
    month = billed(owner.tenant)
    where = f"/console/billing/invoice/{month.invoice.pk}/change/"

    page = owner.get(where)
    shown = {str(label): value for label, value in page.context["amounts"]}
    line = owner.get(f"/console/billing/invoice/{month.invoice.pk}/lines/{month.line.pk}/")

    assert shown["Total"] == as_money(month.invoice.total, "USD")
    assert "Input tokens" in page.content.decode()
    arithmetic, sums, events = line.context["sections"]
    assert sums.rows[-1][1] == as_money(month.line.exact, "USD")
    assert sum(event.quantity for event in events.rows) == month.line.quantity
    assert arithmetic.rows


@pytest.mark.django_db
def test_documents_are_downloads_of_their_kind(owner: Person) -> None:
    invoice = billed(owner.tenant).invoice

    pdf = owner.get(f"/console/billing/invoice/{invoice.pk}/pdf/")
    csv = owner.get(f"/console/billing/invoice/{invoice.pk}/csv/")

    assert pdf.content.startswith(b"%PDF")
    assert f'filename="{invoice.number}.pdf"' in pdf.headers["content-disposition"]
    assert invoice.number.encode() in csv.content


@pytest.mark.django_db
def test_billing_details_are_kept_and_read_back(owner: Person) -> None:
    sent = {"legal_name": "Acme GmbH", "country": "DE", "language": "en"}
    owner.post("/console/billing/details/", **sent, address="Hafen 1\r\nHamburg")

    form = owner.get("/console/billing/details/").context["form"]

    assert form.initial["legal_name"] == "Acme GmbH"
    with tenant_scope(owner.tenant.id):
        assert TaxProfile.objects.get().address == "Hafen 1\nHamburg"
    assert owner.post("/console/billing/details/", country="Germany", language="en").status_code


@pytest.mark.django_db
def test_prices_are_the_lists_until_a_contract_says_otherwise(owner: Person) -> None:
    page = owner.get("/console/prices/").content.decode()

    assert "List prices." in page
    assert "4.00 USD for 1,000,000" in page


@pytest.mark.django_db
def test_who_sees_money_is_the_roles_to_say(owner: Person) -> None:
    developer, billing = colleague_of(owner, Role.DEVELOPER), colleague_of(owner, Role.BILLING)

    assert developer.get("/console/wallet/").status_code == 403
    assert developer.get("/console/spend/").status_code == 200
    assert billing.get("/console/wallet/").status_code == 200
    assert billing.post(NEW, subject="tenant:", hard="5").status_code == 302


@pytest.mark.django_db
def test_what_credit_does_not_cover_cannot_be_confirmed(owner: Person) -> None:
    from saas.console.pages.quote import quote_shown
    from tenants.pricing.quotes import QuoteLine, quote_make

    base = {"model": "tiny-1", "base": "tiny-1"}
    million = Decimal(1_000_000)
    with tenant_scope(owner.tenant.id):
        quote = quote_make(
            actor=owner.actor,
            kind="fine_tune",
            fingerprint="f" * 64,
            lines=[QuoteLine("tokens.trained", million, million, 500 * million, base)],
            seconds=[Decimal(60), Decimal(90), Decimal(3700)],
        )
        shown = quote_shown(quote)

    assert shown["enough"] is False
    assert shown["after"] == "-1,000.00 USD"
    assert [case["total"] for case in shown["cases"]] == ["4.00 USD", "4.00 USD", "2,000.00 USD"]
    assert shown["cases"][2]["time"] == "1 h 1 min"
    assert shown["expires_at"] - now() > dt.timedelta(minutes=50)
