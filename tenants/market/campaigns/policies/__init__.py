"""Pricing policies by name: small classes that answer a `View` with an `Offer`."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

from tenants.kernel.errors import InvalidInput
from tenants.market.campaigns.policies.bundling import Contract, HoldAndBundle, Niche, Tier
from tenants.market.campaigns.policies.following import CompressToPrice, Hold, Match, Undercut
from tenants.market.campaigns.policies.policy import Parameters, Policy

POLICIES: Mapping[str, type[Any]] = {
    policy.name: policy
    for policy in (Hold, Match, Undercut, HoldAndBundle, Tier, Contract, Niche, CompressToPrice)
}


def policy_of(name: str, parameters: Parameters) -> Policy:
    """A policy by its name. Raises InvalidInput for an unknown name or parameter."""
    kind = POLICIES.get(name)
    if kind is None:
        raise InvalidInput(
            f"there is no policy {name!r}; known are {', '.join(POLICIES)}", param="policies"
        )
    known = {field.name for field in dataclasses.fields(kind)}
    unknown = sorted(set(parameters) - known)
    if unknown:
        raise InvalidInput(
            f"policy {name!r} has no parameter {unknown[0]!r}; it has "
            f"{', '.join(sorted(known)) or 'none'}",
            param="policies",
        )
    wrong = [key for key, value in parameters.items() if not -1.0 <= value <= 10.0]
    if wrong:
        raise InvalidInput(
            f"{name}.{wrong[0]} is a share of today's price or cost, from -1 to 10",
            param="policies",
        )
    policy: Policy = kind(**parameters)
    return policy


def candidates_of(name: str, given: Parameters) -> list[Policy]:
    """Every combination of a policy's grid, with the parameters that are given kept."""
    policy_of(name, given)
    free = {key: grid for key, grid in POLICIES[name].grid.items() if key not in given}
    return [
        policy_of(name, {**given, **dict(zip(free, values, strict=True))})
        for values in itertools.product(*free.values())
    ]


def parameters_of(policy: Policy) -> dict[str, float]:
    return dataclasses.asdict(policy) if dataclasses.is_dataclass(policy) else {}
