"""A pipeline over tables, and an evaluation over 8×8 images. Nothing is kept between calls:

no snapshot is taken, no file is written but the answers, and those hold no measurement.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from plugins.sdk import (
    Claim,
    Meter,
    Method,
    Pipeline,
    PluginError,
    Price,
    Step,
    StepResult,
    Work,
    hookimpl,
)

NOTICE = "For research and teaching. No medical device: not for diagnosing or treating anybody."
MOST_WRONG = 0.01


@hookimpl
def pipelines() -> tuple[Pipeline, ...]:
    step = Step("classify", "predict", time_limit_s=300.0)
    return (Pipeline("screening", "Ill or well, or no answer", (step,)),)


@hookimpl
def evaluations() -> tuple[Method, ...]:
    return (Method("digits", "How an abstaining classifier does on 1,797 images of 8×8"),)


@hookimpl
def meters() -> tuple[Meter, ...]:
    return (Meter("rows", "row", "Rows read", Decimal(1_000_000)),)


@hookimpl
def prices() -> tuple[Price, ...]:
    return (Price("rows", Decimal("0.0005"), "USD"),)


@hookimpl
def run_step(pipeline: str, step: str, work: Work) -> StepResult:
    """`work`'s input, where it has one, is a CSV of numbers with a heading."""
    if (pipeline, step) != ("screening", "classify"):
        raise PluginError(f"there is no step {step!r} in {pipeline!r}")
    from medical_diagnosis.abstaining import ABSTAINS, figures, judge, sensitivity_specificity
    from medical_diagnosis.table import bundled, table_read

    if work.inputs:
        with work.open(work.inputs[0]) as source:
            features, labels = table_read(source, work.settings.get("target", "ill"))
    else:
        features, labels = bundled()
    work.beat(0.3)
    judged = judge(features, labels, work.settings.get("most_wrong", MOST_WRONG))
    work.beat(0.9)
    with work.create("answers.csv") as out:
        out.write(b"row,answer,confidence\n")
        for row, answer, sure in zip(judged.rows, judged.answers, judged.confidence, strict=True):
            said = "no answer" if answer == ABSTAINS else "ill" if answer == 1 else "well"
            out.write(f"{row},{said},{sure:.6f}\n".encode())
    told = {**figures(judged), **sensitivity_specificity(judged)}
    return StepResult(dict(told), ("answers.csv",), (Claim("rows", Decimal(len(labels))),), NOTICE)


@hookimpl
def run_method(
    kind: Literal["training", "compression", "evaluation"], method: str, work: Work
) -> StepResult:
    """The digits that scikit-learn brings (UCI, 43 writers), each class against all others."""
    if (kind, method) != ("evaluation", "digits"):
        raise PluginError(f"there is no {kind} method {method!r}")
    from sklearn.datasets import load_digits

    from medical_diagnosis.abstaining import figures, judge

    features, labels = load_digits(return_X_y=True)
    work.beat(0.2)
    judged = judge(features, labels, work.settings.get("most_wrong", MOST_WRONG))
    return StepResult(dict(figures(judged)), notice=NOTICE)
