"""`manage.py warroom`: what it prints, writes and refuses."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.tenants.market.factories import campaign


def warroom(*arguments: str | Path) -> str:
    out = StringIO()
    call_command("warroom", *map(str, arguments), stdout=out, stderr=StringIO())
    return out.getvalue()


def test_the_market_is_shown_by_class() -> None:
    shown = warroom("market")
    assert "39 moves up to 2026-09-01" in shown
    assert "too few products" in shown


def test_a_campaign_prints_its_brief_and_leaves_result_briefs_and_plots(tmp_path: Path) -> None:
    policies = [{"name": "hold"}, {"name": "match", "parameters": {"premium": 0.1}}]
    given = campaign(policies=policies, paths=100, scenarios=10, months=4)
    file, out = tmp_path / "war.json", tmp_path / "war"
    file.write_text(json.dumps(given))
    assert "# 价格战预演：rehearsal" in warroom(
        "campaign", file, "--out", out, "--language", "zh-hans"
    )
    assert "# Price-war rehearsal" in (out / "brief.en.md").read_text()
    assert json.loads((out / "result.json").read_text())["months"] == 4
    for name in ("cash", "share", "price", "tornado"):
        assert (out / f"{name}.png").stat().st_size > 1000
        assert (out / f"{name}.svg").read_text().startswith("<?xml")


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("price\n1\n")
    with pytest.raises(CommandError, match="columns do not fit"):
        warroom("market", "--history", bad)
    with pytest.raises(CommandError, match="cannot read or write"):
        warroom("campaign", tmp_path / "none.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(CommandError, match="give one JSON object"):
        warroom("campaign", tmp_path / "list.json")
