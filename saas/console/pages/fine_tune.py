"""Starting a fine-tune: which model, which data, how thoroughly, and at what price."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.console.asking import choices_set
from saas.console.pages.playground import callable_models
from saas.console.pages.quoted import quoted
from workers.assets.models import BaseModel
from workers.assets.selectors import files_visible
from workers.jobs.states import Kind

TEXT = BaseModel.Kind.TEXT_GENERATION
AUTO = _("Leave empty to let us choose.")


class FineTuneForm(forms.Form):
    """What is asked of a person; everything else takes the engine's defaults."""

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
            ("full", _("Every weight")),
        ],
        required=False,
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

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        files = training_files()
        choices_set(self, "model", [(name, name) for name in callable_models(TEXT)])
        choices_set(self, "training_file", files)
        choices_set(self, "validation_file", [("", _("None")), *files])

    def spec(self) -> dict[str, Any]:
        """The job's spec as `job_submit` takes it; what was left empty is "auto"."""
        given = self.cleaned_data
        asked = ("n_epochs", "batch_size", "learning_rate_multiplier")
        return {
            "model": given["model"],
            "training_file_id": given["training_file"],
            "validation_file_id": given["validation_file"] or None,
            "suffix": given["suffix"] or None,
            "method": "supervised",
            "requested_hyperparameters": {
                name: "auto" if given[name] is None else given[name] for name in asked
            },
            "settings": {"method": given["method"]} if given["method"] else {},
            "seed": given["seed"],
        }


def training_files() -> list[tuple[str, str]]:
    rows = files_visible().filter(purpose="fine-tune").order_by("-id")[:200]
    return [(row.pk, row.filename) for row in rows]


def fine_tune(request: HttpRequest) -> HttpResponse:
    return quoted(request, FineTuneForm, kind=Kind.FINE_TUNE, title=_("Start a fine-tune"))
