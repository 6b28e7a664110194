"""What a tenant may ask about its money: the running month, a line's reasons, documents, FOCUS."""

from __future__ import annotations

import csv
import datetime as dt
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader

from tenants.billing.documents.invoice_csv import invoice_csv
from tenants.billing.documents.invoice_pdf import invoice_pdf
from tenants.billing.explaining import explain, steps_of
from tenants.billing.models import Invoice, InvoiceLine, Statement
from tenants.billing.periods import Period
from tenants.billing.selectors.explaining import line_explain
from tenants.billing.selectors.focus import focus_cost_rows, focus_rows
from tenants.billing.selectors.invoices import invoice_get, invoice_view
from tenants.billing.selectors.upcoming import invoice_upcoming
from tenants.kernel.errors import InvalidInput, NotFound
from tenants.kernel.scope import ScopeError, system_scope, tenant_scope
from tenants.ledger.chart import GrantKind
from tenants.pricing.charge_json import model_from_json
from tenants.pricing.charge_models import ChargeModel, amount
from tests.tenants.billing.factories import (
    APRIL,
    MARCH,
    book,
    contract,
    customer,
    granted,
    on,
    stated,
    used,
    version,
)

D = Decimal
TIERS = {
    "model": "graduated",
    "tiers": [{"up_to": "100", "unit": "0.10"}, {"up_to": None, "unit": "0.05", "fee": "2"}],
    "allowance": "10",
}
MODELS = (
    TIERS,
    {**TIERS, "model": "volume"},
    {"model": "standard", "unit": "0.30", "per": "1000", "minimum": "1", "cap": "5"},
    {"model": "package", "price": "7", "size": "12"},
    {"model": "flat", "fee": "9"},
    {"model": "percentage", "percent": "2.5"},
    {"model": "cost_plus", "cost": "0.2", "markup": "15"},
)


def model_of(data: dict[str, object]) -> ChargeModel:
    model = model_from_json(data)
    assert isinstance(model, ChargeModel)
    return model


@given(st.sampled_from(MODELS), st.decimals(0, 5000, places=3), st.decimals(0, 900, places=3))
def test_the_steps_of_every_model_come_to_its_amount(
    data: dict[str, object], quantity: Decimal, before: Decimal
) -> None:
    model = model_of(data)
    assert sum(step.amount for step in steps_of(model, quantity)) == amount(model, quantity)
    found = explain(model, quantity, before=before, factor=D("0.9"))
    added = amount(model, before + quantity) - amount(model, before)
    assert found.model_amount == added
    assert found.amount == added * D("0.9")
    for step in found.steps:
        if step.what not in {"up to the minimum", "down to the cap"} and "cost" not in step.what:
            assert step.quantity * step.price / step.per == step.amount


@pytest.mark.django_db
def test_a_line_is_explained_down_to_its_events() -> None:
    tenant_id = customer(book_id=book(TIERS), discount=D("0.1"))
    for number in range(5):
        used(tenant_id, f"u{number}", 50, on(MARCH, 3 + number))
    invoice = stated(tenant_id, MARCH)
    with tenant_scope(tenant_id):
        line = InvoiceLine.objects.get(invoice=invoice)
        first = line_explain(line.id, limit=3)
        second = line_explain(line.id, limit=3, page=first.next_page or "")
        found = first.arithmetic
        assert found is not None
        # 10 free, 100 at 0.10, 140 at 0.05, and 2 for entering the second tier
        assert [(s.quantity, s.price, s.amount) for s in found.steps] == [
            (10, 0, 0), (100, D("0.10"), 10), (140, D("0.05"), 7), (1, 2, 2),
        ]  # fmt: skip
        assert (found.factor, found.amount) == (D("0.9"), D("17.1"))
        assert line.exact == found.amount
        keys = [event.key for event in (*first.events, *second.events)]
        assert (keys, first.event_count) == ([f"u{n}" for n in range(5)], 5)
        assert second.next_page is None
        with pytest.raises(InvalidInput):
            line_explain(line.id, limit=0)
    other = customer()
    with tenant_scope(other), pytest.raises(NotFound):
        line_explain(line.id)


@pytest.mark.django_db
def test_a_price_change_in_mid_month_gives_two_lines_that_count_on() -> None:
    book_id = book({"model": "graduated", "tiers": TIERS["tiers"]})
    tenant_id = customer(book_id=book_id)
    version(book_id, {"model": "standard", "unit": "1"}, valid_from=on(MARCH, 10, 0))
    used(tenant_id, "a", 90, on(MARCH, 3))
    used(tenant_id, "b", 20, on(MARCH, 20))
    invoice = stated(tenant_id, MARCH)
    with tenant_scope(tenant_id):
        lines = list(InvoiceLine.objects.filter(invoice=invoice).order_by("position"))
        explained = [line_explain(line.id) for line in lines]
    assert [line.net for line in lines] == [9, 20]
    assert [e.arithmetic.before for e in explained if e.arithmetic] == [0, 90]
    assert [[event.key for event in e.events] for e in explained] == [["a"], ["b"]]
    assert explained[1].valid_from == on(MARCH, 10, 0)


