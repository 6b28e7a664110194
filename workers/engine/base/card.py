"""What accompanies the local base model: its card, and the notice of the text it learned from."""

from __future__ import annotations

import platform
from collections.abc import Mapping

NOTICE = """\
The weights in this folder were trained on this machine from the text of Python's own documentation
(the module pydoc_data.topics of the Python distribution), Copyright (c) Python Software Foundation,
licensed under the PSF License Agreement Version 2 (https://docs.python.org/3/license.html).
The weights, tokenizer and template are given under the Apache License 2.0.
"""


def model_card(*, parameters: int, vocabulary: int, metrics: Mapping[str, float]) -> str:
    """The README of the model's folder, in Hugging Face's model card form."""
    return f"""\
---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: text-generation
---
# Breakwater local base model

A Llama-type language model of {parameters:,} parameters with a byte-level BPE tokenizer of
{vocabulary:,} tokens. It was built and pre-trained on this machine, without any download, from the
English text that Python itself carries (`pydoc_data.topics` of Python
{platform.python_version()}), as plain text and as chats.

It is small on purpose: real enough to fine-tune, compress, serve and measure on two cores, far too
small to be right. Its mean training loss in the last epoch was
{metrics.get("train_loss", float("nan")):.3f} nats per token.

Chat roles: `system`, `user`, `assistant`. Loads in transformers, peft and vLLM unmodified.
"""
