"""How long a forward pass takes, of two models side by side."""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from workers.engine.compression.subjects import Probe

REPEATS = 5  # of A, B, B, A: what drifts on a busy machine falls on both alike


def paired_latency(
    dense: nn.Module, other: nn.Module, probe: Probe, *, repeats: int = REPEATS
) -> tuple[float, float]:
    """Median seconds of a forward pass of each model."""
    device = next(dense.parameters()).device
    models = (dense, other)
    times: tuple[list[float], list[float]] = ([], [])
    for which in (0, 1):
        _seconds(models[which], probe, device)  # warm
    for _ in range(repeats):
        for which in (0, 1, 1, 0):
            times[which].append(_seconds(models[which], probe, device))
    return statistics.median(times[0]), statistics.median(times[1])


@torch.inference_mode()
def _seconds(model: nn.Module, probe: Probe, device: torch.device) -> float:
    # CPU time is what one thread takes on a quiet machine; neighbours do not count
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    begin = clock()
    probe.run(model).flatten()[0].item()  # waits for the device
    return clock() - begin
