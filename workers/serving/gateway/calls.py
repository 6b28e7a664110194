"""One call of a model, from its ticket to its settled usage."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

import structlog

from tenants.accounts.actors import Actor
from tenants.kernel.errors import BreakwaterError, Unavailable
from tenants.kernel.rate_limits import take_from_async, tenant_limits
from tenants.usage.ingestion import NewUsage
from workers.serving.gateway.admission import Model
from workers.serving.gateway.replicas import Prompt, ReplicaClient, ReplicaGone, Token
from workers.serving.gateway.usage import UsageBook
from workers.serving.gateway.waking import Directory, Offer, ReplicaAddress

log = structlog.get_logger(__name__)

TRIES = 3  # replicas asked before giving up

T = TypeVar("T")


@dataclass(frozen=True)
class Ticket:
    """An admitted request."""

    request_id: str
    endpoint: str  # chat.completions, completions, embeddings
    actor: Actor
    model: Model
    offer: Offer


@dataclass(frozen=True)
class Counts:
    """Tokens of one request: `prompt` once, however many choices are drawn from it."""

    prompt: int
    generated: int = 0


@dataclass(frozen=True)
class Services:
    """What the gateway holds open from its start to its end."""

    directory: Directory
    replicas: ReplicaClient
    usage: UsageBook
    unfinished: set[asyncio.Task[None]]  # settling for clients that hung up


class Generation:
    """Tokens for one request, counted, and settled exactly once: fully or at the hang-up."""

    def __init__(
        self, services: Services, ticket: Ticket, prompts: Sequence[Prompt], prompt_tokens: int
    ) -> None:
        self._services, self._ticket, self._prompts = services, ticket, prompts
        self._prompt_tokens = prompt_tokens
        self._generated = 0
        self._settled = False

    @property
    def counts(self) -> Counts:
        return Counts(prompt=self._prompt_tokens, generated=self._generated)

    async def tokens(self, *, restartable: bool) -> AsyncGenerator[Token]:
        """All sequences' tokens. Before the very last one leaves here, usage is durable.

        A replica that goes is replaced by another while nothing was shown yet, or always where
        the answer is `restartable`; then counting begins anew. Raises BreakwaterError.
        """
        gone: set[str] = set()
        while True:
            replica = await self._choose(gone)
            try:
                async with aclosing(self._from(replica)) as tokens:
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

    async def _from(self, replica: ReplicaAddress) -> AsyncGenerator[Token]:
        running = len(self._prompts)
        stream = self._services.replicas.generate(
            replica,
            tenant_id=self._ticket.actor.tenant_id,
            adapter_id=self._ticket.model.adapter_id,
            prompts=self._prompts,
        )
        async with aclosing(stream) as tokens:
            async for token in tokens:
                self._generated += 1
                running -= token.finish is not None
                if not running:
                    await self.settle()
                yield token

    async def _choose(self, gone: set[str]) -> ReplicaAddress:
        return await self._services.directory.choose(
            self._ticket.offer, adapter_id=self._ticket.model.adapter_id, without=gone
        )

    async def settle(self) -> None:
        """Charge what was generated, once. Raises Unavailable where it could not be written."""
        if self._settled:
            return
        self._settled = True
        try:
            await charge(self._services, self._ticket, self.counts)
        except BreakwaterError:
            self._settled = False
            raise

    def hung_up(self) -> None:
        """The client has gone: it pays for what was generated, and nothing where nothing was."""
        if self._settled or not self._generated:
            return
        task = asyncio.create_task(self._settle_quietly())
        self._services.unfinished.add(task)
        task.add_done_callback(self._services.unfinished.discard)

    async def _settle_quietly(self) -> None:
        try:
            await self.settle()
        except BreakwaterError as error:
            log.error("a hang-up could not be settled", ticket=self._ticket.request_id, error=error)  # noqa: TRY400


RESTART = Token(index=-1, id=-1, text="")  # what came so far is void; another replica begins anew


async def embed(
    services: Services, ticket: Ticket, *, texts: Sequence[str], dimensions: int | None, tokens: int
) -> list[list[float]]:
    """Vectors for texts; usage is durable when they are returned. Raises BreakwaterError."""

    async def ask(replica: ReplicaAddress) -> list[list[float]]:
        return await services.replicas.embed(replica, texts=texts, dimensions=dimensions)

    vectors = await _from_any(services, ticket, ask)
    await charge(services, ticket, Counts(prompt=tokens))
    return vectors


async def _from_any(
    services: Services, ticket: Ticket, ask: Callable[[ReplicaAddress], Awaitable[T]]
) -> T:
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


async def charge(services: Services, ticket: Ticket, counts: Counts) -> None:
    """Write the request's usage, and take its tokens from the tenant's rate limit.

    Raises Unavailable.
    """
    tenant_id = ticket.actor.tenant_id
    await services.usage.commit([(tenant_id, event) for event in usage_of(ticket, counts)])
    spent = counts.generated
    if spent:
        await take_from_async(tenant_id, tenant_limits(), (0, spent), forced=True)


def usage_of(ticket: Ticket, counts: Counts) -> list[NewUsage]:
    """The request's events: one a meter, under (request id, meter) for ever."""
    is_embedding = ticket.endpoint == "embeddings"
    quantities = {
        "requests": 1,
        "tokens.embedded" if is_embedding else "tokens.input": counts.prompt,
        "tokens.output": counts.generated,
    }
    now = dt.datetime.now(dt.UTC)
    dimensions = {
        "model": ticket.model.name,
        "base": ticket.model.base_id,
        "endpoint": ticket.endpoint,
        "api_key_id": ticket.actor.id,
        "request_id": ticket.request_id,
        "deployment_id": ticket.offer.deployment_id,
    }
    return [
        NewUsage(
            meter=meter,
            quantity=Decimal(quantity),
            event_time=now,
            source="gateway",
            key=f"{ticket.request_id}:{meter}",
            dimensions=dimensions,
        )
        for meter, quantity in quantities.items()
        if quantity
    ]


def _lost(error: ReplicaGone) -> Unavailable:
    log.warning("a replica was lost", error=str(error))
    return Unavailable(
        "the model's server was lost; nothing was charged, try again",
        code="replica_lost",
        retry_after=1,
    )
