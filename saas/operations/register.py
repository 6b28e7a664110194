"""The operators' table of contents."""

from __future__ import annotations

from saas.console.sites import Page
from saas.operations.books import books
from saas.operations.calibration import calibration
from saas.operations.campaign_outcome import campaign_outcome_plot
from saas.operations.campaigns import (
    campaign,
    campaign_new,
    campaign_plot,
    campaign_prices,
    campaigns,
)
from saas.operations.costs import costs
from saas.operations.floors import floor_policy, floors
from saas.operations.forms import price_book_new, tax_rate_new, transfers_import
from saas.operations.lists.billing import InvoiceAdmin, StatementAdmin, TaxRateAdmin
from saas.operations.lists.business import BaseModelAdmin, CostEntryAdmin, RateAdmin, TenantAdmin
from saas.operations.lists.contracts import ContractAdmin, contract_create
from saas.operations.lists.floors import (
    FloorFindingAdmin,
    LossBudgetAdmin,
    ProposalAdmin,
    loss_budget_new,
    price_proposal_new,
)
from saas.operations.lists.market import (
    MarketAlertAdmin,
    MarketImportAdmin,
    MarketProductAdmin,
    market_import,
    offer_new,
)
from saas.operations.lists.partners import (
    AgreementAdmin,
    ListingAdmin,
    PartnerStatementAdmin,
    PayoutAdmin,
    agreement_new,
    payout_new,
)
from saas.operations.lists.payments import BankTransferAdmin, PaymentAdmin
from saas.operations.lists.prices import PriceBookAdmin, PriceVersionAdmin
from saas.operations.lists.procurement import PurchaseOfferAdmin, offer_enter, offers_import
from saas.operations.lists.stripe import CallAdmin, EventAdmin, FindingAdmin, ObjectAdmin
from saas.operations.lists.wallets import WalletAdmin
from saas.operations.lists.waste import WasteAdmin
from saas.operations.lists.work import (
    AttemptAdmin,
    CohortAdmin,
    JobAdmin,
    OutboxAdmin,
    ReplicaAdmin,
    WorkerAdmin,
)
from saas.operations.margins import margins
from saas.operations.market import market
from saas.operations.procurement import (
    procurement,
    procurement_new,
    procurement_plan,
    procurement_plan_adopt,
    procurement_plan_csv,
    procurement_plan_json,
)
from saas.operations.site import operations
from tenants.accounts.models import Tenant
from tenants.billing.models import BankTransfer, Invoice, Payment, Statement, TaxRate
from tenants.billing.stripe.models import StripeCall, StripeEvent, StripeFinding, StripeObject
from tenants.costs.models import CostEntry, PurchaseOffer, Rate, WasteFinding
from tenants.kernel.models import OutboxEvent
from tenants.ledger.models import Wallet
from tenants.market.models import MarketAlert, MarketImport, MarketProduct
from tenants.marketplace.models import Listing, PartnerStatement, Payout
from tenants.partners.models import Agreement
from tenants.pricing.models import (
    Contract,
    FloorFinding,
    LossBudget,
    PriceBook,
    PriceBookVersion,
    PriceProposal,
)
from workers.assets.models import BaseModel
from workers.jobs.models import Attempt, Cohort, Job, Worker
from workers.serving.models import Replica

__all__ = ["operations"]

operations.register(Job, JobAdmin)
operations.register(Attempt, AttemptAdmin)
operations.register(Cohort, CohortAdmin)
operations.register(Worker, WorkerAdmin)
operations.register(Replica, ReplicaAdmin)
operations.register(OutboxEvent, OutboxAdmin)
operations.register(Tenant, TenantAdmin)
operations.register(CostEntry, CostEntryAdmin)
operations.register(Rate, RateAdmin)
operations.register(WasteFinding, WasteAdmin)
operations.register(PurchaseOffer, PurchaseOfferAdmin)
operations.register(BaseModel, BaseModelAdmin)
operations.register(PriceBook, PriceBookAdmin)
operations.register(PriceBookVersion, PriceVersionAdmin)
operations.register(Contract, ContractAdmin)
operations.register(FloorFinding, FloorFindingAdmin)
operations.register(LossBudget, LossBudgetAdmin)
operations.register(PriceProposal, ProposalAdmin)
operations.register(Wallet, WalletAdmin)
operations.register(Statement, StatementAdmin)
operations.register(Invoice, InvoiceAdmin)
operations.register(Payment, PaymentAdmin)
operations.register(BankTransfer, BankTransferAdmin)
operations.register(TaxRate, TaxRateAdmin)
operations.register(Listing, ListingAdmin)
operations.register(Agreement, AgreementAdmin)
operations.register(PartnerStatement, PartnerStatementAdmin)
operations.register(Payout, PayoutAdmin)
operations.register(MarketProduct, MarketProductAdmin)
operations.register(MarketAlert, MarketAlertAdmin)
operations.register(MarketImport, MarketImportAdmin)
operations.register(StripeFinding, FindingAdmin)
operations.register(StripeEvent, EventAdmin)
operations.register(StripeCall, CallAdmin)
operations.register(StripeObject, ObjectAdmin)

operations.pages = (
    Page("costs/", "costs", costs),
    Page("procurement/", "procurement", procurement),
    Page("procurement/new/", "procurement_new", procurement_new),
    Page("procurement/<str:plan_id>/", "procurement_plan", procurement_plan),
    Page("procurement/<str:plan_id>/adopt/", "procurement_plan_adopt", procurement_plan_adopt),
    Page("procurement/<str:plan_id>/csv/", "procurement_plan_csv", procurement_plan_csv),
    Page("procurement/<str:plan_id>/json/", "procurement_plan_json", procurement_plan_json),
    Page("costs/purchaseoffer/new/", "purchase_offer_enter", offer_enter),
    Page("costs/purchaseoffer/import/", "purchase_offers_import", offers_import),
    Page("margins/", "margins", margins),
    Page("floors/", "floors", floors),
    Page("floors/policy/", "floor_policy", floor_policy),
    Page("calibration/", "calibration", calibration),
    Page("pricing/lossbudget/new/", "loss_budget_create", loss_budget_new),
    Page("pricing/priceproposal/new/", "price_proposal_create", price_proposal_new),
    Page("books/", "books", books),
    Page("market/", "market", market),
    Page("market/file/new/", "market_import", market_import),
    Page("market/offer/new/", "market_offer", offer_new),
    Page("campaigns/", "campaigns", campaigns),
    Page("campaigns/new/", "campaign_new", campaign_new),
    Page("campaigns/<str:campaign_id>/", "campaign", campaign),
    Page("campaigns/<str:campaign_id>/prices/", "campaign_prices", campaign_prices),
    Page("campaigns/<str:campaign_id>/plots/<str:name>/", "campaign_plot", campaign_plot),
    Page("campaigns/<str:campaign_id>/outcome/", "campaign_outcome_plot", campaign_outcome_plot),
    Page("pricing/pricebook/new/", "price_book_create", price_book_new),
    Page("pricing/contract/new/", "contract_create", contract_create),
    Page("partners/agreement/new/", "agreement_create", agreement_new),
    Page("marketplace/payout/new/", "payout_create", payout_new),
    Page("billing/taxrate/new/", "tax_rate_create", tax_rate_new),
    Page("billing/banktransfer/import/", "transfers_import", transfers_import),
)
