"""Bytes in and out: a file's upload, a model's download."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from saas.api.streams import streamed
from saas.console.asking import actor_of, perform
from tenants.kernel.crypto import tenant_data_key
from tenants.kernel.errors import InvalidInput
from workers.assets.models import File
from workers.assets.selectors import model_version_get, version_archive_chunks
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


def model_download(request: HttpRequest, version_id: str) -> StreamingHttpResponse:
    """The model's folder as one tar, as peft and transformers load it. Raises NotFound."""
    version = model_version_get(version_id)
    return streamed(
        request,
        version_archive_chunks(version, tenant_data_key(version.tenant_id)),
        media_type="application/x-tar",
        filename=f"{version.id}.tar",
    )
