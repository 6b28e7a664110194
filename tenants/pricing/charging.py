"""Charging: from counts to money, as a program without I/O that two drivers run.

`charging_group(requests)` yields statements and is sent their rows; it returns the answers. In one
transaction it locks the wallets in order of tenant and currency, reads what each month has been
charged for so far, rates the steps, posts them through the ledger, and writes charges, lines and
totals. The lock makes it safe against itself: of two charges to one wallet the second sees what the
first has written.

A key is charged once: a repeated key answers as the first time did, and posts nothing.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.pricing.cards import Terms, period_of, terms_of
from tenants.pricing.charge_lines import Line, Totals, adjusted, capped, rated_lines, waived
from tenants.pricing.charge_requests import Charged, ChargeItem, ChargeRequest
from tenants.pricing.charge_shares import shares_of
from tenants.pricing.charge_statements import (
    CHARGE,
    CHARGE_COLUMNS,
    EARLIER,
    LINE_COLUMNS,
    LOCK,
    RELEASE,
    SUBJECT,
    TOTAL_COLUMNS,
    TOTALS,
    WRITE,
    columns,
)
from tenants.pricing.exact import EXACT, ZERO
from tenants.pricing.terms_reading import Row, Statement, facts_read

Subject = tuple[str, str, str, str]  # tenant, kind, id, currency
Program = Generator[Statement, list[Row], list["Charged"]]


@dataclass
class _Work:
    """One request on its way: where it stands, and what has been found out."""

    request: ChargeRequest
    terms: list[Terms]
    currency: str
    fingerprint: str
    lines: list[Line] = field(default_factory=list)
    rated: Decimal = ZERO
    posted: Row = ("", ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)
    charge_id: str = ""
    shares: list[dict[str, str]] = field(default_factory=list)

    @property
    def name(self) -> tuple[str, str]:
        return self.request.tenant_id, self.request.key

    @property
    def net_by_revenue(self) -> dict[str, Decimal]:
        sums: dict[str, Decimal] = {}
        for line in self.lines:
            sums[line.revenue] = EXACT.add(sums.get(line.revenue, ZERO), line.net)
        return {revenue: net for revenue, net in sums.items() if net}


__all__ = ["ChargeItem", "ChargeRequest", "Charged", "charging", "charging_group"]


def charging(request: ChargeRequest) -> Generator[Statement, list[Row], Charged]:
    """Charge one request; see the module. Returns what was charged.

    Raises Conflict where the key was used for another request, InvalidInput where the bound is in
    another currency than the contract.
    """
    (charged,) = yield from charging_group([request])
    return charged


def charging_group(requests: Sequence[ChargeRequest]) -> Program:
    """Charge requests of any tenants in one transaction, in six statements at most, and
    one more for each in which partners share.

    Answers in the order of `requests`. One that is refused refuses all: charge them apart then.
    """
    if not requests:
        return []
    works = yield from _opened(requests)
    yield (
        LOCK,
        columns(
            ({"tenant_id": work.request.tenant_id, "currency": work.currency} for work in works),
            ("tenant_id", "currency"),
        ),
    )
    earlier = yield from _earlier(works)
    fresh = _fresh(works, earlier)
    if fresh:
        yield from _rate(fresh)
        yield from _post(fresh)
        yield WRITE, _written(fresh)
    made = {work.name: work for work in fresh}
    answers: list[Charged] = []
    for work in works:
        if work.name in earlier:
            answers.append(_repeated(earlier[work.name]))
        else:
            answers.append(_charged(made[work.name], repeated=made[work.name] is not work))
    return answers


def _opened(requests: Sequence[ChargeRequest]) -> Generator[Statement, list[Row], list[_Work]]:
    """Find each item's terms."""
    moments = [request.moment for request in requests]
    moments += [item.event_time for request in requests for item in request.items]
    periods = [period_of(moment) for moment in moments]
    facts = yield from facts_read(
        [request.tenant_id for request in requests], min(periods), max(periods)
    )
    known: dict[tuple[str, dt.date], Terms] = {}

    def terms_at(tenant_id: str, moment: dt.datetime) -> Terms:
        place = tenant_id, period_of(moment)
        if place not in known:
            known[place] = terms_of(facts, *place)
        return known[place]

    return [_work(request, terms_at) for request in requests]


