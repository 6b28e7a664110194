"""Usage and its charges, committed in groups: while one transaction runs, the next one's gather.

Kept answers come first, then usage keys, then the wallets, each in one order: two groups cannot
wait for each other.

A caller waits until its rows are durable; the answer's last chunk leaves only then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from tenants.kernel.errors import BreakwaterError, Unavailable
from tenants.pricing.charge_requests import ChargeRequest
from tenants.pricing.charging import charging_group
from tenants.pricing.drivers import program_run_async
from tenants.usage.ingestion import DIFFERING, INSERT, NewUsage, key_conflict, usage_parameters
from workers.serving.gateway.database import Database
from workers.serving.gateway.repeats import Kept, answers_keep

log = structlog.get_logger(__name__)

PATIENCE_S = 10.0  # with a database that restarts
PAUSE_S = 0.2

Rows = Sequence[tuple[str, NewUsage]]


@dataclass(frozen=True)
class _Entry:
    rows: Rows
    charge: ChargeRequest
    kept: Kept | None
    done: asyncio.Future[None]


class UsageBook:
    """Writes usage events and charges of many requests at once. Keys make a repetition harmless."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[_Entry] = []
        self._writer: asyncio.Task[None] | None = None

    async def commit(self, rows: Rows, charge: ChargeRequest, kept: Kept | None = None) -> None:
        """Return once `rows`, (tenant id, event) pairs, their charge and the answer are durable.

        Raises Unavailable where the database does not answer in time, Conflict for a reused key
        or a claim that was lost.
        """
        entry = _Entry(rows, charge, kept, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        await asyncio.shield(entry.done)

    async def flush(self) -> None:
        """Wait for what is under way, before the process ends."""
        if self._writer is not None:
            await self._writer

    async def _write(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            error = await self._failure(group)
            alone = error is None or len(group) == 1 or isinstance(error, Unavailable)
            for entry in group:  # one bad entry must not take its neighbours along
                _settle(entry, error if alone else await self._failure([entry]))

    async def _failure(self, group: Sequence[_Entry]) -> BreakwaterError | None:
        """Why the group could not be written, or None. Never raises: callers wait for an answer."""
        try:
            await self._write_patiently(group)
        except BreakwaterError as error:
            return error
        except Exception:
            log.exception("usage could not be written", requests=len(group))
            return BreakwaterError("the usage of this call could not be written; it is not charged")
        return None

    async def _write_patiently(self, group: Sequence[_Entry]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                await self._write_once(group)
            except Unavailable:
                if time.monotonic() >= deadline:
                    log.exception("usage could not be written", requests=len(group))
                    raise
                await asyncio.sleep(PAUSE_S)
            else:
                return

    async def _write_once(self, group: Sequence[_Entry]) -> None:
        parameters = usage_parameters(row for entry in group for row in entry.rows)
        async with self._database.transaction() as connection:
            await answers_keep(connection, [entry.kept for entry in group if entry.kept])
            inserted = (await connection.execute(INSERT, parameters)).rowcount
            if inserted < parameters["count"]:
                differing = await (await connection.execute(DIFFERING, parameters)).fetchall()
                if differing:
                    raise key_conflict([row["key"] for row in differing])
            charges = charging_group([entry.charge for entry in group])
            await program_run_async(connection, charges)


def _settle(entry: _Entry, error: BreakwaterError | None) -> None:
    if entry.done.done():
        return
    if error is None:
        entry.done.set_result(None)
    else:
        entry.done.set_exception(error)
