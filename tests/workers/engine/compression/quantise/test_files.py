"""Quantised folders: what was saved is what is loaded, here and by compressed-tensors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from compressed_tensors.compressors import PackedQuantizationCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from tests.workers.engine.compression.factories import model_of, output_of
from workers.engine.compression.quantise.files import quantise_model
from workers.engine.compression.quantise.formats import FORMS
from workers.engine.compression.quantise.linear import QuantisedLinear
from workers.engine.compression.unstructured import mask_names
from workers.engine.errors import ModelError
from workers.engine.models import model_load


def wide(seed: int = 0) -> Any:
    """A model whose layers take int4 groups of 128 and of 64."""
    torch.manual_seed(seed)
    sizes = {"hidden_size": 128, "intermediate_size": 192, "num_attention_heads": 4}
    config = LlamaConfig(
        **sizes, num_hidden_layers=2, num_key_value_heads=2, vocab_size=97, eos_token_id=0
    )
    return LlamaForCausalLM(config).eval().requires_grad_(requires_grad=False)


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("family", ["llama", "llama tied", "qwen3", "gpt2"])
def test_what_was_saved_is_what_is_loaded(family: str, kind: str, tmp_path: Path) -> None:
    model = model_of(family)
    quantise_model(model, kind)
    model.save_pretrained(tmp_path)
    loaded = model_load(tmp_path)
    assert all(not p.requires_grad for p in loaded.parameters())
    torch.testing.assert_close(
        output_of(family, loaded), output_of(family, model), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("make", [lambda: model_of("llama"), wide], ids=["narrow", "wide"])
def test_compressed_tensors_reads_the_same_weights(
    make: Callable[[], Any], kind: str, tmp_path: Path
) -> None:
    model = make()
    quantise_model(model, kind)
    model.save_pretrained(tmp_path)
    theirs: Any
    theirs, told = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    expected, found = output_of("llama", theirs.eval()), output_of("llama", model_load(tmp_path))
    apart = (found - expected).norm() / expected.norm()
    # They round int8 activations to 256 steps, we to 255; they have int4's weights in its scales'
    # own bf16, of which three roundings in a row are seen here.
    bound = {"int8_dynamic": 0.02, "float8_dynamic": 0.02, "int4_weight": 3 * 2**-8}
    assert apart < bound.get(kind, 1e-5)
    ours = dict(model.named_modules())
    for name, module in theirs.named_modules():
        if isinstance(ours.get(name), QuantisedLinear):
            layer = ours[name]
            restored = layer.form.restore(layer.stored, layer.inputs)
            exact = {"atol": 0.0, "rtol": 2**-8 if kind == "int4_weight" else 1e-6}
            torch.testing.assert_close(module.weight.float(), restored, **exact)


@pytest.mark.parametrize("kind", FORMS)
def test_it_computes_in_the_type_that_is_asked_for(kind: str, tmp_path: Path) -> None:
    model = model_of("qwen2")  # with biases
    quantise_model(model, kind)
    model.save_pretrained(tmp_path)
    loaded = model_load(tmp_path, dtype="bfloat16")
    found = output_of("qwen2", loaded)
    assert found.dtype == torch.bfloat16
    exact = output_of("qwen2", model)
    assert (found.float() - exact).norm() < 0.1 * exact.norm()


def test_only_layers_of_other_groups_are_named(tmp_path: Path) -> None:
    model = wide()
    quantise_model(model, "int4_weight")
    groups = model.config.quantization_config["config_groups"].values()
    assert [group["weights"]["group_size"] for group in groups] == [128, 64]
    assert all(name.endswith("down_proj") for name in [*groups][1]["targets"])
    model = model_of("llama")
    quantise_model(model, "float8_weight")
    (group,) = model.config.quantization_config["config_groups"].values()
    assert group["targets"] == ["Linear"]


def test_layers_that_are_left_out_stay_as_they_are(tmp_path: Path) -> None:
    """As other tools write it, who spare the layers that matter most."""
    model, spared = wide(), "model.layers.0.mlp.down_proj"
    kept = model.get_submodule(spared)
    quantise_model(model, "float8_dynamic")
    model.set_submodule(spared, kept)
    model.config.quantization_config["ignore"].append(spared)
    model.save_pretrained(tmp_path)
    loaded = model_load(tmp_path)
    assert torch.equal(loaded.get_submodule(spared).weight, kept.weight)
    assert torch.equal(output_of("llama", loaded), output_of("llama", model))


def test_a_folder_that_compressed_tensors_wrote_is_read(tmp_path: Path) -> None:
    """In groups of a size that we would not choose, with scales in another type."""
    model, group = wide(), 16
    args = QuantizationArgs(num_bits=4, type="int", strategy="group", group_size=group)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    tensors, expected = model.state_dict(), {}
    for name in mask_names(model):
        weight = tensors.pop(f"{name}.weight")
        parts = weight.unflatten(1, (-1, group))
        scale, _ = calculate_qparams(parts.amin(2), parts.amax(2), args)
        given = {"weight": weight, "weight_scale": scale.half()}
        made = PackedQuantizationCompressor.compress(given, scheme)
        tensors |= {f"{name}.{part}": tensor for part, tensor in made.items()}
        expected[name] = PackedQuantizationCompressor.decompress(made, scheme)["weight"]
    model.save_pretrained(tmp_path)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((tmp_path / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "compressed-tensors",
        "format": "pack-quantized",
        "config_groups": {"group_0": scheme.model_dump(mode="json")},
        "ignore": ["lm_head"],
        "kv_cache_scheme": None,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded = model_load(tmp_path)
    for name, weight in expected.items():
        layer = loaded.get_submodule(name)
        restored = layer.form.restore(layer.stored, layer.inputs)
        torch.testing.assert_close(restored.half(), weight, atol=0, rtol=2**-10)


def altered(folder: Path, name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """One tensor of a saved model's file made another."""
    tensors = load_file(folder / "model.safetensors")
    tensors[name] = change(tensors[name])
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def saved(folder: Path, kind: str = "int4_weight") -> dict[str, Any]:
    """A quantised model's folder, and its description."""
    model = wide()
    quantise_model(model, kind)
    model.save_pretrained(folder)
    config: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return config


