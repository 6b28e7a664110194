"""Starting a fine-tune: which task, model and data, how thoroughly, and at what price."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from saas.console.asking import choices_set
from saas.console.pages.quoted import quoted
from saas.console.recipe_words import CARRIED, recipe_shown
from saas.console.task_words import PRESETS, PROBLEMS, TASKS
from workers.assets.models import BaseModel
from workers.assets.readings import TASKS_OF
from workers.assets.selectors import files_visible, models_visible
from workers.engine.checks import SpecError
from workers.engine.recipes.recipe import Recipe, recipe_read
from workers.engine.specs import ADAMW_8BIT, NF4, served_as
from workers.jobs.states import Kind

TEXT = BaseModel.Kind.TEXT_GENERATION
AUTO = _("Leave empty to let us choose.")
QLORA = "qlora"  # not a method by itself: LoRA with the base in 4 bits
SHOWN = 100  # of a tenant's own models, the newest
ONLY_OF = {  # fields that belong to one task
    "beta": "preference",
    "temperature": "embeddings",
    "target": "tabular",
    "problem": "tabular",
    "hidden": "tabular",
}


class FineTuneForm(forms.Form):
    """What is asked of a person for one task; all else is as in a recipe, or the engine's default.

    `recipe` is another trainer's, whose text the form carries along.
    """

    task = forms.CharField(widget=forms.HiddenInput, required=False)
    recipe_text = forms.CharField(widget=forms.HiddenInput, required=False, strip=False)
    model = forms.ChoiceField(label=_("Start from"))
    training_file = forms.ChoiceField(label=_("Training data"))
    validation_file = forms.ChoiceField(
        label=_("Validation data"),
        required=False,
        help_text=_("Held-out examples: the curve then shows how well the model does on them."),
    )
    suffix = forms.CharField(
        label=_("Suffix"),
        max_length=64,
        required=False,
        help_text=_("Becomes part of the new model's name."),
    )
    method = forms.ChoiceField(
        label=_("Method"),
        choices=[
            ("", _("As the model was made")),
            ("lora", _("Adapter (LoRA)")),
            (QLORA, _("Adapter, the base in 4 bits (QLoRA; on GPUs)")),
            ("full", _("Every weight")),
        ],
        required=False,
    )
    target = forms.CharField(
        label=_("Column to predict"),
        max_length=200,
        required=False,
        help_text=_("Leave empty for the last one."),
    )
    problem = forms.ChoiceField(
        label=_("What it holds"), choices=list(PROBLEMS.items()), required=False
    )
    hidden = forms.ChoiceField(
        label=_("Hidden layers"), choices=list(PRESETS.items()), required=False
    )
    beta = forms.FloatField(
        label=_("Nearness to the model as it is (beta)"),
        min_value=0.001,
        max_value=10,
        required=False,
        help_text=_("0.1 where left empty; the higher, the less it changes."),
    )
    temperature = forms.FloatField(
        label=_("Temperature"),
        min_value=0.001,
        max_value=10,
        required=False,
        help_text=_("0.05 where left empty; the lower, the more the hardest negatives count."),
    )
    n_epochs = forms.IntegerField(
        label=_("Passes over the data"), min_value=1, max_value=1000, required=False, help_text=AUTO
    )
    batch_size = forms.IntegerField(
        label=_("Examples per update"),
        min_value=1,
        max_value=65_536,
        required=False,
        help_text=AUTO,
    )
    learning_rate_multiplier = forms.FloatField(
        label=_("Learning rate multiplier"),
        min_value=0.001,
        max_value=1000,
        required=False,
        help_text=AUTO,
    )
    seed = forms.IntegerField(label=_("Seed"), min_value=0, max_value=2**31 - 1, required=False)

    def __init__(self, task: str, *args: Any, recipe: Recipe | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.chosen, words, files = task, TASKS[task], training_files()
        self.recipe = recipe
        if recipe or self.data.get("recipe_text"):
            del self.fields["learning_rate_multiplier"]  # the recipe says the rate itself
        self.fields["task"].initial = task
        choices_set(self, "model", [(name, name) for name in models_that_learn(task)])
        choices_set(self, "training_file", files)
        choices_set(self, "validation_file", [("", _("None")), *files])
        self.fields["training_file"].help_text = format_html(
            "{} <code>{}</code>", words.data, words.example
        )
        if not words.has_adapters:
            del self.fields["method"]
        for name, owner in ONLY_OF.items():
            if owner != task:
                del self.fields[name]

    def clean(self) -> dict[str, Any]:
        if text := self.cleaned_data.get("recipe_text"):
            try:
                self.recipe = recipe_read(text)
            except SpecError as error:
                raise forms.ValidationError(str(error)) from error
        return self.cleaned_data

    def recipe_shown(self) -> dict[str, Any] | None:
        return recipe_shown(self.recipe) if self.recipe else None

    def spec(self) -> dict[str, Any]:
        """The job's spec as `job_submit` takes it; what was left empty is "auto"."""
        given = self.cleaned_data
        asked = ("n_epochs", "batch_size", "learning_rate_multiplier")
        return {
            "model": given["model"],
            "training_file_id": given["training_file"],
            "validation_file_id": given["validation_file"] or None,
            "suffix": given["suffix"] or None,
            "method": "dpo" if self.chosen == "preference" else "supervised",
            "requested_hyperparameters": {
                name: "auto" if given.get(name) is None else given[name] for name in asked
            },
            "settings": self._settings(),
            "seed": given["seed"],
        }

    def _settings(self) -> dict[str, Any]:
        """What was filled in; a version that goes on keeps what it was made with."""
        given = self.cleaned_data
        settings: dict[str, Any] = {"task": self.chosen}
        if self.recipe:
            theirs = self.recipe.settings.to_dict()
            settings |= {name: theirs[name] for name in CARRIED}
        method = given.get("method")
        if method is not None:  # whatever a recipe says of the base, this field says as well
            settings["quantise_base"] = NF4 if method == QLORA else "none"
        if method:
            settings["method"] = "lora" if method == QLORA else method
        if settings.get("optimiser") == ADAMW_8BIT and method in ("lora", QLORA):
            settings["optimiser"] = "adamw"  # as recipes of adapters are read
        if given.get("beta") is not None:
            settings["preference"] = {"beta": given["beta"]}
        if given.get("temperature") is not None:
            settings["embeddings"] = {"temperature": given["temperature"]}
        if self.chosen == "tabular" and BaseModel.objects.filter(pk=given["model"]).exists():
            settings["tabular"] = {
                name: given[name] for name in ("target", "problem", "hidden") if given[name]
            }
        return settings


