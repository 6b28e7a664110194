"""Everything a plugin imports. What is not in `__all__` may change without notice."""

from plugins.sdk.contracts import (
    CampaignPolicy,
    CampaignStep,
    Claim,
    DatasetReader,
    Handle,
    JobFinished,
    Meter,
    MeterTotal,
    Method,
    Page,
    Panel,
    Pipeline,
    Price,
    Quote,
    QuoteAdjustment,
    Service,
    Step,
    StepResult,
    UsageRecorded,
)
from plugins.sdk.errors import (
    Cancelled,
    ContractError,
    HandleRefused,
    ManifestError,
    PluginError,
)
from plugins.sdk.manifest import Manifest, Sample
from plugins.sdk.markers import hookimpl
from plugins.sdk.version import SDK_VERSION
from plugins.sdk.work import Work

__all__ = [
    "SDK_VERSION",
    "CampaignPolicy",
    "CampaignStep",
    "Cancelled",
    "Claim",
    "ContractError",
    "DatasetReader",
    "Handle",
    "HandleRefused",
    "JobFinished",
    "Manifest",
    "ManifestError",
    "Meter",
    "MeterTotal",
    "Method",
    "Page",
    "Panel",
    "Pipeline",
    "PluginError",
    "Price",
    "Quote",
    "QuoteAdjustment",
    "Sample",
    "Service",
    "Step",
    "StepResult",
    "UsageRecorded",
    "Work",
    "hookimpl",
]
