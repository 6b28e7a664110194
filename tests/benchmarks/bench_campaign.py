"""One price war: 10,000 paths over 36 months, 5 rivals, 6 segments.

    python -m tests.benchmarks bench_campaign

The worlds, the luck and one policy are in the figure; memory is the process's peak.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from typing import Any

PATHS, MONTHS, RIVALS, SEGMENTS = 10_000, 36, 5, 6
TARGET_S = 2.0
TARGET_BYTES = 1_000_000_000
ROUNDS = 3


def main() -> dict[str, Any]:
    """Measure and print: seconds (the best of three), peak memory."""
    from tenants.market.campaigns.policies import policy_of
    from tenants.market.campaigns.simulate import Simulation
    from tenants.market.campaigns.worlds import world_of

    spec = campaign()
    seconds = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        Simulation(world_of(spec)).run(policy_of("match", {}))
        seconds.append(time.monotonic() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result = {
        "seconds": min(seconds),
        "seconds_slowest": max(seconds),
        "peak_bytes": peak,
        "target_s": TARGET_S,
        "target_bytes": TARGET_BYTES,
        "cores": os.cpu_count(),
        "ok": min(seconds) <= TARGET_S and peak <= TARGET_BYTES,
    }
    sys.stdout.write(json.dumps(result, indent=2) + "\n")
    return result


def campaign() -> Any:
    from tenants.market.campaigns.specs import CampaignSpec
    from tests.tenants.market.factories import MARKET
    from tests.tenants.market.factories import campaign as small

    names = [f"rival {number}" for number in range(RIVALS)]
    first = small()["segments"][0] | {"own_share": 0.15, "shares": dict.fromkeys(names, 0.14)}
    return CampaignSpec.read(
        small(
            months=MONTHS,
            paths=PATHS,
            scenarios=200,
            market=MARKET,
            rivals=[{"name": name, "model_class": "small", "price": 2.2} for name in names],
            segments=[first | {"name": f"segment {number}"} for number in range(SEGMENTS)],
        )
    )


if __name__ == "__main__":
    main()
