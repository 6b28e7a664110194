"""Purchases for 50 offers, 36 months and 10 scenarios; and 1,000 scenarios that the plan never saw.

    python -m tests.benchmarks bench_procurement

Within 1% of the bound in at most 20 s, for three shapes of demand; the saving beside buying
nothing, the best single term, a rule of thumb and a clairvoyant.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

TARGET_S = 20.0
UNSEEN = 1000


def main() -> dict[str, Any]:
    """Measure and print, for each shape of demand."""
    from tests.tenants.costs.procurement_cases import SHAPES

    result = {shape: measured(shape) for shape in SHAPES} | {"cores": os.cpu_count()}
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    return result


def measured(shape: str) -> dict[str, Any]:
    from tenants.costs.procurement import purchase_plan
    from tenants.costs.procurement_baselines import compare, unseen_costs
    from tests.tenants.costs.procurement_cases import demand_make, large_case

    case = large_case(shape=shape)
    began = time.monotonic()
    plan = purchase_plan(case, seconds=TARGET_S)
    seconds = time.monotonic() - began
    others = compare(case, plan)
    unseen = unseen_costs(
        case, plan.buy, demand_make(scenarios=UNSEEN, months=36, shape=shape, seed=77)
    )
    return {
        "seconds": seconds,
        "gap": plan.gap,
        "ok": seconds <= TARGET_S and plan.gap <= 0.01,
        "saving_on_nothing": 1 - plan.cost / others.nothing,
        "saving_on_single_term": 1 - plan.cost / others.single_term,
        "saving_on_rule_of_thumb": 1 - plan.cost / others.rule_of_thumb,
        "above_clairvoyant": plan.cost / others.clairvoyant - 1,
        "unseen_mean_over_plan": float(unseen.mean()) / plan.cost,
    }


if __name__ == "__main__":
    main()
