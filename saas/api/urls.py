"""The REST API's routes. The gateway's three (chat, completions, embeddings) lie before Django."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerView

from saas.api.health import healthz
from saas.api.openai import files, fine_tuning, models, organization, uploads
from saas.api.operator.urls import operator_urls
from saas.api.platform import (
    api_keys,
    budgets,
    card_payments,
    compressions,
    datasets,
    deployments,
    evaluations,
    exports,
    invoice_documents,
    invoices,
    members,
    organisation_settings,
    partner,
    pipelines,
    plugins,
    prices,
    quotes,
    recipes,
    services,
    sign_up,
    tax_profile,
    usage,
    usage_events,
    wallet,
)

_files = [
    path("v1/files", files.FilesView.as_view()),
    path("v1/files/<str:file_id>", files.FileView.as_view()),
    path("v1/files/<str:file_id>/content", files.FileContentView.as_view()),
    path("v1/uploads", uploads.UploadsView.as_view()),
    path("v1/uploads/<str:upload_id>/parts", uploads.UploadPartsView.as_view()),
    path("v1/uploads/<str:upload_id>/complete", uploads.UploadCompleteView.as_view()),
    path("v1/uploads/<str:upload_id>/cancel", uploads.UploadCancelView.as_view()),
]
_models = [
    path("v1/models", models.ModelsView.as_view()),
    path("v1/models/<path:model>/download", models.ModelDownloadView.as_view()),
    path("v1/models/<path:model>", models.ModelView.as_view()),
    path("v1/datasets", datasets.DatasetsView.as_view()),
    path("v1/datasets/import", datasets.DatasetImportView.as_view()),
    path("v1/datasets/prepare", datasets.DatasetPrepareView.as_view()),
    path("v1/datasets/<str:dataset_id>", datasets.DatasetView.as_view()),
]
_jobs = [
    path("v1/fine_tuning/recipes", recipes.RecipesView.as_view()),
    path("v1/fine_tuning/jobs", fine_tuning.JobsView.as_view()),
    path("v1/fine_tuning/jobs/<str:job_id>", fine_tuning.JobView.as_view()),
    path("v1/fine_tuning/jobs/<str:job_id>/cancel", fine_tuning.JobCancelView.as_view()),
    path("v1/fine_tuning/jobs/<str:job_id>/pause", fine_tuning.JobPauseView.as_view()),
    path("v1/fine_tuning/jobs/<str:job_id>/resume", fine_tuning.JobResumeView.as_view()),
    path("v1/fine_tuning/jobs/<str:job_id>/events", fine_tuning.JobEventsView.as_view()),
    path("v1/fine_tuning/jobs/<str:job_id>/checkpoints", fine_tuning.JobCheckpointsView.as_view()),
    path("v1/quotes", quotes.QuotesView.as_view()),
    path("v1/quotes/<str:quote_id>", quotes.QuoteView.as_view()),
    path("v1/evaluations", evaluations.EvaluationsView.as_view()),
    path("v1/evaluations/<str:evaluation_id>", evaluations.EvaluationView.as_view()),
    path("v1/evaluations/<str:evaluation_id>/cancel", evaluations.EvaluationCancelView.as_view()),
    path("v1/compressions", compressions.CompressionsView.as_view()),
    path("v1/compressions/<str:compression_id>", compressions.CompressionView.as_view()),
    path(
        "v1/compressions/<str:compression_id>/cancel", compressions.CompressionCancelView.as_view()
    ),
    path(
        "v1/compressions/<str:compression_id>/events", compressions.CompressionEventsView.as_view()
    ),
    path(
        "v1/compressions/<str:compression_id>/results",
        compressions.CompressionResultsView.as_view(),
    ),
    path("v1/compressions/<str:compression_id>/plot", compressions.CompressionPlotView.as_view()),
]
_serving = [
    path("v1/deployments", deployments.DeploymentsView.as_view()),
    path("v1/deployments/<str:deployment_id>", deployments.DeploymentView.as_view()),
    path("v1/deployments/<str:deployment_id>/wake", deployments.DeploymentWakeView.as_view()),
    path("v1/deployments/<str:deployment_id>/sleep", deployments.DeploymentSleepView.as_view()),
]
_usage = [
    path("v1/usage", usage.UsageEventsView.as_view()),
    path("v1/usage/events", usage_events.UsageIngestionView.as_view()),
    path("v1/organization/settings", organisation_settings.SettingsView.as_view()),
    path("v1/organization/costs", organization.CostsView.as_view()),
    *(
        path(f"v1/organization/usage/{kind}", view.as_view())
        for kind, view in organization.USAGE_VIEWS.items()
    ),
]
_money = [
    path("v1/wallet", wallet.WalletView.as_view()),
    path("v1/wallet/transactions", wallet.WalletTransactionsView.as_view()),
    path("v1/prices", prices.PricesView.as_view()),
    path("v1/wallet/top_ups", card_payments.CardTopUpsView.as_view()),
    path("v1/payment_methods", card_payments.PaymentMethodsView.as_view()),
    path("v1/billing_portal", card_payments.BillingPortalView.as_view()),
    path("v1/payment_visits/<str:visit_id>", card_payments.PaymentVisitView.as_view()),
    path("v1/tax_profile", tax_profile.TaxProfileView.as_view()),
    path("v1/budgets", budgets.BudgetsView.as_view()),
    path("v1/budgets/<str:budget_id>", budgets.BudgetView.as_view()),
    path("v1/invoices", invoices.InvoicesView.as_view()),
    path("v1/invoices/upcoming", invoice_documents.InvoiceUpcomingView.as_view()),
    path("v1/invoices/<str:invoice_id>", invoices.InvoiceView.as_view()),
    path("v1/invoices/<str:invoice_id>/pdf", invoice_documents.InvoicePdfView.as_view()),
    path("v1/invoices/<str:invoice_id>/csv", invoice_documents.InvoiceCsvView.as_view()),
    path(
        "v1/invoices/<str:invoice_id>/lines/<str:line_id>",
        invoice_documents.InvoiceLineView.as_view(),
    ),
    path("v1/exports/focus", exports.FocusExportView.as_view()),
]
_marketplace = [
    path("v1/marketplace/plugins", plugins.MarketplacePluginsView.as_view()),
    path("v1/plugins", plugins.PluginsView.as_view()),
    path("v1/plugins/<str:installation_id>", plugins.PluginView.as_view()),
    path("v1/plugins/<str:installation_id>/upgrade", plugins.PluginUpgradeView.as_view()),
    path("v1/plugins/<str:installation_id>/roll_back", plugins.PluginRollBackView.as_view()),
    path("v1/pipelines", pipelines.PipelinesView.as_view()),
    path("v1/pipelines/<str:pipeline_id>", pipelines.PipelineView.as_view()),
    path("v1/pipelines/<str:pipeline_id>/cancel", pipelines.PipelineCancelView.as_view()),
    path("v1/pipelines/<str:pipeline_id>/pause", pipelines.PipelinePauseView.as_view()),
    path("v1/pipelines/<str:pipeline_id>/resume", pipelines.PipelineResumeView.as_view()),
    path("v1/pipelines/<str:pipeline_id>/events", pipelines.PipelineEventsView.as_view()),
    path("v1/services", services.ServicesView.as_view()),
    path("v1/orders", services.OrdersView.as_view()),
    path("v1/orders/<str:order_id>", services.OrderView.as_view()),
    path("v1/orders/<str:order_id>/agree", services.OrderAgreeView.as_view()),
    path("v1/orders/<str:order_id>/confirm", services.OrderConfirmView.as_view()),
    path("v1/orders/<str:order_id>/reject", services.OrderRejectView.as_view()),
    path("v1/orders/<str:order_id>/cancel", services.OrderCancelView.as_view()),
    path("v1/orders/<str:order_id>/rating", services.OrderRateView.as_view()),
]
_partner = [
    path("v1/partner/listings", partner.PartnerListingsView.as_view()),
    path("v1/partner/listings/<str:listing_id>", partner.PartnerListingView.as_view()),
    path("v1/partner/agreements", partner.PartnerAgreementsView.as_view()),
    path("v1/partner/balances", partner.PartnerBalanceView.as_view()),
    path("v1/partner/statements", partner.PartnerStatementsView.as_view()),
    path("v1/partner/payouts", partner.PartnerPayoutsView.as_view()),
    path("v1/partner/plugins", partner.PartnerPluginsView.as_view()),
    path("v1/partner/orders", partner.PartnerOrdersView.as_view()),
    path("v1/partner/orders/<str:sold_order_id>/quote", partner.PartnerOrderQuoteView.as_view()),
    path("v1/partner/orders/<str:sold_order_id>/accept", partner.PartnerOrderAcceptView.as_view()),
    path(
        "v1/partner/orders/<str:sold_order_id>/decline", partner.PartnerOrderDeclineView.as_view()
    ),
    path(
        "v1/partner/orders/<str:sold_order_id>/deliver", partner.PartnerOrderDeliverView.as_view()
    ),
]
_accounts = [
    path("v1/sign_up", sign_up.SignUpView.as_view()),
    path("v1/api_keys", api_keys.ApiKeysView.as_view()),
    path("v1/api_keys/<str:api_key_id>", api_keys.ApiKeyView.as_view()),
    path("v1/api_keys/<str:api_key_id>/rotate", api_keys.ApiKeyRotateView.as_view()),
    path("v1/members", members.MembersView.as_view()),
    path("v1/members/<str:member_id>", members.MemberView.as_view()),
]
_documents = [
    path("openapi.json", SpectacularJSONAPIView.as_view(), name="openapi"),
    path("docs", SpectacularSwaggerView.as_view(url_name="openapi"), name="docs"),
    path("healthz", healthz),
]

urlpatterns: list[URLPattern | URLResolver] = [
    *_files,
    *_models,
    *_jobs,
    *_serving,
    *_usage,
    *_money,
    *_marketplace,
    *_partner,
    *operator_urls,
    *_accounts,
    *_documents,
]
