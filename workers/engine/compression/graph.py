"""What must be cut together in a model, found from the structure of its modules.

A group's unit (an MLP channel, a KV head with its query heads, a hidden channel) lies in several
tensors at once: the rows that write it and the columns that read it. Whoever removes it removes it
from all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from workers.engine.compression.limits import HEADS_FOLLOW_WIDTH
from workers.engine.errors import EngineError
from workers.engine.models import blocks_of, config_of


class UnsupportedError(EngineError):
    """The model's structure, or this cut of it, is not one that can be pruned."""

    code = "unsupported_architecture"
    customers = True


class Kind(StrEnum):
    """What a unit is."""

    MLP = "mlp"  # a channel between an MLP's two linear layers
    HEADS = "heads"  # a key/value head with all query heads that share it
    WIDTH = "width"  # a channel of the residual stream


@dataclass(frozen=True)
class Part:
    """Where units lie in a tensor: unit u is offset + u·block … + block along `dim`."""

    tensor: str
    dim: int
    block: int = 1
    offset: int = 0
    is_norm: bool = False  # an RMSNorm's weight: grows by √(d/d′) when d channels become d′


@dataclass(frozen=True)
class Group:
    """Units that are removed as wholes. `readers` are the linear layers whose inputs they are."""

    kind: Kind
    layer: int  # -1: of the whole model
    units: int
    parts: tuple[Part, ...]
    readers: tuple[str, ...]
    block: int = 1  # columns of a reader per unit

    @property
    def name(self) -> str:
        return f"{self.kind}.{self.layer}"


@dataclass(frozen=True)
class Graph:
    """The groups of a model, and how its configuration speaks of their sizes.

    `heads_follow_width`: the architecture computes its heads' size from the hidden size, so that
    neither can be cut alone. `exact_width`: its norms can be corrected for cut channels.
    """

    groups: tuple[Group, ...]
    blocks: str  # the name of the list of layers; "" where there is none
    layers: int
    head_dim: int = 0
    heads_per_group: int = 1
    heads_follow_width: bool = False
    exact_width: bool = False

    def of(self, kind: Kind) -> tuple[Group, ...]:
        return tuple(group for group in self.groups if group.kind is kind)

    def of_layer(self, layer: int) -> tuple[Group, ...]:
        """In the order of the forward pass: heads, then MLP."""
        found = [g for g in self.groups if g.layer == layer]
        return tuple(sorted(found, key=lambda g: g.kind is Kind.MLP))


# Layers that write a unit, and the one that reads it, by their names below a common module.
_ATTENTION = (
    (("q_proj", "k_proj", "v_proj"), "o_proj"),  # Llama, Qwen, Mistral, ViT
    (("self.query", "self.key", "self.value"), "output.dense"),  # BERT
    (("c_attn",), "c_proj"),  # GPT-2: one matrix for all three
)
_MLP = (
    (("gate_proj", "up_proj"), "down_proj"),  # gated
    (("fc1",), "fc2"),  # ViT
    (("intermediate.dense",), "output.dense"),  # BERT
    (("c_fc",), "c_proj"),  # GPT-2
)
_HEAD_NORMS = ("q_norm", "k_norm")
_SQUARE = ("pooler.dense", "transform.dense")  # outside the layers, from width to width
Pattern = tuple[tuple[str, ...], str]


def graph_of(model: nn.Module) -> Graph:
    """The graph of a Hugging Face transformer, or of a sequence of linear layers.

    Raises:
        UnsupportedError: the structure is another; the message says what was not understood.
    """
    sequence = sequence_of(model)
    if sequence is not None:
        return _sequential(*sequence)
    if not hasattr(model, "config"):
        raise UnsupportedError(
            f"{type(model).__name__} is neither a Hugging Face transformer nor a sequence of "
            "linear layers; such a model cannot be pruned. Quantise it instead."
        )
    return _Transformer(model).graph()


def linear_dims(module: nn.Module) -> tuple[int, int]:
    """Which dimensions of a linear layer's stored weight are (out, in)."""
    return (1, 0) if isinstance(module, Conv1D) else (0, 1)


def sequence_of(model: nn.Module) -> tuple[str, nn.Sequential] | None:
    """A model that is a sequence of layers, or has one and nothing else, with what stands before

    its layers' names.
    """
    if isinstance(model, nn.Sequential):
        return "", model
    children = list(model.named_children())
    if len(children) == 1 and isinstance(children[0][1], nn.Sequential):
        return f"{children[0][0]}.", children[0][1]
    return None


