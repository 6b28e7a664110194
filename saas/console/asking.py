"""How a page of ours acts: who asks, one service called, one sentence of what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse

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


def choices_set(form: forms.Form, name: str, choices: Iterable[tuple[Any, Any]]) -> None:
    """What a form's field may be, as the rows stand when it is shown."""
    field = form.fields[name]
    assert isinstance(field, forms.ChoiceField)  # noqa: S101 -- for the type checker
    field.choices = list(choices)


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


def ask(
    request: HttpRequest,
    site: Any,
    *,
    form: Callable[..., forms.Form],
    run: Callable[..., Any],
    then: Callable[[Any], HttpResponse],
    title: Word,
    done: Word,
    initial: Mapping[str, Any] | None = None,
    note: Word = "",
    button: Word = "",
    crumbs: Sequence[Mapping[str, Any]] = (),
) -> HttpResponse:
    """Show a form; with what was sent call `run(**fields)` once, and go where `then` leads.

    `then` is given the service's answer. What the service refuses is said above the form, which
    keeps what was written into it.
    """
    bound = (
        form(request.POST, request.FILES)
        if request.method == "POST"
        else form(initial={**(initial or {})})
    )
    if request.method == "POST" and bound.is_valid():
        sentinel = object()
        answer = perform(request, lambda: _called(run, bound.cleaned_data, sentinel), done=done)
        if answer is not None:
            return then(None if answer is sentinel else answer)
    page: HttpResponse = site.page(
        request,
        "console/form.html",
        title=title,
        crumbs=list(crumbs) or [{"title": title}],
        form=bound,
        note=note,
        button=button or title,
    )
    return page


def _called(run: Callable[..., Any], fields: Mapping[str, Any], nothing: object) -> Any:
    """The service's answer, told apart from a refusal where it answers nothing."""
    answer = run(**fields)
    return nothing if answer is None else answer
