"""A replica from start to end: load, listen, beat, drain."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import uvicorn

from workers.engine.inference.classify import TextClassifier
from workers.engine.inference.embed import EmbeddingModel
from workers.engine.inference.generate import TextModel
from workers.engine.inference.samples import SampleClassifier
from workers.engine.inference.tables import TableModel
from workers.engine.protocol import Command, Numerics
from workers.engine.tasks.sample_classification import IMAGES, RECORDINGS
from workers.serving.runtime.adapters import Adapters
from workers.serving.runtime.app import Predictor, Replica
from workers.serving.runtime.generating import Generator
from workers.serving.runtime.host import Host, ReplicaSettings

BEAT_S = 2.0
STUCK_S = 60.0  # a generating thread without a turn for so long is not reported as alive
DRAIN_S = 30.0  # running requests may finish within
MOST_ADAPTERS = 4096  # the bytes are what counts

PREDICTORS: Mapping[str, Callable[[Path, Numerics], Predictor]] = {
    "tabular": TableModel.load,
    "text_classification": TextClassifier.load,
    "image_classification": partial(SampleClassifier.load, IMAGES),
    "audio_classification": partial(SampleClassifier.load, RECORDINGS),
}


def replica_run(settings: ReplicaSettings, host: Host) -> Command:
    """Serve one model on a private port until told to leave. Returns the command that ended it.

    Raises EngineError where the model cannot be loaded.
    """
    replica = _loaded(settings, host)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        return asyncio.run(_serve(replica, host, listener, address=f"127.0.0.1:{port}"))


def _loaded(settings: ReplicaSettings, host: Host) -> Replica:
    numerics = Numerics(settings.dtype, settings.threads, settings.device)
    if settings.kind == "embedding":
        model = EmbeddingModel.load(settings.folder, numerics)
        return Replica(secret=settings.secret, embedding=model)
    if settings.kind in PREDICTORS:
        predictor = PREDICTORS[settings.kind](settings.folder, numerics)
        return Replica(secret=settings.secret, predictor=predictor)
    text = TextModel.load(settings.folder, numerics, most_adapters=MOST_ADAPTERS)
    adapters = Adapters(text, host, limit=settings.adapter_bytes)
    generator = Generator(most=settings.max_sequences)
    generator.start()
    return Replica(secret=settings.secret, text=text, adapters=adapters, generator=generator)


async def _serve(replica: Replica, host: Host, listener: socket.socket, *, address: str) -> Command:
    config = uvicorn.Config(replica.app(), log_config=None, lifespan="off", access_log=False)
    server = uvicorn.Server(config)
    config.load()
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started and not serving.done():  # noqa: ASYNC110 -- uvicorn has no event
            await asyncio.sleep(0.01)
        await asyncio.to_thread(host.ready, address)
        command = await _beats(replica, host, serving)
        replica.draining = True
        await _drained(replica)
    finally:
        server.should_exit = True
        server.force_exit = True
        await serving
        if replica.generator:
            replica.generator.stop()
    return command


async def _beats(replica: Replica, host: Host, serving: asyncio.Task[None]) -> Command:
    """Beat until the parent wants something else, or the server has ended by itself."""
    while not serving.done():
        if _alive(replica):
            versions = replica.adapters.versions if replica.adapters else []
            command = await asyncio.to_thread(host.beat, versions, replica.active)
            if command not in {Command.GO, Command.SNAPSHOT}:
                return command
        await asyncio.sleep(BEAT_S)
    return Command.CANCEL


def _alive(replica: Replica) -> bool:
    generator = replica.generator
    if generator is None:
        return True
    return generator.is_alive() and time.monotonic() - generator.last_turn < STUCK_S


async def _drained(replica: Replica) -> None:
    deadline = time.monotonic() + DRAIN_S
    while replica.active and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
