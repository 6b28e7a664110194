"""DPO against its paper's formula, written out over transformers and peft; and on real texts."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from openai.types.fine_tuning import DpoMethod
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file

from tests.workers.engine.factories import (
    Recorder,
    completions,
    handle,
    reference_model,
    spec,
    work,
    write_jsonl,
)
from tests.workers.engine.tasks.texts import translation_pairs
from workers.engine.data.dataset import Reader
from workers.engine.data.preferences import Preference, preferences_read
from workers.engine.data.problems import Problem
from workers.engine.evaluation import evaluate
from workers.engine.methods.lora.method import LoraMethod
from workers.engine.protocol import (
    Command,
    EvaluateWork,
    FailureKind,
    Member,
    Numerics,
    Outcome,
    Result,
)
from workers.engine.specs import EvaluateSpec, SpecError
from workers.engine.tasks.preference import PreferenceTuning
from workers.engine.training.loop import train

TASK = "preference"
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def settings(**changes: Any) -> Any:
    return spec(task=TASK, **changes)


def row(prompt: str, preferred: str, rejected: str) -> dict[str, Any]:
    """OpenAI's preference format."""
    return {
        "input": {"messages": [{"role": "user", "content": prompt}], "tools": []},
        "preferred_output": [{"role": "assistant", "content": preferred}],
        "non_preferred_output": [{"role": "assistant", "content": rejected}],
    }


def pairs(count: int = 12) -> list[dict[str, Any]]:
    return [
        row(f"Say {n} " * (1 + n % 3), f"it is {n}" + " indeed" * (n % 4), f"NO {n}")
        for n in range(count)
    ]


def trained(
    base: Path,
    given: Any,
    data: Path,
    folder: Path,
    *,
    validation: Path | None = None,
    progress: Recorder | None = None,
    **member: Any,
) -> Result:
    held_out = handle(validation) if validation else None
    asked = Member("m", given, handle(data), validation=held_out, **member)
    (result,) = train(work(base, folder, asked), progress or Recorder(folder.parent))
    return result


def output_likelihoods(model: Any, data: Any, index: int) -> list[Any]:
    """log π(preferred | x) and log π(other | x), by transformers' own logits, one by one."""
    found = []
    for side in (0, 1):
        ids, mask = (torch.tensor(part.astype("int64")) for part in data.shards[2 * index + side])
        logs = model(input_ids=ids[None]).logits[0].log_softmax(-1)
        own = logs[:-1].gather(1, ids[1:, None])[:, 0]
        found.append((own * mask[1:]).sum())
    return found


def formula(model: Any, reference: Any, data: Any, count: int, beta: float) -> Any:
    """Equation 7 of the paper, summed over pairs."""
    total: Any = 0.0
    for index in range(count):
        preferred, other = output_likelihoods(model, data, index)
        with torch.no_grad():
            first, second = output_likelihoods(reference, data, index)
        total = total - torch.sigmoid(beta * ((preferred - first) - (other - second))).log()
    return total


