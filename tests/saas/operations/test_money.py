"""Money at operations: prices past the guard, statements, invoices, transfers, books, margins."""

from __future__ import annotations

import datetime as dt
import json
import re
from decimal import Decimal

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from saas.operations.books import trial_balance
from saas.operations.margins import margin_chart
from tenants.accounts.models import AuditEntry, Tenant
from tenants.accounts.services import tenant_sign_up
from tenants.billing.manual.references import top_up_reference
from tenants.billing.models import BankTransfer, CreditNote, Invoice, Payment, Statement, TaxRate
from tenants.kernel.clock import now
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope
from tenants.ledger.models import CreditGrant, Wallet
from tenants.ledger.selectors import ledger_balances
from tenants.pricing.defaults import LIST_BOOK
from tenants.pricing.margins import DayMargin, JobMargin, job_margins, quote_accuracies
from tenants.pricing.models import Contract, PriceBook, PriceBookVersion, PriceOverride
from tenants.pricing.selectors.charges import QuoteError
from tests.saas.console.factories import PASSWORD, Person, job_make
from tests.saas.money import billed, cost_measured, on_credit, stray_transfer, top_up, trained
from tests.saas.operations.test_operations import spend
from tests.tenants.billing.factories import used

pytestmark = pytest.mark.django_db

BOOK = f"/operations/pricing/pricebook/{LIST_BOOK}/"


def draft(operator: Person, unit: str) -> PriceBookVersion:
    """A version of the list in which trained tokens cost `unit` a million."""
    prices = json.loads(operator.get(f"{BOOK}do/draft/").context["form"].initial["prices"])
    for price in prices:
        if price["meter"] == "tokens.trained":
            price["charge"]["unit"] = unit
    operator.post(f"{BOOK}do/draft/", prices=json.dumps(prices), note="a war")
    with system_scope():
        return PriceBookVersion.objects.order_by("-number")[0]


def test_a_price_below_cost_is_refused_with_its_arithmetic_until_overridden(
    owner: Person, operator: Person
) -> None:
    cost_measured(owner.tenant, job_make(owner).pk)
    version = draft(operator, "0.05")
    where = f"/operations/pricing/pricebookversion/{version.pk}/"

    refused = operator.post(f"{where}do/publish/", valid_from="")
    assert "below the floor" in refused.content.decode()
    assert "0.05" in refused.content.decode()
    until = f"{now() + dt.timedelta(days=5):%Y-%m-%dT%H:%M}"
    operator.post(
        f"{BOOK}do/override/",
        meter="tokens.trained",
        reason="until the rival gives in",
        expires_at=until,
    )
    published = operator.post(f"{where}do/publish/", valid_from="")

    assert published.status_code == 302
    with system_scope():
        version.refresh_from_db()
        assert PriceOverride.objects.get().granted_by == operator.user.pk
    assert version.published_at is not None
    assert "0.05 USD for 1,000,000" in operator.get(f"{where}change/").content.decode()


def test_faulty_prices_are_told_on_the_form(operator: Person) -> None:
    for prices in ("{", '[{"meter": "tokens.input"}]', "[1]", '{"a": 1}'):
        answer = operator.post(f"{BOOK}do/draft/", prices=prices)
        assert answer.context["form"].errors["prices"], prices
    unknown = [
        {"meter": "x", "match": {}, "revenue": "tokens", "charge": {"model": "flat", "fee": "1"}}
    ]
    answer = operator.post(f"{BOOK}do/draft/", prices=json.dumps(unknown))
    assert answer.status_code == 200
    with system_scope():
        assert PriceBookVersion.objects.count() == 1


def test_a_contract_is_written_and_ended(owner: Person, operator: Person) -> None:
    sent = {"tenant_id": owner.tenant.id, "currency": "USD", "discount": "10", "credit_limit": "50"}
    answer = operator.post("/operations/pricing/contract/new/", **sent)

    with system_scope():
        contract = Contract.objects.get()
        assert Wallet.objects.get(tenant_id=owner.tenant.id).credit_limit == 50
    assert answer.headers["location"].endswith(f"{contract.pk}/change/")
    assert contract.discount == Decimal("0.1")
    assert "Every price is reduced by 10.0 %" in owner.get("/console/prices/").content.decode()

    operator.post(f"/operations/pricing/contract/{contract.pk}/do/end/")
    with system_scope():
        assert Contract.objects.get().ends is not None


