"""`warroom floors`: every price in force beside its floor, and what was sold below in 30 days."""

from __future__ import annotations

import datetime as dt
from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any, TextIO

from tenants.costs.daily import DAY, midnight
from tenants.costs.defaults import CURRENCY
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope
from tenants.pricing.exact import plain
from tenants.pricing.selectors import prices_standing
from tenants.pricing.selectors.guarding import Standing
from tenants.pricing.selectors.sold import loss_report


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--days", type=int, default=30, help="how far to look back for losses")
    parser.add_argument("--below", action="store_true", help="only prices below their floor")


def run(options: Mapping[str, Any], out: TextIO) -> None:
    until = midnight(now() + DAY)
    with system_scope():
        standing = prices_standing()
        lost = loss_report(since=until - dt.timedelta(days=options["days"]), until=until)
    out.write(f"a million tokens, {CURRENCY}: price, floor, short-run cost\n")
    for each in standing:
        if each.price.is_below or not options["below"]:
            out.write(f"  {_said(each)}\n")
    out.write(f"sold below today's floors in {options['days']} days\n")
    out.writelines(
        f"  {row.tenant_id} {row.price_key}: {row.net:.4f} of {row.due:.4f}, lost {row.loss:.4f}\n"
        for row in lost
    )


def _said(each: Standing) -> str:
    price = each.price
    whose = price.tenant_id or price.book_id
    allowed = f", allowed by {each.permit}" if each.permit else ""
    below = f" BELOW{allowed}" if price.is_below else ""
    figures = " ".join(plain(value) for value in (price.effective, price.floor, price.stop))
    return f"{whose} {price.price_key} ({price.base}): {figures}{below}"
