"""The demo's price war: rivals' history read, our offer set beside it, a campaign rehearsed on the
demo company's own books, and its brief.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from saas.demo.identities import DemoFailed
from saas.demo.money import Account
from saas.demo.waiting import wait_for
from tenants.market.importing.moves_csv import SHIPPED

CLASS = "small"  # what the catalogue's text model competes in
CASH = 50_000.0  # US dollars that the demo company starts the war with
PATHS, SCENARIOS = 2000, 100
LIMIT_S = 120.0
ENDED = frozenset({"succeeded", "failed", "cancelled"})


def prepare(operator: Account, base: str) -> Mapping[str, Any]:
    """Read the shipped history, once, and say what our model competes with; our position."""
    if not operator.get("/operator/v1/market/imports")["data"]:
        content = SHIPPED.read_text("utf-8")
        body = {"format": "moves_csv", "content": content, "name": SHIPPED.name}
        operator.post("/operator/v1/market/imports", body)
    operator.put(f"/operator/v1/market/offers/{base}", {"model_class": CLASS})
    found = operator.get("/operator/v1/market/positions", model_class=CLASS)["data"]
    return dict(next(place for place in found if place["base"] == base))


def rehearse(operator: Account, base: str) -> str:
    """Rehearse a war for a base on the books as they are; the ended campaign's id."""
    drafted = operator.post("/operator/v1/campaigns/draft", {"base": base, "cash": CASH})
    spec = {**drafted["campaign"], "paths": PATHS, "scenarios": SCENARIOS}
    made = operator.post("/operator/v1/campaigns", {"campaign": spec})
    path = f"/operator/v1/campaigns/{made['id']}"

    def ended() -> Mapping[str, Any] | None:
        found: Mapping[str, Any] = operator.get(path)
        return found if found["state"] in ENDED else None

    found = wait_for("the rehearsal's end", ended, limit_s=LIMIT_S)
    if found["state"] != "succeeded":
        raise DemoFailed(f"the rehearsal {found['state']}: {found['error']}")
    return str(made["id"])


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
