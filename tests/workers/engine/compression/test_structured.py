"""A cut model computes what the dense one does with the cut channels at zero."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from tests.workers.engine.compression.factories import (
    DECODERS,
    MAKERS,
    RMS,
    model_of,
    output_of,
    seed_network,
    zeroed,
)
from workers.engine.checks import SpecError
from workers.engine.compression.graph import Kind, UnsupportedError, graph_of
from workers.engine.compression.structured import Kept, cut, kept_count

EVERY_THIRD = tuple(range(0, 48, 3))
PATCHES = ("vit", "ast")
NO_HEADS_ALONE = ("gpt2", "bert")  # their heads' size follows from the hidden size


def layers_of(family: str, model: Any) -> Any:
    if family == "gpt2":
        return model.transformer.h
    if family == "bert":
        return model.bert.encoder.layer
    if family == "ast":
        return model.audio_spectrogram_transformer.layers
    return model.vit.layers if family == "vit" else model.model.layers


def mlp_reader(family: str, layer: Any) -> tuple[Any, int]:
    """The layer that reads MLP channels, and which dimension of its weight they are."""
    if family == "gpt2":
        return layer.mlp.c_proj, 0
    if family == "bert":
        return layer.output.dense, 1
    return (layer.mlp.fc2 if family in PATCHES else layer.mlp.down_proj), 1


def attention_reader(family: str, layer: Any) -> Any:
    return layer.attention.o_proj if family in PATCHES else layer.self_attn.o_proj


@pytest.mark.parametrize("family", MAKERS)
def test_without_mlp_channels(family: str) -> None:
    model = model_of(family)
    graph = graph_of(model)
    units = graph.of(Kind.MLP)[0].units
    kept = tuple(range(0, units, 3))
    gone = torch.tensor([u for u in range(units) if u not in kept])

    def silence(copy: Any) -> None:
        for layer in layers_of(family, copy):
            reader, dim = mlp_reader(family, layer)
            reader.weight.index_fill_(dim, gone, 0)

    names = {group.name: kept for group in graph.of(Kind.MLP)}
    pruned = cut(model, graph, Kept(names, (0, 1, 2)))
    expected = output_of(family, zeroed(model, silence))
    assert (expected - output_of(family, model)).abs().max() > 0.01  # the cut is no trifle
    torch.testing.assert_close(output_of(family, pruned), expected, atol=1e-5, rtol=1e-5)
    before, after = (sum(p.numel() for p in m.parameters()) for m in (model, pruned))
    assert after < before


@pytest.mark.parametrize("family", [f for f in MAKERS if f not in NO_HEADS_ALONE])
def test_without_heads(family: str) -> None:
    model = model_of(family)
    graph = graph_of(model)
    groups = graph.of(Kind.HEADS)
    kept = {group.name: (1, 3) for group in groups}

    def silence(copy: Any) -> None:
        for layer in layers_of(family, copy):
            weight = attention_reader(family, layer).weight
            view = weight.view(weight.shape[0], groups[0].units, -1)
            view[:, [u for u in range(groups[0].units) if u not in (1, 3)]] = 0

    pruned: Any = cut(model, graph, Kept(kept, (0, 1, 2)))
    expected = output_of(family, zeroed(model, silence))
    torch.testing.assert_close(output_of(family, pruned), expected, atol=1e-5, rtol=1e-5)
    assert pruned.config.num_attention_heads == 2 * graph.heads_per_group


@pytest.mark.parametrize("family", RMS)
def test_without_hidden_channels(family: str) -> None:
    model = model_of(family)
    graph = graph_of(model)
    kept = tuple(c for c in range(32) if c % 4)
    gone = torch.tensor(range(0, 32, 4))

    def silence(copy: Any) -> None:
        copy.model.embed_tokens.weight[:, gone] = 0
        for layer in copy.model.layers:
            layer.self_attn.o_proj.weight[gone] = 0
            layer.mlp.down_proj.weight[gone] = 0

    assert graph.exact_width
    pruned: Any = cut(model, graph, Kept({"width.-1": kept}, (0, 1, 2)))
    expected = output_of(family, zeroed(model, silence))
    torch.testing.assert_close(output_of(family, pruned), expected, atol=1e-5, rtol=1e-5)
    assert pruned.config.hidden_size == 24


@pytest.mark.parametrize("family", MAKERS)
def test_without_a_layer(family: str) -> None:
    model = model_of(family)

    def drop(copy: Any) -> None:
        del layers_of(family, copy)[1]

    pruned: Any = cut(model, graph_of(model), Kept({}, (0, 2)))
    assert pruned.config.num_hidden_layers == 2
    torch.testing.assert_close(output_of(family, pruned), output_of(family, zeroed(model, drop)))


@pytest.mark.parametrize("family", MAKERS)
def test_removing_nothing_changes_nothing(family: str) -> None:
    model = model_of(family)
    pruned = cut(model, graph_of(model), Kept({}, (0, 1, 2)))
    assert torch.equal(output_of(family, pruned), output_of(family, model))


@pytest.mark.parametrize("family", DECODERS)
def test_transformers_loads_what_was_cut(family: str, tmp_path: Path) -> None:
    model = model_of(family)
    graph = graph_of(model)
    units = {group.name: EVERY_THIRD for group in graph.of(Kind.MLP)}
    if family not in NO_HEADS_ALONE:
        units |= {group.name: (0, 2) for group in graph.of(Kind.HEADS)}
        units["width.-1"] = tuple(range(24))
    pruned: Any = cut(model, graph, Kept(units, (0, 2)))
    pruned.save_pretrained(tmp_path)
    loaded, told = AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    assert torch.equal(output_of(family, loaded.eval()), output_of(family, pruned))


@pytest.mark.parametrize("family", NO_HEADS_ALONE)
def test_heads_and_width_go_together_where_one_follows_from_the_other(family: str) -> None:
    model = model_of(family)
    graph = graph_of(model)
    heads = {group.name: (0, 1, 2, 4, 5, 6) for group in graph.of(Kind.HEADS)}
    with pytest.raises(UnsupportedError, match="6 heads of 4 the width has to be 24, not 32"):
        cut(model, graph, Kept(heads, (0, 1, 2)))
    assert not graph.exact_width
    pruned: Any = cut(model, graph, Kept(heads | {"width.-1": tuple(range(24))}, (0, 1, 2)))
    assert pruned.config.hidden_size == 24
    assert output_of(family, pruned).isfinite().all()


def test_the_seeds_network_without_neurons() -> None:
    model = seed_network()
    pruned = cut(model, graph_of(model), Kept({"mlp.0": (0, 3, 4), "mlp.1": (2,)}, (0,)))

    def silence(copy: Any) -> None:
        copy[2].weight[:, [1, 2]] = 0
        copy[4].weight[:, [0, 1]] = 0

    x = torch.randn(50, 10)
    torch.testing.assert_close(pruned(x), zeroed(model, silence)(x), atol=1e-6, rtol=1e-6)
    assert [tuple(p.shape) for p in pruned.parameters() if p.ndim == 2] == [(3, 10), (1, 3), (1, 1)]


def test_a_layer_that_would_vanish() -> None:
    group = graph_of(model_of("llama")).of(Kind.HEADS)[0]
    assert kept_count(group, 0.5) == 2
    with pytest.raises(
        SpecError, match=r"0\.9 of 4 leaves none, and the layer would vanish; at mo"
    ):
        kept_count(group, 0.9)


def test_layers_of_different_sizes_have_no_layout() -> None:
    model = model_of("llama")
    with pytest.raises(SpecError, match="one number for all"):
        cut(model, graph_of(model), Kept({"mlp.0": (0, 1)}, (0, 1, 2)))


def test_structures_that_are_not_understood() -> None:
    with pytest.raises(UnsupportedError, match="neither a Hugging Face transformer nor"):
        graph_of(nn.LSTM(4, 4))
    with pytest.raises(UnsupportedError, match="Conv1d has nothing here"):
        graph_of(nn.Sequential(nn.Conv1d(3, 3, 3), nn.ReLU()))
    odd = model_of("llama")
    odd.model.layers[1].mlp.gate = nn.Linear(32, 4)
    with pytest.raises(UnsupportedError, match=r"layers.1.mlp.gate.weight \(4, 32\) is not under"):
        graph_of(odd)
    del odd.model.layers[1].mlp.down_proj
    with pytest.raises(UnsupportedError, match=r"layers\.1 has no MLP of a known form"):
        graph_of(odd)


def test_heads_that_transformers_would_not_save() -> None:
    model = model_of("llama")
    graph = graph_of(model)
    units = {group.name: (0, 1, 2) for group in graph.of(Kind.HEADS)}
    with pytest.raises(UnsupportedError, match="not a multiple of the number of attention heads"):
        cut(model, graph, Kept(units, tuple(range(graph.layers))))
