"""Every route of the web process."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from saas.console.register import console
from saas.operations.register import operations

urlpatterns: list[URLPattern | URLResolver] = [
    path("", RedirectView.as_view(url="/console/"), name="home"),
    path("console/", console.urls),
    path("operations/", operations.urls),
    path("accounts/", include("saas.console.sign_in_urls")),
    path("i18n/", include("django.conf.urls.i18n")),
]
