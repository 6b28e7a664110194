"""What a finder hands back, and how a change of the facts is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

CENTS = Decimal("0.01")


@dataclass(frozen=True)
class Finding:
    """Money that leaks, and the one action that stops it.

    `subject` names what the action acts on, `saving` is USD a month by this action alone,
    `arguments` are the action's, `evidence` says why, in plain figures.
    """

    kind: str
    subject: str
    saving: Decimal
    action: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)
    tenant_id: str = ""


def exact(number: float) -> Decimal:
    """A measured figure as it takes part in money."""
    return Decimal(repr(float(number)))


def figure(number: float | Decimal, digits: int = 4) -> float:
    """A figure for people, to so many significant digits."""
    return float(f"{number:.{digits}g}")
