"""Chat messages through a model's own Jinja template, cut into what is trained and what is not.

Spans come from rendering growing prefixes of the conversation, never from searching the rendered
text, so a user who writes an assistant's marker cannot move the loss. Free of torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from workers.engine.data.model_files import read_json, special_texts
from workers.engine.errors import TemplateError

Message = Mapping[str, Any]


@dataclass(frozen=True)
class Segment:
    """A stretch of rendered text; `trainable` if the model must learn to write it."""

    text: str
    trainable: bool


class _Generation(Extension):
    """Accepts Hugging Face's `{% generation %}` block; it only marks, the text is unchanged."""

    tags = {"generation"}  # noqa: RUF012  (jinja2's own signature)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _to_json(value: Any, **options: Any) -> str:
    return json.dumps(value, ensure_ascii=False, **options)


def _now(form: str) -> str:
    return datetime.now(UTC).strftime(form)


class ChatTemplate:
    """One model's compiled chat template, rendered in a sandbox.

    `specials` are the special tokens' texts (`bos_token`, `eos_token`, …) that templates name.

    Raises:
        TemplateError: the source is no valid Jinja template.
    """

    def __init__(
        self, source: str, specials: Mapping[str, str], *, now: Callable[[str], str] = _now
    ) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals |= {"raise_exception": _refuse, "strftime_now": now}
        self.source = source
        self.specials = dict(specials)
        self.sha256 = hashlib.sha256(source.encode()).hexdigest()
        try:
            self._template = environment.from_string(source)
        except jinja2.TemplateError as error:
            raise TemplateError(f"the chat template is no valid Jinja: {error}") from error

    @classmethod
    def load(cls, folder: Path) -> ChatTemplate | None:
        """The template of a Hugging Face folder, or None.

        It stands in `chat_template.jinja`, or in `tokenizer_config.json`.
        """
        settings = read_json(folder / "tokenizer_config.json")
        own = folder / "chat_template.jinja"
        source = own.read_text("utf-8") if own.is_file() else settings.get("chat_template")
        if isinstance(source, list):  # named templates: [{"name": "default", "template": …}, …]
            source = {entry["name"]: entry["template"] for entry in source}.get("default")
        return cls(source, special_texts(settings)) if source else None

    def render(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool,
        tools: Sequence[Any] | None = None,
    ) -> str:
        """The conversation as text; with `add_generation_prompt`, up to the assistant's next words.

        Raises:
            TemplateError: the template refuses these messages.
        """
        try:
            return self._template.render(
                messages=list(messages),
                tools=tools,
                add_generation_prompt=add_generation_prompt,
                **self.specials,
            )
        except (jinja2.TemplateError, TypeError, ValueError, KeyError, OverflowError) as error:
            raise TemplateError(f"the chat template refuses the messages: {error}") from error

    def segments(
        self, messages: Sequence[Message], tools: Sequence[Any] | None = None
    ) -> list[Segment]:
        """The rendered conversation in segments.

        Assistant turns of weight 1 (the default) are trainable.

        Raises:
            TemplateError: the template rewrites earlier turns when later ones are added.
        """
        found: list[Segment] = []
        done = ""
        for index, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            prompt = self.render(messages[:index], add_generation_prompt=True, tools=tools)
            whole = self.render(messages[: index + 1], add_generation_prompt=False, tools=tools)
            trainable = message.get("weight", 1) != 0
            found += [
                Segment(_grown(done, prompt, index), trainable=False),
                Segment(_grown(prompt, whole, index), trainable),
            ]
            done = whole
        rest = self.render(messages, add_generation_prompt=False, tools=tools)
        found.append(Segment(_grown(done, rest, len(messages) - 1), trainable=False))
        return [segment for segment in found if segment.text]


def _grown(prefix: str, text: str, index: int) -> str:
    if not text.startswith(prefix):
        raise TemplateError(
            f"the chat template rewrites earlier text when message {index} is added, so the "
            "assistant's words cannot be told from the rest; use a template that only appends, or "
            "train on prompt and completion."
        )
    return text[len(prefix) :]
