"""NF4 against the paper's construction and bitsandbytes, its authors' own implementation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import norm

from workers.engine.kernels.nf4 import VALUES, WEIGHTS, Nf4, whole
from workers.engine.profiles import NF4_BYTES

# What bitsandbytes 0.50.2 makes of `weight()` on a CPU, by `bitsandbytes.functional`:
#   packed, state = quantize_4bit(weight(), blocksize=64, quant_type="nf4", compress_statistics=1)
#   save_file({"codes": packed.view(-1), "scales": state.absmax, "steps": state.state2.absmax,
#              "mean": state.offset, "size": dequantize_blockwise(state.absmax, state.state2)
#                                            + state.offset}, REFERENCE)
REFERENCE = Path(__file__).with_name("bitsandbytes_nf4.safetensors")


def weight() -> torch.Tensor:
    """(140, 128), about normal, of rows that differ in size; the same bits on every machine."""
    place = torch.arange(140 * 128)
    draws = place * 7919 % 1013 + place * 104729 % 1009 + place * 1299709 % 997
    return (draws - 1500).float().div(2**14).view(140, 128) * (1 + torch.arange(140)[:, None] % 5)


def test_the_values_are_the_papers_quantiles() -> None:
    """Appendix E: eight parts of the normal distribution below zero, nine above, scaled to ±1."""
    offset = (1 - 1 / (2 * 15) + 1 - 1 / (2 * 16)) / 2
    above = norm.ppf(np.linspace(offset, 0.5, 9)[:-1])
    below = -norm.ppf(np.linspace(offset, 0.5, 8)[:-1])
    values = np.sort([*above, 0.0, *below])
    assert pytest.approx(values / values.max(), abs=1e-6) == VALUES


def test_codes_and_scales_are_those_of_bitsandbytes() -> None:
    theirs, ours = load_file(REFERENCE), Nf4.of(weight())
    assert torch.equal(ours.codes, theirs["codes"])
    assert torch.equal(ours.steps, theirs["steps"])
    assert torch.equal(ours.mean, theirs["mean"])
    # a scale that lies between two values of eight bits may go to the other one there
    assert (ours.scales != theirs["scales"]).float().mean() <= 0.01
    same = (ours.scales == theirs["scales"]).repeat_interleave(WEIGHTS)
    high, low = theirs["codes"].int() >> 4, theirs["codes"].int() & 15
    value = torch.tensor(VALUES)[torch.stack((high, low), 1).view(-1)]
    expected = value * theirs["size"].repeat_interleave(WEIGHTS)
    found = ours.whole().view(-1)
    torch.testing.assert_close(found[same], expected[same], rtol=1e-6, atol=0)


def test_each_weight_becomes_the_nearest_value() -> None:
    given = weight()
    blocks = given.view(-1, WEIGHTS)
    scaled = blocks / blocks.abs().amax(1, keepdim=True)
    nearest = (scaled.view(-1, 1) - torch.tensor(VALUES)).abs().argmin(1)
    ours = Nf4.of(given).codes.int()
    assert torch.equal(torch.stack((ours >> 4, ours & 15), 1).view(-1), nearest.int())


def test_it_takes_the_papers_bits_a_weight() -> None:
    large = torch.ones(512, 512)
    assert Nf4.of(large).nbytes / large.numel() == pytest.approx(NF4_BYTES, abs=1e-4)
    assert pytest.approx(4.127, abs=5e-4) == 8 * NF4_BYTES


@pytest.mark.parametrize("shape", [(7, 9), (3, 64), (1, 1), (65, 130)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_any_shape_comes_back_near_in_its_own_type(
    shape: tuple[int, int], dtype: torch.dtype
) -> None:
    given = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    found = Nf4.of(given).whole()
    assert (found.shape, found.dtype) == (given.shape, dtype)
    # the widest gap between two values is 0.304, of the block's largest; its scale is rounded, too
    most = given.float().abs().max()
    assert (found.float() - given.float()).abs().max() <= (0.304 / 2 + 0.02) * most


def test_zeros_stay_zeros_and_a_tensor_is_whole_already() -> None:
    given = weight()
    given[:3] = 0
    found = Nf4.of(given).whole()
    assert found.isfinite().all()
    assert not found[:3].any()
    assert whole(given) is given
