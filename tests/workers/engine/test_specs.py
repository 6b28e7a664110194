"""Settings: what is refused, by which field, and that JSON keeps them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.engine.hyperparameters import resolve_auto
from workers.engine.specs import EmbedSpec, EvaluateSpec, FineTuneSpec, GenerateSpec, SpecError

BAD_FINE_TUNE: list[tuple[str, Any]] = [
    ("method", "magic"),
    ("optimiser", "lion"),
    ("schedule", None),
    ("learning_rate", math.nan),
    ("learning_rate", math.inf),
    ("learning_rate", 0),
    ("learning_rate", -1e-3),
    ("learning_rate", "0.1"),
    ("learning_rate", True),
    ("weight_decay", -0.1),
    ("betas", (0.9,)),
    ("betas", (0.9, 1.0)),
    ("momentum", math.nan),
    ("epochs", 0),
    ("epochs", 1.0),
    ("epochs", True),
    ("batch_size", -1),
    ("micro_batch_tokens", 0),
    ("max_length", 1),
    ("length_policy", "drop"),
    ("warmup_fraction", 1.5),
    ("gradient_clip", -1),
    ("packing", 1),
    ("activation_checkpointing", "some"),
    ("seed", -1),
    ("seed", 2**64),
    ("learning_rate", 10**400),
    ("snapshot_every_steps", -5),
    ("evaluate_each_epoch", "yes"),
    ("lora", 3),
]


@pytest.mark.parametrize(("field", "value"), BAD_FINE_TUNE)
def test_a_bad_field_is_named_and_the_allowed_values_are_said(field: str, value: Any) -> None:
    with pytest.raises(SpecError) as caught:
        FineTuneSpec(**{field: value})
    assert caught.value.field == field
    assert "give" in caught.value.message or "choose" in caught.value.message
    assert caught.value.code == "invalid_spec"


@pytest.mark.parametrize(
    ("lora", "field"),
    [
        ({"rank": 0}, "lora.rank"),
        ({"alpha": math.nan}, "lora.alpha"),
        ({"dropout": 1.0}, "lora.dropout"),
        ({"target_modules": []}, "lora.target_modules"),
        ({"target_modules": "q_proj"}, "lora.target_modules"),
        ({"target_modules": [1]}, "lora.target_modules"),
        ({"ranks": 4}, "lora.ranks"),
    ],
)
def test_a_bad_adapter_field_is_named_by_its_path(lora: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        FineTuneSpec.from_dict({"lora": lora})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"stop": ("a",) * 5}, "stop"),
        ({"stop": ("",)}, "stop"),
        ({"frequency_penalty": -3}, "frequency_penalty"),
        ({"logprobs": 21}, "logprobs"),
        ({"logit_bias": ((1, 101.0),)}, "logit_bias"),
        ({"logit_bias": ((-1, 1.0),)}, "logit_bias"),
        ({"logit_bias": (3,)}, "logit_bias"),
    ],
)
def test_bad_generation_settings_are_refused(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        GenerateSpec(**changes)
    assert caught.value.field == field


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(SpecError, match="no such setting") as caught:
        FineTuneSpec.from_dict({"learning_rat": 0.1})
    assert caught.value.field == "learning_rat"


@pytest.mark.parametrize(
    "spec",
    [
        FineTuneSpec(),
        FineTuneSpec.from_dict(
            {"lora": {"target_modules": ["q_proj", "v_proj"]}, "betas": [0.8, 0.9]}
        ),
        EvaluateSpec(max_length=7),
        GenerateSpec(stop=("a", "b"), logit_bias=((3, -1.0),), seed=4),
        EmbedSpec(dimensions=8),
    ],
)
def test_json_keeps_a_spec(spec: Any) -> None:
    again = type(spec).from_dict(json.loads(json.dumps(spec.to_dict())))
    assert again == spec


@given(examples=st.integers(1, 10**7), parameters=st.integers(1, 10**12))
def test_auto_hyperparameters_are_always_usable_settings(examples: int, parameters: int) -> None:
    found = resolve_auto(examples=examples, parameters=parameters, method="lora")
    FineTuneSpec(
        epochs=found.n_epochs, batch_size=found.batch_size, learning_rate=found.learning_rate
    )
    # OpenAI's published rule: at least 100 examples seen unless 25 passes are not enough
    assert found.n_epochs * examples >= 100 or found.n_epochs == 25
    assert found.n_epochs == 1 or found.n_epochs * examples <= 25_000 or examples * 3 < 100


def test_what_is_given_is_kept_and_scales_the_rate() -> None:
    auto = resolve_auto(examples=500, parameters=10**6, method="lora")
    given_ = resolve_auto(
        examples=500,
        parameters=10**6,
        method="lora",
        n_epochs=7,
        batch_size=3,
        learning_rate_multiplier=0.5,
    )
    assert (auto.n_epochs, given_.n_epochs, given_.batch_size) == (3, 7, 3)
    assert given_.learning_rate == pytest.approx(auto.learning_rate / 2)


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_epochs", 0), ("batch_size", 0), ("learning_rate_multiplier", math.nan)],
)
def test_bad_openai_hyperparameters_are_named_as_openai_names_them(name: str, value: Any) -> None:
    with pytest.raises(SpecError) as caught:
        resolve_auto(examples=10, parameters=10**6, method="lora", **{name: value})
    assert caught.value.field == name


def test_modules_for_web_and_parents_load_neither_torch_nor_transformers() -> None:
    modules = [
        "protocol",
        "specs",
        "hyperparameters",
        "profiles",
        "errors",
        "folders",
        "data.chat",
        "data.tokens",
        "data.rows",
        "data.readers",
        "data.shards",
        "data.order",
        "data.packing",
        "data.dataset",
        "inference.text_stream",
        "base.text",
        "base.tokenizer",
    ]
    lines = [f"import workers.engine.{name}" for name in modules]
    lines.append(
        "import sys; print([m for m in ('torch', 'transformers', 'peft') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
