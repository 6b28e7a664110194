"""Text from one base model and any of its loaded adapters, token by token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Literal, Self

import torch
from torch import Tensor, nn

from workers.engine import devices
from workers.engine.data.chat import ChatTemplate
from workers.engine.data.tokens import Tokenizer
from workers.engine.errors import ContextError
from workers.engine.inference.adapters import AdapterShelf, LoadedAdapter
from workers.engine.inference.kv_cache import KvCache
from workers.engine.inference.sampling import Choice, Sampler
from workers.engine.inference.text_stream import Detokeniser, StopScanner
from workers.engine.models import config_of, context_length, model_load
from workers.engine.protocol import DEFAULT_NUMERICS, Numerics
from workers.engine.specs import GenerateSpec

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class TokenStep:
    """One generated token, and what became safe to show with it.

    `text_delta` may be empty, or of earlier tokens. `logprob` and `top_logprobs` ((id, logprob),
    likeliest first) are the model's own, before temperature, bias and penalties. The last step
    alone has a `finish_reason`; its token may be the end token, which has no text.
    """

    id: int
    text_delta: str
    logprob: float | None = None
    top_logprobs: tuple[tuple[int, float], ...] = ()
    finish_reason: FinishReason | None = None


class TextModel:
    """A base model in memory once, with adapters addressed by key.

    Several threads may generate at the same time: forward passes take turns.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Tokenizer,
        template: ChatTemplate | None,
        *,
        most_adapters: int,
    ) -> None:
        self.tokenizer, self.template = tokenizer, template
        self.context = context_length(config_of(model))
        self._model = model
        self._device = next(model.parameters()).device
        self._shelf = AdapterShelf(model, most_adapters)
        self._turn = Lock()

    @classmethod
    def load(
        cls, base: Path, numerics: Numerics = DEFAULT_NUMERICS, *, most_adapters: int = 64
    ) -> Self:
        """Load a base folder.

        Raises:
            ModelError: it holds no usable model.
        """
        devices.settle(numerics)
        model = model_load(base, dtype=numerics.dtype, device=numerics.device)
        return cls(
            model, Tokenizer.load(base), ChatTemplate.load(base), most_adapters=most_adapters
        )

    @property
    def adapters(self) -> tuple[str, ...]:
        """Keys of the loaded adapters, least recently used first."""
        return self._shelf.keys()

    def add_adapter(self, key: str, folder: Path) -> tuple[str, ...]:
        """Load a PEFT folder under `key`; returns the keys that had to leave for it.

        Raises:
            AdapterError: it is no LoRA adapter of this base.
        """
        return self._shelf.add(key, folder)

    def remove_adapter(self, key: str) -> bool:
        """Forget an adapter; says whether it was loaded."""
        return self._shelf.remove(key)

    def generate(
        self, prompt_ids: Sequence[int], spec: GenerateSpec, adapter: str | None = None
    ) -> Iterator[TokenStep]:
        """Continue `prompt_ids` by the base, or by the base with one adapter.

        Closing the iterator ends the work.

        Raises (at once, not at the first token):
            ContextError: the prompt, or prompt and `max_tokens` together, exceed the model's
                context.
            AdapterError: the adapter is not loaded.
        """
        loaded = self._shelf.get(adapter) if adapter is not None else None
        prompt = list(prompt_ids) or [self._opening()]
        return self._steps(prompt, spec, loaded, self._room(len(prompt), spec.max_tokens))

    def _opening(self) -> int:
        """What stands before an empty prompt."""
        for token in (self.tokenizer.bos_id, self.tokenizer.eos_id):
            if token is not None:
                return token
        raise ContextError(
            "the prompt is empty and this model has no begin token; write something."
        )

    def _room(self, prompt: int, wanted: int | None) -> int:
        room = self.context - prompt
        if room < (wanted or 1):
            asked = f"{prompt} tokens of prompt" + (f" and {wanted} to generate" if wanted else "")
            raise ContextError(
                f"this model's maximum context length is {self.context} tokens; {asked} are more. "
                "Shorten the prompt or lower max_tokens."
            )
        return wanted or room

    def _steps(
        self, prompt: list[int], spec: GenerateSpec, adapter: LoadedAdapter | None, room: int
    ) -> Iterator[TokenStep]:
        cache, sampler = KvCache(), Sampler(spec)
        text, stops = Detokeniser(self.tokenizer), StopScanner(spec.stop)
        fresh = prompt
        for number in range(1, room + 1):
            choice = sampler.draw(self._forward(fresh, cache, adapter))
            if choice.token in self.tokenizer.eos_ids:
                delta, _ = stops.feed(text.rest())
                yield _step(choice, delta + stops.rest(), "stop")
                return
            delta, stopped = stops.feed(text.feed(choice.token))
            last = number == room
            if last and not stopped:
                tail, stopped = stops.feed(text.rest())
                delta += tail + ("" if stopped else stops.rest())
            yield _step(choice, delta, "stop" if stopped else "length" if last else None)
            if stopped:
                return
            fresh = [choice.token]

    @torch.inference_mode()
    def _forward(self, ids: Sequence[int], cache: KvCache, adapter: LoadedAdapter | None) -> Tensor:
        """(vocabulary,): logits after `ids`, which join the cache."""
        tokens = torch.tensor([ids], device=self._device)
        places = torch.arange(cache.length, cache.length + len(ids), device=self._device)[None]
        with self._turn:
            self._shelf.selection.adapter = adapter
            out = self._model(
                input_ids=tokens,
                position_ids=places,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        cache.advance(len(ids))
        logits: Tensor = out.logits[0, -1]
        return logits


def _step(choice: Choice, delta: str, reason: FinishReason | None) -> TokenStep:
    return TokenStep(choice.token, delta, choice.logprob, choice.top, reason)
