"""A job's form: first what it would cost, then, at that price, the job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _

from saas.console.asking import actor_of, perform
from saas.console.pages.quote import choices_shown, quote_shown
from saas.console.words import Word
from tenants.pricing.models import Quote
from workers.assets.services.datasets import DatasetBeingRead
from workers.jobs.checked import Choice
from workers.jobs.models import Job
from workers.jobs.services import job_choices, job_quote, job_submit
from workers.jobs.states import Kind


class JobForm(Protocol):
    """A bound or fresh form, and the spec that it stands for once it is valid."""

    def is_valid(self) -> bool: ...

    def spec(self) -> dict[str, Any]: ...


class JobFormType(Protocol):
    def __call__(
        self, data: QueryDict | None = None, *, initial: Mapping[str, Any] | None = None
    ) -> JobForm: ...


def quoted(
    request: HttpRequest,
    form_type: JobFormType,
    *,
    kind: Kind,
    title: Word,
    more: Mapping[str, Any] | None = None,
    filled: Mapping[str, Any] | None = None,
) -> HttpResponse:
    """Show the form, then what the job would cost; only what was shown is submitted.

    With the price stand the settings that were left to us; `more` is for the template. With
    `filled` the form is shown afresh, with those values in it, whatever was sent.

    A POST without `quote_id` quotes, one with it submits at that quote and leads to the live page.
    Settings changed after the quote were never quoted: the quote no longer fits, and is made anew.
    """
    from saas.console.site import console

    quote: Quote | None = None
    chosen: Mapping[str, Choice] = {}
    if request.method == "POST" and filled is None:
        form = form_type(request.POST)
        if form.is_valid():
            job = _submit(request, form, kind) if request.POST.get("quote_id") else None
            if job is not None:
                return redirect("console:jobs_job_change", job.pk)
            quote = _quote(request, form, kind)
            if quote is not None:
                chosen = job_choices(actor=actor_of(request), kind=kind, spec=form.spec())
    else:
        form = form_type(initial=filled or request.GET.dict())
    return console.page(
        request,
        "console/quoted.html",
        title=title,
        name=kind.value,
        form=form,
        quote=quote_shown(quote) if quote else None,
        chosen=choices_shown(chosen),
        **(more or {}),
    )


def _quote(request: HttpRequest, form: JobForm, kind: Kind) -> Quote | None:
    actor = actor_of(request)

    def quoted_or_told() -> Quote | None:
        try:
            return job_quote(actor=actor, kind=kind, spec=form.spec())
        except DatasetBeingRead as error:  # told here, so that its reading is not undone
            messages.info(request, error.message)
            return None

    quote: Quote | None = perform(request, quoted_or_told)
    return quote


def _submit(request: HttpRequest, form: JobForm, kind: Kind) -> Job | None:
    job: Job | None = perform(
        request,
        lambda: job_submit(
            actor=actor_of(request),
            kind=kind,
            spec=form.spec(),
            quote_id=request.POST["quote_id"][:40],
        ),
        done=_("The job is queued."),
    )
    return job
