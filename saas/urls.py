"""Every route of the web process."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver

from saas.api.urls import urlpatterns as api

urlpatterns: list[URLPattern | URLResolver] = [*api]

handler400 = "saas.api.errors.bad_request"
handler404 = "saas.api.errors.page_not_found"
handler500 = "saas.api.errors.server_error"
