"""The formats on a GPU: torchao's kernels against turning the weights back, on the card itself."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from workers.engine.compression.quantise.accelerated import AcceleratedLinear, accelerate
from workers.engine.compression.quantise.files import quantise_model
from workers.engine.compression.quantise.formats import FORMS
from workers.engine.compression.quantise.linear import QuantisedLinear
from workers.engine.models import model_load

pytestmark = pytest.mark.gpu

# Of a product: bf16's own roundings, and the scales of activations, which torchao takes in bf16. A
# wrong layout is off by more than half.
APART = {"float8_dynamic": 0.03}
# Of logits four layers on, where dynamic ones round what was rounded otherwise before: torchao's
# own tensors on a CPU in bf16 came to 0.029, 0.068, and 0.011 at most.
LOGITS_APART = {"int8_dynamic": 0.06, "float8_dynamic": 0.14}
NEEDS = {"float8_dynamic": (8, 9), "int4_weight": (8, 0)}


def can(kind: str) -> bool:
    return torch.cuda.get_device_capability() >= NEEDS.get(kind, (0, 0))


def seconds(run: Callable[[], Any], repeats: int = 20) -> float:
    for _ in range(3):
        run()
    torch.cuda.synchronize()
    begin = time.perf_counter()
    for _ in range(repeats):
        run()
    torch.cuda.synchronize()
    return (time.perf_counter() - begin) / repeats


def model(folder: Path) -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": 512, "intermediate_size": 1536, "num_attention_heads": 8}
    config = LlamaConfig(**sizes, num_hidden_layers=4, num_key_value_heads=4, vocab_size=1000)
    made = LlamaForCausalLM(config).eval().requires_grad_(requires_grad=False)
    made.save_pretrained(folder)
    return made


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("rows", [1, 16, 17, 512])
def test_a_layers_product_is_that_of_its_weights_turned_back(kind: str, rows: int) -> None:
    torch.manual_seed(0)
    layer = QuantisedLinear.of(
        nn.Linear(1536, 512).to("cuda", torch.bfloat16), FORMS[kind].fit(1536)
    )
    holder = nn.Sequential(layer)
    kept = accelerate(holder)
    if not can(kind):
        assert "needs compute capability" in next(iter(kept))
        return
    assert kept == {}
    assert isinstance(holder[0], AcceleratedLinear)
    x = torch.randn(2, rows, 1536, device="cuda", dtype=torch.bfloat16)
    found, expected = holder(x).float(), layer(x).float()
    assert (found - expected).norm() <= APART.get(kind, 0.01) * expected.norm()


@pytest.mark.parametrize("kind", FORMS)
def test_a_quantised_folder_says_the_same_on_the_card(kind: str, tmp_path: Path) -> None:
    made = model(tmp_path / "dense")
    quantise_model(made, kind)
    made.save_pretrained(tmp_path / kind)
    ids = torch.randint(1000, (4, 128), generator=torch.Generator().manual_seed(0))

    def logits(found: nn.Module, device: str) -> Tensor:
        with torch.no_grad():
            out: Tensor = found(input_ids=ids.to(device)).logits
        return out.float().cpu()

    expected = logits(model_load(tmp_path / kind), "cpu")
    loaded = model_load(tmp_path / kind, dtype="bfloat16", device="cuda")
    assert not can(kind) or any(isinstance(m, AcceleratedLinear) for m in loaded.modules())
    apart = (logits(loaded, "cuda") - expected).norm() / expected.norm()
    dense = model_load(tmp_path / "dense", dtype="bfloat16", device="cuda")
    ratio = seconds(lambda: logits(loaded, "cuda")) / seconds(lambda: logits(dense, "cuda"))
    sys.stdout.write(f"{kind}: {apart:.4f} from the CPU's, {ratio:.2f} of dense bf16's time\n")
    assert apart < LOGITS_APART.get(kind, 0.025)


def test_what_a_kernel_refuses_is_turned_back_and_told() -> None:
    layer = QuantisedLinear.of(nn.Linear(60, 36).to("cuda", torch.bfloat16), FORMS["int8_dynamic"])
    holder = nn.Sequential(layer)
    (reason,) = accelerate(holder)
    assert "multiples of 8" in reason
    assert holder[0] is layer
    assert torch.isfinite(holder(torch.randn(3, 60, device="cuda", dtype=torch.bfloat16))).all()
