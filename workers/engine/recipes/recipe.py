"""Other trainers' YAML files as settings of ours, with a list of what was not taken over.

`python -m workers.engine.recipes.recipe FILE` prints both as JSON. Free of torch.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from workers.engine.checks import SpecError
from workers.engine.specs import ADAMW_8BIT, NF4, FineTuneSpec

SIZE_LIMIT = 256 * 1024  # characters
MOST_EXACT = 2**53  # whole numbers beyond are not exact
EXACT_MOMENTS = "an adapter's moments are few, and kept in fp32 here"
NEVER_PAGED = "AdamW's moments stay on the device here"
NOT_IN_8 = "the base is held as it is, or in 4 bits"
WHOLE_BASE = "a base that is trained whole is not quantised"
ALWAYS_NF4 = "a base in 4 bits is in NF4 with its scales quantised too"


@dataclass(frozen=True)
class Ignored:
    """A setting that was not taken over, and what holds instead or what to do."""

    key: str
    value: Any
    reason: str


@dataclass(frozen=True)
class Recipe:
    """What a file comes to: complete settings, the base it names, and what was left out."""

    source: str
    base: str
    settings: FineTuneSpec
    ignored: tuple[Ignored, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "source": self.source,
            "base": self.base,
            "settings": self.settings.to_dict(),
            "ignored": [asdict(each) for each in self.ignored],
        }


class Reading:
    """A file's settings, taken one by one; what nobody took is ignored in the end."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._left = dict(given)
        self.ignored: list[Ignored] = []

    def take(self, key: str, default: Any = None) -> Any:
        """The value of `key`, which is thereby dealt with; an empty one counts as absent."""
        value = self._left.pop(key, None)
        return default if value is None else value

    def number(self, key: str, default: float) -> float:
        """A number, also where YAML reads one as text (`5e-5` has no point, so it is text)."""
        value = self.take(key, default)
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):
            raise SpecError(key, f"{value!r} is not allowed; give a number.") from None

    def whole(self, key: str, default: int) -> int:
        value = self.number(key, default)
        if not value.is_integer() or abs(value) > MOST_EXACT:
            raise SpecError(key, f"{value!r} is not allowed; give a whole number.")
        return int(value)

    def truth(self, key: str) -> bool:
        """Whether `key` is said to be so; false where nothing is."""
        value = self.take(key, default=False)
        if not isinstance(value, bool):
            raise SpecError(key, f"{value!r} is not allowed; give true or false.")
        return value

    def ignore(self, key: str, reason: str) -> None:
        """Leave `key` out if it is there and says anything."""
        value = self._left.pop(key, None)
        if value not in (None, False, "", []):
            self.ignored.append(Ignored(key, value, reason))

    def finish(self, known: Mapping[str, str]) -> tuple[Ignored, ...]:
        """Everything that is left, with the reason where it is a `known` one."""
        for key in sorted(self._left):
            self.ignore(key, known.get(key, "there is no such setting here"))
        return tuple(sorted(self.ignored, key=lambda each: each.key))


def recipe_read(text: str) -> Recipe:
    """The recipe in a LLaMA-Factory or Axolotl file.

    Raises:
        SpecError: it is neither, or asks for training that we do not offer, or a value is bad.
    """
    from workers.engine.recipes.axolotl import axolotl
    from workers.engine.recipes.llama_factory import llama_factory

    given = _parsed(text)
    kinds: dict[str, Callable[[Reading], tuple[str, FineTuneSpec, tuple[Ignored, ...]]]] = {
        "model_name_or_path": llama_factory,
        "base_model": axolotl,
    }
    for sign, read in kinds.items():
        if sign in given:
            return Recipe(read.__name__, *read(Reading(given)))
    raise SpecError(
        "recipe",
        "this is no file of LLaMA-Factory's (model_name_or_path) or Axolotl's (base_model).",
    )


def _parsed(text: str) -> dict[str, Any]:
    if len(text) > SIZE_LIMIT:
        raise SpecError("recipe", f"a file of {len(text):,} characters; at most {SIZE_LIMIT:,}.")
    try:
        given = yaml.load(text, Loader=_Loader)  # noqa: S506 -- it is a safe one
        plain = json.dumps(given, ensure_ascii=False, allow_nan=False, default=str)
        plain.encode()
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise SpecError("recipe", f"the file is no YAML of plain values ({error}).") from error
    if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
        raise SpecError("recipe", "the file holds no settings by name.")
    found: dict[str, Any] = json.loads(plain)
    return found


