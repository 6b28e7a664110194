"""What a chat would cost, from its prompt's tokens and the most that it may generate."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from asgiref.sync import async_to_sync
from django.conf import settings

from tenants.accounts.actors import Actor
from tenants.pricing.models import Quote
from tenants.pricing.quotes import QuoteLine
from workers.assets.models import ModelVersion
from workers.assets.selectors import ResolvedModel, model_resolve
from workers.jobs.money import content_quote
from workers.serving.gateway.admission import Model, require_kind
from workers.serving.gateway.prompts import chat_prompt
from workers.serving.gateway.requests import ChatRequest, parse

TEXT = "text_generation"


def chat_quote(*, actor: Actor, body: bytes) -> Quote:
    """Quote a chat completion's request. Raises as the request itself would, but for credit."""
    actor.require("inference")
    asked = parse(ChatRequest, body)
    model = _model(model_resolve(asked.model))
    require_kind(model, TEXT)
    prompt = len(async_to_sync(chat_prompt)(model, asked))
    longest = asked.token_limit or model.context_length - prompt
    expected = min(longest, settings.SERVING_BLOCK_TOKENS)
    dimensions = {"model": model.name, "base": model.base_id, "endpoint": "chat.completions"}

    def line(meter: str, low: int, expected: int, high: int) -> QuoteLine:
        return QuoteLine(meter, Decimal(low), Decimal(expected), Decimal(high), dimensions)

    choices = asked.choices
    lines = (
        line("requests", 1, 1, 1),
        line("tokens.input", prompt, prompt, prompt),
        line("tokens.output", choices, choices * expected, choices * longest),
    )
    content = ["chat", asked.model_dump(mode="json")]
    return content_quote(actor=actor, kind="chat", content=content, lines=lines)


def _model(found: ResolvedModel) -> Model:
    version = found.version
    is_adapter = version is not None and version.kind == ModelVersion.Kind.ADAPTER
    return Model(
        name=found.name,
        kind=found.kind,
        base_id=found.base.id,
        folder=Path(found.base.path),
        context_length=found.base.context_length,
        version_id=version.id if version else None,
        adapter_id=version.id if version and is_adapter else None,
        over_id=version.over_id if version else None,
    )
