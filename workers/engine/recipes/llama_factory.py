"""LLaMA-Factory's training files. https://llamafactory.readthedocs.io/en/latest/advanced/arguments.html"""

from __future__ import annotations

from typing import Any

from workers.engine.checks import SpecError
from workers.engine.recipes.recipe import (
    ALWAYS_NF4,
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
    "dataset": "upload the data and name it as training_file",
    "dataset_dir": "upload the data and name it as training_file",
    "eval_dataset": "upload the data and name it as validation_file",
    "val_size": "upload held-out data and name it as validation_file",
    "template": "the chat template stored with the base model is used",
    "max_samples": "every example of the file is used",
    "max_steps": "num_train_epochs decides how long training takes",
    "quantization_method": ALWAYS_NF4,
    "quantization_type": ALWAYS_NF4,
    "double_quantization": ALWAYS_NF4,
    "neat_packing": "packed examples never see each other here",
    "bf16": FAST,
    "fp16": FAST,
    "pure_bf16": FAST,
    "flash_attn": OURS,
    "deepspeed": OURS,
    "output_dir": "the result becomes a model version",
    "save_steps": "a checkpoint is kept at each epoch's end",
    "logging_steps": "every step is reported",
    "do_train": "a fine-tune always trains",
    "eval_strategy": "validation comes before training and at each epoch's end",
    "eval_steps": "validation comes before training and at each epoch's end",
}

SAME = {  # of what is asked for beside 4 bits
    "quantization_method": ("bitsandbytes", "bnb", "BNB"),
    "quantization_type": ("nf4",),
    "double_quantization": (True,),
}


def llama_factory(reading: Reading) -> tuple[str, FineTuneSpec, tuple[Ignored, ...]]:
    """Base, settings and what was left out.

    Raises:
        SpecError: it asks for training that we do not offer, or a value is bad.
    """
    base = str(reading.take("model_name_or_path"))
    stage = reading.take("stage", "sft")
    if stage not in ("sft", "dpo"):
        raise SpecError("stage", f"{stage!r} cannot be imported; 'sft' and 'dpo' can.")
    kind = reading.take("finetuning_type", "lora")
    if kind not in ("lora", "full"):
        raise SpecError("finetuning_type", f"{kind!r} is not offered here; choose lora or full.")
    batch = reading.whole("per_device_train_batch_size", 8)
    settings: dict[str, Any] = {
        "method": kind,
        "quantise_base": _base(reading, kind),
        "learning_rate": reading.number("learning_rate", 5e-5),
        "epochs": reading.whole("num_train_epochs", 3),
        "batch_size": batch * reading.whole("gradient_accumulation_steps", 1),
        "max_length": reading.whole("cutoff_len", 2048),
        "length_policy": "truncate",
        "packing": True,
        **shared_settings(
            reading,
            method=kind,
            optimiser="optim",
            schedule="lr_scheduler_type",
            usual_schedule="linear",
        ),
    }
    if kind == "lora":
        settings["lora"] = _lora(reading)
    if stage == "dpo":
        settings |= preference(reading, beta="pref_beta", loss="pref_loss")
    reading.take("packing")  # never changes the result here
    return base, FineTuneSpec.from_dict(settings), reading.finish(KNOWN)


def _base(reading: Reading, kind: str) -> str:
    """How the base is held: in 4 bits where that is asked for, as bitsandbytes has them."""
    bits = reading.whole("quantization_bit", 0)
    if bits != 4:
        if bits:
            reading.ignored.append(Ignored("quantization_bit", bits, NOT_IN_8))
        return "none"
    for key, same in SAME.items():  # what is the same here was not left out
        if (value := reading.take(key, same[0])) not in same:
            reading.ignored.append(Ignored(key, value, ALWAYS_NF4))
    return quantised_base(reading, "quantization_bit", bits, method=kind)


def _lora(reading: Reading) -> dict[str, Any]:
    rank = reading.whole("lora_rank", 8)
    return {
        "rank": rank,
        "alpha": reading.number("lora_alpha", 2 * rank),
        "dropout": reading.number("lora_dropout", 0.0),
        "target_modules": targets("lora_target", reading.take("lora_target", "all")),
        "use_rslora": reading.truth("use_rslora"),
        "use_dora": reading.truth("use_dora"),
    }
