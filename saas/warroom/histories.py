"""Which history of rivals' prices a command looks at."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tenants.kernel.scope import system_scope
from tenants.market.importing.moves_csv import moves_read, shipped_moves
from tenants.market.moves import History
from tenants.market.selectors import market_history


def history_arguments(parser: ArgumentParser) -> None:
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--history", type=Path, help="a CSV of moves; default: the shipped")
    chosen.add_argument("--stored", action="store_true", help="what the running system knows")
    parser.add_argument("--unit", help="of its prices: per_million (default) or per_token")


def history_read(options: Mapping[str, Any]) -> History:
    """The history that the command's options name."""
    path = options["history"]
    if options["stored"]:
        with system_scope():
            return market_history()
    if path is None:
        return History.of(shipped_moves())
    return History.of(moves_read(path.read_text("utf-8"), unit=options["unit"]))
