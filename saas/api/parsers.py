"""What a JSON body may hold: text that PostgreSQL can keep, finite numbers, no endless nesting."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, JSONParser

MAX_DEPTH = 32


class StrictJSONParser(JSONParser):
    """JSON as RFC 8259 has it, and no string or number that cannot be stored."""

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            parsed = super().parse(stream, media_type, parser_context)
        except RecursionError as error:
            raise ParseError(f"the body nests deeper than {MAX_DEPTH} levels") from error
        refuse_unstorable(parsed)
        return parsed


def refuse_unstorable(value: Any, path: str = "body", depth: int = 0) -> None:
    """Raises ParseError for NUL characters, lone surrogates, infinities and too deep nesting."""
    if depth > MAX_DEPTH:
        raise ParseError(f"the body nests deeper than {MAX_DEPTH} levels")
    if isinstance(value, str):
        refuse_text(value, path)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ParseError(f"{path}: numbers must be finite")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            refuse_unstorable(item, f"{path}[{index}]", depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            refuse_text(key, path)
            refuse_unstorable(item, f"{path}.{key}", depth + 1)


def refuse_text(text: str, path: str) -> None:
    """Raises ParseError for text that has no UTF-8 form or holds NUL."""
    if "\x00" in text:
        raise ParseError(f"{path}: text must not hold NUL characters (\\u0000)")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ParseError(f"{path}: text must not hold lone surrogates") from error


class ExactJSONParser(BaseParser):
    """JSON whose fractions stay exact (`Decimal`), for views that check every value themselves.

    It does not look into what it has read: `refuse_unstorable` would cost more than the reading.
    """

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,  # noqa: ARG002
        parser_context: Mapping[str, Any] | None = None,  # noqa: ARG002
    ) -> Any:
        try:
            return _exact(stream.read().decode())
        except (ValueError, ArithmeticError, RecursionError) as error:
            raise ParseError(f"JSON parse error - {error}") from error


class CloudEventParser(ExactJSONParser):
    media_type = "application/cloudevents+json"


class CloudEventBatchParser(ExactJSONParser):
    media_type = "application/cloudevents-batch+json"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"numbers must be finite, not {name}")


_exact = json.JSONDecoder(parse_float=Decimal, parse_constant=_refuse_constant).decode
