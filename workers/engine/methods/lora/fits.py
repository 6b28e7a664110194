"""Which layers an adapter is put on, and whether its rank fits them. Free of torch.

A worker asks it of a model, the API of a folder's headers before anything is queued.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from workers.engine.checks import SpecError
from workers.engine.data.model_files import shapes_stored
from workers.engine.specs import LoraSpec

# a matrix of a numbered block: layers.0.self_attn.q_proj.weight, h.0.attn.c_attn.weight
_IN_A_BLOCK = re.compile(r"(?:^|\.)\d+\..*\.weight$")


def adapted(names: Iterable[str], spec: LoraSpec) -> list[str]:
    """Of the full names of a model's linear layers those that `spec` adapts.

    Raises:
        SpecError: a wished module does not exist; those that do are named.
    """
    known = list(names)
    if spec.target_modules == "auto":
        return known
    present = {name.rpartition(".")[2] for name in known}
    unknown = sorted(set(spec.target_modules) - present - set(known))
    if unknown:
        raise SpecError(
            "lora.target_modules",
            f"this base model has no linear layer {', '.join(unknown)}; "
            f"it has {', '.join(sorted(present))}.",
        )
    return [n for n in known if {n, n.rpartition(".")[2]} & set(spec.target_modules)]


def refuse_rank(sizes: Mapping[str, tuple[int, int]], spec: LoraSpec) -> None:
    """Refuse a rank that a layer to adapt cannot have; `sizes` are the two sides of each matrix.

    Raises:
        SpecError: it is larger than a side of the layer's matrix; says the most that all can have.
    """
    smallest = min(adapted(sizes, spec), key=lambda name: min(sizes[name]))
    least = min(sizes[smallest])
    if spec.rank > least:
        outs, ins = sizes[smallest]
        raise SpecError(
            "lora.rank",
            f"{spec.rank} is larger than the layer {smallest} ({outs} by {ins}); at most {least}, "
            "or leave that layer out of target_modules.",
        )


def sizes_stored(folder: Path) -> dict[str, tuple[int, int]]:
    """The matrices of a folder's blocks, by their layers' full names, from the headers alone."""
    return {
        name.removesuffix(".weight"): (shape[0], shape[1])
        for name, shape in shapes_stored(folder).items()
        if len(shape) == 2 and _IN_A_BLOCK.search(name)
    }
