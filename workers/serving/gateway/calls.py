"""One call of a model, from its ticket to its settled usage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import structlog
from django.conf import settings

from tenants.kernel.errors import BreakwaterError, InsufficientCredit, Unavailable
from tenants.kernel.rate_limits import take_from_async, tenant_limits
from workers.serving.gateway.counts import (
    Counts,
    Ticket,
    charge_of,
    labels_of,
    priced_by,
    quantities,
    usage_of,
)
from workers.serving.gateway.funds import Funds, Reservation
from workers.serving.gateway.repeats import kept
from workers.serving.gateway.replicas import Prompt, ReplicaClient, ReplicaGone, Token
from workers.serving.gateway.usage import UsageBook
from workers.serving.gateway.waking import Directory, ReplicaAddress

log = structlog.get_logger(__name__)

TRIES = 3  # replicas asked before giving up

Json = dict[str, Any]


@dataclass(frozen=True)
class Services:
    """What the gateway holds open from its start to its end."""

    directory: Directory
    replicas: ReplicaClient
    usage: UsageBook
    funds: Funds
    unfinished: set[asyncio.Task[Any]]  # what nobody may be waiting for


class Generation:
    """Tokens for one request, paid for ahead, counted, and settled exactly once: fully, or at the
    hang-up of a client that gave no key to ask again under.
    """

    def __init__(
        self, services: Services, ticket: Ticket, prompts: Sequence[Prompt], prompt_tokens: int
    ) -> None:
        self._services, self._ticket, self._prompts = services, ticket, prompts
        self._prompt_tokens = prompt_tokens
        self._generated = 0
        self._settled = False
        self._reservation = reservation_of(services, ticket)
        self._reserved = 0  # tokens that may be generated

    @property
    def counts(self) -> Counts:
        return Counts(prompt=self._prompt_tokens, generated=self._generated)

    async def whole(self, make: Callable[[Generation], Awaitable[Json]]) -> Json:
        """The whole answer that `make` draws from these tokens, settled. Raises BreakwaterError."""
        if self._ticket.is_claimed:
            return await _to_its_end(self._services, self._whole(make))
        try:
            return await self._whole(make)
        except asyncio.CancelledError:
            self.hung_up()
            raise

    async def _whole(self, make: Callable[[Generation], Awaitable[Json]]) -> Json:
        answer = await make(self)
        try:
            await self.settle(answer)
        except Exception:
            self._finish_later(self._reservation.release())
            raise
        return answer

    async def tokens(self, *, restartable: bool) -> AsyncGenerator[Token]:
        """All sequences' tokens. Before a stream's very last one leaves here, usage is durable.

        Credit is set aside block by block. Where it runs out, an answer that is `restartable` (has
        shown nothing) fails and costs nothing; else what was generated is settled. Raises
        BreakwaterError.
        """
        try:
            await self._reserve()
            async with aclosing(self._restarted(restartable=restartable)) as tokens:
                async for token in tokens:
                    yield token
        except InsufficientCredit:
            if restartable or not self._generated:
                self._finish_later(self._reservation.release())
            else:
                await self.settle()
            raise
        except Exception:
            self._finish_later(self._reservation.release())
            raise

    async def _restarted(self, *, restartable: bool) -> AsyncGenerator[Token]:
        """As `_from`. A replica that goes is replaced by another while nothing was shown yet, or
        always where the answer is `restartable`; then counting begins anew.
        """
        gone: set[str] = set()
        while True:
            replica = await self._choose(gone)
            try:
                async with aclosing(self._from(replica, streamed=not restartable)) as tokens:
                    async for token in tokens:
                        yield token
            except ReplicaGone as error:
                self._services.directory.forget(self._ticket.offer.target)
                gone.add(replica.id)
                if len(gone) >= TRIES or (self._generated and not restartable):
                    raise _lost(error) from error
                self._generated = 0
                if restartable:
                    yield RESTART
            else:
                return

    async def _reserve(self) -> None:
        """Have another block of each sequence set aside, as far as they can still go."""
        block = settings.SERVING_BLOCK_TOKENS * len(self._prompts)
        room = max(self._longest - self._reserved, 1)
        reserved = self._reserved + min(block, room)
        await self._reservation.cover(
            quantities(self._ticket, Counts(self._prompt_tokens, reserved))
        )
        self._reserved = reserved

    @property
    def _longest(self) -> int:
        """Tokens that all sequences can come to."""
        context = self._ticket.model.context_length
        return sum(p.spec.max_tokens or context - len(p.ids) for p in self._prompts)

    async def _from(self, replica: ReplicaAddress, *, streamed: bool) -> AsyncGenerator[Token]:
        running = len(self._prompts)
        stream = self._services.replicas.generate(
            replica,
            tenant_id=self._ticket.actor.tenant_id,
            adapter_id=self._ticket.model.adapter_id,
            prompts=self._prompts,
        )
        async with aclosing(stream) as tokens:
            async for token in tokens:
                if self._generated == self._reserved:
                    await self._reserve()
                self._generated += 1
                running -= token.finish is not None
                if streamed and not running:
                    await self.settle()
                yield token

    async def _choose(self, gone: set[str]) -> ReplicaAddress:
        return await self._services.directory.choose(
            self._ticket.offer, adapter_id=self._ticket.model.adapter_id, without=gone
        )

    async def settle(self, answer: Json | None = None) -> None:
        """Charge what was generated, once, and keep the `answer` for who asks again.

        Raises Unavailable where it could not be written, Conflict where another took its claim.
        """
        if self._settled:
            return
        self._settled = True
        try:
            await charge(self._services, self._ticket, self.counts, self._reservation, answer)
        except BreakwaterError:
            self._settled = False
            raise

    def hung_up(self) -> None:
        """The client has gone: it pays for what was generated, and nothing where nothing was."""
        if not self._settled:
            self._finish_later(self.settle() if self._generated else self._reservation.release())

    def _finish_later(self, work: Coroutine[Any, Any, None]) -> None:
        finish_later(self._services, self._ticket, work)


RESTART = Token(index=-1, id=-1, text="")  # what came so far is void; another replica begins anew


async def embed(
    services: Services,
    ticket: Ticket,
    make: Callable[[list[list[float]]], Json],
    *,
    texts: Sequence[str],
    dimensions: int | None,
    tokens: int,
) -> Json:
    """What `make` makes of the texts' vectors; usage is durable by then. Raises BreakwaterError."""

    async def ask(replica: ReplicaAddress) -> Json:
        return make(await services.replicas.embed(replica, texts=texts, dimensions=dimensions))

    return await _paid(services, ticket, ask, tokens=tokens)


