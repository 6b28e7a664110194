"""The services that the operator itself sells; prices are the operator's to set."""

from __future__ import annotations

from plugins.sdk import Service, hookimpl

CATALOGUE = (
    Service(
        "support_standard",
        "Standard support",
        "Questions by e-mail, answered within two working days.",
        "monthly",
    ),
    Service(
        "support_priority",
        "Priority support",
        "A named engineer; incidents answered within four hours, day and night.",
        "monthly",
    ),
    Service(
        "onboarding_training",
        "Onboarding training",
        "Two days with your team: from your data to a fine-tuned model in production.",
        "once",
    ),
    Service(
        "consulting",
        "Consulting",
        "Choice of model, preparation of data, compression, cost.",
        "hourly",
    ),
)


@hookimpl
def services() -> tuple[Service, ...]:
    """Quoted on request: this installation's own price is agreed with each customer."""
    return CATALOGUE
