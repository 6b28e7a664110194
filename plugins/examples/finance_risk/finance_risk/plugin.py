"""One pipeline: read a table, score it, and say how far the scores can be trusted."""

from __future__ import annotations

from decimal import Decimal

from plugins.sdk import (
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


@hookimpl
def pipelines() -> tuple[Pipeline, ...]:
    return (Pipeline("risk", "Risk of default or high expenditure", (Step("score", "predict"),)),)


@hookimpl
def meters() -> tuple[Meter, ...]:
    return (Meter("rows", "row", "Rows scored", Decimal(10_000_000)),)


@hookimpl
def prices() -> tuple[Price, ...]:
    return (Price("rows", Decimal("0.0001"), "USD"),)


@hookimpl
def run_step(pipeline: str, step: str, work: Work) -> StepResult:
    """`work`'s input, where it has one, is a CSV of numbers with a heading."""
    if (pipeline, step) != ("risk", "score"):
        raise PluginError(f"there is no step {step!r} in {pipeline!r}")
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
