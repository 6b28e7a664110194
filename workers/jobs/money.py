"""What a job costs: quoted before, held while it goes on, charged as it is used, settled once.

`Job.quoted` holds the quote's gross totals as texts: currency, low, expected, high, and the
`share` that plugins changed it by, which every charge is changed by. The hold of a
job is `job:{id}` at the quote's upper bound, tax in it. What is charged goes through `job_sell`, in
the transaction that records the usage; `job_close` ends the hold with the job. Where the contract
goes on in another currency in mid-work, `bound`, `charged` and the hold do too (`_promise_in`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.db.models import Max

from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.models import Tenant
from tenants.costs.defaults import CURRENCY as COST_CURRENCY
from tenants.kernel.errors import InvalidInput
from tenants.kernel.money import Money
from tenants.ledger.models import Hold
from tenants.ledger.selectors import wallet_balance
from tenants.ledger.services import hold_extend, hold_place, hold_release
from tenants.pricing.charge_requests import Charged, ChargeItem, ChargeRequest
from tenants.pricing.exact import plain, round12
from tenants.pricing.models import Charge, Quote
from tenants.pricing.quotes import QuoteLine, quote_make, quote_share, quote_use
from tenants.pricing.selectors import exchange_rate, rate_card
from tenants.pricing.services import usage_charge
from tenants.usage.ingestion import NewUsage
from tenants.usage.services import usage_record
from workers.jobs.kinds import KINDS, FailureKind
from workers.jobs.models import Job
from workers.jobs.offers import offers_now
from workers.jobs.states import Kind

ZERO = Decimal(0)
SUBJECT = "job"  # of a charge
SLOT_SECONDS = "slot.seconds"


def work_quote(
    *,
    actor: Actor,
    kind: Kind,
    spec: Mapping[str, Any],
    lines: Sequence[QuoteLine],
    seconds: tuple[float, float, float] | None,
    quote_id: str | None = None,
    adjustable: bool = True,
) -> Quote:
    """Return the quote named, or else make one. Raises what `quote_use` does for another's work."""
    content = [kind.value, dict(spec)]
    if quote_id:
        return quote_use(quote_id, _fingerprint(content))
    return content_quote(
        actor=actor,
        kind=kind.value,
        content=content,
        lines=lines,
        seconds=seconds,
        adjustable=adjustable,
    )


def content_quote(
    *,
    actor: Actor,
    kind: str,
    content: Any,
    lines: Sequence[QuoteLine],
    seconds: tuple[float, float, float] | None = None,
    adjustable: bool = False,
) -> Quote:
    """Quote what `content` (of JSON) asks for."""
    return quote_make(
        actor=actor,
        kind=kind,
        fingerprint=_fingerprint(content),
        lines=lines,
        seconds=[Decimal(f"{s:.3f}") for s in seconds] if seconds else None,
        adjustable=adjustable,
    )


