"""Every route of the API with its methods, read from the URL conf and from the gateway."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.urls import URLPattern

from saas.api.urls import urlpatterns
from saas.api.views import METHODS, ApiView

_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Route:
    """`template` holds its parameters as `{name}`."""

    method: str
    template: str
    view: type[ApiView]

    @property
    def parameters(self) -> list[str]:
        return re.findall(r"{(\w+)}", self.template)

    def __str__(self) -> str:
        return f"{self.method} {self.template}"


def api_routes() -> list[Route]:
    found = []
    for pattern in urlpatterns:
        assert isinstance(pattern, URLPattern)
        view = getattr(pattern.callback, "cls", None)
        if view is None or not issubclass(view, ApiView):
            continue
        template = "/" + _PARAMETER.sub(r"{\1}", str(pattern.pattern))
        found += [
            Route(method.upper(), template, view) for method in METHODS if hasattr(view, method)
        ]
    return found
