"""What money is called on a page: lines of revenue, kinds of credit, states of documents."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from saas.console.words import Word

REVENUE_LINES: Mapping[str, Word] = {
    "tokens": _("Tokens"),
    "training": _("Training"),
    "evaluation": _("Evaluation"),
    "storage": _("Storage"),
    "deployments": _("Deployments"),
    "plugins": _("Plugins"),
    "services": _("Services"),
    "plan": _("Plan"),
    "commitment": _("Commitment"),
    "breakage": _("Expired credit"),
}
GRANT_KINDS: Mapping[str, Word] = {
    "allowance": _("Allowance"),
    "promotion": _("Promotion"),
    "paid": _("Top-up"),
}
INVOICE_STATES: Mapping[str, Word] = {
    "draft": _("Draft"),
    "open": pgettext_lazy("invoice", "Open"),
    "paid": _("Paid"),
    "uncollectible": _("Uncollectible"),
    "void": _("Void"),
}
INVOICE_KINDS: Mapping[str, Word] = {"usage": _("Usage"), "top_up": _("Top-up")}
LINE_KINDS: Mapping[str, Word] = {
    "plan_fee": _("Plan fee"),
    "true_up": _("Up to the commitment"),
    "cap": _("Down to the cap"),
    "adjustment": _("Discount or surcharge of a quote"),
    "quote_cap": _("Beyond what was quoted"),
    "waiver": _("Waived: our failure"),
    "credit": _("Prepaid credit"),
}
STATEMENT_STATES: Mapping[str, Word] = {
    "open": pgettext_lazy("statement", "Running"),
    "grace": _("In grace"),
    "final": _("Final"),
}
TRANSFER_STATES: Mapping[str, Word] = {"matched": _("Matched"), "unmatched": _("Unmatched")}
DUNNING_STEPS: Mapping[str, Word] = {
    "remind": _("Reminder"),
    "suspend": _("New work suspended"),
    "close": _("Closed"),
}
CREDIT_NOTE_TO: Mapping[str, Word] = {
    "invoice": _("Off the invoice"),
    "wallet": _("Into the wallet"),
    "payer": _("Back to the payer"),
}
BUDGET_SUBJECTS: Mapping[str, Word] = {
    "tenant": _("Organisation"),
    "api_key": _("API key"),
    "model": _("Model"),
}
ACCOUNT_KINDS: Mapping[str, Word] = {
    "receivable": _("Receivable"),
    "grant": _("Prepaid credit"),
    "revenue": _("Revenue"),
    "contra_revenue": _("Revenue given away"),
    "credit_offset": _("Counterpart of given credit"),
    "cash": _("Cash"),
    "provider_fee": _("Provider's fees"),
    "provider_pending": _("Provider: pending"),
    "provider_available": _("Provider: available"),
    "provider_payout": _("Provider: on its way"),
    "provider_dispute": _("Provider: disputed"),
    "tax_payable": _("Tax payable"),
    "rounding": _("Rounding"),
    "bad_debt": _("Bad debt"),
    "fx_trading": _("Currency trading"),
    "fx_gain": _("Currency gains"),
    "partner_share": _("Partners' shares"),
    "partner_pending": _("Partner: pending"),
    "partner_available": _("Partner: available"),
    "partner_paid": _("Partner: paid"),
    "partner_receivable": _("Partner: owed to us"),
}
VISIT_STATES: Mapping[str, Word] = {
    "asked": _("Being opened"),
    "ready": _("Ready"),
    "processing": _("The money is on its way"),
    "done": _("Done"),
    "expired": _("Expired"),
    "failed": _("Failed"),
}
STRIPE_CALL_STATES: Mapping[str, Word] = {
    "queued": _("Waiting"),
    "sent": _("Sent"),
    "done": _("Done"),
    "refused": _("Refused"),
}
STRIPE_EVENT_STATES: Mapping[str, Word] = {
    "new": _("New"),
    "handled": _("Done"),
    "ignored": _("Ignored"),
}
STRIPE_FINDING_STATES: Mapping[str, Word] = {
    "open": pgettext_lazy("finding", "Open"),
    "closed": pgettext_lazy("finding", "Closed"),
}
STRIPE_KINDS: Mapping[str, Word] = {
    "customer": _("Customer"),
    "subscription": _("Subscription"),
    "payout": _("Payout"),
    "invoice": _("Invoice"),
    "payment_intent": _("Payment"),
    "payment_method": _("Payment method"),
    "refund": _("Refund"),
    "credit_note": _("Credit note"),
    "dispute": _("Dispute"),
    "account": _("Partner's account"),
    "transfer": _("Transfer"),
    "checkout.session": _("Payment page"),
}
