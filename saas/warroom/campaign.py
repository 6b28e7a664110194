"""`manage.py warroom campaign`: a rehearsed price war and its brief."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from saas.warroom.histories import history_arguments, history_read
from tenants.kernel.errors import InvalidInput
from tenants.market.campaigns.campaign import campaign_run
from tenants.market.campaigns.history import market_facts
from tenants.market.campaigns.specs import CampaignSpec
from tenants.market.reporting.brief import brief
from tenants.market.reporting.plots import PLOTS, plot
from tenants.market.reporting.words import LANGUAGES


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("spec", type=Path, help="a campaign, as the API takes it")
    parser.add_argument("--out", type=Path, help="folder for result.json, brief and plots")
    parser.add_argument("--language", choices=LANGUAGES, default=LANGUAGES[0])
    history_arguments(parser)


def run(options: Mapping[str, Any], out: TextIO) -> None:
    """Print the brief; keep all of it in a folder where one is named."""
    given = _json(options["spec"])
    given.setdefault("market", market_facts(history_read(options)))
    result = campaign_run(CampaignSpec.read(given), _tell)
    sys.stderr.write("\n")
    out.write(brief(result, options["language"]) + "\n")
    if options["out"] is not None:
        _write(options["out"], result)


def _tell(step: int, of: int) -> None:
    sys.stderr.write(f"\r{step}/{of} simulations")


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise InvalidInput(f"{path} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise InvalidInput(f"{path} holds no campaign: give one JSON object")
    return found


def _write(folder: Path, result: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    for language in LANGUAGES:
        (folder / f"brief.{language}.md").write_text(brief(result, language), "utf-8")
    for name in PLOTS:
        (folder / f"{name}.png").write_bytes(plot(result, name, "png"))
        (folder / f"{name}.svg").write_bytes(plot(result, name, "svg"))
