"""Money of a tenant for tests of pages and routes: an invoice, a payment, a measured cost."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

from tenants.accounts.models import Tenant
from tenants.accounts.services import platform_tenant_ensure
from tenants.billing.models import BankTransfer, Invoice, InvoiceLine, Payment, Statement
from tenants.billing.periods import Period
from tenants.billing.services.bank_transfers import bank_transfers_import
from tenants.billing.services.payments import payment_receive
from tenants.billing.services.statements import statements_advance
from tenants.billing.stripe.findings import finding_open
from tenants.billing.stripe.models import StripeFinding, StripeVisit
from tenants.costs.services import slot_time_record
from tenants.kernel.clock import now
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.services import wallet_change
from tenants.pricing.charge_requests import ChargeItem, ChargeRequest
from tenants.pricing.services import usage_charge
from tenants.usage.ingestion import NewUsage
from tenants.usage.services import usage_record
from tests.tenants.billing.factories import MODEL, contract, operator_of, used
from tests.tenants.costs.factories import resource_make, slot_time


@dataclass(frozen=True)
class Billed:
    """A tenant's finished month."""

    invoice: Invoice
    line: InvoiceLine
    statement: Statement


def last_month() -> Period:
    return Period.of(now()).previous()


def in_grace(tenant: Tenant, *, quantity: int = 3_000_000) -> Statement:
    """Tokens used last month, and that month's statement a day after its end."""
    platform_tenant_ensure()
    period = last_month()
    moment = period.start + dt.timedelta(days=9)
    used(tenant.id, new_id("req_"), quantity, moment)
    used(tenant.id, new_id("req_"), quantity, moment, "tokens.output")
    statements_advance(now=period.end + dt.timedelta(days=1), tenant_id=tenant.id)
    with system_scope():
        found: Statement = Statement.objects.get(tenant_id=tenant.id, period=period.month)
    return found


def billed(tenant: Tenant, *, quantity: int = 3_000_000) -> Billed:
    """The same month, final, and its invoice."""
    statement = in_grace(tenant, quantity=quantity)
    statements_advance(now=last_month().end + dt.timedelta(days=4), tenant_id=tenant.id)
    with system_scope():
        statement.refresh_from_db()
        invoice = Invoice.objects.get(statement=statement)
        line = InvoiceLine.objects.select_related("invoice").filter(invoice=invoice).first()
    assert line is not None
    return Billed(invoice, line, statement)


def trained(tenant: Tenant, job_id: str, tokens: int = 1_000_000, *, quote_id: str = "") -> None:
    """Tokens that a fine-tune trained now, charged as jobs are: 4 US dollars a million."""
    platform_tenant_ensure()
    event = NewUsage(
        meter="tokens.trained",
        quantity=Decimal(tokens),
        event_time=now(),
        source="jobs",
        key=new_id("job_"),
        dimensions={"model": "tuned", "base": MODEL, "job_id": job_id},
    )
    item = ChargeItem(event.meter, event.quantity, event.dimensions, event.event_time)
    with tenant_scope(tenant.id):
        usage_record(tenant_id=tenant.id, events=[event])
        usage_charge(
            tenant_id=tenant.id,
            request=ChargeRequest(
                tenant_id=tenant.id,
                key=event.key,
                subject_kind="job",
                subject_id=job_id,
                items=[item],
                quote_id=quote_id,
            ),
        )


def cost_measured(tenant: Tenant, job_id: str, *, quote_id: str = "") -> None:
    """A fine-tune that cost a tenth of a dollar and trained a million tokens: 0.10 a million."""
    moment = now() - dt.timedelta(minutes=5)
    trained(tenant, job_id, quote_id=quote_id)
    entry = slot_time(
        0,
        0,
        resource=resource_make((moment - dt.timedelta(days=30), "0.01")),
        tenant_id=tenant.id,
        job_id=job_id,
        started_at=moment,
        ended_at=moment + dt.timedelta(seconds=10),
        labels={"kind": "fine_tune", "base": MODEL},
    )
    with system_scope():
        slot_time_record(entries=[entry])


def top_up(tenant: Tenant, amount: str = "20.00") -> Payment:
    with system_scope():
        return payment_receive(
            actor=operator_of(tenant.id),
            provider="manual",
            external_id=new_id("bank_"),
            amount=Money.of(amount, "USD"),
        )


def on_credit(tenant: Tenant, limit: str = "100") -> str:
    """A contract from long ago under which so much may be owed; its id."""
    made = contract(tenant.id, credit_limit=Decimal(limit))
    with system_scope():
        wallet_change(tenant_id=tenant.id, currency="USD", credit_limit=Money.of(limit, "USD"))
    return made


def stray_transfer(amount: str = "15.00") -> BankTransfer:
    """A line of the bank's list that names nobody."""
    name = new_id("bank-")
    content = (
        "date,amount,currency,reference,payer,bank_id\n"
        f"{now():%Y-%m-%d},{amount},USD,thanks,Somebody,{name}\n"
    )
    platform = platform_tenant_ensure()
    with system_scope():
        bank_transfers_import(actor=operator_of(platform.id), content=content.encode())
        found: BankTransfer = BankTransfer.objects.get(bank_id=name)
    return found


def stripe_visit(tenant: Tenant) -> StripeVisit:
    """A payment page that a member has asked for."""
    with tenant_scope(tenant.id):
        row: StripeVisit = StripeVisit.objects.create(
            id=new_id("visit_"),
            tenant=tenant,
            kind=StripeVisit.Kind.TOP_UP,
            amount=Decimal(5),
            currency="USD",
            return_url="http://localhost/console/wallet/",
        )
    return row


def stripe_finding() -> StripeFinding:
    """Something about Stripe that a person must look at."""
    with system_scope():
        return finding_open(kind="refund_unknown", subject=new_id("re_"), action="x", evidence={})
