"""A cohort: several members' updates in one forward and backward pass over their base.

Each round, every member contributes its next update's packs; whoever is done with one takes its own
step. A member keeps its data order, loss, clipping, optimiser, schedule, dropout, snapshots and
commands; the loss of a pass is the sum of the members' own means, so no gradient depends on the
neighbours. What goes wrong with one ends that one alone.

Sources: Chen et al. 2024, "mLoRA" (arXiv:2312.02515); Sheng et al. 2023, "S-LoRA"
(arXiv:2311.03285).
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch

from workers.engine.data.packing import Pack, join, plan
from workers.engine.errors import EngineError
from workers.engine.kernels.block import fast_blocks
from workers.engine.losses import weighted_loss
from workers.engine.methods.lora.bank import AdapterBank, Segment
from workers.engine.models import Batch, exact_dtype
from workers.engine.protocol import Member, Progress, Result
from workers.engine.specs import CHECKPOINTING
from workers.engine.tasks.opening import task_open
from workers.engine.tasks.scores import Score
from workers.engine.training.activation import checkpointing
from workers.engine.training.member import Run, is_out_of_memory
from workers.engine.training.opening import Base, seated
from workers.engine.training.session import Session, Stopped, failure

TASK = "text_generation"  # what passes are joined of: packs of tokens under one output head


def shares_a_pass(member: Member) -> bool:
    """Whether a member can be one of several in a pass: same base, unchanged, same kind of loss."""
    spec = member.spec
    return spec.method == "lora" and spec.task == TASK and not spec.lora.use_dora


def train_together(
    base: Base, members: Sequence[Member], progress: Progress, waiting: deque[Member]
) -> Iterator[Result]:
    """Train `members`, and those who join, in shared passes; each one's result comes as it ends.

    Who cannot share a pass with the first of them, or holds its base in another way, is put into
    `waiting`.
    """
    if not members:
        return
    held = members[0].spec.quantise_base

    def fits(member: Member) -> bool:
        return shares_a_pass(member) and member.spec.quantise_base == held

    waiting.extend(m for m in members if not fits(m))
    members = [m for m in members if fits(m)]
    try:
        model = base.model(task_open(base.work.base.path, members[0].spec), members[0].spec)
    except EngineError as error:
        yield from (failure(member.key, error, progress) for member in members)
        return
    # what is recomputed changes no result, so the most careful member decides for all
    mode = max((m.spec.activation_checkpointing for m in members), key=CHECKPOINTING.index)
    with (
        fast_blocks(model, selective=mode == "selective"),
        checkpointing(model, mode),
        AdapterBank(model) as bank,
        ExitStack() as leftovers,
    ):
        cohort = Cohort(base, bank, progress)
        leftovers.callback(cohort.close)
        newcomers = list(members)
        while newcomers or cohort.seats:
            for member in newcomers:
                yield from cohort.admit(member)
            yield from cohort.round()
            newcomers = []
            for member in progress.joining():
                (newcomers if fits(member) else waiting).append(member)


@dataclass
class Place:
    """A member's place at the table: its session, and what ends with it."""

    session: Session
    stack: ExitStack

    @property
    def run(self) -> Run:
        return self.session.run


@dataclass(frozen=True)
class Portion:
    """One pack of a member's update; `weight` is what each of its learned tokens counts."""

    run: Run
    number: int
    pack: Pack
    weight: float


Gathered = tuple[Score, float]  # of a member's update: sums, and its share of the seconds


