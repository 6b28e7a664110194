"""torchao's tensors from our stored numbers, as far as a CPU runs them; the rest is in test_gpu."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from torchao.quantization import Float8Tensor, Int8Tensor, PerRow
from torchao.quantization.quantize_.common import KernelPreference
from torchao.quantization.quantize_.workflows import QuantizeTensorToInt8Kwargs

from tests.workers.engine.compression.factories import model_of, output_of
from workers.engine.compression.quantise.accelerated import (
    KERNELS,
    AcceleratedLinear,
    TorchaoLinear,
    accelerate,
    accelerated,
    refusal,
)
from workers.engine.compression.quantise.files import quantise_model
from workers.engine.compression.quantise.formats import FORMS, Int4Weight
from workers.engine.compression.quantise.linear import QuantisedLinear, numbers_of
from workers.engine.compression.quantise.numbers import float8_rows, int8_rows
from workers.engine.compression.quantise.tensors import float8_tensor, tinygemm
from workers.engine.models import model_load

HOPPER, ADA, AMPERE, TURING = (9, 0), (8, 9), (8, 0), (7, 5)
ON_CPU = ["int8_weight", "int8_dynamic", "float8_weight", "float8_dynamic"]
BF16 = torch.bfloat16


def layer_of(kind: str, dtype: torch.dtype = BF16) -> QuantisedLinear:
    """64 × 128."""
    torch.manual_seed(0)
    return QuantisedLinear.of(nn.Linear(128, 64).to(dtype), FORMS[kind].fit(128))


def test_e4m3_numbers_are_torchaos_own() -> None:
    weight = torch.randn(64, 128, generator=torch.Generator().manual_seed(0))
    theirs = Float8Tensor.from_hp(
        weight, granularity=PerRow(), kernel_preference=KernelPreference.TORCH
    )
    numbers, scale = float8_rows(weight)
    assert torch.equal(numbers.view(torch.uint8), theirs.qdata.view(torch.uint8))
    assert torch.equal(scale, theirs.scale)


def test_int8_numbers_are_torchaos_at_the_same_scale() -> None:
    weight = torch.randn(64, 128, generator=torch.Generator().manual_seed(0))
    numbers, scale = int8_rows(weight)
    assert torch.equal(numbers, Int8Tensor.from_hp(weight, PerRow(), scale=scale).qdata)


@pytest.mark.parametrize("dtype", [torch.float32, BF16])
@pytest.mark.parametrize("kind", ON_CPU)
def test_a_kernels_product_is_ours(kind: str, dtype: torch.dtype) -> None:
    layer = layer_of(kind, dtype=dtype)
    made = KERNELS[kind](layer)
    for shape in ((1, 128), (3, 40, 128)):
        x = torch.randn(*shape, generator=torch.Generator().manual_seed(1)).to(dtype)
        found, expected = made(x), layer(x)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        apart = (found.float() - expected.float()).norm() / expected.float().norm()
        # torchao takes the scale of a bf16 token in bf16, and rounds some numbers otherwise for it
        assert apart <= (1e-6 if dtype != BF16 else 0.02 if kind == "float8_dynamic" else 2**-7)


def test_a_dynamic_int8_product_is_torchaos_but_for_its_half_a_step() -> None:
    """It takes the scale of a token from 127.5 steps, and lets the largest fall on 127."""
    layer = layer_of("int8_dynamic", dtype=torch.float32)
    numbers, scale = layer.stored["weight"], layer.stored["weight_scale"]
    tokens = QuantizeTensorToInt8Kwargs(granularity=PerRow())
    theirs = Int8Tensor(numbers, scale, [1, 128], torch.float32, act_quant_kwargs=tokens)
    x = torch.randn(40, 128, generator=torch.Generator().manual_seed(1))
    expected = linear(x, theirs, layer.bias)
    apart = (layer(x) - expected).norm() / expected.norm()
    assert 0 < apart < 0.01


@pytest.mark.parametrize("kind", ON_CPU)
def test_a_token_of_zeros_stays_one(kind: str) -> None:
    layer = layer_of(kind)
    x = torch.zeros(20, 128, dtype=BF16)
    found = KERNELS[kind](layer)(x)
    torch.testing.assert_close(found, layer.bias.expand(20, -1))


@pytest.mark.parametrize(
    ("outputs", "inputs", "form"),
    [
        (64, 256, Int4Weight(128)),
        (40, 192, Int4Weight(64)),
        (64, 32, Int4Weight(32)),
        (8, 1024, Int4Weight(128)),
        (10, 48, Int4Weight(0)),
        (24, 1000, Int4Weight(0)),
    ],
)
def test_int4_counts_as_torchs_kernel_does(outputs: int, inputs: int, form: Int4Weight) -> None:
    """The same numbers, scales and padding through the kernel for CPUs, which packs another way."""
    torch.manual_seed(0)
    assert form.fit(inputs) == form
    layer = QuantisedLinear.of(nn.Linear(inputs, outputs).to(BF16), form)
    numbers, scales, group = tinygemm(layer)
    assert group in {32, 64, 128}
    assert numbers.shape[1] % 1024 == 0
    assert numbers.shape[0] % 8 == 0
    x = torch.randn(5, inputs).to(BF16)
    wide = torch.zeros(5, numbers.shape[1], dtype=BF16)
    wide[:, :inputs] = x
    tiles = torch.ops.aten._convert_weight_to_int4pack_for_cpu(_in_sixteens(numbers).int(), 8)
    scales = torch.nn.functional.pad(scales, (0, 0, 0, -scales.shape[1] % 16))
    sums = torch.ops.aten._weight_int4pack_mm_for_cpu(wide, tiles, group, scales)
    found = sums[:, :outputs] + layer.bias
    expected = layer(x).float()
    assert (found.float() - expected).norm() <= 2**-7 * expected.norm()


def _in_sixteens(numbers: Tensor) -> Tensor:
    """Filled up to the rows that the kernel for CPUs wants."""
    return torch.nn.functional.pad(numbers, (0, 0, 0, -numbers.shape[0] % 16), value=8)


@pytest.mark.parametrize(
    ("kind", "shape", "dtype", "capability", "reason"),
    [
        (
            "float8_dynamic",
            (64, 128),
            BF16,
            AMPERE,
            "needs compute capability 8.9; this card has",
        ),
        ("float8_dynamic", (64, 128), BF16, ADA, ""),
        ("float8_dynamic", (64, 128), torch.float32, HOPPER, "in torch.bfloat16 only"),
        ("float8_dynamic", (64, 120), BF16, HOPPER, "multiples of 16; a layer is 64 × 120"),
        ("float8_weight", (3, 5), torch.float32, TURING, ""),
        ("int8_dynamic", (60, 128), BF16, HOPPER, "multiples of 8; a layer is 60 × 128"),
        ("int8_dynamic", (64, 120), torch.float32, TURING, ""),
        ("int8_weight", (3, 5), torch.float16, TURING, ""),
        ("int4_weight", (64, 128), BF16, TURING, "needs compute capability 8.0; this card has 7.5"),
        ("int4_weight", (64, 128), torch.float16, HOPPER, "in torch.bfloat16 only"),
        ("int4_weight", (10, 48), BF16, AMPERE, ""),
    ],
)
def test_what_a_card_cannot_do_is_said(
    kind: str, shape: tuple[int, int], dtype: torch.dtype, capability: tuple[int, int], reason: str
) -> None:
    found = refusal(FORMS[kind].fit(shape[1]), shape, dtype, capability)
    assert reason in found
    assert bool(found) == bool(reason)


@pytest.mark.parametrize("kind", ON_CPU)
def test_what_agrees_is_used(kind: str) -> None:
    found = accelerated(layer_of(kind), HOPPER)
    assert isinstance(found, AcceleratedLinear), found


def test_a_kernel_that_fails_is_not_used() -> None:
    """int4's packing has no form for CPUs."""
    found = accelerated(layer_of("int4_weight"), HOPPER)
    assert isinstance(found, str)
    assert found.startswith("the kernel refused 64 × 128 (")