@pytest.fixture
def moved(base: Path, tmp_path: Path) -> Path:
    """An adapter that is far from the base, made by peft itself."""
    torch.manual_seed(1)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=TARGETS, task_type="CAUSAL_LM")
    adapted = get_peft_model(reference_model(base), config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    adapted.save_pretrained(tmp_path / "moved")
    return tmp_path / "moved"


def test_loss_and_gradients_are_the_papers(base: Path, moved: Path, tmp_path: Path) -> None:
    """An adapter against the base as its reference, in packs, by our kernels."""
    given = settings(preference={"beta": 0.3})
    task = PreferenceTuning(base, given)
    data = task.read(write_jsonl(tmp_path / "t", pairs(7)), tmp_path / "data", training=True)
    model = task.model(Numerics())
    list(task.prepare(model, data, 64, "cpu"))
    with LoraMethod(model, given, base, moved) as method:
        total = 0.0
        batches = task.micro_batches(data, range(7), 120, packing=True)
        assert 1 < len(batches) < 7
        for batch in batches:
            loss, _ = task.loss(model, batch, "cpu")
            loss.backward()
            total += loss.item()
        found = {name: tensor.grad.clone() for name, tensor in method.parameters.items()}

    theirs = PeftModel.from_pretrained(reference_model(base), moved, is_trainable=True)
    expected = formula(theirs, reference_model(base), data, 7, 0.3)
    expected.backward()
    assert total == pytest.approx(expected.item(), rel=1e-4)
    reference = dict(theirs.named_parameters())
    for name, gradient in found.items():
        layer, _, part = name.rpartition(".")
        other = reference[f"base_model.model.{layer}.lora_{part}.default.weight"].grad
        assert torch.allclose(gradient, other, rtol=2e-3, atol=1e-5), name


@pytest.mark.parametrize("family", ["gpt2", "qwen2", "mistral"])
def test_whole_models_of_other_families_have_the_papers_gradients(
    bases: dict[str, Path], tmp_path: Path, family: str
) -> None:
    base, given = bases[family], settings(method="full")
    task = PreferenceTuning(base, given)
    data = task.read(write_jsonl(tmp_path / "t", pairs(3)), tmp_path / "data", training=True)
    model: Any = task.model(Numerics())
    list(task.prepare(model, data, 1000, "cpu"))
    other: Any = reference_model(base)
    model.requires_grad_(requires_grad=True)
    for each in (model, other):  # both a step away from the reference, the same way
        draws = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for parameter in each.parameters():
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=draws))
    (batch,) = task.micro_batches(data, range(3), 1000, packing=True)
    loss, sums = task.loss(model, batch, "cpu")
    loss.backward()

    expected = formula(other, reference_model(base), data, 3, 0.1)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    theirs = dict(other.named_parameters())
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter.grad, theirs[name].grad, rtol=2e-3, atol=1e-5), name
    assert abs(sums["margin"].item()) > 0.01


