"""A campaign's result as a page that an executive can read, in Markdown. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tenants.kernel.errors import InvalidInput
from tenants.market.campaigns.recommend import THRESHOLD
from tenants.market.reporting.words import WORDS, Words

SWINGS = 5
Result = Mapping[str, Any]


def brief(result: Result, language: str = "en") -> str:
    """The brief of a campaign's result. Raises InvalidInput for a language that it has not."""
    words = WORDS.get(language)
    if words is None:
        raise InvalidInput(
            f"briefs are written in {', '.join(WORDS)}, not {language[:20]!r}", param="language"
        )
    parts = [
        "# " + words.title.format(name=result["spec"]["name"]),
        *_recommendation(result, words),
        *_failed(result, words),
        "## " + words.compared.format(months=result["months"], currency=result["currency"]),
        "\n".join(_table(result, words)),
        "## " + words.swings,
        "\n".join(_swings(result, words)) or words.never,
        "## " + words.levers.format(currency=result["currency"]),
        "\n".join(_levers(result, words)) or words.no_levers,
        _basis(result["spec"], words),
        words.fine_print,
    ]
    return "\n\n".join(parts) + "\n"


def _recommendation(result: Result, words: Words) -> Iterator[str]:
    found = result["recommendation"]
    leader = found["leader"]
    name, wins = words.name(leader), _percent(found["wins"].get(leader, 0.0))
    if len(found["refused"]) == len(result["policies"]):
        yield words.none_safe.format(limit=_percent(result["spec"]["ruin_limit"]))
        return
    if found["policy"] is not None:
        given = _parameters(result, leader, words)
        yield words.proposed.format(policy=name, parameters=given, wins=wins)
    else:
        yield words.undecided.format(leader=name, wins=wins, threshold=_percent(THRESHOLD))
    depends = found["depends_on"]
    if depends is not None:
        yield words.depends.format(
            assumption=words.name(depends["assumption"]),
            at=f"{depends['threshold']:.3g}",
            leader=name,
            below=_percent(depends["wins_below"]),
            above=_percent(depends["wins_above"]),
            instead=words.name(depends["instead"]),
        )
    if found["refused"]:
        yield words.refused.format(policies=", ".join(words.name(p) for p in found["refused"]))


def _failed(result: Result, words: Words) -> Iterator[str]:
    for row in result.get("failed", ()):  # results of before plugins' policies have none
        yield words.failed.format(policy=words.name(row["policy"]), reason=_quoted(row["reason"]))


def _quoted(text: str) -> str:
    """A stranger's words on one line, as Markdown's code: they are shown, not obeyed."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {' '.join(text.split())} {fence}"


def _parameters(result: Result, policy: str, words: Words) -> str:
    given = next(p["parameters"] for p in result["policies"] if p["policy"] == policy)
    if not given:
        return ""
    listed = ", ".join(f"{words.name(name)} {value:g}" for name, value in given.items())
    return f" ({listed})"


def _table(result: Result, words: Words) -> Iterator[str]:
    yield "| " + " | ".join(words.columns) + " |"
    yield "|---|---:|---:|---:|---:|"
    for row in sorted(result["policies"], key=lambda row: -row["final_cash"]["mean"]):
        cash = row["final_cash"]
        cells = [
            words.name(row["policy"]),
            f"{_money(cash['mean'])} ({_money(cash['low'])} – {_money(cash['high'])})",
            _percent(row["share"]["mean"]),
            _percent(row["ruin_probability"]),
            _percent(row["at_floor"]),
        ]
        yield "| " + " | ".join(cells) + " |"


def _swings(result: Result, words: Words) -> Iterator[str]:
    for bar in result["tornado"][:SWINGS]:
        yield words.swing.format(
            name=words.name(bar["assumption"]),
            low=f"{bar['low_value']:.3g}",
            high=f"{bar['high_value']:.3g}",
            width=_money(bar["cash_at_high"] - bar["cash_at_low"]),
        )


def _levers(result: Result, words: Words) -> Iterator[str]:
    for lever in sorted(result["levers"], key=lambda lever: -lever["mean"]):
        yield words.lever.format(
            name=words.name(lever["lever"]),
            source=words.measured if lever["source"] == "measured" else words.elicited,
            mean=_money(lever["mean"]),
            low=_money(lever["low"]),
            high=_money(lever["high"]),
        )


def _basis(spec: Mapping[str, Any], words: Words) -> str:
    return words.basis.format(
        paths=f"{spec['paths']:,}",
        scenarios=spec["scenarios"],
        months=spec["months"],
        seed=spec["seed"],
        source=words.name(spec["own"]["cost_source"]),
        floor=words.name(spec["floor"]),
    )


def _money(value: float) -> str:
    return f"{value:,.0f}"


def _percent(value: float) -> str:
    """Whole percents, but never 0% or 100% for what is neither."""
    if 0 < value < 0.005:
        return "<1%"
    if 0.995 < value < 1:
        return ">99%"
    return f"{value:.0%}"
