"""Like-for-like matching: which moves compare one offer with itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tenants.market.moves import BEGINS, OF_ANOTHER_PRODUCT, History, Kind, PriceMove


@dataclass(frozen=True)
class Matched:
    """A move of one product's own price: `log_change` is ln(after / before)."""

    move: PriceMove
    log_change: float


@dataclass(frozen=True)
class Matching:
    """Every move is in exactly one of the two; `unmatched` says why it compares nothing."""

    matched: tuple[Matched, ...]
    unmatched: tuple[tuple[PriceMove, str], ...]


def match(moves: Iterable[PriceMove]) -> Matching:
    """Tell the moves that compare like with like from those that do not."""
    matched: list[Matched] = []
    unmatched: list[tuple[PriceMove, str]] = []
    for move in moves:
        reason = _refusal(move)
        change = move.log_change
        if reason or change is None:
            unmatched.append((move, reason or "no side is priced both before and after"))
        else:
            matched.append(Matched(move, change))
    return Matching(tuple(matched), tuple(unmatched))


def _refusal(move: PriceMove) -> str:
    if move.kind in BEGINS:
        return "a new offer, not a move of an old one"
    if move.kind in OF_ANOTHER_PRODUCT:
        return "another product or tier than the one it is set beside"
    return ""


def list_price_moves(history: History) -> tuple[Matched, ...]:
    """Matched moves of list prices: announced promotions and their ends are not among them."""
    temporary = {Kind.PROMOTION, Kind.PROMOTION_END}
    return tuple(m for m in match(history.moves).matched if m.move.kind not in temporary)
