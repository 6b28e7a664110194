"""Axolotl's training files. https://docs.axolotl.ai/docs/config-reference.html"""

from __future__ import annotations

from typing import Any

from workers.engine.checks import SpecError
from workers.engine.recipes.recipe import (
    NOT_IN_8,
    Ignored,
    Reading,
    preference,
    quantised_base,
    shared_settings,
    targets,
)
from workers.engine.specs import FineTuneSpec

OURS = "the platform decides it"
FAST = "the platform computes in what is fast on its machine; settings.dtype says otherwise"
KNOWN = {
    "datasets": "upload the data and name it as training_file",
    "test_datasets": "upload the data and name it as validation_file",
    "val_set_size": "upload held-out data and name it as validation_file",
    "chat_template": "the chat template stored with the base model is used",
    "train_on_inputs": "prompts are never learned here",
    "load_in_8bit": NOT_IN_8,
    "max_steps": "num_epochs decides how long training takes",
    "pad_to_sequence_len": "nothing is padded here",
    "group_by_length": "packing makes it needless",
    "bf16": FAST,
    "fp16": FAST,
    "tf32": OURS,
    "flash_attention": OURS,
    "sdp_attention": OURS,
    "deepspeed": OURS,
    "fsdp": OURS,
    "output_dir": "the result becomes a model version",
    "saves_per_epoch": "a checkpoint is kept at each epoch's end",
    "evals_per_epoch": "validation comes before training and at each epoch's end",
    "logging_steps": "every step is reported",
}


def axolotl(reading: Reading) -> tuple[str, FineTuneSpec, tuple[Ignored, ...]]:
    """Base, settings and what was left out.

    Raises:
        SpecError: it asks for training that we do not offer, or a value is bad.
    """
    base = str(reading.take("base_model"))
    if (rl := reading.take("rl")) not in (None, "dpo"):
        raise SpecError("rl", f"{rl!r} cannot be imported; supervised training and 'dpo' can.")
    adapter = reading.take("adapter", "full")
    if adapter not in ("lora", "qlora", "full"):
        raise SpecError("adapter", f"{adapter!r} is not offered here; choose lora, qlora, or none.")
    method = "full" if adapter == "full" else "lora"
    settings: dict[str, Any] = {
        "method": method,
        "quantise_base": _base(reading, adapter, method),
        "learning_rate": reading.number("learning_rate", 2e-4),
        "epochs": reading.whole("num_epochs", 1),
        "batch_size": reading.whole("micro_batch_size", 1)
        * reading.whole("gradient_accumulation_steps", 1),
        "max_length": reading.whole("sequence_len", 512),
        "length_policy": "truncate",
        "patience": reading.whole("early_stopping_patience", 0),
        **shared_settings(
            reading,
            method=method,
            optimiser="optimizer",
            schedule="lr_scheduler",
            usual_schedule="cosine",
        ),
    }
    if adapter != "full":
        settings["lora"] = _lora(reading)
    if rl:
        settings |= preference(reading, beta="rl_beta", loss="dpo_loss_type")
    for key in ("sample_packing", "eval_sample_packing"):
        reading.take(key)  # never changes the result here
    return base, FineTuneSpec.from_dict(settings), reading.finish(KNOWN)


def _base(reading: Reading, adapter: str, method: str) -> str:
    """How the base is held: in 4 bits for qlora, and wherever it is to be loaded so."""
    loaded = reading.truth("load_in_4bit")
    if not loaded and adapter != "qlora":
        return "none"
    return quantised_base(reading, "load_in_4bit", loaded, method=method)


def _lora(reading: Reading) -> dict[str, Any]:
    every = reading.take("lora_target_linear", default=False)
    named = reading.take("lora_target_modules", [])
    return {
        "rank": reading.whole("lora_r", 8),
        "alpha": reading.number("lora_alpha", 16),
        "dropout": reading.number("lora_dropout", 0.0),
        "target_modules": "auto" if every else targets("lora_target_modules", named),
        "use_rslora": reading.truth("peft_use_rslora"),
        "use_dora": reading.truth("peft_use_dora"),
    }
