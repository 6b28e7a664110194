"""Recipes: other trainers' YAML files, read as settings of a fine-tune."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant
from saas.api.schema import operation
from saas.api.views import ApiView
from tenants.kernel.errors import InvalidInput
from workers.engine.checks import SpecError
from workers.engine.recipes.recipe import SIZE_LIMIT, recipe_read

TAG = "fine-tuning"


class RecipeIn(serializers.Serializer[Any]):
    recipe = serializers.CharField(
        max_length=SIZE_LIMIT, help_text="A YAML file of LLaMA-Factory's or Axolotl's, as text."
    )


class IgnoredOut(serializers.Serializer[Any]):
    key = serializers.CharField()
    value = serializers.JSONField(allow_null=True)
    reason = serializers.CharField(help_text="What holds instead, or what to do.")


class RecipeOut(serializers.Serializer[Any]):
    object = Constant("fine_tuning.recipe")
    trainer = serializers.CharField(source="source", help_text="`llama_factory` or `axolotl`.")
    base = serializers.CharField(help_text="The model that the file names, by its own name.")
    settings = serializers.DictField(help_text="What `settings` of a fine-tuning job takes.")
    ignored = IgnoredOut(many=True)


class RecipesView(ApiView):
    """Nothing is stored and nothing begins."""

    @operation(
        "Read another trainer's file", tag=TAG, needs="jobs.write", answer=RecipeOut, body=RecipeIn
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        try:
            found = recipe_read(self.body(RecipeIn)["recipe"])
        except SpecError as error:
            raise InvalidInput(str(error), param="recipe", code="invalid_recipe") from error
        return Response(RecipeOut(found.to_dict()).data)
