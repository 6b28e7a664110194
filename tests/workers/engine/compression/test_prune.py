"""From ratios to a pruned model: choices, least squares over a pruned prefix, the seed's rule."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss
from torch.nn.utils import prune as torch_prune

from tests.workers.engine.compression.factories import (
    DECODERS,
    MAKERS,
    inputs_for,
    model_of,
    output_of,
    samples_for,
    seed_network,
    tensor_samples,
)
from workers.engine.checks import SpecError
from workers.engine.compression.calibration import Sample, block_influence
from workers.engine.compression.graph import Kind, graph_of
from workers.engine.compression.prune import prune, unit_weights
from workers.engine.compression.specs import SCORERS, MaskSpec, PruneSpec
from workers.engine.compression.unstructured import mask_model, mask_of


def error_of(model: nn.Module, pruned: nn.Module, samples: list[Sample]) -> float:
    """The mean squared difference of the logits on the calibration inputs."""
    with torch.no_grad():
        pairs = [(s.forward(model).logits, s.forward(pruned).logits) for s in samples]
    return sum(float((a - b).square().mean()) for a, b in pairs) / len(pairs)


@pytest.mark.parametrize("family", MAKERS)
def test_nothing_removed_nothing_changed(family: str) -> None:
    model = model_of(family)
    spec = PruneSpec(mlp=0.0, reconstruct=True)
    made = prune(model, graph_of(model), spec, samples_for(family))
    assert torch.equal(output_of(family, made.model), output_of(family, model))


@pytest.mark.parametrize("scorer", SCORERS)
def test_every_scorer_keeps_the_wanted_numbers(scorer: str) -> None:
    model = model_of("qwen3")
    spec = PruneSpec(mlp=0.5, heads=0.25, width=0.25, layers=1, scorer=scorer)
    made: Any = prune(model, graph_of(model), spec, samples_for("qwen3")).model
    config = made.config
    assert (config.intermediate_size, config.num_key_value_heads) == (24, 3)
    assert (config.num_attention_heads, config.hidden_size) == (6, 24)
    assert (config.num_hidden_layers, config.head_dim) == (2, 6)
    assert output_of("qwen3", made).isfinite().all()


@pytest.mark.parametrize("family", [*DECODERS, "bert", "vit", "ast"])
def test_least_squares_is_nearer_to_the_dense_model(family: str) -> None:
    model = model_of(family)
    graph, samples = graph_of(model), samples_for(family)
    errors = {}
    for solve in (False, True):
        spec = PruneSpec(mlp=0.5, reconstruct=solve, ridge=1e-4)
        errors[solve] = error_of(model, prune(model, graph, spec, samples).model, samples)
    assert errors[True] < 0.8 * errors[False]


def test_the_chosen_channels_are_those_of_the_greatest_norm() -> None:
    model = model_of("llama")
    graph = graph_of(model)
    spec = PruneSpec(mlp=0.5, scorer="magnitude", reconstruct=False)
    made = prune(model, graph, spec, samples_for("llama"))
    mlp: Any = model.get_submodule("model.layers.2.mlp")
    squares = mlp.gate_proj.weight.square().sum(1) + mlp.up_proj.weight.square().sum(1)
    norms = (squares + mlp.down_proj.weight.square().sum(0)).sqrt()
    assert set(made.kept.units["mlp.2"]) == set(norms.topk(24).indices.tolist())


def test_heads_are_ranked_as_groups() -> None:
    model = model_of("qwen3")
    graph = graph_of(model)
    weights = unit_weights(model, graph.of(Kind.HEADS)[0])
    layer: Any = model.model.layers[0].self_attn
    assert weights.shape == (4, 32 * 6 * (2 + 1 + 1 + 2))
    own = [layer.q_proj.weight[12:24], layer.k_proj.weight[6:12], layer.v_proj.weight[6:12]]
    expected = sum(w.square().sum() for w in own) + layer.o_proj.weight[:, 12:24].square().sum()
    torch.testing.assert_close(weights[1].square().sum(), expected)


def test_the_least_influential_layer_goes() -> None:
    model = model_of("llama")
    with torch.no_grad():  # layer 1 adds almost nothing to the stream
        model.model.layers[1].self_attn.o_proj.weight.mul_(1e-3)
        model.model.layers[1].mlp.down_proj.weight.mul_(1e-3)
    made = prune(model, graph_of(model), PruneSpec(layers=1), samples_for("llama"))
    assert made.kept.layers == (0, 2)
    assert (output_of("llama", made.model) - output_of("llama", model)).abs().max() < 0.1


@pytest.mark.parametrize("family", ["llama", "bert", "vit"])
def test_what_follows_a_layer_that_goes_is_solved_over_what_it_will_see(family: str) -> None:
    model, samples = model_of(family), samples_for(family)
    graph = graph_of(model)
    with torch.no_grad():  # layer 1 adds almost nothing to the stream
        for group in graph.of_layer(1):
            model.get_submodule(group.readers[0]).weight.mul_(1e-3)
    made = prune(model, graph, PruneSpec(layers=1, mlp=0.25, ridge=1e-9), samples)
    assert made.kept.layers == (0, 2)
    (dense,) = graph.of(Kind.MLP)[-1].readers
    (cut,) = graph_of(made.model).of(Kind.MLP)[-1].readers
    wanted, x = inputs(model, dense, samples), inputs(made.model, cut, samples)
    change = torch.linalg.lstsq(x.double(), wanted.double()).solution.t()
    layer: Any = model.get_submodule(dense)
    solved: Any = made.model.get_submodule(cut)
    expected = (layer.weight.double() @ change).float()
    torch.testing.assert_close(solved.weight, expected, atol=1e-3, rtol=1e-3)


def test_padding_has_no_say_in_which_layer_goes() -> None:
    model = model_of("bert")
    graph, given = graph_of(model), inputs_for("bert")["input_ids"]
    real = torch.ones_like(given)
    real[:, 8:] = 0

    def padded(model: nn.Module) -> Any:
        return model(input_ids=given, attention_mask=real)

    def short(model: nn.Module) -> Any:
        return model(input_ids=given[:, :8])

    wide = Sample(padded, padded, real.flatten().bool())
    found = block_influence(model, graph, [wide])
    expected = block_influence(model, graph, [Sample(short, short)])
    assert found == pytest.approx(expected, rel=1e-4)


def inputs(model: nn.Module, name: str, samples: list[Sample]) -> torch.Tensor:
    """(tokens, in): what a layer reads of the samples."""
    seen: list[torch.Tensor] = []
    hook = model.get_submodule(name).register_forward_pre_hook(
        lambda _m, args: seen.append(args[0].flatten(0, -2))
    )
    for sample in samples:
        sample.forward(model)
    hook.remove()
    return torch.cat(seen)


def test_all_layers_cannot_go() -> None:
    model = model_of("llama")
    with pytest.raises(SpecError, match=r"prune\.layers: the model has 3 layers; at most 2 can go"):
        prune(model, graph_of(model), PruneSpec(layers=3), samples_for("llama"))


def test_weights_alone_need_no_pass() -> None:
    def never(_model: nn.Module) -> Any:
        raise AssertionError("nothing here looks at activations")

    model = model_of("llama")
    spec = PruneSpec(mlp=0.5, scorer="magnitude", reconstruct=False)
    made = prune(model, graph_of(model), spec, [Sample(never, never)])
    assert {len(units) for units in made.kept.units.values()} == {24}


def test_the_model_stays_as_it_was() -> None:
    model = model_of("llama")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    prune(model, graph_of(model), PruneSpec(mlp=0.5, scorer="taylor"), samples_for("llama"))
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())
    assert model(**inputs_for("llama")).logits.isfinite().all()


@pytest.fixture(scope="module")
def trained() -> tuple[nn.Sequential, torch.Tensor, torch.Tensor]:
    """The essay's network, trained with Adam at 0.01 on a target that it can learn."""
    model = seed_network()
    draws = torch.Generator().manual_seed(5)
    x = torch.randn(256, 10, generator=draws)
    y = (x[:, :1] - 0.5 * x[:, 1:2]).relu()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(300):
        optimiser.zero_grad()
        mse_loss(model(x), y).backward()
        optimiser.step()
    return model, x, y


