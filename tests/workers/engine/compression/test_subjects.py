"""What compression asks of a task: passes of one forward each, and which positions are real."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tests.workers.engine.compression.kinds import KINDS, work_of
from workers.engine.compression.calibration import unpadded
from workers.engine.compression.subjects import PAIRS_AT_ONCE, _joined, subject_open
from workers.engine.protocol import Numerics
from workers.engine.tasks.embeddings import Padded


def test_a_pass_over_pairs_is_one_forward_with_the_vectors_of_many(tmp_path: Path) -> None:
    given = KINDS["vectors"](tmp_path)
    spec = work_of(given, tmp_path / "w", prune={"mlp": 0.5}).spec
    subject = subject_open(given.folder, spec)
    data = subject.task.read(given.data, tmp_path / "read", training=False)
    model = subject.task.model(Numerics())
    chosen = range(2 * PAIRS_AT_ONCE)
    calls: list[int] = []
    hook = model.register_forward_hook(lambda *_: calls.append(1))
    passes = subject.passes(data, chosen, 16)
    with torch.no_grad():
        ours = torch.cat([subject.task.outputs(model, batch, "cpu") for batch in passes])
    assert len(calls) == len(passes) == 2
    hook.remove()
    (whole,) = subject.task.micro_batches(data, chosen, 16, packing=False)
    assert len(whole.parts) > 2
    with torch.no_grad():
        torch.testing.assert_close(ours, subject.task.outputs(model, whole, "cpu"))
        seen = subject.forward(model, passes[0], "cpu")
    real = subject.real(passes[0])
    assert real is not None
    assert int(real.sum()) == passes[0].tokens
    assert len(seen) == len(passes[0].parts[0].places)


def test_texts_of_several_passes_are_padded_to_the_longest() -> None:
    short = Padded(np.array([1]), np.array([[5, 6]]), np.array([[1, 1]]))
    long = Padded(
        np.array([0, 2]), np.array([[7, 8, 9], [4, 3, 0]]), np.array([[1, 1, 1], [1, 1, 0]])
    )
    joined = _joined([short, long])
    assert joined.places.tolist() == [1, 0, 2]
    assert joined.ids.tolist() == [[5, 6, 0], [7, 8, 9], [4, 3, 0]]
    assert joined.mask.tolist() == [[1, 1, 0], [1, 1, 1], [1, 1, 0]]


def test_padding_is_left_out_and_what_sees_one_position_a_text_is_not() -> None:
    x = torch.arange(8.0).reshape(4, 2)
    real = torch.tensor([True, False, True, True])
    assert unpadded(x, real).tolist() == [[0, 1], [4, 5], [6, 7]]
    assert unpadded(x, None) is x
    pooled = x[:2]
    assert unpadded(pooled, real) is pooled
