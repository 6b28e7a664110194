"""Files as LLaMA-Factory's and Axolotl's documentation shows them, read as settings of ours."""

from __future__ import annotations

from typing import Any

import pytest

from workers.engine.checks import SpecError
from workers.engine.recipes.recipe import recipe_read

# LLaMA-Factory's examples/train_lora/llama3_lora_sft.yaml
LLAMA_FACTORY = """
### model
model_name_or_path: meta-llama/Meta-Llama-3-8B-Instruct
trust_remote_code: true

### method
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all

### dataset
dataset: identity,alpaca_en_demo
template: llama3
cutoff_len: 2048
max_samples: 1000

### output
output_dir: saves/llama3-8b/lora/sft
logging_steps: 10
save_steps: 500
plot_loss: true

### train
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
"""

# Axolotl's examples/llama-3/lora-8b.yml
AXOLOTL = """
base_model: NousResearch/Meta-Llama-3-8B
load_in_8bit: true
load_in_4bit: false
datasets:
  - path: mhenrichsen/alpaca_2k_test
    type: alpaca
val_set_size: 0.05
output_dir: ./outputs/lora-out
sequence_len: 4096
sample_packing: true
adapter: lora
lora_r: 32
lora_alpha: 16
lora_dropout: 0.05
lora_target_linear: true
wandb_project:
gradient_accumulation_steps: 4
micro_batch_size: 2
num_epochs: 4
optimizer: adamw_bnb_8bit
lr_scheduler: cosine
learning_rate: 0.0002
bf16: auto
tf32: false
gradient_checkpointing: true
warmup_steps: 10
weight_decay: 0.0
"""


def test_llama_factorys_example() -> None:
    found = recipe_read(LLAMA_FACTORY)
    spec = found.settings
    assert (found.source, found.base) == ("llama_factory", "meta-llama/Meta-Llama-3-8B-Instruct")
    assert (spec.method, spec.batch_size, spec.epochs, spec.learning_rate) == ("lora", 8, 3, 1e-4)
    assert (spec.schedule, spec.warmup_fraction, spec.max_length) == ("cosine", 0.1, 2048)
    assert (spec.lora.rank, spec.lora.alpha, spec.lora.target_modules) == (8, 16.0, "auto")
    ignored = {each.key: each.reason for each in found.ignored}
    assert ignored.keys() == {
        "bf16", "dataset", "do_train", "logging_steps", "max_samples", "output_dir", "plot_loss",
        "save_steps", "template", "trust_remote_code",
    }  # fmt: skip
    assert "training_file" in ignored["dataset"]
    assert ignored["plot_loss"] == "there is no such setting here"


def test_axolotls_example() -> None:
    found = recipe_read(AXOLOTL)
    spec = found.settings
    assert (found.source, found.base) == ("axolotl", "NousResearch/Meta-Llama-3-8B")
    assert (spec.method, spec.batch_size, spec.epochs, spec.learning_rate) == ("lora", 8, 4, 2e-4)
    assert (spec.lora.rank, spec.lora.alpha, spec.lora.dropout) == (32, 16.0, 0.05)
    assert (spec.activation_checkpointing, spec.optimiser) == ("full", "adamw")
    ignored = {each.key: each.reason for each in found.ignored}
    assert ignored.keys() == {
        "bf16", "datasets", "load_in_8bit", "optimizer", "output_dir", "val_set_size",
        "warmup_steps",
    }  # fmt: skip
    assert "warmup_ratio" in ignored["warmup_steps"]


QLORA = """
base_model: NousResearch/Meta-Llama-3-8B
load_in_4bit: true
adapter: qlora
lora_r: 4
lora_target_linear: true
optimizer: paged_adamw_32bit
"""
FOUR_BITS = "model_name_or_path: a\nquantization_bit: 4"
FP4 = "double_quantization: false\nquantization_type: fp4"


@pytest.mark.parametrize(
    ("text", "held", "ignored"),
    [
        (QLORA, "nf4", {"optimizer": "stay on the device"}),
        ("base_model: a\nadapter: qlora", "nf4", {}),
        ("base_model: a\nadapter: lora\nload_in_4bit: true", "nf4", {}),
        ("base_model: a\nadapter: lora\nload_in_4bit: false", "none", {}),
        ("base_model: a\nload_in_4bit: true", "none", {"load_in_4bit": "trained whole"}),
        (
            "base_model: a\nadapter: lora\nload_in_8bit: true",
            "none",
            {"load_in_8bit": "as it is, or in 4 bits"},
        ),
        (FOUR_BITS, "nf4", {}),
        (
            f"{FOUR_BITS}\nquantization_method: bnb\nquantization_type: nf4",
            "nf4",
            {},
        ),
        (
            f"{FOUR_BITS}\nquantization_method: hqq\n{FP4}",
            "nf4",
            {
                "quantization_method": "NF4",
                "double_quantization": "NF4",
                "quantization_type": "NF4",
            },
        ),
        (
            "model_name_or_path: a\nquantization_bit: 8\nquantization_method: bnb",
            "none",
            {"quantization_bit": "as it is, or in 4 bits", "quantization_method": "NF4"},
        ),
        (
            "model_name_or_path: a\nfinetuning_type: full\nquantization_bit: 4",
            "none",
            {"quantization_bit": "trained whole"},
        ),
    ],
)
def test_a_base_in_four_bits_is_taken_over(text: str, held: str, ignored: dict[str, str]) -> None:
    found = recipe_read(text)
    assert found.settings.quantise_base == held
    assert {each.key for each in found.ignored} == set(ignored)
    assert all(ignored[each.key] in each.reason for each in found.ignored)


