"""Rate cards: which prices and terms are in force for a tenant, and when. Pure, but for no query.

`TERMS` and `PRICES` are statements for both drivers; `terms_of` reads their rows. A published
version never changes, so its prices are read once per process.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from tenants.kernel.errors import InvalidInput, NotFound
from tenants.pricing.charge_json import model_from_json
from tenants.pricing.charge_models import ChargeModel, Matrix
from tenants.pricing.exact import EXACT
from tenants.pricing.matching import Match, match_of, matches, price_key

CURRENCY = "USD"  # of the list book, and of a tenant without a contract

# One row a fact, each as JSON text: contracts, published versions and exchange rates that bear on
# [since, until) for these tenants. Of a book that is followed, the version in force at `since` and
# all later ones.
TERMS = """
    WITH wanted AS (
        SELECT id, tenant_id, book_id, pinned_version_id, starts, ends, discount, currency,
            plan_fee, commitment, cap
        FROM contract WHERE tenant_id = ANY(%(tenant_ids)s)
            AND starts < %(until)s AND (ends IS NULL OR ends > %(since)s)
    )
    SELECT 'contract', to_jsonb(w)::text FROM wanted w
    UNION ALL
    SELECT 'version', jsonb_build_object('id', v.id, 'book_id', v.book_id, 'number', v.number,
        'valid_from', v.valid_from, 'currency', b.currency, 'is_list', b.is_list)::text
    FROM price_book_version v JOIN price_book b ON b.id = v.book_id
    WHERE v.published_at IS NOT NULL AND (
        v.id IN (SELECT pinned_version_id FROM wanted)
        OR (b.is_list OR b.id IN (SELECT book_id FROM wanted))
            AND v.valid_from < %(until)s AND NOT EXISTS (
                SELECT FROM price_book_version l WHERE l.book_id = v.book_id
                    AND l.published_at IS NOT NULL AND l.valid_from > v.valid_from
                    AND l.valid_from <= %(since)s))
    UNION ALL
    SELECT 'fx', jsonb_build_object('base', f.base, 'quote', f.quote, 'rate', f.rate,
        'valid_from', f.valid_from)::text
    FROM fx_rate f WHERE f.quote IN (SELECT currency FROM wanted)
"""

PRICES = """
    SELECT version_id, meter, match::text, revenue, charge::text FROM price
    WHERE version_id = ANY(%(version_ids)s)
"""


@dataclass(frozen=True)
class CardPrice:
    """`key` names the price across versions; `revenue` is the ledger's revenue line."""

    key: str
    meter: str
    match: Match
    revenue: str
    model: ChargeModel


@dataclass(frozen=True)
class PriceList:
    """The prices of one version, matrices laid out."""

    prices: tuple[CardPrice, ...]

    @cached_property
    def by_key(self) -> Mapping[str, CardPrice]:
        return {price.key: price for price in self.prices}

    @cached_property
    def by_meter(self) -> Mapping[str, Sequence[CardPrice]]:
        """The most specific first."""
        found: dict[str, list[CardPrice]] = {}
        for price in sorted(self.prices, key=lambda p: (-len(p.match), p.key)):
            found.setdefault(price.meter, []).append(price)
        return found


@dataclass(frozen=True)
class RateCard:
    """What a tenant pays by during [starts, ends): `ends` is None where no end is known.

    `currency` is the contract's; amounts of the book times `fx_rate` are in it. `discount` is a
    share of 1. `contract_id` is empty where no contract is written: list prices, in USD.
    """

    tenant_id: str
    currency: str
    version_id: str
    contract_id: str
    discount: Decimal
    fx_rate: Decimal
    starts: dt.datetime
    ends: dt.datetime | None
    prices: PriceList

    @property
    def factor(self) -> Decimal:
        """What an amount of the book is multiplied by: discount and exchange rate."""
        return EXACT.multiply(EXACT.subtract(Decimal(1), self.discount), self.fx_rate)

    def price_of(self, meter: str, dimensions: Mapping[str, str]) -> CardPrice:
        """Return the most specific match. Raises NotFound(code="price_missing")."""
        for price in self.prices.by_meter.get(meter, ()):
            if matches(price.match, dimensions):
                return price
        raise NotFound(f"no price for {meter}", param="meter", code="price_missing")


