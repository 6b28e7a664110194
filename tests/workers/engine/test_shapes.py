"""The sizes that cost depends on, read from folders of every family that is trained."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import ConvNextConfig, ConvNextForImageClassification

from workers.engine.errors import ModelError
from workers.engine.shapes import Shape

CONVNEXT = ConvNextConfig(num_stages=2, hidden_sizes=[16, 32], depths=[1, 2], patch_size=4)


def folder_of(folder: Path, config: dict[str, object], numbers: int) -> Path:
    (folder / "config.json").write_text(json.dumps(config))
    save_file({"x": torch.zeros(numbers)} if numbers else {}, folder / "model.safetensors")
    return folder


def test_a_network_in_stages_counts_its_layers_and_the_products_over_channels(
    tmp_path: Path,
) -> None:
    """Against transformers' own ConvNeXt: what each place is multiplied with in blocks."""
    blank = Shape.of_folder(folder_of(tmp_path, CONVNEXT.to_dict(), 0))
    model = ConvNextForImageClassification(CONVNEXT)
    products = sum(p.numel() for n, p in model.named_parameters() if "pwconv" in n and p.ndim == 2)
    assert blank == Shape(products, layers=3, hidden=16, vocabulary=0, tied=False)


def test_weights_that_are_there_are_counted(tmp_path: Path) -> None:
    found = Shape.of_folder(folder_of(tmp_path, CONVNEXT.to_dict(), 12_345))
    assert (found.parameters, found.body) == (12_345, 12_345)


def test_a_folder_that_tells_no_sizes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no readable model"):
        Shape.of_folder(folder_of(tmp_path, {"model_type": "odd"}, 1))
