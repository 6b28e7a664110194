"""How many usage events a second: through the public bulk endpoint, and internally."""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing
import os
import time
from decimal import Decimal
from typing import Any

import httpx
import psutil

from saas.runtime.layout import Layout
from tests.benchmarks.durable import durable_stores, fsync_ms

BATCH = 1000
CLIENTS = 4
WRITERS = 2
SECONDS = 10.0
MODELS = [f"model-{n}" for n in range(5)]


def main() -> dict[str, Any]:
    """Measure and print; events/s, the disk's fsync and the processors' part beside them."""
    with durable_stores("usage") as layout:
        result = {
            "http": over_http(layout),
            "internal": internal(),
            "periods": periods(),
            "fsync_ms": fsync_ms(layout.var),
            "cores": os.cpu_count(),
            "load_1m": os.getloadavg()[0],
        }
    print(json.dumps(result, indent=2))  # noqa: T201 -- what it is for
    return result


def over_http(layout: Layout) -> dict[str, float]:
    """`POST /v1/usage/events` by `CLIENTS` processes, `BATCH` events a request, each a tenant."""
    from tests.saas.api.factories import tenant_caller
    from tests.servers import running_web

    secrets = [tenant_caller().secret for _ in range(CLIENTS)]
    with running_web(layout) as url:
        return measured(_http_writer, [(url, secret) for secret in secrets])


def _http_writer(queue: Any, given: tuple[str, str]) -> None:
    url, secret = given
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    with httpx.Client(base_url=url, headers=headers, timeout=60) as client:

        def send(number: int) -> None:
            reply = client.post("/v1/usage/events", content=http_batch(number))
            assert reply.json()["accepted"] == BATCH, reply.text

        queue.put(driven(send))


def http_batch(number: int) -> bytes:
    at = dt.datetime.now(dt.UTC).isoformat()
    events = [
        f'{{"key": "run-{number}-{n}", "meter": "plugin.units", "quantity": "{n}.125", '
        f'"event_time": "{at}", "source": "ocr", '
        f'"dimensions": {{"plugin": "ocr", "sku": "page-{n % 5}"}}}}'
        for n in range(BATCH)
    ]
    return f'{{"events": [{", ".join(events)}]}}'.encode()


def periods() -> dict[str, float]:
    """Totals of a month of 1,000,000 events of 1,000 tenants, as billing reads them."""
    from django.db import connections

    from tenants.kernel.scope import system_scope
    from tenants.usage.periods import projection_differences, usage_period_totals

    month = dt.datetime.now(dt.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (month + dt.timedelta(days=32)).replace(day=1)
    with system_scope(), connections["system"].cursor() as cursor:
        cursor.execute(_TENANTS)
        began = time.perf_counter()
        cursor.execute(_EVENTS, [month])
        inserted_s = time.perf_counter() - began
        cursor.execute("SELECT count(*) FROM usage_hour")
        hours = cursor.fetchone()[0]
    with system_scope():
        began = time.perf_counter()
        totals = usage_period_totals(period_start=month, period_end=end)
        all_s = time.perf_counter() - began
        began = time.perf_counter()
        for number in range(100):
            usage_period_totals(period_start=month, period_end=end, tenant_id=f"bench_{number + 1}")
        one_ms = (time.perf_counter() - began) * 10
        assert (
            sum(total.quantity for total in totals if total.tenant_id.startswith("bench_"))
            == 1_000_000
        )
        began = time.perf_counter()
        assert projection_differences() == []
    return {
        "insert_in_sql_per_s": 1_000_000 / inserted_s,
        "hour_rows": hours,
        "all_tenants_s": all_s,
        "one_tenant_ms": one_ms,
        "rows_of_totals": len(totals),
        "differences_s": time.perf_counter() - began,
    }


_TENANTS = """
    INSERT INTO tenant (id, name, slug, is_partner, is_platform, status, weight, max_running_jobs)
    SELECT 'bench_' || n, 'Bench', 'bench-' || n, false, false, 'active', 1, 1
    FROM generate_series(1, 1000) AS n
"""
_EVENTS = """
    INSERT INTO usage_event (id, tenant_id, meter, quantity, event_time, source, key, dimensions)
    SELECT 'use_bench_' || n, 'bench_' || 1 + n %% 1000,
        CASE WHEN n %% 3 = 0 THEN 'tokens.input' ELSE 'tokens.output' END, 1,
        %s + ((n / 1000) %% 600) * interval '1 hour', 'gateway', 'bench_' || n,
        jsonb_build_object('model', 'model-' || n %% 5, 'base', 'base', 'api_key_id',
            'key_' || n %% 2, 'endpoint', 'chat.completions', 'request_id', 'req_' || n)
    FROM generate_series(1, 1000000) AS n
"""


def internal() -> dict[str, float]:
    """`usage_record` by `WRITERS` processes, `BATCH` events a transaction, each a tenant."""
    return measured(_internal_writer, [tenant_make() for _ in range(WRITERS)])


def measured(writer: Any, arguments: list[Any]) -> dict[str, float]:
    """Run `writer` in a process for each argument; add up what they report."""
    from django.db import connections

    for connection in connections.all(initialized_only=True):
        connection.close()
        connection.close_pool()  # a forked process must not share it
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=writer, args=(queue, given)) for given in arguments]
    for process in processes:
        process.start()
    answers = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    latencies = sorted(ms for answer in answers for ms in answer["batch_ms"])
    events = sum(answer["events"] for answer in answers)
    return {
        "events_per_s": sum(answer["events"] / answer["seconds"] for answer in answers),
        "clients": len(arguments),
        "batch_ms_p50": latencies[len(latencies) // 2],
        "batch_ms_p99": latencies[int(len(latencies) * 0.99)],
        "client_cpu_us_per_event": sum(a["cpu_s"] for a in answers) / events * 1e6,
        "server_cpu_us_per_event": sum(a["server_s"] for a in answers) / events * 1e6,
    }


def _internal_writer(queue: Any, tenant_id: str) -> None:
    from django.db import connections

    from tenants.kernel.scope import tenant_scope
    from tenants.usage.services import usage_record

    def send(number: int) -> None:
        events = internal_batch(number)
        with tenant_scope(tenant_id):
            assert usage_record(tenant_id=tenant_id, events=events) == BATCH

    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = psutil.Process(cursor.fetchone()[0])
    queue.put(driven(send, backend))


def driven(send: Any, backend: psutil.Process | None = None) -> dict[str, Any]:
    """Call `send` with growing numbers for `SECONDS`; processor time of ours and of `backend`."""
    for number in range(3):
        send(-1 - number)
    at_first = 0.0 if backend is None else sum(backend.cpu_times()[:2])
    began, cpu, took = time.perf_counter(), time.process_time(), []
    while time.perf_counter() - began < SECONDS:
        before = time.perf_counter()
        send(len(took))
        took.append((time.perf_counter() - before) * 1000)
    return {
        "events": BATCH * len(took),
        "seconds": time.perf_counter() - began,
        "cpu_s": time.process_time() - cpu,
        "server_s": 0.0 if backend is None else sum(backend.cpu_times()[:2]) - at_first,
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