async def predict(
    services: Services,
    ticket: Ticket,
    make: Callable[[list[Json]], Json],
    *,
    inputs: Sequence[Any],
    tokens: int,
) -> Json:
    """What `make` makes of the predictions for rows or texts; usage is durable by then.

    Raises BreakwaterError.
    """

    async def ask(replica: ReplicaAddress) -> Json:
        return make(await services.replicas.predict(replica, inputs=inputs))

    return await _paid(services, ticket, ask, tokens=tokens)


async def _paid(
    services: Services,
    ticket: Ticket,
    ask: Callable[[ReplicaAddress], Awaitable[Json]],
    *,
    tokens: int,
) -> Json:
    """What a replica answers, with credit set aside before it is asked and charged after."""
    reservation = reservation_of(services, ticket)

    async def work() -> Json:
        try:
            await reservation.cover(quantities(ticket, Counts(prompt=tokens)))
            answer = await _from_any(services, ticket, ask)
        except BaseException:  # also where the client hangs up
            finish_later(services, ticket, reservation.release())
            raise
        try:
            await charge(services, ticket, Counts(prompt=tokens), reservation, answer)
        except Exception:  # of a hang-up nothing needs to be done: the charge is under way
            finish_later(services, ticket, reservation.release())
            raise
        return answer

    return await (_to_its_end(services, work()) if ticket.is_claimed else work())


async def _from_any(
    services: Services, ticket: Ticket, ask: Callable[[ReplicaAddress], Awaitable[Json]]
) -> Json:
    gone: set[str] = set()
    while True:
        replica = await services.directory.choose(ticket.offer, adapter_id=None, without=gone)
        try:
            return await ask(replica)
        except ReplicaGone as error:
            services.directory.forget(ticket.offer.target)
            gone.add(replica.id)
            if len(gone) >= TRIES:
                raise _lost(error) from error


async def charge(
    services: Services,
    ticket: Ticket,
    counts: Counts,
    reservation: Reservation,
    answer: Json | None,
) -> None:
    """Write the request's usage, charge it and keep its answer; and take its tokens from the
    tenant's rate limit. Raises Unavailable, Conflict where another took its claim.
    """
    tenant_id = ticket.actor.tenant_id
    events = usage_of(ticket, counts)
    claim = ticket.claim
    await services.usage.commit(
        [(tenant_id, event) for event in events],
        charge_of(ticket, events, reservation),
        await kept(services.funds.database, claim, answer) if claim else None,
    )
    spent = counts.generated
    if spent:
        await take_from_async(tenant_id, tenant_limits(), (0, spent), forced=True)


async def _to_its_end(services: Services, work: Coroutine[Any, Any, Json]) -> Json:
    """Do what was claimed under a key, though its client may go: it comes back for the answer."""
    task = asyncio.create_task(work)
    services.unfinished.add(task)
    task.add_done_callback(services.unfinished.discard)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # perhaps unheard
    return await asyncio.shield(task)


def finish_later(services: Services, ticket: Ticket, work: Coroutine[Any, Any, None]) -> None:
    """Settle or release though nobody waits for it. What fails is logged; the hold then expires."""

    async def quietly() -> None:
        try:
            await work
        except BreakwaterError as error:
            log.error("a call could not be finished", ticket=ticket.request_id, error=error)  # noqa: TRY400

    task = asyncio.create_task(quietly())
    services.unfinished.add(task)
    task.add_done_callback(services.unfinished.discard)


def reservation_of(services: Services, ticket: Ticket) -> Reservation:
    return Reservation(
        funds=services.funds,
        tenant_id=ticket.actor.tenant_id,
        request_id=ticket.request_id,
        dimensions=priced_by(ticket),
        labels=labels_of(ticket),
        claim=ticket.claim,
    )


def _lost(error: ReplicaGone) -> Unavailable:
    log.warning("a replica was lost", error=str(error))
    return Unavailable(
        "the model's server was lost; nothing was charged, try again",
        code="replica_lost",
        retry_after=1,
    )