@pytest.mark.parametrize("t", [0.1, 0.3])
def test_the_seeds_network_without_redundant_weights(trained: Any, t: float) -> None:
    model, x, y = trained
    pruned = seed_network()
    pruned.load_state_dict(model.state_dict())
    masks = mask_model(pruned, MaskSpec(threshold=t))
    expected = seed_network()
    expected.load_state_dict(model.state_dict())
    with torch.no_grad():
        for layer in (expected[0], expected[2], expected[4]):
            weight: Any = layer.weight
            weight[weight.abs() < t] = 0
    torch.testing.assert_close(pruned(x), expected(x))
    with torch.no_grad():
        before, after = float(mse_loss(model(x), y)), float(mse_loss(pruned(x), y))
    zeros = sum(int((~mask).sum()) for mask in masks.values())
    assert zeros == sum(int((p.abs() < t).sum()) for p in model.parameters() if p.ndim == 2) > 0
    constant = float(y.var())
    assert before < 0.1 * constant
    assert after < {0.1: 0.2, 0.3: 1.0}[t] * constant


def test_the_seeds_network_without_redundant_neurons(trained: Any) -> None:
    model, x, y = trained
    spec = PruneSpec(mlp=0.4, scorer="threshold", threshold=0.3)
    samples = tensor_samples(x, y)
    made = prune(model, graph_of(model), spec, samples).model
    plain = prune(
        model, graph_of(model), PruneSpec(**{**spec.to_dict(), "reconstruct": False}), samples
    ).model
    assert [m.out_features for m in made.children() if isinstance(m, nn.Linear)] == [3, 2, 1]
    assert mse_loss(made(x), y) < mse_loss(plain(x), y)


def test_masks_of_a_share_and_two_of_four() -> None:
    weight = torch.tensor([[1.0, -4.0, 2.0, 3.0], [0.5, 0.1, -0.2, 0.0]])
    assert mask_of(weight, MaskSpec(ratio=0.5)).int().tolist() == [[1, 1, 1, 1], [0, 0, 0, 0]]
    assert mask_of(weight, MaskSpec(pattern="2:4")).int().tolist() == [[0, 1, 0, 1], [1, 0, 1, 0]]
    norms = torch.tensor([10.0, 1.0, 1.0, 1.0])
    wanda = mask_of(weight, MaskSpec(ratio=0.25, scorer="wanda"), norms)
    assert wanda.int().tolist() == [[1, 1, 0, 1], [1, 1, 1, 0]]


def test_the_share_is_that_of_torchs_own_pruning() -> None:
    layer = nn.Linear(20, 30)
    reference = nn.Linear(20, 30)
    reference.load_state_dict(layer.state_dict())
    torch_prune.l1_unstructured(reference, "weight", amount=0.35)
    assert torch.equal(mask_of(layer.weight.detach(), MaskSpec(ratio=0.35)), reference.weight != 0)
