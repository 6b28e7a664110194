"""Our blocks against the library's, in fp64: same hidden states, same gradients, less work.

The library's norms compute in fp32 even so, hence the tolerance.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from tests.workers.engine.factories import CONTEXT, VOCABULARY
from workers.engine.data.packing import pack
from workers.engine.kernels.block import fast_blocks
from workers.engine.kernels.recomputing import Recomputed
from workers.engine.losses import batch_loss
from workers.engine.methods.method import method_open
from workers.engine.models import Batch, hidden_of, model_load
from workers.engine.specs import FineTuneSpec, LoraSpec

FAMILIES = ("llama", "qwen2", "mistral", "qwen3", "gpt2")


@pytest.fixture(scope="module")
def folders(bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=48, num_hidden_layers=3,
        num_attention_heads=4, num_key_value_heads=2, head_dim=12, max_position_embeddings=CONTEXT,
        layer_types=["full_attention", "sliding_attention", "full_attention"],
        sliding_window=5, use_sliding_window=True,
    )  # fmt: skip
    qwen3 = tmp_path_factory.mktemp("qwen3")
    Qwen3ForCausalLM(config).save_pretrained(qwen3)
    return {**bases, "qwen3": qwen3}


def batch() -> Batch:
    """Five sequences: learned at the end, here and there, everywhere, nowhere, at the end."""
    draws = np.random.default_rng(0)
    masks = [
        [0] * 9 + [1] * 12,
        [0, 1, 0, 0, 1, 1, 0, 1, 0, 0],
        [1] * 7,
        [0] * 6,
        [0] * 20 + [1],
    ]
    return Batch.of(
        pack([(draws.integers(2, VOCABULARY, len(m)), np.array(m)) for m in masks]), "cpu"
    )


def measured(folder: Path, spec: FineTuneSpec, *, fast: bool) -> tuple[float, int, dict[str, Any]]:
    """Loss, hits and gradients of one batch, with an adapter whose B is not zero."""
    model = model_load(folder).double()
    with method_open(model, spec, folder, None) as method:
        draws = torch.Generator().manual_seed(1)
        for name, parameter in method.parameters.items():
            if name.endswith(".B"):
                parameter.data = torch.randn(parameter.shape, generator=draws).double() * 0.1
            elif name.endswith(".A"):
                parameter.data = parameter.data.double()
        if fast:
            with fast_blocks(model):
                loss, hits = batch_loss(model, batch())
                loss.backward()
        else:
            loss, hits = batch_loss(model, batch())
            loss.backward()
        return loss.item(), hits, {n: p.grad for n, p in method.parameters.items()}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["lora", "full"])
def test_loss_and_gradients_are_the_librarys(
    folders: dict[str, Path], family: str, method: str
) -> None:
    spec = FineTuneSpec(method=method, lora=LoraSpec(rank=3))
    ours, theirs = (measured(folders[family], spec, fast=fast) for fast in (True, False))
    assert ours[0] == pytest.approx(theirs[0], rel=1e-7)
    assert ours[1] == theirs[1]
    for name, gradient in theirs[2].items():
        assert (ours[2][name] - gradient).norm() <= 1e-5 * gradient.norm(), name


@pytest.mark.parametrize("family", FAMILIES[:4])
def test_the_last_block_computes_the_learned_places_only(
    folders: dict[str, Path], family: str
) -> None:
    model, each, seen = model_load(folders[family]), batch(), []
    with fast_blocks(model):
        model.base_model.norm.register_forward_pre_hook(  # type: ignore[union-attr]
            lambda _, given: seen.append(given[0].shape[1])
        )
        rows = hidden_of(model, each)
    assert seen == [len(each.places)]
    torch.testing.assert_close(rows, hidden_of(model, each), rtol=1e-4, atol=1e-4)


def test_the_librarys_blocks_come_back(base: Path) -> None:
    model = model_load(base)
    with fast_blocks(model):
        assert any("forward" in vars(module) for module in model.modules())
    assert not any("forward" in vars(module) for module in model.modules())


@pytest.mark.parametrize("method", ["lora", "full"])
def test_selective_saving_keeps_less_and_changes_no_bit(
    base: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    spec, each = FineTuneSpec(method=method), batch()
    dropped: set[tuple[int, torch.Size]] = set()
    whole = Recomputed._pack

    def pack_and_count(self: Recomputed, tensor: torch.Tensor) -> Any:
        kept = whole(self, tensor)
        if not isinstance(kept, torch.Tensor):
            dropped.add((tensor.data_ptr(), tensor.shape))
        return kept

    monkeypatch.setattr(Recomputed, "_pack", pack_and_count)
    found = []
    for selective in (False, True):
        model = model_load(base)
        with (
            method_open(model, spec, base, None) as opened,
            fast_blocks(model, selective=selective),
        ):
            loss, _ = batch_loss(model, each)
            loss.backward()
        assert bool(dropped) is selective
        found.append([p.grad for p in opened.parameters.values()])
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
    # the norms' outputs are 32 wide, the gate's is 48
    assert {shape[1] for _, shape in dropped} == {32, 48}
