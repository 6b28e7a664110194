"""A charge model in words: what a unit costs, and from when on it costs less."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext

from saas.console.columns import as_money, as_number

Charge = Mapping[str, Any]


def price_said(charge: Charge, currency: str) -> str:
    """A price as stored in a book, in one sentence of the reader's language."""
    return "; ".join(part for part in (_main(charge, currency), *_bounds(charge, currency)) if part)


def _main(charge: Charge, currency: str) -> str:
    return _SAID[charge["model"]](charge, currency)


def _flat(charge: Charge, currency: str) -> str:
    return gettext("%(fee)s a month") % {"fee": _money(charge["fee"], currency)}


def _standard(charge: Charge, currency: str) -> str:
    return _unit(charge["unit"], charge.get("per", "1"), currency)


def _cost_plus(charge: Charge, currency: str) -> str:
    cost = _unit(charge["cost"], charge.get("per", "1"), currency)
    markup = {"cost": cost, "markup": charge["markup"]}
    return gettext("%(cost)s and %(markup)s %% on top") % markup


def _percentage(charge: Charge, currency: str) -> str:
    del currency
    return gettext("%(percent)s %% of the amount") % {"percent": charge["percent"]}


def _package(charge: Charge, currency: str) -> str:
    return gettext("%(price)s for each begun %(size)s") % {
        "price": _money(charge["price"], currency),
        "size": as_number(Decimal(charge["size"])),
    }


def _matrix(charge: Charge, currency: str) -> str:
    del currency
    return gettext("by %(dimensions)s") % {"dimensions": " × ".join(charge["dimensions"])}


def _tiers(charge: Charge, currency: str) -> str:
    per = charge.get("per", "1")
    return ", ".join(
        gettext("%(price)s up to %(limit)s")
        % {
            "price": _unit(tier["unit"], per, currency),
            "limit": as_number(Decimal(tier["up_to"])),
        }
        if tier.get("up_to") is not None
        else gettext("then %(price)s") % {"price": _unit(tier["unit"], per, currency)}
        for tier in charge["tiers"]
    )


def _bounds(charge: Charge, currency: str) -> Iterator[str]:
    if Decimal(charge.get("allowance") or 0):
        yield gettext("%(quantity)s a month free") % {
            "quantity": as_number(Decimal(charge["allowance"]))
        }
    if charge.get("minimum") is not None:
        yield gettext("at least %(amount)s") % {"amount": _money(charge["minimum"], currency)}
    if charge.get("cap") is not None:
        yield gettext("at most %(amount)s") % {"amount": _money(charge["cap"], currency)}


def _unit(price: str, per: str, currency: str) -> str:
    if not Decimal(price):
        return gettext("free")
    if Decimal(per) == 1:
        return _money(price, currency)
    return gettext("%(price)s for %(per)s") % {
        "price": _money(price, currency),
        "per": as_number(Decimal(per)),
    }


def _money(amount: str, currency: str) -> str:
    return as_money(Decimal(amount), currency)


_SAID: Mapping[str, Callable[[Charge, str], str]] = {
    "flat": _flat,
    "standard": _standard,
    "graduated": _tiers,
    "volume": _tiers,
    "package": _package,
    "percentage": _percentage,
    "cost_plus": _cost_plus,
    "matrix": _matrix,
}
