"""Every route of the web process."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from saas.api.urls import urlpatterns as api
from saas.api.webhooks import stripe_webhook
from saas.console.register import console
from saas.operations.register import operations

urlpatterns: list[URLPattern | URLResolver] = [
    *api,
    path("", RedirectView.as_view(url="/console/"), name="home"),
    path("console/", console.urls),
    path("operations/", operations.urls),
    path("accounts/", include("saas.console.sign_in_urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("webhooks/stripe", stripe_webhook, name="stripe_webhook"),
]

handler400 = "saas.api.errors.bad_request"
handler404 = "saas.api.errors.page_not_found"
handler500 = "saas.api.errors.server_error"
