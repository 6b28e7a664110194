"""The partner's testing kit: a step run in this process, over real files, with nothing of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from plugins.sdk.codec import from_json, to_json
from plugins.sdk.contracts import CampaignStep, Handle, StepResult
from plugins.sdk.errors import HandleRefused
from plugins.sdk.hooks import hooks
from plugins.sdk.work import Work


@dataclass
class Recorder:
    """A step's port that remembers. `stop_after` beats the step is asked to stop."""

    files: Mapping[str, Path]
    folder: Path
    stop_after: int | None = None
    beats: list[float] = field(default_factory=list)
    snapshots: list[dict[str, Any]] = field(default_factory=list)

    def open(self, handle_id: str) -> IO[bytes]:
        if handle_id not in self.files:
            raise HandleRefused(f"{handle_id!r} is no file of this call")
        return self.files[handle_id].open("rb")

    def create(self, name: str) -> IO[bytes]:
        return (self.folder / Path(name).name).open("xb")

    def progress(self, done: float) -> None:
        self.beats.append(done)

    def snapshot(self, state: Mapping[str, Any]) -> None:
        self.snapshots.append(dict(to_json(state)))

    def cancelled(self) -> bool:
        return self.stop_after is not None and len(self.beats) >= self.stop_after


def work_make(
    folder: Path,
    inputs: Mapping[str, Path] | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    state: Mapping[str, Any] | None = None,
    stop_after: int | None = None,
) -> tuple[Work, Recorder]:
    """Work over real files, and what it will have told. `folder` takes the files it creates."""
    files = dict(inputs or {})
    port = Recorder(files, folder, stop_after)
    handles = [Handle(name, path.name, path.stat().st_size) for name, path in files.items()]
    return Work(settings or {}, handles, port, state), port


def answer_checked(hook: str, value: Any) -> Any:
    """The answer as the platform would receive it. Raises ContractError."""
    return from_json(hooks()[hook].returns, to_json(value), hook)


def step_checked(run: Callable[[Work], StepResult], work: Work, recorder: Recorder) -> StepResult:
    """Run a step; check its answer and that the files that it names are there."""
    result = from_json(StepResult, to_json(run(work)), "result")
    missing = [name for name in result.files if not (recorder.folder / name).is_file()]
    if missing:
        raise AssertionError(f"the result names {missing[0]!r}, which was not created")
    checked: StepResult = result
    return checked


def prices_checked(
    prices: Callable[[CampaignStep], Sequence[Decimal]], campaign: CampaignStep
) -> tuple[Decimal, ...]:
    """A policy's prices as the platform would receive them, one a path, none below 0.

    Asked again in another order of paths it must answer in that order: a path is one future, and
    nobody sees the others. Raises ContractError, AssertionError.
    """
    found: tuple[Decimal, ...] = answer_checked("campaign_prices", prices(campaign))
    if len(found) != len(campaign.own_prices):
        raise AssertionError(f"{len(found)} prices for {len(campaign.own_prices)} paths")
    if found and min(found) < 0:
        raise AssertionError(f"a price below 0: {min(found)}")
    if tuple(prices(paths_reversed(campaign))) != found[::-1]:
        raise AssertionError("the price on a path depends on other paths")
    return found


def paths_reversed(campaign: CampaignStep) -> CampaignStep:
    """The same futures, the last one first."""
    names = ("own_prices", "rival_prices", "unit_costs")
    return replace(campaign, **{name: getattr(campaign, name)[::-1] for name in names})
