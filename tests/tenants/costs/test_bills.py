"""A supplier's bill and our entries agree to the cent, or it is said where they do not."""

from __future__ import annotations

import itertools
import random
from decimal import Decimal

import pytest

from tenants.costs.bills import BillLine, bill_read, reconcile
from tenants.costs.selectors import booked_by_resource
from tenants.costs.services import slot_time_record
from tenants.kernel.errors import InvalidInput
from tenants.kernel.scope import system_scope
from tests.tenants.costs.factories import after, resource_make, slot_time


@pytest.mark.django_db
def test_a_month_of_entries_is_the_bill_to_the_cent() -> None:
    """The supplier bills hours of the machine; we cut them into stretches of microseconds."""
    resource = resource_make((after(-1), "0.000694444444"))
    generator = random.Random(3)
    month = 30 * 86400
    marks = [0.0, *sorted(generator.uniform(0, month) for _ in range(500)), float(month)]
    with system_scope():
        slot_time_record(
            entries=[
                slot_time(start, end, resource=resource, purpose=generator.choice(["job", "idle"]))
                for start, end in itertools.pairwise(marks)
            ]
        )
        booked = booked_by_resource(since=after(0), until=after(month))
    hours = Decimal(month) / 3600
    bill = [BillLine(resource, hours * Decimal("2.4999999984"), quantity=Decimal(month))]
    (found,) = reconcile(bill, booked)
    assert found.agrees
    assert found.billed == found.booked == Decimal("1800.00")
    assert found.quantity_off == 0


def test_what_only_one_side_knows_is_a_difference() -> None:
    bill = [
        BillLine("a", Decimal("1.004")),
        BillLine("a", Decimal("1.004")),
        BillLine("b", Decimal(3)),
    ]
    booked = {"a": (Decimal("2.01"), Decimal(5)), "c": (Decimal(7), Decimal(1))}
    found = {row.resource: (row.difference, row.quantity_off) for row in reconcile(bill, booked)}
    assert found == {"a": (0, None), "b": (3, None), "c": (-7, None)}


def test_a_bill_is_read_from_csv() -> None:
    lines = ["resource,amount,currency,quantity", "worker.gpu,12.50,USD,18000", "egress,1,USD,"]
    assert bill_read(lines) == [
        BillLine("worker.gpu", Decimal("12.50"), Decimal(18000)),
        BillLine("egress", Decimal(1)),
    ]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("worker.gpu,1,EUR,", "line 2 of the bill is in EUR"),
        ("worker.gpu,1,,", "no currency"),
        ("worker.gpu,-1,USD,", "at least 0"),
        ("worker.gpu,NaN,USD,", "at least 0"),
        ("worker.gpu,one,USD,", "no number: 'one'"),
        ("worker.gpu,1,USD,x", "the quantity in line 2"),
        (",1,USD,", "names no resource"),
    ],
)
def test_a_bad_line_is_named(row: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        bill_read(["resource,amount,currency,quantity", row])


def test_a_bill_without_its_columns_is_refused() -> None:
    with pytest.raises(InvalidInput, match="amount, currency"):
        bill_read(["resource,price", "a,1"])