def test_a_model_that_is_its_reference_loses_ln_2(base: Path, tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "t", pairs())
    result = trained(base, settings(epochs=1), data, tmp_path / "run", validation=data)
    assert result.metrics["initial_validation_loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert result.metrics["initial_validation_reward_margin"] == pytest.approx(0, abs=1e-4)


def test_it_learns_to_prefer_german_over_french_on_messages_it_never_saw(
    base: Path, tmp_path: Path
) -> None:
    # given Django's messages with both translations, a quarter held out
    french = {each["anchor"]: each["positive"] for each in translation_pairs("fr")}
    rows = [
        row(f"Translate: {text}", each["positive"], french[text])
        for each in translation_pairs("de")
        if len(text := each["anchor"]) > 14 and french.get(text, "") not in {"", each["positive"]}
    ][:240]
    beta = 0.02
    held_out, train_rows = rows[::4], [each for n, each in enumerate(rows) if n % 4]
    result = trained(
        base,
        settings(
            epochs=8,
            batch_size=8,
            learning_rate=1e-2,
            max_length=128,
            length_policy="truncate",
            lora={"rank": 8},
            preference={"beta": beta},
        ),
        write_jsonl(tmp_path / "t", train_rows),
        tmp_path / "run",
        validation=write_jsonl(tmp_path / "v", held_out),
    )
    assert result.outcome is Outcome.SUCCEEDED, result.error
    found = result.metrics
    # then held-out preferences are met more often than by the untouched base, or by chance
    assert found["validation_accuracy"] > 0.9
    assert found["validation_likelier"] > found["initial_validation_likelier"] + 0.1
    assert found["validation_loss"] < 0.9 * math.log(2)

    # and an evaluation of the adapter against its base says the same
    assert result.artifact
    asked = EvaluateWork(
        handle(base),
        "e",
        EvaluateSpec.from_dict(
            {
                "task": TASK,
                "max_length": 128,
                "length_policy": "truncate",
                "preference": {"beta": beta},
            }
        ),
        handle(tmp_path / "v"),
        tmp_path / "evaluation",
        adapter=result.artifact,
    )
    measured = evaluate(asked, Recorder(tmp_path))
    assert measured.outcome is Outcome.SUCCEEDED, measured.error
    for name in ("loss", "accuracy", "reward_margin", "likelier"):
        assert measured.metrics[name] == pytest.approx(found[f"validation_{name}"], abs=1e-3)


def test_the_reference_of_an_earlier_adapter_is_that_adapter(
    base: Path, moved: Path, tmp_path: Path
) -> None:
    data = write_jsonl(tmp_path / "t", pairs())
    start = handle(moved)
    result = trained(
        base, settings(epochs=1), data, tmp_path / "run", validation=data, adapter=start
    )
    assert result.metrics["initial_validation_loss"] == pytest.approx(math.log(2), abs=1e-5)


def test_a_resumed_run_ends_bit_for_bit_as_one_that_never_stopped(
    base: Path, tmp_path: Path
) -> None:
    """The reference is that of the beginning, not of where it was resumed."""
    data = write_jsonl(tmp_path / "t", pairs())
    given = settings(epochs=4, lora={"rank": 4, "dropout": 0.1})
    whole = trained(base, given, data, tmp_path / "whole")
    paused = Recorder(tmp_path, answer=lambda step: Command.PAUSE if step == 5 else Command.GO)
    assert trained(base, given, data, tmp_path / "1", progress=paused).outcome == "paused"
    second = trained(base, given, data, tmp_path / "2", resume=paused.snapshots[-1][1])
    assert whole.artifact
    assert second.artifact
    one = load_file(whole.artifact.path / "adapter_model.safetensors")
    other = load_file(second.artifact.path / "adapter_model.safetensors")
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("command", [Command.PAUSE, Command.CANCEL])
def test_it_leaves_while_the_reference_is_measured_and_harms_no_snapshot(
    base: Path, tmp_path: Path, command: Command
) -> None:
    data = write_jsonl(tmp_path / "t", pairs())
    asked = Recorder(tmp_path, answer=lambda _: command)
    result = trained(base, settings(), data, tmp_path / "run", progress=asked)
    assert result.outcome.value == {"pause": "paused", "cancel": "cancelled"}[command]
    assert len(asked.beats) == 1
    assert not asked.snapshots


def test_preferences_among_others_in_one_work(base: Path, tmp_path: Path) -> None:
    """A pass of several members: each by its own task, over one frozen base."""
    preference = Member("p", settings(epochs=1), handle(write_jsonl(tmp_path / "p", pairs())))
    plain = Member("s", spec(epochs=1), handle(write_jsonl(tmp_path / "s", completions())))
    for together in (False, True):
        given = work(base, tmp_path / str(together), preference, plain)
        object.__setattr__(given, "together", together)
        results = {each.key: each for each in train(given, Recorder(tmp_path))}
        assert {each.outcome for each in results.values()} == {Outcome.SUCCEEDED}, results


def read(base: Path, rows: list[Any], folder: Path, policy: str = "error") -> list[Any]:
    text = Reader.load(base, vocabulary=512, context=128)
    with write_jsonl(folder / "t", rows).open("rb") as source:
        return list(preferences_read(source, text.tokenizer, text.template, policy, 96))


def test_a_prompt_is_not_learned_and_plain_texts_will_do(base: Path, tmp_path: Path) -> None:
    text = Reader.load(base, vocabulary=512, context=128)
    plain = {"prompt": "Say it", "chosen": " yes", "rejected": " no"}
    said = row("Hi", "yes", "no")
    said["input"]["messages"][:0] = [
        {"role": "user", "content": "Before?"},
        {"role": "assistant", "content": "An answer that is not learned."},
    ]
    first, second = read(base, [plain, said], tmp_path)
    assert isinstance(first, Preference)
    for (ids, mask), output in ((first.preferred, " yes"), (first.rejected, " no")):
        learned = [token for token, is_learned in zip(ids, mask, strict=True) if is_learned]
        assert text.tokenizer.decode(learned) == output
    assert text.tokenizer.decode([t for t, m in zip(*second.preferred, strict=True) if m]) == "yes"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (["a"], "line 2, input: the input is no object with messages"),
        ({"messages": []}, "line 2, input: the input is no object with messages"),
        ({"input": {"messages": []}}, "line 2, input: the input is no object with messages"),
        (row("a", "b", "c") | {"preferred_output": []}, "line 2, preferred_output: preferred_out"),
        (
            row("a", "b", "c") | {"non_preferred_output": [{"role": "user", "content": "x"}]},
            "line 2, non_preferred_output: non_preferred_output is no list of one message",
        ),
        (row("a", "b", 5), "line 2, non_preferred_output: the content is neither text"),  # type: ignore[arg-type]
        (row("a", "b", "b"), "line 2, non_preferred_output: both outputs are the same"),
        (row("a " * 200, "b", "c"), "line 2, line: the row is"),
        (row(7, "b", "c"), "line 2, input.messages[0].content: the content is neither"),  # type: ignore[arg-type]
        ({"prompt": "a", "chosen": "b"}, "line 2, rejected: completion is missing or not text"),
        ({"prompt": "a", "chosen": "", "rejected": "c"}, "line 2, chosen: completion is empty"),
    ],
)
def test_broken_data_are_refused_with_line_field_and_remedy(
    base: Path, tmp_path: Path, bad: Any, message: str
) -> None:
    (problem,) = [
        each for each in read(base, [pairs(1)[0], bad], tmp_path) if isinstance(each, Problem)
    ]
    assert str(problem).startswith(message)
    assert problem.fix
    result = trained(base, settings(), tmp_path / "t", tmp_path / "run")
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.CUSTOMER)


