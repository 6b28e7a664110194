"""How many usage events a second: through the public bulk endpoint, and internally."""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing
import os
import time
from decimal import Decimal
from typing import Any

from tests.benchmarks.durable import durable_stores, fsync_ms

BATCH = 1000
CLIENTS = 4
WRITERS = 2
SECONDS = 10.0
MODELS = [f"model-{n}" for n in range(5)]


def main() -> dict[str, Any]:
    """Measure and print; events/s, the disk's fsync and the processors' part beside them."""
    with durable_stores("usage") as layout:
        result = {"internal": internal(), "fsync_ms": fsync_ms(layout.var), "cores": os.cpu_count()}
    print(json.dumps(result, indent=2))  # noqa: T201 -- what it is for
    return result


def internal() -> dict[str, float]:
    """`usage_record` by `WRITERS` processes, `BATCH` events a transaction, each a tenant."""
    return measured(_internal_writer, [tenant_make() for _ in range(WRITERS)])


def measured(writer: Any, arguments: list[Any]) -> dict[str, float]:
    """Run `writer` in a process for each argument; add up what they report."""
    from django.db import connections

    connections.close_all()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=writer, args=(queue, given)) for given in arguments]
    for process in processes:
        process.start()
    answers = [queue.get(timeout=300) for _ in processes]
    for process in processes:
        process.join()
    latencies = sorted(ms for answer in answers for ms in answer["batch_ms"])
    return {
        "events_per_s": sum(answer["events"] / answer["seconds"] for answer in answers),
        "clients": len(arguments),
        "batch_ms_p50": latencies[len(latencies) // 2],
        "batch_ms_p99": latencies[int(len(latencies) * 0.99)],
        "client_cpu_us_per_event": sum(a["cpu_s"] for a in answers)
        / sum(a["events"] for a in answers)
        * 1e6,
    }


def _internal_writer(queue: Any, tenant_id: str) -> None:
    from tenants.kernel.scope import tenant_scope
    from tenants.usage.services import usage_record

    def send(number: int) -> None:
        events = internal_batch(number)
        with tenant_scope(tenant_id):
            assert usage_record(tenant_id=tenant_id, events=events) == BATCH

    queue.put(driven(send))


def driven(send: Any) -> dict[str, Any]:
    """Call `send` with growing numbers for `SECONDS`."""
    for number in range(3):
        send(-1 - number)
    began, cpu, took = time.perf_counter(), time.process_time(), []
    while time.perf_counter() - began < SECONDS:
        before = time.perf_counter()
        send(len(took))
        took.append((time.perf_counter() - before) * 1000)
    return {
        "events": BATCH * len(took),
        "seconds": time.perf_counter() - began,
        "cpu_s": time.process_time() - cpu,
        "batch_ms": took,
    }


def internal_batch(number: int) -> list[Any]:
    from tenants.usage.ingestion import NewUsage

    now = dt.datetime.now(dt.UTC)
    return [
        NewUsage(
            "tokens.input",
            Decimal(n),
            now,
            "gateway",
            f"req_{number}_{n}:tokens.input",
            {
                "model": MODELS[n % 5],
                "base": MODELS[n % 5],
                "api_key_id": "key_1",
                "endpoint": "chat.completions",
                "request_id": f"req_{number}_{n}",
            },
        )
        for n in range(BATCH)
    ]


def tenant_make() -> str:
    from tests.tenants.usage.factories import tenant_make as make

    return make()


if __name__ == "__main__":
    main()
