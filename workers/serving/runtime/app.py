"""A replica's HTTP, for the gateway alone: one secret, token ids in, lines of tokens out."""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from workers.engine.errors import AdapterError, EngineError
from workers.engine.inference.embed import EmbeddingModel
from workers.engine.inference.generate import TextModel, TokenStep
from workers.engine.specs import EmbedSpec, GenerateSpec, SpecError
from workers.serving.runtime.adapters import Adapters
from workers.serving.runtime.generating import Full, Generator, Request
from workers.serving.runtime.host import AdapterMissing

EMBEDDED_AT_ONCE = 32  # texts; between them another request gets its turn
SECRET_HEADER = "x-replica-secret"  # noqa: S105 -- a header's name


class Predictor(Protocol):
    """A loaded model that makes predictions."""

    def predict(self, inputs: Any, /) -> list[dict[str, Any]]:
        """One answer per input, in order. Raises EngineError for one that cannot be read."""


class Replica:
    """One loaded model and its callers. `draining` refuses new requests and ends the old ones."""

    def __init__(
        self,
        *,
        secret: str,
        text: TextModel | None = None,
        embedding: EmbeddingModel | None = None,
        predictor: Predictor | None = None,
        adapters: Adapters | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.text, self.embedding, self.predictor = text, embedding, predictor
        self.adapters, self.generator = adapters, generator
        self._secret = secret
        self._turn = asyncio.Lock()
        self.whole_now = 0
        self.draining = False

    @property
    def active(self) -> int:
        return self.whole_now + (self.generator.active if self.generator else 0)

    def app(self) -> Starlette:
        routes = [
            Route("/generate", self.generate, methods=["POST"]),
            Route("/embed", self.embed, methods=["POST"]),
            Route("/predict", self.predict, methods=["POST"]),
            Route("/health", self.health, methods=["GET"]),
        ]
        return Starlette(routes=routes)

    async def health(self, request: HttpRequest) -> Response:
        return self._refused(request) or JSONResponse({"active": self.active})

    async def generate(self, request: HttpRequest) -> Response:
        """{"tenant_id", "version_id"|null, "sequences": [{"prompt": ids, "spec": …}]} → lines."""
        if refused := self._refused(request):
            return refused
        if self.text is None or self.generator is None:
            return _error(400, "wrong_model", "this replica makes embeddings")
        asked = await request.json()
        tokens: asyncio.Queue[tuple[int, TokenStep | Exception]] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def deliver(index: int, step: TokenStep | Exception) -> None:
            loop.call_soon_threadsafe(tokens.put_nowait, (index, step))

        work = Request(tenant_id=asked["tenant_id"], deliver=deliver)
        try:
            sequences = await self._sequences(asked)
            self.generator.submit(work, sequences)
        except AdapterMissing as error:
            return _error(404, "model_not_found", str(error))
        except (EngineError, SpecError) as error:
            return _error(400, getattr(error, "code", "invalid_value"), str(error))
        except Full:
            return _error(429, "rate_limit_exceeded", "this model is busy; try again shortly")
        lines = _lines(work, tokens, len(sequences))
        return StreamingResponse(lines, media_type="application/x-ndjson")

    async def _sequences(self, asked: dict[str, Any]) -> list[Any]:
        """Iterators of steps, not begun. An adapter that left meanwhile is loaded again."""
        assert self.text is not None  # noqa: S101 -- checked by the caller, for mypy
        tenant_id, version_id = asked["tenant_id"], asked["version_id"]
        for attempt in (1, 2):
            key = None
            if version_id is not None and self.adapters is not None:
                key = await self.adapters.want(tenant_id, version_id)
            try:
                return [
                    self.text.generate(one["prompt"], GenerateSpec.from_dict(one["spec"]), key)
                    for one in asked["sequences"]
                ]
            except AdapterError:
                if attempt == 2:
                    raise
        raise AssertionError

    async def embed(self, request: HttpRequest) -> Response:
        """{"texts": […], "dimensions": n|null} → {"vectors": […]}."""
        if refused := self._refused(request):
            return refused
        if self.embedding is None:
            return _error(400, "wrong_model", "this replica generates text")
        asked = await request.json()
        self.whole_now += 1
        try:
            spec = EmbedSpec(dimensions=asked["dimensions"])
            vectors: list[list[float]] = []
            for part in batched(asked["texts"], EMBEDDED_AT_ONCE):
                async with self._turn:  # first come, first served, a part at a time
                    found, _ = await asyncio.to_thread(self.embedding.embed, part, spec)
                vectors += found
        except (EngineError, SpecError) as error:
            return _error(400, getattr(error, "code", "invalid_value"), str(error))
        finally:
            self.whole_now -= 1
        return JSONResponse({"vectors": vectors})

    async def predict(self, request: HttpRequest) -> Response:
        """{"inputs": [{column: value}, text or data URL]} → {"predictions": […]}."""
        if refused := self._refused(request):
            return refused
        if self.predictor is None:
            return _error(400, "wrong_model", "this replica predicts nothing")
        asked = await request.json()
        self.whole_now += 1
        try:
            async with self._turn:
                found = await asyncio.to_thread(self.predictor.predict, asked["inputs"])
        except EngineError as error:
            return _error(400, error.code, str(error))
        finally:
            self.whole_now -= 1
        return JSONResponse({"predictions": found})

    def _refused(self, request: HttpRequest) -> Response | None:
        shown = request.headers.get(SECRET_HEADER, "")
        if not hmac.compare_digest(shown.encode(), self._secret.encode()):
            return _error(403, "permission_denied", "this replica answers its gateway only")
        if self.draining:
            return _error(503, "draining", "this replica is leaving")
        return None


async def _lines(
    work: Request, tokens: asyncio.Queue[tuple[int, TokenStep | Exception]], sequences: int
) -> AsyncIterator[bytes]:
    """One JSON line a token. Closing early (the gateway has gone) stops the generation."""
    running = sequences
    try:
        while running:
            index, step = await tokens.get()
            if isinstance(step, Exception):
                yield _line({"error": str(step) or type(step).__name__})
                return
            running -= step.finish_reason is not None
            yield _line(_plain(index, step))
    finally:
        work.cancel()


def batched(texts: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(texts), size):
        yield texts[start : start + size]


def _plain(index: int, step: TokenStep) -> dict[str, Any]:
    line: dict[str, Any] = {"index": index, "id": step.id, "text": step.text_delta}
    if step.logprob is not None:
        line |= {"logprob": step.logprob, "top": step.top_logprobs}
    if step.finish_reason is not None:
        line["finish"] = step.finish_reason
    return line


def _line(value: dict[str, Any]) -> bytes:
    # plain ASCII: readers of lines also cut at Unicode's own separators, which models may write
    return json.dumps(value).encode() + b"\n"


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status_code=status)
