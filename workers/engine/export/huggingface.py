"""A model as a Hugging Face folder that transformers and vLLM load unmodified."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from workers.engine.folders import atomic_folder

# What belongs to a model besides its weights: tokenizer, template, generation defaults, how its
# inputs are prepared, licence.
COMPANIONS = (
    "preprocessor_config.json",
    "modules.json",
    "sentence_bert_config.json",
    "config_sentence_transformers.json",
    "1_Pooling/config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "generation_config.json",
    "LICENSE",
    "NOTICE",
)


def folder_save(
    folder: Path, model: nn.Module, base: Path, weights: Mapping[str, Tensor] | None = None
) -> None:
    """Write `model`, with the companions of `base`, the folder that it came from.

    `weights`, by its parameters' names, are written in the place of its own. `folder` appears whole
    or not at all.
    """
    own = {} if weights is None else {"state_dict": _state(model, weights)}
    with atomic_folder(folder) as temporary:
        cast("Any", model).save_pretrained(temporary, **own)
        for name in COMPANIONS:
            if (base / name).is_file():
                (temporary / name).parent.mkdir(exist_ok=True)
                shutil.copyfile(base / name, temporary / name)


def _state(model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The model's state with `weights`; one that stands in several places is the same in all."""
    state = model.state_dict()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    everywhere = model.named_parameters(remove_duplicate=False)
    return state | {name: weights[names[id(p)]] for name, p in everywhere}