class Cohort:
    """The members in training, and the passes that they share."""

    def __init__(self, base: Base, bank: AdapterBank, progress: Progress) -> None:
        self.base, self.bank, self.progress = base, bank, progress
        self.pass_tokens = base.work.pass_tokens
        self.seats: dict[str, Place] = {}

    def admit(self, member: Member) -> Iterator[Result]:
        """Open a member's session; a result comes only where that fails."""
        stack = ExitStack()
        scratch = self.base.work.scratch / member.key / "data"
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        try:
            session = stack.enter_context(seated(self.base, member, self.progress, self.bank))
            session.tell_sizes()
            if member.resume:
                session.resume(member.resume)
        except EngineError as error:
            stack.close()
            yield failure(member.key, error, self.progress)
        else:
            self.seats[member.key] = Place(session, stack)

    def close(self) -> None:
        for place in self.seats.values():
            place.stack.close()
        self.seats.clear()

    def round(self) -> Iterator[Result]:
        """One update of every member, with the evaluations that are due before it."""
        for key in list(self.seats):
            yield from self._prepared(key)
        runs = [place.run for place in self.seats.values()]
        gathered, failed = self._gather(runs) if runs else ({}, {})
        for key, error in failed.items():
            yield self._leave(key, self.seats[key].session.failed(error))
        for key, found in gathered.items():
            yield from self._concluded(key, found)

    def _prepared(self, key: str) -> Iterator[Result]:
        """Close the rounds that are open; whoever has nothing left to do, ends."""
        session = self.seats[key].session
        run = session.run
        try:
            while run.round_is_open and not run.is_done:
                session.close_round()
            if run.is_done:
                yield self._leave(key, session.finished())
        except Stopped as stop:
            yield self._leave(key, session.stopped(stop.outcome))
        except EngineError as error:
            yield self._leave(key, session.failed(error))

    def _concluded(self, key: str, found: Gathered) -> Iterator[Result]:
        session = self.seats[key].session
        try:
            session.report(session.run.conclude(*found))
        except Stopped as stop:
            yield self._leave(key, session.stopped(stop.outcome))
        except EngineError as error:
            yield self._leave(key, session.failed(error))

    def _leave(self, key: str, result: Result) -> Result:
        self.seats.pop(key).stack.close()
        return result

    def _gather(self, runs: Sequence[Run]) -> tuple[dict[str, Gathered], dict[str, EngineError]]:
        """Every member's gradient, in smaller passes when memory runs out.

        Returns what was gathered, and why the others could not be.
        """
        failed: dict[str, EngineError] = {}
        while runs:
            portions = [portion for run in runs for portion in _portions(run)]
            passes = self._passes(portions)
            try:
                return self._gradients(passes), failed
            except (RuntimeError, MemoryError) as error:
                for run in runs:
                    run.optimiser.clear()
                if not is_out_of_memory(error):
                    raise
                failed |= self._make_room(runs, portions, error)
                runs = [run for run in runs if run.member.key not in failed]
        return {}, failed

    def _make_room(
        self, runs: Sequence[Run], portions: Sequence[Portion], error: BaseException
    ) -> dict[str, EngineError]:
        """Halve the passes, and the packs that would not go into one; say who does not fit."""
        longest = max(p.pack.tokens for p in portions)
        if longest < self.pass_tokens:
            self.pass_tokens = max(longest, self.pass_tokens // 2)
            return {}
        failed: dict[str, EngineError] = {}
        for run in runs:
            own = [p.pack for p in portions if p.run is run]
            if max(p.tokens for p in own) == longest:
                try:
                    run.halve(own, error)
                except EngineError as too_large:
                    failed[run.member.key] = too_large
        self.pass_tokens = max(1, longest // 2)
        return failed

    def _passes(self, portions: Sequence[Portion]) -> list[list[Portion]]:
        sizes = [portion.pack.tokens for portion in portions]
        groups = plan(sizes, self.pass_tokens, packing=True)
        return [[portions[i] for i in sorted(group)] for group in groups]

    def _gradients(self, passes: Sequence[Sequence[Portion]]) -> dict[str, Gathered]:
        """Accumulate all members' gradients; time is shared by the tokens that each brought."""
        found: dict[str, Gathered] = {}
        for portions in passes:
            begin = time.perf_counter()
            scores = self._pass(portions)
            per_token = (time.perf_counter() - begin) / sum(score.tokens for score in scores)
            for portion, score in zip(portions, scores, strict=True):
                key = portion.run.member.key
                total, seconds = found.get(key, (Score(), 0.0))
                found[key] = (total + score, seconds + per_token * score.tokens)
        return found

    def _pass(self, portions: Sequence[Portion]) -> list[Score]:
        """One forward and backward pass; each portion's sums."""
        device = self.base.work.numerics.device
        joined = join([portion.pack for portion in portions])
        layout, batch = self.bank.layout, Batch.of(joined, device)
        layout.segments, layout.length = _segments(portions), len(joined.ids)
        sizes = [portion.pack.weight for portion in portions]
        each = torch.tensor([portion.weight for portion in portions], dtype=torch.float64)
        weights = each.repeat_interleave(torch.tensor(sizes))
        weights = weights.to(device, exact_dtype(self.bank.model))
        for portion in portions:
            portion.run.method.clock.step = portion.run.state.step
        total, scored = weighted_loss(self.bank.model, batch, weights)
        total.backward()  # type: ignore[no-untyped-call]
        losses, hits = torch.split(scored.losses, sizes), torch.split(scored.hits, sizes)
        return [
            Score.of(portion.pack, loss.sum(), {"hits": right.sum()})
            for portion, loss, right in zip(portions, losses, hits, strict=True)
        ]


def _portions(run: Run) -> list[Portion]:
    packs: list[Pack] = run.micro_batches()  # type: ignore[assignment]
    weight = 1 / sum(each.weight for each in packs)
    return [Portion(run, number, each, weight) for number, each in enumerate(packs)]


def _segments(portions: Sequence[Portion]) -> list[Segment]:
    """Where each portion lies in the pass."""
    found, token, place = [], 0, 0
    for portion in portions:
        tokens, places = portion.pack.tokens, portion.pack.weight
        found.append(
            Segment(
                portion.run.member.key,
                portion.number,
                slice(token, token + tokens),
                slice(place, place + places),
            )
        )
        token, place = token + tokens, place + places
    return found
