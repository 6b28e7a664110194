"""Where a compression stands, on disk: the cut model, the recovery's optimiser, and the count.

`model/` a Hugging Face folder; `optimiser.safetensors` its slots as `slot/name`; `state.json` the
standing; `manifest.json` sizes and SHA-256 of them all.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from workers.engine.compression.bench import Bench
from workers.engine.compression.distil import Recovery
from workers.engine.errors import SnapshotError
from workers.engine.folders import atomic_folder, folder_verify

VERSION = 1


@dataclass
class Standing:
    """How far a compression is: `update` updates of the recovery are done in all rounds."""

    layers: tuple[int, ...] = ()  # of the dense model, that are left
    step: int = 0
    round: int = 0
    update: int = 0
    tokens: int = 0  # not metered yet
    metered: int = 0  # the step up to which they are
    metrics: dict[str, float] = field(default_factory=dict)
    adapter_errors: dict[str, float] = field(default_factory=dict)  # by the adapter's number
    optimiser: tuple[int, dict[str, Tensor]] | None = None  # updates and slots, to go on with

    def load_into(self, job: Recovery) -> None:
        """Let the recovery's optimiser go on where it stood."""
        if self.optimiser is None:
            return
        updates, slots = self.optimiser
        job.optimiser.updates = updates
        with torch.no_grad():
            for name, tensor in slots_of(job).items():
                tensor.copy_(slots[name])

    def to_dict(self) -> dict[str, Any]:
        return {k: v for k, v in vars(self).items() if k != "optimiser"}


def slots_of(job: Recovery) -> dict[str, Tensor]:
    """The optimiser's tensors by `slot/name`."""
    return {
        f"{slot}/{name}": tensor
        for slot, tensors in job.optimiser.slots.items()
        for name, tensor in zip(job.parameters, tensors, strict=True)
    }


def snapshot_write(
    folder: Path,
    student: nn.Module,
    job: Recovery,
    standing: Standing,
    bench: Bench,
    more: Callable[[Path], None],
) -> None:
    """Write where the compression stands; `folder` appears whole or not at all.

    `more` adds what else belongs to it.
    """
    with atomic_folder(folder) as temporary:
        (temporary / "model").mkdir()
        cast("Any", student).save_pretrained(temporary / "model")
        more(temporary)
        slots = {name: tensor.clone() for name, tensor in slots_of(job).items()}  # views of one
        save_file(slots, temporary / "optimiser.safetensors")
        content = {
            "version": VERSION,
            "updates": job.optimiser.updates,
            "standing": standing.to_dict(),
            **_origin(bench),
        }
        (temporary / "state.json").write_text(json.dumps(content, sort_keys=True, indent=1))


def snapshot_read(folder: Path, bench: Bench) -> tuple[nn.Module, Standing]:
    """The cut model, and where to go on.

    Raises:
        SnapshotError: it is torn, altered, or of another model, other data or other settings.
    """
    folder_verify(folder)
    try:
        content = json.loads((folder / "state.json").read_text())
        slots = load_file(folder / "optimiser.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise SnapshotError(f"{folder.name} cannot be read ({error})") from error
    if content.get("version") != VERSION:
        raise SnapshotError(f"{folder.name} has version {content.get('version')!r}, not {VERSION}")
    for what, wanted in _origin(bench).items():
        if content[what] != wanted:
            raise SnapshotError(
                f"{folder.name} was made with another {what}; start this compression afresh."
            )
    standing = Standing(**{**content["standing"], "layers": tuple(content["standing"]["layers"])})
    standing.optimiser = (content["updates"], slots)
    return bench.subject.load(folder / "model", bench.work.numerics), standing


def _origin(bench: Bench) -> dict[str, Any]:
    work = bench.work
    return {"base": work.base.sha256, "data": work.data.sha256, "spec": work.spec.to_dict()}
