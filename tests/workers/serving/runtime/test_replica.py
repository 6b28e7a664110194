"""A replica's end: drained by its parent, it finishes what it has begun."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.workers.serving.conftest import started
from workers.engine.protocol import Command


@pytest.mark.parametrize(
    ("command", "outcome"), [(Command.PAUSE, "paused"), (Command.CANCEL, "cancelled")]
)
def test_a_drained_replica_finishes_what_it_has_begun(
    tiny: Path, tmp_path: Path, command: Command, outcome: str
) -> None:
    # given a replica in the midst of an answer
    process = started(tiny, tmp_path, "text_generation")
    process.wait()
    spec = {"max_tokens": 100, "logit_bias": [[0, -100.0]]}
    asked: dict[str, Any] = {
        "tenant_id": "t",
        "version_id": None,
        "sequences": [{"prompt": [5, 6], "spec": spec} for _ in range(8)],
    }
    headers = {"x-replica-secret": process.given.secret}
    url = f"http://{process.address}/generate"
    with httpx.stream("POST", url, json=asked, headers=headers, timeout=60) as answer:
        lines = answer.iter_lines()
        next(lines)
        # when its parent tells it to leave
        process.command = command
        rest = list(lines)
    # then the answer is whole, and the child ends with what it was told
    assert 1 + len(rest) == 800
    assert process.ended.wait(60)
    assert process.result is not None
    assert process.result["outcome"] == outcome
    process.kill()
