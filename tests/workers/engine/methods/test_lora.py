"""LoRA against PEFT: the same files, logits and gradients; dropout from the member's own draws."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file

from tests.workers.engine.factories import FAMILIES, VOCABULARY, reference_model
from workers.engine.checks import SpecError
from workers.engine.data.packing import pack
from workers.engine.errors import AdapterError
from workers.engine.export.merged import merge_into, merged_save
from workers.engine.losses import loss_sum
from workers.engine.methods.lora.adapter import adapter_load
from workers.engine.methods.lora.layer import DropoutClock, LoraLinear
from workers.engine.methods.lora.method import LoraMethod
from workers.engine.models import Batch, logits_of, model_load
from workers.engine.specs import FineTuneSpec, LoraSpec

IDS = torch.arange(3, 43)


def batch() -> Batch:
    ids = IDS.numpy()
    return Batch.of(pack([(ids, (ids * 0 + 1))]), "cpu")


def spec(**lora: Any) -> FineTuneSpec:
    return FineTuneSpec(lora=LoraSpec(**{"rank": 3, "alpha": 7.0} | lora), seed=5)


def disturbed(method: LoraMethod) -> LoraMethod:
    """An adapter as after training: B is no longer zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in method.parameters.values():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return method


def saved_adapter(base: Path, folder: Path, **lora: Any) -> tuple[Path, torch.Tensor]:
    """A disturbed adapter's PEFT folder, and our logits with it on."""
    model = model_load(base)
    with LoraMethod(model, spec(**lora), base, None) as method:
        disturbed(method).save(folder)
        return folder, logits_of(model, batch())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("targets", ["auto", "some"])
def test_our_adapter_gives_the_same_logits_in_peft(
    bases: dict[str, Path], tmp_path: Path, family: str, targets: str
) -> None:
    some = ("c_attn",) if family == "gpt2" else ("q_proj", "down_proj")
    chosen = "auto" if targets == "auto" else some
    folder, ours = saved_adapter(bases[family], tmp_path / "adapter", target_modules=chosen)
    loaded = PeftModel.from_pretrained(reference_model(bases[family]), folder)
    theirs = loaded(input_ids=IDS[None]).logits[0, :-1]
    bare = reference_model(bases[family])(input_ids=IDS[None]).logits[0, :-1]
    assert (ours - theirs).abs().max() <= 1e-4
    assert (bare - theirs).abs().max() > 0.1  # the adapter matters


@pytest.mark.parametrize("family", FAMILIES)
def test_an_adapter_made_by_peft_gives_the_same_logits_here(
    bases: dict[str, Path], tmp_path: Path, family: str
) -> None:
    made = get_peft_model(
        reference_model(bases[family]),
        LoraConfig(
            r=2,
            lora_alpha=5,
            target_modules="all-linear",
            init_lora_weights=False,
            task_type="CAUSAL_LM",
        ),
    )
    made.save_pretrained(tmp_path)
    theirs = made.eval()(input_ids=IDS[None]).logits[0, :-1]
    model = model_load(bases[family])
    with LoraMethod(model, spec(), bases[family], tmp_path):
        assert (logits_of(model, batch()) - theirs).abs().max() <= 1e-4
    merge_into(model, adapter_load(tmp_path))
    assert (logits_of(model, batch()) - theirs).abs().max() <= 1e-4


