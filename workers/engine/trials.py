"""Short real fine-tunes of any task on made-up data: what their time is made of, and how surely.

The model of the time is that of `profiles`: operations, updates, passes and sequences. Each trial
is also told by all the others, and how far off that is gives the bounds of quotes.
"""

from __future__ import annotations

import math
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from workers.engine import devices
from workers.engine.clocks import clock_of
from workers.engine.fitting import bounded, nonnegative
from workers.engine.made_up import file_make
from workers.engine.models import config_load, context_length
from workers.engine.profiles import PREFERENCE, DataSize, Profile, run_s
from workers.engine.progress import Silent
from workers.engine.protocol import (
    HUGGING_FACE_MODEL,
    JSONL,
    Handle,
    Member,
    Numerics,
    Work,
)
from workers.engine.shapes import Shape, table_shape
from workers.engine.specs import PRESETS, FineTuneSpec
from workers.engine.training.member import Run, Update
from workers.engine.training.opening import Base, session_open

UPDATES, LEAST_S = 3, 0.25  # that are timed after a first, and so long at least
READINGS = 3  # of a file, of which the quickest counts: what is left of the opening is the loading
WORDS_FIT = 12  # tokens of context for each word of a typical text, the longest having four times
EPOCHS = 1000  # more than there is time for
MANY = {"tabular": 12}  # of an epoch, where one takes next to nothing
COSTS = ("flops", "update_s", "pack_s", "sequence_s", "layer_s")


@dataclass(frozen=True)
class Trial:
    """Examples an update, tokens a pass, words of a text or columns of a table; a table's net."""

    batch: int
    pass_tokens: int = 2048
    size: int = 16
    hidden: str = "small"


TEXTS = (
    Trial(2, size=8),
    Trial(2, size=60),
    Trial(3, 64, size=30),
    Trial(4, size=24),
    Trial(6, 128, size=16),
    Trial(8, size=8),
    Trial(8, 256, size=24),
    Trial(12, size=12),
    Trial(16, 128, size=6),
)
SAMPLES = tuple(
    Trial(batch, pass_tokens)
    for batch, pass_tokens in (
        (1, 2048),
        (2, 2048),
        (3, 64),
        (4, 2048),
        (6, 128),
        (8, 2048),
        (12, 512),
        (16, 2048),
        (24, 1024),
    )
)
TABLES = (
    Trial(1, size=4, hidden="linear"),
    Trial(4, size=30, hidden="seed"),
    Trial(16, size=10),
    Trial(24, 64, size=12, hidden="linear"),
    Trial(32, 128, size=16, hidden="seed"),
    Trial(48, 64, size=32, hidden="medium"),
    Trial(64, 256, size=8, hidden="medium"),
    Trial(64, 16_384, size=60),
    Trial(128, size=10, hidden="seed"),
    Trial(160, 256, size=40, hidden="linear"),
    Trial(200, 128, size=55),
    Trial(256, 16_384, size=20, hidden="medium"),
    Trial(320, 512, size=50, hidden="seed"),
    Trial(360, 2048, size=40, hidden="linear"),
    Trial(400, 4096, size=30),
    Trial(512, 1024, size=5),
)
TRIALS: Mapping[str, tuple[Trial, ...]] = {
    "audio_classification": SAMPLES,
    "embeddings": TEXTS,
    "image_classification": SAMPLES,
    "preference": TEXTS,
    "tabular": TABLES,
    "text_classification": TEXTS,
}


@dataclass(frozen=True)
class Timed:
    """What one trial was: `seconds` of its updates, `read_s` of a token of its file, `load_s` of
    its model.
    """

    spec: FineTuneSpec
    shape: Shape
    size: DataSize
    seconds: float
    read_s: float
    load_s: float


