"""What settled a statement's charges, and what is due: arithmetic that a document must hold."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.billing.settlement import Settled, document, shares

D = Decimal
AMOUNTS = st.decimals("-1000", "1000", places=12)
POSITIVE = st.decimals("0", "1000", places=12)


@given(AMOUNTS, st.lists(POSITIVE, min_size=1, max_size=6))
def test_shares_sum_to_the_amount_and_follow_the_weights(
    amount: Decimal, weights: list[Decimal]
) -> None:
    parts = shares(amount, weights)
    assert sum(parts) == amount
    if whole := sum(weights):
        for part, weight in zip(parts, weights, strict=True):
            assert abs(part - amount * weight / whole) <= D("0.000000000002")


def test_weights_of_zero_leave_all_to_the_last() -> None:
    assert shares(D(5), [D(1), D(-1)]) == [0, 5]


def test_what_credit_paid_for_in_full_leaves_nothing_due_to_the_cent() -> None:
    settled = Settled(promotion=D("3.337"), prepaid=D("5.004"))
    found = document(net=D("8.35"), tax=D(0), settled=settled, owed=D(0), currency="USD")
    assert (found.due, found.rounding) == (0, 0)
    assert (found.promotion, found.prepaid) == (D("3.34"), D("5.01"))


def test_without_credit_the_lines_rounding_is_due_and_posted() -> None:
    settled = Settled(postpaid=D("10.012"), tax=D("1.598555"))
    found = document(
        net=D("8.42"), tax=D("1.60"), settled=settled, owed=D("10.012"), currency="USD"
    )
    assert found.due == D("10.02")
    assert found.rounding == D("0.008")
    assert found.tax_rounding == D("0.001445")


def test_what_is_owed_to_the_customer_is_carried_forward() -> None:
    """A re-rating gave 2 back, off what the next month already owes."""
    settled = Settled(prepaid=D(10), postpaid=D(-2))
    found = document(net=D(8), tax=D(0), settled=settled, owed=D(-2), currency="USD")
    assert (found.due, found.brought_forward, found.rounding) == (0, 2, 0)
    following = document(
        net=D(5), tax=D(0), settled=Settled(postpaid=D(5)), owed=D(3), currency="USD"
    )
    assert (following.due, following.brought_forward) == (3, -2)


@pytest.mark.parametrize("currency", ["USD", "JPY", "KWD"])
@given(
    parts=st.tuples(POSITIVE, POSITIVE, POSITIVE, POSITIVE, POSITIVE),
    slip=st.integers(-3, 3),
    forward=st.sampled_from([D(0), D(0), D(-7), D(4)]),
)
def test_a_document_adds_up(
    currency: str, parts: tuple[Decimal, ...], slip: int, forward: Decimal
) -> None:
    unit = {"USD": D("0.01"), "JPY": D(1), "KWD": D("0.001")}[currency]
    settled = Settled(*parts)
    net = settled.gross.quantize(unit) + slip * unit  # lines are rounded one by one
    owed = settled.postpaid + forward
    found = document(net=net, tax=D(0), settled=settled, owed=owed, currency=currency)
    credit = found.allowance + found.promotion + found.prepaid
    assert found.due == found.total - credit + found.brought_forward
    assert found.due >= 0
    assert found.due == found.due.quantize(unit)
    if found.due > 0:
        assert abs(found.rounding) <= 5 * unit
        assert found.rounding == found.due - owed
