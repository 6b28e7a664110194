"""Two pipelines, risk from a table and weights of least variance; and a pricing policy."""

from __future__ import annotations

from decimal import Decimal

from plugins.sdk import (
    CampaignPolicy,
    CampaignStep,
    Claim,
    Meter,
    Pipeline,
    PluginError,
    Price,
    Step,
    StepResult,
    Work,
    hookimpl,
)

NOTICE = (
    "For reserves over a group. Not for deciding on one person's credit, cover or price: "
    "not tested for fairness."
)
MARGIN = Decimal("1.25")
ADVICE = "An aid for planning. No investment advice: what varied little so far may yet fall."


@hookimpl
def pipelines() -> tuple[Pipeline, ...]:
    return (
        Pipeline("risk", "Risk of default or high expenditure", (Step("score", "predict"),)),
        Pipeline("allocation", "Weights of least variance", (Step("weigh", "predict"),)),
    )


@hookimpl
def meters() -> tuple[Meter, ...]:
    return (Meter("rows", "row", "Rows scored", Decimal(10_000_000)),)


@hookimpl
def prices() -> tuple[Price, ...]:
    return (Price("rows", Decimal("0.0001"), "USD"),)


@hookimpl
def campaign_policies() -> tuple[CampaignPolicy, ...]:
    return (CampaignPolicy("follow_slowly", "Follow the cheapest rival slowly, above cost"),)


@hookimpl
def campaign_prices(campaign: CampaignStep) -> tuple[Decimal, ...]:
    """A third of the way to the cheapest rival each month, but a quarter above what it costs."""
    paths = zip(campaign.own_prices, campaign.rival_prices, campaign.unit_costs, strict=True)
    return tuple(
        max(own + (min(own, rival) - own) / 3, cost * MARGIN) for own, rival, cost in paths
    )


@hookimpl
def run_step(pipeline: str, step: str, work: Work) -> StepResult:
    """`work`'s input is a CSV of numbers with a heading; `score` has a bundled table too."""
    if (pipeline, step) == ("risk", "score"):
        return _score(work)
    if (pipeline, step) == ("allocation", "weigh"):
        return _weigh(work)
    raise PluginError(f"there is no step {step!r} in {pipeline!r}")


def _score(work: Work) -> StepResult:
    from finance_risk.scoring import score
    from finance_risk.table import BUNDLED_TARGET, BUNDLED_THRESHOLD, bundled, table_read

    target = work.settings.get("target", BUNDLED_TARGET)
    threshold = float(work.settings.get("threshold", BUNDLED_THRESHOLD))
    with work.open(work.inputs[0]) if work.inputs else bundled() as source:
        features, outcomes, _ = table_read(source, target, threshold)
    work.beat(0.3)
    scored = score(features, outcomes)
    work.beat(0.9)
    with work.create("scores.csv") as out:
        out.write(b"row,probability\n")
        for row, probability in zip(scored.rows, scored.probabilities, strict=True):
            out.write(f"{row},{probability:.6f}\n".encode())
    claims = (Claim("rows", Decimal(len(outcomes))),)
    return StepResult(dict(scored.figures), ("scores.csv",), claims, NOTICE)


def _weigh(work: Work) -> StepResult:
    from finance_risk.allocating import allocate
    from finance_risk.table import numbers_read

    if not work.inputs:
        raise PluginError("a table of returns is needed: one row a period, one column an asset")
    with work.open(work.inputs[0]) as source:
        names, returns = numbers_read(source, 40)
    most = float(work.settings.get("most", 1.0))
    if len(names) < 2 or most * len(names) < 1:
        raise PluginError(f"most: {len(names)} assets of at most {most} each do not add up to 1")
    work.beat(0.3)
    found = allocate(returns, most)
    with work.create("weights.csv") as out:
        out.write(b"asset,weight\n")
        for name, weight in zip(names, found.weights, strict=True):
            out.write(f"{name},{weight:.6f}\n".encode())
    claims = (Claim("rows", Decimal(len(returns))),)
    return StepResult(dict(found.figures), ("weights.csv",), claims, ADVICE)
