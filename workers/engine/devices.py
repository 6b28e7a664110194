"""What this machine has, and how exactly numbers come about on it."""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from workers.engine import attention
from workers.engine.protocol import Numerics

DTYPES = ("float32", "bfloat16", "float16")  # the plainest first
WORTH = 1.2  # how much faster a less plain one has to be
PRODUCTS = 5
SIZES = {"cpu": 256}  # of the matrices that are multiplied to find out


def settle(numerics: Numerics) -> Numerics:
    """Set threads and determinism for this process. Call once, before the first model is loaded.

    Returns the numerics with nothing left open.
    """
    torch.set_num_threads(numerics.threads)
    # warn_only: the few operations without a deterministic form on CUDA are not ours.
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if numerics.dtype != "auto":
        return numerics
    on_cpu = numerics.device == "cpu"
    return replace(numerics, dtype="float32" if on_cpu else fast_dtype(numerics.device))


@lru_cache
def fast_dtype(device: str) -> str:
    """The type in which this device multiplies matrices fastest, by a measurement of some ms.

    The plainer one where the gain is small: fp16 needs its loss scaled, bf16 has fewer digits.
    """
    return fastest({name: _product_s(device, name) for name in DTYPES})


def fastest(seconds: Mapping[str, float]) -> str:
    """The type to compute in, by what a product takes in each; the plainest come first."""
    best, *others = DTYPES
    for name in others:
        if seconds[name] * WORTH < seconds[best]:
            best = name
    return best


def _product_s(device: str, dtype: str) -> float:
    """The least seconds of some products of square matrices; infinite where there is none."""
    size = SIZES.get(torch.device(device).type, 2048)
    try:
        a = torch.ones(size, size, device=device, dtype=getattr(torch, dtype))
        return min(_timed(lambda: a @ a, device) for _ in range(PRODUCTS))
    except RuntimeError:  # a device need not know every type
        return math.inf


def _timed(compute: Callable[[], Tensor], device: str) -> float:
    begin = time.perf_counter()
    compute()
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def room(numerics: Numerics) -> int:
    """Bytes that a pass may take on its device; 0 where nobody has said."""
    if numerics.device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(numerics.device)
        return int(free)
    return numerics.memory_bytes


def describe() -> dict[str, Any]:
    """CPU cores, memory in bytes, instruction set, and accelerators with theirs."""
    cuda = torch.cuda.is_available()
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "isa": torch.backends.cpu.get_cpu_capability(),
        "accelerators": [
            {
                "name": torch.cuda.get_device_name(i),
                "memory_bytes": torch.cuda.get_device_properties(i).total_memory,
            }
            for i in range(torch.cuda.device_count() if cuda else 0)
        ],
    }


def fingerprint(numerics: Numerics) -> dict[str, Any]:
    """All that decides the last bit of a result besides data and settings.

    Resuming is bit-equal if it is equal.
    """
    on_gpu = numerics.device.startswith("cuda")
    spread = {"processes": numerics.processes} if numerics.processes > 1 else {}
    return spread | {
        "torch": torch.__version__,
        "build": hashlib.sha256(torch.__config__.show().encode()).hexdigest()[:16],
        "isa": torch.backends.cpu.get_cpu_capability(),
        "device": torch.cuda.get_device_name(numerics.device) if on_gpu else "cpu",
        "threads": numerics.threads,
        "dtype": numerics.dtype,
        "kernel": attention.NAME,
    }
