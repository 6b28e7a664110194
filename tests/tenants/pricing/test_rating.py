"""Rating: steps telescope, parts sum to the whole, cents never drift, bytes never change."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.kernel.money import minor_units
from tenants.pricing.canonical import canonical_hash, canonical_json
from tenants.pricing.charge_models import ChargeModel, amount
from tenants.pricing.exact import EXACT, round12, to_minor_unit
from tenants.pricing.rating import (
    Adjustment,
    KeyTotal,
    PeriodFacts,
    Piece,
    RatedPeriod,
    TaxFacts,
    pieces_amount,
    pieces_amounts,
    rate,
    step,
)
from tests.tenants.pricing.factories import (
    SINCE,
    UNTIL,
    D,
    card,
    card_price,
    contract_terms,
    model,
    terms,
    tiers,
)
from tests.tenants.pricing.test_charge_models import models, quantities

TOKENS = model(
    "graduated",
    per="1000000",
    tiers=tiers(("1000000", "0.60"), ("10000000", "0.45"), (None, "0.3")),
)
MILLION = D(1_000_000)


def total(
    quantity: Decimal | int, key: str = "tokens.input", version: str = "v1", c: str = ""
) -> KeyTotal:
    return KeyTotal(key, version, c, D(quantity))


def rated(facts: PeriodFacts) -> dict[str, Decimal]:
    """Exact amounts by kind."""
    sums: dict[str, Decimal] = {}
    for line in rate(facts).lines:
        sums[line.kind] = sums.get(line.kind, D(0)) + line.exact
    return sums


# steps -----


def test_graduated_steps_are_those_worked_by_hand() -> None:
    # 0.9 M at 0.60, then 0.1 M at 0.60 and 0.4 M at 0.45
    assert step(TOKENS, D(0), D(900_000)) == D("0.54")
    assert step(TOKENS, D(900_000), D(500_000)) == D("0.24")


@given(models(falling=False), st.lists(quantities, max_size=6))
def test_steps_sum_to_the_amount_of_the_whole_however_it_is_cut(
    priced: ChargeModel, parts: list[Decimal]
) -> None:
    used, charged = D(0), D(0)
    with localcontext(EXACT):
        for part in parts:
            charged += step(priced, used, part)
            used += part
    assert charged == round12(amount(priced, used))


@given(models(), quantities, quantities)
def test_no_step_is_below_zero(priced: ChargeModel, before: Decimal, delta: Decimal) -> None:
    assert step(priced, before, delta) >= 0


# pieces: borders of prices and periods -----


@given(models(falling=False), st.lists(quantities, min_size=1, max_size=5))
def test_a_border_between_equal_prices_changes_nothing(
    priced: ChargeModel, parts: list[Decimal]
) -> None:
    factor = D("0.777777")
    whole = pieces_amount([Piece(priced, sum(parts, D(0)), factor)])
    cut = pieces_amounts([Piece(priced, part, factor) for part in parts])
    with localcontext(EXACT):
        assert sum(cut, D(0)) == whole


def test_tiers_count_on_over_a_change_of_price() -> None:
    dearer = model("graduated", per="1000000", tiers=tiers(("1000000", "0.80"), (None, "0.50")))
    # 0.8 M at 0.60; then of 0.7 M the first 0.2 M still in the first tier: 0.16, and 0.5 M: 0.25
    pieces = [Piece(TOKENS, D(800_000)), Piece(dearer, D(700_000))]
    assert pieces_amounts(pieces) == [D("0.48"), D("0.41")]


def test_discount_and_exchange_rate_multiply_each_piece() -> None:
    plain = model("standard", unit="2")
    pieces = [Piece(plain, D(10), D("0.9")), Piece(plain, D(10), D("0.5"))]
    assert pieces_amounts(pieces) == [18, 10]


# periods -----


def facts(*totals: KeyTotal, currency: str = "USD", **changes: object) -> PeriodFacts:
    its = terms(card(card_price("tokens.input", TOKENS), currency=currency))
    given: dict[str, object] = {"terms": its, "currency": currency, "totals": totals}
    return PeriodFacts(**{**given, **changes})  # type: ignore[arg-type]


def test_a_month_of_one_meter() -> None:
    period = rate(facts(total(3 * MILLION)))
    (line,) = period.lines
    assert (line.kind, line.exact, line.cents) == ("usage", D("1.5"), D("1.50"))  # 0.60 + 2 x 0.45
    assert (period.net, period.tax, period.gross, period.residual_out) == (D("1.5"), 0, D("1.5"), 0)


def test_a_version_that_begins_in_mid_month_prices_what_was_counted_since() -> None:
    border = SINCE + dt.timedelta(days=10)
    dearer = model("standard", unit="1", per="1000000")
    its = terms(
        card(card_price("tokens.input", TOKENS), ends=border),
        card(card_price("tokens.input", dearer), version="v2", starts=border),
    )
    period = rate(PeriodFacts(its, "USD", (total(MILLION, version="v2"), total(2 * MILLION))))
    assert [(line.version_id, line.exact) for line in period.lines] == [
        ("v1", D("1.05")),
        ("v2", D("1")),
    ]


def test_a_contracts_discount_cap_commitment_and_fee() -> None:
    price = card_price("tokens.input", model("standard", unit="1", per="1000000"))
    discounted = card(price, contract="c1", discount="0.25")
    used = (total(8 * MILLION, c="c1"),)  # 8 x 0.75 = 6

    def with_terms(**changes: object) -> dict[str, Decimal]:
        its = terms(discounted, contracts=(contract_terms(**changes),))
        return rated(PeriodFacts(its, "USD", used))

    assert with_terms() == {"usage": D(6)}
    assert with_terms(plan_fee=D(20)) == {"usage": D(6), "plan_fee": D(20)}
    assert with_terms(commitment=D(10)) == {"usage": D(6), "true_up": D(4)}
    assert with_terms(commitment=D(5)) == {"usage": D(6)}
    assert with_terms(cap=D("4.5")) == {"usage": D(6), "cap": D("-1.5")}
    assert with_terms(cap=D(50)) == {"usage": D(6)}


def test_a_contract_of_half_a_month_commits_to_half() -> None:
    half = SINCE + (UNTIL - SINCE) / 2
    price = card_price("tokens.input", model("standard", unit="1", per="1000000"))
    its = terms(
        card(price, ends=half),
        card(price, contract="c1", starts=half),
        contracts=(contract_terms(starts=half, commitment=D(10), plan_fee=D(3)),),
    )
    lines = rated(PeriodFacts(its, "USD", (total(2 * MILLION), total(MILLION, c="c1"))))
    assert lines == {"usage": D(3), "true_up": D(4), "plan_fee": D("1.5")}


def test_what_was_waived_or_capped_by_a_quote_does_not_count_towards_a_commitment() -> None:
    price = card_price("tokens.input", model("standard", unit="1", per="1000000"))
    its = terms(card(price, contract="c1"), contracts=(contract_terms(commitment=D(10)),))
    adjustments = (
        Adjustment("waiver", "tokens", "c1", D(-2)),
        Adjustment("quote_cap", "tokens", "c1", D(-1)),
    )
    lines = rated(PeriodFacts(its, "USD", (total(12 * MILLION, c="c1"),), adjustments))
    assert lines == {"usage": D(12), "waiver": D(-2), "quote_cap": D(-1), "true_up": D(1)}


def test_free_units_are_free_once_a_month() -> None:
    free = model("standard", unit="1", per="1000000", allowance="1000000")
    its = terms(card(card_price("tokens.input", free)))
    assert rated(PeriodFacts(its, "USD", (total(2_500_000),))) == {"usage": D("1.5")}
    assert rate(PeriodFacts(its, "USD", (total(900_000),))).net == 0


def test_an_exchange_rate_turns_the_books_amounts_into_the_contracts() -> None:
    price = card_price("tokens.input", model("standard", unit="1", per="1000000"))
    its = terms(card(price, contract="c1", currency="JPY", fx="151.237", discount="0.1"))
    period = rate(PeriodFacts(its, "JPY", (total(3 * MILLION, c="c1"),)))
    assert period.lines[0].exact == D("408.3399")  # 3 x 0.9 x 151.237
    assert period.net == 408


def test_tax_is_on_the_cents_that_are_taxable() -> None:
    tax = TaxFacts(D("0.19"), "DE", untaxed=D("0.50"))
    period = rate(facts(total(3 * MILLION), tax=tax))
    (line,) = period.tax_lines
    assert (line.taxable, line.tax) == (D("1.00"), D("0.19"))
    assert (period.tax, period.gross) == (D("0.19"), D("1.69"))


def test_prices_of_another_currency_are_another_invoices() -> None:
    price = card_price("tokens.input", model("standard", unit="1", per="1000000"))
    border = SINCE + dt.timedelta(days=1)
    its = terms(
        card(price, ends=border),
        card(price, contract="c1", currency="EUR", fx="0.9", starts=border),
    )
    used = (total(MILLION), total(2 * MILLION, c="c1"))
    assert rated(PeriodFacts(its, "USD", used)) == {"usage": D(1)}
    assert rated(PeriodFacts(its, "EUR", used)) == {"usage": D("1.8")}


def test_an_algorithm_of_the_future_is_not_guessed_at() -> None:
    with pytest.raises(ValueError, match="algorithm 2"):
        rate(facts(algorithm=2))


# cents -----


@pytest.mark.parametrize(
    ("currency", "exact", "cents"),
    [
        ("USD", "0.005", "0.00"),
        ("USD", "0.015", "0.02"),
        ("USD", "0.025", "0.02"),
        ("JPY", "0.5", "0"),
        ("JPY", "1.5", "2"),
        ("BHD", "0.0005", "0.000"),
        ("BHD", "0.0015", "0.002"),
        ("USD", "-0.015", "-0.02"),
    ],
)
def test_cents_are_rounded_half_to_even_in_the_currencys_own_unit(
    currency: str, exact: str, cents: str
) -> None:
    assert str(to_minor_unit(D(exact), currency)) == cents


amounts12 = st.decimals("-10", "1000", places=12, allow_nan=False)
currencies = st.sampled_from(["USD", "JPY", "BHD"])


def invoice(exacts: list[Decimal], currency: str, residual: Decimal) -> RatedPeriod:
    """A month whose lines are exactly `exacts`."""
    lines = tuple(Adjustment("waiver", f"line{n:03}", "", exact) for n, exact in enumerate(exacts))
    return rate(PeriodFacts(terms(card()), currency, (), lines, residual))


@given(st.lists(st.lists(amounts12, max_size=6), max_size=12), currencies)
def test_cents_carried_on_never_drift_from_the_exact_sum(
    months: list[list[Decimal]], currency: str
) -> None:
    residual, exact, paid = D(0), D(0), D(0)
    half = D("0.5").scaleb(-minor_units(currency))
    for month in months:
        period = invoice(month, currency, residual)
        with localcontext(EXACT):
            exact += sum(month, D(0))
            paid += period.net
            assert sum((line.cents for line in period.lines), D(0)) == period.net
            assert abs(exact - paid) <= half
            assert exact - paid == period.residual_out
        residual = period.residual_out


@given(st.lists(amounts12, max_size=8), currencies)
def test_no_line_is_a_unit_or_more_away_from_its_exact_amount(
    exacts: list[Decimal], currency: str
) -> None:
    for line in invoice(exacts, currency, D(0)).lines:
        assert abs(line.cents - line.exact) <= D(1).scaleb(-minor_units(currency))


# bytes -----


@given(
    st.lists(st.tuples(st.sampled_from("abc"), quantities), max_size=5, unique_by=lambda t: t[0]),
    models(),
    st.randoms(),
)
def test_rating_again_gives_the_same_bytes_in_whatever_order_facts_come(
    used: list[tuple[str, Decimal]], priced: ChargeModel, random: object
) -> None:
    prices = [card_price("tokens.input", priced, {"model": name}) for name in "abc"]
    its = terms(card(*prices), contracts=(contract_terms(commitment=D(5)),))
    totals = [total(quantity, f"tokens.input?model={name}") for name, quantity in used]
    first = rate(PeriodFacts(its, "USD", tuple(totals)))
    random.shuffle(totals)  # type: ignore[attr-defined]
    spelt = [KeyTotal(t.price_key, t.version_id, "", t.quantity * D("1.000")) for t in totals]
    again = rate(PeriodFacts(its, "USD", tuple(spelt)))
    assert canonical_json(again) == canonical_json(first)


def test_the_canonical_form_is_this_one() -> None:
    period = rate(facts(total(MILLION)))
    assert canonical_json(period).startswith(
        b'{"algorithm":1,"currency":"USD","gross":"0.6","lines":['
    )
    assert b'"period":"2026-03-01"' in canonical_json(period)
    assert len(canonical_hash(period)) == 64


def test_floats_have_no_canonical_form() -> None:
    with pytest.raises(TypeError):
        canonical_json([0.1])
