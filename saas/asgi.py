"""The web process: Django, with the serving gateway in front for the paths that call models."""

from __future__ import annotations

import asyncio
import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saas.settings")

from django.core.asgi import get_asgi_application

django = get_asgi_application()

# The gateway knows models, which need the app registry that the lines above have set up.
from django.db import connections  # noqa: E402

from saas.api.body_limit import BodyLimit  # noqa: E402
from tenants.kernel.roles_check import UnsafeRoles, require_safe_roles  # noqa: E402
from workers.serving.gateway.app import PATHS, Gateway  # noqa: E402
from workers.serving.gateway.http import Receive, Scope, Send  # noqa: E402


class Web:
    """Sends each request to the gateway or to Django; the gateway lives as long as the server."""

    def __init__(self) -> None:
        self._gateway: Gateway | None = None
        self._opening = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and scope["path"] in PATHS:
            gateway = await self._opened()
            await gateway(scope, receive, send)
        else:
            await django(scope, receive, send)  # type: ignore[arg-type]

    async def _live(self, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "lifespan.shutdown":
            try:
                await asyncio.to_thread(_safe_roles_required)
            except UnsafeRoles as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await self._opened()
            await send({"type": "lifespan.startup.complete"})
        if self._gateway is not None:
            await self._gateway.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _opened(self) -> Gateway:
        """The gateway; under a server without lifespan events the first request opens it."""
        async with self._opening:
            if self._gateway is None:
                gateway = Gateway()
                await gateway.open()
                self._gateway = gateway
            return self._gateway


def _safe_roles_required() -> None:
    """Nothing is served by roles that would not keep tenants apart."""
    try:
        require_safe_roles()
    finally:
        connections.close_all()


application = BodyLimit(Web())
