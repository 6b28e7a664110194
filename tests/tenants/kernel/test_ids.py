"""Identifiers: sortable, unique, prefixed, whatever the clock and the process do."""

from __future__ import annotations

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tenants.kernel import ids
from tenants.kernel.ids import new_id

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def milliseconds(identifier: str) -> int:
    """Decode the time part independently: the first ten characters of Crockford's base 32."""
    value = 0
    for character in identifier.partition("_")[2][:10]:
        value = value * 32 + _ALPHABET.index(character)
    return value


def test_an_id_is_its_prefix_and_26_characters() -> None:
    assert re.fullmatch(r"job_[0-9abcdefghjkmnpqrstvwxyz]{26}", new_id("job_"))


def test_an_id_tells_its_time() -> None:
    before = time.time_ns() // 1_000_000
    made = milliseconds(new_id("x_"))
    after = time.time_ns() // 1_000_000

    assert before <= made <= after + 1


def test_ids_grow_strictly_also_within_a_millisecond() -> None:
    made = [new_id("x_") for _ in range(50_000)]

    assert made == sorted(set(made))


def test_ids_grow_while_the_clock_stands_back(monkeypatch: pytest.MonkeyPatch) -> None:
    last = new_id("x_")
    past = time.time_ns() - 3_600 * 10**9
    monkeypatch.setattr(ids.time, "time_ns", lambda: past)

    made = [new_id("x_") for _ in range(1_000)]

    assert [last, *made] == sorted({last, *made})


def test_threads_never_make_one_id_twice() -> None:
    with ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(lambda _: [new_id("x_") for _ in range(2_000)], range(8)))

    assert len({identifier for batch in batches for identifier in batch}) == 16_000


def test_forked_processes_part_even_while_the_clock_stands_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    new_id("x_")
    past = time.time_ns() - 3_600 * 10**9
    monkeypatch.setattr(ids.time, "time_ns", lambda: past)
    receiving, sending = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(sending, "".join(new_id("") for _ in range(100)).encode())
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)

    theirs = {text[at : at + 26] for at in range(0, len(text), 26)}
    ours = {new_id("") for _ in range(100)}

    assert len(theirs) == len(ours) == 100
    assert not theirs & ours
