"""Bytes in and out: a file's upload, a model's download."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from saas.console.readonly import actor_of, perform
from tenants.kernel.errors import InvalidInput
from workers.assets.models import File, ModelVersion
from workers.assets.services import file_create


@require_POST
def upload(request: HttpRequest) -> HttpResponse:
    """Store the form's file as training data and go to its page."""
    sent = request.FILES.get("file")

    def store() -> File:
        if sent is None:
            raise InvalidInput("choose a file first", param="file")
        return file_create(
            actor=actor_of(request),
            filename=sent.name or "",
            purpose="fine-tune",
            chunks=sent.chunks(),
            media_type=sent.content_type or "",
        )

    file = perform(request, store, done=_("The file is uploaded."))
    if file is None:
        return HttpResponseRedirect(reverse("console:assets_file_changelist"))
    return redirect("console:assets_file_change", file.pk)


def model_download(request: HttpRequest, version_id: str) -> HttpResponse:
    """The model's files as one tar. Raises Http404."""
    from workers.assets.selectors import version_archive

    version = ModelVersion.objects.filter(pk=version_id, deleted_at__isnull=True).first()
    if version is None:
        raise Http404
    del request
    return version_archive(version)
