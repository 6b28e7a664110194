"""Rounding against closed forms, exhaustive neighbours, and compressed-tensors' own arithmetic."""

from __future__ import annotations

import pytest
import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32, unpack_from_int32
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import quantize
from compressed_tensors.quantization.utils import calculate_qparams
from torch import Tensor

from workers.engine.compression.quantise.numbers import (
    FLOAT8,
    float8_rows,
    int4_groups,
    int8_rows,
    packed,
    restored,
    unpacked,
)


def noise(rows: int, columns: int, seed: int = 0) -> Tensor:
    """Numbers of very different sizes."""
    draws = torch.Generator().manual_seed(seed)
    sizes = torch.randn(rows, columns, generator=draws).exp()
    return torch.randn(rows, columns, generator=draws) * sizes


def test_rows_are_rounded_to_the_nearest_of_255_steps() -> None:
    x = torch.tensor([[127.0, -64.4, 0.5], [0.0, 0.0, 0.0], [1.0, -1.0, 0.25]])
    numbers, scale = int8_rows(x)
    assert numbers.tolist() == [[127, -64, 0], [0, 0, 0], [127, -127, 32]]
    torch.testing.assert_close(scale[[0, 2], 0], torch.tensor([1.0, 1 / 127]))
    x = noise(20, 30)
    numbers, scale = int8_rows(x)
    assert ((numbers * scale - x).abs() <= scale / 2 + 1e-7).all()


def test_e4m3_is_the_nearest_of_all_its_numbers() -> None:
    """Against a search among the 254 that there are; the two that are not numbers left out."""
    every = torch.arange(256, dtype=torch.uint8).view(FLOAT8).double()
    every = every[every.isfinite()]
    x = noise(6, 50)
    numbers, scale = float8_rows(x)
    scaled = x.double() / scale
    nearest = (scaled[..., None] - every).abs().amin(dim=2)
    torch.testing.assert_close((numbers.double() - scaled).abs(), nearest, atol=1e-5, rtol=1e-5)
    assert (numbers.float().abs().amax(dim=1) == 448).all()  # each row's largest is kept


def test_an_e4m3_number_is_within_a_sixteenth() -> None:
    """Three bits of fraction: half a step is 2⁻⁴ of a number's power of two, so of itself at most;

    below 2⁻⁶, the smallest power with all its bits, steps stay 2⁻⁹ wide.
    """
    for seed in range(3):
        x = noise(40, 200, seed)
        numbers, scale = float8_rows(x)
        wrong = (numbers.float() * scale - x).abs()
        assert (wrong <= torch.maximum(x.abs() / 16, scale / 1024) * (1 + 1e-5)).all()
        assert (wrong > x.abs() / 17).any(), "the bound is no looser than it must be"


@pytest.mark.parametrize("group", [32, 64, 96])
def test_int4_is_within_half_a_scale(group: int) -> None:
    x = noise(30, 192)
    numbers, scale = int4_groups(x, group)
    assert scale.dtype == torch.bfloat16
    assert (numbers.min(), numbers.max()) == (-8, 7)
    each = scale.float().repeat_interleave(group, dim=1)
    assert ((numbers * each - x).abs() <= each / 2 * (1 + 1e-5)).all()


def test_int4_rounds_as_compressed_tensors_does_and_nearer() -> None:
    x, group = torch.randn(64, 128, generator=torch.Generator().manual_seed(0)), 32
    args = QuantizationArgs(num_bits=4, type="int", strategy="group", group_size=group)
    numbers, scale = int4_groups(x, group)
    zeros = torch.zeros(1, dtype=torch.int8)
    assert torch.equal(numbers, quantize(x, scale.float(), zeros, args, dtype=torch.int8))
    parts = x.reshape(64, -1, group)
    theirs, _ = calculate_qparams(parts.amin(2), parts.amax(2), args)

    def error(scale: Tensor) -> Tensor:
        numbers = quantize(x, scale, zeros, args, dtype=torch.int8)
        return (numbers * scale.repeat_interleave(group, dim=1) - x).norm()

    # theirs lets the lowest of a group fall on -8 at most, and leaves the half step below it unused
    assert error(scale.float()) < 0.97 * error(theirs)


def test_zeros_stay_zeros() -> None:
    x = torch.zeros(3, 32)
    for numbers, scale in (int8_rows(x), float8_rows(x), int4_groups(x, 32)):
        assert not numbers.float().any()
        assert (scale > 0).all()
        assert not (numbers.float() * scale.float()).any()


def test_every_number_is_turned_back_exactly() -> None:
    e4m3 = torch.arange(256, dtype=torch.uint8).view(FLOAT8)
    e4m3 = e4m3[e4m3.float().isfinite()]
    int8 = torch.arange(-128, 128).to(torch.int8)
    for numbers in (e4m3, int8):
        rows = numbers.repeat(2, 1)
        found = restored(rows, torch.tensor([[1.0], [0.5]]))
        assert torch.equal(found[0].double(), numbers.double())
        assert torch.equal(found[1].double(), numbers.double() / 2)
    groups = restored(torch.ones(1, 6, dtype=torch.int8), torch.tensor([[1.0, 2.0, 3.0]]))
    assert groups.tolist() == [[1.0, 1.0, 2.0, 2.0, 3.0, 3.0]]


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("count", [8, 31, 64, 3])
def test_words_are_those_of_compressed_tensors(bits: int, count: int) -> None:
    draws = torch.Generator().manual_seed(count)
    low, high = -(1 << bits - 1), 1 << bits - 1
    numbers = torch.randint(low, high, (5, count), dtype=torch.int8, generator=draws)
    words = packed(numbers, bits)
    real = count * bits  # they leave out the padding's raised zeros
    theirs = pack_to_int32(numbers, bits)
    assert words.shape == theirs.shape
    assert torch.equal(unpacked(words, bits, count), numbers)
    assert torch.equal(unpack_from_int32(words, bits, torch.Size((5, count))), numbers)
    assert torch.equal(unpacked(theirs, bits, count), numbers)
    if real % 32 == 0:
        assert torch.equal(words, theirs)
