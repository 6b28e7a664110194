"""Loss, packing and checkpointing against transformers itself, for every family."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.workers.engine.factories import FAMILIES, VOCABULARY, reference_model
from workers.engine.data.packing import Pack, pack
from workers.engine.errors import ModelError
from workers.engine.losses import loss_sum
from workers.engine.models import Batch, logits_of, model_load, parameter_count
from workers.engine.shapes import Shape
from workers.engine.training.activation import checkpointing

SIZES = (17, 1, 5, 30)


def sequences() -> list[tuple[np.ndarray, np.ndarray]]:
    draws = np.random.default_rng(0)
    return [
        (
            draws.integers(VOCABULARY, size=n).astype(np.int32),
            draws.integers(2, size=n).astype(np.uint8),
        )
        for n in SIZES
    ]


def batch(made: Pack) -> Batch:
    return Batch.of(made, "cpu")


@pytest.mark.parametrize("family", FAMILIES)
def test_packed_logits_and_gradients_equal_transformers_one_by_one(
    bases: dict[str, Path], family: str
) -> None:
    # given the same weights in transformers' own model with its eager attention
    theirs, ours = reference_model(bases[family]), model_load(bases[family])
    ours.requires_grad_(True)
    # when: theirs sees each sequence alone with its labels, ours the pack
    total = torch.zeros(())
    for ids, mask in sequences():
        labels = torch.tensor(np.where(mask == 1, ids, -100)).long()[None]
        if (labels[:, 1:] >= 0).any():
            count = (labels[:, 1:] >= 0).sum()
            total = (
                total + theirs(input_ids=torch.tensor(ids)[None].long(), labels=labels).loss * count
            )
    packed = batch(pack(sequences()))
    loss = loss_sum(logits_of(ours, packed), packed.labels)
    # then
    assert loss.item() / len(packed.labels) == pytest.approx(
        total.item() / len(packed.labels), abs=1e-5
    )
    total.backward()
    loss.backward()
    for (name, p), q in zip(theirs.named_parameters(), ours.parameters(), strict=True):
        assert torch.allclose(p.grad, q.grad, rtol=1e-4, atol=1e-4), name


@pytest.mark.parametrize("family", FAMILIES)
def test_a_neighbour_in_the_pack_changes_nothing(bases: dict[str, Path], family: str) -> None:
    model, made = model_load(bases[family]), sequences()
    together = batch(pack(made))
    alone = [logits_of(model, batch(pack([one]))) for one in made if one[1][1:].any()]
    assert torch.allclose(logits_of(model, together), torch.cat(alone), atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_checkpointing_changes_memory_but_no_gradient(bases: dict[str, Path], family: str) -> None:
    model, packed = model_load(bases[family]), batch(pack(sequences()))
    model.requires_grad_(True)
    gradients = []
    for mode in ("none", "full"):
        model.zero_grad()
        with checkpointing(model, mode):
            logits = logits_of(model, packed)
            saved = saved_bytes(model, packed)
            loss_sum(logits, packed.labels).backward()
        gradients.append((saved, [p.grad.clone() for p in model.parameters()]))
    (plain, first), (recomputed, second) = gradients
    assert recomputed < plain / 2
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def saved_bytes(model: torch.nn.Module, packed: Batch) -> int:
    """What autograd keeps for the backward pass, each storage once, parameters left out."""
    kept: dict[int, int] = {}
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        out = loss_sum(logits_of(model, packed), packed.labels)
    del out
    return sum(kept.values())


def test_a_pickle_is_never_opened(base: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((base / "config.json").read_text())
    torch.save({"model.norm.weight": torch.ones(32)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        model_load(tmp_path)


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no causal language model"):
        model_load(tmp_path)


@pytest.mark.parametrize("family", FAMILIES)
def test_sizes_read_from_the_files_equal_the_models(bases: dict[str, Path], family: str) -> None:
    model, shape = model_load(bases[family]), Shape.of_folder(bases[family])
    assert shape.parameters == parameter_count(model)
    assert (shape.layers, shape.hidden, shape.vocabulary) == (2, 32, VOCABULARY)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cross_entropy_and_its_gradient_equal_torchs(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    ours = (torch.randn(9, 40) * 6).to(dtype).requires_grad_(True)
    theirs = ours.detach().clone().requires_grad_(True)
    labels = torch.randint(40, (9,))
    loss = loss_sum(ours, labels)
    wanted = torch.nn.functional.cross_entropy(theirs.float(), labels, reduction="sum")
    (loss / 7).backward()
    (wanted / 7).backward()
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-6)
    assert ours.grad is not None
    assert ours.grad.dtype == dtype
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-6)
