"""The demo's price war: our offer set beside the rivals of its class, a campaign rehearsed on the
demo company's own books, and its brief.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saas.demo.money import Account
from saas.demo.waiting import wait_for

CLASS = "small"  # what the catalogue's text model competes in
CASH = 50_000.0  # US dollars that the demo company starts the war with
PATHS, SCENARIOS = 2000, 100
LIMIT_S = 120.0


def prepare(operator: Account, base: str) -> Mapping[str, Any]:
    """Say what our model competes with, once the shipped history is read; our position."""
    imports = "/operator/v1/market/imports"
    wait_for("the market's history", lambda: operator.get(imports)["data"], limit_s=LIMIT_S)
    operator.put(f"/operator/v1/market/offers/{base}", {"model_class": CLASS})
    found = operator.get("/operator/v1/market/positions", model_class=CLASS)["data"]
    return dict(next(place for place in found if place["base"] == base))


def rehearse(operator: Account, base: str) -> str:
    """Rehearse a war for a base on the books as they are; the ended campaign's id."""
    drafted = operator.post("/operator/v1/campaigns/draft", {"base": base, "cash": CASH})
    spec = {**drafted["campaign"], "paths": PATHS, "scenarios": SCENARIOS}
    made = operator.post("/operator/v1/campaigns", {"campaign": spec})
    return str(operator.ended(f"/operator/v1/campaigns/{made['id']}", limit_s=LIMIT_S)["id"])


def files_save(operator: Account, campaign_id: str, folder: Path) -> str:
    """Keep brief (English and Chinese) and plots in `folder`; the English brief."""
    folder.mkdir(parents=True, exist_ok=True)
    where = f"/operator/v1/campaigns/{campaign_id}"
    for language in ("en", "zh-hans"):
        brief = operator.raw(f"{where}/brief", language=language)
        (folder / f"brief.{language}.md").write_bytes(brief)
    for name in ("cash", "share", "price", "tornado"):
        (folder / f"{name}.svg").write_bytes(operator.raw(f"{where}/plots/{name}"))
    return (folder / "brief.en.md").read_text("utf-8")