def measure_task(
    base: Path, numerics: Numerics, spec: FineTuneSpec, *, text: Profile | None = None
) -> Profile:
    """A profile of this machine for fine-tunes of `spec`'s task and method.

    Preferences go through the passes of text generation: they take the costs of `text`, and trials
    only say how surely.
    """
    devices.settle(numerics)
    runs = [
        trial_run(base, numerics, spec, trial, seed) for seed, trial in enumerate(TRIALS[spec.task])
    ]
    load_s = statistics.median(run.load_s for run in runs)
    read_s = statistics.median(run.read_s for run in runs)
    if spec.task == PREFERENCE and text is not None:
        found = replace(text, task=spec.task, load_s=load_s, read_s=read_s, segment_s=None)
        return bounded(found, [run.seconds / computed(run, found) for run in runs])
    nothing = Profile(
        device=numerics.device,
        dtype=numerics.dtype,
        threads=numerics.threads,
        flops=1.0,
        update_s=0.0,
        pack_s=0.0,
        load_s=load_s,
        spread=0.0,
        task=spec.task,
        method=spec.method,
        rank=spec.lora.rank,
        read_s=read_s,
    )
    others = [[run for run in runs if run is not one] for one in runs]
    ratios = [
        one.seconds / computed(one, fitted(rest, nothing))
        for one, rest in zip(runs, others, strict=True)
    ]
    return bounded(fitted(runs, nothing), ratios)


def fitted(runs: Sequence[Timed], nothing: Profile) -> Profile:
    """The profile whose costs explain the runs best, relatively; `nothing` costs nothing."""
    nothing = replace(nothing, flops=math.inf)
    depths = {run.shape.layers for run in runs}
    names = COSTS if len(depths) > 1 else COSTS[:-1]  # of one depth, a layer is part of a pass
    units = [replace(nothing, **{name: 1.0}) for name in names]  # type: ignore[arg-type]
    rows = np.array([[computed(run, unit) / run.seconds for unit in units] for run in runs])
    slowness, *seconds = nonnegative(rows)
    found = dict(zip(names[1:], map(float, seconds), strict=True))
    # where trials are too small to tell what operations cost, the fastest one bounds it
    flops = 1 / slowness if slowness > 0 else rows[:, 0].max()
    return replace(nothing, flops=float(flops), **found)  # type: ignore[arg-type]


def computed(run: Timed, profile: Profile) -> float:
    """What a profile says that a trial takes."""
    return run_s(run.spec, run.shape, run.size, profile)


def trial_run(base: Path, numerics: Numerics, spec: FineTuneSpec, trial: Trial, seed: int) -> Timed:
    """A few updates, each of them a real one."""
    clock = clock_of(numerics.device)
    asked = _asked(spec, trial)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        count = trial.batch * (MANY.get(spec.task, UPDATES) + 1)
        path = folder / "data"
        size = _words(base, trial) if spec.task == PREFERENCE else trial.size
        file_make(spec.task, base, path, count=count, size=size, seed=seed)
        work = Work(Handle(base, HUGGING_FACE_MODEL, ""), (), folder / "work", numerics)
        again = replace(asked, epochs=EPOCHS, schedule="constant")
        member = Member("trial", again, Handle(path, JSONL, ""))
        begin = clock()
        with session_open(Base(work), member, Silent()) as session:
            run, opened_s = session.run, clock() - begin
            read_s = min(_read_s(run, path, folder / f"again{n}", clock) for n in range(READINGS))
            session.prepare()
            run.update()
            done: list[Update] = []
            begin = clock()
            while len(done) < UPDATES or clock() - begin < LEAST_S:
                done.append(run.update())
            seconds = clock() - begin
        sizes, tokens = run.data.sizes, sum(each.tokens for each in done)
        learned = round(sizes.loss_tokens * tokens / sizes.tokens)
        made = DataSize(trial.batch * len(done), tokens, learned)
        return Timed(
            asked, _shape(base, asked, trial), made, seconds,
            read_s / sizes.tokens, max(0.0, opened_s - read_s),
        )  # fmt: skip


def _read_s(run: Run, path: Path, folder: Path, clock: Callable[[], float]) -> float:
    begin = clock()
    run.task.read(path, folder, training=True)
    return clock() - begin


def _words(base: Path, trial: Trial) -> int:
    """So many that a prompt leaves room for an output where the model reads little."""
    return max(1, min(trial.size, context_length(config_load(base)) // WORDS_FIT))


def _asked(spec: FineTuneSpec, trial: Trial) -> FineTuneSpec:
    return replace(
        spec,
        batch_size=trial.batch,
        micro_batch_tokens=trial.pass_tokens,
        tabular=replace(spec.tabular, hidden=trial.hidden),
        learning_rate=1e-5,
        epochs=1,
        length_policy="truncate",
        snapshot_every_steps=0,
        evaluate_each_epoch=False,
    )


def _shape(base: Path, spec: FineTuneSpec, trial: Trial) -> Shape:
    if spec.task == "tabular":
        return table_shape(PRESETS[trial.hidden], trial.size)
    return Shape.of_folder(base)
