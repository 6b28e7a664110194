"""What callers may ask, checked field by field. Shapes are OpenAI's:

https://platform.openai.com/docs/api-reference/chat/create, …/completions/create and
…/embeddings/create. What this platform does not do yet is refused, never ignored.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from tenants.kernel.errors import InvalidInput
from workers.engine.specs import GenerateSpec

MOST_CHOICES = 16
MOST_INPUTS = 2048
MAX_SEED = 2**63 - 1

Probability = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Penalty = Annotated[float, Field(ge=-2, le=2, allow_inf_nan=False)]
Temperature = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
Bias = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Count = Annotated[int, Field(ge=1, le=2**20)]
StopText = Annotated[str, Field(min_length=1, max_length=4096)]
Stops = StopText | Annotated[list[StopText], Field(max_length=4)]
ModelName = Annotated[str, Field(min_length=1, max_length=160)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: value for name, value in given.items() if value is not None}


class TextPart(_Strict):
    type: Literal["text"]
    text: str


class Message(_Strict):
    """One turn. `developer` means `system`; parts of text are joined."""

    role: Literal["developer", "system", "user", "assistant"]
    content: str | list[TextPart]
    name: str | None = None

    def to_turn(self) -> dict[str, str]:
        parts = self.content
        text = parts if isinstance(parts, str) else "".join(part.text for part in parts)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class StreamOptions(_Strict):
    include_usage: bool = False
    include_obfuscation: bool = False


class ResponseFormat(_Strict):
    type: Literal["text"]


class _Sampling(_Strict):
    """What chat and completions have in common."""

    model: ModelName
    temperature: Temperature | None = None
    top_p: Probability | None = None
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = None
    stop: Stops | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: dict[str, Bias] | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=MAX_SEED)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    max_tokens: Count | None = None

    @field_validator("logit_bias")
    @classmethod
    def _token_ids(cls, given: dict[str, float] | None) -> dict[str, float] | None:
        if given and len(given) > 1024:
            raise ValueError("at most 1024 tokens may be biased")
        for token in given or {}:
            if not (token.isascii() and token.isdigit() and int(token) < 2**31):
                raise ValueError(f"{token!r} is not a token id")
        return given

    @model_validator(mode="after")
    def _stream_options_need_stream(self) -> _Sampling:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is only allowed with stream=true")
        return self

    @property
    def choices(self) -> int:
        return self.n or 1

    @property
    def include_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage

    def spec(self, *, choice: int = 0) -> GenerateSpec:
        """The engine's settings of choice number `choice`; each has its own seed."""
        stop = (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())
        return GenerateSpec(
            max_tokens=self.token_limit,
            temperature=1.0 if self.temperature is None else self.temperature,
            top_p=1.0 if self.top_p is None else self.top_p,
            seed=None if self.seed is None else _later_seed(self.seed, choice),
            stop=stop,
            frequency_penalty=self.frequency_penalty or 0.0,
            presence_penalty=self.presence_penalty or 0.0,
            logit_bias=tuple((int(k), v) for k, v in (self.logit_bias or {}).items()),
            logprobs=self.logprobs_wanted,
        )

    @property
    def token_limit(self) -> int | None:
        return self.max_tokens

    @property
    def logprobs_wanted(self) -> int | None:
        return None


