"""What this machine has, and how exactly numbers come about on it."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import torch

from workers.engine import attention
from workers.engine.protocol import Numerics


def settle(numerics: Numerics) -> None:
    """Set threads and determinism for this process. Call once, before the first model is loaded."""
    torch.set_num_threads(numerics.threads)
    # warn_only: the few operations without a deterministic form on CUDA are not ours.
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


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
