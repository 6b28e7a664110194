"""Eight bits by blocks against torchao's, which follow the paper's authors'."""

from __future__ import annotations

import pytest
import torch

from workers.engine.kernels.blockwise import BLOCK, dequantise, dynamic_map, quantise

CPU = torch.device("cpu")


@pytest.mark.parametrize("signed", [True, False])
def test_the_map_and_what_becomes_of_numbers_are_torchaos(*, signed: bool) -> None:
    from torchao.optim.quant_utils import (
        create_dynamic_map,
        dequant_with_qmap,
        quantize_8bit_with_qmap,
        scale_tensor,
    )

    values = dynamic_map(CPU, signed=signed)
    assert torch.equal(values, torch.tensor(create_dynamic_map(signed=signed)))
    numbers = torch.randn(40 * BLOCK, generator=torch.Generator().manual_seed(0)) ** 3
    numbers = numbers if signed else numbers.abs()
    scaled, scales = scale_tensor(numbers, BLOCK)
    codes = quantize_8bit_with_qmap(scaled, values)
    ours = quantise(numbers, values, BLOCK)
    assert torch.equal(ours[0], codes)
    assert torch.equal(ours[1], scales)
    assert torch.equal(dequantise(*ours, values, BLOCK), dequant_with_qmap(codes, values, scales))


def test_a_short_last_block_has_a_scale_of_its_own() -> None:
    numbers = torch.cat((torch.full((BLOCK,), 1e-3), torch.tensor([5.0, -4.0, 0.0])))
    values = dynamic_map(CPU, signed=True)
    codes, scales = quantise(numbers, values, BLOCK)
    assert (codes.shape, scales.tolist()) == (numbers.shape, [pytest.approx(1e-3), 5.0])
    found = dequantise(codes, scales, values, BLOCK)
    torch.testing.assert_close(found, numbers, rtol=0.01, atol=0)


def test_zeros_stay_zeros() -> None:
    values = dynamic_map(CPU, signed=True)
    codes, scales = quantise(torch.zeros(2 * BLOCK), values, BLOCK)
    assert not dequantise(codes, scales, values, BLOCK).any()
