"""Adapters over rounded weights, against PEFT on the same weights turned back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import Tensor

from tests.workers.engine.compression.factories import model_of, output_of
from workers.engine.compression.quantise.files import quantise_model
from workers.engine.compression.quantise.formats import FORMS
from workers.engine.compression.quantise.linear import QuantisedLinear
from workers.engine.errors import AdapterError
from workers.engine.inference.adapters import AdapterShelf

TARGETS = {"llama": ["q_proj", "down_proj"], "gpt2": ["c_attn", "c_proj"]}


def adapter(family: str, folder: Path, *, dora: bool = False) -> Path:
    """One whose share of the output is large."""
    config = LoraConfig(
        r=4, target_modules=TARGETS[family], use_dora=dora, fan_in_fan_out=family == "gpt2"
    )
    tuned = get_peft_model(model_of(family), config)
    torch.manual_seed(1)
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            parameter.data = torch.randn_like(parameter) * 0.3
    tuned.save_pretrained(str(folder))
    return folder


def with_peft(family: str, kind: str, folder: Path) -> Tensor:
    rounded, plain = model_of(family), model_of(family)
    quantise_model(rounded, kind)
    for name, layer in rounded.named_modules():
        if isinstance(layer, QuantisedLinear):
            weight = layer.form.restore(layer.stored, layer.inputs)
            target = plain.get_submodule(name).weight
            target.data.copy_(weight if family == "llama" else weight.t())
    return output_of(family, PeftModel.from_pretrained(plain, str(folder)))


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("family", TARGETS)
def test_an_adapter_adds_its_own_to_rounded_weights(family: str, kind: str, tmp_path: Path) -> None:
    folder = adapter(family, tmp_path)
    model = model_of(family)
    quantise_model(model, kind)
    without = output_of(family, model)
    shelf = AdapterShelf(model, 4)
    shelf.add("a", folder)
    torch.testing.assert_close(output_of(family, model), without)  # it is not chosen yet
    shelf.selection.adapter = shelf.get("a")
    found, expected = output_of(family, model), with_peft(family, kind, folder)
    assert (found - without).norm() > 0.3 * without.norm()
    # dynamic formats round activations besides, which PEFT's weights do not
    bound = {"int8_dynamic": 0.05, "float8_dynamic": 0.15}.get(kind, 1e-5)
    assert (found - expected).norm() < bound * expected.norm()


def test_a_dora_on_rounded_weights_is_refused(tmp_path: Path) -> None:
    folder = adapter("llama", tmp_path, dora=True)
    AdapterShelf(model_of("llama"), 4).add("a", folder)
    model = model_of("llama")
    quantise_model(model, "float8_weight")
    with pytest.raises(AdapterError, match="its base's own rows, and these are rounded"):
        AdapterShelf(model, 4).add("a", folder)


def test_an_adapter_of_other_sizes_is_refused(tmp_path: Path) -> None:
    folder = adapter("gpt2", tmp_path)
    model = model_of("llama")
    quantise_model(model, "int4_weight")
    with pytest.raises(AdapterError, match="does not fit this base model"):
        AdapterShelf(model, 4).add("a", folder)


def test_adapters_take_the_models_own_type(tmp_path: Path) -> None:
    folder = adapter("llama", tmp_path)
    model = model_of("llama").to(torch.bfloat16)
    quantise_model(model, "int8_weight")
    shelf = AdapterShelf(model, 4)
    shelf.add("a", folder)
    shelf.selection.adapter = shelf.get("a")
    assert output_of("llama", model).dtype == torch.bfloat16
