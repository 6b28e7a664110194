"""One fine-tune from beginning to end, and what came of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tests.workers.engine.factories import Recorder, handle, spec, work
from workers.engine.data.chat import ChatTemplate
from workers.engine.data.readers import Example, read_examples
from workers.engine.data.tokens import Tokenizer
from workers.engine.protocol import Member, Result
from workers.engine.training.loop import train


def run(
    base: Path, data: Path, folder: Path, progress: Recorder, *, name: str = "run", **given: Any
) -> Result:
    """Train one member in `folder`; `given` are its spec, and `resume`, `validation`, `device`."""
    resume, validation = given.pop("resume", None), given.pop("validation", None)
    device = given.pop("device", "cpu")
    member = Member(
        "m",
        spec(**given),
        handle(data),
        resume=resume,
        validation=handle(validation) if validation else None,
    )
    asked = work(base, folder / name, member)
    numerics = replace(asked.numerics, device=device, dtype=member.spec.dtype)
    (result,) = train(replace(asked, numerics=numerics), progress)
    return result


def weights(result: Result) -> dict[str, torch.Tensor]:
    """The tensors of the artifact, by name."""
    assert result.artifact is not None, result.error
    (path,) = result.artifact.path.glob("*.safetensors")
    return load_file(path)


def size_of(base: Path, data: Path) -> int:
    """How many tokens one pass over `data` is."""
    tokenizer, template = Tokenizer.load(base), ChatTemplate.load(base)
    examples = read_examples(data, tokenizer, template, "error", 96)
    return sum(len(example.ids) for example in examples if isinstance(example, Example))
