"""`manage.py warroom market`: the market as the history tells it."""

from __future__ import annotations

import math
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, TextIO

from saas.warroom.histories import history_arguments, history_read
from tenants.market.moves import month_start
from tenants.market.rivals.backtest import Score, backtest
from tenants.market.trends.decline import Decline, Interval, decline
from tenants.market.trends.index import ALL, classes_of, price_index


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--backtest", action="store_true", help="score the rivals' model")
    history_arguments(parser)


def run(options: Mapping[str, Any], out: TextIO) -> None:
    """Print a line for each class of models, and how the rivals' model did if that is asked for."""
    history = history_read(options)
    lines = [f"{len(history.moves)} moves up to {history.end}"]
    lines.append("class          index  a year less (80%)          halves in months (80%)")
    for name in (ALL, *classes_of(history)):
        found, index = decline(history, name), price_index(history, name)
        if found is not None:
            lines.append(_class_line(found, index.level[-1], index.months[0]))
    if options["backtest"]:
        lines.append("\nCRPS of log prices; below 0 the model is better")
        lines += [_score_line(score) for score in backtest(history)]
    out.write("\n".join(lines) + "\n")


def _class_line(found: Decline, level: float, first: int) -> str:
    base = month_start(first - 1)
    yearly, halving = _interval(found.yearly, "{:.0%}"), _interval(found.halving_months, "{:.0f}")
    name = found.model_class or "all"
    return f"{name:<13} {level:6.1f}  {yearly:<25} {halving:<22} ({base:%Y-%m} = 100)"


def _interval(given: Interval, form: str) -> str:
    def shown(value: float) -> str:
        return "never" if math.isinf(value) else form.format(value)

    if given.low is None or given.high is None:
        return f"{shown(given.value)} (too few products)"
    return f"{shown(given.value)} ({shown(given.low)} to {shown(given.high)})"


def _score_line(score: Score) -> str:
    def versus(name: str, found: tuple[float, float, float]) -> str:
        return f"{name} {found[1]:+.4f} ({found[0]:+.4f} to {found[2]:+.4f})"

    latest = score.coverage_latest
    return (
        f"{score.horizon} months, {score.forecasts} forecasts: model {score.model:.4f}; "
        f"{versus('less stays', score.versus_stays)}; "
        f"{versus('less declines', score.versus_declines)}; last year {latest.hits} of "
        f"{latest.trials} within 80% ({latest.low:.0%} to {latest.high:.0%})"
    )
