"""The local base model's own tokenizer (byte-level BPE) and chat template."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

END, PAD = "<|end|>", "<|pad|>"
ROLES = ("system", "user", "assistant")
SPECIALS = (END, PAD, *(f"<|{role}|>" for role in ROLES))

TEMPLATE = """\
{%- for message in messages -%}
{%- set role = message['role'] -%}
{%- if role not in ['system', 'user', 'assistant'] -%}
{{- raise_exception('this model knows the roles system, user and assistant, not ' + role) -}}
{%- endif -%}
{{- '<|' + role + '|>\\n' + message['content'] + '<|end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|assistant|>\\n' -}}
{%- endif -%}
"""


def tokenizer_build(
    folder: Path, texts: Iterable[str], *, vocabulary: int, context: int
) -> Tokenizer:
    """Learn a tokenizer of `vocabulary` tokens from `texts`, and write its files into `folder`.

    They say that the model holds `context` tokens.
    """
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[AddedToken(text, special=True, normalized=False) for text in SPECIALS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    core.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return core
