"""What can be cut from a model, told from its configuration alone. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workers.engine.checks import SpecError
from workers.engine.compression.specs import CompressSpec, PruneSpec

TABLES = "breakwater_mlp"
# transformers' model_type of the models whose structure is known, and a table's.
FAMILIES = frozenset(
    {
        "llama",
        "qwen2",
        "qwen3",
        "mistral",
        "gpt2",
        "bert",
        "vit",
        "audio-spectrogram-transformer",
        TABLES,
    }
)
NO_LAYERS = frozenset({"embeddings", "tabular"})  # tasks whose layers' outputs are not compared
HEADS_FOLLOW_WIDTH = frozenset({"gpt2", "bert"})  # neither of the two can be cut alone


def has_heads(family: str) -> bool:
    """Whether a family's heads can be cut by themselves."""
    return family in FAMILIES and family not in HEADS_FOLLOW_WIDTH and family != TABLES


def kept_units(units: int, ratio: float, multiple: int, field: str) -> int:
    """How many of `units` stay when `ratio` of them goes, as a multiple of `multiple`.

    Raises:
        SpecError: none would stay; it names `field`.
    """
    count = units if ratio == 0 else multiple * round(units * (1 - ratio) / multiple)
    if count < 1:
        raise SpecError(
            field,
            f"removing {ratio:g} of {units} leaves none, and the layer would vanish; "
            f"at most {max(units - multiple, 0) / units:.3g} can go.",
        )
    return min(count, units)


def check_layers(layers: int, gone: int) -> None:
    """Refuse to take `gone` of `layers` where none would stay. Raises SpecError."""
    if gone >= layers:
        raise SpecError(
            "prune.layers", f"the model has {layers} layers; at most {layers - 1} can go."
        )


def check_task(spec: CompressSpec) -> None:
    """Refuse what models of this task have not got.

    Raises:
        SpecError: with the setting's name.
    """
    if spec.recover.hidden and spec.task in NO_LAYERS:
        raise SpecError(
            "recover.hidden",
            f"no layers of {spec.task} models are compared; weigh logits or labels instead.",
        )
    if spec.task != "tabular":
        return
    for name in ("heads", "width", "layers"):
        if getattr(spec.prune, name):
            raise SpecError(
                f"prune.{name}", "a table's model has none to remove; mlp removes its neurons."
            )


def widest_cut(config: Mapping[str, Any], spec: PruneSpec) -> int:
    """Inputs of the widest layer that least squares would solve again; 0 where none is."""
    if not spec.reconstruct:
        return 0
    hidden = _first(config, "hidden_size", "n_embd")
    heads = _first(config, "num_attention_heads", "n_head")
    attention = heads * (_first(config, "head_dim") or hidden // max(heads, 1))
    mlp = _first(config, "intermediate_size", "n_inner") or 4 * hidden
    return max(mlp if spec.mlp else 0, attention if spec.heads else 0)


def check_widths(hidden: Sequence[int], spec: PruneSpec) -> None:
    """As `check_prune`, of a table's network with these hidden layers."""
    for units in hidden:
        kept_units(units, spec.mlp, spec.multiple_of, "prune.mlp")


def check_prune(config: Mapping[str, Any], spec: PruneSpec) -> None:
    """Refuse what would leave a layer empty, or no layer, or has no layout.

    Raises:
        SpecError: with the setting's name.
    """
    heads = _first(config, "num_key_value_heads", "num_attention_heads", "n_head")
    hidden = _first(config, "hidden_size", "n_embd")
    mlp = _first(config, "intermediate_size", "n_inner") or 4 * hidden
    layers = _first(config, "num_hidden_layers", "n_layer")
    kept_units(mlp, spec.mlp, spec.multiple_of, "prune.mlp")
    left = kept_units(heads, spec.heads, 1, "prune.heads")
    width = kept_units(hidden, spec.width, spec.multiple_of, "prune.width")
    if config.get("model_type") in HEADS_FOLLOW_WIDTH and left * (hidden // heads) != width:
        raise SpecError(
            "prune.heads",
            f"this architecture takes its heads' size from the hidden size: {left} heads want a "
            f"width of {left * (hidden // heads)}, not {width}. Cut heads and width by the same "
            "share, or MLP channels and layers only.",
        )
    check_layers(layers, spec.layers)


def _first(config: Mapping[str, Any], *names: str) -> int:
    return next((int(config[name]) for name in names if config.get(name)), 0)
