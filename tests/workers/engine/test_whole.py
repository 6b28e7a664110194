"""Folders that hold less than their configuration describes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.workers.engine.factories import base_folder
from workers.engine.errors import ModelError
from workers.engine.methods.lora.quantised import nf4_load
from workers.engine.models import model_load
from workers.engine.protocol import Numerics
from workers.engine.tasks.text_classification import text_classifier_load
from workers.engine.training.offload import offloaded_load


def test_a_missing_weight_is_told_by_name(tmp_path: Path) -> None:
    folder = base_folder(tmp_path / "llama", "llama")
    weights = load_file(folder / "model.safetensors")
    lost = "model.layers.0.mlp.up_proj.weight"
    save_file({n: w for n, w in weights.items() if n != lost}, folder / "model.safetensors")
    with pytest.raises(ModelError, match=rf"lacks 1 of its model's weights, {lost}"):
        model_load(folder)


def test_a_configuration_of_another_size_is_refused_before_it_takes_memory(tmp_path: Path) -> None:
    """As a slip in config.json makes it: 5 × 10¹² weights fit no machine that runs this."""
    folder = base_folder(tmp_path / "llama", "llama")
    config = json.loads((folder / "config.json").read_text())
    grown = {"hidden_size": 2**17, "intermediate_size": 2**19, "num_hidden_layers": 20}
    (folder / "config.json").write_text(json.dumps({**config, **grown, "head_dim": 64}))
    for load in (
        model_load,
        partial(text_classifier_load, classes=("a", "b"), numerics=Numerics()),
        partial(offloaded_load, numerics=Numerics(), resident=0),
        partial(nf4_load, dtype="float32", device="cpu"),
    ):
        with pytest.raises(ModelError, match=r"holds [\d,]+ of the [\d,]{17,} weights"):
            load(folder)