def _sequential(prefix: str, model: nn.Sequential) -> Graph:
    linear = [(prefix + n, m) for n, m in model.named_children() if isinstance(m, nn.Linear)]
    odd = [m for m in model.children() if not isinstance(m, nn.Linear) and list(m.parameters())]
    if odd or len(linear) < 2:
        what = type(odd[0]).__name__ if odd else f"{len(linear)} linear layer(s)"
        raise UnsupportedError(f"a sequence with {what} has nothing here that can be removed.")
    groups = []
    for number, ((writer, first), (reader, _)) in enumerate(pairwise(linear)):
        parts = [Part(f"{writer}.weight", 0), Part(f"{reader}.weight", 1)]
        parts += [Part(f"{writer}.bias", 0)] if first.bias is not None else []
        groups.append(Group(Kind.MLP, number, first.out_features, tuple(parts), (reader,)))
    return Graph(tuple(groups), blocks="", layers=len(groups))


class _Transformer:
    """Reads the graph off a Hugging Face model; each parameter must be understood."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.config = model, config_of(model)
        self.tensors: Mapping[str, Tensor] = dict(model.named_parameters())
        blocks = blocks_of(model)
        self.blocks = next(name for name, m in model.named_modules() if m is blocks)
        self.layers = len(blocks)
        self.hidden = int(self.config.hidden_size)
        self.heads = int(self.config.num_attention_heads)
        self.kv = int(getattr(self.config, "num_key_value_heads", None) or self.heads)
        self.width: list[Part] = []
        self.readers: list[str] = []  # of the residual stream
        self.rms: set[bool] = set()

    def graph(self) -> Graph:
        groups: list[Group] = []
        for layer in range(self.layers):
            groups += self._layer(layer)
        self._outside()
        width = Group(Kind.WIDTH, -1, self.hidden, tuple(self.width), tuple(self.readers))
        return Graph(
            groups=(*groups, width),
            blocks=self.blocks,
            layers=self.layers,
            head_dim=self.head_dim,
            heads_per_group=self.heads // self.kv,
            heads_follow_width=self.follows,
            exact_width=self.rms == {True},
        )

    def _layer(self, layer: int) -> Iterator[Group]:
        root = f"{self.blocks}.{layer}"
        attention, pattern = self._find(root, _ATTENTION, "attention")
        mlp, mlp_pattern = self._find(root, _MLP, "MLP")
        if attention == mlp and pattern[1] == mlp_pattern[1]:
            raise self._odd(f"{root} has one layer for both attention and MLP")
        understood = {*self._layers_of(attention, pattern), *self._layers_of(mlp, mlp_pattern)}
        self._rest_of(root, attention, understood)
        yield self._attention_group(layer, attention, pattern)
        yield self._mlp_group(layer, mlp, mlp_pattern)

    def _find(self, root: str, patterns: Sequence[Pattern], what: str) -> tuple[str, Pattern]:
        """The one module below `root` that has all layers of a pattern."""
        found = [
            (f"{root}.{name}".rstrip("."), pattern)
            for name, module in self.model.get_submodule(root).named_modules()
            for pattern in patterns
            if all(_is_linear(module, part) for part in (*pattern[0], pattern[1]))
        ]
        if len(found) != 1:
            raise self._odd(f"{root} has {len(found) or 'no'} {what} of a known form")
        return found[0]

    @staticmethod
    def _layers_of(root: str, pattern: Pattern) -> list[str]:
        return [f"{root}.{name}" for name in (*pattern[0], pattern[1])]

    def _rest_of(self, root: str, attention: str, understood: set[str]) -> None:
        """Whatever else stands in a layer must be a norm of the residual stream or of the heads."""
        for name, tensor in self.tensors.items():
            module = name.rpartition(".")[0]
            if not name.startswith(f"{root}.") or module in understood:
                continue
            head_norm = module in {f"{attention}.{n}" for n in _HEAD_NORMS}
            if head_norm and tensor.shape == (self._head_dim_of(attention),):
                continue  # shared by all heads: nothing of it goes
            if tensor.shape != (self.hidden,) or not _is_norm(self.model.get_submodule(module)):
                raise self._odd(f"{name} {tuple(tensor.shape)} is not understood")
            self._norm(name, module)

    def _head_dim_of(self, attention: str) -> int:
        own = getattr(self.model.get_submodule(attention), "head_dim", None)
        return int(own or self.hidden // self.heads)

    @property
    def head_dim(self) -> int:
        stated = getattr(self.config, "head_dim", None)
        return int(stated or self.hidden // self.heads)

    @property
    def follows(self) -> bool:
        """GPT-2 and BERT divide the hidden size by the heads, whatever the configuration says."""
        return self.config.model_type in HEADS_FOLLOW_WIDTH

    def _attention_group(self, layer: int, root: str, pattern: Pattern) -> Group:
        per = self.heads // self.kv
        reader = f"{root}.{pattern[1]}"
        block = per * self.head_dim
        if len(pattern[0]) == 1:
            third = self.heads * self.head_dim
            starts = [(pattern[0][0], self.head_dim, third * n) for n in range(3)]
        else:
            sizes = (block, self.head_dim, self.head_dim)
            starts = [(name, size, 0) for name, size in zip(pattern[0], sizes, strict=True)]
        parts = [
            part
            for name, size, offset in starts
            for part in self._writing(f"{root}.{name}", size, offset)
        ]
        for name in pattern[0]:
            self._check(f"{root}.{name}", sum(s for n, s, _ in starts if n == name) * self.kv, 0)
            self._reads_width(f"{root}.{name}")
        self._check(reader, block * self.kv, 1)
        parts.append(self._reading(reader, block))
        self._writes_width(reader)
        return Group(Kind.HEADS, layer, self.kv, tuple(parts), (reader,), block)

    def _mlp_group(self, layer: int, root: str, pattern: Pattern) -> Group:
        reader = f"{root}.{pattern[1]}"
        units = self._weight(reader).shape[linear_dims(self.model.get_submodule(reader))[1]]
        parts = [part for name in pattern[0] for part in self._writing(f"{root}.{name}", 1, 0)]
        for name in pattern[0]:
            self._check(f"{root}.{name}", units, 0)
            self._reads_width(f"{root}.{name}")
        parts.append(self._reading(reader, 1))
        self._writes_width(reader)
        return Group(Kind.MLP, layer, units, tuple(parts), (reader,))

    def _outside(self) -> None:
        """Embeddings, the last norm and the heads: all that stands before and after the layers."""
        seen: set[int] = set()
        for name, tensor in self.tensors.items():
            module = self.model.get_submodule(name.rpartition(".")[0])
            if name.startswith(f"{self.blocks}.") or id(tensor) in seen:
                continue
            seen.add(id(tensor))
            self._outside_part(name, tensor, module)

    def _outside_part(self, name: str, tensor: Tensor, module: nn.Module) -> None:
        owner = name.rpartition(".")[0]
        if isinstance(module, nn.Embedding) and tensor.shape[1] == self.hidden:
            self.width.append(Part(name, 1))
        elif _is_norm(module) and tensor.shape == (self.hidden,):
            self._norm(name, owner)
        elif isinstance(module, nn.Conv2d):
            self.width.append(Part(name, 0))
        elif isinstance(module, nn.Linear):
            self._outside_linear(name, owner)
        elif tensor.ndim == 3 and tensor.shape[2] == self.hidden:  # ViT's class token, positions
            self.width.append(Part(name, 2))
        elif not name.endswith(".bias") or tensor.shape[0] == self.hidden:
            raise self._odd(f"{name} {tuple(tensor.shape)} is not understood")

    def _outside_linear(self, name: str, owner: str) -> None:
        square = owner.endswith(_SQUARE)
        if name.endswith(".weight"):
            self.width.append(Part(name, 1))
            self.readers.append(owner)
        if square:
            self.width.append(Part(name, 0))

    def _norm(self, name: str, module: str) -> None:
        rms = "RMSNorm" in type(self.model.get_submodule(module)).__name__
        self.rms.add(rms)
        self.width.append(Part(name, 0, is_norm=rms))

    def _writing(self, layer: str, block: int, offset: int) -> list[Part]:
        out, _ = linear_dims(self.model.get_submodule(layer))
        parts = [Part(f"{layer}.weight", out, block, offset)]
        return parts + (
            [Part(f"{layer}.bias", 0, block, offset)] if f"{layer}.bias" in self.tensors else []
        )

    def _reading(self, layer: str, block: int) -> Part:
        return Part(f"{layer}.weight", linear_dims(self.model.get_submodule(layer))[1], block)

    def _reads_width(self, layer: str) -> None:
        self._check(layer, self.hidden, 1)
        if layer not in self.readers:
            self.readers.append(layer)
            self.width.append(self._reading(layer, 1))

    def _writes_width(self, layer: str) -> None:
        self._check(layer, self.hidden, 0)
        self.width += self._writing(layer, 1, 0)

    def _weight(self, layer: str) -> Tensor:
        return cast("Tensor", self.model.get_submodule(layer).weight)

    def _check(self, layer: str, size: int, side: int) -> None:
        dim = linear_dims(self.model.get_submodule(layer))[side]
        found = self._weight(layer).shape[dim]
        if found != size:
            raise self._odd(f"{layer} has {found} {('outputs', 'inputs')[side]}, not {size}")

    def _odd(self, what: str) -> UnsupportedError:
        return UnsupportedError(
            f"{type(self.model).__name__} cannot be pruned: {what}. Known are the Llama, Qwen2, "
            "Qwen3, Mistral, GPT-2, BERT, ViT and AST families, and sequences of linear layers; "
            "quantisation works on any model."
        )


def _is_linear(module: nn.Module, path: str) -> bool:
    found: Any = module
    for name in path.split("."):
        found = getattr(found, name, None)
    return isinstance(found, (nn.Linear, Conv1D))


def _is_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.LayerNorm) or "RMSNorm" in type(module).__name__


def unit_rows(part: Part, units: Sequence[int]) -> Tensor:
    """The indices along `part.dim` that hold `units`, in their order."""
    starts = part.offset + torch.tensor(list(units), dtype=torch.long) * part.block
    return (starts[:, None] + torch.arange(part.block)).flatten()
