"""The base model built here is deterministic, whole, and loads in transformers unmodified."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter
from itertools import islice
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from workers.engine.base.build import Size, base_build
from workers.engine.base.text import rows, sections
from workers.engine.data.chat import ChatTemplate
from workers.engine.data.readers import Example, read_examples
from workers.engine.data.tokens import Tokenizer
from workers.engine.folders import folder_digest

SECTIONS = 25
SMALL = Size(
    vocabulary=600,
    hidden=32,
    intermediate=64,
    layers=1,
    heads=2,
    kv_heads=1,
    context=256,
    epochs=2,
    sections=SECTIONS,
)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    told: list[dict[str, Any]] = []
    out = tmp_path_factory.mktemp("built") / "base"
    base_build(out, told.append, size=SMALL, threads=1)
    return out, told


def token_frequency_entropy(folder: Path, path: Path) -> float:
    """The loss in nats of the best guess that knows only how often each token comes."""
    some = islice(rows(), 2 * SECTIONS)
    path.write_text("".join(json.dumps(row) + "\n" for row in some))
    counts: Counter[int] = Counter()
    for example in read_examples(
        path, Tokenizer.load(folder), ChatTemplate.load(folder), "split", 128
    ):
        assert isinstance(example, Example)
        counts.update(t for t, on in zip(example.ids, example.mask, strict=True) if on)
    total = counts.total()
    return -sum(n / total * math.log(n / total) for n in counts.values())


def test_it_learns_more_than_frequencies_and_tells_its_progress(
    built: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, told = built
    losses = [line["loss"] for line in told if line["event"] == "training"]
    assert losses[0] > 0.9 * math.log(SMALL.vocabulary)  # a random start knows nothing
    assert losses[-1] < token_frequency_entropy(folder, tmp_path / "rows.jsonl")
    assert told[-1]["event"] == "built"
    assert all(json.loads(json.dumps(line)) == line for line in told)


def test_transformers_loads_it_and_answers_a_chat(built: tuple[Path, list[dict[str, Any]]]) -> None:
    folder, _ = built
    model, tokenizer = (
        AutoModelForCausalLM.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
    )
    messages = [{"role": "user", "content": "Explain coroutines."}]
    prompt = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    out = model.generate(**prompt, max_new_tokens=5)
    assert out.shape[1] > prompt["input_ids"].shape[1]
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id == 0


def test_the_folder_holds_all_that_a_catalogue_needs_and_no_pickle(
    built: tuple[Path, list[dict[str, Any]]],
) -> None:
    folder, _ = built
    names = {p.name for p in folder.iterdir()}
    assert names == {
        "README.md",
        "NOTICE",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    }
    assert "license: apache-2.0" in (folder / "README.md").read_text()
    assert [p.name for p in folder.parent.iterdir()] == ["base"]


def test_the_same_seed_gives_the_same_folder(
    built: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    code = (
        "from pathlib import Path; from workers.engine.base.build import *;"
        f"base_build(Path({str(tmp_path / 'again')!r}), print, threads=1, size={SMALL!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    assert folder_digest(tmp_path / "again") == folder_digest(built[0])


def test_every_row_of_the_text_can_be_trained_on(
    built: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    found = list(
        read_examples(path, Tokenizer.load(built[0]), ChatTemplate.load(built[0]), "split", 128)
    )
    assert all(isinstance(example, Example) for example in found)
    assert len(sections()) >= len(topics)
    assert sum("messages" in row for row in rows()) == len(sections())
