"""The arithmetic of one line, step by step: how a charge model prices a quantity. Pure.

Every step is quantity x price; the steps sum to the amount before discount and exchange.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, localcontext

from tenants.pricing.charge_models import (
    ChargeModel,
    CostPlus,
    Flat,
    Graduated,
    Package,
    Percentage,
    Standard,
    Tier,
    Volume,
    amount,
)
from tenants.pricing.exact import EXACT, ZERO


@dataclass(frozen=True)
class Step:
    """`quantity` at `price` each `per` units come to `amount`, exactly."""

    what: str
    quantity: Decimal
    price: Decimal
    per: Decimal
    amount: Decimal


@dataclass(frozen=True)
class Explained:
    """`model_amount` = the steps' sum, bounded by minimum and cap; `amount` = it times `factor`.

    `before`: what the month had already counted under this key when this card took over (tiers
    count on); its steps come to `before_amount`, which is taken off.
    """

    quantity: Decimal
    before: Decimal
    steps: tuple[Step, ...]
    before_amount: Decimal
    model_amount: Decimal
    factor: Decimal
    amount: Decimal


def explain(
    model: ChargeModel, quantity: Decimal, *, before: Decimal = ZERO, factor: Decimal = Decimal(1)
) -> Explained:
    """Explain what `quantity` adds after `before`, at a card's `factor`."""
    with localcontext(EXACT):
        whole = amount(model, before + quantity)
        already = amount(model, before)
        return Explained(
            quantity=quantity,
            before=before,
            steps=tuple(steps_of(model, before + quantity)),
            before_amount=already,
            model_amount=whole - already,
            factor=factor,
            amount=(whole - already) * factor,
        )


def steps_of(model: ChargeModel, quantity: Decimal) -> Iterator[Step]:
    """The steps by which a month's `quantity` is priced; they sum to `amount(model, quantity)`."""
    with localcontext(EXACT):
        units = max(ZERO, quantity - model.allowance)
        if model.allowance:
            free = min(quantity, model.allowance)
            yield Step("free of charge", free, ZERO, Decimal(1), ZERO)
        steps = list(_steps(model, units)) if units else []
        yield from steps
        reached = sum((step.amount for step in steps), ZERO)
        bounded = amount(model, quantity)
        if bounded != reached:
            what = "up to the minimum" if bounded > reached else "down to the cap"
            yield Step(what, Decimal(1), bounded - reached, Decimal(1), bounded - reached)


def _steps(model: ChargeModel, units: Decimal) -> Iterator[Step]:
    if isinstance(model, Graduated):
        yield from _graduated(model, units)
    elif isinstance(model, Volume):
        tier = next(t for t in model.tiers if t.up_to is None or units <= t.up_to)
        yield from _tier("all units", tier, units, model.per)
    elif isinstance(model, Package):
        packages = model.of(units) / model.price if model.price else ZERO
        what = f"begun packages of {model.size:f}"
        yield Step(what, packages, model.price, Decimal(1), model.of(units))
    elif isinstance(model, Standard):
        yield Step("each unit", units, model.unit, model.per, model.of(units))
    elif isinstance(model, Percentage):
        yield Step("percent of", units, model.percent, Decimal(100), model.of(units))
    elif isinstance(model, CostPlus):
        what = f"cost, and {model.markup:f} percent on it"
        yield Step(what, units, model.cost, model.per, model.of(units))
    elif isinstance(model, Flat):
        yield Step("once a month", Decimal(1), model.fee, Decimal(1), model.of(units))


def _graduated(model: Graduated, units: Decimal) -> Iterator[Step]:
    below = ZERO
    for tier in model.tiers:
        top = units if tier.up_to is None else min(units, tier.up_to)
        name = f"above {below:f}" + ("" if tier.up_to is None else f", up to {tier.up_to:f}")
        yield from _tier(name, tier, top - below, model.per)
        if top == units:
            return
        below = top


def _tier(name: str, tier: Tier, units: Decimal, per: Decimal) -> Iterator[Step]:
    yield Step(name, units, tier.unit, per, (units * tier.unit).scaleb(-per.adjusted()))
    if tier.fee:
        yield Step(f"{name}: entered", Decimal(1), tier.fee, Decimal(1), tier.fee)
