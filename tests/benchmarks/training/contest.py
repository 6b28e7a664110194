"""Contenders in turn, each run in a process of its own: `python -m …contest CONTENDER COURSE`.

A contender's figures are CPU seconds per update, from one update's end to the next one's, collation
included; imports, loading and the first updates are not counted.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workers.tasks.process import ALLOCATOR

if TYPE_CHECKING:
    from workers.engine.data.readers import Example

ROOT = Path(__file__).resolve().parents[3]
WARM_UP = 3  # updates
OURS, OURS_BF16 = "ours", "ours_bf16"
TRL_PACKING, TRL_PADDING_FREE = "trl_packing", "trl_padding_free"


@dataclass(frozen=True)
class Course:
    """What a run trains on: `steps` updates of Zipf draws, for random weights of `size`.

    With a `base` that has learned to read, it is as many pieces of text (`text.py`).
    """

    size: str = ""
    steps: int = 1  # of an epoch
    base: str = ""  # a folder
    epochs: int = 1
    seed: int = 0  # of the order and of the adapter
    kept: str = ""  # the folder that trained adapters go to; nowhere by default


def contest(
    contenders: Sequence[str],
    courses: Sequence[Course],
    note: Callable[..., Any] = lambda _, measure, *given: measure(*given),
) -> dict[str, Any]:
    """Each contender's tokens per CPU second: the median of its runs, which are kept.

    A round is over a course; the next one goes backwards. `note` may know a run from before.
    """
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for number, course in enumerate(courses):
        for name in contenders if number % 2 == 0 else reversed(contenders):
            runs[name].append(note(f"{course.size}-{name}-{number}", run, name, course))
    return {
        "tokens_per_cpu_s": {
            name: statistics.median(speed(each) for each in of_one) for name, of_one in runs.items()
        },
        "runs": runs,
    }


def speed(found: dict[str, Any]) -> float:
    """Real tokens per CPU second, after the warm-up."""
    return float(sum(found["tokens"][WARM_UP:]) / sum(found["seconds"][WARM_UP:]))


def run(contender: str, course: Course) -> dict[str, Any]:
    """One run in a fresh process with one thread. Ours has the allocator's settings that a
    worker's child has; the others have what a user's shell has: none."""
    env = ALLOCATOR if contender in {OURS, OURS_BF16} else {}
    arguments = [__spec__.name, contender, json.dumps(asdict(course))]
    found: dict[str, Any] = answer(arguments, env)
    return found


def answer(arguments: Sequence[str], env: Mapping[str, str]) -> Any:
    """What a module of ours says on its last line, run on one thread, offline."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", *arguments],
        cwd=ROOT,
        env=dict(os.environ)
        | {
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_OFFLINE": "1",
        }
        | env,
        check=True,
        stdout=subprocess.PIPE,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main(contender: str, course: Course) -> None:
    from tests.benchmarks.training.workload import BATCH, padding_efficiency, spec
    from workers.engine.data.order import epoch_order
    from workers.engine.methods.method import method_open
    from workers.engine.models import model_load

    count, given = BATCH * course.steps, spec(seed=course.seed, epochs=course.epochs)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base, examples = prepared(course, folder, count)
        with method_open(model_load(base), given, base, None) as method:
            method.save(folder / "adapter")
        ordered = [examples[place] for place in epoch_order(course.seed, 0, count)]
        kept = Path(course.kept or folder) / f"{contender}-{course.seed}"
        start = {"adapter": folder / "adapter", "scratch": folder, "kept": kept}
        if contender in {OURS, OURS_BF16}:
            from tests.benchmarks.training import ours

            dtype = "float32" if contender == OURS else "bfloat16"
            found = ours.train(base, examples, spec=given, dtype=dtype, **start)
        else:
            theirs = {"epochs": course.epochs, "seed": course.seed} | start
            found = trainer(contender)(base, ordered, **theirs)
    found["padding_efficiency"] = padding_efficiency(ordered)
    found["adapter"] = str(kept)
    sys.stdout.write("\n" + json.dumps(found) + "\n")


def prepared(course: Course, folder: Path, count: int) -> tuple[Path, list[Example]]:
    """The course's base and examples."""
    if course.base:
        from tests.benchmarks.training import text

        return Path(course.base), text.examples(Path(course.base), train=count, held_out=0)[0]
    from tests.benchmarks.training import workload

    base = workload.base_make(folder / "base", workload.SIZES[course.size])
    return base, workload.examples_make(count)


def trainer(contender: str) -> Callable[..., dict[str, Any]]:
    """How a contender of transformers' kind trains."""
    if contender in {TRL_PACKING, TRL_PADDING_FREE}:
        from tests.benchmarks.training import sft

        return partial(sft.train, packing=contender == TRL_PACKING)
    from tests.benchmarks.training import stock

    return partial(stock.train, grouped=contender == "grouped")


if __name__ == "__main__":
    main(sys.argv[1], Course(**json.loads(sys.argv[2])))
