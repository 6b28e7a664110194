"""Tables of billing. Tenants read their own; only the system writes (see the migration)."""

from tenants.billing.models.invoices import (
    CreditNote,
    CreditNoteLine,
    DocumentNumber,
    Invoice,
    InvoiceLine,
    InvoiceTax,
)
from tenants.billing.models.payments import (
    BankTransfer,
    DunningStep,
    Payment,
    PaymentPart,
    Refund,
)
from tenants.billing.models.statements import Statement
from tenants.billing.models.taxes import TaxProfile, TaxRate

__all__ = [
    "BankTransfer",
    "CreditNote",
    "CreditNoteLine",
    "DocumentNumber",
    "DunningStep",
    "Invoice",
    "InvoiceLine",
    "InvoiceTax",
    "Payment",
    "PaymentPart",
    "Refund",
    "Statement",
    "TaxProfile",
    "TaxRate",
]
