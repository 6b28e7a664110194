"""`warroom waste`: look for what leaks now, and what the levers have gained."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, TextIO

from tenants.costs.levers import levers_newest
from tenants.costs.models import WasteFinding
from tenants.costs.waste import findings_visible, waste_joint
from tenants.kernel.scope import system_scope
from workers.waste.levers import levers_measure
from workers.waste.services import waste_measure, waste_sweep


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--stored", action="store_true", help="tell the last look; look not again")


def run(options: Mapping[str, Any], out: TextIO) -> None:
    if not options["stored"]:
        waste_sweep()
        waste_measure()
        levers_measure()
    with system_scope():
        _findings(out)
        _levers(out)


def _findings(out: TextIO) -> None:
    rows = list(findings_visible().filter(state=WasteFinding.State.OPEN))
    for row in rows:
        why = ", ".join(f"{name} {value}" for name, value in row.evidence.items())
        out.write(f"{row.saving:>12} {row.currency} a month: {row.kind} {row.subject}\n")
        out.write(f"             {row.action} ({row.id}): {why}\n")
    joint = waste_joint()
    out.write(f"{len(rows)} findings; all together {joint.amount} {joint.currency} a month\n")


def _levers(out: TextIO) -> None:
    out.writelines(
        f"{row.lever}: {row.point:.1%} ({row.low:.1%} to {row.high:.1%}) of cost,"
        f" {row.saved:.4f} {row.currency} since {row.since:%Y-%m-%d}\n"
        for row in levers_newest()
    )
