"""List filters whose choices read in the reader's language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest

from saas.console.words import Word


def choice_filter(field: str, label: Word, words: Mapping[str, Word]) -> type[SimpleListFilter]:
    """A filter on one field by the values of a word table."""

    class ChoiceFilter(SimpleListFilter):
        title = label  # type: ignore[assignment]
        parameter_name = field

        def lookups(
            self, request: HttpRequest, model_admin: ModelAdmin[Any]
        ) -> Iterable[tuple[str, Any]]:
            del request, model_admin
            return list(words.items())

        def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
            del request
            value = self.value()
            return queryset if value not in words else queryset.filter(**{field: value})

    return ChoiceFilter