class ChatRequest(_Sampling):
    """POST /v1/chat/completions."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=4096)]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    modalities: list[Literal["text"]] | None = None
    parallel_tool_calls: bool | None = None
    service_tier: Literal["auto", "default"] | None = None
    store: Literal[False] | None = None
    metadata: dict[str, str] | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None

    @model_validator(mode="after")
    def _top_needs_logprobs(self) -> ChatRequest:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("top_logprobs is only allowed with logprobs=true")
        return self

    @property
    def token_limit(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def logprobs_wanted(self) -> int | None:
        return (self.top_logprobs or 0) if self.logprobs else None


Prompt = str | list[TokenId] | list[str] | list[list[TokenId]]


class CompletionRequest(_Sampling):
    """POST /v1/completions, the older shape: a bare prompt is continued."""

    prompt: Prompt
    best_of: int | None = None
    echo: Literal[False] | None = None
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    suffix: None = None

    @model_validator(mode="after")
    def _best_of_is_n(self) -> CompletionRequest:
        if self.best_of is not None and self.best_of != self.choices:
            raise ValueError("best_of other than n is not supported; leave it out")
        return self

    @property
    def token_limit(self) -> int | None:
        return self.max_tokens or 16

    @property
    def logprobs_wanted(self) -> int | None:
        return self.logprobs

    @property
    def prompts(self) -> list[str | list[int]]:
        return listed(self.prompt)


class EmbeddingRequest(_Strict):
    """POST /v1/embeddings."""

    model: ModelName
    input: Prompt
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1, le=65_536)] | None = None
    user: str | None = None

    @property
    def inputs(self) -> list[str | list[int]]:
        return listed(self.input)


Cell = bool | int | float | Annotated[str, Field(max_length=4096)] | None


class PredictionRequest(_Strict):
    """POST /v1/predictions: rows by column name for a table's model, texts for a classifier, data
    URLs for a model of images or recordings.
    """

    model: ModelName
    inputs: Annotated[
        list[
            Annotated[dict[str, Cell], Field(min_length=1, max_length=4096)]
            | Annotated[str, Field(min_length=1)]  # at most the body's size
        ],
        Field(min_length=1, max_length=MOST_INPUTS),
    ]
    user: str | None = None


def listed(given: Prompt) -> list[str | list[int]]:
    """One text, one token array, or several of either: always as a list of prompts."""
    if isinstance(given, str):
        return [given]
    if given and all(isinstance(item, int) for item in given):
        return [cast("list[int]", given)]
    return cast("list[str | list[int]]", given)


R = TypeVar("R", bound=_Strict)

UNSUPPORTED = {
    "tools": "tool calls are not offered yet; leave out `tools`",
    "tool_choice": "tool calls are not offered yet; leave out `tool_choice`",
    "functions": "function calls are not offered; leave out `functions`",
    "function_call": "function calls are not offered; leave out `function_call`",
    "audio": "audio is not offered; leave out `audio`",
    "prediction": "predicted outputs are not offered; leave out `prediction`",
    "web_search_options": "web search is not offered; leave out `web_search_options`",
    "reasoning_effort": "these models do not reason in steps; leave out `reasoning_effort`",
    "verbosity": "these models have no verbosity setting; leave out `verbosity`",
    "response_format": 'only the response format {"type": "text"} is offered so far',
    "echo": "echo is not offered; leave it out",
    "suffix": "filling in before a suffix is not offered; leave it out",
    "store": "completions are not stored; leave out `store` or send false",
}


def parse(kind: type[R], body: bytes) -> R:
    """Read a request's JSON body. Raises InvalidInput naming the first bad field."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise _as_invalid_input(error) from None
    except RecursionError:
        raise InvalidInput("the body is nested too deeply", code="invalid_json") from None


def _as_invalid_input(error: ValidationError) -> InvalidInput:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    first = problems[0]
    if first["type"] == "json_invalid":
        return InvalidInput(f"the body is not valid JSON: {first['msg']}", code="invalid_json")
    where = [str(part) for part in first["loc"] if _is_path(part)]
    param = ".".join(where) or None
    field = where[0] if where else ""
    if field in UNSUPPORTED:
        return InvalidInput(UNSUPPORTED[field], param=field, code="unsupported_parameter")
    if first["type"] == "extra_forbidden":
        return InvalidInput(
            f"unknown parameter {param!r}; see /docs for what is known",
            param=param,
            code="unknown_parameter",
        )
    if first["type"] == "missing":
        return InvalidInput(
            f"{param!r} is required", param=param, code="missing_required_parameter"
        )
    message = first["msg"].removeprefix("Value error, ")
    return InvalidInput(f"{param}: {message}" if param else message, param=param)


def _is_path(part: Any) -> bool:
    """Pydantic names the tried branch of a union in its path; callers know fields and positions."""
    return isinstance(part, int) or (
        isinstance(part, str)
        and part.isidentifier()
        and part not in {"str", "int", "float", "bool", "none", "TextPart"}
    )


def _later_seed(seed: int, choice: int) -> int:
    """Seeds of later choices follow the first, around the end of the range."""
    return (seed + 2**63 + choice) % 2**64 - 2**63
