"""The tokenizer: agreement with transformers, begin and end tokens, masks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer

from workers.engine.data.tokens import Tokenizer
from workers.engine.errors import DataError, ModelError


def with_begin_token(base: Path, folder: Path) -> Path:
    """A copy of the tokenizer that opens every text with `<|user|>` as its begin token."""
    folder.mkdir()
    core = tokenizers.Tokenizer.from_file(str(base / "tokenizer.json"))
    core.post_processor = TemplateProcessing(
        single="<|user|> $A", special_tokens=[("<|user|>", core.token_to_id("<|user|>"))]
    )
    core.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text((base / "tokenizer_config.json").read_text())
    return folder


def test_ids_equal_transformers(base: Path) -> None:
    ours, theirs = Tokenizer.load(base), AutoTokenizer.from_pretrained(base)
    for text in ("", "Hello, wörld!\n\n\t x", "日本語 🎉", "a<|end|>b"):
        assert ours.encode(text) == theirs(text, add_special_tokens=False)["input_ids"]
        assert ours.decode(ours.encode(text), skip_special=False) == text
        assert ours.count(text) == len(ours.encode(text))


def test_the_end_token_is_learned_once(base: Path) -> None:
    tokenizer = Tokenizer.load(base)
    for completion in ("yes", "yes<|end|>"):
        ids, mask = tokenizer.encode_completion("is it?", completion)
        assert ids.count(0) == 1
        assert ids[-1] == 0
        assert mask == [0] * tokenizer.count("is it?") + [1] * tokenizer.count("yes<|end|>")


def test_a_begin_token_opens_a_prompt_and_is_never_doubled(base: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(with_begin_token(base, tmp_path / "begin"))
    user = tokenizer.encode("<|user|>")[0]
    assert tokenizer.bos_id == user
    assert tokenizer.encode_prompt("hi") == [user, *tokenizer.encode("hi")]
    assert tokenizer.encode_prompt("<|user|>hi") == [user, *tokenizer.encode("hi")]
    assert Tokenizer.load(base).bos_id is None


def test_the_first_token_is_never_learned(base: Path) -> None:
    ids, mask = Tokenizer.load(base).encode_completion("", "some text")
    assert (mask[0], sum(mask)) == (0, len(ids) - 1)


def test_end_tokens_of_the_generation_settings_end_too(base: Path, tmp_path: Path) -> None:
    folder = with_begin_token(base, tmp_path / "more")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [3, 0]}))
    assert Tokenizer.load(folder).eos_ids == (0, 3)


def test_a_folder_without_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json cannot be read"):
        Tokenizer.load(tmp_path)


@given(prompt=st.text(max_size=30), completion=st.text(min_size=1, max_size=30))
def test_masks_are_as_long_as_ids_and_cover_the_completion(
    bases: dict[str, Path], prompt: str, completion: str
) -> None:
    tokenizer = Tokenizer.load(bases["llama"])
    ids, mask = tokenizer.encode_completion(prompt, completion)
    assert len(ids) == len(mask)
    assert set(mask) <= {0, 1}
    assert mask[-1] == 1


def test_half_a_surrogate_pair_is_refused_by_name(base: Path) -> None:
    tokenizer = Tokenizer.load(base)
    for use in (tokenizer.encode, tokenizer.count, tokenizer.encode_prompt):
        with pytest.raises(DataError, match="half a surrogate pair"):
            use("\ud800")
