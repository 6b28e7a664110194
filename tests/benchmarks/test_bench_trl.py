"""What the contest against TRL rests on: what is held out is unseen, and leaks are noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

from tests.benchmarks.bench_trl import compared
from tests.benchmarks.training import text
from tests.benchmarks.training.held_out import loss
from tests.benchmarks.training.sft import row_length, sees_before
from tests.benchmarks.training.workload import BATCH, LONGEST, SHORTEST
from workers.engine.base.text import sections
from workers.engine.base.tokenizer import tokenizer_build
from workers.engine.data.readers import Example


def test_losses_are_compared_seed_by_seed() -> None:
    found = compared([1.0, 2.02, 3.0], [1.0, 2.0, 3.03])

    assert found["most"] == pytest.approx(0.01)
    assert found["least"] == pytest.approx(-0.03 / 3.03)
    assert found["within"]
    assert not found["within_for_each_seed"]


def test_no_held_out_piece_is_from_a_section_that_is_trained_on(tmp_path: Path) -> None:
    whole = [f"{s.title}\n\n" + "\n\n".join(s.paragraphs) for s in sections()]
    core: Tokenizer = tokenizer_build(tmp_path, whole[:20], vocabulary=512, context=512)

    train, held_out = text.examples(tmp_path, train=400, held_out=100)

    def owners(examples: list[Example]) -> set[int]:
        found = set()
        for example in examples:
            piece = core.decode(example.ids)
            at = [place for place, section in enumerate(whole) if piece in section]
            found |= set(at) if len(at) == 1 else set()  # a few stand in several sections
        return found

    assert len(owners(held_out)) > 5
    assert not owners(train) & owners(held_out)
    assert all(SHORTEST <= e.tokens <= LONGEST and 0 < e.loss_tokens < e.tokens for e in train)


def test_more_pieces_than_there_are_is_an_error(tmp_path: Path) -> None:
    tokenizer_build(tmp_path, ["a text"], vocabulary=512, context=512)

    with pytest.raises(ValueError, match="1000000 pieces asked for"):
        text.examples(tmp_path, train=1_000_000, held_out=1)


def test_a_packed_row_is_as_long_as_its_part_of_an_update() -> None:
    def of(*lengths: int) -> list[Example]:
        return [Example(1, [2] * n, [1] * n) for n in lengths]

    assert row_length(of(100, 200)) == 150 * BATCH // 2
    assert row_length(of(20, 20, 20, 400)) == 115 * BATCH // 2
    assert row_length(of(*[20] * 99, 400)) == 400  # nobody's example is cut


@pytest.mark.parametrize("restarting", [True, False])
def test_a_leak_between_examples_of_a_row_is_seen(restarting: bool) -> None:
    places = [*range(5), *range(7)] if restarting else range(12)
    batch = {
        "input_ids": torch.randint(4, 32, (1, 12)),
        "position_ids": torch.tensor([list(places)]),
        "cu_seq_lens_q": torch.tensor([0, 5, 12], dtype=torch.int32),
    }

    assert sees_before(llama(), batch) is not restarting


def test_the_judge_weighs_each_completion_token_alike() -> None:
    model = llama()
    draws = torch.Generator().manual_seed(1)
    examples = [
        Example(line, torch.randint(32, (n,), generator=draws).tolist(), [0] * prompt + [1] * left)
        for line, (n, prompt, left) in enumerate([(12, 5, 7), (6, 2, 4), (9, 0, 9)], 1)
    ]
    longest = max(example.tokens for example in examples)
    ids, labels, real = (torch.full((3, longest), fill) for fill in (0, -100, 0))
    for row, example in enumerate(examples):
        learned = torch.tensor(example.mask, dtype=torch.bool)
        ids[row, : example.tokens] = torch.tensor(example.ids)
        labels[row, : example.tokens][learned] = torch.tensor(example.ids)[learned]
        real[row, : example.tokens] = 1

    padded = model(input_ids=ids, attention_mask=real, labels=labels).loss  # transformers' own

    assert loss(model, examples) == pytest.approx(padded.item(), rel=1e-5)


def llama() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=64, initializer_range=0.5,
    )  # fmt: skip
    return LlamaForCausalLM(config)