@pytest.mark.django_db
def test_the_running_month_is_shown_as_the_invoice_it_will_be() -> None:
    tenant_id = customer(book_id=book(TIERS), plan_fee=D(20))
    granted(tenant_id, "5", GrantKind.PROMOTION)
    used(tenant_id, "a", 210, on(MARCH, 3))
    with tenant_scope(tenant_id):
        upcoming = invoice_upcoming(tenant_id=tenant_id, now=on(MARCH, 9))
    invoice = stated(tenant_id, MARCH)
    assert (upcoming.total, upcoming.promotion, upcoming.due) == (37, 5, 32)
    assert (invoice.total, invoice.promotion, invoice.due) == (37, 5, 32)
    with system_scope():
        view = invoice_view(invoice_get(invoice.id))
    assert [line.net for line in view.lines] == [line.net for line in upcoming.lines]


@pytest.mark.django_db
def test_looking_at_the_running_month_changes_nothing() -> None:
    tenant_id = customer(book_id=book(TIERS))
    used(tenant_id, "a", 210, on(MARCH, 3))
    with tenant_scope(tenant_id):
        first = invoice_upcoming(tenant_id=tenant_id, now=on(MARCH, 9))
        assert invoice_upcoming(tenant_id=tenant_id, now=on(MARCH, 9)) == first
        assert not Statement.objects.exists()


@pytest.mark.django_db
def test_documents_of_a_real_invoice() -> None:
    tenant_id = customer(book_id=book(TIERS), plan_fee=D(20))
    used(tenant_id, "a", 210, on(MARCH, 3))
    invoice = stated(tenant_id, MARCH)
    with tenant_scope(tenant_id):
        view = invoice_view(invoice_get(invoice.id))
    text = PdfReader(io.BytesIO(invoice_pdf(view))).pages[0].extract_text()
    for expected in (invoice.number, "Acme", "tokens.input", "37.00", "Plan fee"):
        assert expected in text
    rows = list(csv.DictReader(io.StringIO(invoice_csv(view).decode(), newline="")))
    assert sum(D(row["amount"]) for row in rows if row["row"] == "line") == invoice.net


@pytest.mark.django_db
def test_focus_of_an_issued_and_of_a_running_month() -> None:
    tenant_id = customer(book_id=book(TIERS), plan_fee=D(20))
    granted(tenant_id, "5", GrantKind.PROMOTION)
    used(tenant_id, "a", 210, on(MARCH, 3))
    invoice = stated(tenant_id, MARCH)
    used(tenant_id, "b", 110, on(APRIL, 3))
    with tenant_scope(tenant_id):
        march, april = (
            list(csv.DictReader(io.StringIO(text.decode(), newline="")))
            for text in (
                focus_rows(tenant_id=tenant_id, period=MARCH),
                focus_rows(tenant_id=tenant_id, period=APRIL),
            )
        )
        with pytest.raises(ScopeError):
            focus_cost_rows(period=MARCH)
    assert sum(D(row["BilledCost"]) for row in march) == invoice.due
    assert {row["InvoiceId"] for row in march} == {invoice.number}
    assert {row["ChargeCategory"] for row in march} == {"Usage", "Purchase", "Credit"}
    assert sum(D(row["BilledCost"]) for row in april) == 30
    assert {row["InvoiceId"] for row in april} == {""}
    assert {row["ListUnitPrice"] for row in march if row["SkuMeter"]} == {""}  # in tiers


@pytest.mark.django_db
def test_focus_names_list_and_contracted_price_of_a_unit() -> None:
    plain = {"model": "standard", "unit": "0.02"}
    tenant_id = customer(book_id=book(plain), discount=D("0.1"))
    used(tenant_id, "a", 300, on(MARCH, 3))
    stated(tenant_id, MARCH)
    with tenant_scope(tenant_id):
        content = focus_rows(tenant_id=tenant_id, period=MARCH).decode()
    (row,) = csv.DictReader(io.StringIO(content, newline=""))
    units = {kind: D(row[f"{kind}UnitPrice"]) for kind in ("List", "Contracted")}
    costs = {kind: D(row[f"{kind}Cost"]) for kind in ("List", "Contracted", "Billed")}
    assert units == {"List": D("0.02"), "Contracted": D("0.018")}
    assert costs == {"List": 6, "Contracted": D("5.4"), "Billed": D("5.4")}


@pytest.mark.django_db
def test_focus_of_what_the_platform_paid() -> None:
    from tenants.costs.services import slot_time_record
    from tests.tenants.costs.factories import after, resource_make, slot_time

    resource = resource_make((after(-100), "0.5"))
    entries = [
        slot_time(0, 10, resource=resource),
        slot_time(10, 14, resource=resource, purpose="idle"),
    ]
    with system_scope():
        slot_time_record(entries=entries)
        text = focus_cost_rows(period=Period(dt.date(2026, 3, 1)))
    rows = list(csv.DictReader(io.StringIO(text.decode(), newline="")))
    found = {row["SkuMeter"]: (D(row["BilledCost"]), row["SubAccountId"]) for row in rows}
    assert found == {"job": (5, "ten_1"), "idle": (2, "")}


@pytest.mark.django_db
def test_another_currency_has_its_own_statement() -> None:
    tenant_id = customer()
    euros = book(TIERS)
    with system_scope():
        from tenants.pricing.models import FxRate

        FxRate.objects.create(base="USD", quote="EUR", rate=D("0.5"), valid_from=on(MARCH, 1, 0))
    contract(tenant_id, book_id=euros, currency="EUR")
    used(tenant_id, "a", 110, on(MARCH, 3))
    invoice: Invoice = stated(tenant_id, MARCH)
    assert (invoice.currency, invoice.total) == ("EUR", 5)
