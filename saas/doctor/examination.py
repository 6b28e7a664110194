"""All checks, in the order in which one thing stands on another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from saas.doctor import books, database, engine, files, isolation, optional, queues, secrets, work
from saas.doctor.findings import Check, Finding, failed

BEFORE: Mapping[str, Check] = {
    "settings": secrets.settings_check,
    "folders": files.folders_check,
    "storage": files.storage_check,
    "redis": queues.redis_check,
    "broker": queues.broker_check,
}
DATABASE: Mapping[str, Check] = {
    "database roles": database.roles_check,
    "database": database.server_check,
    "migrations": database.migrations_check,
    "row-level security": isolation.isolation_check,
    "data keys": secrets.data_keys_check,
    "base models": files.base_models_check,
    "books": books.books_check,
    "usage": books.usage_check,
    "outbox": work.outbox_check,
    "workers": work.workers_check,
    "clocks": work.clocks_check,
}
AFTER: Mapping[str, Check] = {
    "web": work.web_check,
    "engine": engine.engine_check,
    "optional": optional.optional_check,
}


def examine_all() -> Iterator[Finding]:
    """Examine everything; what stands on the database is left out where it cannot be reached."""
    yield from examine(BEFORE)
    unreachable = list(database.reachable_check())
    yield from unreachable
    if not unreachable:
        yield from examine(DATABASE)
    yield from examine(AFTER)


def examine(checks: Mapping[str, Check]) -> Iterator[Finding]:
    """Run every check; one that breaks down is itself a finding, and the others go on."""
    for about, check in checks.items():
        try:
            yield from check()
        except Exception as error:  # noqa: BLE001 -- whatever breaks is what is to be reported
            yield failed(about, f"cannot be examined: {_said(error)}", "is it up? run: make up")


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing that is required failed."""
    return not any(finding.health == "failed" for finding in findings)


def _said(error: Exception) -> str:
    """An error's first line, without the driver's further advice."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
