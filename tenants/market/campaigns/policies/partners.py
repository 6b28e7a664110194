"""A partner's policy: its hook is called once a month, with all paths in one step.

In a campaign it is named `plugin.<plugin>.<policy>`. The hook is plain data in and out
(`plugins.sdk.contracts.CampaignStep`), so that it can run in a process of its own. Whoever may call
plugins hands the call in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, ClassVar

import numpy as np

from plugins.host.facts import Outcome
from plugins.sdk.contracts import CampaignStep
from tenants.kernel.errors import InvalidInput
from tenants.market.campaigns.policies.policy import Floats, Offer, Parameters, PolicyFailed, View

PREFIX = "plugin."
MOST_TIMES = 11.0  # today's price: as dear as ours may be, and never so dear that sums overflow
Call = Callable[[str, CampaignStep], Outcome]  # of one plugin: policy, step


class PartnerPolicy:
    """Asks `call(policy, step)` for one price a path, the same in every segment.

    `origin` is the plugin and its version, as a result names them.
    """

    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {}

    def __init__(self, name: str, call: Call, origin: str = "") -> None:
        self.name, self.origin = name, origin
        self._call = call

    def offer(self, view: View) -> Offer:
        """Raises PolicyFailed where the plugin did, or its prices are not one a path."""
        step = CampaignStep(
            step=view.month,
            own_prices=_exact(view.own_price.mean(axis=0)),
            rival_prices=_exact(view.cheapest),
            unit_costs=_exact(view.unit_cost),
        )
        outcome = self._call(plugin_and_policy(self.name)[1], step)
        if outcome.failure is not None:
            told = f"{outcome.failure.kind}: {outcome.failure.message}"
            raise PolicyFailed(f"policy {self.name!r}, month {view.month}: {told}")
        prices = outcome.value
        if len(prices) != len(step.own_prices):
            raise ValueError(f"{len(prices)} prices for {len(step.own_prices)} paths")
        return Offer(price=_bounded(map(float, prices), view.start_price))


def is_partners(name: str) -> bool:
    """Whether a policy is a plugin's, by its name."""
    return name.startswith(PREFIX)


def plugin_and_policy(name: str) -> tuple[str, str]:
    """Their names. Raises InvalidInput for what does not name both."""
    plugin, dot, policy = name.removeprefix(PREFIX).partition(".")
    if not (is_partners(name) and plugin and dot and policy):
        raise InvalidInput(
            f"a plugin's policy is named plugin.<plugin>.<policy>, not {name!r}", param="policies"
        )
    return plugin, policy


def parameters_refused(name: str, given: Parameters) -> None:
    """Raises InvalidInput: what a plugin's policy goes by is its own."""
    plugin_and_policy(name)
    if given:
        raise InvalidInput(
            f"{name} is a plugin's policy, and takes no parameters", param="policies"
        )


def plugins_named(policies: Iterable[Any]) -> list[str]:
    """The plugins whose policies are among these names, each once, in order."""
    found = (plugin_and_policy(name)[0] for name in policies if is_partners(name))
    return list(dict.fromkeys(found))


def _bounded(prices: Iterable[float], start_price: float) -> Floats:
    """Raises ValueError for one that no price of ours could be; infinity is told by the caller."""
    found = np.fromiter(prices, np.float64)
    over = np.flatnonzero(np.isfinite(found) & (found > MOST_TIMES * start_price))
    if over.size:
        raise ValueError(
            f"{found[over[0]]:g} on path {over[0]} is more than {MOST_TIMES:g} times today's price"
        )
    return found


def _exact(values: Floats) -> tuple[Decimal, ...]:
    """To twelve digits, which no price needs more of."""
    return tuple(Decimal(f"{value:.12g}") for value in values.tolist())
