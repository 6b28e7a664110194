"""One tiny base for all serving tests, and a web process to call it through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.workers.engine.factories import base_folder
from tests.workers.serving.factories import Customer, adapter_folder
from tests.workers.serving.replicas import RunningReplica
from tests.workers.serving.web import web_server
from workers.serving.replicas import Serving

Start = Callable[..., RunningReplica]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Llama with a real tokenizer and chat template."""
    return base_folder(tmp_path_factory.mktemp("serving") / "tiny", "llama")


@pytest.fixture(scope="session")
def adapters(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two adapters of `tiny`, made by peft, whose outputs differ."""
    root = tmp_path_factory.mktemp("adapters")
    return [adapter_folder(tiny, root / str(seed), seed=seed) for seed in (1, 2)]


@pytest.fixture
def replica(tmp_path: Path) -> Iterator[Start]:
    """Starts replicas, which end with the test."""
    with ExitStack() as running:

        def start(target: str, **changes: Any) -> RunningReplica:
            serving = Serving(target=target, base_id=changes.pop("base_id", target),
                              version_id=changes.pop("version_id", None))  # fmt: skip
            number = len(list(tmp_path.glob("scratch-*")))
            one = RunningReplica(serving, tmp_path / f"scratch-{number}", **changes)
            return running.enter_context(one)

        yield start


@pytest.fixture
def web(db: None, redis_url: str) -> Iterator[str]:
    with web_server() as url:
        yield url


@pytest.fixture
def client(web: str) -> Iterator[Callable[[Customer], OpenAI]]:
    """The ordinary client of a customer."""
    with ExitStack() as open_clients:

        def client_of(customer: Customer, **changes: Any) -> OpenAI:
            settings = {"max_retries": 0, "timeout": 60.0} | changes
            made = OpenAI(api_key=customer.key, base_url=f"{web}/v1", **settings)
            return open_clients.enter_context(made)

        yield client_of
