"""One member and the outside: beats and their answers, usage, snapshots, checkpoints, results."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from workers.engine.errors import EngineError
from workers.engine.folders import folder_digest
from workers.engine.kernels.nf4 import Nf4
from workers.engine.models import packed_weights
from workers.engine.protocol import Command, FailureKind, Handle, Outcome, Progress, Result
from workers.engine.tasks.scores import Score
from workers.engine.tasks.task import HasBaseline, Prepares
from workers.engine.training.member import Run, Update
from workers.engine.training.precision import Precision
from workers.engine.training.snapshots import Origin

USED_EVERY_STEPS = 10
STOPS = {Command.CANCEL: Outcome.CANCELLED, Command.PAUSE: Outcome.PAUSED}


class Stopped(Exception):
    """The outside asked to stop."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


@dataclass
class Session:
    """`run` and whom it reports to; `flops` is that of training on one token."""

    run: Run
    progress: Progress
    scratch: Path
    origin: Origin
    flops: float
    offloaded: tuple[int, int] = (0, 0)  # blocks that are read whenever they compute, of all

    @property
    def key(self) -> str:
        return self.run.member.key

    def resume(self, snapshot: Handle) -> None:
        """Go on from an earlier attempt's snapshot, and say whether bit for bit."""
        equal = self.run.resume(snapshot.path, self.origin)
        step = self.run.state.step
        how, level = "bit for bit as if it had never stopped", "info"
        if self.origin.is_shared:
            how = "within rounding: its passes are shared"
        elif not equal:
            how, level = "within rounding: this machine differs", "warn"
        self.progress.event(
            self.key,
            level,
            f"Resumed after step {step}, {how}.",
            {"step": step, "bit_equal": equal},
        )

    def prepare(self) -> None:
        """Let the task ask the model, as training begins, what it needs to know of the data.

        Comes before an earlier attempt's weights are put back, so nothing is stored meanwhile.

        Raises:
            Stopped: the answer to a beat was to pause or to cancel.
        """
        run = self.run
        if not isinstance(run.task, Prepares):
            return
        size = run.state.micro_batch_tokens
        for data in (run.data, run.validation):
            if data is None:
                continue
            scores = run.task.prepare(run.model, data, size, run.device)
            for score in _each(scores, run.precision):
                run.state.evaluated += score.tokens
                command = self.progress.beat(self.key, 0, run.steps, run.cursor, {})
                if command in STOPS:
                    raise Stopped(STOPS[command])

    def tell_sizes(self) -> None:
        """Say what will be trained on; a warning if the length policy left something off."""
        sizes = self.run.data.sizes
        message = (
            f"Training on {sizes.examples:,} examples of {sizes.tokens:,} tokens, "
            f"{sizes.loss_tokens:,} of them learned, in {self.run.steps:,} steps."
        )
        processes, asked = self.run.ranks.count, self.run.spec.processes
        if max(processes, asked) > 1:
            message += f" {processes} of {asked} processes that were asked for share each step."
        if sizes.cut_tokens:
            message += f" {sizes.cut_tokens:,} tokens past max_length were left off."
        level = "warn" if sizes.cut_tokens else "info"
        self.progress.event(self.key, level, message, asdict(sizes) | {"steps": self.run.steps})
        if self.offloaded[0]:
            self._tell_of_offloading(*self.offloaded)
        if packed := packed_weights(self.run.model):
            self._tell_of_four_bits(packed)

    def _tell_of_four_bits(self, packed: Sequence[Nf4]) -> None:
        held = sum(weight.nbytes for weight in packed)
        whole = sum(weight.numel() * weight.dtype.itemsize for weight in packed)
        message = (
            f"The base's {len(packed)} linear layers are held in 4 bits: {held:,} bytes instead of "
            f"{whole:,}. The adapter is served over the base as it is."
        )
        data = {"layers": len(packed), "bytes": held, "bytes_whole": whole}
        self.progress.event(self.key, "info", message, data)

    def _tell_of_offloading(self, offloaded: int, of: int) -> None:
        message = (
            f"The model does not fit in memory: {offloaded} of its {of} layers are read from disk "
            "each time that they compute. That takes longer; the result stays the same."
        )
        data = {"offloaded_layers": offloaded, "layers": of}
        self.progress.event(self.key, "warn", message, data)

    def report(self, done: Update) -> None:
        """Meter and tell one update, then do what the answer says.

        Raises:
            Stopped: the answer was to pause or to cancel.
        """
        state = self.run.state
        if done.halved_to:
            self._tell_of_memory(done.halved_to)
        state.meter.add(done.tokens, done.seconds, done.tokens * self.flops)
        if state.step % USED_EVERY_STEPS == 0 or state.step == self.run.steps:
            self.report_usage()
        self.beat(done.metrics(), snapshot_due=self._snapshot_is_due())

    def report_usage(self) -> None:
        """Report the interval so far, if it holds anything."""
        state = self.run.state
        meter = state.meter
        if state.step > meter.start:
            self.progress.used(
                self.key,
                meter.seq,
                meter.start,
                state.step,
                meter.tokens,
                meter.device_s,
                meter.flops,
            )
            state.meter = meter.closed(state.step)

    def _tell_of_memory(self, tokens: int) -> None:
        message = (
            f"Memory ran out; forward passes now take {tokens} tokens. The result stays the same."
        )
        self.progress.event(self.key, "warn", message, {"micro_batch_tokens": tokens})

    def _snapshot_is_due(self) -> bool:
        every = self.run.spec.snapshot_every_steps
        return bool(every) and self.run.state.step % every == 0

    def beat(self, metrics: Mapping[str, float], *, snapshot_due: bool = False) -> None:
        """Tell where the run stands and obey the answer.

        Raises:
            Stopped: the answer was to pause or to cancel.
        """
        run = self.run
        command = self.progress.beat(self.key, run.state.step, run.steps, run.cursor, metrics)
        if command is Command.CANCEL:
            self.report_usage()
            raise Stopped(Outcome.CANCELLED)
        if snapshot_due or command in (Command.SNAPSHOT, Command.PAUSE):
            self.snapshot()
        if command is Command.PAUSE:
            raise Stopped(Outcome.PAUSED)

    def snapshot(self) -> None:
        """Write a snapshot and hand it over; returns when it is durable."""
        step = self.run.state.step
        folder = self.scratch / "snapshots" / f"step-{step:08d}"
        self.run.snapshot(folder, self.origin)
        self.progress.snapshot(self.key, step, folder)
        shutil.rmtree(folder, ignore_errors=True)

    def close_round(self) -> None:
        """At an evaluation point: measure on held-out data.

        After an epoch, also hand over a usable model.
        """
        run = self.run
        wanted = run.validation is not None and run.spec.evaluate_each_epoch
        metrics = dict(self._validate()) if wanted else {}
        if run.state.closed:
            metrics |= run.epoch_metrics()
        if run.state.closed == 0:
            run.state.metrics |= {f"initial_{name}": value for name, value in metrics.items()}
            if wanted and isinstance(run.task, HasBaseline):
                plain = run.task.baseline(run.data, run.validation)
                metrics |= {f"baseline_{name}": value for name, value in plain.items()}
        run.state.metrics |= metrics
        if run.state.closed:
            self._checkpoint(metrics)
        run.state.closed += 1
        if wanted and run.note_validation(metrics["validation_loss"]):
            self._tell_of_early_stop()
        if metrics:
            self.beat(metrics)

    def _tell_of_early_stop(self) -> None:
        state = self.run.state
        best = f"the checkpoint of step {state.best_step}" if state.best_step else "the base"
        message = (
            f"Stopped early after step {state.step} of {self.run.steps}: validation loss has not "
            f"fallen below {state.best_loss:.4f} for {state.worse_rounds} epochs. Best is {best}."
        )
        data = {"step": state.step, "best_step": state.best_step, "best_loss": state.best_loss}
        self.progress.event(self.key, "info", message, data)

    def _validate(self) -> Mapping[str, float]:
        run, total = self.run, Score()
        assert run.validation is not None  # noqa: S101  (the caller's condition, for the type checker)
        size = run.state.micro_batch_tokens
        with run.method.alone():
            scores = run.task.scores(run.model, run.validation, size, run.device)
            for score in _each(scores, run.precision):
                total += score
                run.state.evaluated += score.tokens
                self.beat({})
        return {f"validation_{name}": n for name, n in run.task.metrics(total).items()}

    def _checkpoint(self, metrics: Mapping[str, float]) -> None:
        self.run.check_weights()
        step = self.run.state.step
        folder = self.scratch / "checkpoints" / f"step-{step:08d}"
        self.run.save(folder)
        self.progress.checkpoint(self.key, step, folder, metrics)
        shutil.rmtree(folder, ignore_errors=True)

    def finished(self) -> Result:
        """The member's model and final figures.

        Raises:
            DivergedError: the last updates broke the weights.
        """
        self.run.check_weights()
        folder = self.scratch / "artifact"
        self.run.save(folder)
        artifact = None
        if self.run.ranks.is_first:
            artifact = Handle(folder, self.run.method.media_type, folder_digest(folder))
        return Result(self.key, Outcome.SUCCEEDED, artifact, self._final_metrics())

    def stopped(self, outcome: Outcome) -> Result:
        """The result of a member that was paused or cancelled."""
        return Result(self.key, outcome, metrics=self._final_metrics())

    def failed(self, error: EngineError) -> Result:
        """The result of a member that cannot go on; what a customer's failure used is reported."""
        if error.customers:
            self.report_usage()
        return failure(self.key, error, self.progress, self._final_metrics())

    def _final_metrics(self) -> dict[str, float]:
        state = self.run.state
        return {
            **state.metrics,
            "steps": float(state.step),
            "trained_tokens": float(state.trained_tokens),
        }


def _each(scores: Iterator[Score], precision: Precision) -> Iterator[Score]:
    """The scores, each of a pass in that precision."""
    while True:
        with precision.computing():
            score = next(scores, None)
        if score is None:
            return
        yield score


def failure(
    key: str, error: EngineError, progress: Progress, metrics: Mapping[str, float] | None = None
) -> Result:
    """A failed result of the error's kind, also said in an event."""
    kind = FailureKind.CUSTOMER if error.customers else FailureKind.PLATFORM
    progress.event(key, "error", str(error), {"code": error.code, "kind": kind.value})
    return Result(key, Outcome.FAILED, metrics=metrics or {}, failure=kind, error=str(error))
