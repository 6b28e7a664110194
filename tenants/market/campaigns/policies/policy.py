"""What a pricing policy sees and answers, once a month for all paths. Pure.

class Halve:
    name, grid = "halve", {}
    def offer(self, view: View) -> Offer:
        return Offer(price=view.start_price / 2)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tenants.kernel.errors import BreakwaterError

Floats = NDArray[np.float64]
Parameters = Mapping[str, float]


@dataclass(frozen=True)
class View:
    """What we know when we set our prices: everything but the customers' answer."""

    month: int
    start_price: float
    own_price: Floats  # (segments, paths): last month's
    rival_prices: Floats  # (rivals, paths): this month's
    unit_cost: Floats  # (paths,): short-run marginal, levers in it
    floor: Floats  # (paths,): no lower price will be taken
    share: Floats  # (segments, paths): ours, of the segment's customers
    elasticity: Floats  # (segments, paths): as assumed of each segment
    cash: Floats  # (paths,)
    alpha: Floats  # (segments, paths): a customer's sensitivity to money

    @property
    def cheapest(self) -> Floats:
        """The lowest price among rivals, (paths,); our own last one where there is no rival."""
        if not len(self.rival_prices):
            return np.asarray(self.own_price.min(axis=0))
        return np.asarray(self.rival_prices.min(axis=0))


@dataclass(frozen=True)
class Offer:
    """Our offer of this month. All but `price` is added to what there is, and may be left out.

    `price` broadcasts to (segments, paths), a million tokens; `worth`, to the same, is what
    customers see in it besides, in money a million tokens; `switching` is in the same money, and
    binds our customers; `unit_cost` multiplies our unit cost; `customer_cost` is money a customer a
    month.
    """

    price: Floats | float
    worth: Floats | float = 0.0
    switching: Floats | float = 0.0
    unit_cost: Floats | float = 1.0
    customer_cost: Floats | float = 0.0


class Policy(Protocol):
    """A policy with its parameters set; `grid` says which values of each a search tries."""

    @property
    def name(self) -> str: ...
    @property
    def grid(self) -> Mapping[str, tuple[float, ...]]: ...

    def offer(self, view: View) -> Offer: ...


class PolicyFailed(BreakwaterError):
    """A policy raised, or answered with something that is no offer."""

    code = "policy_failed"
    type = "invalid_request_error"
    status = 400


def checked_offer(policy: Policy, view: View) -> Offer:
    """A policy's answer, every part an array of finite numbers. Raises PolicyFailed."""
    try:
        offer = policy.offer(view)
    except PolicyFailed:
        raise
    except Exception as error:
        raise _failed(policy, view, f"raised {type(error).__name__}: {error}") from error
    if not isinstance(offer, Offer):
        raise _failed(policy, view, f"answered {type(offer).__name__}, not an Offer")
    shape = view.own_price.shape
    parts = {name: _part(policy, view, name, getattr(offer, name), shape) for name in _LEAST}
    return Offer(**parts)


_LEAST = {"price": 0.0, "worth": None, "switching": 0.0, "unit_cost": 0.0, "customer_cost": 0.0}


def _part(policy: Policy, view: View, name: str, value: object, shape: tuple[int, ...]) -> Floats:
    try:
        found = np.broadcast_to(np.asarray(value, dtype=np.float64), shape)
    except (TypeError, ValueError) as error:
        raise _failed(policy, view, f"{name} does not fit (segments, paths) = {shape}") from error
    wrong = ~np.isfinite(found)
    least = _LEAST[name]
    if least is not None:
        wrong |= found < least
    if wrong.any():
        segment, path = (int(i) for i in np.argwhere(wrong)[0])
        raise _failed(
            policy, view, f"{name} is {found[segment, path]} in segment {segment}, path {path}"
        )
    return found


def _failed(policy: Policy, view: View, why: str) -> PolicyFailed:
    return PolicyFailed(f"policy {policy.name!r}, month {view.month}: {why}", param="policies")
