"""Keys and values of one sequence, grown by doubling; transformers writes to it layer by layer."""

from __future__ import annotations

from typing import Any

from torch import Tensor

FIRST_CAPACITY = 64  # tokens


class KvCache:
    """Per layer, keys and values (1, kv heads, capacity, dim); the first `length` tokens count."""

    def __init__(self) -> None:
        self.length = 0
        self._keys: dict[int, Tensor] = {}
        self._values: dict[int, Tensor] = {}

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: Any) -> tuple[Tensor, Tensor]:
        """Append (1, kv heads, new, dim) to a layer; returns all its keys and values so far."""
        return (
            self._append(self._keys, keys, layer),
            self._append(self._values, values, layer),
        )

    def advance(self, tokens: int) -> None:
        """Count `tokens` as stored, once every layer has them."""
        self.length += tokens

    def get_seq_length(self, layer: int = 0) -> int:
        """Tokens stored (the name is transformers')."""
        del layer
        return self.length

    def _append(self, store: dict[int, Tensor], new: Tensor, layer: int) -> Tensor:
        end = self.length + new.shape[2]
        held = store.get(layer)
        if held is None or held.shape[2] < end:
            capacity = max(FIRST_CAPACITY, 2 * end if held is not None else end + FIRST_CAPACITY)
            grown = new.new_empty(*new.shape[:2], capacity, new.shape[3])
            if held is not None:
                grown[:, :, : self.length] = held[:, :, : self.length]
            store[layer] = held = grown
        held[:, :, self.length : end] = new
        return held[:, :, :end]
