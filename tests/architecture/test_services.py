"""Every write says who acts, or for whom: services take keywords, among them actor or tenant."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.architecture.sources import ROOT, module_name, source_files, tree_of

WHO = {"actor", "tenant_id"}

# function → why nobody acts, or for whom it is known otherwise
EXEMPT = {
    "tenants.accounts.services.tenant_sign_up": "there is no tenant yet; it makes the first actor",
    "tenants.accounts.services.platform_tenant_ensure": "the platform makes itself",
    "tenants.accounts.services.user_create": "a user belongs to no tenant yet",
    "tenants.accounts.services.api_key_touch": "remembers a use; the key's row names its tenant",
    "tenants.billing.services.tax.taxes_apply": "for every tenant that has a tax profile",
    "tenants.costs.services.slot_time_record": "workers' clocks speak; each entry names its tenant",
    "tenants.costs.services.resources_ensure": "the platform's own price list, the same for all",
    "tenants.ledger.services.credit.grants_expire": "sweeps all tenants; each grant names its own",
    "tenants.ledger.services.holds.holds_expire": "sweeps all tenants; each hold names its own",
    "tenants.market.services.telling.alert_tell": "the outbox hands on the platform's own alert",
    "tenants.market.services.telling.alerts_send": "every alert that waits; all are the platform's",
    "tenants.marketplace.services.listings.listing_follow_suspension": "the release names its own",
    "tenants.marketplace.services.reviews.review_claim": "each listing names its partner",
    "tenants.marketplace.services.reviews.review_end": "its listing names its partner",
    "tenants.marketplace.services.reviews.review_run": "its listing names its partner",
    "tenants.marketplace.services.reviews.reviews_run": "sweeps all listings that wait",
    "tenants.marketplace.services.reviews.reviews_waiting": "reads over all listings",
    "tenants.partners.services.health.health_record": "counts calls over all tenants",
    "tenants.partners.services.reactions.reactions_call": "every tenant's; each row names its own",
    "tenants.marketplace.services.statements.partners_advance": "every partner's, as shares say",
    "tenants.pricing.services.books.price_books_ensure": "the list's first prices, for all",
    "tenants.pricing.services.charges.usage_charges": "each request names its tenant",
    "tenants.pricing.services.contracts.contracts_apply": "every tenant's, as its contract says",
    "tenants.pricing.services.findings.floors_sweep": "all prices; what it finds is the platform's",
    "tenants.pricing.services.losses.losses_record": "every proposal's and budget's, as lines say",
    "tenants.pricing.services.proposals.price_proposals_advance": "all that are due, as dated",
    "tenants.pricing.services.sweep.usage_sweep": "every tenant's, as its usage says",
    "tenants.pricing.services.welcome.customer_sign_up": "there is no tenant yet",
    "workers.assets.services.base_models.base_model_measure": "of the machine; bases are nobody's",
    "workers.assets.services.base_models.base_model_measure_next": "as the one above, of any",
    "workers.assets.services.base_models.base_model_register": "typed on the machine; audited",
    "workers.assets.services.base_models.base_model_verify": "reads only; bases are nobody's",
    "workers.jobs.services.job_take_up": "the job names its tenant; its data have been read",
    "workers.waste.services.waste_measure": "every finding's; each names its own subject",
    "workers.waste.services.waste_sweep": "every tenant's, as the facts say",
    "workers.serving.services.base_deployments_ensure": "for the platform's tenant, `platform_id`",
}

# pure checks beside the services that they serve: they write nothing
PURE = {
    "tenants.billing.services.invoices.require_payable",
    "tenants.billing.services.refunds.cash_available",
    "workers.assets.services.datasets.dataset_conclude",
    "workers.assets.services.datasets.dataset_require_valid",
    "workers.assets.services.datasets.found",
    "workers.assets.services.files.refuse_purpose",
    "workers.assets.services.files.clean_media_type",
    "workers.assets.services.files.removed_on_error",
    "workers.jobs.services.checked_metadata",
    "workers.serving.services.target_of",
}


def service_files() -> list[Path]:
    return [
        path
        for path in source_files()
        if path.stem == "services" or (path.parent.name == "services" and path.stem != "__init__")
        if path.relative_to(ROOT).parts[0] in {"tenants", "workers"}
    ]


def services() -> dict[str, ast.FunctionDef]:
    """Public functions of the service modules, by dotted name."""
    return {
        f"{module_name(path)}.{node.name}": node
        for path in service_files()
        for node in tree_of(path).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


def test_there_are_services_to_look_at() -> None:
    assert "tenants.accounts.services.api_key_create" in services()


def test_services_take_keywords_only() -> None:
    positional = {name for name, node in services().items() if node.args.args}
    assert positional - PURE == set()


def test_every_service_says_who_acts_or_for_whom() -> None:
    nameless = {
        name
        for name, node in services().items()
        if not WHO & {argument.arg for argument in node.args.kwonlyargs}
    }
    assert nameless - EXEMPT.keys() - PURE == set()


def test_no_exemption_outlives_its_reason() -> None:
    known = services()
    assert known.keys() >= PURE
    stale = {
        name
        for name in EXEMPT
        if name not in known or WHO & {a.arg for a in known[name].args.kwonlyargs}
    }
    assert stale == set()


def test_every_service_has_a_docstring_or_a_name_that_needs_none() -> None:
    silent = {
        name
        for name, node in services().items()
        if not ast.get_docstring(node) and len(node.body) > 3
    }
    assert silent == set()