def test_credit_is_granted_and_the_customer_reads_why(owner: Person, operator: Person) -> None:
    with system_scope():
        wallet = Wallet.objects.get(tenant_id=owner.tenant.id)
    url = f"/operations/ledger/wallet/{wallet.pk}/do/grant/"

    sent = {"amount": "7.5", "reason": "for the trouble", "days": "30"}
    answers = [operator.post(url, key="key_1", **sent) for _ in range(2)]
    operator.post(url, key="key_1", **sent | {"amount": "75"})

    assert [answer.status_code for answer in answers] == [302, 302]
    assert "for the trouble" in owner.get("/console/wallet/").content.decode()
    with system_scope():
        grant = CreditGrant.objects.get(source="for the trouble")
        entry = AuditEntry.objects.get(action="credit.grant")
    assert (grant.kind, grant.amount) == ("promotion", Decimal("7.5"))
    assert (entry.tenant_id, entry.actor_id) == (owner.tenant.id, operator.user.pk)


def test_a_form_that_moves_money_brings_a_new_key_each_time_it_is_opened(
    owner: Person, operator: Person
) -> None:
    url = f"/operations/billing/payment/{top_up(owner.tenant).pk}/do/refund/"

    pages = [operator.get(url).content.decode() for _ in range(2)]
    keys = {re.search(r'name="key" value="(key_\w+)"', page)[1] for page in pages}  # type: ignore[index]
    keyless = operator.post(url, amount="5")

    assert len(keys) == 2
    assert keyless.status_code == 200
    with system_scope():
        assert Payment.objects.get().refunded == 0


def test_a_statement_waits_for_its_approval_and_is_rated_again(
    owner: Person, operator: Person
) -> None:
    statement = billed(owner.tenant).statement
    where = f"/operations/billing/statement/{statement.pk}/"

    page = operator.get(f"{where}change/").content.decode()
    answer = operator.client.post(f"{where}do/rerate/", follow=True)

    assert 'data-act="finalise"' not in page
    assert "the same to the byte" in answer.content.decode()


def test_an_invoice_is_paid_credited_and_refunded(owner: Person, operator: Person) -> None:
    invoice = billed(owner.tenant).invoice
    where = f"/operations/billing/invoice/{invoice.pk}/do/"

    if invoice.remaining:
        operator.post(f"{where}pay/", amount=f"{invoice.remaining}", external_id="b1", payer="A")
    operator.post(f"{where}credit/", key="k", reason="bad service", to="wallet")

    with system_scope():
        note = CreditNote.objects.get()
        assert Invoice.objects.get(pk=invoice.pk).state == "paid"
    assert (note.total, note.reason) == (invoice.total, "bad service")


def penniless() -> Tenant:
    """A tenant without any credit: all that it uses is owed."""
    email = f"{new_id('x')}@example.com"
    return tenant_sign_up(organisation="Late", email=email, password=PASSWORD).tenant


def test_an_open_invoice_is_voided_or_written_off(operator: Person) -> None:
    for act, sent, state in (
        ("void", {"reason": "wrong customer"}, "void"),
        ("write_off", {}, "uncollectible"),
    ):
        invoice = billed(penniless()).invoice
        assert invoice.state == "open"

        operator.post(f"/operations/billing/invoice/{invoice.pk}/do/{act}/", **sent)

        with system_scope():
            assert Invoice.objects.get(pk=invoice.pk).state == state


def test_the_banks_list_is_imported_and_strays_are_assigned(
    owner: Person, operator: Person
) -> None:
    lines = (
        "date,amount,currency,reference,payer,bank_id\n"
        f"{now():%Y-%m-%d},30.00,USD,{top_up_reference(owner.tenant.id)},Acme,b-1\n"
    )
    file = SimpleUploadedFile("bank.csv", lines.encode())
    operator.client.post("/operations/billing/banktransfer/import/", {"file": file})
    stray = stray_transfer("15.00")

    operator.post(
        f"/operations/billing/banktransfer/{stray.pk}/do/assign/", tenant_id=owner.tenant.id
    )

    with system_scope():
        assert {t.state for t in BankTransfer.objects.all()} == {"matched"}
        amounts = {p.amount for p in Payment.objects.filter(tenant_id=owner.tenant.id)}
    assert amounts == {Decimal(30), Decimal(15)}


