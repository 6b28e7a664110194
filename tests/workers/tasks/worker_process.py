"""A worker in a process of its own, on the test's database: `python -m …worker_process QUEUE`."""

from __future__ import annotations

import os
import sys

import django


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "saas.settings")
    django.setup()
    from workers.tasks.worker import WorkerProcess

    queue = sys.argv[1]
    process = WorkerProcess(name="apart@test", queue_names=[queue], slots=1)
    process.work(queue)
    process.stop()


if __name__ == "__main__":
    main()
