"""Credit notes: out of what an invoice is given back, with its tax, and never more than it was."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.billing.books import Entry, GivenBack, credit_note, recovery, rounding, write_off
from tenants.billing.crediting import Standing, note_of
from tenants.kernel.errors import InvalidInput

D = Decimal
INVOICE = Standing(
    currency="EUR",
    net=D("100.00"),
    tax=D("11.40"),
    taxed=D("60.00"),  # the other 40 were paid from promotions and the allowance
    left=GivenBack(
        owed=D("11.40"), paid=D("20.00"), prepaid=D("40.00"), promotion=D("30.00"), allowance=D(10)
    ),
)


def test_what_is_owed_goes_first_then_what_was_paid() -> None:
    note = note_of(INVOICE, D("20.00"))
    assert (note.tax, note.total) == (D("3.80"), D("23.80"))
    assert note.parts == GivenBack(owed=D("11.40"), paid=D("12.40"))


def test_all_of_it_goes_back_to_where_it_came_from() -> None:
    note = note_of(INVOICE, D("100.00"))
    assert note.total == D("111.40")
    assert note.parts == INVOICE.left


@pytest.mark.parametrize("net", ["0", "-1", "100.01", "0.001"])
def test_nothing_and_too_much_are_refused(net: str) -> None:
    with pytest.raises(InvalidInput):
        note_of(INVOICE, D(net))


@given(
    cents=st.lists(st.integers(1, 4000), min_size=1, max_size=6),
    tax=st.integers(0, 3000),
    untaxed=st.integers(0, 9000),
)
def test_notes_one_after_the_other_give_back_the_whole_and_its_tax(
    cents: list[int], tax: int, untaxed: int
) -> None:
    net = D(sum(cents)) / 100
    taxed = max(D(0), net - D(untaxed) / 100)
    whole_tax = D(tax) / 100 if taxed else D(0)
    left = GivenBack(owed=taxed + whole_tax, promotion=net - taxed)
    credited_net = credited_tax = D(0)
    for part in cents:
        standing = Standing("EUR", net, whole_tax, taxed, left, credited_net, credited_tax)
        note = note_of(standing, D(part) / 100)
        assert note.parts.total == note.total
        assert note.tax >= 0
        credited_net, credited_tax = credited_net + note.net, credited_tax + note.tax
        left = GivenBack(
            owed=left.owed - note.parts.owed, promotion=left.promotion - note.parts.promotion
        )
        assert min(left.owed, left.promotion) >= 0
        assert note.parts.prepaid == 0
    assert (credited_net, credited_tax) == (net, whole_tax)
    assert left.total == 0


def balance(entries: list[Entry]) -> Decimal:
    return sum((entry.amount for entry in entries), D(0))


def test_every_list_of_postings_balances() -> None:
    note = note_of(INVOICE, D("77.00"))
    for cash in ({}, {"manual": note.parts.paid}):
        entries = credit_note(
            revenue={"tokens": D("70.00"), "plan": D("7.00")},
            tax=note.tax,
            jurisdiction="DE",
            parts=note.parts,
            cash=cash,
        )
        assert balance(entries) == 0
    assert balance(rounding(receivable=D("0.004"), tax=D("-0.001"), jurisdiction="DE")) == 0
    assert balance([*write_off(D(5)), *recovery(D(5))]) == 0
    with pytest.raises(ValueError, match="come to"):
        credit_note(revenue={"tokens": D(1)}, tax=D(0), jurisdiction="", parts=note.parts, cash={})
