"""The gateway: an ASGI application in front of Django for the paths that call models.

Authenticate, read, admit, limit, route, stream, count. No connection is held during a stream.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import structlog
from django.conf import settings

from tenants.kernel.errors import BreakwaterError, InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.rate_limits import take_from_async, tenant_limits
from workers.serving.gateway import calls
from workers.serving.gateway.admission import (
    caller,
    model_named,
    require_kind,
    require_trained,
)
from workers.serving.gateway.calls import Generation, Services
from workers.serving.gateway.chat import Heading, chat_chunks, chat_whole
from workers.serving.gateway.completions import completion_chunks, completion_whole
from workers.serving.gateway.counts import Call, Counts, Ticket, labels_of, priced_by, quantities
from workers.serving.gateway.database import Connection, Database
from workers.serving.gateway.embeddings import embedding_answer
from workers.serving.gateway.funds import Funds
from workers.serving.gateway.http import (
    Answer,
    HungUp,
    Receive,
    Scope,
    Send,
    hang_up,
    header,
    read_body,
)
from workers.serving.gateway.predictions import WANTS, prediction_answer, prediction_tokens
from workers.serving.gateway.prompts import (
    chat_prompt,
    embedding_texts,
    language_of,
    text_prompt,
)
from workers.serving.gateway.repeats import Replayed, answered_before, repeat_of
from workers.serving.gateway.replicas import Prompt, ReplicaClient
from workers.serving.gateway.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    PredictionRequest,
    parse,
)
from workers.serving.gateway.usage import UsageBook
from workers.serving.gateway.waking import Directory, offer_for

log = structlog.get_logger(__name__)

PATHS = frozenset({"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/predictions"})
TEXT, EMBEDDING = "text_generation", "embedding"
PREDICTING = tuple(WANTS)


class MethodNotAllowed(InvalidInput):
    code = "method_not_allowed"
    status = 405


class UnsupportedMediaType(InvalidInput):
    code = "unsupported_media_type"
    status = 415


class Gateway:
    """Answers POST on the paths of `PATHS`. Open it in the event loop that it serves in."""

    def __init__(self) -> None:
        self.database = Database()
        self._services = Services(
            directory=Directory(self.database),
            replicas=ReplicaClient(),
            usage=UsageBook(self.database),
            funds=Funds(self.database),
            unfinished=set(),
        )
        self._endpoints: dict[str, Callable[[Scope, bytes, Answer], Coroutine[Any, Any, None]]] = {
            "/v1/chat/completions": self._chat,
            "/v1/completions": self._completions,
            "/v1/embeddings": self._embeddings,
            "/v1/predictions": self._predictions,
        }

    async def open(self) -> None:
        await self.database.open()

    async def close(self) -> None:
        """Settle what hung-up clients owe, then let go of everything."""
        while self._services.unfinished:
            await asyncio.wait(self._services.unfinished)
        await self._services.usage.flush()
        await self._services.replicas.close()
        await self.database.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = Answer(send, new_id("req_"))
        with structlog.contextvars.bound_contextvars(trace_id=answer.request_id):
            try:
                await self._answer(scope, receive, answer)
            except HungUp:
                return
            except Replayed as earlier:
                answer.headers["idempotent-replayed"] = "true"
                await answer.json(earlier.body)
            except BreakwaterError as error:
                await answer.error(error)
            except Exception:
                log.exception("the gateway failed", path=scope["path"])
                await answer.error(BreakwaterError("something went wrong on our side"))

    async def _answer(self, scope: Scope, receive: Receive, answer: Answer) -> None:
        if scope["method"] != "POST":
            answer.headers["allow"] = "POST"
            raise MethodNotAllowed(f"{scope['path']} takes POST only")
        media_type = header(scope, "content-type").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise UnsupportedMediaType("send the request as application/json")
        body = await read_body(receive, most=settings.MAX_JSON_BYTES)
        work = asyncio.create_task(self._endpoints[scope["path"]](scope, body, answer))
        gone = asyncio.create_task(hang_up(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
                raise HungUp
            work.result()
        finally:
            gone.cancel()
            if not work.done():
                work.cancel()

    async def _chat(self, scope: Scope, body: bytes, answer: Answer) -> None:
        asked, ticket = await self._admit(
            ChatRequest, TEXT, "chat.completions", scope, body, answer
        )
        ids = await chat_prompt(ticket.model, asked)
        prompts = [Prompt(ids, asked.spec(choice=choice)) for choice in range(asked.choices)]
        generation = await self._generation(ticket, prompts, len(ids), answer)
        heading = await self._heading(ticket, "chatcmpl-")
        whole, chunks = partial(chat_whole, asked, heading), partial(chat_chunks, asked, heading)
        await _deliver(generation, answer, whole, chunks, stream=bool(asked.stream))

    async def _completions(self, scope: Scope, body: bytes, answer: Answer) -> None:
        asked, ticket = await self._admit(
            CompletionRequest, TEXT, "completions", scope, body, answer
        )
        each = [await text_prompt(ticket.model, p, asked.token_limit) for p in asked.prompts]
        if len(each) * asked.choices > settings.SERVING_MAX_SEQUENCES or not each:
            raise InvalidInput(
                f"prompts times n must lie between 1 and {settings.SERVING_MAX_SEQUENCES}",
                param="prompt",
            )
        prompts = [
            Prompt(ids, asked.spec(choice=choice))
            for ids in each
            for choice in range(asked.choices)
        ]
        generation = await self._generation(ticket, prompts, sum(map(len, each)), answer)
        heading = await self._heading(ticket, "cmpl-")
        whole = partial(completion_whole, asked, heading)
        chunks = partial(completion_chunks, asked, heading)
        await _deliver(generation, answer, whole, chunks, stream=bool(asked.stream))

    async def _embeddings(self, scope: Scope, body: bytes, answer: Answer) -> None:
        asked, ticket = await self._admit(
            EmbeddingRequest, EMBEDDING, "embeddings", scope, body, answer
        )
        texts, tokens = await embedding_texts(ticket.model, asked)
        await self._limit(ticket, tokens, answer)
        await answer.json(
            await calls.embed(
                self._services,
                ticket,
                partial(embedding_answer, asked, model=ticket.model.name, tokens=tokens),
                texts=texts,
                dimensions=asked.dimensions,
                tokens=tokens,
            )
        )

    async def _predictions(self, scope: Scope, body: bytes, answer: Answer) -> None:
        asked, ticket = await self._admit(
            PredictionRequest, PREDICTING, "predictions", scope, body, answer
        )
        tokens = await prediction_tokens(ticket.model, asked)
        await self._limit(ticket, tokens, answer)
        make = partial(prediction_answer, asked, tokens=tokens)
        await answer.json(
            await calls.predict(self._services, ticket, make, inputs=asked.inputs, tokens=tokens)
        )

    async def _admit(
        self,
        kind: type[Any],
        does: str | tuple[str, ...],
        endpoint: str,
        scope: Scope,
        body: bytes,
        answer: Answer,
    ) -> tuple[Any, Ticket]:
        """Authenticate before anything is read, then read, then find the model and wake it."""
        client = scope.get("client")
        async with self.database.transaction() as connection:
            actor = await caller(
                connection,
                authorization=header(scope, "authorization"),
                ip=client[0] if client else None,
            )
            repeat = repeat_of(scope, body)
            if repeat:
                await answered_before(connection, actor.tenant_id, repeat)
            asked = parse(kind, body)
            model = await model_named(connection, tenant_id=actor.tenant_id, name=asked.model)
            require_trained(model)
            require_kind(model, does)
            call = Call(answer.request_id, endpoint, actor, model, repeat=repeat)
            offer = await offer_for(
                connection,
                tenant_id=actor.tenant_id,
                model=model,
                trace_id=answer.request_id,
                before_waking=partial(self._require_credit, connection, call),
            )
        return asked, Ticket(**vars(call), offer=offer)

    async def _require_credit(self, connection: Connection, call: Call) -> None:
        """Nobody without credit keeps a deployment awake. Raises InsufficientCredit."""
        await self._services.funds.require(
            connection,
            call.actor.tenant_id,
            quantities=quantities(call, Counts(prompt=1, generated=1)),
            dimensions=priced_by(call),
            labels=labels_of(call),
        )

    async def _limit(self, ticket: Ticket, tokens: int, answer: Answer) -> None:
        """Take a request and its prompt's tokens. Raises RateLimited."""
        verdict = await take_from_async(ticket.actor.tenant_id, tenant_limits(), (1, tokens))
        answer.headers |= verdict.headers()
        verdict.require()

    async def _generation(
        self, ticket: Ticket, prompts: list[Prompt], tokens: int, answer: Answer
    ) -> Generation:
        await self._limit(ticket, tokens, answer)
        return Generation(self._services, ticket, prompts, tokens)

    async def _heading(self, ticket: Ticket, prefix: str) -> Heading:
        language = await language_of(ticket.model)
        return Heading(
            id=ticket.request_id.replace("req_", prefix),
            created=int(time.time()),
            model=ticket.model.name,
            tokenizer=language.tokenizer,
        )


async def _deliver(
    generation: Generation,
    answer: Answer,
    whole: Callable[[Generation], Awaitable[Any]],
    chunks: Callable[[Generation], Any],
    *,
    stream: bool,
) -> None:
    """Answer whole or streamed. A client that goes meanwhile still pays for what was generated."""
    if not stream:
        await answer.json(await generation.whole(whole))
        return
    try:
        await answer.events(chunks(generation))
    except asyncio.CancelledError:
        generation.hung_up()
        raise
