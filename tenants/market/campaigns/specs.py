"""What a campaign is asked: our books, the rivals, the customers, and what is assumed. Checked.

Money is in one currency; prices and unit costs are per million tokens; rates are per month. What
nobody has measured is a `Range`: an elicited prior, triangular between `low` and `high`, and named
as such in every result. These are estimates: float64, never posted.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tenants.kernel.errors import InvalidInput
from tenants.kernel.money import minor_units

MOST_PATHS = 100_000
MOST_CELLS = 20_000_000  # paths x options x segments: what memory allows
LONGEST_POLICY = 150  # characters of a name: a plugin's holds two of 63
LEVERS = (
    "cheaper_training", "utilisation", "waste", "procurement", "pruning", "services",
    "partner_revenue", "partner_cost_share", "new_lines", "personalised_models",
)  # fmt: skip

PRINTED = r"^[^\x00-\x1f\x7f]+$"

Name = Annotated[str, Field(min_length=1, max_length=60, pattern=PRINTED)]
Positive = Annotated[float, Field(gt=0, le=1e12)]
NotNegative = Annotated[float, Field(ge=0, le=1e15)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Range(_Checked):
    """An elicited prior: triangular, most likely at `mode`."""

    low: float
    mode: float
    high: float

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        """A bare number is a range of no width: something that is known."""
        if isinstance(given, int | float) and not isinstance(given, bool):
            return {"low": given, "mode": given, "high": given}
        return given

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.low <= self.mode <= self.high:
            raise ValueError(f"needs low <= mode <= high, not {self.low}, {self.mode}, {self.high}")
        return self

    @property
    def is_known(self) -> bool:
        return self.low == self.high


def known(value: float) -> Range:
    return Range(low=value, mode=value, high=value)


def _bounded(name: str, given: Range, low: float, high: float, *, above: bool = False) -> None:
    if given.low < low or given.high > high or (above and given.low <= low):
        raise ValueError(f"{name} must lie {'above' if above else 'from'} {low:g} to {high:g}")


def _once(what: str, names: list[str]) -> None:
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{what} has {min(twice)!r} twice")


class Segment(_Checked):
    """A group of customers alike. `shares` are the rivals'; what is left goes without (outside).

    `elasticity` is of one's own demand by one's own price at today's prices, as a positive number.
    `usage` is million tokens a customer a month; `usage_elasticity` is how that answers our price.
    """

    name: Name
    customers: Positive
    usage: Positive
    own_share: Share
    shares: dict[Name, Share]
    elasticity: Range
    usage_elasticity: Range = known(0.0)
    growth: Range = known(0.0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _bounded("elasticity", self.elasticity, 0.0, 50.0, above=True)
        _bounded("usage_elasticity", self.usage_elasticity, 0.0, 5.0)
        _bounded("growth", self.growth, -0.5, 1.0)
        if self.own_share + sum(self.shares.values()) > 1.0 + 1e-9:
            raise ValueError("own_share and shares together are more than 1")
        return self


class Rival(_Checked):
    """`floor` is the share of today's price below which it will not go.

    A promotion that ends in month `promotion_ends` goes back to `regular_price`.
    """

    name: Name
    model_class: Name
    price: Positive
    floor: Range = Range(low=0.2, mode=0.4, high=0.7)
    regular_price: Positive | None = None
    promotion_ends: Annotated[int, Field(ge=0, le=600)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _bounded("floor", self.floor, 0.0, 1.0)
        if (self.regular_price is None) != (self.promotion_ends is None):
            raise ValueError("regular_price and promotion_ends belong together")
        return self


class Own(_Checked):
    """Our books. `unit_cost` is short-run marginal, `long_run_cost` with capacity and overhead.

    `cash_limit` is the least cash that we may hold (below 0: a credit line); beneath it is ruin.
    """

    price: Positive
    unit_cost: NotNegative
    long_run_cost: NotNegative
    fixed_cost: NotNegative
    cash: Annotated[float, Field(ge=-1e15, le=1e15)]
    cash_limit: Annotated[float, Field(ge=-1e15, le=1e15)] = 0.0
    cost_source: Literal["books", "stated"] = "stated"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.cash <= self.cash_limit:
            raise ValueError(
                f"cash of {self.cash:g} is at or below cash_limit, {self.cash_limit:g}: ruined "
                "before the first month. Lower the limit, or say what money comes in"
            )
        if self.long_run_cost < self.unit_cost:
            raise ValueError("long_run_cost holds unit_cost, so it cannot be less")
        return self


class Assumptions(_Checked):
    """What no data here can tell; each is a prior with its range.

    `switching`: what changing supplier is worth to a customer, as a share of today's price.
    `stickiness`: the share of customers that does not even look, fixed (it and `switching` cannot
    be told apart without churn data). `reaction` (λ, a month) and `steepness` (β): a rival that we
    undercut by `gap` (in logarithms) answers with hazard λ·exp(β·gap), closing `matching` of the
    gap. `launch_worth`: what a rival's new model is worth, as a share of its price. `cost_decline`:
    of everybody's unit cost a month.
    """

    switching: Range = Range(low=0.05, mode=0.2, high=0.5)
    stickiness: Annotated[float, Field(ge=0, lt=1)] = 0.8
    reaction: Range = Range(low=0.01, mode=0.05, high=0.25)
    steepness: Range = Range(low=0.0, mode=1.5, high=4.0)
    matching: Range = Range(low=0.3, mode=0.8, high=1.1)
    launch_worth: Range = Range(low=0.0, mode=0.1, high=0.3)
    cost_decline: Range = Range(low=0.0, mode=0.015, high=0.04)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _bounded("switching", self.switching, 0.0, 20.0)
        _bounded("reaction", self.reaction, 0.0, 10.0)
        _bounded("steepness", self.steepness, 0.0, 20.0)
        _bounded("matching", self.matching, 0.0, 3.0)
        _bounded("launch_worth", self.launch_worth, 0.0, 5.0)
        _bounded("cost_decline", self.cost_decline, 0.0, 0.5)
        return self


class Lever(_Checked):
    """Something that we can do. Effects are full from month `starts` + `ramp` on.

    `unit_cost_saving`, `fixed_cost_saving`: shares. `customer_revenue`, `customer_cost`: money a
    customer of ours a month; `line_revenue`, `line_cost`: money a month; `worth`, `switching`: in
    shares of our price today, what customers see in it, and what it binds them with.
    `cost_shared`: share of variable cost that partners carry; `revenue_shared`: share of usage
    revenue that they get.
    """

    name: Literal[
        "cheaper_training", "utilisation", "waste", "procurement", "pruning", "services",
        "partner_revenue", "partner_cost_share", "new_lines", "personalised_models",
    ]  # fmt: skip
    on: bool = True
    source: Literal["measured", "elicited"] = "elicited"
    starts: Annotated[int, Field(ge=0, le=600)] = 0
    ramp: Annotated[int, Field(ge=0, le=600)] = 3
    unit_cost_saving: Range = known(0.0)
    fixed_cost_saving: Range = known(0.0)
    customer_revenue: Range = known(0.0)
    customer_cost: Range = known(0.0)
    line_revenue: Range = known(0.0)
    line_cost: Range = known(0.0)
    worth: Range = known(0.0)
    switching: Range = known(0.0)
    cost_shared: Range = known(0.0)
    revenue_shared: Range = known(0.0)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in ("unit_cost_saving", "fixed_cost_saving", "cost_shared", "revenue_shared"):
            _bounded(name, getattr(self, name), 0.0, 1.0)
        for name in ("customer_revenue", "customer_cost", "line_revenue", "line_cost"):
            _bounded(name, getattr(self, name), 0.0, 1e12)
        return self


class PolicySpec(_Checked):
    """A policy by name; parameters left out are searched for, those given are kept.

    A plugin's is named `plugin.<plugin>.<policy>`, and has none. Where none of ours is named, all
    of ours are tried.
    """

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_POLICY, pattern=PRINTED)]
    parameters: dict[Name, float] = {}


class HazardFacts(_Checked):
    """What the rivals' model is fitted to, of one class: see `rivals.facts.ClassFacts`."""

    model_class: Name
    months: NotNegative
    cut_log_sizes: tuple[float, ...]


