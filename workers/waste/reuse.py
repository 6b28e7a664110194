"""How likely an object that lay idle is wanted again, by what was seen of its like. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from workers.waste.facts import MONTH_S, Spell


def reuse_within_month(spells: Sequence[Spell]) -> Callable[[float], float]:
    """Return idle seconds → the chance of a use within a month from then.

    Of the spells that lasted as long, the share that a use ended within a month; Jeffreys' prior
    (half a use, half none) keeps it from 0 and 1 where little was seen. Spells that nothing has
    ended count once they have lasted the month too.
    """

    def chance(idle_s: float) -> float:
        used = sum(1 for s in spells if s.used_again and idle_s <= s.seconds < idle_s + MONTH_S)
        longer = sum(1 for s in spells if s.seconds >= idle_s + MONTH_S)
        return (used + 0.5) / (used + longer + 1)

    return chance
