"""The gateway's talk with one replica."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from tenants.kernel.errors import BreakwaterError, InvalidInput, NotFound, RateLimited
from workers.engine.specs import GenerateSpec
from workers.serving.gateway.waking import ReplicaAddress

SECRET_HEADER = "x-replica-secret"  # noqa: S105 -- a header's name
SILENCE_S = 120.0  # between two tokens
EMBED_S = 600.0  # for a whole request, behind others'


class ReplicaGone(Exception):
    """The replica does not answer, broke off, or is leaving: another may take over."""


@dataclass(frozen=True)
class Prompt:
    """One sequence to generate."""

    ids: Sequence[int]
    spec: GenerateSpec


@dataclass(frozen=True)
class Token:
    """One generated token of sequence `index`; `text` is what became safe to show with it."""

    index: int
    id: int
    text: str
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    finish: str | None = None


class ReplicaClient:
    """Calls replicas on the loopback."""

    def __init__(self) -> None:
        timeout = httpx.Timeout(10.0, connect=2.0, read=SILENCE_S)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=32)
        self._http = httpx.AsyncClient(timeout=timeout, limits=limits, trust_env=False)

    async def close(self) -> None:
        await self._http.aclose()

    async def generate(
        self,
        replica: ReplicaAddress,
        *,
        tenant_id: str,
        adapter_id: str | None,
        prompts: Sequence[Prompt],
    ) -> AsyncGenerator[Token]:
        """Stream the tokens of all sequences, until each has finished.

        Closing the iterator stops the generation. Raises ReplicaGone, InvalidInput, NotFound,
        RateLimited.
        """
        asked = {
            "tenant_id": tenant_id,
            "version_id": adapter_id,
            "sequences": [{"prompt": p.ids, "spec": p.spec.to_dict()} for p in prompts],
        }
        running = len(prompts)
        url, headers = _call(replica, "generate")
        try:
            async with self._http.stream("POST", url, json=asked, headers=headers) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise refusal(answer.status_code, await answer.aread())
                async for line in answer.aiter_lines():
                    token = _token(json.loads(line))
                    running -= token.finish is not None
                    yield token
        except httpx.HTTPError as error:
            raise ReplicaGone(f"{replica.id}: {error!r}") from error
        if running:
            raise ReplicaGone(f"{replica.id} broke off")

    async def embed(
        self, replica: ReplicaAddress, *, texts: Sequence[str], dimensions: int | None
    ) -> list[list[float]]:
        """One vector per text. Raises as `generate` does."""
        asked = {"texts": list(texts), "dimensions": dimensions}
        url, headers = _call(replica, "embed")
        try:
            answer = await self._http.post(url, json=asked, headers=headers, timeout=EMBED_S)
        except httpx.HTTPError as error:
            raise ReplicaGone(f"{replica.id}: {error!r}") from error
        if answer.status_code != httpx.codes.OK:
            raise refusal(answer.status_code, answer.content)
        vectors: list[list[float]] = answer.json()["vectors"]
        return vectors

    async def predict(
        self, replica: ReplicaAddress, *, inputs: Sequence[Any]
    ) -> list[dict[str, Any]]:
        """One answer per input. Raises as `generate` does."""
        url, headers = _call(replica, "predict")
        try:
            answer = await self._http.post(
                url, json={"inputs": list(inputs)}, headers=headers, timeout=EMBED_S
            )
        except httpx.HTTPError as error:
            raise ReplicaGone(f"{replica.id}: {error!r}") from error
        if answer.status_code != httpx.codes.OK:
            raise refusal(answer.status_code, answer.content)
        predictions: list[dict[str, Any]] = answer.json()["predictions"]
        return predictions


def refusal(status: int, body: bytes) -> BreakwaterError | ReplicaGone:
    """What a replica's refusal means to the caller."""
    try:
        error: Mapping[str, Any] = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return ReplicaGone(f"status {status}")
    kinds: dict[int, type[BreakwaterError]] = {400: InvalidInput, 404: NotFound}
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return RateLimited(error["message"], code="model_busy", retry_after=1)
    if status in kinds:
        return kinds[status](error["message"], code=error["code"])
    return ReplicaGone(f"status {status}: {error['message']}")


def _call(replica: ReplicaAddress, path: str) -> tuple[str, dict[str, str]]:
    return f"http://{replica.address}/{path}", {SECRET_HEADER: replica.secret}


def _token(line: Mapping[str, Any]) -> Token:
    if "error" in line:
        raise ReplicaGone(str(line["error"]))
    return Token(
        index=line["index"],
        id=line["id"],
        text=line["text"],
        logprob=line.get("logprob"),
        top=tuple((token, logprob) for token, logprob in line.get("top", ())),
        finish=line.get("finish"),
    )