def test_rslora_scales_by_the_roots_rank_in_both_directions(base: Path, tmp_path: Path) -> None:
    # given ours read by PEFT
    folder, ours = saved_adapter(base, tmp_path / "ours", use_rslora=True)
    loaded = PeftModel.from_pretrained(reference_model(base), folder)
    assert (ours - loaded(input_ids=IDS[None]).logits[0, :-1]).abs().max() <= 1e-4
    # and PEFT's read by us
    given = {"r": 4, "lora_alpha": 2, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    config = LoraConfig(**given, init_lora_weights=False, use_rslora=True)
    made = get_peft_model(reference_model(base), config)
    made.save_pretrained(tmp_path / "theirs")
    theirs = made.eval()(input_ids=IDS[None]).logits[0, :-1]
    model = model_load(base)
    with LoraMethod(model, spec(), base, tmp_path / "theirs"):
        assert (logits_of(model, batch()) - theirs).abs().max() <= 1e-4
    merge_into(model, adapter_load(tmp_path / "theirs"))
    assert (logits_of(model, batch()) - theirs).abs().max() <= 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_equal_pefts_and_the_base_gets_none(
    bases: dict[str, Path], tmp_path: Path, family: str
) -> None:
    folder, _ = saved_adapter(bases[family], tmp_path / "adapter")
    theirs = PeftModel.from_pretrained(reference_model(bases[family]), folder, is_trainable=True)
    theirs(input_ids=IDS[None], labels=IDS[None]).loss.backward()
    model = model_load(bases[family])
    with LoraMethod(model, spec(), bases[family], folder) as method:
        each = batch()
        (loss_sum(logits_of(model, each), each.labels) / len(each.labels)).backward()
        names = {
            n.replace(".default", ""): p for n, p in theirs.named_parameters() if p.requires_grad
        }
        for name, parameter in method.parameters.items():
            layer, _, part = name.rpartition(".")
            other = names[f"base_model.model.{layer}.lora_{part}.weight"]
            assert torch.allclose(parameter.grad, other.grad, rtol=1e-3, atol=1e-5), name  # type: ignore[arg-type]
        frozen = [p for p in model.parameters() if not p.requires_grad]
        assert frozen
        assert all(p.grad is None for p in frozen)


def test_the_backward_pass_is_the_derivative() -> None:
    """Finite differences, with and without dropout."""
    base = torch.nn.Linear(5, 4).double().requires_grad_(False)
    for dropout in (0.0, 0.4):
        layer = LoraLinear(
            base, rank=2, scale=1.5, dropout=dropout, clock=DropoutClock(3), number=0
        )
        layer.A.data.normal_()
        layer.B.data.normal_()
        x = torch.randn(2, 3, 5, dtype=torch.double, requires_grad=True)

        def product(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor, layer: Any = layer) -> Any:
            return torch.func.functional_call(layer, {"A": a, "B": b}, (x,))

        assert torch.autograd.gradcheck(product, (x, layer.A, layer.B))


def test_a_fresh_adapter_changes_nothing_and_taking_it_off_restores_the_model(base: Path) -> None:
    model = model_load(base)
    before, names = logits_of(model, batch()), [n for n, _ in model.named_modules()]
    with LoraMethod(model, spec(dropout=0.5), base, None) as method:
        with torch.no_grad():
            assert torch.equal(logits_of(model, batch()), before)
        disturbed(method)
    assert torch.equal(logits_of(model, batch()), before)
    assert [n for n, _ in model.named_modules()] == names


def test_dropout_keeps_the_wished_share_and_the_mean_and_follows_only_its_clock() -> None:
    base = torch.nn.Linear(200, 3, bias=False).requires_grad_(False)
    clock = DropoutClock(seed=1)
    layer = LoraLinear(base, rank=1, scale=1.0, dropout=0.3, clock=clock, number=0)
    masks = []
    for step in range(20):
        clock.step = step
        torch.manual_seed(step)  # the global generator must not matter
        masks.append(layer._keep(torch.ones(1, 50, 200)))
    clock.step = 0
    torch.rand(10)
    assert torch.equal(layer._keep(torch.ones(1, 50, 200)), masks[0])
    assert not torch.equal(masks[0], masks[1])
    every = torch.cat(masks)
    assert every.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    # 200,000 draws: the share's standard error is 0.001
    assert (every > 0).float().mean().item() == pytest.approx(0.7, abs=0.004)


def test_the_seed_decides_the_start(base: Path) -> None:
    def start(seed: int) -> dict[str, torch.Tensor]:
        model = model_load(base)
        with LoraMethod(model, FineTuneSpec(seed=seed), base, None) as method:
            return {n: p.detach().clone() for n, p in method.parameters.items()}

    one, again, other = start(1), start(1), start(2)
    assert all(torch.equal(one[n], again[n]) for n in one)
    assert not any(torch.equal(one[n], other[n]) for n in one if n.endswith(".A"))


def test_unknown_target_modules_are_named_with_those_that_exist(base: Path) -> None:
    with pytest.raises(
        SpecError, match=r"no linear layer w_q; it has down_proj, gate_proj"
    ) as caught:
        LoraMethod(model_load(base), spec(target_modules=("w_q",)), base, None)
    assert caught.value.field == "lora.target_modules"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_merged_model_loads_in_transformers_and_says_its_drift(
    base: Path, tmp_path: Path, dtype: str
) -> None:
    folder, ours = saved_adapter(base, tmp_path / "adapter")
    drift = merged_save(tmp_path / "merged", base, folder, dtype=dtype)
    merged = reference_model(tmp_path / "merged")
    assert str(merged.dtype) == f"torch.{dtype}"
    if dtype == "float32":
        assert drift <= 1e-7
        assert (merged(input_ids=IDS[None]).logits[0, :-1] - ours).abs().max() <= 1e-4
    else:  # half a unit in bfloat16's 8 bits, relative, at most
        assert 1e-4 < drift <= 2**-8


def test_foreign_and_unfit_adapters_are_refused(
    base: Path, bases: dict[str, Path], tmp_path: Path
) -> None:
    folder, _ = saved_adapter(base, tmp_path / "adapter")
    config = json.loads((folder / "adapter_config.json").read_text())
    with pytest.raises(AdapterError, match="does not fit"):
        merge_into(model_load(bases["gpt2"]), adapter_load(folder))
    for change in ({"peft_type": "IA3"}, {"bias": "all"}, {"r": "many"}):
        (folder / "adapter_config.json").write_text(json.dumps(config | change))
        with pytest.raises(AdapterError, match="no LoRA adapter"):
            adapter_load(folder)
    (folder / "adapter_config.json").write_text(json.dumps(config | {"r": 4}))
    with pytest.raises(AdapterError, match="rank 4 throughout"):
        adapter_load(folder)
    save_file({"x": torch.ones(VOCABULARY)}, folder / "adapter_model.safetensors")
    with pytest.raises(AdapterError, match="other tensors"):
        adapter_load(folder)
    (folder / "adapter_model.safetensors").write_bytes(b"\x80\x04pickle")
    with pytest.raises(AdapterError, match="no LoRA adapter"):
        adapter_load(folder)
