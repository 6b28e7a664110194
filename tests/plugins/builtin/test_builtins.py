"""The built-ins as the platform loads them: through the host, with what a tenant granted."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from plugins.builtin.catalogue import builtins
from plugins.host.calls import PluginHost
from plugins.host.catalog import Plugin, catalog_make
from plugins.host.facts import Enabled, Outcome
from plugins.host.isolated import Isolated
from plugins.host.orders import WorkOrder
from plugins.host.pool import Pool
from plugins.host.sandbox import Sandbox
from plugins.sdk import MeterTotal, Page

# numbers from the standards' own and the banks' public examples; none belongs to anybody
ROWS = [
    {
        "messages": [
            {"role": "user", "content": "I am jo.doe+shop@example.org, card 4111 1111 1111 1111."},
            {"role": "assistant", "content": "Paid from GB82 WEST 1234 5698 7654 32."},
        ]
    },
    {"prompt": "From 192.0.2.7, call +44 20 7946 0958 or 13800138000", "n": 4111111111111111},
    {"prompt": "身份证 11010519491231002X，谢谢", "kept": "order 4111111111111112, v1.2.3.400"},
]
REDACTED = [
    {
        "messages": [
            {"role": "user", "content": "I am [EMAIL], card [CARD]."},
            {"role": "assistant", "content": "Paid from [IBAN]."},
        ]
    },
    {"prompt": "From [IP], call [PHONE] or [PHONE]", "n": 4111111111111111},
    {"prompt": "身份证 [CN_ID]，谢谢", "kept": "order 4111111111111112, v1.2.3.400"},
]


@pytest.fixture
def host(tmp_path: Path, pool: Pool) -> PluginHost:
    found = [Plugin(made, module, "trusted", builtin=True) for made, module in builtins()]
    catalog = catalog_make(found, platform_version="0.1.0")
    host = PluginHost(catalog, Isolated(Sandbox(tmp_path / "unused"), pool))
    assert host.refused == ()
    assert [plugin.name for plugin in catalog.plugins] == [
        "redaction",
        "service_desk",
        "usage_report",
    ]
    return host


def redacted(
    host: PluginHost, folder: Path, rows: str, *granted: str, **settings: object
) -> Outcome:
    source, results = folder / "rows.jsonl", folder / "results"
    source.write_text(rows)
    results.mkdir()
    enabled = Enabled("redaction", settings, frozenset(granted))
    order = WorkOrder("call", results, {"h": source})
    (outcome,) = host.call("prepare_dataset", {}, tenant="t", enabled=[enabled], order=order)
    return outcome


def test_redaction_takes_out_what_its_check_digits_confirm(
    host: PluginHost, tmp_path: Path
) -> None:
    rows = "".join(json.dumps(row) + "\n" for row in ROWS)
    outcome = redacted(host, tmp_path, rows, "data.datasets")
    assert outcome.failure is None
    lines = (tmp_path / "results" / "redacted.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == REDACTED
    assert outcome.value.figures == {
        "redacted.email": 1,
        "redacted.iban": 1,
        "redacted.cn_id": 1,
        "redacted.card": 1,
        "redacted.ip": 1,
        "redacted.phone": 2,
    }


def test_redaction_takes_out_what_was_chosen_only(host: PluginHost, tmp_path: Path) -> None:
    row = json.dumps(ROWS[0])
    redacted(host, tmp_path, row, "data.datasets", kinds=["email"])
    text = (tmp_path / "results" / "redacted.jsonl").read_text()
    assert "[EMAIL]" in text
    assert "4111 1111 1111 1111" in text


@pytest.mark.parametrize(
    ("rows", "granted", "settings", "said"),
    [
        ('{"a": 1}\n{"a": \n', ("data.datasets",), {}, "line 2 is no JSON"),
        ("{}", (), {}, "has not granted data.datasets"),
        ("{}", ("data.datasets",), {"kinds": ["name"]}, "settings.kinds.0: 'name' is not one of"),
        ("{}", ("data.datasets",), {"kind": []}, "'kind' was unexpected"),
    ],
)
def test_redaction_says_what_is_wrong(
    host: PluginHost,
    tmp_path: Path,
    rows: str,
    granted: tuple[str, ...],
    settings: dict[str, object],
    said: str,
) -> None:
    outcome = redacted(host, tmp_path, rows, *granted, **settings)
    assert outcome.failure is not None
    assert outcome.failure.kind == "refused"
    assert said in outcome.failure.message


def test_the_usage_report_orders_meters_by_unit_and_quantity(host: PluginHost) -> None:
    usage = (
        MeterTotal("tokens.output", "token", Decimal(20)),
        MeterTotal("compute.train", "second", Decimal("1234.5")),
        MeterTotal("tokens.input", "token", Decimal(3000)),
    )
    (outcome,) = host.call(
        "console_panels",
        {"page": Page("2027-01", usage)},
        tenant="t",
        enabled=[Enabled("usage_report", {}, frozenset({"data.usage"}))],
    )
    (panel,) = outcome.value
    assert panel.title == "Usage in 2027-01"
    assert panel.rows == (
        ("compute.train", "1,234.5", "second"),
        ("tokens.input", "3,000", "token"),
        ("tokens.output", "20", "token"),
    )


def test_the_service_desk_promises_no_price(host: PluginHost) -> None:
    (outcome,) = host.call("services", {}, tenant="t", enabled=[Enabled("service_desk")])
    names = [service.name for service in outcome.value]
    assert len(set(names)) == len(names) == 4
    assert all(service.price is None for service in outcome.value)


def test_nothing_runs_that_was_not_enabled(host: PluginHost) -> None:
    assert host.call("services", {}, tenant="t", enabled=[]) == ()
