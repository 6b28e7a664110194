"""The price guard: nothing is sold below what it was measured to cost, unless with leave."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tenants.accounts.models import AuditEntry
from tenants.costs.services import slot_time_record
from tenants.costs.slot_time import SlotTime
from tenants.kernel.clock import now
from tenants.kernel.errors import InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope
from tenants.pricing.defaults import FIRST_VERSION, LIST_BOOK
from tenants.pricing.guard import MeasuredCost, shortfalls
from tenants.pricing.models import PriceOverride
from tenants.pricing.selectors import prices_below_cost
from tenants.pricing.services import price_override_grant
from tenants.pricing.services.books import NewPrice
from tests.tenants.costs.factories import resource_make
from tests.tenants.pricing.books import (
    contract_make,
    count,
    operator_make,
    prices_with,
    publish,
    tenant_make,
)
from tests.tenants.pricing.factories import D, card_price, model, tiers

FREE = MeasuredCost("serve", "mini", D(0))


def per_million(usd: str) -> dict[str, str]:
    return {"model": "standard", "unit": usd, "per": "1000000"}


def below(*prices: object, cost: str, kind: str = "serve", discount: str = "0") -> list[str]:
    costs = [MeasuredCost(kind, "mini", D(cost)), FREE]
    found = shortfalls(prices, costs, discount=D(discount), currency="USD")  # type: ignore[arg-type]
    return [shortfall.price_key for shortfall in found]


# the comparison, pure -----


def test_a_price_is_below_cost_net_of_its_discount() -> None:
    price = card_price("tokens.input", model("standard", unit="0.60", per="1000000"))
    assert below(price, cost="0.60") == []
    assert below(price, cost="0.54", discount="0.1") == []
    assert below(price, cost="0.540000000001", discount="0.1") == ["tokens.input"]


def test_the_cheapest_tier_counts() -> None:
    graduated = model("graduated", per="1000000", tiers=tiers(("1000000", "0.60"), (None, "0.30")))
    assert below(card_price("tokens.output", graduated), cost="0.40") == ["tokens.output"]
    assert below(card_price("tokens.output", graduated), cost="0.30") == []


def test_a_flat_fee_sells_its_next_token_for_nothing() -> None:
    assert below(card_price("tokens.output", model("flat", fee="99")), cost="0.01") == [
        "tokens.output"
    ]


def test_only_tokens_are_compared_and_with_their_own_work() -> None:
    cheap = model("standard", unit="0.01", per="1000000")
    assert below(card_price("requests", cheap), cost="5") == []
    assert below(card_price("tokens.trained", cheap), cost="5") == []
    assert below(card_price("tokens.trained", cheap), cost="5", kind="fine_tune") == [
        "tokens.trained"
    ]


def test_a_price_of_one_base_is_held_against_that_bases_cost() -> None:
    priced = model("standard", unit="1", per="1000000")
    mini = card_price("tokens.input", priced, {"base": "mini"})
    other = card_price("tokens.input", priced, {"base": "other"})
    assert below(mini, other, cost="2") == ["tokens.input?base=mini"]


def test_the_refusal_shows_the_arithmetic() -> None:
    priced = model("standard", unit="0.60", per="1000000")
    (found,) = shortfalls(
        [card_price("tokens.input", priced)],
        [MeasuredCost("serve", "mini", D("0.75"))],
        discount=D("0.25"),
        currency="USD",
    )
    assert found.arithmetic == (
        "tokens.input: 0.6 x (1 - 0.25) = 0.45 USD per million tokens, below the measured cost of "
        "0.75 for mini (short by 0.3)"
    )


def test_the_books_currency_is_converted_to_that_of_costs() -> None:
    yen = card_price("tokens.input", model("standard", unit="90", per="1000000"))
    costs = [MeasuredCost("serve", "mini", D("0.55"))]
    assert shortfalls([yen], costs, fx_rate=D("0.0066"), currency="USD") == []  # 0.594 USD
    assert len(shortfalls([yen], costs, fx_rate=D("0.0061"), currency="USD")) == 1  # 0.549


# at publishing and contract writing -----


def cost_measure(
    usd_per_million: str, *, kind: str = "fine_tune", days_ago: float = 1, base: str = "mini"
) -> None:
    """Work of `kind` on a base that cost so much for a million tokens."""
    at = now() - dt.timedelta(days=days_ago)
    tenant = tenant_make("Somebody")
    resource = resource_make((at - dt.timedelta(days=60), usd_per_million))
    entry = SlotTime(
        worker="wrk", slot=0, resource=resource, purpose="job", tenant_id=tenant, job_id="j",
        attempt=1, started_at=at, ended_at=at + dt.timedelta(seconds=1), key=new_id("k"),
        labels={"kind": kind, "base": base},
    )  # fmt: skip
    with system_scope():
        slot_time_record(entries=[entry])
    meter = "tokens.trained" if kind == "fine_tune" else "tokens.output"
    dimensions = {"job_id": "j"} if kind == "fine_tune" else {}
    count(tenant, meter, 1_000_000, at=at, source="jobs", model=base, base=base, **dimensions)


def override(meter: str, *, expires: dt.timedelta = dt.timedelta(days=1), **of: str) -> None:
    actor = operator_make()
    with system_scope():
        price_override_grant(
            actor=actor,
            meter=meter,
            reason="matches a rival for a quarter",
            expires_at=now() + expires,
            **of,  # type: ignore[arg-type]
        )


def dearly() -> list[NewPrice]:
    return prices_with(tokens_trained=per_million("6.00"))


@pytest.mark.django_db
def test_a_price_that_has_come_to_lie_below_cost_keeps_no_other_from_changing() -> None:
    publish(prices_with(tokens_trained=per_million("4.00")))
    cost_measure("5")
    publish(prices_with(tokens_trained=per_million("4.00"), tokens_input=per_million("0.70")))
    with pytest.raises(InvalidInput, match=r"tokens\.trained: 4\.1 "):
        publish(prices_with(tokens_trained=per_million("4.1")))


@pytest.mark.django_db
def test_publishing_below_cost_is_refused_and_at_cost_is_not() -> None:
    cost_measure("5")
    with pytest.raises(InvalidInput, match=r"tokens\.trained: 4\.99 .* cost of 5 for mini") as no:
        publish(prices_with(tokens_trained=per_million("4.99")))
    assert no.value.code == "price_below_cost"
    publish(prices_with(tokens_trained=per_million("5.00")))


@pytest.mark.django_db
def test_what_was_measured_long_ago_does_not_count() -> None:
    cost_measure("5", days_ago=31)
    publish(prices_with(tokens_trained=per_million("0.01")))


@pytest.mark.django_db
def test_an_override_lets_one_meter_of_one_book_pass() -> None:
    cost_measure("5")
    cost_measure("5", kind="serve")
    override("tokens.trained", book_id=LIST_BOOK)
    names = ("trained", "input", "cached", "output", "embedded")
    cheap = prices_with(**{f"tokens_{name}": per_million("0.01") for name in names})
    with pytest.raises(InvalidInput) as refused:
        publish(cheap)
    assert "tokens.trained" not in refused.value.message  # it is the others that are refused now
    for meter in ("tokens.input", "tokens.cached", "tokens.output", "tokens.embedded"):
        override(meter, book_id=LIST_BOOK)
    publish(cheap)
    with system_scope():
        assert AuditEntry.objects.filter(action="price_override.grant").count() == 5
        entry = AuditEntry.objects.filter(action="price_override.grant").first()
        assert entry is not None
        assert entry.data["reason"] == "matches a rival for a quarter"


@pytest.mark.django_db
def test_an_override_that_has_ended_lets_nothing_pass() -> None:
    """Rows are append-only, so one that has ended is written as such; only its end differs."""
    cost_measure("5")
    cheap = prices_with(tokens_trained=per_million("4.99"))

    def leave(ends: dt.timedelta) -> None:
        with system_scope():
            PriceOverride.objects.create(
                id=new_id("override_"), book_id=LIST_BOOK, meter="tokens.trained",
                reason="matches a rival for a quarter", granted_by="user_op",
                expires_at=now() + ends,
            )  # fmt: skip

    leave(dt.timedelta(seconds=-1))
    with pytest.raises(InvalidInput, match=r"tokens\.trained: 4\.99") as refused:
        publish(cheap)
    assert refused.value.code == "price_below_cost"
    leave(dt.timedelta(minutes=5))
    publish(cheap)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "fields",
    [
        {"reason": "short"},
        {"expires_at": dt.timedelta(days=-1)},
        {"expires_at": dt.timedelta(days=400)},
        {"book_id": ""},
        {"tenant_id": "ten_also"},
    ],
)
def test_an_override_has_a_reason_an_end_and_one_place(fields: dict[str, object]) -> None:
    given: dict[str, object] = {
        "reason": "matches a rival for a quarter",
        "expires_at": dt.timedelta(days=1),
        "book_id": LIST_BOOK,
        **fields,
    }
    given["expires_at"] = now() + given["expires_at"]  # type: ignore[operator]
    actor = operator_make()
    with system_scope():
        with pytest.raises(InvalidInput):
            price_override_grant(actor=actor, meter="tokens.input", **given)  # type: ignore[arg-type]


@pytest.mark.django_db
def test_a_contract_may_not_discount_below_cost() -> None:
    tenant = tenant_make()
    publish(dearly())
    cost_measure("5")
    contract_make(tenant, discount=D("0.15"))  # 6 x 0.85 = 5.10
    with pytest.raises(InvalidInput, match=r"6 x \(1 - 0\.2\) = 4\.8") as refused:
        contract_make(tenant, discount=D("0.2"))
    assert refused.value.code == "price_below_cost"
    override("tokens.trained", tenant_id=tenant)
    contract_make(tenant, discount=D("0.2"))
    with pytest.raises(InvalidInput):
        contract_make(tenant_make("Other"), discount=D("0.2"))  # the leave was for one


@pytest.mark.django_db
def test_a_contract_that_sets_no_price_of_its_own_is_not_asked() -> None:
    """A credit limit must not be refused because the list has come to lie below cost."""
    cost_measure("5")
    contract_make(tenant_make(), credit_limit=D(50))
    with pytest.raises(InvalidInput):
        contract_make(tenant_make(), pinned_version_id=FIRST_VERSION)


@pytest.mark.django_db
def test_the_operators_page_lists_what_has_come_to_lie_below_cost() -> None:
    publish(dearly())
    tenant = tenant_make()
    contract_make(tenant, discount=D("0.5"))
    with system_scope():
        assert prices_below_cost() == []
    cost_measure("5")
    override("tokens.trained", tenant_id=tenant)
    with system_scope():
        (found,) = prices_below_cost()
    assert (found.tenant_id, found.shortfall.effective, found.shortfall.cost) == (tenant, D(3), 5)
    assert found.allowed_until is not None
    cost_measure("9")  # now (5 + 9) / 2 = 7 for a million
    with system_scope():
        both = prices_below_cost()
    assert [(f.book_id, f.tenant_id, f.shortfall.cost) for f in both] == [
        (LIST_BOOK, "", Decimal(7)),
        (LIST_BOOK, tenant, Decimal(7)),
    ]
