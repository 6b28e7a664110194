"""Usage by day and the shaping of charts, cells and previews."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saas.console.columns import as_badge, as_number, as_pairs, as_size
from saas.console.figures import DayOfUsage, daily_usage, first_day, stacked_days, totals
from saas.console.pages.preview import READ_BYTES, lines, row_of
from tenants.kernel.clock import now
from tenants.kernel.ids import new_id
from tenants.kernel.scope import tenant_scope
from tenants.usage.ingestion import NewUsage
from tenants.usage.services import usage_record
from tests.saas.console.factories import Person


def used(person: Person, quantity: int, *, days_ago: int, meter: str, model: str) -> None:
    event = NewUsage(
        meter=meter,
        quantity=Decimal(quantity),
        event_time=now() - dt.timedelta(days=days_ago),
        source="gateway",
        key=new_id("key"),
        dimensions={"model": model, "base": "tiny-1"},
    )
    with tenant_scope(person.tenant.id):
        usage_record(tenant_id=person.tenant.id, events=[event])


@pytest.mark.django_db
def test_usage_is_summed_by_day_and_by_what_is_asked(owner: Person, rival: Person) -> None:
    used(owner, 5, days_ago=0, meter="tokens.input", model="a")
    used(owner, 7, days_ago=0, meter="tokens.input", model="b")
    used(owner, 11, days_ago=2, meter="tokens.output", model="a")
    used(owner, 13, days_ago=40, meter="tokens.input", model="a")
    used(rival, 999, days_ago=0, meter="tokens.input", model="a")

    with tenant_scope(owner.tenant.id):
        by_meter = daily_usage(prefix="tokens.")
        by_model = daily_usage(prefix="tokens.", group="model", days=90)

    assert totals(by_meter) == [("tokens.input", Decimal(12)), ("tokens.output", Decimal(11))]
    assert totals(by_model) == [("a", Decimal(29)), ("b", Decimal(7))]
    assert {row.day for row in by_meter} == {first_day(1), first_day(3)}


@pytest.mark.django_db
@pytest.mark.parametrize(
    "query",
    [{}, {"days": "7", "measure": "requests", "group": "model"}, {"days": "x", "group": "'"}],
)
def test_the_usage_page_takes_any_query(owner: Person, query: dict[str, str]) -> None:
    used(owner, 5, days_ago=1, meter="tokens.input", model="a")

    assert owner.get("/console/usage/", **query).status_code == 200


@given(
    st.lists(
        st.tuples(st.integers(0, 29), st.sampled_from("ab"), st.integers(0, 10**9)),
        unique_by=lambda row: row[:2],
    )
)
def test_a_chart_loses_nothing_and_has_a_bar_for_every_day(
    given_rows: list[tuple[int, str, int]],
) -> None:
    rows = [
        DayOfUsage(first_day(30) + dt.timedelta(days=day), group, Decimal(quantity))
        for day, group, quantity in given_rows
    ]

    chart = stacked_days(rows, days=30)

    assert len(chart["labels"]) == 30
    assert all(len(one["data"]) == 30 for one in chart["datasets"])
    assert sum(sum(one["data"]) for one in chart["datasets"]) == sum(q for _, _, q in given_rows)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (123_456, "123.5 kB"), (2 * 10**9, "2.0 GB")],
)
def test_sizes(value: int, shown: str) -> None:
    assert as_size(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1234567, "1,234,567"),
        (Decimal("30.000000000000"), "30"),
        (Decimal("1E+6"), "1,000,000"),
        (Decimal("0.125"), "0.125"),
        (1.5, "1.5000"),
    ],
)
def test_numbers(value: Decimal | float, shown: str) -> None:
    assert as_number(value) == shown


def test_what_customers_wrote_is_escaped() -> None:
    assert "<b>" not in as_badge("<b>", {})
    assert "<b>" not in as_pairs({"<b>": "<b>"})


@given(
    st.lists(st.binary(min_size=1).filter(lambda line: line.strip() and b"\n" not in line)),
    st.integers(1, 50),
)
def test_lines_are_whole_however_the_bytes_arrive(rows: list[bytes], cut: int) -> None:
    content = b"\n".join(rows)
    chunks = [content[i : i + cut] for i in range(0, len(content), cut)]

    assert list(lines(chunks)) == rows


def test_a_preview_reads_no_further_than_it_must() -> None:
    taken = []

    def chunks():  # type: ignore[no-untyped-def]
        for _ in range(1000):
            taken.append(1)
            yield b"x" * 65_536

    assert list(lines(chunks())) == []
    assert len(taken) * 65_536 <= READ_BYTES + 65_536


@pytest.mark.parametrize(
    ("line", "row"),
    [
        (b'{"messages":[{"role":"user","content":"hi"}]}', {"turns": [("user", "hi")]}),
        (b'{"prompt":"a","completion":"b"}', {"turns": [("prompt", "a"), ("completion", "b")]}),
        (b"[1]", {"raw": "[1]"}),
        (b"\xff{", {"raw": "�{"}),
        (b'{"messages": 3}', {"raw": '{"messages": 3}'}),
    ],
)
def test_a_row_is_a_conversation_where_it_is_one(line: bytes, row: dict[str, object]) -> None:
    assert row_of(line) == row
