"""Many LoRA adapters beside one set of base weights; a forward pass uses one of them, or none."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from torch import Tensor, nn
from torch.nn.functional import linear

from workers.engine.compression.quantise.linear import RoundedLinear
from workers.engine.errors import AdapterError
from workers.engine.methods.lora.adapter import adapter_load
from workers.engine.methods.lora.layer import frozen_weight
from workers.engine.models import linear_names


@dataclass(frozen=True)
class LoadedAdapter:
    """Per layer name A (rank, in) and B (out, rank), B already scaled; DoRA's factors (out,)."""

    weights: Mapping[str, tuple[Tensor, Tensor]]
    factors: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass
class Selection:
    """The adapter of the forward pass that runs now."""

    adapter: LoadedAdapter | None = None


class AdaptedLinear(nn.Module):
    """A frozen linear layer that adds the selected adapter's product, if that adapts it."""

    def __init__(self, base: nn.Module, name: str, selection: Selection) -> None:
        super().__init__()
        self.base, self._name, self._selection = base, name, selection

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        adapter = self._selection.adapter
        if isinstance(self.base, RoundedLinear):
            return self._beside_rounded(x, adapter)
        weight, bias = frozen_weight(self.base)
        pair = adapter.weights.get(self._name) if adapter else None
        if adapter is None or pair is None:
            return linear(x, weight, bias)
        low = linear(linear(x, pair[0]), pair[1])
        if self._name not in adapter.factors:
            return linear(x, weight, bias) + low
        out = (linear(x, weight) + low) * adapter.factors[self._name]
        return out if bias is None else out + bias

    def _beside_rounded(self, x: Tensor, adapter: LoadedAdapter | None) -> Tensor:
        """Rounded weights stay as they are; what is added to their output is not rounded."""
        out: Tensor = self.base(x)
        pair = adapter.weights.get(self._name) if adapter else None
        return out if pair is None else out + linear(linear(x, pair[0]), pair[1])


class AdapterShelf:
    """Adapters by key, the least recently used leaving first when there are more than `most`.

    A generation under way keeps the adapter that it holds, wherever the shelf stands.
    """

    def __init__(self, model: nn.Module, most: int) -> None:
        self.selection = Selection()
        self._most = most
        self._held: OrderedDict[str, LoadedAdapter] = OrderedDict()
        self._lock = Lock()
        self._bases: dict[str, Tensor] = {}
        self._shapes: dict[str, tuple[int, int]] = {}
        self._like = next(model.parameters())  # the embeddings, whose type and device all have
        rounded = [name for name, m in model.named_modules() if isinstance(m, RoundedLinear)]
        for name in [*linear_names(model), *rounded]:
            layer = model.get_submodule(name)
            if isinstance(layer, RoundedLinear):
                self._shapes[name] = layer.outputs, layer.inputs
            else:
                weight, _ = frozen_weight(layer)
                self._bases[name], self._shapes[name] = weight, (weight.shape[0], weight.shape[1])
            model.set_submodule(name, AdaptedLinear(layer, name, self.selection))

    def add(self, key: str, folder: Path) -> tuple[str, ...]:
        """Load a PEFT folder under `key` (again: replaces it); returns the keys that had to leave.

        Raises:
            AdapterError: the folder is no LoRA adapter, or one of another base.
        """
        loaded = self._load(folder)
        with self._lock:
            self._held[key] = loaded
            self._held.move_to_end(key)
            leaving = list(self._held)[: max(0, len(self._held) - self._most)]
            for old in leaving:
                del self._held[old]
        return tuple(leaving)

    def remove(self, key: str) -> bool:
        """Forget an adapter; says whether it was here."""
        with self._lock:
            return self._held.pop(key, None) is not None

    def get(self, key: str) -> LoadedAdapter:
        """The adapter of `key`, which thereby counts as used.

        Raises:
            AdapterError: it is not loaded.
        """
        with self._lock:
            if key not in self._held:
                raise AdapterError(f"no adapter {key!r} is loaded; add it first")
            self._held.move_to_end(key)
            return self._held[key]

    def keys(self) -> tuple[str, ...]:
        """The loaded adapters, least recently used first."""
        with self._lock:
            return tuple(self._held)

    def _load(self, folder: Path) -> LoadedAdapter:
        adapter = adapter_load(folder)
        for name, (A, B) in adapter.weights.items():
            here = self._shapes.get(name)
            if here != (B.shape[0], A.shape[1]):
                raise AdapterError(
                    f"the adapter does not fit this base model: layer {name} is "
                    f"{here or 'missing'}, not {(B.shape[0], A.shape[1])}"
                )
        if adapter.magnitudes and not adapter.magnitudes.keys() <= self._bases.keys():
            raise AdapterError("a DoRA scales its base's own rows, and these are rounded")
        factors = {
            name: adapter.row_factors(name, self._bases[name]) for name in adapter.magnitudes
        }
        return LoadedAdapter(
            {
                name: (A.to(self._like), (B * adapter.scale).to(self._like))
                for name, (A, B) in adapter.weights.items()
            },
            {name: each.to(self._like) for name, each in factors.items() if each is not None},
        )
