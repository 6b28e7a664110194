"""A trusted plugin for tests, run in this process: it remembers what it was told."""

from __future__ import annotations

from plugins.sdk import JobFinished, UsageRecorded, hookimpl

heard: list[JobFinished | UsageRecorded] = []


@hookimpl
def job_finished(job: JobFinished) -> None:
    heard.append(job)


@hookimpl
def usage_recorded(usage: UsageRecorded) -> None:
    heard.append(usage)
