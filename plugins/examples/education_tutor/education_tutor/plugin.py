"""Two pipelines, and two services that people deliver: a course, and consulting by the hour."""

from __future__ import annotations

from decimal import Decimal

from plugins.sdk import (
    Claim,
    Meter,
    Pipeline,
    PluginError,
    Price,
    Service,
    Step,
    StepResult,
    Work,
    hookimpl,
)

NOTICE = "For planning support and practice. Not for grading, admitting or sorting pupils."


@hookimpl
def pipelines() -> tuple[Pipeline, ...]:
    return (
        Pipeline("analytics", "What explains districts' results", (Step("districts", "evaluate"),)),
        Pipeline("practice", "The next exercise of each learner", (Step("choose", "predict"),)),
    )


@hookimpl
def services() -> tuple[Service, ...]:
    return (
        Service(
            "course",
            "Course: learning analytics",
            "Three half days for a school board: what data can say of learning, and what not.",
            "once",
            Decimal(1200),
            "USD",
        ),
        Service(
            "consulting",
            "Consulting",
            "With your own data, by the hour.",
            "hourly",
            Decimal(110),
            "USD",
        ),
    )


@hookimpl
def meters() -> tuple[Meter, ...]:
    return (Meter("answers", "answer", "Answers read", Decimal(10_000_000)),)


@hookimpl
def prices() -> tuple[Price, ...]:
    return (Price("answers", Decimal("0.00005"), "USD"),)


@hookimpl
def run_step(pipeline: str, step: str, work: Work) -> StepResult:
    if (pipeline, step) == ("analytics", "districts"):
        return _districts(work)
    if (pipeline, step) == ("practice", "choose"):
        return _choose(work)
    raise PluginError(f"there is no step {step!r} in {pipeline!r}")


def _districts(work: Work) -> StepResult:
    """Bundled data only: `expected.csv` has one line a district."""
    from education_tutor.districts import analyse, star98

    means, share = star98()
    work.beat(0.2)
    found = analyse(means, share)
    work.beat(0.9)
    with work.create("expected.csv") as out:
        out.write(b"district,share,expected,better_by\n")
        for at, (real, likely) in enumerate(zip(found.share, found.expected, strict=True)):
            out.write(f"{at},{real:.4f},{likely:.4f},{real - likely:.4f}\n".encode())
    return StepResult(dict(found.figures), ("expected.csv",), (), NOTICE)


def _choose(work: Work) -> StepResult:
    """`work`'s input is a CSV: learner, exercise, right."""
    from education_tutor.answers import answers_read
    from education_tutor.practice import choose, fit, held_out

    if not work.inputs:
        raise PluginError("a table of answers is needed: learner, exercise, right")
    with work.open(work.inputs[0]) as source:
        learners, exercises, answers = answers_read(source)
    wanted = work.settings.get("learner")
    if wanted is not None and wanted not in learners:
        raise PluginError(f"learner: nobody in the table is called {wanted!r}")
    work.beat(0.3)
    model = fit(answers)
    figures = held_out(answers)
    work.beat(0.9)
    told = zip(learners, choose(answers, model), model.ability, strict=True)
    with work.create("next.csv") as out:
        out.write(b"learner,next,ability\n")
        for learner, at, ability in told:
            if wanted in {None, learner}:
                out.write(f"{learner},{exercises[at] if at >= 0 else ''},{ability:.4f}\n".encode())
    read = sum(answer in {0.0, 1.0} for answer in answers.flat)
    return StepResult(
        {"answers": read, **figures}, ("next.csv",), (Claim("answers", Decimal(read)),), NOTICE
    )
