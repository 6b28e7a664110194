"""One row of a training file: is it well formed, and what does it say? Pure, free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ROLES = ("system", "developer", "user", "assistant", "tool")
MAX_MESSAGES = 1024  # rendering grows with the square of the assistant's turns


class RowError(Exception):
    """A row that cannot be used: the field, a stable code, the reason and the remedy."""

    def __init__(self, field: str, code: str, reason: str, fix: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.code, self.reason, self.fix = field, code, reason, fix


@dataclass(frozen=True)
class Chat:
    """A conversation in the form templates expect; contents are plain text."""

    messages: list[dict[str, Any]]
    tools: list[Any] | None


@dataclass(frozen=True)
class Completion:
    """A prompt (possibly empty) and the text to learn."""

    prompt: str
    completion: str


def parse(row: Any) -> Chat | Completion:
    """Read a row in OpenAI's chat or completion format, or a bare `{"text": …}`.

    Raises:
        RowError: what is wrong with it.
    """
    if not isinstance(row, dict):
        raise RowError(
            "line", "not_an_object", "the line is not a JSON object", 'write {"messages": […]}.'
        )
    if "messages" in row:
        return _chat(row)
    if "prompt" in row or "completion" in row:
        prompt = _text(row, "prompt", empty=True)
        return Completion(prompt, _text(row, "completion", empty=False))
    if "text" in row:
        return Completion("", _text(row, "text", empty=False))
    found = ", ".join(map(repr, list(row)[:8]))
    raise RowError(
        "line",
        "unknown_format",
        f"the line has none of the known fields (found {found or 'nothing'})",
        'use "messages", or "prompt" and "completion", or "text".',
    )


def _text(row: dict[str, Any], field: str, *, empty: bool) -> str:
    value = row.get(field)
    if not isinstance(value, str):
        raise RowError(field, "not_text", f"{field} is missing or not text", f'add "{field}": "…".')
    if not value and not empty:
        raise RowError(
            field, "empty", f"{field} is empty", "write the text to learn, or drop the line."
        )
    return value


def _chat(row: dict[str, Any]) -> Chat:
    given, tools = row["messages"], row.get("tools")
    if not isinstance(given, list) or not given:
        raise RowError(
            "messages",
            "no_messages",
            "messages is not a list with at least one message",
            "add messages.",
        )
    if len(given) > MAX_MESSAGES:
        raise RowError(
            "messages",
            "too_many_messages",
            f"there are {len(given)} messages; at most {MAX_MESSAGES} are read",
            "split the conversation.",
        )
    if tools is not None and not isinstance(tools, list):
        raise RowError(
            "tools", "not_a_list", "tools is not a list", "give a list of tools, or drop it."
        )
    messages = [_message(index, message) for index, message in enumerate(given)]
    if not any(message["role"] == "assistant" for message in messages):
        raise RowError(
            "messages",
            "no_assistant",
            "no message has the role assistant, so there is nothing to learn",
            "add the answer that the model should give.",
        )
    return Chat(messages, tools)


def _message(index: int, given: Any) -> dict[str, Any]:
    field = f"messages[{index}]"
    if not isinstance(given, dict):
        raise RowError(
            field, "not_an_object", "the message is not a JSON object", "write an object."
        )
    role = given.get("role")
    if role not in ROLES:
        raise RowError(
            f"{field}.role",
            "wrong_role",
            f"the role is {role!r}",
            f"use one of {', '.join(ROLES)}.",
        )
    weight = given.get("weight", 1)
    if weight not in (0, 1) or isinstance(weight, bool):
        raise RowError(
            f"{field}.weight", "wrong_weight", f"the weight is {weight!r}", "use 0 or 1."
        )
    message = {**given, "role": "system" if role == "developer" else role}
    message["content"] = _content(field, given)
    return message


def _content(field: str, given: dict[str, Any]) -> str:
    content = given.get("content")
    if content is None and given["role"] == "assistant" and given.get("tool_calls"):
        return ""
    if isinstance(content, list) and all(_is_text_part(part) for part in content):
        content = "".join(part["text"] for part in content)
    if not isinstance(content, str):
        raise RowError(
            f"{field}.content",
            "not_text",
            "the content is neither text nor a list of text parts",
            'write "content": "…".',
        )
    return content


def _is_text_part(part: Any) -> bool:
    return (
        isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str)
    )
