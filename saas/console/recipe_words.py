"""What is taken from another trainer's recipe, and what is left out, in a reader's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext_lazy as _

from saas.console.words import Word
from workers.engine.recipes.recipe import Recipe

TRAINERS = {"llama_factory": "LLaMA-Factory", "axolotl": "Axolotl"}
CARRIED: Mapping[str, Word] = {  # settings of a recipe that the form has no field for
    "learning_rate": _("Learning rate"),
    "schedule": _("Learning rate's course"),
    "warmup_fraction": _("Warm-up, as a share of all updates"),
    "quantise_base": _("Quantised base model"),
    "optimiser": _("Optimiser"),
    "betas": _("Decay of the optimiser's means"),
    "weight_decay": _("Weight decay"),
    "gradient_clip": _("Largest gradient norm"),
    "max_length": _("Longest example"),
    "length_policy": _("Longer examples"),
    "activation_checkpointing": _("Activations computed again"),
    "patience": _("Passes without progress before it stops"),
    "lora": _("Adapter (LoRA)"),
}
LORA: Mapping[str, Word] = {
    "rank": _("Adapter's rank"),
    "alpha": _("Adapter's alpha"),
    "dropout": _("Adapter's dropout"),
    "target_modules": _("Layers that get an adapter"),
    "use_rslora": _("Scaled by the rank's root (rsLoRA)"),
    "use_dora": _("Lengths learned apart (DoRA)"),
}
OURS = _("The platform decides it.")
FAST = _("The platform computes in what is fast on its machine.")
DATA = _("Upload the data and choose it as training data.")
HELD_OUT = _("Upload held-out data and choose it as validation data.")
PASSES = _("The passes over the data decide how long training takes.")
REASONS: Mapping[str, Word] = {  # as the engine gives them to programs
    "upload the data and name it as training_file": DATA,
    "upload the data and name it as validation_file": HELD_OUT,
    "upload held-out data and name it as validation_file": HELD_OUT,
    "the chat template stored with the base model is used": _(
        "The chat template stored with the model is used."
    ),
    "every example of the file is used": _("Every example of the file is used."),
    "num_train_epochs decides how long training takes": PASSES,
    "num_epochs decides how long training takes": PASSES,
    "the base is held as it is, or in 4 bits": _("The base is held as it is, or in 4 bits."),
    "a base that is trained whole is not quantised": _(
        "A model whose every weight is trained is not quantised."
    ),
    "a base in 4 bits is in NF4 with its scales quantised too": _(
        "A base in 4 bits is in NF4, and its scales are quantised too."
    ),
    "packed examples never see each other here": _("Packed examples never see each other here."),
    "packing makes it needless": _("Packing makes it needless."),
    "nothing is padded here": _("Nothing is padded here."),
    "prompts are never learned here": _("Prompts are never learned here."),
    "the platform computes in what is fast on its machine; settings.dtype says otherwise": FAST,
    "the platform decides it": OURS,
    "the result becomes a model version": _("The result becomes a model of yours."),
    "a checkpoint is kept at each epoch's end": _("A checkpoint is kept after each pass."),
    "every step is reported": _("Every update is reported."),
    "a fine-tune always trains": _("A fine-tune always trains."),
    "validation comes before training and at each epoch's end": _(
        "Validation comes before training and after each pass."
    ),
    "give warmup_ratio: a warm-up is a share of all steps here": _(
        "A warm-up is a share of all updates here: give warmup_ratio."
    ),
    "an adapter's moments are few, and kept in fp32 here": _(
        "An adapter's moments are few, and kept in full precision."
    ),
    "AdamW's moments stay on the device here": _("AdamW's moments stay on the device here."),
    "there is no such setting here": _("There is no such setting here."),
}


def recipe_shown(recipe: Recipe) -> dict[str, Any]:
    """What holds from a recipe beyond the form's fields, and what was left out, why."""
    return {
        "trainer": TRAINERS[recipe.source],
        "base": recipe.base,
        "carried": list(_carried(recipe.settings.to_dict())),
        "ignored": [
            (each.key, _plain(each.value), REASONS.get(each.reason, each.reason))
            for each in recipe.ignored
        ],
    }


def _carried(settings: Mapping[str, Any]) -> Iterator[tuple[Word, str]]:
    """A setting's name and value; an adapter's settings one by one, where one is trained."""
    for key, name in CARRIED.items():
        if key != "lora":
            yield name, _plain(settings[key])
        elif settings["method"] == "lora":
            yield from ((LORA[part], _plain(value)) for part, value in settings["lora"].items())


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