def _work(request: ChargeRequest, terms_at: Callable[[str, dt.datetime], Terms]) -> _Work:
    moments = [item.event_time for item in request.items] or [request.moment]
    terms = [terms_at(request.tenant_id, moment) for moment in moments]
    currencies = {its.at(moment).currency for its, moment in zip(terms, moments, strict=True)}
    if len(currencies) > 1:
        raise InvalidInput(
            f"one charge is in one currency, not in {', '.join(sorted(currencies))}; charge "
            "what was counted before the contract changed apart",
            code="currency_mismatch",
        )
    currency = currencies.pop()
    if request.bound is not None and request.bound.currency != currency:
        raise InvalidInput(
            f"the bound is in {request.bound.currency}, the contract in {currency}",
            param="bound",
            code="currency_mismatch",
        )
    return _Work(request, terms[: len(request.items)], currency, request.fingerprint)


def _earlier(works: Sequence[_Work]) -> Generator[Statement, list[Row], dict[Any, Row]]:
    names = [{"tenant_id": work.request.tenant_id, "key": work.request.key} for work in works]
    rows = yield EARLIER, columns(names, ("tenant_id", "key"))
    return {(row[0], row[1]): row for row in rows}


def _fresh(works: Sequence[_Work], earlier: Mapping[Any, Row]) -> list[_Work]:
    """Those whose key is new, each key once. Raises Conflict."""
    fresh: dict[tuple[str, str], _Work] = {}
    for work in works:
        known = earlier[work.name][2] if work.name in earlier else work.fingerprint
        if work.name not in earlier:
            known = fresh.setdefault(work.name, work).fingerprint
        if known != work.fingerprint:
            raise Conflict(
                f"the charge key {work.request.key!r} was used for another charge",
                param="key",
                code="charge_key_conflict",
            )
    return list(fresh.values())


def _rate(works: Sequence[_Work]) -> Generator[Statement, list[Row], None]:
    """Give each request its lines, one after another: each counts on where the last one ended."""
    totals = yield from _totals(works)
    charged = yield from _subjects(works)
    for work in works:
        request = work.request
        work.lines = rated_lines(request.items, work.terms, totals, request.labels)
        work.lines += adjusted(work.lines, request.adjust)
        work.rated = _sum(line.net for line in work.lines)
        if request.bound is not None and not request.waive:
            work.lines += capped(work.lines, request.bound.amount)
        if request.waive:
            subject = (
                request.tenant_id, request.subject_kind, request.subject_id, work.currency
            )  # fmt: skip
            work.lines += waived(
                work.lines, charged.pop(subject, {}), request.moment, work.currency
            )


def _totals(
    works: Sequence[_Work],
) -> Generator[Statement, list[Row], Totals]:
    wanted = [
        {
            "tenant_id": its.tenant_id,
            "period": its.period,
            "price_key": its.at(item.event_time).price_of(item.meter, item.dimensions).key,
        }
        for work in works
        for item, its in zip(work.request.items, work.terms, strict=True)
    ]
    rows = []
    if wanted:
        rows = yield TOTALS, columns(wanted, ("tenant_id", "period", "price_key"))
    totals: Totals = {}
    for tenant_id, period, currency, key, version_id, contract_id, quantity, net in rows:
        place = totals.setdefault((tenant_id, period, currency, key), {})
        place[version_id, contract_id] = [quantity, net]
    return totals


def _subjects(
    works: Sequence[_Work],
) -> Generator[Statement, list[Row], dict[Subject, dict[str, Decimal]]]:
    names = ("tenant_id", "subject_kind", "subject_id")
    waiving = [
        {name: getattr(work.request, name) for name in names}
        for work in works
        if work.request.waive
    ]
    charged: dict[Subject, dict[str, Decimal]] = {}
    if waiving:
        for tenant_id, kind, subject_id, currency, revenue, net in (
            yield SUBJECT, columns(waiving, names)
        ):
            charged.setdefault((tenant_id, kind, subject_id, currency), {})[revenue] = net
    return charged


def _post(works: Sequence[_Work]) -> Generator[Statement, list[Row], None]:
    """Post what is not nothing; where there is nothing to post, a hold is just given back."""
    for work in works:
        work.shares = yield from shares_of(work.request, work.lines, work.currency)
    posting = {place: work for place, work in enumerate(works) if work.net_by_revenue}
    for work in works:
        work.charge_id = new_id("charge_")
    if posting:
        rows = [_posting(place, work) for place, work in posting.items()]
        for place, *answer in (yield CHARGE, columns(rows, tuple(rows[0]))):
            posting[place].posted = answer
    released = [
        {"tenant_id": work.request.tenant_id, "key": work.request.hold_key}
        for work in works
        if work.request.hold_key and not work.request.keep_hold and not work.net_by_revenue
    ]
    if released:
        yield RELEASE, columns(released, ("tenant_id", "key"))