@dataclass(frozen=True)
class ContractTerms:
    """A contract's terms for whole months; amounts in its currency. `ends` may be open."""

    contract_id: str
    currency: str
    starts: dt.datetime
    ends: dt.datetime | None
    plan_fee: Decimal
    commitment: Decimal
    cap: Decimal | None


@dataclass(frozen=True)
class Terms:
    """A tenant's rate cards of one month in order of time, without a gap, and its contracts'."""

    tenant_id: str
    period: dt.date
    cards: tuple[RateCard, ...]
    contracts: tuple[ContractTerms, ...]

    def at(self, moment: dt.datetime) -> RateCard:
        return next(card for card in reversed(self.cards) if card.starts <= moment)

    @cached_property
    def by_name(self) -> Mapping[tuple[str, str], RateCard]:
        """By (version, contract), in order of time; one that holds twice (before and after a
        contract) is one.
        """
        return {(card.version_id, card.contract_id): card for card in self.cards}


@dataclass(frozen=True)
class TermFacts:
    """The rows of `TERMS`, read."""

    contracts: tuple[Mapping[str, Any], ...]
    versions: tuple[Mapping[str, Any], ...]
    fx: tuple[Mapping[str, Any], ...]

    @property
    def version_ids(self) -> list[str]:
        return sorted({str(version["id"]) for version in self.versions})


_PRICE_LISTS: dict[str, PriceList] = {}  # by version; a published version never changes
_MOST_LISTS = 2000


def term_facts(rows: Iterable[Sequence[Any]]) -> TermFacts:
    """Sort the rows of `TERMS`; numbers become Decimals and never pass a float."""
    found: dict[str, list[Mapping[str, Any]]] = {"contract": [], "version": [], "fx": []}
    for what, text in rows:
        found[what].append(json.loads(text, parse_float=Decimal, parse_int=Decimal))
    return TermFacts(*(tuple(found[what]) for what in ("contract", "version", "fx")))


def price_lists_missing(version_ids: Iterable[str]) -> list[str]:
    return [version_id for version_id in version_ids if version_id not in _PRICE_LISTS]


def price_lists_learn(version_ids: Iterable[str], rows: Iterable[Sequence[Any]]) -> None:
    """Keep the prices of published versions, as read by `PRICES`."""
    if len(_PRICE_LISTS) > _MOST_LISTS:
        _PRICE_LISTS.clear()
    found: dict[str, list[CardPrice]] = {version_id: [] for version_id in version_ids}
    for version_id, meter, match, revenue, charge in rows:
        found[version_id] += card_prices(meter, json.loads(match), revenue, json.loads(charge))
    _PRICE_LISTS.update({key: PriceList(tuple(prices)) for key, prices in found.items()})


def card_prices(
    meter: str, match: Mapping[str, str], revenue: str, charge: Mapping[str, Any]
) -> list[CardPrice]:
    """One price as it stands in a book: several where it is a matrix."""
    model = model_from_json(charge)
    cells = model.matches() if isinstance(model, Matrix) else [({}, model)]
    found = []
    for values, cell in cells:
        whole = match_of({**match, **values})
        found.append(CardPrice(price_key(meter, whole), meter, whole, revenue, cell))
    return found


def terms_of(facts: TermFacts, tenant_id: str, period: dt.date) -> Terms:
    """A tenant's terms in the month that begins on `period` (its price lists are known).

    Raises InvalidInput(code="fx_missing") where a contract's currency has no rate.
    """
    since, until = month_bounds(period)
    mine = [c for c in facts.contracts if c["tenant_id"] == tenant_id]
    contracts = sorted(mine, key=lambda c: _time(c["starts"]))
    cards: list[RateCard] = []
    reached = since
    for contract in contracts:
        starts = max(since, _time(contract["starts"]))
        ends = min(until, _time(contract["ends"])) if contract["ends"] else until
        if ends <= starts:
            continue
        if reached < starts:
            cards += _cards(facts, tenant_id, None, reached, starts)
        cards += _cards(facts, tenant_id, contract, starts, ends)
        reached = ends
    if reached < until:
        cards += _cards(facts, tenant_id, None, reached, until)
    return Terms(tenant_id, period, tuple(cards), tuple(_terms(c) for c in contracts))


