"""Chasing what is overdue: reminders, suspension, closing; and letting go once it is paid."""

from __future__ import annotations

import datetime as dt

from django.conf import settings

from tenants.accounts.actors import system_actor
from tenants.accounts.models import Tenant
from tenants.accounts.standing import tenant_close, tenant_reactivate, tenant_suspend
from tenants.billing.dunning import Debt, Due, Schedule, Step, Taken, step_due
from tenants.billing.events import InvoiceReminded
from tenants.billing.locks import invoice_locked
from tenants.billing.models import DunningStep, Invoice
from tenants.billing.operators import system_only
from tenants.billing.states import InvoiceState
from tenants.kernel.clock import now as clock_now
from tenants.kernel.outbox import emit
from tenants.kernel.scope import system_scope


def dunning_advance(*, now: dt.datetime | None = None, tenant_id: str = "") -> int:
    """Take the steps that are due, each invoice in a transaction of its own; return how many.

    `tenant_id`: of one tenant only. Called outside of any scope; safe to run twice at once.
    """
    at = now or clock_now()
    with system_scope():
        rows = Invoice.objects.filter(state=InvoiceState.OPEN, due_at__lt=at)
        if tenant_id:
            rows = rows.filter(tenant_id=tenant_id)
        overdue = list(rows.order_by("due_at", "id").values_list("tenant_id", "id"))
    return sum(_chase(owner, invoice_id, at) for owner, invoice_id in overdue)


def _schedule() -> Schedule:
    """The settings' days."""
    return Schedule(
        remind=settings.DUNNING_REMIND_DAYS,
        suspend=settings.DUNNING_SUSPEND_DAYS,
        close=settings.DUNNING_CLOSE_DAYS,
    )


def _chase(tenant_id: str, invoice_id: str, at: dt.datetime) -> bool:
    with system_scope():
        invoice = invoice_locked(invoice_id, of=system_actor(tenant_id))
        rows = DunningStep.objects.filter(invoice=invoice).order_by("id")
        taken = [Taken(step=row.step, day=row.day, at=row.taken_at) for row in rows]
        debt = Debt(invoice.state, invoice.due_at or at, invoice.remaining)
        due = step_due(debt, now=at, taken=taken, schedule=_schedule())
        if due is None:
            return False
        DunningStep.objects.create(
            tenant_id=tenant_id, invoice=invoice, step=due.step, day=due.day, taken_at=at
        )
        _take(invoice, due)
        return True


def _take(invoice: Invoice, due: Due) -> None:
    actor = system_actor(invoice.tenant_id)
    standing = Tenant.objects.values_list("status", flat=True).get(pk=invoice.tenant_id)
    reason = f"the invoice {invoice.number} is unpaid"
    if due.step is Step.SUSPEND and standing == Tenant.Status.ACTIVE:
        tenant_suspend(actor=actor, reason=reason)
    elif due.step is Step.CLOSE and standing == Tenant.Status.SUSPENDED:
        tenant_close(actor=actor, reason=reason)
    elif due.step is Step.REMIND:
        emit(
            InvoiceReminded(
                tenant_id=invoice.tenant_id,
                invoice_id=invoice.id,
                number=invoice.number,
                day=due.day,
                remaining=invoice.remaining,
                currency=invoice.currency,
            )
        )


def tenant_relieve(*, tenant_id: str) -> bool:
    """End a suspension that dunning began, once no invoice that led to it is open (system scope).

    Returns whether the tenant was reactivated. One that an operator suspended stays so.
    """
    system_only()
    tenant = Tenant.objects.get(pk=tenant_id)
    steps = DunningStep.objects.filter(tenant_id=tenant_id, step=Step.SUSPEND)
    if tenant.status != Tenant.Status.SUSPENDED or not steps.exists():
        return False
    if steps.filter(invoice__state=InvoiceState.OPEN).exists():
        return False
    tenant_reactivate(actor=system_actor(tenant_id), reason="what was owed has been paid")
    return True
