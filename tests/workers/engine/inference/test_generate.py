"""Generation against transformers.generate: adapters or none, stop texts, limits, many at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model

from tests.workers.engine.factories import CONTEXT, FAMILIES, reference_model
from workers.engine.errors import AdapterError, ContextError
from workers.engine.inference.generate import TextModel, TokenStep
from workers.engine.protocol import Numerics
from workers.engine.specs import GenerateSpec

PROMPT = [5, 80, 200, 33, 7, 90, 41, 300, 12, 60, 61]  # longer than Mistral's window in the factory


def load(base: Path, **how: Any) -> TextModel:
    return TextModel.load(base, Numerics(threads=1), **how)


def greedy(tokens: int = 30, **more: Any) -> GenerateSpec:
    return GenerateSpec(temperature=0, max_tokens=tokens, **more)


def theirs(model: Any, tokens: int = 30) -> list[int]:
    out = model.generate(
        torch.tensor([PROMPT]),
        attention_mask=torch.ones(1, len(PROMPT), dtype=torch.long),
        do_sample=False,
        max_new_tokens=tokens,
        eos_token_id=0,
        pad_token_id=1,
    )
    found: list[int] = out[0, len(PROMPT) :].tolist()
    return found


def adapter(base: Path, folder: Path, seed: int) -> tuple[Path, Any]:
    """An adapter that PEFT made, and its model as PEFT runs it."""
    torch.manual_seed(seed)
    settings = LoraConfig(
        r=2,
        lora_alpha=6,
        target_modules="all-linear",
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    get_peft_model(reference_model(base), settings).save_pretrained(folder)
    return folder, PeftModel.from_pretrained(reference_model(base), folder).eval()


def ids(steps: Any) -> list[int]:
    return [step.id for step in steps]


def text(steps: list[TokenStep]) -> str:
    return "".join(step.text_delta for step in steps)


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_tokens_equal_transformers(bases: dict[str, Path], family: str) -> None:
    wanted = theirs(reference_model(bases[family]))
    steps = list(load(bases[family]).generate(PROMPT, greedy()))
    assert ids(steps) == wanted
    assert steps[-1].finish_reason == ("stop" if wanted[-1] == 0 else "length")
    assert all(step.finish_reason is None for step in steps[:-1])


@pytest.mark.parametrize("family", FAMILIES)
def test_logprobs_equal_transformers_log_softmax(bases: dict[str, Path], family: str) -> None:
    steps = list(load(bases[family]).generate(PROMPT, greedy(8, logprobs=3)))
    made = ids(steps)
    logits = reference_model(bases[family])(input_ids=torch.tensor([PROMPT + made])).logits[0]
    logs = logits.log_softmax(-1)[len(PROMPT) - 1 : -1]
    for row, step in zip(logs, steps, strict=True):
        assert step.logprob == pytest.approx(row[step.id].item(), abs=1e-4)
        best = row.topk(3)
        assert [token for token, _ in step.top_logprobs] == best.indices.tolist()
        assert [log for _, log in step.top_logprobs] == pytest.approx(
            best.values.tolist(), abs=1e-4
        )


def test_base_and_adapters_answer_from_one_model_each_as_in_peft(
    base: Path, tmp_path: Path
) -> None:
    # given one base with two adapters
    model = load(base)
    made = [adapter(base, tmp_path / str(seed), seed) for seed in (1, 2)]
    for key, (folder, _) in zip(("one", "two"), made, strict=True):
        model.add_adapter(key, folder)
    wanted = {
        None: theirs(reference_model(base)),
        "one": theirs(made[0][1]),
        "two": theirs(made[1][1]),
    }
    assert len({tuple(tokens) for tokens in wanted.values()}) == 3
    # when all three generate at the same time, token by token in turn and in threads
    streams = {key: model.generate(PROMPT, greedy(), key) for key in wanted}
    found: dict[Any, list[int]] = {key: [] for key in wanted}
    for _ in range(30):
        for key, stream in streams.items():
            found[key] += [step.id for step in [next(stream, None)] if step]
    with ThreadPoolExecutor(6) as threads:
        keys = [None, "one", "two"] * 4
        parallel = list(threads.map(lambda key: ids(model.generate(PROMPT, greedy(), key)), keys))
    # then each gives what it gives alone
    assert found == wanted
    assert parallel == [wanted[key] for key in keys]


def test_the_least_recently_used_adapter_leaves_and_running_work_keeps_its_own(
    base: Path, tmp_path: Path
) -> None:
    folder, reference = adapter(base, tmp_path / "a", 1)
    model = load(base, most_adapters=2)
    assert model.add_adapter("a", folder) == ()
    assert model.add_adapter("b", folder) == ()
    stream = model.generate(PROMPT, greedy(), "a")
    first = next(stream).id
    assert model.add_adapter("c", folder) == ("b",)
    assert model.adapters == ("a", "c")
    assert model.remove_adapter("a")
    assert not model.remove_adapter("a")
    assert [first, *ids(stream)] == theirs(reference)
    with pytest.raises(AdapterError, match="no adapter 'a' is loaded"):
        model.generate(PROMPT, greedy(), "a")


def test_an_adapter_of_another_base_is_refused(bases: dict[str, Path], tmp_path: Path) -> None:
    folder, _ = adapter(bases["gpt2"], tmp_path / "a", 1)
    with pytest.raises(AdapterError, match="does not fit"):
        load(bases["llama"]).add_adapter("a", folder)


def test_text_deltas_join_to_the_decoded_tokens(base: Path) -> None:
    model = load(base)
    for seed in range(5):
        steps = list(model.generate(PROMPT, GenerateSpec(max_tokens=60, seed=seed)))
        shown = ids(steps)[:-1] if steps[-1].id == 0 else ids(steps)
        assert text(steps) == model.tokenizer.decode(shown)


def test_a_stop_text_ends_the_completion_and_is_not_shown(base: Path) -> None:
    # given a completion, and as stop text a piece out of its middle that crosses tokens
    model = load(base)
    whole = text(list(model.generate(PROMPT, greedy(40))))
    stop = whole[11:16]
    # when
    steps = list(model.generate(PROMPT, greedy(40, stop=(stop, "never there"))))
    # then
    assert text(steps) == whole[: whole.index(stop)]
    assert steps[-1].finish_reason == "stop"
    assert len(steps) < 40


def test_what_was_held_back_for_a_stop_text_is_given_at_the_end(base: Path) -> None:
    model = load(base)
    whole = text(list(model.generate(PROMPT, greedy(10))))
    steps = list(model.generate(PROMPT, greedy(10, stop=(whole[-3:] + "never",))))
    assert text(steps) == whole
    assert steps[-1].finish_reason == "length"


def test_the_same_seed_gives_the_same_text_and_no_seed_gives_others(base: Path) -> None:
    model = load(base)

    def drawn(seed: int | None) -> list[int]:
        return ids(model.generate(PROMPT, GenerateSpec(max_tokens=20, seed=seed)))

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)
    assert drawn(None) != drawn(None)


def test_the_end_token_ends_and_shows_nothing(base: Path) -> None:
    steps = list(load(base).generate(PROMPT, greedy(9, logit_bias=((0, 100.0),))))
    assert [(s.id, s.text_delta, s.finish_reason) for s in steps] == [(0, "", "stop")]


@pytest.mark.parametrize("family", FAMILIES)
def test_without_a_limit_generation_fills_the_context(bases: dict[str, Path], family: str) -> None:
    model = load(bases[family])
    steps = list(model.generate(PROMPT, GenerateSpec(temperature=0, logit_bias=((0, -100.0),))))
    assert len(PROMPT) + len(steps) == CONTEXT
    assert steps[-1].finish_reason == "length"


def test_too_long_prompts_are_refused_at_once(base: Path) -> None:
    model = load(base)
    with pytest.raises(ContextError, match=f"{CONTEXT} tokens of prompt are more"):
        model.generate([5] * CONTEXT, GenerateSpec())
    with pytest.raises(ContextError, match="100 tokens of prompt and 29 to generate"):
        model.generate([5] * 100, GenerateSpec(max_tokens=29))
    assert len(list(model.generate([5] * 100, greedy(28, logit_bias=((0, -100.0),))))) == 28


def test_an_empty_prompt_starts_from_the_end_token(base: Path) -> None:
    model = load(base)
    assert ids(model.generate([], greedy(5))) == ids(model.generate([0], greedy(5)))