def month_bounds(period: dt.date) -> tuple[dt.datetime, dt.datetime]:
    """[first moment, first moment of the next month) in UTC."""
    since = dt.datetime(period.year, period.month, 1, tzinfo=dt.UTC)
    following = (since + dt.timedelta(days=31)).replace(day=1)
    return since, following


def period_of(moment: dt.datetime) -> dt.date:
    """The UTC month that `moment` lies in, as its first day."""
    return moment.astimezone(dt.UTC).date().replace(day=1)


def _cards(
    facts: TermFacts,
    tenant_id: str,
    contract: Mapping[str, Any] | None,
    starts: dt.datetime,
    ends: dt.datetime,
) -> list[RateCard]:
    """[starts, ends) under one contract (None: by the list), cut where its book changes."""
    versions = _versions(facts, contract, starts, ends)
    if not versions or _time(versions[0]["valid_from"]) > starts:
        raise NotFound("no price book version is in force", code="price_missing")
    currency = contract["currency"] if contract else CURRENCY
    cards = []
    for number, version in enumerate(versions):
        following = versions[number + 1]["valid_from"] if number + 1 < len(versions) else None
        cards.append(
            RateCard(
                tenant_id=tenant_id,
                currency=currency,
                version_id=version["id"],
                contract_id=contract["id"] if contract else "",
                discount=contract["discount"] if contract else Decimal(0),
                fx_rate=fx_of(facts, version["currency"], currency, starts),
                starts=max(starts, _time(version["valid_from"])) if number else starts,
                ends=_time(following) if following else ends,
                prices=_PRICE_LISTS[version["id"]],
            )
        )
    return cards


def _versions(
    facts: TermFacts,
    contract: Mapping[str, Any] | None,
    starts: dt.datetime,
    ends: dt.datetime,
) -> list[Mapping[str, Any]]:
    """The versions in force during [starts, ends), by time; the first begins at or before it."""
    if contract and contract["pinned_version_id"]:
        pinned = contract["pinned_version_id"]
        return [
            {**v, "valid_from": starts.isoformat()} for v in facts.versions if v["id"] == pinned
        ]
    book_id = contract["book_id"] if contract else None
    of_book = [v for v in facts.versions if (v["book_id"] == book_id if book_id else v["is_list"])]
    of_book.sort(key=lambda v: _time(v["valid_from"]))
    begun = [v for v in of_book if _time(v["valid_from"]) <= starts]
    return begun[-1:] + [v for v in of_book if starts < _time(v["valid_from"]) < ends]


def fx_of(facts: TermFacts, base: str, quote: str, at: dt.datetime) -> Decimal:
    """One rate for a whole month: the last set before it began, else the first one after.

    Raises InvalidInput(code="fx_missing").
    """
    if base == quote:
        return Decimal(1)
    begin, _ = month_bounds(period_of(at))
    pair = [f for f in facts.fx if (f["base"], f["quote"]) == (base, quote)]
    pair.sort(key=lambda f: _time(f["valid_from"]))
    if not pair:
        raise InvalidInput(
            f"no exchange rate from {base} to {quote}; an operator sets one",
            param="currency",
            code="fx_missing",
        )
    before = [f for f in pair if _time(f["valid_from"]) <= begin]
    rate: Decimal = (before or pair[:1])[-1]["rate"]
    return rate


def _terms(contract: Mapping[str, Any]) -> ContractTerms:
    return ContractTerms(
        contract_id=contract["id"],
        currency=contract["currency"],
        starts=_time(contract["starts"]),
        ends=_time(contract["ends"]) if contract["ends"] else None,
        plan_fee=contract["plan_fee"],
        commitment=contract["commitment"],
        cap=contract["cap"],
    )


def _time(text: str | dt.datetime) -> dt.datetime:
    return text if isinstance(text, dt.datetime) else dt.datetime.fromisoformat(text)
