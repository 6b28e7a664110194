"""What an agreement says, as checked data and as JSON. Pure.

    {"currency": "USD", "hold_days": 30, "payout_minimum": "50",
     "lines": {"plugins": {"tiers": [{"up_to": "1000", "share": "0.70"},
                                     {"up_to": null, "share": "0.80"}], "minimum": "100"}},
     "promotion": "both", "fee": "partner", "fee_rate": "0.029",
     "cost_share": "0.5", "cost_cap": "2000"}

Amounts are in `currency`, shares are of 1; numbers are strings, never floats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Any

from tenants.kernel.errors import InvalidInput
from tenants.kernel.money import minor_units

ZERO, ONE = Decimal(0), Decimal(1)
BEARERS = ("platform", "partner", "both")
MOST = Decimal(10) ** 15
MAX_HOLD_DAYS = 365
MAX_TIERS = 20


@dataclass(frozen=True)
class Tier:
    """A share of what is sold in a month up to `up_to`; None: of all beyond."""

    up_to: Decimal | None
    share: Decimal


@dataclass(frozen=True)
class LineTerms:
    """What the partner gets of one revenue line. `minimum`: at least so much a month in all."""

    tiers: tuple[Tier, ...]
    minimum: Decimal = ZERO


@dataclass(frozen=True)
class Terms:
    """One version of an agreement.

    `promotion` and `fee` say who bears what a promotion paid, and `fee_rate` of what customers paid
    in money, for processing it: the platform, the partner, or both by their shares. The partner
    bears `cost_share` of the measured compute cost, over the agreement's life `cost_cap` at most.
    """

    currency: str
    lines: Mapping[str, LineTerms]
    hold_days: int = 30
    payout_minimum: Decimal = ZERO
    promotion: str = "platform"
    fee: str = "platform"
    fee_rate: Decimal = ZERO
    cost_share: Decimal = ZERO
    cost_cap: Decimal | None = None

    @property
    def counts(self) -> bool:
        """Whether what was sold before matters: then sales of one agreement follow one another."""
        return self.cost_cap is not None or any(len(its.tiers) > 1 for its in self.lines.values())


def terms_from_json(given: Any, *, revenues: Sequence[str] = ()) -> Terms:
    """Read terms. Raises InvalidInput(code="invalid_terms"), naming what is wrong.

    `revenues`: the revenue lines that there are; none: whatever is named is taken.
    """
    if not isinstance(given, Mapping):
        raise _wrong("terms", "is an object")
    _refuse_unknown(given, {field.name for field in fields(Terms)}, "terms")
    cap = given.get("cost_cap")
    return Terms(
        currency=_currency(given.get("currency")),
        lines=_lines(given.get("lines"), revenues),
        hold_days=_days(given.get("hold_days", 30)),
        payout_minimum=_amount(given.get("payout_minimum", "0"), "payout_minimum"),
        promotion=_bearer(given.get("promotion", "platform"), "promotion"),
        fee=_bearer(given.get("fee", "platform"), "fee"),
        fee_rate=_share(given.get("fee_rate", "0"), "fee_rate"),
        cost_share=_share(given.get("cost_share", "0"), "cost_share"),
        cost_cap=None if cap is None else _amount(cap, "cost_cap"),
    )


def terms_to_json(terms: Terms) -> dict[str, Any]:
    """The JSON from which `terms_from_json` makes equal terms."""
    return {
        "currency": terms.currency,
        "lines": {
            name: {
                "tiers": [
                    {"up_to": _text(tier.up_to), "share": _text(tier.share)} for tier in its.tiers
                ],
                "minimum": _text(its.minimum),
            }
            for name, its in terms.lines.items()
        },
        "hold_days": terms.hold_days,
        "payout_minimum": _text(terms.payout_minimum),
        "promotion": terms.promotion,
        "fee": terms.fee,
        "fee_rate": _text(terms.fee_rate),
        "cost_share": _text(terms.cost_share),
        "cost_cap": _text(terms.cost_cap),
    }


def _lines(given: Any, revenues: Sequence[str]) -> dict[str, LineTerms]:
    if not isinstance(given, Mapping) or not given:
        raise _wrong("lines", 'names at least one revenue line: {"plugins": {"share": "0.7"}}')
    if revenues and (unknown := sorted(given.keys() - set(revenues))):
        raise _wrong("lines", f"knows no {unknown[0]!r}; there are {', '.join(revenues)}")
    return {str(name): _line(its, f"lines.{name}") for name, its in given.items()}


def _line(given: Any, where: str) -> LineTerms:
    if not isinstance(given, Mapping):
        raise _wrong(where, "is an object with a share, or with tiers")
    _refuse_unknown(given, {"share", "tiers", "minimum"}, where)
    if ("share" in given) == ("tiers" in given):
        raise _wrong(where, "has either a share or tiers")
    tiers = (
        (Tier(None, _share(given["share"], f"{where}.share")),)
        if "share" in given
        else _tiers(given["tiers"], f"{where}.tiers")
    )
    return LineTerms(tiers, _amount(given.get("minimum", "0"), f"{where}.minimum"))


def _tiers(given: Any, where: str) -> tuple[Tier, ...]:
    if (
        not isinstance(given, Sequence)
        or isinstance(given, str)
        or not 1 <= len(given) <= MAX_TIERS
    ):
        raise _wrong(where, f"is a list of 1 to {MAX_TIERS} tiers")
    tiers = tuple(_tier(item, f"{where}.{place}") for place, item in enumerate(given))
    below = ZERO
    for tier in tiers[:-1]:
        if tier.up_to is None or tier.up_to <= below:
            raise _wrong(where, "ascends by up_to, each above the one before")
        below = tier.up_to
    if tiers[-1].up_to is not None:
        raise _wrong(where, "ends with a tier whose up_to is null: it takes the rest")
    return tiers


def _tier(given: Any, where: str) -> Tier:
    if not isinstance(given, Mapping) or "share" not in given:
        raise _wrong(where, "is an object with up_to and share")
    _refuse_unknown(given, {"up_to", "share"}, where)
    up_to = given.get("up_to")
    return Tier(
        None if up_to is None else _amount(up_to, f"{where}.up_to"),
        _share(given["share"], f"{where}.share"),
    )


def _amount(given: Any, where: str) -> Decimal:
    if isinstance(given, bool) or not isinstance(given, str | int | Decimal):
        raise _wrong(where, f"is a decimal in a string, not {given!r}")
    try:
        number = Decimal(given)
    except InvalidOperation as error:
        raise _wrong(where, f"is a decimal, not {given!r}") from error
    if not number.is_finite() or not 0 <= number < MOST or number != round(number, 12):
        raise _wrong(where, f"is at least 0, under 10^15, with at most 12 decimals, not {given}")
    return number


def _share(given: Any, where: str) -> Decimal:
    share = _amount(given, where)
    if share > ONE:
        raise _wrong(where, f"is a share of 1, not {given}")
    return share


def _bearer(given: Any, where: str) -> str:
    if given not in BEARERS:
        raise _wrong(where, f"is borne by one of {', '.join(BEARERS)}, not {given!r}")
    return str(given)


def _days(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= MAX_HOLD_DAYS:
        raise _wrong("hold_days", f"is a whole number from 0 to {MAX_HOLD_DAYS}")
    return given


def _currency(given: Any) -> str:
    try:
        minor_units(str(given))
    except ValueError as error:
        raise _wrong("currency", str(error)) from error
    return str(given)


def _refuse_unknown(given: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := sorted(str(name) for name in given.keys() - known):
        raise _wrong(where, f"knows no {unknown[0]!r}; it takes {', '.join(sorted(known))}")


def _text(value: Decimal | None) -> str | None:
    return None if value is None else f"{value.normalize():f}" if value else "0"


def _wrong(where: str, what: str) -> InvalidInput:
    return InvalidInput(f"{where} {what}", param=where, code="invalid_terms")
