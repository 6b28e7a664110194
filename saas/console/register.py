"""The console's table of contents: which rows it lists, which pages it adds."""

from __future__ import annotations

from saas.console.lists.audit import AuditEntryAdmin
from saas.console.lists.budgets import BudgetAdmin
from saas.console.lists.deployments import DeploymentAdmin
from saas.console.lists.files import FileAdmin
from saas.console.lists.invoices import InvoiceAdmin
from saas.console.lists.jobs import JobAdmin
from saas.console.lists.keys import ApiKeyAdmin
from saas.console.lists.members import MemberAdmin
from saas.console.lists.models import BaseModelAdmin, ModelVersionAdmin
from saas.console.lists.orders import OrderAdmin, ServiceAdmin
from saas.console.lists.partner import ListingAdmin, PartnerStatementAdmin, PayoutAdmin
from saas.console.lists.plugins import InstallationAdmin, ReleaseAdmin
from saas.console.lists.transactions import TransactionAdmin
from saas.console.pages.assets import model_download, upload
from saas.console.pages.billing_details import billing_details
from saas.console.pages.budgets import budget_create
from saas.console.pages.card_payments import card_save, card_top_up, portal, visit
from saas.console.pages.compress import compress
from saas.console.pages.fine_tune import fine_tune
from saas.console.pages.invoices import invoice_csv, invoice_pdf, line
from saas.console.pages.keys import key_create
from saas.console.pages.live import job_live
from saas.console.pages.members import member_create, switch
from saas.console.pages.panels import panels
from saas.console.pages.partner import earnings, submit
from saas.console.pages.playground import playground, playground_key
from saas.console.pages.prices import prices
from saas.console.pages.recipe import recipe_import
from saas.console.pages.settings import settings
from saas.console.pages.spend import spend
from saas.console.pages.usage import usage
from saas.console.pages.wallet import wallet
from saas.console.site import console
from saas.console.sites import Page
from tenants.accounts.models import ApiKey, AuditEntry, Member
from tenants.billing.models import Invoice
from tenants.ledger.models import Budget, LedgerTransaction
from tenants.marketplace.models import Listing, Order, PartnerStatement, Payout, Service
from tenants.partners.models import Installation, Release
from workers.assets.models import BaseModel, File, ModelVersion
from workers.jobs.models import Job
from workers.serving.models import Deployment

__all__ = ["console"]

console.register(File, FileAdmin)
console.register(Job, JobAdmin)
console.register(ModelVersion, ModelVersionAdmin)
console.register(BaseModel, BaseModelAdmin)
console.register(Deployment, DeploymentAdmin)
console.register(LedgerTransaction, TransactionAdmin)
console.register(Invoice, InvoiceAdmin)
console.register(Budget, BudgetAdmin)
console.register(Release, ReleaseAdmin)
console.register(Installation, InstallationAdmin)
console.register(Service, ServiceAdmin)
console.register(Order, OrderAdmin)
console.register(Listing, ListingAdmin)
console.register(PartnerStatement, PartnerStatementAdmin)
console.register(Payout, PayoutAdmin)
console.register(ApiKey, ApiKeyAdmin)
console.register(Member, MemberAdmin)
console.register(AuditEntry, AuditEntryAdmin)

console.pages = (
    Page("jobs/job/start/", "fine_tune", fine_tune, permission="jobs.write"),
    Page("jobs/job/start/recipe/", "recipe", recipe_import, permission="jobs.write"),
    Page("jobs/job/compress/", "compress", compress, permission="jobs.write"),
    Page("files/upload/", "upload", upload, permission="files.write"),
    Page("jobs/<str:job_id>/live/", "job_live", job_live, permission="jobs.read"),
    Page(
        "models/<str:version_id>/download/",
        "model_download",
        model_download,
        permission="models.read",
    ),
    Page("playground/", "playground", playground, permission="inference"),
    Page("playground/key/", "playground_key", playground_key, permission="inference"),
    Page("wallet/", "wallet", wallet, permission="billing.read"),
    Page("wallet/card/", "card_top_up", card_top_up, permission="billing.write"),
    Page("wallet/methods/new/", "card_save", card_save, permission="billing.write"),
    Page("wallet/portal/", "portal", portal, permission="billing.write"),
    Page("wallet/visits/<str:visit_id>/", "visit", visit, permission="billing.write"),
    Page("spend/", "spend", spend, permission="costs.read"),
    Page("prices/", "prices", prices, permission="usage.read"),
    Page("settings/", "settings", settings, permission="tenant.write"),
    Page("billing/details/", "billing_details", billing_details, permission="billing.write"),
    Page("ledger/budget/new/", "budget_create", budget_create, permission="billing.write"),
    Page(
        "billing/invoice/<str:invoice_id>/pdf/",
        "invoice_pdf",
        invoice_pdf,
        permission="billing.read",
    ),
    Page(
        "billing/invoice/<str:invoice_id>/csv/",
        "invoice_csv",
        invoice_csv,
        permission="billing.read",
    ),
    Page(
        "billing/invoice/<str:invoice_id>/lines/<str:line_id>/",
        "line",
        line,
        permission="billing.read",
    ),
    Page("listings/submit/", "listing_submit", submit, permission="partner.write"),
    Page("earnings/", "earnings", earnings, permission="partner.read"),
    Page("usage/", "usage", usage, permission="usage.read"),
    Page("panels/", "panels", panels, permission="usage.read"),
    Page("accounts/apikey/create/", "key_create", key_create, permission="keys.write"),
    Page("accounts/member/join/", "member_add", member_create, permission="members.write"),
    Page("switch/<str:tenant_id>/", "switch", switch),
)
