"""Which history of rivals' prices a command looks at."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from tenants.market.importing.moves_csv import moves_read, shipped_moves
from tenants.market.moves import History


def history_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--history", type=Path, help="a CSV of moves; default: the shipped")
    parser.add_argument("--unit", help="of its prices: per_million (default) or per_token")


def history_read(path: Path | None, unit: str | None) -> History:
    moves = shipped_moves() if path is None else moves_read(path.read_text("utf-8"), unit=unit)
    return History.of(moves)