class _Loader(yaml.SafeLoader):
    """Plain values only: by names for parts of itself, a short file would come to a huge one."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(
                problem=f"*{event.anchor} stands for another part; write that out",
                problem_mark=event.start_mark,
            )
        return super().compose_node(parent, index)


SCHEDULES = {
    "linear": "linear",
    "cosine": "cosine",
    "constant": "constant",
    "constant_with_warmup": "constant",
}
OPTIMISERS = {
    "adamw_torch": "adamw",
    "adamw_torch_fused": "adamw",
    "adamw_hf": "adamw",
    "adamw_8bit": "adamw_8bit",
    "adamw_bnb_8bit": "adamw_8bit",
    "paged_adamw_8bit": "adamw_8bit",
    "paged_adamw_32bit": "adamw",
    "sgd": "sgd",
}


def chosen(key: str, value: Any, allowed: Mapping[str, str]) -> str:
    """Our word for theirs.

    Raises:
        SpecError: we have none.
    """
    if not isinstance(value, str) or value not in allowed:
        known = ", ".join(sorted(allowed))
        raise SpecError(key, f"{value!r} is not offered here; choose one of {known}.")
    return allowed[value]


def _optimiser(reading: Reading, key: str, method: str) -> str:
    """Our word for theirs; an adapter's moments are never kept in 8 bits."""
    name = reading.take(key, "adamw_torch")
    found = chosen(key, name, OPTIMISERS)
    if found == ADAMW_8BIT and method == "lora":
        reading.ignored.append(Ignored(key, name, EXACT_MOMENTS))
        return "adamw"
    if "paged" in name:
        reading.ignored.append(Ignored(key, name, NEVER_PAGED))
    return found


def quantised_base(reading: Reading, key: str, value: Any, *, method: str) -> str:
    """`quantise_base` for a base that is wanted in 4 bits, as `key` says by `value`."""
    if method == "lora":
        return NF4
    reading.ignored.append(Ignored(key, value, WHOLE_BASE))
    return "none"


def shared_settings(
    reading: Reading, *, method: str, optimiser: str, schedule: str, usual_schedule: str
) -> dict[str, Any]:
    """What both trainers name alike, as transformers does; the two keys that they do not."""
    reading.ignore("warmup_steps", "give warmup_ratio: a warm-up is a share of all steps here")
    return {
        "optimiser": _optimiser(reading, optimiser, method),
        "schedule": chosen(schedule, reading.take(schedule, usual_schedule), SCHEDULES),
        "warmup_fraction": reading.number("warmup_ratio", 0.0),
        "weight_decay": reading.number("weight_decay", 0.0),
        "gradient_clip": reading.number("max_grad_norm", 1.0),
        "betas": (reading.number("adam_beta1", 0.9), reading.number("adam_beta2", 0.999)),
        "seed": reading.whole("seed", 42),
        "activation_checkpointing": "full" if reading.take("gradient_checkpointing") else "none",
    }


def preference(reading: Reading, *, beta: str, loss: str) -> dict[str, Any]:
    """Settings of DPO, by their names in a file.

    Raises:
        SpecError: another loss than the paper's is asked for.
    """
    kind = reading.take(loss, "sigmoid")
    if kind != "sigmoid":
        raise SpecError(loss, f"{kind!r} cannot be imported; only 'sigmoid' can.")
    return {"task": "preference", "preference": {"beta": reading.number(beta, 0.1)}}


def targets(key: str, value: Any) -> str | tuple[str, ...]:
    """Their list of layers, or all of them."""
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise SpecError(key, f"{value!r} is not allowed; give a list of layer names.")
    stripped = tuple(name.strip() for name in names if name.strip())
    return "auto" if not stripped or set(stripped) & {"all", "all-linear"} else stripped


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Read another trainer's YAML file.")
    parser.add_argument("file", type=Path)
    found = recipe_read(parser.parse_args().file.read_text("utf-8"))
    sys.stdout.write(json.dumps(found.to_dict(), indent=2) + "\n")


if __name__ == "__main__":
    main()
