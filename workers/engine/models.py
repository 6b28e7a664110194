"""Causal language models from Hugging Face folders, called on packs of sequences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D
from transformers.utils.logging import disable_progress_bar

from workers.engine import attention
from workers.engine.data.packing import Pack
from workers.engine.errors import ModelError
from workers.engine.kernels.nf4 import Nf4
from workers.engine.kernels.nf4_linear import Nf4Linear
from workers.engine.shapes import Shape
from workers.engine.whole import UNLOADABLE, whole_load

# Whoever runs the engine hears of progress through the protocol.
disable_progress_bar()  # type: ignore[no-untyped-call]

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


CLASS_HEADS = ("classifier", "score")  # how transformers calls what tells classes apart


def model_load(folder: Path, *, dtype: str = "float32", device: str = "cpu") -> nn.Module:
    """The causal language model of a local folder, in evaluation mode, all frozen.

    Training too uses the base without dropout. Only safetensors are read, never a pickle; no code
    of the folder runs; nothing is downloaded.

    Raises:
        ModelError: the folder holds no model that transformers can load so.
    """
    from workers.engine.compression.quantise import files  # it needs this module's own functions

    config = files.quantised_config(folder)
    if config is not None:

        def build() -> nn.Module:
            model: nn.Module = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
                files.plain_config(folder),
                dtype=DTYPES[dtype],
                attn_implementation=attention.NAME,
            )
            return model

        return files.quantised_load(folder, config, build, device)
    try:
        model = whole_load(
            AutoModelForCausalLM, folder, dtype=DTYPES[dtype], attn_implementation=attention.NAME
        )
    except UNLOADABLE as error:
        raise ModelError(
            f"{folder.name} is no causal language model in Hugging Face layout with safetensors "
            f"({error})"
        ) from error
    return model.requires_grad_(requires_grad=False).eval().to(device)


def config_load(folder: Path) -> Any:
    """The Hugging Face configuration of a folder's text part, without its weights.

    Raises:
        ModelError: there is none that can be read.
    """
    try:
        config = AutoConfig.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except UNLOADABLE as error:
        raise ModelError(f"{folder.name} has no readable config.json ({error})") from error
    return config.get_text_config()


@dataclass(frozen=True)
class Batch:
    """A `Pack` as tensors on the model's device.

    `ids`, `positions`: (1, T); `places`, `labels`: (L,).
    """

    ids: Tensor
    positions: Tensor
    bounds: tuple[int, ...]
    places: Tensor
    labels: Tensor

    @classmethod
    def of(cls, pack: Pack, device: torch.device | str) -> Batch:
        def tensor(values: Any) -> Tensor:
            return torch.from_numpy(values).to(device)

        return cls(
            ids=tensor(pack.ids)[None],
            positions=tensor(pack.positions)[None],
            bounds=pack.bounds,
            places=tensor(pack.places),
            labels=tensor(pack.labels),
        )


def within(model: nn.Module, compute: Callable[..., Any], *given: Any) -> Any:
    """`compute(model, *given)`, where the model's weights are whole.

    They are anyway, but in a model that is spread over processes (`distributed.sharded`).
    """
    spread = getattr(model, "compute_within", None)
    return compute(model, *given) if spread is None else spread(compute, *given)


def logits_of(model: nn.Module, batch: Batch) -> Tensor:
    """(L, vocabulary): logits at the learned places; the head is computed nowhere else."""
    out = model(
        input_ids=batch.ids,
        position_ids=batch.positions,
        use_cache=False,
        logits_to_keep=batch.places,
        bounds=batch.bounds,
    )
    logits: Tensor = out.logits.squeeze(0)
    return logits


def hidden_of(model: nn.Module, batch: Batch) -> Tensor:
    """(L, n): the last hidden states at the learned places, which the output head would read."""
    body = cast("Any", model).base_model
    out = body(
        input_ids=batch.ids,
        position_ids=batch.positions,
        use_cache=False,
        bounds=batch.bounds,
        places=batch.places,
    )
    rows: Tensor = out.last_hidden_state.squeeze(0)
    # a block of ours computes nothing else to begin with; the last token is never learned from
    return rows if len(rows) < batch.ids.shape[1] else rows[batch.places]


def exact_dtype(model: nn.Module) -> torch.dtype:
    """What sums over many tokens are kept in: the weights' own type, fp32 at least."""
    return torch.promote_types(next(model.parameters()).dtype, torch.float32)


def plain_head(model: nn.Module) -> nn.Linear | None:
    """The output head, where logits are its product and nothing more."""
    config = config_of(model)
    if any(getattr(config, name, None) for name in ("final_logit_softcapping", "logits_scaling")):
        return None
    if getattr(config, "logit_scale", 1.0) != 1.0:
        return None
    head = cast("Any", model).get_output_embeddings()
    return head if type(head) is nn.Linear else None


def linear_names(model: nn.Module) -> list[str]:
    """Full names of the blocks' linear layers (all but the output head), in the model's order.

    A layer that stands in for one while an adapter is on it keeps it as `base`.
    """
    head = model.get_output_embeddings()  # type: ignore[operator]
    return [
        name.removesuffix(".base")
        for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, Conv1D, Nf4Linear))
        and module is not head
        and name.partition(".")[0] not in CLASS_HEADS
    ]


def blocks_of(model: nn.Module) -> nn.ModuleList:
    """The decoder's layers.

    Raises:
        ModelError: the model keeps them in no single list.
    """
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList)]
    if not lists:
        raise ModelError(f"{type(model).__name__} has no list of decoder layers")
    return max(lists, key=len)


def layer_count(model: nn.Module) -> int:
    """How many layers stand in the model's list of them; 0 where it has none."""
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList)]
    return max(map(len, lists), default=0)


def config_of(model: nn.Module) -> Any:
    """The model's Hugging Face configuration, of its text part."""
    return cast("Any", model).config.get_text_config()


def parameter_count(model: nn.Module) -> int:
    """Weights, tied ones counted once."""
    packed = sum(weight.numel() for weight in packed_weights(model))
    return sum(p.numel() for p in model.parameters()) + packed


def packed_weights(model: nn.Module) -> list[Nf4]:
    """The weights that a model holds in NF4, which are no parameters to torch."""
    return [m.weight for m in model.modules() if isinstance(m, Nf4Linear)]


def shape_of(model: nn.Module) -> Shape:
    """The sizes that cost depends on."""
    text = config_of(model)
    return Shape(
        parameters=parameter_count(model),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        vocabulary=text.vocab_size,
        tied=bool(text.tie_word_embeddings),
    )


def context_length(config: Any) -> int:
    """The most tokens that the model was made for."""
    names = ("max_position_embeddings", "n_positions")
    stated = [int(getattr(config, name)) for name in names if getattr(config, name, None)]
    return stated[0] if stated else 2048
