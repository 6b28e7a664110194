"""The ground that both web admins stand on: who comes in, and how refusals look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from django.conf import settings
from django.contrib.auth import logout as sign_out
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
)
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.sites import UnfoldAdminSite

from saas.console.asking import allowed
from saas.console.words import Word
from tenants.kernel.errors import NotFound, PermissionDenied

View = Callable[..., HttpResponseBase]


class Page:
    """A page of our own in a site: where it is, what it is called, who may see it."""

    def __init__(self, route: str, name: str, view: View, *, permission: str = "") -> None:
        self.route, self.name, self.view, self.permission = route, name, view, permission


class BreakwaterSite(UnfoldAdminSite):  # type: ignore[misc]
    """Signs in at /accounts/, turns our errors into 403 and 404, and adds pages of its own."""

    index_title: Word = ""
    pages: Sequence[Page] = ()

    def admin_view(self, view: View, cacheable: bool = False) -> View:  # noqa: FBT001, FBT002
        @wraps(view)
        def with_our_errors(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            request.current_app = self.name
            try:
                return view(request, *args, **kwargs)
            except NotFound as error:
                raise Http404(error.message) from error
            except (PermissionDenied, DjangoPermissionDenied) as error:
                return self.refuse(request, str(error))

        wrapped: View = super().admin_view(with_our_errors, cacheable)
        return wrapped

    def refuse(self, request: HttpRequest, reason: str) -> HttpResponse:
        context = {**self.each_context(request), "reason": reason}
        return render(request, "console/refused.html", context, status=403)

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Send a stranger to sign in; tell a signed-in user what they lack."""
        del extra_context
        if request.user.is_authenticated:
            return render(request, "console/outside.html", {"site_title": "Breakwater"}, status=403)
        target = request.GET.get("next", reverse(f"{self.name}:index"))
        return redirect_to_login(target, settings.LOGIN_URL)

    def logout(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        del extra_context
        if request.method == "POST":
            sign_out(request)
        return HttpResponseRedirect(settings.LOGIN_URL)

    def password_change(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Passwords are changed at /accounts/, in the scope that may write users."""
        del request, extra_context
        return HttpResponseRedirect(reverse("account_change_password"))

    def search(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Unfold's search over apps is not on offer: each list has its own."""
        del request, extra_context
        raise Http404

    def extra_urls(self) -> list[URLPattern]:
        return [path(p.route, self.admin_view(self._guarded(p)), name=p.name) for p in self.pages]

    def page(
        self, request: HttpRequest, template: str, *, title: Word, **context: Any
    ) -> TemplateResponse:
        """Render a page of our own inside the site's frame."""
        request.current_app = self.name
        crumbs = context.pop("crumbs", [{"title": title}])
        frame = {**self.each_context(request), "title": title, "crumbs": crumbs}
        return TemplateResponse(request, template, {**frame, **context})

    @staticmethod
    def _guarded(page: Page) -> View:
        @wraps(page.view)
        def view(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if page.permission and not allowed(request, page.permission):
                raise PermissionDenied(f"your role lacks the permission {page.permission!r}")
            return page.view(request, *args, **kwargs)

        return view