def test_unused_credit_goes_back_to_its_payer(owner: Person, operator: Person) -> None:
    payment = top_up(owner.tenant, "20.00")

    operator.post(f"/operations/billing/payment/{payment.pk}/do/refund/", key="k", amount="5")

    with system_scope():
        assert Payment.objects.get(pk=payment.pk).refunded == 5


def test_tax_rates_and_books_begin_on_forms(operator: Person) -> None:
    operator.post(
        "/operations/billing/taxrate/new/",
        jurisdiction="DE",
        name="MwSt.",
        percent="19",
        valid_from="2026-01-01T00:00",
    )
    operator.post("/operations/pricing/pricebook/new/", name="Key accounts", currency="EUR")

    with system_scope():
        assert TaxRate.objects.get().rate == Decimal("0.19")
        assert PriceBook.objects.get(name="Key accounts").currency == "EUR"


def test_the_trial_balance_balances(owner: Person, operator: Person) -> None:
    used(owner.tenant.id, "a", 5_000_000, now())

    page = operator.get("/operations/books/")

    with system_scope():
        lines = trial_balance(ledger_balances())
    debit = sum(line.debit or 0 for line in lines)
    assert debit == sum(line.credit or 0 for line in lines) > 0
    assert page.context["wrong"] == []
    assert page.context["sums"][0][1] == page.context["sums"][0][2]


def test_margins_show_each_job_against_its_charge(owner: Person, operator: Person) -> None:
    job = job_make(owner)
    spend(owner, job, 10)
    trained(owner.tenant, job.pk)

    page = operator.get("/operations/margins/", days="7")

    with system_scope():
        (found,) = job_margins()
    assert (found.job_id, found.charged, found.cost) == (job.pk, 4, Decimal("0.1"))
    figures = {str(label): value for label, value, _ in page.context["figures"]}
    assert figures["Revenue"] == "4.00 USD"
    assert figures["Margin"] == "3.90 USD"


def test_a_margins_arithmetic() -> None:
    row = JobMargin("j", "t", Decimal(4), Decimal(5), charged=Decimal(4), cost=Decimal(1))

    assert (row.margin, row.share) == (3, Decimal("0.75"))
    assert JobMargin("j", "t", None, None, Decimal(0), Decimal(1)).share is None


def test_quotes_are_judged_by_kind() -> None:
    def quote(actual: str) -> QuoteError:
        low, expected, high = (Money.of(amount, "USD") for amount in ("8", "10", "12"))
        return QuoteError(
            "q", "t", "fine_tune", now(), low, expected, high, Money.of(actual, "USD")
        )

    (found,) = quote_accuracies([quote("9"), quote("13")])

    assert (found.jobs, found.bias, found.error) == (2, Decimal("0.1"), Decimal("0.2"))
    assert found.within == Decimal("0.5")


def test_a_margin_chart_has_bars_and_a_line_for_every_day() -> None:
    today = now().astimezone(dt.UTC).date()

    chart = margin_chart([DayMargin(today, Decimal(3), Decimal(2))], days=7)

    revenue, cost, margin = chart["datasets"]
    assert [len(one["data"]) for one in chart["datasets"]] == [7, 7, 7]
    assert (revenue["data"][-1], cost["data"][-1], margin["data"][-1]) == (3, 2, 1)
    assert margin["line"] is True


def test_every_money_page_opens(owner: Person, operator: Person) -> None:
    billed(owner.tenant)
    top_up(owner.tenant)
    on_credit(owner.tenant)
    stray_transfer()

    for model in (PriceBook, PriceBookVersion, Contract, Wallet, Statement, Invoice, Payment,
                  BankTransfer):  # fmt: skip
        where = f"/operations/{model._meta.app_label}/{model._meta.model_name}/"
        with system_scope():
            row = model._default_manager.first()
        assert row is not None
        assert operator.get(where).status_code == 200, where
        page = operator.get(f"{where}{row.pk}/change/")
        assert page.status_code == 200, where
        for offer in page.context["acts"]:
            if offer["act"].form is not None:
                assert operator.get(offer["url"]).status_code == 200, offer["url"]
