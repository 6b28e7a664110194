"""Docs that cannot rot: what they list is what there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from plugins.host.calls import NEEDS
from plugins.host.facts import Level
from plugins.sdk.hooks import Hook, hooks
from tenants.usage.meters import METERS
from tests.architecture.sources import ROOT
from workers.assets.readings import TASKS_OF
from workers.engine.specs import TASKS

DOCS = sorted((ROOT / "docs").rglob("*.md"))
DECISIONS = [path for path in DOCS if re.fullmatch(r"\d{4}-[a-z0-9-]+", path.stem)]
LONGEST_DECISION = 80  # one page


def table_rows(path: Path) -> list[list[str]]:
    """The cells of a page's tables, headings apart."""
    lines = [line for line in path.read_text().splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names_in(cell: str) -> set[str]:
    return set() if cell == "–" else set(cell.split(", "))


def test_every_meter_is_documented_with_its_dimensions() -> None:
    documented = {
        row[0].strip("`"): (row[1], names_in(row[3]), names_in(row[4]))
        for row in table_rows(ROOT / "docs" / "meters.md")
    }
    assert documented == {
        meter.name: (meter.unit, set(meter.required), set(meter.optional))
        for meter in METERS.values()
    }


def test_every_hook_is_documented_with_its_signature_and_permission() -> None:
    page = ROOT / "docs" / "plugins.md"
    (block,) = re.findall(r"```text\n(.+?)```", page.read_text(), flags=re.DOTALL)
    assert block.splitlines() == [hook.signature for hook in hooks().values()]
    rows = {row[0].strip("`"): row[1] for row in table_rows(page)}
    assert {hook: rows.pop(hook) for hook in NEEDS} == NEEDS
    assert set(rows) == set(get_args(Level))


def test_every_task_is_documented_with_the_bases_that_can_learn_it() -> None:
    rows = {row[0].strip("`"): row[1] for row in table_rows(ROOT / "docs" / "training.md")}
    assert rows.keys() == set(TASKS)
    for kind, tasks in TASKS_OF.items():
        assert {task for task, bases in rows.items() if f"`{kind}`" in bases} == set(tasks)


@pytest.mark.parametrize("hook", hooks().values(), ids=lambda hook: hook.name)
def test_every_hook_has_its_section_with_what_its_specification_says(hook: Hook) -> None:
    """Signature, sentence and arguments, word for word; what follows them is the section's own."""
    page = (ROOT / "docs" / "hooks.md").read_text()
    sections = dict(re.findall(r"^## `(\w+)`\n\n(.+?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE))
    assert list(sections) == list(hooks())
    summary, *arguments = re.split(r"\n\s*:param ", hook.doc)
    said = [f"```text\n{hook.signature}\n```", " ".join(summary.split())]
    said += [f"- `{text.partition(':')[0]}`: {tidy(text.partition(':')[2])}" for text in arguments]
    text = " ".join(sections[hook.name].split())
    assert [each for each in said if " ".join(each.split()) not in text] == []
    needs = NEEDS.get(hook.name)
    assert (needs is None) or f"Needs `{needs}`." in text


def tidy(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_and_folders_that_are_named_exist(page: Path) -> None:
    """`tenants/kernel/crypto.py` in backticks must be there, from the root."""
    named = re.findall(
        r"`((?:saas|workers|tenants|plugins|tests|docs)/[\w./-]+)`", page.read_text()
    )
    missing = [name for name in named if not (ROOT / name).exists()]
    assert missing == []


def test_decisions_are_numbered_listed_and_one_page_each() -> None:
    assert [path.stem[:4] for path in DECISIONS] == [
        f"{number:04}" for number in range(1, len(DECISIONS) + 1)
    ]
    index = (ROOT / "docs" / "decisions" / "README.md").read_text()
    for path in DECISIONS:
        assert f"({path.name})" in index
        assert len(path.read_text().splitlines()) <= LONGEST_DECISION, path.name


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_says_the_question_the_reason_and_the_rule(page: Path) -> None:
    headings = re.findall(r"^## (.+)$", page.read_text(), flags=re.MULTILINE)
    assert headings == ["In question", "Decision", "Why this way", "The rule"]
