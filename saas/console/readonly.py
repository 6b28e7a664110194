"""Lists and details of rows that nobody edits here; what can be done to a row calls a service.

Django's own change, add and delete views are shut. An `Act` is a POST button on the detail page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.admin.utils import quote, unquote
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin

from saas.console.columns import Cell
from saas.console.words import Word
from tenants.accounts.actors import Actor
from tenants.kernel.errors import BreakwaterError, NotFound, PermissionDenied, Unauthenticated
from tenants.kernel.scope import atomic


def actor_of(request: HttpRequest) -> Actor:
    """Who acts, as the scope middleware found it. Raises Unauthenticated where nobody does."""
    actor: Actor | None = getattr(request, "actor", None)
    if actor is None:
        raise Unauthenticated("sign in first")
    return actor


def allowed(request: HttpRequest, permission: str) -> bool:
    """Whether the request's actor may do `permission`; False where nobody is signed in."""
    try:
        actor_of(request).require(permission)
    except (PermissionDenied, Unauthenticated):
        return False
    return True


@dataclass(frozen=True)
class Act:
    """A button that calls one service: `run(request, row_id)`; its answer may be a response."""

    name: str
    label: Word
    permission: str
    run: Callable[[HttpRequest, str], Any]
    done: Word
    offered: Callable[[Any], bool] = lambda _: True
    danger: bool = False
    confirm: Word = ""


@dataclass(frozen=True)
class Section:
    """A table under a detail: its heading, the columns, the rows."""

    title: Word
    columns: Sequence[Cell]
    rows: Sequence[Any]

    @property
    def headers(self) -> list[Word]:
        return [cell.short_description for cell in self.columns]  # type: ignore[attr-defined]

    @property
    def cells(self) -> list[list[Any]]:
        return [[cell(row) for cell in self.columns] for row in self.rows]


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
        act = self.admin_site.admin_view(require_POST(self.act_view))
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
        answer = perform(request, lambda: act.run(request, str(row.pk)), done=act.done)
        if isinstance(answer, HttpResponse):
            return answer
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


def perform(request: HttpRequest, call: Callable[[], Any], *, done: Word = "") -> Any:
    """Run `call` in a savepoint; tell the reader what became of it. Returns its answer, or None.

    Refusals (no right, no such row) go up to the site, which answers 403 and 404.
    """
    try:
        with atomic():
            answer = call()
    except (PermissionDenied, NotFound):
        raise
    except BreakwaterError as error:
        messages.error(request, error.message)
        return None
    if done:
        messages.success(request, str(done))
    return answer
