"""Statements: from provisional charges to a final, numbered invoice that the books agree with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal

import pytest

from tenants.accounts.standing import tenant_close
from tenants.billing.models import Invoice, InvoiceLine, Statement
from tenants.billing.services.finalising import statement_finalise
from tenants.billing.services.statements import (
    statement_approval_require,
    statement_approve,
    statement_rerate,
    statements_advance,
    statements_close,
)
from tenants.billing.states import InvoiceState, StatementState
from tenants.kernel.errors import Conflict, PermissionDenied
from tenants.kernel.scope import system_scope
from tenants.ledger.audit import projections_wrong
from tenants.ledger.chart import AccountKind, GrantKind
from tenants.ledger.selectors import unbalanced
from tests.tenants.accounts.factories import owner_of, tenant_make
from tests.tenants.billing.factories import (
    APRIL,
    MARCH,
    MAY,
    book,
    counted,
    customer,
    granted,
    invoice_of,
    on,
    operator_of,
    receivable,
    stated,
    statement_of,
    sum_of,
    system_of,
    used,
)

pytestmark = pytest.mark.django_db
D = Decimal
DEAR = {"model": "standard", "unit": "0.01"}
VOLUME = {
    "model": "volume",
    "tiers": [{"up_to": "100", "unit": "0.10"}, {"up_to": None, "unit": "0.05"}],
}


@pytest.fixture(autouse=True)
def _books_agree(_django_db_helper: None) -> Iterator[None]:
    yield
    with system_scope():
        assert list(unbalanced()) == []
        assert list(projections_wrong()) == []


def lines_of(invoice: Invoice) -> list[tuple[str, Decimal, Decimal]]:
    with system_scope():
        rows = InvoiceLine.objects.filter(invoice=invoice).order_by("position")
        return [(row.kind, row.exact, row.net) for row in rows]


def test_a_month_becomes_an_invoice_of_what_is_owed() -> None:
    tenant_id = customer(book_id=book(DEAR), plan_fee=D(20))
    used(tenant_id, "a", 1234, on(MARCH, 3))
    invoice = stated(tenant_id, MARCH)
    assert lines_of(invoice) == [("usage", D("12.34"), D("12.34")), ("plan_fee", D(20), D(20))]
    assert (invoice.net, invoice.total, invoice.due) == (D("32.34"),) * 3
    assert (invoice.state, invoice.remaining) == (InvoiceState.OPEN, D("32.34"))
    assert receivable(tenant_id) == D("32.34")
    assert sum_of(tenant_id, AccountKind.REVENUE, "plan") == -20
    assert statement_of(tenant_id, MARCH).state == StatementState.FINAL


def test_it_waits_for_the_months_end_and_its_grace() -> None:
    tenant_id = customer(book_id=book(DEAR))
    used(tenant_id, "a", 100, on(MARCH, 3))
    for now, state in (
        (on(MARCH, 20), StatementState.OPEN),
        (MARCH.end, StatementState.GRACE),
        (MARCH.end + dt.timedelta(days=2, hours=23), StatementState.GRACE),
        (MARCH.end + dt.timedelta(days=3), StatementState.FINAL),
    ):
        statements_advance(now=now, tenant_id=tenant_id)
        assert statement_of(tenant_id, MARCH).state == state


def test_the_months_end_re_rates_and_gives_back_what_was_too_much() -> None:
    """200 units in two halves: 10.00, then nothing (a volume price fell); in all 10.00."""
    tenant_id = customer(book_id=book(VOLUME))
    granted(tenant_id, "100")
    used(tenant_id, "a", 99, on(MARCH, 3))
    used(tenant_id, "b", 3, on(MARCH, 4))
    assert sum_of(tenant_id, AccountKind.REVENUE) == D("-9.9")
    invoice = stated(tenant_id, MARCH)
    assert lines_of(invoice) == [("usage", D("5.1"), D("5.10"))]
    assert (invoice.total, invoice.prepaid, invoice.due) == (D("5.10"), D("5.10"), 0)
    assert invoice.state == InvoiceState.PAID
    assert sum_of(tenant_id, AccountKind.REVENUE) == D("-5.1")
    assert sum_of(tenant_id, AccountKind.GRANT) == D("-94.9")


def test_usage_that_nobody_charged_is_billed_with_the_month() -> None:
    tenant_id = customer(book_id=book(DEAR))
    counted(tenant_id, "a", 500, on(MARCH, 31, 23))
    invoice = stated(tenant_id, MARCH)
    assert (invoice.total, receivable(tenant_id)) == (5, 5)


def test_late_usage_is_a_line_of_the_next_month_and_the_final_one_never_changes() -> None:
    tenant_id = customer(book_id=book(VOLUME))
    used(tenant_id, "a", 90, on(MARCH, 3))
    first = stated(tenant_id, MARCH)
    assert first.total == 9
    used(tenant_id, "late", 20, on(MARCH, 30))
    used(tenant_id, "b", 10, on(APRIL, 2))
    second = stated(tenant_id, APRIL)
    assert lines_of(second) == [
        ("usage", D("1.0"), D("1.00")),
        ("late", D("-3.5"), D("-3.50")),  # 110 units at the second tier, less the 9.00 billed
    ]
    assert second.due == 0
    assert receivable(tenant_id) == D("6.50")
    assert invoice_of(tenant_id, MARCH).total == 9
    used(tenant_id, "c", 100, on(MAY, 2))
    third = stated(tenant_id, MAY)
    assert (third.total, third.brought_forward, third.due) == (10, D("-2.50"), D("7.50"))
    assert receivable(tenant_id) == D("16.50")


def test_late_usage_of_a_month_that_was_never_charged_is_billed_too() -> None:
    tenant_id = customer(book_id=book(DEAR))
    used(tenant_id, "a", 100, on(APRIL, 3))
    statements_advance(now=on(APRIL, 6), tenant_id=tenant_id)
    counted(tenant_id, "late", 300, on(MARCH, 30))
    assert lines_of(stated(tenant_id, APRIL)) == [("usage", 1, 1), ("late", 3, 3)]


def test_sub_cents_are_carried_not_lost() -> None:
    tenant_id = customer(book_id=book({"model": "standard", "unit": "0.001"}))
    for period in (MARCH, APRIL, MAY):
        used(tenant_id, f"u{period}", 4, on(period, 3))
    totals = [stated(tenant_id, period).total for period in (MARCH, APRIL, MAY)]
    assert totals == [D("0.00"), D("0.01"), D("0.00")]
    assert receivable(tenant_id) == D("0.01")
    assert sum_of(tenant_id, AccountKind.REVENUE) == D("-0.012")
    assert sum_of(tenant_id, AccountKind.ROUNDING) == D("0.002")


def test_each_kind_of_credit_is_shown_by_what_it_paid() -> None:
    tenant_id = customer(book_id=book(DEAR))
    granted(tenant_id, "1", GrantKind.ALLOWANCE)
    granted(tenant_id, "2", GrantKind.PROMOTION)
    granted(tenant_id, "3")
    used(tenant_id, "a", 1000, on(MARCH, 3))
    invoice = stated(tenant_id, MARCH)
    assert (invoice.total, invoice.allowance, invoice.promotion, invoice.prepaid) == (10, 1, 2, 3)
    assert invoice.due == receivable(tenant_id) == 4


def test_commitment_cap_and_discount() -> None:
    lean = customer(book_id=book(DEAR), commitment=D(50))
    used(lean, "a", 1000, on(MARCH, 3))
    assert lines_of(stated(lean, MARCH)) == [("usage", 10, 10), ("true_up", 40, 40)]
    rich = customer(book_id=book(DEAR), cap=D(50), discount=D("0.2"))
    used(rich, "a", 10_000, on(MARCH, 3))
    assert lines_of(stated(rich, MARCH)) == [("usage", 80, 80), ("cap", -30, -30)]


def test_quote_caps_and_waivers_stand() -> None:
    from tenants.kernel.money import Money

    tenant_id = customer(book_id=book(DEAR))
    used(tenant_id, "a", 1000, on(MARCH, 3), bound=Money.of("7", "USD"))
    used(tenant_id, "b", 100, on(MARCH, 4), waive="our fault")
    invoice = stated(tenant_id, MARCH)
    assert lines_of(invoice) == [("usage", 11, 11), ("quote_cap", -3, -3), ("waiver", -1, -1)]
    assert invoice.due == receivable(tenant_id) == 7


def test_running_twice_changes_nothing_and_finalising_twice_is_refused() -> None:
    tenant_id = customer(book_id=book(DEAR), plan_fee=D(20))
    used(tenant_id, "a", 100, on(MARCH, 3))
    invoice = stated(tenant_id, MARCH)
    before = (sum_of(tenant_id, AccountKind.REVENUE), invoice.number)
    assert statements_advance(now=MARCH.end + dt.timedelta(days=9), tenant_id=tenant_id) == 0
    again = invoice_of(tenant_id, MARCH)
    assert (sum_of(tenant_id, AccountKind.REVENUE), again.number) == before
    with system_scope(), pytest.raises(Conflict) as raised:
        statement_finalise(
            actor=system_of(tenant_id), statement_id=statement_of_id(tenant_id), now=MARCH.end
        )
    assert raised.value.code == "statement_final"


def statement_of_id(tenant_id: str) -> str:
    return str(Statement.objects.get(tenant_id=tenant_id, period=MARCH.month).id)


def test_rating_again_gives_the_same_bytes() -> None:
    tenant_id = customer(book_id=book(VOLUME), plan_fee=D("9.99"), discount=D("0.1"))
    used(tenant_id, "a", 333, on(MARCH, 3))
    stated(tenant_id, MARCH)
    statement = statement_of(tenant_id, MARCH)
    used(tenant_id, "late", 5, on(MARCH, 9))
    with system_scope():
        text = statement_rerate(actor=operator_of(tenant_id), statement_id=statement.id)
    assert text.decode() == statement.rated
    with system_scope():
        Statement.objects.filter(pk=statement.id).update(rated=statement.rated.replace("9.99", "9"))
        with pytest.raises(Conflict, match="another result"):
            statement_rerate(actor=operator_of(tenant_id), statement_id=statement.id)


def test_a_statement_waits_for_its_approval() -> None:
    tenant_id = customer(book_id=book(DEAR))
    used(tenant_id, "a", 100, on(MARCH, 3))
    statements_advance(now=on(MARCH, 20), tenant_id=tenant_id)
    statement = statement_of(tenant_id, MARCH)
    with system_scope():
        statement_approval_require(
            actor=operator_of(tenant_id), statement_id=statement.id, required=True
        )
        with pytest.raises(Conflict):
            statement_approve(actor=operator_of(tenant_id), statement_id=statement.id)
    assert stated(tenant_id, MARCH).state == InvoiceState.DRAFT
    with system_scope():
        with pytest.raises(Conflict, match="approve"):
            statement_finalise(actor=system_of(tenant_id), statement_id=statement.id)
        statement_approve(actor=operator_of(tenant_id), statement_id=statement.id)
    assert stated(tenant_id, MARCH).state == InvoiceState.OPEN


def test_months_become_final_in_order() -> None:
    tenant_id = customer(book_id=book(DEAR))
    used(tenant_id, "a", 100, on(MARCH, 3))
    statements_advance(now=on(MARCH, 20), tenant_id=tenant_id)
    with system_scope():
        Statement.objects.filter(tenant_id=tenant_id).update(approval=True)
    used(tenant_id, "b", 100, on(APRIL, 3))
    stated(tenant_id, APRIL)
    assert statement_of(tenant_id, APRIL).state == StatementState.GRACE


def test_a_tenant_closed_in_mid_month_gets_its_last_statement_at_once() -> None:
    tenant_id = customer(book_id=book(DEAR), plan_fee=D(31))
    used(tenant_id, "a", 100, on(MARCH, 3))
    with system_scope():
        tenant_close(actor=operator_of(tenant_id), reason="asked for")
        statements_close(tenant_id=tenant_id, now=on(MARCH, 11, 0))
    invoice = invoice_of(tenant_id, MARCH)
    assert lines_of(invoice) == [("usage", 1, 1), ("plan_fee", 10, 10)]  # ten of 31 days
    assert invoice.state == InvoiceState.OPEN
    used(tenant_id, "late", 100, on(MARCH, 10))
    later = stated(tenant_id, APRIL)
    assert lines_of(later) == [("late", 1, 1)]


def test_an_empty_month_has_no_invoice_and_takes_no_number() -> None:
    tenant_id = customer(book_id=book(DEAR))
    statements_advance(now=MARCH.end + dt.timedelta(days=4), tenant_id=tenant_id)
    assert statement_of(tenant_id, MARCH).state == StatementState.FINAL
    with system_scope():
        assert not Invoice.objects.filter(tenant_id=tenant_id, period=MARCH.month).exists()


def test_numbers_have_no_gap_and_start_anew_each_year() -> None:
    numbers = []
    for _ in range(3):
        tenant_id = customer(book_id=book(DEAR))
        used(tenant_id, "a", 100, on(MARCH, 3))
        numbers.append(stated(tenant_id, MARCH).number)
    assert numbers == [f"BW-2026-{number:06}" for number in (1, 2, 3)]


def test_members_neither_finalise_nor_approve() -> None:
    tenant = tenant_make(has_credit=False)
    with system_scope(), pytest.raises(PermissionDenied):
        statement_finalise(actor=owner_of(tenant), statement_id="stmt_1")
