"""Files and the datasets read from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of
from saas.console.filters import choice_filter
from saas.console.readonly import Act, ReadOnlyAdmin, Section
from saas.console.words import DATASET_STATES, FILE_STATES
from workers.assets.models import BaseModel, Dataset, File
from workers.assets.services import dataset_validate, file_delete

_status = show.badge("status", _("State"), FILE_STATES)


def _delete(request: HttpRequest, file_id: str) -> None:
    file_delete(actor=actor_of(request), file_id=file_id)


def _check(request: HttpRequest, file_id: str) -> None:
    """Read the file for each text model of the catalogue; what is wrong stands below, by line."""
    for base in BaseModel.objects.filter(kind=BaseModel.Kind.TEXT_GENERATION):
        dataset_validate(actor=actor_of(request), file_id=file_id, base_id=base.pk)


class FileAdmin(ReadOnlyAdmin):
    reads = "files.read"
    title = _("Files")
    intro = _("Examples to train on, one JSON object a line. Bytes are kept under your own key.")
    empty = _("No files yet. Upload the first one above.")
    list_tools = "console/upload.html"
    list_display = (
        show.text("filename", _("Name"), sort=True),
        show.text("purpose", _("Purpose")),
        show.size("bytes", _("Size")),
        _status,
        show.moment("created_at", _("Uploaded")),
    )
    list_filter = (choice_filter("status", _("State"), FILE_STATES),)
    search_fields = ("id", "filename")
    details = (
        show.code("id", _("Id")),
        show.text("filename", _("Name")),
        show.text("purpose", _("Purpose")),
        show.text("media_type", _("Type")),
        show.size("bytes", _("Size")),
        _status,
        show.text("status_details", _("Remarks")),
        show.code("sha256", _("SHA-256")),
        show.moment("created_at", _("Uploaded")),
        show.moment("expires_at", _("Expires")),
    )
    detail_template = "console/file.html"
    acts = (
        Act(
            name="check",
            label=_("Check"),
            permission="files.write",
            run=_check,
            done=_("The file is read; see its datasets."),
            offered=lambda file: file.purpose == "fine-tune",
        ),
        Act(
            name="delete",
            label=_("Delete"),
            permission="files.write",
            run=_delete,
            done=_("The file is deleted."),
            danger=True,
            confirm=_("Delete this file? Models trained on it stay."),
        ),
    )

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(deleted_at__isnull=True)

    def heading(self, row: File) -> str:
        return row.filename

    def sections(self, request: HttpRequest, row: File) -> Sequence[Section]:
        del request
        datasets = list(Dataset.objects.filter(file=row).order_by("id"))
        return [
            Section(_("Datasets"), _DATASET_COLUMNS, datasets),
            Section(
                _("Problems"),
                _PROBLEM_COLUMNS,
                [_Problem(problem) for dataset in datasets for problem in dataset.problems],
            ),
        ]

    def more(self, request: HttpRequest, row: File) -> Mapping[str, Any]:
        del request
        from saas.console.pages.preview import first_rows

        return {
            "preview": first_rows(row),
            "fine_tune_url": reverse("console:fine_tune") + f"?training_file={row.pk}",
        }


class _Problem:
    """One problem of a dataset, as the columns want it: attributes."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        self.line = problem.get("line")
        self.field = problem.get("field")
        self.reason = problem.get("reason")
        self.fix = problem.get("fix")


_DATASET_COLUMNS = (
    show.code("id", _("Id")),
    show.text("base_id", _("Base model")),
    show.text("format", _("Format")),
    show.badge("status", _("State"), DATASET_STATES),
    show.number("examples", _("Examples")),
    show.number("tokens", _("Tokens")),
    show.number("loss_tokens", _("Learned tokens")),
    show.number("longest", _("Longest")),
    show.number("duplicates", _("Duplicates")),
)
_PROBLEM_COLUMNS = (
    show.text("line", _("Line")),
    show.text("field", _("Field")),
    show.text("reason", _("Reason")),
    show.text("fix", _("What to do")),
)


def file_link(file_id: str, label: str) -> Any:
    return format_html(
        '<a href="{}">{}</a>', reverse("console:assets_file_change", args=[file_id]), label
    )
