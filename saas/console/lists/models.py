"""Models: the catalogue's bases and what the tenant made of them, with lineage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of
from saas.console.filters import choice_filter
from saas.console.lists.files import file_link
from saas.console.readonly import Act, ReadOnlyAdmin, Section
from saas.console.words import BASE_KINDS, VERSION_KINDS
from workers.assets.models import ModelVersion
from workers.assets.services import model_version_delete
from workers.serving.selectors import deployment_of
from workers.serving.services import deployment_create


def _version(version_id: str) -> ModelVersion:
    row: ModelVersion = ModelVersion.objects.get(pk=version_id)
    return row


def _deploy(request: HttpRequest, version_id: str) -> Any:
    name = _version(version_id).name
    return deployment_create(actor=actor_of(request), model=name)


def _delete(request: HttpRequest, version_id: str) -> Any:
    name = _version(version_id).name
    return model_version_delete(actor=actor_of(request), name=name)


def _compress_url(row: ModelVersion) -> str:
    """The form for making this model smaller; empty for one that is rounded already."""
    if row.kind == ModelVersion.Kind.QUANTISED or row.over_id is not None:
        return ""
    return reverse("console:compress") + f"?model={row.name}"


def _parent(row: ModelVersion) -> Any:
    return version_link(row.parent) if row.parent else None


def _over(row: ModelVersion) -> Any:
    return version_link(row.over) if row.over else None


def _data(row: ModelVersion) -> Any:
    return file_link(row.dataset.file_id, row.dataset.file.filename) if row.dataset else None


def _job(row: ModelVersion) -> Any:
    if not row.job_id:
        return None
    url = reverse("console:jobs_job_change", args=[row.job_id])
    return format_html('<a href="{}">{}</a>', url, row.job_id)


def version_link(row: ModelVersion) -> Any:
    url = reverse("console:assets_modelversion_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', url, row.name)


STAGES = {"False": _("Result"), "True": _("Checkpoint")}
_STAGE = show.column(lambda row: STAGES[str(row.is_checkpoint)], _("Stage"))
_MEASURES = show.derived("metrics", _("Measures"), show.as_pairs)


class ModelVersionAdmin(ReadOnlyAdmin):
    reads = "models.read"
    title = _("Models")
    intro = _("What you made. Call one by its name, or take it with you: adapters leave as PEFT.")
    empty = _("No models yet. A finished fine-tune puts one here.")
    list_display = (
        show.text("name", _("Name"), sort=True),
        show.word("kind", _("Kind"), VERSION_KINDS),
        _STAGE,
        show.text("base_id", _("Base model")),
        show.size("bytes", _("Size")),
        show.moment("created_at", _("Created")),
    )
    list_filter = (
        choice_filter("kind", _("Kind"), VERSION_KINDS),
        choice_filter("is_checkpoint", _("Stage"), STAGES),
    )
    search_fields = ("id", "name", "job_id")
    detail_template = "console/model.html"
    details = (
        show.code("name", _("Name")),
        show.word("kind", _("Kind"), VERSION_KINDS),
        show.text("base_id", _("Base model")),
        _STAGE,
        show.column(_parent, _("Made from")),
        show.column(_over, _("Served on")),
        show.column(_data, _("Trained on")),
        show.column(_job, _("Job")),
        show.number("step", _("Step")),
        show.number("parameters", _("Parameters")),
        show.size("bytes", _("Size")),
        show.text("licence", _("Licence")),
        _MEASURES,
        show.code("sha256", _("SHA-256")),
        show.moment("created_at", _("Created")),
    )
    acts = (
        Act(
            name="deploy",
            label=_("Deploy"),
            permission="deployments.write",
            run=_deploy,
            done=_("The model is on offer; its first request wakes it."),
            offered=lambda version: deployment_of(version.name) is None,
        ),
        Act(
            name="delete",
            label=_("Delete"),
            permission="models.write",
            run=_delete,
            done=_("The model is deleted."),
            danger=True,
            confirm=_("Delete this model? Nobody can call or download it afterwards."),
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        rows = super().get_queryset(request).filter(deleted_at__isnull=True)
        return rows.select_related("parent", "over", "dataset__file")

    def sections(self, request: HttpRequest, row: ModelVersion) -> Sequence[Section]:
        del request
        children = ModelVersion.objects.filter(parent=row, deleted_at__isnull=True)
        siblings = ModelVersion.objects.filter(job_id=row.job_id, deleted_at__isnull=True)
        return [
            Section(_("Made from this"), _CHILD_COLUMNS, list(children.order_by("id"))),
            Section(
                _("From the same job"),
                _CHILD_COLUMNS,
                list(siblings.exclude(pk=row.pk).order_by("step")) if row.job_id else [],
            ),
        ]

    def more(self, request: HttpRequest, row: ModelVersion) -> dict[str, Any]:
        del request
        return {
            "download_url": reverse("console:model_download", args=[row.pk]),
            "play_url": reverse("console:playground") + f"?model={row.name}",
            "compress_url": _compress_url(row),
        }


_CHILD_COLUMNS = (
    show.column(version_link, _("Name")),
    show.word("kind", _("Kind"), VERSION_KINDS),
    show.number("step", _("Step")),
    _MEASURES,
    show.moment("created_at", _("Created")),
)


class BaseModelAdmin(ReadOnlyAdmin):
    reads = "models.read"
    title = _("Base models")
    intro = _("The catalogue: what you can call as it is, and fine-tune from.")
    ordering = ("id",)
    list_display = (
        show.text("id", _("Name"), sort=True),
        show.word("kind", _("Kind"), BASE_KINDS),
        show.number("parameters", _("Parameters"), sort=True),
        show.number("context_length", _("Context")),
        show.size("bytes", _("Size")),
        show.text("licence", _("Licence")),
    )
    search_fields = ("id", "family")
    details: Sequence[show.Cell] = (
        show.code("id", _("Name")),
        show.word("kind", _("Kind"), BASE_KINDS),
        show.text("description", _("Description")),
        show.text("family", _("Family")),
        show.number("parameters", _("Parameters")),
        show.number("context_length", _("Context")),
        show.size("bytes", _("Size")),
        show.text("licence", _("Licence")),
        show.code("sha256", _("SHA-256")),
        show.moment("created_at", _("Added")),
    )