def other_groups(config: dict[str, Any], folder: Path) -> None:
    first = config["quantization_config"]["config_groups"]["group_0"]
    first["weights"]["group_size"] = 48


def smaller_groups(config: dict[str, Any], folder: Path) -> None:
    first = config["quantization_config"]["config_groups"]["group_0"]
    first["weights"]["group_size"] = 32


def one_group_less(config: dict[str, Any], folder: Path) -> None:
    del config["quantization_config"]["config_groups"]["group_1"]


def another_format(config: dict[str, Any], folder: Path) -> None:
    config["quantization_config"]["format"] = "nvfp4-pack-quantized"


def zero_points(config: dict[str, Any], folder: Path) -> None:
    for group in config["quantization_config"]["config_groups"].values():
        group["weights"]["symmetric"] = False


def another_method(config: dict[str, Any], folder: Path) -> None:
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}


def no_scheme(config: dict[str, Any], folder: Path) -> None:
    config["quantization_config"]["config_groups"]["group_0"] = "int4"


def a_number_of_targets(config: dict[str, Any], folder: Path) -> None:
    config["quantization_config"]["config_groups"]["group_0"]["targets"] = 5


def a_cut_file(config: dict[str, Any], folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def a_layer_less(config: dict[str, Any], folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight_scale"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def other_numbers(config: dict[str, Any], folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight_packed"
    tensors[name] = tensors[name].float()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (other_groups, "groups of 48 inputs, which do not divide the 128 of its layer model"),
        (
            smaller_groups,
            r"_scale as torch.bfloat16 of \[128, 1\], where its config.json",
        ),
        (one_group_less, "lacks .*down_proj.weight.* has .*down_proj.weight_packed.* too many"),
        (another_format, "'nvfp4-pack-quantized'.* what does is compressed-tensors as int8_weight"),
        (zero_points, "in a way that does not run here"),
        (another_method, "quantised as 'gptq'"),
        (no_scheme, "in a way that does not run here"),
        (a_number_of_targets, "cannot be loaded .*'int' object is not iterable"),
        (a_cut_file, "cannot be loaded"),
        (a_layer_less, "lacks .*up_proj.weight_scale"),
        (other_numbers, "as torch.float32 of .* means torch.int32"),
    ],
)
def test_what_is_damaged_or_foreign_is_refused(
    harm: Callable[[dict[str, Any], Path], None], message: str, tmp_path: Path
) -> None:
    config = saved(tmp_path)
    harm(config, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=message):
        model_load(tmp_path)


UP = "model.layers.1.mlp.up_proj"


@pytest.mark.parametrize(
    ("kind", "name", "change", "message"),
    [
        ("int4_weight", "weight_scale", lambda x: x * torch.nan, "not all of .*_scale are numbers"),
        ("int8_dynamic", "weight_scale", lambda x: x / 0, "not all of .*_scale are numbers"),
        ("float8_weight", "weight", lambda x: (x.float() * torch.nan).to(x.dtype), "not all of"),
        ("int8_dynamic", "weight_scale", lambda x: x.to(torch.float8_e4m3fn), "as torch.float8"),
        ("int4_weight", "weight_shape", lambda x: x.flip(0), r"has \[128, 192\] as .*_shape, whe"),
    ],
)
def test_what_would_answer_without_sense_is_refused(
    kind: str, name: str, change: Any, message: str, tmp_path: Path
) -> None:
    """A NaN in e4m3 would be the number 480 on a CPU, and one in a scale every token's doom."""
    saved(tmp_path, kind)
    altered(tmp_path, f"{UP}.{name}", change)
    with pytest.raises(ModelError, match=message):
        model_load(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_attention_heads": 0},
        {"hidden_size": "many"},
        {"hidden_act": "none"},
        {"quantization_config": []},
        {"vocab_size": 10**7},  # gigabytes, if it were made
    ],
    ids=str,
)
def test_a_config_that_no_model_has_is_told_as_the_folders_fault(
    wrong: dict[str, Any], tmp_path: Path
) -> None:
    config = saved(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config | wrong))
    with pytest.raises(ModelError, match=tmp_path.name):
        model_load(tmp_path)
