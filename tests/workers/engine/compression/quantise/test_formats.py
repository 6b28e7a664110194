"""What each format computes, against the arithmetic written out, torch's own layer, and torchao."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.ao.nn.quantized import dynamic as torchs

from workers.engine.compression.quantise.formats import FORMS, Int4Weight, form_of
from workers.engine.compression.quantise.linear import QuantisedLinear
from workers.engine.compression.quantise.numbers import float8_rows, int4_groups, int8_rows
from workers.engine.compression.specs import FORMATS, GPU_FORMATS


def rounded(weight: Tensor, kind: str) -> Tensor:
    """The weight that a format means, in a way of its own."""
    if kind == "int4_weight":
        numbers, scale = int4_groups(weight, weight.shape[1])
        return numbers * scale.float()
    numbers, scale = (int8_rows if kind.startswith("int8") else float8_rows)(weight)
    return numbers.float() * scale


def test_settings_and_engine_know_the_same_formats() -> None:
    assert {"none", *FORMS} == FORMATS.keys()
    assert set(GPU_FORMATS) < FORMS.keys()


@pytest.mark.parametrize("kind", ["int8_weight", "float8_weight", "int4_weight"])
def test_weight_only_is_the_rounded_weight(kind: str) -> None:
    layer = nn.Linear(24, 10)
    x = torch.randn(3, 5, 24)
    expected = x @ rounded(layer.weight.detach(), kind).t() + layer.bias
    torch.testing.assert_close(QuantisedLinear.of(layer, FORMS[kind])(x), expected)


def test_dynamic_int8_is_exact_arithmetic_on_rounded_numbers() -> None:
    layer = nn.Linear(24, 10)
    x = torch.randn(7, 24)
    weight, w_scale = int8_rows(layer.weight.detach())
    rows, scale = int8_rows(x)
    sums = rows.long() @ weight.long().t()
    expected = sums * scale * w_scale.t() + layer.bias
    made = QuantisedLinear.of(layer, FORMS["int8_dynamic"])
    torch.testing.assert_close(made(x), expected)
    # and where integers are not multiplied exactly, the same by way of real numbers
    torch.testing.assert_close(
        super(type(made.form), made.form).multiply(x, made.stored, made.bias), expected
    )


def test_dynamic_float8_multiplies_rounded_numbers() -> None:
    layer = nn.Linear(24, 10)
    x = torch.randn(2, 7, 24)
    weight, w_scale = float8_rows(layer.weight.detach())
    rows, scale = float8_rows(x.flatten(0, 1))
    sums = rows.double() @ weight.double().t()
    expected = (sums * scale * w_scale.t()).view(2, 7, 10) + layer.bias
    found = QuantisedLinear.of(layer, FORMS["float8_dynamic"])(x)
    torch.testing.assert_close(found, expected.float())


def test_dynamic_int8_is_as_near_as_torchs_own() -> None:
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
    ours = (QuantisedLinear.of(layer, FORMS["int8_dynamic"])(x) - exact).square().mean()
    assert ours <= 1.1 * (theirs(x) - exact).square().mean()


@pytest.mark.parametrize("kind", FORMS)
def test_a_model_in_bf16_stays_in_bf16(kind: str) -> None:
    layer = nn.Linear(64, 32).to(torch.bfloat16)
    x = torch.randn(5, 64).to(torch.bfloat16)
    found = QuantisedLinear.of(layer, FORMS[kind].fit(64))(x)
    assert found.dtype == torch.bfloat16
    exact = layer(x).float()
    assert (found.float() - exact).norm() < 0.15 * exact.norm()


@pytest.mark.parametrize(
    ("inputs", "group"), [(256, 128), (384, 128), (192, 64), (96, 32), (32, 32), (48, 0), (1000, 0)]
)
def test_int4_takes_the_largest_group_that_divides(inputs: int, group: int) -> None:
    form = Int4Weight().fit(inputs)
    assert form.group == group
    scales = form.store(torch.randn(8, inputs))["weight_scale"]
    assert scales.shape == (8, inputs // group if group else 1)


@pytest.mark.parametrize("form", [*FORMS.values(), Int4Weight(64)])
def test_a_description_means_its_format_alone(form: Int4Weight) -> None:
    scheme = form.scheme()
    assert form_of(form.file_format, scheme) == form
    weights, inputs = scheme["weights"], scheme["input_activations"]
    for other in (
        {**scheme, "weights": {**weights, "symmetric": False}},
        {**scheme, "weights": {**weights, "num_bits": 3}},
        {**scheme, "weights": {**weights, "strategy": "tensor"}},
        {**scheme, "weights": {**weights, "actorder": "group"}},
        {**scheme, "input_activations": {**(inputs or weights), "dynamic": "local"}},
        {**scheme, "weights": None},
    ):
        assert form_of(form.file_format, other) is None
    assert form_of("marlin-24", scheme) is None
