"""A replica's own HTTP, with a real model in this process."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.workers.serving.factories import copied
from tests.workers.serving.gateway.directly import written
from workers.engine.inference.generate import TextModel, TokenStep
from workers.engine.protocol import Command
from workers.serving.runtime.adapters import Adapters, adapter_key
from workers.serving.runtime.app import SECRET_HEADER, Replica, _lines
from workers.serving.runtime.generating import Generator, Request
from workers.serving.runtime.host import AdapterMissing

SECRET = "s" * 32
PROMPT = [5, 6, 7]
SPEC = {"max_tokens": 4, "temperature": 0}


class Shelf:
    """A parent that hands out copies of adapters it knows, and remembers what it was asked."""

    def __init__(self, known: dict[tuple[str, str], Path], scratch: Path) -> None:
        self.known, self.scratch = known, scratch
        self.asked: list[tuple[str, str]] = []
        self.handed: list[Path] = []

    def ready(self, address: str) -> None: ...

    def beat(self, adapters: Sequence[str], active: int) -> Command:
        return Command.GO

    def adapter(self, tenant_id: str, version_id: str) -> Path:
        self.asked.append((tenant_id, version_id))
        if (tenant_id, version_id) not in self.known:
            raise AdapterMissing(f"no {version_id}")
        into = self.scratch / str(len(self.handed))
        self.handed.append(copied(self.known[tenant_id, version_id], into))
        return into


@pytest.fixture
def model(tiny: Path) -> TextModel:
    return TextModel.load(tiny, most_adapters=100)


@pytest.fixture
def generator() -> Iterator[Generator]:
    thread = Generator(most=4)
    thread.start()
    yield thread
    thread.stop()
    thread.join(10)


@pytest.fixture
def shelf(adapters: list[Path], tmp_path: Path) -> Shelf:
    known = {("ten_a", "mv_1"): adapters[0], ("ten_b", "mv_2"): adapters[1]}
    return Shelf(known, tmp_path)


def call(replica: Replica, path: str, body: Any, secret: str = SECRET) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(replica.app())
        async with httpx.AsyncClient(transport=transport, base_url="http://replica") as client:
            return await client.post(path, json=body, headers={SECRET_HEADER: secret})

    return asyncio.run(ask())


def asked(count: int = 1, **changes: Any) -> dict[str, Any]:
    sequences = [{"prompt": PROMPT, "spec": SPEC} for _ in range(count)]
    return {"tenant_id": "ten_a", "version_id": None, "sequences": sequences} | changes


def text_of(answer: httpx.Response) -> str:
    assert answer.status_code == 200
    return "".join(json.loads(line)["text"] for line in answer.text.splitlines())


def test_base_and_adapters_answer_as_the_engine_does(
    tiny: Path, adapters: list[Path], model: TextModel, generator: Generator, shelf: Shelf
) -> None:
    loaded = Adapters(model, shelf, limit=2**30)
    replica = Replica(secret=SECRET, text=model, adapters=loaded, generator=generator)
    found = [
        text_of(call(replica, "/generate", asked())),
        text_of(call(replica, "/generate", asked(version_id="mv_1"))),
        text_of(call(replica, "/generate", asked(tenant_id="ten_b", version_id="mv_2"))),
        text_of(call(replica, "/generate", asked(version_id="mv_1"))),
    ]
    own = [written(tiny, PROMPT, adapter=a, **SPEC) for a in (None, *adapters)]
    assert found == [*own, own[1]]
    # each was asked for once, and its plaintext is gone
    assert shelf.asked == [("ten_a", "mv_1"), ("ten_b", "mv_2")]
    assert not any(folder.exists() for folder in shelf.handed)


def test_a_version_is_reached_by_its_own_tenant_only(
    model: TextModel, generator: Generator, shelf: Shelf
) -> None:
    # given tenant a's adapter, loaded
    loaded = Adapters(model, shelf, limit=2**30)
    replica = Replica(secret=SECRET, text=model, adapters=loaded, generator=generator)
    text_of(call(replica, "/generate", asked(version_id="mv_1")))
    # when b asks for the same version, then the loaded one is not what it gets
    answer = call(replica, "/generate", asked(tenant_id="ten_b", version_id="mv_1"))
    assert answer.status_code == 404
    assert shelf.asked[-1] == ("ten_b", "mv_1")


def test_the_longest_unused_adapter_leaves_when_bytes_run_out(
    adapters: list[Path], model: TextModel, tmp_path: Path
) -> None:
    # given room for two adapters, and three
    size = (adapters[0] / "adapter_model.safetensors").stat().st_size
    shelf = Shelf({("t", f"mv_{n}"): adapters[n % 2] for n in range(3)}, tmp_path)
    loaded = Adapters(model, shelf, limit=2 * size)

    async def want(*numbers: int) -> None:
        for number in numbers:
            await loaded.want("t", f"mv_{number}")

    # when the first is used again before the third comes
    asyncio.run(want(0, 1, 0, 2))
    # then the second has left, here and in the model
    assert loaded.versions == ["mv_0", "mv_2"]
    assert set(model.adapters) == {adapter_key("t", "mv_0"), adapter_key("t", "mv_2")}
    asyncio.run(want(1))
    assert [version for _, version in shelf.asked] == ["mv_0", "mv_1", "mv_2", "mv_1"]


def test_an_adapter_that_many_want_at_once_is_fetched_once(model: TextModel, shelf: Shelf) -> None:
    loaded = Adapters(model, shelf, limit=2**30)

    async def many() -> None:
        await asyncio.gather(*(loaded.want("ten_a", "mv_1") for _ in range(5)))

    asyncio.run(many())
    assert len(shelf.asked) == 1


def test_strangers_crowds_and_late_comers_are_turned_away(
    model: TextModel, generator: Generator, shelf: Shelf
) -> None:
    loaded = Adapters(model, shelf, limit=2**30)
    replica = Replica(secret=SECRET, text=model, adapters=loaded, generator=generator)
    assert call(replica, "/generate", asked(), secret="guess").status_code == 403
    assert call(replica, "/generate", asked(count=5)).status_code == 429
    wrong = asked(sequences=[{"prompt": [5] * 1000, "spec": SPEC}])
    assert call(replica, "/generate", wrong).status_code == 400
    assert call(replica, "/embed", {"texts": ["x"], "dimensions": None}).status_code == 400
    replica.draining = True
    assert call(replica, "/generate", asked()).status_code == 503


def test_a_broken_adapter_is_refused_and_leaves_nothing(
    adapters: list[Path], model: TextModel, generator: Generator, tmp_path: Path
) -> None:
    broken = copied(adapters[0], tmp_path / "broken")
    (broken / "adapter_model.safetensors").write_bytes(b"no tensors")
    shelf = Shelf({("ten_a", "mv_1"): broken}, tmp_path / "scratch")
    loaded = Adapters(model, shelf, limit=2**30)
    replica = Replica(secret=SECRET, text=model, adapters=loaded, generator=generator)
    assert call(replica, "/generate", asked(version_id="mv_1")).status_code == 400
    assert loaded.versions == []
    assert not any(folder.exists() for folder in shelf.handed)
    shutil.rmtree(broken)


def test_words_with_unicodes_own_line_separators_come_whole() -> None:
    """A reader of lines cuts at them too, so none may stand in a line as it is."""
    said = "one\u2028two\u2029three\x85four\x1cfive"

    async def body() -> bytes:
        tokens: asyncio.Queue[tuple[int, TokenStep | Exception]] = asyncio.Queue()
        tokens.put_nowait((0, TokenStep(7, said, finish_reason="stop")))
        work = Request(tenant_id="t", deliver=lambda *_: None)
        return b"".join([line async for line in _lines(work, tokens, 1)])

    answer = httpx.Response(200, content=asyncio.run(body()))
    (line,) = answer.iter_lines()
    assert json.loads(line)["text"] == said
