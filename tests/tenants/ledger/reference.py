"""A wallet in plain Python: what the database's functions must agree with, told another way.

Exact fractions instead of NUMERIC, whole recounts instead of projections. Times are numbers;
infinity never comes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction

UNIT = Fraction(1, 10**12)
RANK = {"allowance": 0, "promotion": 1, "paid": 2}
ZERO = Fraction(0)


class NoCredit(Exception):
    pass


class NoBudget(Exception):
    pass


class TooMuchBack(Exception):
    pass


def to_even(amount: Fraction) -> Fraction:
    return round(amount / UNIT) * UNIT  # Python rounds fractions half to even


def cut(amount: Fraction) -> Fraction:
    return math.floor(amount / UNIT) * UNIT


@dataclass
class Credit:
    id: str
    kind: str
    amount: Fraction
    left: Fraction
    priority: int = 0
    expires: float = math.inf
    taxed_before: bool = False
    tax: Fraction = ZERO
    withdrawn: Fraction = ZERO
    over: bool = False
    returned: bool = False  # gathers what comes back
    of_taxed: bool = False  # what comes back to it had tax taken at top-up

    @property
    def order(self) -> tuple[int, int, float, str]:
        return RANK[self.kind], self.priority, self.expires, self.id


@dataclass
class Paid:
    """One funding; `net` and `tax` are what has not gone back."""

    credit: Credit | None
    net: Fraction
    tax: Fraction


@dataclass
class Held:
    labels: dict[str, str]
    parts: list[tuple[Credit | None, Fraction]]


@dataclass
class Limit:
    subject: str
    ref: str
    hard: Fraction

    def counts(self, labels: dict[str, str]) -> bool:
        name = {"api_key": "api_key_id", "model": "model"}.get(self.subject)
        return name is None or labels.get(name) == self.ref


@dataclass
class Reference:
    limit: Fraction
    rate: Fraction
    now: float = 0
    owed: Fraction = ZERO
    credits: list[Credit] = field(default_factory=list)
    paid: list[Paid] = field(default_factory=list)
    holds: dict[str, Held] = field(default_factory=dict)
    limits: list[Limit] = field(default_factory=list)
    spent: list[tuple[dict[str, str], int, Fraction]] = field(default_factory=list)
    books: dict[tuple[str, str], Fraction] = field(default_factory=lambda: defaultdict(Fraction))

    # what stands

    def held_of(self, credit: Credit | None) -> Fraction:
        parts = (part for held in self.holds.values() for part in held.parts)
        return sum((amount for owner, amount in parts if owner is credit), ZERO)

    def free(self) -> list[tuple[Credit, Fraction]]:
        usable = [c for c in self.credits if not c.over and c.expires > self.now]
        usable.sort(key=lambda c: c.order)
        free = ((c, c.left - self.held_of(c)) for c in usable)
        return [(c, amount) for c, amount in free if amount > 0]

    def room(self) -> Fraction:
        return max(ZERO, self.limit - self.owed - self.held_of(None))

    def available(self) -> Fraction:
        return self.room() + sum((amount for _, amount in self.free()), ZERO)

    def counted(self, limit: Limit, month: int) -> Fraction:
        return sum((g for lb, m, g in self.spent if m == month and limit.counts(lb)), ZERO)

    def set_aside(self, limit: Limit) -> Fraction:
        held = (h for h in self.holds.values() if limit.counts(h.labels))
        return sum((amount for h in held for _, amount in h.parts), ZERO)

    # what happens

    def post(self, *entries: tuple[str, str, Fraction]) -> None:
        assert sum(amount for _, _, amount in entries) == 0
        for kind, ref, amount in entries:
            self.books[kind, ref] += amount

    def grant(self, credit: Credit) -> None:
        self.credits.append(credit)
        if credit.kind == "paid":
            self.post(
                ("cash", "manual", credit.amount + credit.tax),
                ("grant", credit.id, -credit.amount),
                ("tax_payable", "X" if credit.tax else "", -credit.tax),
            )
        else:
            self.post(
                ("credit_offset", credit.kind, credit.amount), ("grant", credit.id, -credit.amount)
            )

    def hold(self, key: str, amount: Fraction, labels: dict[str, str]) -> None:
        self.require(amount, labels)
        self.holds[key] = Held(labels, [])
        self.take(self.holds[key], amount)

    def extend(self, key: str, amount: Fraction) -> None:
        self.require(amount, self.holds[key].labels)
        self.take(self.holds[key], amount)

    def require(self, amount: Fraction, labels: dict[str, str]) -> None:
        for limit in self.limits:
            if limit.counts(labels):
                used = self.counted(limit, 0) + self.set_aside(limit)
                if used + amount > limit.hard:
                    raise NoBudget
        if amount > self.available():
            raise NoCredit

    def take(self, held: Held, amount: Fraction) -> None:
        for credit, free in self.free():
            taken = min(free, amount)
            if taken:
                held.parts.append((credit, taken))
                amount -= taken
        if amount:
            held.parts.append((None, amount))

    def charge(
        self,
        net: Fraction,
        labels: dict[str, str],
        month: int = 0,
        hold: str | None = None,
        *,
        keep: bool = False,
    ) -> None:
        if net < 0:
            gross = -self.give_back(-net, peek=True)
        held = self.holds.pop(hold, None) if hold else None
        if net >= 0:
            gross = self.fund(net, held)
        else:
            self.give_back(-net)
        self.spent.append((labels, month, gross))
        if held and keep:
            self.holds[hold or ""] = held

    def fund(self, net: Fraction, held: Held | None) -> Fraction:
        """Pay for `net` and leave in `held` what it keeps. Returns the gross amount."""
        gross, rest = ZERO, net
        merged: dict[int, list] = {}
        for credit, amount in held.parts if held else []:
            merged.setdefault(id(credit), [credit, ZERO])[1] += amount
        parts = sorted(merged.values(), key=lambda p: p[0].order if p[0] else (9, 0, math.inf, ""))
        # held first; then what is free, as it was before the hold let go
        free = []
        for credit, amount in self.free():
            own = merged.get(id(credit), [None, ZERO])[1]
            if amount - own > 0:
                free.append([credit, amount - own])
        for source in [*parts, *free]:
            credit, amount = source
            if not rest:
                break
            taxed = credit is None or (credit.kind == "paid" and not credit.taxed_before)
            part, tax = self.part(rest, amount, self.rate if taxed else ZERO)
            if part:
                self.settle(credit, part, tax)
                source[1] -= part + tax
                gross, rest = gross + part + tax, rest - part
        if rest:
            tax = to_even(rest * self.rate)
            self.settle(None, rest, tax)
            # the wallet's held postpaid part counts what was owed, whoever drew it
            for source in parts:
                if source[0] is None:
                    source[1] = max(ZERO, source[1] - rest - tax)
            gross += rest + tax
        if held:
            held.parts = [(credit, amount) for credit, amount in parts if amount]
        return gross

    @staticmethod
    def part(rest: Fraction, amount: Fraction, rate: Fraction) -> tuple[Fraction, Fraction]:
        needed = rest + to_even(rest * rate)
        if amount >= rest and needed <= amount + 10 * UNIT:
            return rest, min(needed, amount) - rest
        net = cut(amount / (1 + rate))
        return net, amount - net

    def settle(self, credit: Credit | None, net: Fraction, tax: Fraction) -> None:
        self.paid.append(Paid(credit, net, tax))
        gross = net + tax
        self.post(
            ("receivable", "", gross), ("revenue", "tokens", -net), ("tax_payable", "X", -tax)
        )
        if credit is None:
            self.owed += gross
            return
        credit.left -= gross
        self.post(("grant", credit.id, gross), ("receivable", "", -gross))
        if credit.kind != "paid":
            self.post(
                ("contra_revenue", credit.kind, gross), ("credit_offset", credit.kind, -gross)
            )

    def give_back(self, net: Fraction, *, peek: bool = False) -> Fraction:
        """Return `net` with its tax; with `peek` only say how much that would be in all."""
        plan: list[tuple[Paid, Fraction, Fraction, bool]] = []
        left = {id(p): [p.net, p.tax] for p in self.paid}
        owed, rest = self.owed, net
        for only_owed in (True, False):
            for paid in reversed(self.paid):
                there, tax_there = left[id(paid)]
                if not there or not rest or (only_owed and (paid.credit or not owed)):
                    continue
                part = min(rest, there)
                tax = tax_there if part == there else cut(tax_there * part / there)
                if only_owed and part + tax > owed:
                    part = min(part, cut(owed * there / (there + tax_there)))
                    tax = owed - part
                if not part:
                    continue
                plan.append((paid, part, tax, only_owed))
                left[id(paid)] = [there - part, tax_there - tax]
                rest -= part
                owed -= part + tax if only_owed else 0
        if rest:
            raise TooMuchBack
        if not peek:
            for step in plan:
                self.undo(*step)
        return sum((part + tax for _, part, tax, _ in plan), ZERO)

    def undo(self, paid: Paid, net: Fraction, tax: Fraction, was_owed: bool) -> None:
        gross = net + tax
        paid.net -= net
        paid.tax -= tax
        self.post(("receivable", "", -gross), ("revenue", "tokens", net), ("tax_payable", "X", tax))
        if was_owed:
            self.owed -= gross
            return
        credit = paid.credit
        alive = credit is not None and not credit.over and credit.expires > self.now
        if credit is not None and credit.kind != "paid" and not alive:
            self.post(("receivable", "", gross), ("contra_revenue", credit.kind, -gross))
            return
        target = credit if credit is not None and alive else self.fresh(credit, gross)
        target.left += gross
        self.post(("receivable", "", gross), ("grant", target.id, -gross))
        if target.kind != "paid":
            self.post(
                ("contra_revenue", target.kind, -gross), ("credit_offset", target.kind, gross)
            )

    def fresh(self, origin: Credit | None, gross: Fraction) -> Credit:
        """The grant that gathers what comes back of one tax treatment."""
        taxed_before = origin is not None and origin.taxed_before
        of_taxed = origin is not None and (origin.of_taxed or origin.tax > 0)
        kind = (taxed_before, of_taxed)
        open_ones = [
            c
            for c in self.credits
            if c.returned and not c.over and (c.taxed_before, c.of_taxed) == kind
        ]
        if not open_ones:
            new = Credit(f"fresh {len(self.credits)}", "paid", ZERO, ZERO, returned=True)
            new.taxed_before, new.of_taxed = kind
            self.credits.append(new)
            open_ones = [new]
        (credit,) = open_ones
        credit.amount += gross
        if origin is not None:
            credit.tax += cut(origin.tax * gross / origin.amount)
        return credit

    def rename(self, credit: Credit, name: str) -> None:
        """Give a fresh grant the id that the database made for it."""
        if ("grant", credit.id) in self.books:
            self.books["grant", name] = self.books.pop(("grant", credit.id))
        credit.id = name

    def pay(self, amount: Fraction, grant_id: str) -> None:
        settled = min(amount, self.owed)
        self.owed -= settled
        self.post(("cash", "manual", settled), ("receivable", "", -settled))
        if amount > settled:
            rest = amount - settled
            self.grant(Credit(grant_id, "paid", rest, rest))

    def withdraw(self, credit: Credit, amount: Fraction) -> None:
        if amount > credit.left - self.held_of(credit):
            raise NoCredit
        before, after = (
            cut(credit.tax * gone / credit.amount)
            for gone in (credit.withdrawn, credit.withdrawn + amount)
        )
        tax = after - before
        credit.withdrawn += amount
        credit.left -= amount
        credit.over = credit.left == 0
        self.post(
            ("grant", credit.id, amount),
            ("tax_payable", "X", tax),
            ("cash", "manual", -amount - tax),
        )

    def sweep(self) -> None:
        for credit in self.credits:
            if credit.over or credit.expires > self.now or self.held_of(credit):
                continue
            credit.over = True
            if credit.left:
                other = ("revenue", "breakage") if credit.kind == "paid" else (
                    "credit_offset", credit.kind
                )  # fmt: skip
                self.post(("grant", credit.id, credit.left), (*other, -credit.left))
                credit.left = ZERO
