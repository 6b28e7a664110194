"""Models of rounded layers: their errors, sizes and numbers."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from tests.workers.engine.compression.factories import MAKERS, model_of, output_of, seed_network
from workers.engine.compression.quantise.files import quantise_model
from workers.engine.compression.quantise.formats import FORMS
from workers.engine.compression.quantise.linear import (
    QuantisedLinear,
    layer_errors,
    layers_quantise,
    numbers_of,
)

BITS = dict.fromkeys(FORMS, 8) | {"int4_weight": 4}
# what rounding to nearest costs numbers of one size, as a share of their root mean square, and room
MOST = {"int8": 0.02, "float8": 0.04, "int4": 0.16}


def most(kind: str) -> float:
    return MOST[kind.partition("_")[0]]


def test_errors_are_weighed_by_the_inputs() -> None:
    layer = nn.Sequential(nn.Linear(3, 1, bias=False))
    layer[0].weight.data = torch.tensor([[127.0, 0.4, 10.0]])  # 0.4 is rounded away
    errors = layer_errors(layer, {"0": torch.tensor([0.0, 1.0, 1.0])}, "int8_dynamic")
    assert errors["0"] == pytest.approx(0.4 / (0.4**2 + 10**2) ** 0.5)
    assert layer_errors(layer, {"0": torch.tensor([1.0, 0.0, 1.0])}, "int8_dynamic")["0"] == 0
    # of e4m3 every eighth from 16 on is a number: 10 · 448/127 = 35.3 becomes 36, 0.4 · … 1.375
    errors = layer_errors(layer, {"0": torch.tensor([0.0, 0.0, 1.0])}, "float8_weight")
    assert errors["0"] == pytest.approx(36 * 127 / 448 / 10 - 1, rel=1e-5)


@pytest.mark.parametrize("kind", FORMS)
def test_the_error_of_a_layer_is_that_of_its_product(kind: str) -> None:
    """Over inputs that do not hang together, where dynamic ones come on top."""
    torch.manual_seed(0)
    layer = nn.Linear(128, 64, bias=False)
    x = torch.randn(4096, 128) * torch.linspace(0.1, 3, 128)
    made = QuantisedLinear.of(layer, FORMS[kind].fit(128))
    seen = made.form.restore(made.stored, 128)
    wrong = (x @ seen.t() - layer(x)).norm() / layer(x).norm()
    (told,) = layer_errors(nn.Sequential(layer), {"0": x.norm(dim=0)}, kind).values()
    assert told == pytest.approx(float(wrong.detach()), rel=0.05)


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize("family", [*MAKERS, "mlp"])
def test_every_family_is_near_and_smaller_in_every_format(family: str, kind: str) -> None:
    torch.manual_seed(0)
    model = seed_network() if family == "mlp" else model_of(family)
    layers = [m for m in model.modules() if isinstance(m, (nn.Linear, Conv1D))]
    count, inside = numbers_of(model), sum(m.weight.numel() for m in layers)
    x = torch.randn(50, 10)
    run = (lambda: model(x)) if family == "mlp" else (lambda: output_of(family, model))
    with torch.no_grad():
        dense = run()
        quantise_model(model, kind)
        apart = (run() - dense).norm() / dense.norm()
    assert 0 < apart < 4 * most(kind)  # through a few layers
    assert numbers_of(model) == count
    rounded = [m for m in model.modules() if isinstance(m, QuantisedLinear)]
    assert len(rounded) >= len(layers) - 1  # but the output head, where there is one
    numbers = sum(m.stored[m.form.names[0]].nbytes for m in rounded)
    assert numbers >= sum(m.outputs * m.inputs for m in rounded) * BITS[kind] / 8
    if family != "mlp":  # whose rows are too short to fill a word
        assert numbers <= 1.1 * inside * BITS[kind] / 8


def test_room_for_a_layer_is_what_its_quantised_form_takes() -> None:
    for module in (nn.Linear(200, 40), nn.Linear(128, 8, bias=False), Conv1D(24, 96)):
        for form in FORMS.values():
            fit = form.fit(module.weight.shape[1 if isinstance(module, nn.Linear) else 0])
            full, room = QuantisedLinear.of(module, fit), QuantisedLinear.empty(module, fit)
            found = {n: (t.shape, t.dtype, t.device.type) for n, t in room.state_dict().items()}
            assert found == {
                n: (t.shape, t.dtype, t.device.type) for n, t in full.state_dict().items()
            }


def test_layers_of_several_widths_get_groups_of_their_own() -> None:
    model = nn.Sequential(nn.Linear(256, 96), nn.Linear(96, 48), nn.Linear(48, 4))
    layers_quantise(model, "int4_weight")
    assert [layer.form.group for layer in model] == [128, 32, 0]
