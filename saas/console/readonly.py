"""Lists and details of rows that nobody edits here; what can be done to a row calls a service.

Django's own change, add and delete views are shut. An `Act` is a POST button on the detail page, or
a link to a form where it asks something first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.contrib.admin.utils import quote, unquote
from django.db.models import Model
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_http_methods
from unfold.admin import ModelAdmin

from saas.console.asking import actor_of, allowed, ask, perform
from saas.console.columns import Cell
from saas.console.words import Word
from tenants.kernel.errors import PermissionDenied


@dataclass(frozen=True)
class Act:
    """A button that calls one service: `run(request, row_id)`; its answer may be a response.

    With a `form` the button leads to that form, which starts with `initial(row)`, and the service
    is called with its fields: `run(request, row_id, **fields)`.
    """

    name: str
    label: Word
    permission: str
    run: Callable[..., Any]
    done: Word
    offered: Callable[[Any], bool] = lambda _: True
    danger: bool = False
    confirm: Word = ""
    form: type[forms.Form] | None = None
    initial: Callable[[Any], Mapping[str, Any]] = lambda _: {}
    note: Word = ""


@dataclass(frozen=True)
class Section:
    """A table under a detail: its heading, the columns, the rows."""

    title: Word
    columns: Sequence[Cell]
    rows: Sequence[Any]

    @property
    def headers(self) -> list[tuple[Word, str]]:
        """Each column's label with its class."""
        return [(cell.short_description, _align(cell)) for cell in self.columns]  # type: ignore[attr-defined]

    @property
    def headed(self) -> bool:
        return any(label for label, _align in self.headers)

    @property
    def cells(self) -> list[list[tuple[Any, str]]]:
        """Each row's values with their columns' classes."""
        return [[(cell(row), _align(cell)) for cell in self.columns] for row in self.rows]


def _align(cell: Cell) -> str:
    return str(getattr(cell, "align", ""))


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[misc]
    """A list (`list_display`), a detail (`details`) and its acts. `reads` is the permission."""

    reads: ClassVar[str]
    title: ClassVar[Word]
    intro: ClassVar[Word] = ""
    empty: ClassVar[Word] = ""
    details: Sequence[Cell] = ()
    acts: ClassVar[Sequence[Act]] = ()
    detail_template: ClassVar[str] = "console/detail.html"
    list_before_template = "console/list_before.html"
    list_tools: ClassVar[str] = ""

    actions = None
    ordering: Sequence[str] = ("-id",)
    list_per_page = 50
    show_full_result_count = False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        del obj
        return allowed(request, self.reads)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        del request
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        del request, obj
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        del request, obj
        return False

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        del request
        return {}

    def get_urls(self) -> list[URLPattern]:
        act = self.admin_site.admin_view(require_http_methods(["GET", "POST"])(self.act_view))
        name = f"{self.opts.app_label}_{self.opts.model_name}_act"
        urls: list[URLPattern] = super().get_urls()
        return [path("<path:object_id>/do/<slug:name>/", act, name=name), *urls]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        request.current_app = self.admin_site.name
        context = {
            "title": self.title,
            "crumbs": [{"title": self.title}],
            "list_intro": self.intro,
            "list_tools": self.list_tools,
            **(extra_context or {}),
        }
        response: HttpResponse = super().changelist_view(request, context)
        return response

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        del form_url
        row = self._row(request, object_id)
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "title": self.heading(row),
            "crumbs": [
                {"title": self.title, "link": self.list_url()},
                {"title": self.heading(row)},
            ],
            "row": row,
            "details": [(cell.short_description, cell(row)) for cell in self.details],  # type: ignore[attr-defined]
            "acts": self.acts_offered(request, row),
            "sections": [section for section in self.sections(request, row) if section.rows],
            **self.more(request, row),
            **(extra_context or {}),
        }
        return TemplateResponse(request, self.detail_template, context)

    def act_view(self, request: HttpRequest, object_id: str, name: str) -> HttpResponse:
        """Call the act's service, say how it went, and go back to the row.

        Raises Http404, PermissionDenied.
        """
        row = self._row(request, object_id)
        act = next((act for act in self.acts if act.name == name), None)
        if act is None:
            raise Http404
        actor_of(request).require(act.permission)
        if act.form is not None:
            return self._ask(request, row, act, act.form)
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        answer = perform(request, lambda: act.run(request, str(row.pk)), done=act.done)
        return answer if isinstance(answer, HttpResponse) else self._back(request, row)

    def _ask(
        self, request: HttpRequest, row: Any, act: Act, form: type[forms.Form]
    ) -> HttpResponse:
        return ask(
            request,
            self.admin_site,
            form=form,
            initial=act.initial(row),
            run=lambda **fields: act.run(request, str(row.pk), **fields),
            then=lambda _: self._back(request, row),
            title=act.label,
            done=act.done,
            note=act.note,
            crumbs=[
                {"title": self.title, "link": self.list_url()},
                {"title": self.heading(row), "link": self.row_url(row)},
                {"title": act.label},
            ],
        )

    def _back(self, request: HttpRequest, row: Any) -> HttpResponse:
        gone = not self.get_queryset(request).filter(pk=row.pk).exists()
        return HttpResponseRedirect(self.list_url() if gone else self.row_url(row))

    def heading(self, row: Any) -> str:
        return str(row)

    def sections(self, request: HttpRequest, row: Any) -> Sequence[Section]:
        del request, row
        return ()

    def more(self, request: HttpRequest, row: Any) -> Mapping[str, Any]:
        """What a detail template of its own needs beside the rest."""
        del request, row
        return {}

    def acts_offered(self, request: HttpRequest, row: Any) -> list[dict[str, Any]]:
        return [
            {"act": act, "url": self._url("act", quote(row.pk), act.name)}
            for act in self.acts
            if allowed(request, act.permission) and act.offered(row)
        ]

    def list_url(self) -> str:
        return self._url("changelist")

    def row_url(self, row: Model) -> str:
        return self._url("change", quote(row.pk))

    def _row(self, request: HttpRequest, object_id: str) -> Any:
        if not self.has_view_permission(request):
            raise PermissionDenied("your role may not see this")
        row = self.get_queryset(request).filter(pk=unquote(object_id)).first()
        if row is None:
            raise Http404
        return row

    def _url(self, view: str, *args: Any) -> str:
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{view}"
        return reverse(name, args=args)
