"""Importing another trainer's recipe: pasted or uploaded, it fills the form of a fine-tune."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.console.pages.fine_tune import fine_tune_filled
from workers.engine.checks import SpecError
from workers.engine.recipes.recipe import SIZE_LIMIT, Recipe, recipe_read

MOST_BYTES = 4 * SIZE_LIMIT  # of UTF-8, four to a character at most


class RecipeForm(forms.Form):
    """A recipe's text, or a file that holds it. Valid ones have `recipe` and `text`."""

    file = forms.FileField(label=_("YAML file"), required=False)
    text = forms.CharField(
        label=_("Or its text"),
        strip=False,
        required=False,
        widget=forms.Textarea(attrs={"rows": 16, "spellcheck": "false"}),
    )
    recipe: Recipe

    def clean_file(self) -> str:
        """The file's text; "" where there is none."""
        file = self.cleaned_data["file"]
        if file is None:
            return ""
        if file.size > MOST_BYTES:
            raise forms.ValidationError(_("The file is too large to be a recipe."))
        try:
            return str(file.read().decode())
        except UnicodeDecodeError:
            raise forms.ValidationError(_("The file is no UTF-8 text.")) from None

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        given["text"] = given.get("file") or given.get("text")
        if not given["text"] and not self.errors:
            raise forms.ValidationError(_("Choose a file, or paste its text."))
        if given["text"]:
            try:
                self.recipe = recipe_read(given["text"])
            except SpecError as error:
                raise forms.ValidationError(str(error)) from error
        return given


def recipe_import(request: HttpRequest) -> HttpResponse:
    from saas.console.site import console

    is_sent = request.method == "POST"
    form = RecipeForm(request.POST, request.FILES) if is_sent else RecipeForm()
    if is_sent and form.is_valid():
        return fine_tune_filled(request, form.recipe, form.cleaned_data["text"])
    title = _("Import a recipe")
    page: HttpResponse = console.page(
        request,
        "console/form.html",
        title=title,
        crumbs=[{"title": title}],
        form=form,
        note=_(
            "A training file of LLaMA-Factory's or Axolotl's fills the form of a fine-tune. You "
            "see what was left out, and why, before anything is priced or begins."
        ),
        button=_("Fill the form"),
    )
    return page
