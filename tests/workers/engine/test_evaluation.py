"""Evaluation against transformers' own loss on the same file."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from tests.workers.engine.factories import (
    CONTEXT,
    Recorder,
    chats,
    completions,
    handle,
    reference_model,
    write_jsonl,
)
from workers.engine.data.chat import ChatTemplate
from workers.engine.data.readers import Example, read_examples
from workers.engine.data.tokens import Tokenizer
from workers.engine.evaluation import evaluate
from workers.engine.export.merged import merged_save
from workers.engine.methods.lora.method import LoraMethod
from workers.engine.models import model_load
from workers.engine.protocol import Command, EvaluateWork, FailureKind, Handle, Outcome
from workers.engine.specs import EvaluateSpec, FineTuneSpec


def work(base: Path, data: Path, scratch: Path, adapter: Handle | None = None) -> EvaluateWork:
    spec = EvaluateSpec(micro_batch_tokens=100)
    return EvaluateWork(handle(base), "e", spec, handle(data), scratch, adapter)


def reference(base: Path, folder: Path, data: Path) -> tuple[float, float, int]:
    """Mean loss and accuracy over the learned tokens, and all tokens, by transformers."""
    model = reference_model(folder)
    total, hits, learned, tokens = 0.0, 0, 0, 0
    template = ChatTemplate.load(base)
    for example in read_examples(data, Tokenizer.load(base), template, "truncate", CONTEXT):
        assert isinstance(example, Example)
        logits = model(input_ids=torch.tensor([example.ids])).logits[0, :-1]
        for row, target, on in zip(logits, example.ids[1:], example.mask[1:], strict=True):
            if on:
                total -= row.log_softmax(0)[target].item()
                hits += int(row.argmax()) == target
                learned += 1
        tokens += len(example.ids)
    return total / learned, hits / learned, tokens


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "data.jsonl", completions(70) + chats(3))


def test_loss_perplexity_and_accuracy_equal_transformers(
    base: Path, data: Path, tmp_path: Path
) -> None:
    progress = Recorder(tmp_path)
    result = evaluate(work(base, data, tmp_path / "scratch"), progress)
    loss, accuracy, tokens = reference(base, base, data)
    assert result.outcome is Outcome.SUCCEEDED
    assert result.metrics["loss"] == pytest.approx(loss, abs=1e-5)
    assert result.metrics["perplexity"] == pytest.approx(math.exp(loss), rel=1e-4)
    assert result.metrics["token_accuracy"] == pytest.approx(accuracy)
    assert [(u[1:5]) for u in progress.usage] == [(0, 0, 73, tokens)]
    assert progress.beats[-1][1:3] == (73, 73)


def test_an_adapter_is_measured_like_its_merged_model(
    base: Path, data: Path, tmp_path: Path
) -> None:
    with LoraMethod(model_load(base), FineTuneSpec(), base, None) as method:
        for parameter in method.parameters.values():
            parameter.data.normal_(std=0.1)
        method.save(tmp_path / "adapter")
    merged_save(tmp_path / "merged", base, tmp_path / "adapter")
    result = evaluate(
        work(base, data, tmp_path / "scratch", handle(tmp_path / "adapter")), Recorder(tmp_path)
    )
    loss, _, _ = reference(base, tmp_path / "merged", data)
    assert result.metrics["loss"] == pytest.approx(loss, abs=1e-5)


def test_it_obeys_and_it_says_whose_fault_bad_data_are(
    base: Path, data: Path, tmp_path: Path
) -> None:
    stopped = evaluate(
        work(base, data, tmp_path / "one"), Recorder(tmp_path, lambda _: Command.CANCEL)
    )
    assert stopped.outcome is Outcome.CANCELLED
    bad = write_jsonl(tmp_path / "bad.jsonl", [{"messages": []}])
    failed = evaluate(work(base, bad, tmp_path / "two"), Recorder(tmp_path))
    assert (failed.outcome, failed.failure) == (Outcome.FAILED, FailureKind.CUSTOMER)
    assert "line 1, messages" in str(failed.error)
