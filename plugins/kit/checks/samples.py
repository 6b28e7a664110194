"""What each sample call shows: time, the same bill twice, stopping, resuming, and its errors."""

from __future__ import annotations

from collections.abc import Iterator

from plugins.kit.report import Check, Group, Verdict
from plugins.kit.stand import BAD_FILES, SAMPLE_S, Run, Stand
from plugins.sdk.contracts import Pipeline
from plugins.sdk.manifest import Sample


def samples(stand: Stand) -> Iterator[Check]:
    """Every group, sample by sample; the other groups need a first run that succeeded."""
    limits = _limits(stand)
    for sample in stand.manifest.samples:
        subject = "/".join((sample.hook, *sample.args.values()))
        limit = min(limits.get((*sample.args.values(),), SAMPLE_S), SAMPLE_S)
        first = stand.run(sample, timeout=limit)
        if first.failure is not None:
            group: Group = "time_limits" if first.failure.kind == "timeout" else "signatures"
            yield Check(group, subject, "failed", first.failure.message, first.wall_s)
            continue
        said = f"{first.wall_s:.2f} s of {limit:.0f} s"
        yield Check("time_limits", subject, "passed", said, first.wall_s)
        yield _billing(stand, sample, subject, first)
        yield _isolation(stand, sample, subject, first)
        yield _cancellation(stand, sample, subject, first)
        yield _resume(stand, sample, subject, first)
        yield from _errors(stand, sample, subject)


def _limits(stand: Stand) -> dict[tuple[str, ...], float]:
    """The time limit of each step, by the arguments that name it."""
    if not stand.implements("pipelines"):
        return {}
    declared: tuple[Pipeline, ...] = stand.call("pipelines", {}).value or ()
    return {(p.name, step.name): step.time_limit_s for p in declared for step in p.steps}


def _billing(stand: Stand, sample: Sample, subject: str, first: Run) -> Check:
    """A lost worker repeats the call: under its own id, it must bill what it did before."""
    again, other = stand.run(sample), stand.run(sample, call_id="another")
    if said := first.differs(again):
        return Check("billing", subject, "failed", f"called twice, it gave different {said}")
    keys = first.outcome.usage_keys
    if not keys:
        return Check("billing", subject, "skipped", "it claims no usage")
    if again.outcome.usage_keys != keys or set(other.outcome.usage_keys.values()) & set(
        keys.values()
    ):
        return Check("billing", subject, "failed", "its usage is not keyed by its call")
    claims = ", ".join(f"{claim.quantity} {claim.meter}" for claim in first.result.claims)
    return Check("billing", subject, "passed", f"{claims}, once a call however often it is made")


def _isolation(stand: Stand, sample: Sample, subject: str, first: Run) -> Check:
    other = stand.run(sample, tenant="second")
    if said := first.differs(other):
        return Check("isolation", subject, "failed", f"for a second tenant, different {said}")
    said = "the same for a second tenant, in a process of its own"
    return Check("isolation", subject, "passed", said)


def _cancellation(stand: Stand, sample: Sample, subject: str, first: Run) -> Check:
    allowed = stand.limits.cancel_s
    if first.beats == 0:
        said = f"it never calls work.beat(), and took {first.wall_s:.2f} s"
        short: Verdict = "skipped" if first.wall_s <= allowed else "failed"
        return Check("cancellation", subject, short, said)
    run = stand.run(sample, stop_after_beats=1)
    if run.stopped_s is None:
        return Check("cancellation", subject, "failed", "its second run told no progress")
    failure = run.failure
    ended = failure is not None and (
        failure.kind != "cancelled" or failure.message.startswith("it did not stop")
    )
    if failure is not None and ended:
        return Check("cancellation", subject, "failed", failure.message, run.wall_s)
    said = f"ended {run.stopped_s:.2f} s after it was asked to stop; {allowed:.1f} s are allowed"
    late: Verdict = "passed" if run.stopped_s <= allowed else "failed"
    return Check("cancellation", subject, late, said, run.wall_s)


def _resume(stand: Stand, sample: Sample, subject: str, first: Run) -> Check:
    if not first.snapshots:
        return Check("resume", subject, "skipped", "it takes no snapshots: it starts again")
    stopped = stand.run(sample, stop_after_snapshots=(len(first.snapshots) + 1) // 2)
    if not stopped.snapshots:
        return Check("resume", subject, "failed", "its second run took no snapshot")
    resumed = stand.run(sample, state=stopped.snapshots[-1])
    if said := first.differs(resumed):
        return Check("resume", subject, "failed", f"resumed from a snapshot, different {said}")
    said = f"from snapshot {len(stopped.snapshots)} of {len(first.snapshots)}, to the same end"
    return Check("resume", subject, "passed", said, resumed.wall_s)


def _errors(stand: Stand, sample: Sample, subject: str) -> Iterator[Check]:
    for name, content in BAD_FILES.items() if sample.inputs else ():
        run = stand.run(sample, bad_file=content)
        where = f"{subject} ({name} file)"
        if run.failure is None:
            yield Check("errors", where, "passed", "it accepts it", run.wall_s)
        elif run.failure.kind == "refused":
            yield Check("errors", where, "passed", run.failure.message, run.wall_s)
        else:
            said = f"{run.failure.message}; raise PluginError with a reason for the customer"
            yield Check("errors", where, "failed", said, run.wall_s)
