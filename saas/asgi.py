"""The web process: Django, with the serving gateway in front of it for the paths that call models."""

from __future__ import annotations

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saas.settings")

from django.core.asgi import get_asgi_application

django = get_asgi_application()

from workers.serving.gateway.app import PATHS, Gateway
from workers.serving.gateway.http import Receive, Scope, Send


class Web:
    """Sends each request to the gateway or to Django; opens and closes the gateway with the server."""

    def __init__(self) -> None:
        self._gateway: Gateway | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and scope["path"] in PATHS:
            await (await self._opened())(scope, receive, send)
        else:
            await django(scope, receive, send)  # type: ignore[arg-type]

    async def _live(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            await self._opened()
            await send({"type": "lifespan.startup.complete"})
        if self._gateway is not None:
            await self._gateway.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _opened(self) -> Gateway:
        """The gateway; servers without lifespan events open it with the first request."""
        if self._gateway is None:
            self._gateway = Gateway()
            await self._gateway.open()
        return self._gateway


application = Web()
