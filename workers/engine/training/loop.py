"""The one training loop: the members of a pass, trained one after another over a shared base.

A cohort's go through each pass together (`cohort`), as far as they can.

Per member: evaluate, then update after update through the epochs, with a beat after each, whose
answer may be to take a snapshot, pause or cancel; at each epoch's end an evaluation and a usable
model. A snapshot resumes at any step.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from workers.engine import devices
from workers.engine.errors import EngineError
from workers.engine.protocol import Member, Progress, Result, Work
from workers.engine.training.cohort import shares_a_pass, train_together
from workers.engine.training.opening import Base, session_open
from workers.engine.training.ranks import ALONE, Ranks
from workers.engine.training.session import Session, Stopped, failure


def train(work: Work, progress: Progress, ranks: Ranks = ALONE) -> Iterator[Result]:
    """Train every member of `work`, and those who join; each one's result comes as it ends.

    With `ranks`, every process of theirs is in here at once (`distributed.rank`).

    An error of the engine's own (bad data, divergence, torn snapshot) ends that member alone, as a
    failed result with its kind. Any other exception, those of `progress` included, ends the pass.
    """
    work = replace(work, numerics=devices.settle(work.numerics))
    base = Base(work, ranks)
    waiting = deque(work.members)
    if work.together and work.numerics.dtype != "float16":  # each scales its own loss
        waiting = deque(m for m in work.members if not shares_a_pass(m))
        sharing = [m for m in work.members if shares_a_pass(m)]
        yield from train_together(base, sharing, progress, waiting)
    while waiting:
        yield _train_member(base, waiting.popleft(), progress)
        waiting.extend(progress.joining())


def _train_member(base: Base, member: Member, progress: Progress) -> Result:
    try:
        with session_open(base, member, progress) as session:
            session.tell_sizes()
            return _train_to_the_end(session)
    except EngineError as error:
        return failure(member.key, error, progress)
    finally:
        shutil.rmtree(base.work.scratch / member.key / "data", ignore_errors=True)


def _train_to_the_end(session: Session) -> Result:
    run = session.run
    try:
        session.prepare()
        if run.member.resume:
            session.resume(run.member.resume)
        while not run.is_done:
            if run.round_is_open:
                session.close_round()
            else:
                session.report(run.update())
        return session.finished()
    except Stopped as stop:
        return session.stopped(stop.outcome)
    except EngineError as error:
        return session.failed(error)
