"""The operator's routes: across tenants, with a key of the platform's own."""

from __future__ import annotations

from django.urls import URLPattern, path

from saas.api.operator import (
    books,
    calibration,
    campaign_outcomes,
    campaigns,
    capacity,
    compressions,
    contracts,
    costs,
    economics,
    floors,
    invoices,
    market,
    market_records,
    money_in,
    partners,
    prices,
    procurement,
    proposals,
    purchase_offers,
    rates,
    statements,
    stripe,
    tenants,
    waste,
)

_work = [
    path("operator/v1/queues", capacity.QueuesView.as_view()),
    path("operator/v1/workers", capacity.WorkersView.as_view()),
    path("operator/v1/cohorts", capacity.CohortsView.as_view()),
    path("operator/v1/jobs", capacity.OperatorJobsView.as_view()),
    path("operator/v1/tenants", tenants.TenantsView.as_view()),
    path("operator/v1/tenants/<str:tenant_id>/suspend", tenants.TenantSuspendView.as_view()),
    path("operator/v1/tenants/<str:tenant_id>/reactivate", tenants.TenantReactivateView.as_view()),
    path("operator/v1/tenants/<str:tenant_id>/close", tenants.TenantCloseView.as_view()),
    path("operator/v1/costs/jobs", costs.CostsByJobView.as_view()),
    path("operator/v1/costs/units", costs.CostsByUnitView.as_view()),
    path("operator/v1/costs/slots", costs.CostsBySlotView.as_view()),
    path("operator/v1/costs/economics", economics.CostEconomicsView.as_view()),
    path("operator/v1/costs/allocation", economics.CostAllocationView.as_view()),
    path("operator/v1/costs/compressions", compressions.CostsByCompressionView.as_view()),
    path("operator/v1/costs/focus", costs.CostsFocusView.as_view()),
    path("operator/v1/costs/rates", rates.RatesView.as_view()),
    path("operator/v1/costs/overheads", rates.OverheadsView.as_view()),
    path("operator/v1/costs/overheads/<str:overhead_id>/end", rates.OverheadEndView.as_view()),
    path("operator/v1/procurement/offers", purchase_offers.PurchaseOffersView.as_view()),
    path(
        "operator/v1/procurement/offers/import", purchase_offers.PurchaseOffersImportView.as_view()
    ),
    path(
        "operator/v1/procurement/offers/<str:offer_id>/withdraw",
        purchase_offers.PurchaseOfferWithdrawView.as_view(),
    ),
    path("operator/v1/procurement/plans", procurement.PurchasePlansView.as_view()),
    path("operator/v1/procurement/plans/<str:plan_id>", procurement.PurchasePlanView.as_view()),
    path(
        "operator/v1/procurement/plans/<str:plan_id>/cancel",
        procurement.PurchasePlanCancelView.as_view(),
    ),
    path(
        "operator/v1/procurement/plans/<str:plan_id>/result",
        procurement.PurchasePlanResultView.as_view(),
    ),
    path(
        "operator/v1/procurement/plans/<str:plan_id>/purchases",
        procurement.PurchasePlanPurchasesView.as_view(),
    ),
    path(
        "operator/v1/procurement/plans/<str:plan_id>/adopt",
        procurement.PurchasePlanAdoptView.as_view(),
    ),
    path(
        "operator/v1/procurement/plans/<str:plan_id>/actual",
        procurement.PurchasePlanActualView.as_view(),
    ),
    path("operator/v1/levers", waste.LeversView.as_view()),
    path("operator/v1/waste", waste.WasteView.as_view()),
    path("operator/v1/waste/<str:waste_id>/apply", waste.WasteApplyView.as_view()),
    path("operator/v1/waste/<str:waste_id>/undo", waste.WasteUndoView.as_view()),
    path("operator/v1/waste/<str:waste_id>/close", waste.WasteCloseView.as_view()),
]
_prices = [
    path("operator/v1/price_books", prices.PriceBooksView.as_view()),
    path(
        "operator/v1/price_books/<str:price_book_id>/versions", prices.PriceVersionsView.as_view()
    ),
    path("operator/v1/price_versions/<str:price_version_id>", prices.PriceVersionView.as_view()),
    path(
        "operator/v1/price_versions/<str:price_version_id>/publish",
        prices.PriceVersionPublishView.as_view(),
    ),
    path("operator/v1/price_overrides", prices.PriceOverridesView.as_view()),
    path("operator/v1/floors", floors.FloorsView.as_view()),
    path("operator/v1/floor_policy", floors.FloorPolicyView.as_view()),
    path("operator/v1/floor_findings", floors.FloorFindingsView.as_view()),
    path("operator/v1/floor_findings/sweep", floors.FloorSweepView.as_view()),
    path("operator/v1/losses", floors.LossesView.as_view()),
    path("operator/v1/loss_budgets", proposals.LossBudgetsView.as_view()),
    path("operator/v1/loss_budgets/<str:loss_budget_id>", proposals.LossBudgetView.as_view()),
    path(
        "operator/v1/loss_budgets/<str:loss_budget_id>/close",
        proposals.LossBudgetCloseView.as_view(),
    ),
    path("operator/v1/price_proposals", proposals.PriceProposalsView.as_view()),
    path(
        "operator/v1/price_proposals/<str:price_proposal_id>",
        proposals.PriceProposalView.as_view(),
    ),
    path(
        "operator/v1/price_proposals/<str:price_proposal_id>/approve",
        proposals.PriceProposalApproveView.as_view(),
    ),
    path(
        "operator/v1/price_proposals/<str:price_proposal_id>/refuse",
        proposals.PriceProposalRefuseView.as_view(),
    ),
    path(
        "operator/v1/price_proposals/<str:price_proposal_id>/end",
        proposals.PriceProposalEndView.as_view(),
    ),
    path("operator/v1/contracts", contracts.ContractsView.as_view()),
    path("operator/v1/contracts/<str:contract_id>", contracts.ContractView.as_view()),
    path("operator/v1/contracts/<str:contract_id>/end", contracts.ContractEndView.as_view()),
    path(
        "operator/v1/contracts/<str:contract_id>/subscription",
        stripe.ContractSubscriptionView.as_view(),
    ),
    path(
        "operator/v1/contracts/<str:contract_id>/subscription/cancel",
        stripe.ContractSubscriptionCancelView.as_view(),
    ),
]
_money = [
    path("operator/v1/grants", money_in.GrantsView.as_view()),
    path("operator/v1/payments", money_in.PaymentsView.as_view()),
    path("operator/v1/payments/<str:payment_id>/refunds", money_in.PaymentRefundView.as_view()),
    path("operator/v1/bank_transfers", money_in.BankTransfersView.as_view()),
    path(
        "operator/v1/bank_transfers/<str:transfer_id>/assign",
        money_in.BankTransferAssignView.as_view(),
    ),
]
_statements = [
    path("operator/v1/statements", statements.StatementsView.as_view()),
    path(
        "operator/v1/statements/<str:statement_id>/approval",
        statements.StatementApprovalView.as_view(),
    ),
    path(
        "operator/v1/statements/<str:statement_id>/approve",
        statements.StatementApproveView.as_view(),
    ),
    path(
        "operator/v1/statements/<str:statement_id>/finalise",
        statements.StatementFinaliseView.as_view(),
    ),
    path(
        "operator/v1/statements/<str:statement_id>/rerate", statements.StatementRerateView.as_view()
    ),
    path("operator/v1/invoices", invoices.OperatorInvoicesView.as_view()),
    path("operator/v1/invoices/<str:invoice_id>/credit_notes", invoices.CreditNotesView.as_view()),
    path("operator/v1/invoices/<str:invoice_id>/refunds", invoices.InvoiceRefundsView.as_view()),
    path("operator/v1/invoices/<str:invoice_id>/void", invoices.InvoiceVoidView.as_view()),
    path(
        "operator/v1/invoices/<str:invoice_id>/uncollectible",
        invoices.InvoiceUncollectibleView.as_view(),
    ),
]
_books = [
    path("operator/v1/stripe/findings", stripe.StripeFindingsView.as_view()),
    path(
        "operator/v1/stripe/findings/<str:finding_id>/close",
        stripe.StripeFindingCloseView.as_view(),
    ),
    path("operator/v1/tax_rates", books.TaxRatesView.as_view()),
    path("operator/v1/ledger", books.LedgerView.as_view()),
    path("operator/v1/margins", books.MarginsView.as_view()),
    path("operator/v1/quote_errors", books.QuoteErrorsView.as_view()),
    path("operator/v1/quote_calibration", calibration.QuoteCalibrationView.as_view()),
]
_market = [
    path("operator/v1/market/trends", market.MarketTrendsView.as_view()),
    path("operator/v1/market/positions", market.MarketPositionsView.as_view()),
    path("operator/v1/market/products", market_records.MarketProductsView.as_view()),
    path(
        "operator/v1/market/products/<str:product_id>", market_records.MarketProductView.as_view()
    ),
    path("operator/v1/market/moves", market_records.MarketMovesView.as_view()),
    path("operator/v1/market/imports", market_records.MarketImportsView.as_view()),
    path("operator/v1/market/offers", market_records.MarketOffersView.as_view()),
    path("operator/v1/market/offers/<str:base>", market_records.MarketOfferView.as_view()),
    path("operator/v1/market/alerts", market_records.MarketAlertsView.as_view()),
    path(
        "operator/v1/market/alerts/<str:alert_id>/see", market_records.MarketAlertSeeView.as_view()
    ),
    path(
        "operator/v1/market/alerts/<str:alert_id>/resend",
        market_records.MarketAlertResendView.as_view(),
    ),
    path("operator/v1/campaigns", campaigns.CampaignsView.as_view()),
    path("operator/v1/campaigns/draft", campaigns.CampaignDraftView.as_view()),
    path("operator/v1/campaigns/<str:campaign_id>", campaigns.CampaignView.as_view()),
    path("operator/v1/campaigns/<str:campaign_id>/cancel", campaigns.CampaignCancelView.as_view()),
    path("operator/v1/campaigns/<str:campaign_id>/result", campaigns.CampaignResultView.as_view()),
    path(
        "operator/v1/campaigns/<str:campaign_id>/propose", campaigns.CampaignProposeView.as_view()
    ),
    path(
        "operator/v1/campaigns/<str:campaign_id>/outcome",
        campaign_outcomes.CampaignOutcomeView.as_view(),
    ),
    path(
        "operator/v1/campaigns/<str:campaign_id>/outcome/plot",
        campaign_outcomes.CampaignOutcomePlotView.as_view(),
    ),
    path("operator/v1/campaigns/<str:campaign_id>/brief", campaigns.CampaignBriefView.as_view()),
    path(
        "operator/v1/campaigns/<str:campaign_id>/plots/<str:name>",
        campaigns.CampaignPlotView.as_view(),
    ),
]
_partners = [
    path("operator/v1/listings", partners.OperatorListingsView.as_view()),
    path("operator/v1/listings/<str:listing_id>/check", partners.ListingCheckView.as_view()),
    path("operator/v1/listings/<str:listing_id>/approve", partners.ListingApproveView.as_view()),
    path("operator/v1/listings/<str:listing_id>/publish", partners.ListingPublishView.as_view()),
    path("operator/v1/listings/<str:listing_id>/suspend", partners.ListingSuspendView.as_view()),
    path("operator/v1/listings/<str:listing_id>/refuse", partners.ListingRefuseView.as_view()),
    path("operator/v1/agreements", partners.OperatorAgreementsView.as_view()),
    path("operator/v1/agreements/end", partners.AgreementEndView.as_view()),
    path("operator/v1/partner_statements", partners.OperatorPartnerStatementsView.as_view()),
    path("operator/v1/payouts", partners.OperatorPayoutsView.as_view()),
    path("operator/v1/payouts/<str:payout_id>/confirm", partners.PayoutConfirmView.as_view()),
]
operator_urls: list[URLPattern] = [
    *_work,
    *_prices,
    *_money,
    *_statements,
    *_books,
    *_market,
    *_partners,
]
