"""`warroom procure`: what compute to buy for a case in JSON, beside what else one could buy."""

from __future__ import annotations

import csv
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from tenants.costs.daily import midnight
from tenants.costs.procurement import purchase_plan
from tenants.costs.procurement_baselines import compare, plan_rows
from tenants.costs.procurement_json import case_read
from tenants.costs.selectors import work_weeks
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope

WEEKS = 52  # of the books that a forecast looks back upon
COLUMNS = ("month", "offer", "units", "until_month", "cost")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("case", type=Path, help="the case, as JSON")
    parser.add_argument("--seconds", type=float, default=20.0, help="the most to search")
    parser.add_argument("--out", type=Path, help="where to write the plan as CSV")


def run(options: Mapping[str, Any], out: TextIO) -> None:
    case = case_read(options["case"].read_text(), _weeks)
    plan = purchase_plan(case, seconds=options["seconds"])
    rows = plan_rows(case, plan.buy)
    out.writelines(
        f"month {row['month']}: {row['units']} x {row['offer']} until month"
        f" {row['until_month']}, {row['cost']}\n"
        for row in rows
    )
    found = compare(case, plan)
    out.write(f"expected cost {plan.cost:.2f}, within {plan.gap:.2%} of the least possible\n")
    out.writelines(
        f"  {name}: {cost:.2f}\n"
        for name, cost in (
            ("nothing bought ahead", found.nothing),
            ("the best single term", found.single_term),
            ("a rule of thumb", found.rule_of_thumb),
            ("a clairvoyant", found.clairvoyant),
        )
    )
    if options["out"]:
        with options["out"].open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


def _weeks() -> dict[str, list[float]]:
    with system_scope():
        return work_weeks(until=midnight(now()), weeks=WEEKS)
