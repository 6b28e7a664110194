"""Snapshots of a member: safetensors and JSON in a folder, whole or absent, verified when read.

`delta.safetensors` the trained weights by name; `optimiser.safetensors` its slots as `slot/name`;
`state.json` the position, settings, inputs and numerics fingerprint; `manifest.json` sizes and
SHA-256 of them all. Dropout and order are functions of seed and position, so no generator state is
needed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from workers.engine.errors import SnapshotError
from workers.engine.folders import atomic_folder, folder_verify
from workers.engine.specs import FineTuneSpec
from workers.engine.training.optim import Optimiser
from workers.engine.training.ranks import ALONE, Ranks
from workers.engine.training.state import State

VERSION = 1


@dataclass(frozen=True)
class Origin:
    """What a snapshot belongs to, and how its numbers came about.

    `base` and `data` are SHA-256 hashes; `fingerprint` is that of `devices`.
    """

    base: str
    data: str
    spec: Mapping[str, Any]
    fingerprint: Mapping[str, Any]
    is_shared: bool = False  # its passes are a cohort's: rounding depends on who else is in them


def snapshot_write(
    folder: Path,
    parameters: Mapping[str, Tensor],
    optimiser: Optimiser,
    state: State,
    origin: Origin,
    ranks: Ranks = ALONE,
) -> None:
    """Write a snapshot; `folder` appears whole or not at all.

    Of several processes the first writes what all hold together, so any number can read it.
    """
    weights = ranks.wholes(parameters)
    slots = {
        slot: ranks.wholes(dict(zip(parameters, tensors, strict=True)))
        for slot, tensors in optimiser.slots.items()
    }
    if not ranks.is_first:
        return
    with atomic_folder(folder) as temporary:
        save_file({n: _plain(p) for n, p in weights.items()}, temporary / "delta.safetensors")
        flat = {f"{slot}/{n}": t for slot, tensors in slots.items() for n, t in tensors.items()}
        save_file(flat, temporary / "optimiser.safetensors")
        content = {
            "version": VERSION,
            "updates": optimiser.updates,
            "state": state.to_dict(),
            "base": origin.base,
            "data": origin.data,
            "spec": origin.spec,
            "fingerprint": origin.fingerprint,
        }
        (temporary / "state.json").write_text(json.dumps(content, sort_keys=True, indent=1))


def snapshot_read(
    folder: Path,
    parameters: Mapping[str, Tensor],
    optimiser: Optimiser,
    origin: Origin,
    ranks: Ranks = ALONE,
) -> tuple[State, bool]:
    """Load a snapshot, or this process's part of it, into `parameters` and `optimiser`.

    Returns:
        The state to go on from, and whether going on will be bit-equal to never having stopped.

    Raises:
        SnapshotError: it is torn, altered, of another version, or belongs to another base, data or
            spec.
    """
    folder_verify(folder)
    try:
        content = json.loads((folder / "state.json").read_text())
        delta = load_file(folder / "delta.safetensors")
        slots = load_file(folder / "optimiser.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise SnapshotError(
            f"{folder.name} cannot be read ({error}); resume from an earlier one."
        ) from error
    _check_origin(folder.name, content, origin)
    _copy(folder.name, dict(parameters), delta, ranks)
    _copy(folder.name, _slots(parameters, optimiser), slots, ranks)
    optimiser.updates = content["updates"]
    return State.from_dict(content["state"]), content["fingerprint"] == dict(origin.fingerprint)


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().contiguous()


def _slots(parameters: Mapping[str, Tensor], optimiser: Optimiser) -> dict[str, Tensor]:
    return {
        f"{slot}/{name}": tensor
        for slot, tensors in optimiser.slots.items()
        for name, tensor in zip(parameters, tensors, strict=True)
    }


def _check_origin(name: str, content: Mapping[str, Any], origin: Origin) -> None:
    if content.get("version") != VERSION:
        raise SnapshotError(
            f"{name} has version {content.get('version')!r}; this engine reads {VERSION}."
        )
    found = {**content, "spec": _of_result(content["spec"])}
    spec = _of_result(origin.spec)
    for what, wanted in (("base", origin.base), ("data", origin.data), ("spec", spec)):
        if found[what] != wanted:
            raise SnapshotError(
                f"{name} was made with another {what}; start this fine-tune afresh."
            )


def _of_result(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A spec of whatever release wrote it, without what changes no result."""
    complete = FineTuneSpec.from_dict(dict(spec)).to_dict()
    del complete["processes"]
    return complete


def _copy(name: str, wanted: dict[str, Tensor], stored: dict[str, Tensor], ranks: Ranks) -> None:
    found = {n: ranks.part(t) for n, t in stored.items()}
    if {n: t.shape for n, t in wanted.items()} != {n: t.shape for n, t in found.items()}:
        raise SnapshotError(f"{name} holds other tensors than this fine-tune; start it afresh.")
    with torch.no_grad():
        for key, tensor in wanted.items():
            tensor.copy_(found[key])
