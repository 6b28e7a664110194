"""The operators' menu."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from saas.console.navigation import Entry, Menu, menu_of

_MENU: Menu = [
    ("", [Entry(_("Overview"), "space_dashboard", "index")]),
    (
        _("Work"),
        [
            Entry(_("Jobs"), "model_training", "jobs_job_changelist"),
            Entry(_("Attempts"), "replay", "jobs_attempt_changelist"),
            Entry(_("Cohorts"), "groups", "jobs_cohort_changelist"),
            Entry(_("Workers"), "memory", "jobs_worker_changelist"),
            Entry(_("Replicas"), "cloud", "serving_replica_changelist"),
            Entry(_("Outbox"), "outbox", "kernel_outboxevent_changelist"),
        ],
    ),
    (
        _("Business"),
        [
            Entry(_("Tenants"), "domain", "accounts_tenant_changelist"),
            Entry(_("Base models"), "category", "assets_basemodel_changelist"),
        ],
    ),
    (
        _("Margin"),
        [
            Entry(_("Margins"), "trending_up", "margins"),
            Entry(_("Floors"), "vertical_align_bottom", "floors"),
            Entry(_("Floor findings"), "report", "pricing_floorfinding_changelist"),
            Entry(_("Price proposals"), "event", "pricing_priceproposal_changelist"),
            Entry(_("Loss budgets"), "savings", "pricing_lossbudget_changelist"),
            Entry(_("Calibration of quotes"), "target", "calibration"),
            Entry(_("Costs"), "payments", "costs"),
            Entry(_("Waste"), "savings", "costs_wastefinding_changelist"),
            Entry(_("Purchase plans"), "shopping_cart", "procurement"),
            Entry(_("Offers of compute"), "inventory", "costs_purchaseoffer_changelist"),
            Entry(_("Cost entries"), "list_alt", "costs_costentry_changelist"),
            Entry(_("Rates"), "price_change", "costs_rate_changelist"),
            Entry(_("Price books"), "sell", "pricing_pricebook_changelist"),
            Entry(_("Price versions"), "history_edu", "pricing_pricebookversion_changelist"),
            Entry(_("Contracts"), "handshake", "pricing_contract_changelist"),
        ],
    ),
    (
        _("Market"),
        [
            Entry(_("Market"), "monitoring", "market"),
            Entry(_("Market alerts"), "notifications", "market_marketalert_changelist"),
            Entry(_("Rivals' products"), "storefront", "market_marketproduct_changelist"),
            Entry(_("Market files"), "upload_file", "market_marketimport_changelist"),
            Entry(_("Campaigns"), "swords", "campaigns"),
        ],
    ),
    (
        _("Books"),
        [
            Entry(_("Wallets"), "account_balance_wallet", "ledger_wallet_changelist"),
            Entry(_("Statements"), "task", "billing_statement_changelist"),
            Entry(_("Invoices"), "receipt_long", "billing_invoice_changelist"),
            Entry(_("Payments"), "credit_score", "billing_payment_changelist"),
            Entry(_("Bank transfers"), "account_balance", "billing_banktransfer_changelist"),
            Entry(_("Tax rates"), "percent", "billing_taxrate_changelist"),
            Entry(_("Trial balance"), "balance", "books"),
        ],
    ),
    (
        _("Partners"),
        [
            Entry(_("Plugins' review"), "extension", "marketplace_listing_changelist"),
            Entry(_("Agreements"), "handshake", "partners_agreement_changelist"),
            Entry(_("Partner statements"), "task", "marketplace_partnerstatement_changelist"),
            Entry(_("Payouts"), "send_money", "marketplace_payout_changelist"),
        ],
    ),
    (
        "Stripe",
        [
            Entry(_("Stripe findings"), "rule", "stripe_stripefinding_changelist"),
            Entry(_("Stripe objects"), "inventory_2", "stripe_stripeobject_changelist"),
            Entry(_("Stripe webhooks"), "webhook", "stripe_stripeevent_changelist"),
            Entry(_("Stripe requests"), "send", "stripe_stripecall_changelist"),
        ],
    ),
]


def menu(request: HttpRequest) -> list[dict[str, Any]]:
    return menu_of(request, site="operations", groups=_MENU)


def subheader(request: HttpRequest) -> str:
    del request
    return gettext("Operations")
