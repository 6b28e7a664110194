"""One tiny base for all serving tests, and a web process to call it through."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.workers.engine.factories import base_folder
from tests.workers.serving.factories import Customer, adapter_folder, embedding_base, text_base
from tests.workers.serving.replicas import Parent, ReplicaProcess, claimed
from tests.workers.serving.web import web_server
from workers.assets.local_bases import embedding_model_folder
from workers.serving.replicas import Serving
from workers.serving.runtime.host import ReplicaSettings


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Llama with a real tokenizer and chat template."""
    return base_folder(tmp_path_factory.mktemp("serving") / "tiny", "llama")


@pytest.fixture(scope="session")
def adapters(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two adapters of `tiny`, made by peft, whose outputs differ."""
    root = tmp_path_factory.mktemp("adapters")
    return [adapter_folder(tiny, root / str(seed), seed=seed) for seed in (1, 2)]


def started(folder: Path, scratch: Path, kind: str) -> ReplicaProcess:
    return ReplicaProcess(ReplicaSettings(kind, folder, secret="s" * 32), scratch)


@pytest.fixture(scope="session")
def text_process(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaProcess]:
    """One process that serves `tiny`, for all tests that do not harm it."""
    process = started(tiny, tmp_path_factory.mktemp("text"), "text_generation")
    yield process
    process.kill()


@pytest.fixture
def replica(db: None, tiny: Path, text_process: ReplicaProcess, tmp_path: Path) -> Iterator[Parent]:
    """`tiny` is on offer, with a replica that answers."""
    text_base(tiny)
    text_process.wait()
    parent = claimed(Serving("tiny", "tiny"), tmp_path / "scratch")
    with text_process.entered(parent):
        yield parent


@pytest.fixture(scope="session")
def embedding_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaProcess]:
    """One process that serves the packaged MiniLM."""
    process = started(embedding_model_folder(), tmp_path_factory.mktemp("embed"), "embedding")
    yield process
    process.kill()


@pytest.fixture
def embedding_replica(
    db: None, embedding_process: ReplicaProcess, tmp_path: Path
) -> Iterator[Parent]:
    """`minilm` is on offer, with a replica that answers."""
    embedding_base(embedding_model_folder())
    embedding_process.wait()
    parent = claimed(Serving("minilm", "minilm"), tmp_path / "scratch")
    with embedding_process.entered(parent):
        yield parent


@pytest.fixture
def fresh_replicas(
    db: None, tiny: Path, tmp_path: Path
) -> Iterator[Callable[[int], list[ReplicaProcess]]]:
    """Starts processes of one's own, which may be killed."""
    running: list[ReplicaProcess] = []
    with ExitStack() as entered:

        def start(count: int) -> list[ReplicaProcess]:
            folders = [tmp_path / f"own-{number}" for number in range(count)]
            running.extend(started(tiny, folder, "text_generation") for folder in folders)
            for process in running:
                process.wait()
                parent = claimed(Serving("tiny", "tiny"), process.scratch)
                entered.enter_context(process.entered(parent))
            return running

        yield start
    for process in running:
        process.kill()


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


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Waits for something to become true, with a limit far above what it takes."""

    def wait(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < deadline, "it did not become true"
            time.sleep(0.02)

    return wait
