"""How long a forward pass takes, of two models side by side."""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from workers.engine.compression.specs import LATENCY_LENGTH, LATENCY_ROWS

REPEATS = 5  # of A, B, B, A: what drifts on a busy machine falls on both alike


def paired_latency(
    dense: nn.Module, other: nn.Module, vocabulary: int, *, repeats: int = REPEATS
) -> tuple[float, float]:
    """Median seconds of a forward pass at 4 × 128 tokens, last token's logits, of each model."""
    device = next(dense.parameters()).device
    draws = torch.Generator().manual_seed(0)
    ids = torch.randint(vocabulary, (LATENCY_ROWS, LATENCY_LENGTH), generator=draws).to(device)
    models = (dense, other)
    times: tuple[list[float], list[float]] = ([], [])
    for which in (0, 1):
        _seconds(models[which], ids)  # warm
    for _ in range(repeats):
        for which in (0, 1, 1, 0):
            times[which].append(_seconds(models[which], ids))
    return statistics.median(times[0]), statistics.median(times[1])


@torch.inference_mode()
def _seconds(model: nn.Module, ids: torch.Tensor) -> float:
    # CPU time is what one thread takes on a quiet machine; neighbours do not count
    clock = time.process_time if ids.device.type == "cpu" else time.perf_counter
    begin = clock()
    logits = model(input_ids=ids, use_cache=False, logits_to_keep=1).logits
    logits[0, 0, 0].item()  # waits for the device
    return clock() - begin