@pytest.mark.parametrize("name", ["adamw_8bit", "adamw_bnb_8bit", "paged_adamw_8bit"])
def test_eight_bits_of_moments_are_for_models_that_are_trained_whole(name: str) -> None:
    whole = recipe_read(f"model_name_or_path: a\nfinetuning_type: full\noptim: {name}")
    assert whole.settings.optimiser == "adamw_8bit"
    paged = [each.reason for each in whole.ignored]
    assert paged == (["AdamW's moments stay on the device here"] if "paged" in name else [])
    adapter = recipe_read(f"base_model: a\nadapter: lora\noptimizer: {name}")
    assert adapter.settings.optimiser == "adamw"
    (told,) = adapter.ignored
    assert (told.key, told.value) == ("optimizer", name)
    assert told.reason == "an adapter's moments are few, and kept in fp32 here"


def test_their_defaults_hold_where_a_file_is_silent() -> None:
    theirs = recipe_read("model_name_or_path: a").settings
    assert (theirs.learning_rate, theirs.epochs, theirs.batch_size) == (5e-5, 3, 8)
    assert (theirs.lora.rank, theirs.lora.alpha, theirs.seed) == (8, 16.0, 42)
    assert (theirs.schedule, theirs.max_length) == ("linear", 2048)
    full = recipe_read("base_model: a\nlearning_rate: 1e-5").settings
    assert (full.method, full.schedule, full.learning_rate) == ("full", "cosine", 1e-5)


def test_named_layers_and_rslora() -> None:
    text = "model_name_or_path: a\nlora_target: q_proj, v_proj\nuse_rslora: true\nlora_rank: 4"
    spec = recipe_read(text).settings.lora
    assert (spec.target_modules, spec.use_rslora, spec.scale) == (("q_proj", "v_proj"), True, 4.0)


@pytest.mark.parametrize(
    "text",
    ["model_name_or_path: a\nstage: dpo\npref_beta: 0.3", "base_model: a\nrl: dpo\nrl_beta: 0.3"],
)
def test_preferences_are_taken_over(text: str) -> None:
    spec = recipe_read(text).settings
    assert (spec.task, spec.preference.beta) == ("preference", 0.3)


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("a: [", "recipe", "no YAML"),
        ("- a\n- b", "recipe", "no settings by name"),
        ("learning_rate: 1", "recipe", "no file of"),
        ("x" * 300_000, "recipe", "at most"),
        ("model_name_or_path: a\nfoo: .inf", "recipe", "of plain values"),
        ("model_name_or_path: a\nfoo: [{b: .nan}]", "recipe", "of plain values"),
        ('model_name_or_path: a\nfoo: "\\ud800"', "recipe", "of plain values"),
        (f"model_name_or_path: a\nfoo: 1{'0' * 5000}", "recipe", "of plain values"),
        ("model_name_or_path: a\nfoo: &a [*a]", "recipe", r"\*a stands for another part"),
        ("base_model: a\nfoo: &a [1]\nbar: [*a, *a]", "recipe", r"\*a stands for another part"),
        ("model_name_or_path: a\nstage: []", "stage", "and .dpo. can"),
        ("model_name_or_path: a\nfinetuning_type: {a: 1}", "finetuning_type", "lora or full"),
        ("model_name_or_path: a\ncutoff_len: 1.0e+300", "cutoff_len", "give a whole number"),
        (f"model_name_or_path: a\nweight_decay: 1{'0' * 400}", "weight_decay", "give a number"),
        ("model_name_or_path: a\nquantization_bit: nf4", "quantization_bit", "give a number"),
        ("base_model: a\nadapter: [lora]", "adapter", "choose lora"),
        ("base_model: a\nrl: [dpo]", "rl", "supervised"),
        ('base_model: a\nadapter: lora\nload_in_4bit: "false"', "load_in_4bit", "true or false"),
        ("model_name_or_path: a\nstage: kto", "stage", "'kto'"),
        ("model_name_or_path: a\nstage: dpo\npref_loss: simpo", "pref_loss", "only 'sigmoid'"),
        ("model_name_or_path: a\nfinetuning_type: freeze", "finetuning_type", "lora or full"),
        ("model_name_or_path: a\nlearning_rate: fast", "learning_rate", "give a number"),
        ("model_name_or_path: a\nnum_train_epochs: 1.5", "num_train_epochs", "whole number"),
        ("model_name_or_path: a\nlora_rank: 0", "lora.rank", "from 1"),
        ("model_name_or_path: a\nlora_target: {a: 1}", "lora_target", "list of layer names"),
        ("base_model: a\noptimizer: adafactor", "optimizer", "choose one of"),
        ("base_model: a\nlr_scheduler: [x]", "lr_scheduler", "choose one of"),
        ("base_model: a\nrl: orpo", "rl", "supervised"),
    ],
)
def test_what_cannot_be_taken_over_is_refused_by_name(text: str, field: str, says: str) -> None:
    with pytest.raises(SpecError, match=says) as refused:
        recipe_read(text)
    assert refused.value.field == field


def test_it_is_plain_json_in_the_end() -> None:
    found: dict[str, Any] = recipe_read(AXOLOTL).to_dict()
    assert found["settings"]["lora"]["rank"] == 32
    assert found["ignored"][0]["key"] == "bf16"
