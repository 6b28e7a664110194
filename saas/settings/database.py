"""One database, three roles: `default` (app), `system`, `owner`. See docs/decisions/0001."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote, urlsplit

from saas.settings.environment import value


def connection(url: str, *, pool: bool) -> dict[str, Any]:
    """Turn `postgresql://user:password@host:port/name` into Django's settings.

    Pools suit pgbouncer-free set-ups.
    """
    parts = urlsplit(url)
    options: dict[str, Any] = {"connect_timeout": 5, "application_name": "breakwater"}
    if pool:
        options["pool"] = {"min_size": 0, "max_size": 12, "timeout": 15, "max_idle": 60}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or 5432),
        "OPTIONS": options,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": True,
    }


_APP_URL = value("DATABASE_URL", "postgresql://breakwater_app@127.0.0.1:5432/breakwater")
_OWNER_URL = value("DATABASE_OWNER_URL", "postgresql://breakwater_owner@127.0.0.1:5432/breakwater")
_SYSTEM_URL = value(
    "DATABASE_SYSTEM_URL", "postgresql://breakwater_system@127.0.0.1:5432/breakwater"
)

DATABASES = {
    "default": connection(_APP_URL, pool=True),
    "system": connection(_SYSTEM_URL, pool=True),
    "owner": connection(_OWNER_URL, pool=False),
}
DATABASE_ROUTERS = ["tenants.kernel.scope.ScopeRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
