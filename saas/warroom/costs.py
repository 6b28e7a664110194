"""`warroom costs`: unit costs three ways, whose all that was spent is, and a bill set beside it."""

from __future__ import annotations

import datetime as dt
from argparse import ArgumentParser
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, TextIO

from tenants.costs.allocating import allocation_of
from tenants.costs.bills import bill_read, reconcile
from tenants.costs.daily import DAY, midnight
from tenants.costs.defaults import CURRENCY
from tenants.costs.selectors import booked_by_resource
from tenants.costs.unit_economics import unit_economics
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--days", type=int, default=30, help="how far to look back")
    parser.add_argument("--bill", type=Path, help="a supplier's CSV of these days, to reconcile")


def run(options: Mapping[str, Any], out: TextIO) -> None:
    until = midnight(now() + DAY)
    since = until - dt.timedelta(days=options["days"])
    with system_scope():
        if options["bill"]:
            _reconciled(options["bill"], since, until, out)
            return
        _units(since, until, out)
        _allocated(since, until, out)


def _units(since: dt.datetime, until: dt.datetime, out: TextIO) -> None:
    out.write(f"a million tokens, {CURRENCY}: short-run, long-run, its upper bound\n")
    out.writelines(
        f"  {row.kind} {row.base}: {row.short_run:.4f} {row.long_run:.4f} {row.long_run_high:.4f}\n"
        for row in unit_economics(since=since, until=until)
    )


def _allocated(since: dt.datetime, until: dt.datetime, out: TextIO) -> None:
    found = allocation_of(since=since, until=until)
    sums: dict[str, Decimal] = {}
    for (_, part), amount in found.shares.items():
        sums[part] = sums.get(part, Decimal(0)) + amount
    out.write(f"spent {found.total:.4f} {CURRENCY}\n")
    for component, amount in sums.items():
        out.write(f"  {component} {amount:.4f}\n")
    out.write(f"  strategic idle {found.strategic_idle:.4f}\n")


def _reconciled(bill: Path, since: dt.datetime, until: dt.datetime, out: TextIO) -> None:
    lines = bill_read(bill.read_text().splitlines())
    for row in reconcile(lines, booked_by_resource(since=since, until=until)):
        said = "agrees" if row.agrees else f"differs by {row.difference}"
        out.write(f"{row.resource}: billed {row.billed}, booked {row.booked}: {said}\n")