def _posting(place: int, work: _Work) -> dict[str, Any]:
    request = work.request
    lines = [{"revenue": name, "net": f"{net:f}"} for name, net in work.net_by_revenue.items()]
    data = {
        "charge_id": work.charge_id,
        "subject": f"{request.subject_kind}:{request.subject_id}",
        "quote_id": request.quote_id,
        "waived": request.waive,
    }
    return {
        "place": place,
        "tenant_id": request.tenant_id,
        "currency": work.currency,
        "key": f"charge:{request.key}",
        "occurred_at": request.moment,
        "lines": json.dumps(lines),
        "hold_key": request.hold_key,
        "labels": json.dumps(dict(request.labels)),
        "data": json.dumps({name: value for name, value in data.items() if value}),
        "keep_hold": request.keep_hold,
        "shares": json.dumps(work.shares),
    }


def _written(works: Sequence[_Work]) -> dict[str, list[Any]]:
    charges = [_charge_row(work) for work in works]
    lines = [
        {
            **{name: getattr(line, name) for name in LINE_COLUMNS if hasattr(line, name)},
            "charge_id": work.charge_id,
            "tenant_id": work.request.tenant_id,
        }
        for work in works
        for line in work.lines
    ]
    return {
        **columns(charges, tuple(CHARGE_COLUMNS), "charge_"),
        **columns(lines, tuple(LINE_COLUMNS), "line_"),
        **columns(_total_rows(works), tuple(TOTAL_COLUMNS), "total_"),
    }


def _charge_row(work: _Work) -> dict[str, Any]:
    request = work.request
    transaction_id, net, tax, allowance, promotion, paid, postpaid = work.posted
    return {
        "id": work.charge_id,
        "tenant_id": request.tenant_id,
        "key": request.key,
        "request_hash": work.fingerprint,
        "subject_kind": request.subject_kind,
        "subject_id": request.subject_id,
        "currency": work.currency,
        "occurred_at": request.moment,
        "net": net,
        "tax": tax,
        "allowance": allowance,
        "promotion": promotion,
        "paid": paid,
        "postpaid": postpaid,
        "transaction_id": transaction_id or "",
        "quote_id": request.quote_id,
    }


def _total_rows(works: Sequence[_Work]) -> list[dict[str, Any]]:
    """What the months' totals grow by, each total once, in one order for all writers."""
    sums: dict[tuple[Any, ...], list[Decimal]] = {}
    for work in works:
        for line in work.lines:
            if line.kind != "usage":
                continue
            place = (
                work.request.tenant_id, line.period, line.currency, line.price_key,
                line.version_id, line.contract_id,
            )  # fmt: skip
            sum_ = sums.setdefault(place, [ZERO, ZERO])
            sum_[0] = EXACT.add(sum_[0], line.quantity)
            sum_[1] = EXACT.add(sum_[1], line.net)
    return [dict(zip(TOTAL_COLUMNS, (*place, *sums[place]), strict=True)) for place in sorted(sums)]


def _charged(work: _Work, *, repeated: bool) -> Charged:
    return _answer(
        work.charge_id, work.posted[0] or "", work.currency, work.posted[1:], work.rated, repeated
    )


def _repeated(row: Row) -> Charged:
    return _answer(row[3], row[4], row[5], row[6:12], row[12], True)  # noqa: FBT003


def _answer(
    charge_id: str,
    transaction_id: str,
    currency: str,
    amounts: Sequence[Decimal],
    rated: Decimal,
    repeated: bool,  # noqa: FBT001
) -> Charged:
    net, tax, allowance, promotion, paid, postpaid = amounts
    return Charged(
        charge_id=charge_id,
        transaction_id=transaction_id,
        net=Money(net, currency),
        tax=Money(tax, currency),
        rated=Money(rated, currency),
        allowance=allowance,
        promotion=promotion,
        paid=paid,
        postpaid=postpaid,
        repeated=repeated,
    )


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    total = ZERO
    for amount in amounts:
        total = EXACT.add(total, amount)
    return total