def _fingerprint(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def job_promise(job: Job, quote: Quote) -> None:
    """Write the quote's price on a new job, and set its upper bound aside.

    Raises InsufficientCredit: without credit, or beyond a hard budget.
    """
    job.quote_id, job.currency = quote.id, quote.currency
    job.bound = quote.high_net if KINDS[Kind(job.kind)].firm_bound else None
    job.quoted = {
        case: f"{getattr(quote, f'{case}_net') + getattr(quote, f'{case}_tax'):f}"
        for case in ("low", "expected", "high")
    } | {"currency": quote.currency}
    if quote.adjustments:
        job.quoted["share"] = plain(quote_share(quote))
    high = quote.high_net + quote.high_tax
    if high > 0:
        hold_place(
            tenant_id=job.tenant_id,
            key=hold_key(job),
            amount=Money(high, quote.currency),
            labels=job_labels(job),
        )
    job.save(update_fields=["quote_id", "currency", "bound", "quoted"])


def job_sell(job: Job, usage: Sequence[NewUsage]) -> None:
    """Record what a locked job used, and charge it: with what came before, at most its bound.

    What its own quote was changed by holds for it: a pipeline's for none of the engine's work.
    """
    if not usage:
        return
    usage_record(tenant_id=job.tenant_id, events=usage)
    if _is_charged(job):
        payer, share = _payer(job), Decimal(job.quoted.get("share", 0))
        _count(payer, _charge(payer, usage, share))


def job_promise_more(job: Job, quote: Quote) -> None:
    """Set work that a locked job asks for aside, beside its own.

    Raises InsufficientCredit, and InvalidInput(code="engine_limit_exceeded") beyond what the
    customer said that such work may cost.
    """
    high = quote.high_net + quote.high_tax
    _keep_limit(job, high)
    if high > 0 and job.currency:
        _set_aside(job, Money(high, quote.currency))


def _keep_limit(job: Job, more: Decimal) -> None:
    limit = job.spec.get("engine_limit")
    if limit is None:
        return
    asked = Decimal(job.spec.get("engine_asked", "0")) + more
    if asked > Decimal(limit):
        raise InvalidInput(
            f"the engine's work would cost up to {asked:f} {job.currency}, and engine_limit allows "
            f"{limit}",
            param="engine_limit",
            code="engine_limit_exceeded",
        )
    job.spec = {**job.spec, "engine_asked": f"{asked:f}"}
    job.save(update_fields=["spec"])


def job_close(job: Job, failure: FailureKind | None = None) -> None:
    """A locked job has ended: let go of what is still held for it.

    Where the failure was not the customer's, all that it was charged is given back.
    """
    if failure not in {None, FailureKind.CUSTOMER} and job.currency:
        _give_back(job, f"the job failed: {failure}")
    if job.currency:
        hold_release(tenant_id=job.tenant_id, key=hold_key(job))


def job_cover(job: Job) -> None:
    """Have set aside what a job needs to go on: where its bound is not firm, another stretch like
    the last one; where it is, and its contract went on in another currency, what is left of it.

    A hold's key is used once: back in a currency that it had before, a job goes on without one.
    Raises InsufficientCredit.
    """
    needed = _needed(job)
    if not needed:
        return
    held = Hold.objects.filter(tenant_id=job.tenant_id, key=hold_key(job)).first()
    if held is not None and held.state == Hold.State.CLOSED:
        return
    left = ZERO if held is None else held.amount - held.drawn
    if left < needed:
        _set_aside(job, Money(needed - left, job.currency))


def _set_aside(job: Job, amount: Money) -> None:
    """Beside what is held for a job already, if anything is."""
    key = hold_key(job)
    if Hold.objects.filter(tenant_id=job.tenant_id, key=key).exists():
        hold_extend(tenant_id=job.tenant_id, key=key, extra=amount)
    else:
        hold_place(tenant_id=job.tenant_id, key=key, amount=amount, labels=job_labels(job))


def _needed(job: Job) -> Decimal:
    """Tax in it. The hold of a firm bound was placed with the promise."""
    if not KINDS[Kind(job.kind)].firm_bound:
        return job.stretch
    if job.bound is None or job.currency == job.quoted.get("currency"):
        return ZERO
    left = max(job.bound - job.charged, ZERO)
    wallet = wallet_balance(tenant_id=job.tenant_id, currency=job.currency)
    return left + round12(left * wallet.tax_rate)


def hold_key(job: Job) -> str:
    """A hold is in one currency: where the contract went on in another one, it is another hold."""
    quoted = job.quoted.get("currency", job.currency)
    return f"job:{job.id}" if job.currency == quoted else f"job:{job.id}:{job.currency}"


def job_labels(job: Job) -> dict[str, str]:
    """Whom a job counts for in budgets."""
    labels = {"model": str(job.spec["model"])} if job.spec.get("model") else {}
    if job.created_by_kind == ActorKind.API_KEY:
        labels["api_key_id"] = job.created_by_id
    return labels


def _is_charged(job: Job) -> bool:
    """Replicas are the platform's own work, and so is all that its tenant asks for."""
    if not KINDS[Kind(job.kind)].is_charged:
        return False
    return not Tenant.objects.filter(pk=job.tenant_id, is_platform=True).exists()


def _payer(job: Job) -> Job:
    """The job itself, or the pipeline that asked for it, its row locked after its own."""
    if not job.parent_id:
        return job
    parent: Job = Job.objects.select_for_update(of=("self",)).get(pk=job.parent_id)
    return parent


def _charge(job: Job, usage: Sequence[NewUsage], share: Decimal) -> Charged:
    part = f"{usage[0].key}..{usage[-1].key}".replace(f"{job.id}:", "")
    currency = rate_card(job.tenant_id, usage[-1].event_time).currency
    if job.currency not in {"", currency}:
        _promise_in(job, currency, usage[-1].event_time)
    return usage_charge(
        tenant_id=job.tenant_id, request=_request(job, usage, part=part, adjust=share)
    )


def _promise_in(job: Job, currency: str, at: dt.datetime) -> None:
    """The contract went on in another currency: so does what is left of the promise, at the
    operator's exchange rate. What was held in the old one is let go.
    """
    hold_release(tenant_id=job.tenant_id, key=hold_key(job))
    if job.bound is not None:
        rate = exchange_rate(job.currency, currency, at)
        job.bound = round12(max(job.bound - job.charged, ZERO) * rate)
    job.charged = job.charged_tax = job.stretch = ZERO
    job.currency = currency
    job.save(update_fields=["bound", "charged", "charged_tax", "stretch", "currency"])


def _give_back(job: Job, why: str) -> None:
    """Everything, in each currency it was charged in; the contract may have gone on in another."""
    charges = Charge.objects.filter(
        tenant_id=job.tenant_id, subject_kind=SUBJECT, subject_id=job.id, net__gt=0
    )
    latest = charges.values_list("currency").annotate(Max("occurred_at")).order_by("currency")
    for currency, charged_at in latest:
        request = _request(
            job,
            (),
            part=f"waived:{currency}",
            waive=why,
            occurred_at=charged_at,
        )
        charged = usage_charge(tenant_id=job.tenant_id, request=request)
        if currency == job.currency:
            _count(job, charged)


def _request(job: Job, usage: Sequence[NewUsage], *, part: str, **changes: Any) -> ChargeRequest:
    left = None
    if job.bound is not None and "waive" not in changes:
        left = Money(max(job.bound - job.charged, ZERO), job.currency)
    return ChargeRequest(
        tenant_id=job.tenant_id,
        key=f"job:{job.id}:{part}",
        subject_kind=SUBJECT,
        subject_id=job.id,
        items=[ChargeItem(e.meter, e.quantity, e.dimensions, e.event_time) for e in usage],
        hold_key=hold_key(job),
        keep_hold=True,
        bound=left,
        labels=job_labels(job),
        quote_id=job.quote_id,
        seller=f"plugin:{job.spec['plugin']}" if "plugin" in job.spec else "",
        cost=_compute_cost(job, usage),
        **changes,
    )


def _compute_cost(job: Job, usage: Sequence[NewUsage]) -> Decimal:
    """What a plugin's slot time cost us, in the charge's currency: its partner may bear part."""
    seconds = sum((e.quantity for e in usage if e.meter == SLOT_SECONDS), ZERO)
    if not seconds:
        return ZERO
    worker_class = job.queue.rpartition(".")[2]
    price = next((o.price for o in offers_now() if o.worker_class == worker_class), ZERO)
    at = usage[-1].event_time
    currency = rate_card(job.tenant_id, at).currency
    rate = exchange_rate(COST_CURRENCY, currency, at) if currency != COST_CURRENCY else Decimal(1)
    return round12(seconds * price * rate)


def _count(job: Job, charged: Charged) -> None:
    """`Job.charged` is in the currency of the latest charge, and of that currency only."""
    if charged.repeated:
        return
    job.charged += charged.net.amount
    job.charged_tax += charged.tax.amount
    job.stretch = max(charged.gross.amount, ZERO)
    job.currency = charged.net.currency
    job.save(update_fields=["charged", "charged_tax", "stretch", "currency"])