def models_that_learn(task: str) -> list[str]:
    """The tenant's models that may go on learning it, newest first, then the catalogue's."""
    found = models_visible()
    own = [m.name for m in found if m.version and m.kind == served_as(task)]
    return own[:SHOWN] + [
        m.name for m in found if not m.version and task in TASKS_OF.get(m.base.kind, ())
    ]


def training_files() -> list[tuple[str, str]]:
    rows = files_visible().filter(purpose="fine-tune").order_by("-id")[:200]
    return [(row.pk, row.filename) for row in rows]


def fine_tune(request: HttpRequest) -> HttpResponse:
    asked = request.POST.get("task") or request.GET.get("task") or TEXT.value
    return _page(request, asked if asked in TASKS else TEXT.value)


def fine_tune_filled(request: HttpRequest, recipe: Recipe, text: str) -> HttpResponse:
    """The form as a recipe fills it in; `text` is the recipe's own."""
    settings = recipe.settings
    filled = {
        "recipe_text": text,
        "model": model_like(recipe.base, models_that_learn(settings.task)),
        "method": QLORA if settings.quantise_base == NF4 else settings.method,
        "n_epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "beta": settings.preference.beta,
        "seed": settings.seed,
    }
    return _page(request, settings.task, filled, recipe=recipe)


def model_like(name: str, offered: list[str]) -> str | None:
    """The model that a recipe names, by its whole name or without its owner's."""
    wanted = (name.lower(), name.rpartition("/")[2].lower())
    return next((each for each in offered if each.lower() in wanted), None)


def _page(
    request: HttpRequest,
    task: str,
    filled: Mapping[str, Any] | None = None,
    recipe: Recipe | None = None,
) -> HttpResponse:
    return quoted(
        request,
        partial(FineTuneForm, task, recipe=recipe),
        kind=Kind.FINE_TUNE,
        title=_("Start a fine-tune"),
        more={
            "tasks": TASKS,
            "task": task,
            "about": TASKS[task],
            "address": reverse("console:fine_tune"),
        },
        filled=filled,
    )
