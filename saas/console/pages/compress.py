"""Starting a compression: how far down, how much quality that may cost, and at what price."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.console.asking import choices_set
from saas.console.pages.fine_tune import training_files
from saas.console.pages.playground import SHOWN
from saas.console.pages.quoted import quoted
from saas.console.words import WEIGHT_FORMATS
from workers.assets.models import ModelVersion
from workers.assets.selectors import model_resolve, models_visible, versions_visible
from workers.engine.compression.limits import has_heads
from workers.jobs.compressions import is_compressible
from workers.jobs.states import Kind

GOALS = {
    "latency": _("A share of the time"),
    "price": _("A price"),
    "bytes": _("A share of the bytes"),
    "ratio": _("A share of the neurons, without a search"),
}
SEARCHED = (0.0, 0.25, 0.5)  # shares of channels and heads that a search tries to remove
HUNDRED = 100


class CompressForm(forms.Form):
    """What is asked of a person; everything else takes the engine's defaults."""

    model = forms.ChoiceField(label=_("Make smaller"))
    file = forms.ChoiceField(
        label=_("Data"),
        help_text=_("Examples of what the model is for: it learns from them again."),
    )
    validation_file = forms.ChoiceField(
        label=_("Validation data"),
        required=False,
        help_text=_("To measure quality on. Without it some of the data is held out."),
    )
    suffix = forms.CharField(
        label=_("Suffix"),
        max_length=40,
        required=False,
        help_text=_("Becomes part of the new model's name."),
    )
    goal = forms.ChoiceField(label=_("Down to"), choices=list(GOALS.items()), initial="latency")
    price = forms.DecimalField(
        label=_("Price of a million tokens"),
        min_value=Decimal("0.000001"),
        max_digits=12,
        decimal_places=6,
        required=False,
        help_text=_(
            "Yours, or a rival's: what the smaller model could be sold for at the same margin."
        ),
    )
    share = forms.IntegerField(
        label=_("Share that is left, in percent"), min_value=1, max_value=99, initial=50
    )
    quality_loss = forms.IntegerField(
        label=_("Quality that may be lost, in percent"),
        min_value=0,
        max_value=1000,
        initial=10,
        help_text=_("By how much perplexity or error may grow, or accuracy fall."),
    )
    rounded = forms.ChoiceField(
        label=_("Round weights to"),
        choices=list(WEIGHT_FORMATS.items()),
        initial="int8_dynamic",
        help_text=_("A search rounds them where that pays."),
    )
    recover_tokens = forms.IntegerField(
        label=_("Tokens to recover on"),
        min_value=0,
        max_value=10**9,
        initial=20_000,
        help_text=_("The smaller model learns again from the whole one; 0 leaves that out."),
    )

    adapters = forms.MultipleChoiceField(
        label=_("Adapters to carry over"),
        required=False,
        help_text=_("Of the chosen base. Each becomes a model of its own, on the smaller base."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        files = training_files()
        choices_set(self, "model", [(name, name) for name in compressible_models()])
        choices_set(self, "adapters", [(name, name) for name in carriable_adapters()])
        choices_set(self, "file", files)
        choices_set(self, "validation_file", [("", _("None")), *files])

    def clean(self) -> dict[str, Any]:
        """A price is needed where a price is the goal."""
        given: dict[str, Any] = super().clean() or {}
        if given.get("goal") == "price" and given.get("price") is None:
            self.add_error("price", _("Say which price."))
        if given.get("adapters") and given.get("goal") != "ratio":
            self.add_error("adapters", _("A search carries none over; choose a share of neurons."))
        return given

    def spec(self) -> dict[str, Any]:
        """The job's spec as `job_submit` takes it."""
        given = self.cleaned_data
        return {
            "model": given["model"],
            "file_id": given["file"],
            "validation_file_id": given["validation_file"] or None,
            "suffix": given["suffix"] or None,
            "adapters": given["adapters"] or None,
            "settings": self._settings(),
        }

    def _settings(self) -> dict[str, Any]:
        given = self.cleaned_data
        goal, share = given["goal"], given["share"] / HUNDRED
        rounded = given["rounded"]
        recover = {"recover": {"tokens": given["recover_tokens"], "labels": 1.0}}
        if goal == "ratio":
            gone = round(1 - share, 2)
            heads = gone if has_heads(model_resolve(given["model"]).base.family) else 0.0
            return {"prune": {"mlp": gone, "heads": heads}, "quantise": rounded, **recover}
        wanted = {"price": f"{given['price']:f}"} if goal == "price" else {goal: share}
        target = {
            **wanted,
            "quality_loss": given["quality_loss"] / HUNDRED,
            "ratios": list(SEARCHED),
            "formats": list(dict.fromkeys(["none", rounded])),
        }
        return {"target": target, **recover}


def compressible_models() -> list[str]:
    """The tenant's models that can be made smaller, newest first, then the catalogue's."""
    found = [model for model in models_visible() if is_compressible(model)]
    own = [model.name for model in found if model.version]
    return own[:SHOWN] + [model.name for model in found if not model.version]


def carriable_adapters() -> list[str]:
    """The tenant's adapters of a base's own weights, newest first."""
    rows = versions_visible().filter(kind=ModelVersion.Kind.ADAPTER, over=None)
    return list(rows.order_by("-id").values_list("name", flat=True)[:SHOWN])


def compress(request: HttpRequest) -> HttpResponse:
    return quoted(request, CompressForm, kind=Kind.COMPRESS, title=_("Make a model smaller"))