class MarketFacts(_Checked):
    """The history in counts, as it was when the campaign was made."""

    classes: tuple[HazardFacts, ...] = ()
    rise_log_sizes: tuple[float, ...] = ()
    launches: Annotated[int, Field(ge=0)] = 0
    provider_months: NotNegative = 0.0


class CampaignSpec(_Checked):
    """One rehearsal of a price war: `paths` futures in `scenarios` worlds drawn from the priors.

    `floor` bounds every policy's price from below: "long_run" unit cost; or "short_run", as
    inside an approved campaign's loss budget. A policy with a higher `ruin_limit` is not proposed.
    """

    name: Name
    currency: str
    months: Annotated[int, Field(ge=1, le=120)] = 36
    own: Own
    segments: Annotated[tuple[Segment, ...], Field(min_length=1, max_length=12)]
    rivals: Annotated[tuple[Rival, ...], Field(max_length=20)] = ()
    assumptions: Assumptions = Assumptions()
    levers: tuple[Lever, ...] = ()
    policies: tuple[PolicySpec, ...] = ()
    market: MarketFacts = MarketFacts()
    floor: Literal["long_run", "short_run"] = "long_run"
    ruin_limit: Share = 0.05
    scenarios: Annotated[int, Field(ge=10, le=5000)] = 200
    paths: Annotated[int, Field(ge=10, le=MOST_PATHS)] = 10_000
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 1

    @model_validator(mode="after")
    def _fits(self) -> Self:
        minor_units(self.currency)
        _once("rivals", [rival.name for rival in self.rivals])
        _once("segments", [segment.name for segment in self.segments])
        _once("levers", [lever.name for lever in self.levers])
        _once("policies", [policy.name for policy in self.policies])
        names = {rival.name for rival in self.rivals}
        for segment in self.segments:
            unknown = set(segment.shares) - names
            if unknown:
                raise ValueError(
                    f"segment {segment.name!r} has a share of {min(unknown)!r}, which is no rival"
                )
        if self.paths % self.scenarios:
            raise ValueError(
                f"paths must be a multiple of scenarios: {self.paths} is none of {self.scenarios}"
            )
        if self.paths * (len(self.rivals) + 2) * len(self.segments) > MOST_CELLS:
            raise ValueError("too many paths for so many rivals and segments; ask for fewer paths")
        return self

    @classmethod
    def read(cls, given: Any) -> CampaignSpec:
        """From JSON. Raises InvalidInput that names the field."""
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise _invalid(error) from error


def _invalid(error: ValidationError) -> InvalidInput:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    message = str(first["msg"]).removeprefix("Value error, ")
    return InvalidInput(f"{where or 'the campaign'}: {message}", param=where or None)
