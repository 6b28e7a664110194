"""What must hold before the first process starts: folders, space, secrets, ports, programs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from saas.runtime.errors import RuntimeFailure
from saas.runtime.layout import Layout, check_free_space
from saas.runtime.ports import HOST, port_holder, port_is_free
from saas.runtime.postgres import Postgres, postgres_for
from saas.runtime.redis import Redis, redis_for
from saas.runtime.secrets import DATABASE_KEYS, env_ensure, port_of, superuser_password
from saas.runtime.services import Service, services
from saas.runtime.stripe import stripe_choice, stripe_ensure, stripe_service


@dataclass(frozen=True)
class Prepared:
    """What to run, and the web process's port."""

    services: Sequence[Service]
    port: int


def prepare(layout: Layout, *, port: int | None = None) -> Prepared:
    """Check and make what a start needs, while nothing runs. Raises RuntimeFailure."""
    layout.create()
    check_free_space(layout.var)
    embedded = _database_is_embedded()
    _check_secrets_kept(layout, embedded=embedded)
    settings = env_ensure(layout, port=port)
    settings = stripe_ensure(layout, settings, stripe_choice(os.environ))
    web = int(settings["BREAKWATER_PORT"])
    if not port_is_free(web):
        raise RuntimeFailure(
            f"port {web} on {HOST} is taken by {port_holder(web)}: stop it, or choose another port "
            "with PORT=8123"
        )
    postgres = _postgres(layout, settings) if embedded else None
    redis = _redis(layout, settings) if not os.environ.get("REDIS_URL") else None
    found = services(settings=settings, postgres=postgres, redis=redis)
    stripe = stripe_service(settings, layout.var)
    found = found if stripe is None else [stripe, *found]
    return Prepared(found, web)


def _database_is_embedded() -> bool:
    """Whether the environment names no PostgreSQL. Raises RuntimeFailure for half a one."""
    given = [key for key in DATABASE_KEYS if os.environ.get(key)]
    if given and len(given) < len(DATABASE_KEYS):
        missing = ", ".join(key for key in DATABASE_KEYS if key not in given)
        raise RuntimeFailure(
            f"{', '.join(given)} is set, but {missing} is not: each of the three roles needs its "
            "address (`manage.py bootstrap` makes them), or unset all for the embedded database"
        )
    return not given


def _check_secrets_kept(layout: Layout, *, embedded: bool) -> None:
    """Refuse to lay new secrets over old data, which they could not open."""
    pointer = layout.var / "postgres.home"
    has_data = (layout.postgres / "data").exists() or pointer.exists()
    if embedded and has_data and not layout.env_file.exists():
        raise RuntimeFailure(
            f"{layout.var} holds a database, but {layout.env_file} with its passwords and keys is "
            "gone: restore that file, or begin anew with another data folder (VAR=…)"
        )


def _postgres(layout: Layout, settings: dict[str, str]) -> Postgres:
    port = port_of(settings["DATABASE_URL"])
    postgres = postgres_for(layout, port=port, password=superuser_password(layout))
    postgres.prepare()
    return postgres


def _redis(layout: Layout, settings: dict[str, str]) -> Redis:
    redis = redis_for(layout, settings["REDIS_URL"])
    redis.prepare()
    return redis
