"""int8 against closed forms, torch's own quantised layer, and the compressed-tensors package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.ao.nn.quantized import dynamic as torchs
from transformers import AutoModelForCausalLM

from tests.workers.engine.compression.factories import model_of, output_of
from workers.engine.compression.quantise import (
    Int8Linear,
    layer_errors,
    quantise_model,
    quantise_rows,
)
from workers.engine.errors import ModelError
from workers.engine.models import model_load


def test_rows_are_rounded_to_the_nearest_of_255_steps() -> None:
    x = torch.tensor([[127.0, -64.4, 0.5], [0.0, 0.0, 0.0], [1.0, -1.0, 0.25]])
    numbers, scale = quantise_rows(x)
    assert numbers.tolist() == [[127, -64, 0], [0, 0, 0], [127, -127, 32]]
    torch.testing.assert_close(scale[[0, 2], 0], torch.tensor([1.0, 1 / 127]))
    noise = torch.randn(20, 30)
    numbers, scale = quantise_rows(noise)
    assert ((numbers * scale - noise).abs() <= scale / 2 + 1e-7).all()


def test_weight_only_is_the_rounded_weight() -> None:
    layer = nn.Linear(24, 10)
    numbers, scale = quantise_rows(layer.weight.detach())
    x = torch.randn(3, 5, 24)
    expected = x @ (numbers * scale).t() + layer.bias
    torch.testing.assert_close(Int8Linear.of(layer, dynamic=False)(x), expected)


def test_dynamic_is_exact_arithmetic_on_rounded_numbers() -> None:
    layer = nn.Linear(24, 10)
    x = torch.randn(7, 24)
    weight, w_scale = quantise_rows(layer.weight.detach())
    rows, scale = quantise_rows(x)
    sums = rows.long() @ weight.long().t()
    expected = sums * scale * w_scale.t() + layer.bias
    torch.testing.assert_close(Int8Linear.of(layer, dynamic=True)(x), expected)


def test_dynamic_is_as_near_as_torchs_own() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(128, 64)
    x = torch.randn(32, 128)
    theirs = torchs.Linear(128, 64)
    weight = layer.weight.detach()
    scales = weight.abs().amax(1).double() / 127
    zeros = torch.zeros(64, dtype=torch.long)
    packed = torch.quantize_per_channel(weight, scales, zeros, 0, torch.qint8)
    theirs.set_weight_bias(packed, layer.bias.detach())
    exact = layer(x)
    ours = (Int8Linear.of(layer, dynamic=True)(x) - exact).square().mean()
    assert ours <= 1.1 * (theirs(x) - exact).square().mean()


@pytest.mark.parametrize("kind", ["int8_weight", "int8_dynamic"])
@pytest.mark.parametrize("family", ["llama", "llama tied", "qwen3", "gpt2"])
def test_what_was_saved_is_what_is_loaded(family: str, kind: str, tmp_path: Path) -> None:
    model = model_of(family)
    dense = output_of(family, model)
    quantise_model(model, kind)
    model.save_pretrained(tmp_path)
    loaded = model_load(tmp_path)
    torch.testing.assert_close(
        output_of(family, loaded), output_of(family, model), atol=1e-4, rtol=1e-4
    )
    apart = (output_of(family, model) - dense).norm() / dense.norm()
    assert 0 < apart < 0.1


@pytest.mark.parametrize("kind", ["int8_weight", "int8_dynamic"])
def test_compressed_tensors_reads_the_same_weights(kind: str, tmp_path: Path) -> None:
    model = model_of("llama")
    quantise_model(model, kind)
    model.save_pretrained(tmp_path)
    theirs: Any
    theirs, told = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    expected, found = output_of("llama", theirs.eval()), output_of("llama", model_load(tmp_path))
    apart = (found - expected).norm() / expected.norm()
    # they round activations to 256 steps, we to 255; weights are the same numbers
    assert apart < (0.02 if kind == "int8_dynamic" else 1e-5)


def test_errors_are_weighed_by_the_inputs() -> None:
    layer = nn.Sequential(nn.Linear(3, 1, bias=False))
    layer[0].weight.data = torch.tensor([[127.0, 0.4, 10.0]])  # 0.4 is rounded away
    errors = layer_errors(layer, {"0": torch.tensor([0.0, 1.0, 1.0])})
    assert errors["0"] == pytest.approx(0.4 / (0.4**2 + 10**2) ** 0.5)
    assert layer_errors(layer, {"0": torch.tensor([1.0, 0.0, 1.0])})["0"] == 0


def test_another_quantisation_is_refused(tmp_path: Path) -> None:
    model = model_of("llama")
    model.config.quantization_config = {"quant_method": "gptq", "bits": 4}
    model.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="quantised as 'gptq'"):
        model_load(tmp_path)
