"""Changes to jobs that people and programs ask for.

What workers write stands in leases and outcomes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tenants.accounts.actors import Actor, system_actor
from tenants.accounts.audit import audit_record
from tenants.accounts.standing import tenant_require_active
from tenants.kernel.errors import BreakwaterError, Conflict, InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit
from tenants.kernel.scope import atomic
from tenants.pricing.models import Quote
from workers.assets.credit import standing_require
from workers.assets.services.datasets import DatasetBeingRead
from workers.engine.specs import FineTuneSpec, SpecError
from workers.jobs.checked import Checked, Choice
from workers.jobs.events import JobQueued
from workers.jobs.kinds import KINDS, FailureKind
from workers.jobs.models import Job
from workers.jobs.money import job_cover, job_promise, job_promise_more, work_quote
from workers.jobs.moves import (
    job_cancel_now,
    job_fail_now,
    job_locked,
    job_move,
    job_pause_now,
    job_queue,
    job_say,
)
from workers.jobs.offers import offers_now
from workers.jobs.placement import Needs, pins, place
from workers.jobs.states import FINAL, HELD_BY_WORKER, Kind, State, check_move
from workers.jobs.submissions import checked

PRIORITIES = range(-10, 11)
WAITS_FOR = "waits_for"  # in the spec of a job: the dataset that is being read for it


def job_submit(
    *,
    actor: Actor,
    kind: Kind,
    spec: Mapping[str, Any],
    metadata: Mapping[str, str] | None = None,
    priority: int = 0,
    quote_id: str | None = None,
) -> Job:
    """Check a job, quote it (or use the quote named), hold its price, find its queue and queue it.

    Where its data are still being read it waits for them unpriced, and is checked after
    (`job_take_up`). Raises InvalidInput (bad settings or data, with the field in `param`; another
    quote's work), NotFound (file, model, quote), PermissionDenied (suspended tenant),
    InsufficientCredit (no credit, or beyond a hard budget), Unavailable where no worker class can
    do it.
    """
    actor.require("jobs.write")
    is_charged = not tenant_require_active(actor).is_platform and KINDS[kind].is_charged
    if priority not in PRIORITIES:
        raise InvalidInput("priority is -10 to 10", param="priority")
    labels = checked_metadata(metadata or {})
    try:
        complete = checked(kind, actor=actor, spec=spec)
    except DatasetBeingRead as being_read:
        standing_require(actor=actor, model=str(spec.get("model") or ""))
        asked = _waiting(spec, being_read.dataset_id, quote_id)
        job = _created(actor, kind, asked, priority=priority, metadata=labels)
        job_say(job, f"Created job {job.id}; its data are being read.")
        audit_record(actor=actor, action="job.submit", target=job.id, data={"kind": kind.value})
        return job
    job = _created(actor, kind, complete, priority=priority, metadata=labels)
    audit_record(actor=actor, action="job.submit", target=job.id, data={"kind": kind.value})
    quote = _quote(actor, kind, complete, quote_id) if is_charged else None
    _accept(job, complete, quote, f"Created job {job.id}; data and settings are valid.")
    return job


def job_take_up(*, job_id: str) -> Job:
    """Check and queue a job whose data have been read since; or fail it, saying why.

    One that waits for nothing (any more) is left as it is. Raises NotFound.
    """
    job = job_locked(job_id)
    if job.state != State.VALIDATING or WAITS_FOR not in job.spec:
        return job
    actor, kind = system_actor(job.tenant_id), Kind(job.kind)
    asked, quote_id = job.spec["asked"], job.spec["asked_quote"]
    try:
        is_charged = not tenant_require_active(actor).is_platform and KINDS[kind].is_charged
        complete = checked(kind, actor=actor, spec=asked)
        with atomic():
            job.spec, job.queue = complete.spec, _queue(kind, complete)
            job.cohort_key, job.update_tokens = complete.cohort_key, complete.update_tokens
            job.save(update_fields=["spec", "queue", "cohort_key", "update_tokens"])
            if job.parent_id:
                _accept_for(_still_asks(job.parent_id), actor, job, complete)
                return job
            quote = _quote(actor, kind, complete, quote_id) if is_charged else None
            _accept(job, complete, quote, "The data have been read and are valid.")
    except DatasetBeingRead as next_one:
        job.spec = job.spec | {WAITS_FOR: next_one.dataset_id}
        job.save(update_fields=["spec"])
    except BreakwaterError as error:
        job.refresh_from_db()
        param = getattr(error, "param", None)
        told = {"code": error.code, "message": error.message, "param": param}
        job_fail_now(job, FailureKind.CUSTOMER, told)
    return job


def _accept(job: Job, complete: Checked, quote: Quote | None, said: str) -> None:
    """A job has been checked: its price is promised, and it may start."""
    if quote is not None:
        job_promise(job, quote)
    job_say(job, said)
    for each in quote.adjustments if quote is not None else ():
        job_say(job, f"Price {Decimal(each['share']):+.1%} by {each['plugin']}: {each['reason']}")
    if complete.chosen:
        _explain(job, complete.chosen)
    job_queue(job)


def _accept_for(parent: Job, actor: Actor, job: Job, complete: Checked) -> None:
    """What a step of a pipeline asked for has been checked: it is set aside beside the pipeline's
    own hold, and may start.
    """
    job_promise_more(parent, _quote(actor, Kind(job.kind), complete, adjustable=False))
    job_queue(job)


def _still_asks(job_id: str) -> Job:
    """The pipeline that asked, its row locked. Raises Conflict where it has ended meanwhile."""
    parent = job_locked(job_id)
    if parent.state in FINAL:
        raise Conflict(f"{parent.id}, which asked for this, is {parent.state}")
    return parent


def _waiting(spec: Mapping[str, Any], dataset_id: str, quote_id: str | None) -> Checked:
    """What is known of a job while its data are being read: what was asked for."""
    shown = {**spec, "settings": dict(spec.get("settings") or {})}
    asked = {"asked": dict(spec), "asked_quote": quote_id, WAITS_FOR: dataset_id}
    return Checked(shown | asked, Needs(device=str(spec.get("device") or "any")))


def job_ask(*, actor: Actor, parent: Job, step: str, kind: Kind, spec: Mapping[str, Any]) -> Job:
    """Have a step of a pipeline, its row locked, done by a job of its own; once a step.

    It is set aside beside the pipeline's own hold, and the pipeline is charged; where its data are
    large, once they have been read. Raises as `job_submit` does.
    """
    known: Job | None = Job.objects.filter(parent_id=parent.id, asked_by=step).first()
    if known is not None:
        return known
    being_read = ""
    try:
        complete = checked(kind, actor=actor, spec=spec)
    except DatasetBeingRead as error:
        being_read = error.dataset_id
        complete = _waiting(spec, being_read, None)
    asked = {"parent_id": parent.id, "asked_by": step}
    job = _created(actor, kind, complete, priority=parent.priority, **asked)
    job_say(job, f"Created job {job.id} for the step {step} of {parent.id}.")
    job_say(parent, f"The step {step} is done by the job {job.id}; waiting for it.")
    audit_record(actor=actor, action="job.ask", target=job.id, data={"parent": parent.id})
    if not being_read:
        _accept_for(parent, actor, job, complete)
    return job


def job_go_on(*, tenant_id: str, job_id: str) -> None:
    """A job has ended: the pipeline that asked for it goes on (system scope).

    Raises Conflict while the pipeline has not come to rest yet: to be told again.
    """
    parent_id = Job.objects.filter(tenant_id=tenant_id, pk=job_id).values_list("parent_id").first()
    if not parent_id or not parent_id[0]:
        return
    parent = job_locked(parent_id[0])
    if parent.state == State.PAUSED:
        job_queue(parent)
    elif parent.state in HELD_BY_WORKER:
        raise Conflict(f"{parent.id} is {parent.state}: it has not come to rest yet")


def job_children_cancel(*, tenant_id: str, job_id: str) -> None:
    """A pipeline was cancelled: so is what it asked for (system scope)."""
    children = Job.objects.filter(tenant_id=tenant_id, parent_id=job_id, finished_at__isnull=True)
    for child in children.order_by("id"):
        job_cancel(actor=system_actor(tenant_id), job_id=child.id)


def _created(actor: Actor, kind: Kind, complete: Checked, **fields: Any) -> Job:
    rules = KINDS[kind]
    job: Job = Job.objects.create(
        id=new_id(rules.id_prefix),
        tenant_id=actor.tenant_id,
        kind=kind,
        state=State.VALIDATING,
        queue=_queue(kind, complete),
        spec=complete.spec,
        cohort_key=complete.cohort_key,
        update_tokens=complete.update_tokens,
        created_by_kind=actor.kind,
        created_by_id=actor.id,
        **fields,
    )
    return job


def _queue(kind: Kind, complete: Checked) -> str:
    return f"{KINDS[kind].family}.{place(complete.needs, offers_now())}"


def _explain(job: Job, chosen: Mapping[str, Choice]) -> None:
    """Tell which settings we chose, and why."""
    each = [f"{name} {_shown(choice.value)} ({choice.reason})" for name, choice in chosen.items()]
    values = {name: choice.value for name, choice in chosen.items()}
    job_say(job, f"Chosen for this data and model: {'; '.join(each)}.", data={"chosen": values})


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else f"{value:,}"


def job_quote(*, actor: Actor, kind: Kind, spec: Mapping[str, Any]) -> Quote:
    """Say what a job would cost, and how long it would take, without queueing it.

    Raises as `job_submit` does, but for credit.
    """
    actor.require("jobs.write")
    return _quote(actor, kind, checked(kind, actor=actor, spec=spec))


def job_choices(*, actor: Actor, kind: Kind, spec: Mapping[str, Any]) -> Mapping[str, Choice]:
    """The settings that a job leaves to us, what each comes to, and why. Raises as `job_quote`."""
    actor.require("jobs.write")
    return checked(kind, actor=actor, spec=spec).chosen


def _quote(
    actor: Actor,
    kind: Kind,
    complete: Checked,
    quote_id: str | None = None,
    *,
    adjustable: bool = True,
) -> Quote:
    return work_quote(
        actor=actor,
        kind=kind,
        spec=complete.spec,
        lines=complete.lines,
        seconds=complete.seconds,
        quote_id=quote_id,
        adjustable=adjustable,
    )


def job_cancel(*, actor: Actor, job_id: str) -> Job:
    """Stop a job for good; one that runs is told by its worker's next heartbeat.

    Cancelling again changes nothing. Raises NotFound, Conflict for a job that has ended otherwise.
    """
    job = _job_for(actor, job_id)
    if job.state in {State.CANCELLING, State.CANCELLED}:
        return job
    if job.state in HELD_BY_WORKER:
        job_move(job, State.CANCELLING)
    else:
        job_cancel_now(job)
    audit_record(actor=actor, action="job.cancel", target=job.id)
    return job


def job_pause(*, actor: Actor, job_id: str) -> Job:
    """Let a job wait; one that runs takes a snapshot first. Raises NotFound, Conflict."""
    job = _job_for(actor, job_id)
    if job.state in {State.PAUSING, State.PAUSED}:
        return job
    if job.state in HELD_BY_WORKER:
        job_move(job, State.PAUSING)
    else:
        job_pause_now(job)
    audit_record(actor=actor, action="job.pause", target=job.id)
    return job


def job_resume(*, actor: Actor, job_id: str) -> Job:
    """Let a paused job go on from its snapshot; of one still pausing, take the order back.

    Its worker holds that one's attempt: it goes on, or, where it has already stopped, hands it to
    the queue itself. Raises NotFound, Conflict, PermissionDenied (suspended tenant),
    InsufficientCredit where what it needs is not set aside already and cannot be now.
    """
    tenant_require_active(actor)
    job = _job_for(actor, job_id)
    if job.state in {State.QUEUED, State.RUNNING}:
        return job
    check_move(job.state, State.RUNNING if job.state == State.PAUSING else State.QUEUED)
    _cover_again(actor, job)
    if job.state == State.PAUSING:
        job_move(job, State.RUNNING)
    else:
        job_queue(job)
    job_say(job, "The job was resumed.")
    audit_record(actor=actor, action="job.resume", target=job.id)
    return job


def checked_metadata(given: Mapping[str, Any]) -> dict[str, str]:
    """OpenAI's bounds: 16 pairs, keys to 64 and values to 512 characters. Raises InvalidInput."""
    fits = len(given) <= 16 and all(
        isinstance(key, str) and isinstance(value, str) and len(key) <= 64 and len(value) <= 512
        for key, value in given.items()
    )
    if not fits or "\\u0000" in json.dumps(dict(given)):
        raise InvalidInput(
            "metadata holds at most 16 texts, keys to 64 and values to 512 characters",
            param="metadata",
        )
    return dict(given)


def _job_for(actor: Actor, job_id: str) -> Job:
    actor.require("jobs.write")
    return job_locked(job_id)


def _cover_again(actor: Actor, job: Job) -> None:
    """Have what the job still needs set aside. One from before there were prices has no quote."""
    if not job.quote_id:
        standing_require(actor=actor, model=str(job.spec.get("model") or ""))
    else:
        job_cover(job)


def job_place(*, actor: Actor, job_id: str, worker_class: str) -> str:
    """Move a waiting job to another class of workers; return the queue that it was in.

    Raises NotFound, Conflict for one that does not wait or whose customer chose its device or set
    a deadline, Unavailable where no such worker is there.
    """
    job = _queued(actor, job_id)
    if asked := pins(job.spec):
        raise Conflict(
            f"{job.id} was asked for with {' and '.join(asked)}, and stays in its queue",
            code="job_pinned",
        )
    family, before = KINDS[Kind(job.kind)].family, str(job.queue)
    place(Needs(device=worker_class), offers_now())
    job.queue = f"{family}.{worker_class}"
    job.save(update_fields=["queue"])
    emit(JobQueued(tenant_id=job.tenant_id, job_id=job.id, kind=job.kind, queue=job.queue))
    audit_record(
        actor=actor, action="job.place", target=job.id, data={"from": before, "to": job.queue}
    )
    return before


def job_pass_resize(*, actor: Actor, job_id: str, tokens: int) -> int:
    """Set how many tokens a pass of a waiting fine-tune takes; return how many it took.

    The result is the same. Raises NotFound, Conflict for one that does not wait, InvalidInput.
    """
    job = _queued(actor, job_id)
    settings = dict(job.spec.get("settings") or {})
    before = int(settings.get("micro_batch_tokens", FineTuneSpec.micro_batch_tokens))
    try:
        spec = FineTuneSpec.from_dict({**settings, "micro_batch_tokens": tokens})
    except SpecError as error:
        raise InvalidInput(str(error), param="micro_batch_tokens") from error
    job.spec = {**job.spec, "settings": spec.to_dict()}
    job.save(update_fields=["spec"])
    audit_record(
        actor=actor, action="job.pass_resize", target=job.id, data={"from": before, "to": tokens}
    )
    return before


def _queued(actor: Actor, job_id: str) -> Job:
    job = _job_for(actor, job_id)
    if job.state != State.QUEUED:
        raise Conflict(f"{job.id} is {job.state}; only a job that waits can be changed")
    return job