def test_a_kernel_that_does_not_agree_is_not_used() -> None:
    layer = layer_of("float8_weight")
    right = float8_tensor(layer)
    stored = layer.stored["weight"]
    layer.weight = stored.float().flip(0).to(stored.dtype)
    made = TorchaoLinear(layer, right)
    x = torch.randn(4, 128).to(BF16)
    assert (made(x) - layer(x)).norm() > 0.5 * layer(x).norm()  # what a wrong layout does
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(KERNELS, "float8_weight", lambda layer: TorchaoLinear(layer, right))
        found = accelerated(layer, HOPPER)
    assert isinstance(found, str)
    assert "is off by" in found


@pytest.mark.parametrize("kind", ON_CPU)
def test_a_whole_model_says_the_same_by_kernels(kind: str) -> None:
    model = model_of("llama").to(BF16)
    quantise_model(model, kind)
    expected, count = output_of("llama", model).float(), numbers_of(model)
    refused = []
    for name, layer in list(model.named_modules()):
        if isinstance(layer, QuantisedLinear):
            found = accelerated(layer, HOPPER)
            if isinstance(found, str):
                refused.append(found)
            else:
                model.set_submodule(name, found)
    assert refused == []
    found = output_of("llama", model).float()
    assert (found - expected).norm() < 0.06 * expected.norm()
    assert not any(isinstance(m, QuantisedLinear) for m in model.modules())
    assert numbers_of(model) == count


def test_on_a_cpu_nothing_changes(tmp_path: Path) -> None:
    model = model_of("llama")
    quantise_model(model, "int8_dynamic")
    model.save_pretrained(tmp_path)
    loaded = model_load(tmp_path)
    assert accelerate(loaded) == {}
    layers = [m for m in loaded.modules() if hasattr(m, "form")]
    assert layers
    assert all(type(layer) is QuantisedLinear for layer in layers)
