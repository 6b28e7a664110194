"""`manage.py warroom market|campaign`: the market as history tells it; a rehearsed price war."""

from __future__ import annotations

import json
import math
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tenants.kernel.errors import BreakwaterError
from tenants.market.campaigns.campaign import campaign_run
from tenants.market.campaigns.history import market_facts
from tenants.market.campaigns.specs import CampaignSpec
from tenants.market.importing.moves_csv import moves_read, shipped_moves
from tenants.market.moves import History, month_start
from tenants.market.reporting.brief import brief
from tenants.market.reporting.plots import PLOTS, plot
from tenants.market.reporting.words import LANGUAGES
from tenants.market.rivals.backtest import Score, backtest
from tenants.market.trends.decline import Decline, Interval, decline
from tenants.market.trends.index import ALL, classes_of, price_index


class Command(BaseCommand):
    help = "Show how market prices move, or rehearse a price war and write its brief."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own declaration

    def add_arguments(self, parser: ArgumentParser) -> None:
        rooms = parser.add_subparsers(dest="room", required=True)
        market = rooms.add_parser("market", help="index, decline and halving time by class")
        market.add_argument("--backtest", action="store_true", help="score the rivals' model")
        campaign = rooms.add_parser("campaign", help="rehearse the campaign of a JSON file")
        campaign.add_argument("spec", type=Path, help="a campaign, as the API takes it")
        campaign.add_argument("--out", type=Path, help="folder for result.json, brief and plots")
        campaign.add_argument("--language", choices=LANGUAGES, default=LANGUAGES[0])
        for room in (market, campaign):
            room.add_argument("--history", type=Path, help="a CSV of moves; default: the shipped")
            room.add_argument("--unit", help="of its prices: per_million (default) or per_token")

    def handle(self, *args: Any, **options: Any) -> None:
        del args
        try:
            history = _history(options["history"], options["unit"])
            if options["room"] == "market":
                self._market(history, with_backtest=options["backtest"])
            else:
                self._campaign(history, options)
        except BreakwaterError as error:
            raise CommandError(error.message) from error
        except OSError as error:
            raise CommandError(
                f"cannot read or write {error.filename}: {error.strerror}"
            ) from error

    def _market(self, history: History, *, with_backtest: bool) -> None:
        self.stdout.write(f"{len(history.moves)} moves up to {history.end}")
        self.stdout.write("class          index  a year less (80%)          halves in months (80%)")
        for name in (ALL, *classes_of(history)):
            found, index = decline(history, name), price_index(history, name)
            if found is not None:
                self.stdout.write(_class_line(found, index.level[-1], index.months[0]))
        if with_backtest:
            self.stdout.write("\nCRPS of log prices; below 0 the model is better")
            for score in backtest(history):
                self.stdout.write(_score_line(score))

    def _campaign(self, history: History, options: Mapping[str, Any]) -> None:
        given = _json(options["spec"])
        given.setdefault("market", market_facts(history))
        spec = CampaignSpec.read(given)
        result = campaign_run(spec, self._tell)
        self.stderr.write("")
        text = brief(result, options["language"])
        self.stdout.write(text)
        if options["out"] is not None:
            _write(options["out"], result)

    def _tell(self, step: int, of: int) -> None:
        self.stderr.write(f"\r{step}/{of} simulations", ending="")


def _history(path: Path | None, unit: str | None) -> History:
    moves = shipped_moves() if path is None else moves_read(path.read_text("utf-8"), unit=unit)
    return History.of(moves)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise CommandError(f"{path} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise CommandError(f"{path} holds no campaign: give one JSON object")
    return found


def _write(folder: Path, result: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    for language in LANGUAGES:
        (folder / f"brief.{language}.md").write_text(brief(result, language), "utf-8")
    for name in PLOTS:
        (folder / f"{name}.png").write_bytes(plot(result, name, "png"))
        (folder / f"{name}.svg").write_bytes(plot(result, name, "svg"))


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