def test_what_truncation_leaves_alike_is_refused(base: Path, tmp_path: Path) -> None:
    long, short = row("a " * 200, "b", "c"), row("a", "b " * 200, "c")
    problem, cut = read(base, [long, short], tmp_path, "truncate")
    assert "hold no difference to learn" in str(problem)
    assert cut.cut > 0


def test_an_empty_file_and_what_it_cannot_do_are_refused(base: Path, tmp_path: Path) -> None:
    assert "the file has no lines" in str(read(base, [], tmp_path)[0])
    for changes in ({"length_policy": "split"}, {"preference": {"beta": 0}}):
        with pytest.raises(SpecError):
            PreferenceTuning(base, settings(**changes))


def test_openais_own_types_read_our_rows_method() -> None:
    given = {"hyperparameters": {"beta": 0.1, "n_epochs": "auto"}}
    assert DpoMethod.model_validate(given).hyperparameters


def test_a_base_without_template_or_tokenizer_is_told(base: Path, tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "t", pairs())
    bare = Path(shutil.copytree(base, tmp_path / "bare"))
    (bare / "chat_template.jinja").unlink()
    result = trained(bare, settings(), data, tmp_path / "run")
    assert "line 1, input.messages: the base model has no chat template" in str(result.error)
    (bare / "tokenizer.json").unlink()
    result = trained(bare, settings(), data, tmp_path / "run")
    assert "a model folder needs the fast tokenizer's file" in str(result.error)


def test_an_exploding_loss_is_the_customers(base: Path, tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "t", pairs())
    # weights × (1 - 100) at each update, whatever the gradient: no machine's rounding holds that
    wild = settings(
        method="full",
        optimiser="sgd",
        learning_rate=100.0,
        weight_decay=1.0,
        gradient_clip=0.0,
        epochs=30,
    )
    result = trained(base, wild, data, tmp_path / "run")
    assert (result.outcome, result.failure) == (Outcome.FAILED, FailureKind.CUSTOMER), (
        result.metrics
    )
    assert "ower learning_rate" in str(result.error)
