"""What states, kinds, roles and meters are called on a page, in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

Word = str | Promise

JOB_STATES: Mapping[str, Word] = {
    "validating": _("Validating"),
    "queued": _("Queued"),
    "running": _("Running"),
    "pausing": _("Pausing"),
    "paused": _("Paused"),
    "cancelling": _("Cancelling"),
    "succeeded": _("Succeeded"),
    "failed": _("Failed"),
    "cancelled": _("Cancelled"),
}
JOB_KINDS: Mapping[str, Word] = {
    "fine_tune": _("Fine-tune"),
    "compress": _("Compress"),
    "evaluate": _("Evaluate"),
    "batch": _("Batch"),
    "serve": _("Serve"),
    "pipeline": _("Pipeline"),
    "campaign": _("Campaign"),
    "procure": _("Purchase plan"),
}
OUTCOMES: Mapping[str, Word] = {
    "": _("Under way"),
    "succeeded": _("Succeeded"),
    "failed": _("Failed"),
    "lost": _("Lost"),
    "handed_back": _("Handed back"),
    "paused": _("Paused"),
    "cancelled": _("Cancelled"),
}
FILE_STATES: Mapping[str, Word] = {
    "uploaded": _("Uploaded"),
    "processed": _("Processed"),
    "error": _("Error"),
}
DATASET_STATES: Mapping[str, Word] = {
    "validating": _("Validating"),
    "valid": _("Valid"),
    "invalid": _("Invalid"),
}
VERSION_KINDS: Mapping[str, Word] = {
    "adapter": _("Adapter"),
    "full": _("Full"),
    "merged": _("Merged"),
    "pruned": _("Pruned"),
    "quantised": _("Quantised"),
}
WEIGHT_FORMATS: Mapping[str, Word] = {
    "none": _("Nothing: they stay as they are"),
    "int8_dynamic": _("8-bit integers, activations too: the fastest on a CPU"),
    "int8_weight": _("8-bit integers: fewer bytes"),
    "float8_dynamic": _("8-bit floating point, activations too: for the latest GPUs"),
    "float8_weight": _("8-bit floating point: fewer bytes, for GPUs"),
    "int4_weight": _("4-bit integers: the fewest bytes, for GPUs"),
}
BASE_KINDS: Mapping[str, Word] = {
    "text_generation": _("Text generation"),
    "tabular": _("Tables"),
    "image": _("Images"),
    "audio": _("Recordings"),
    "embedding": _("Embedding"),
}
DEPLOYMENT_STATES: Mapping[str, Word] = {
    "asleep": _("Asleep"),
    "waking": _("Waking"),
    "ready": _("Ready"),
    "failed": _("Failed"),
    "deleted": _("Deleted"),
}
ROLES: Mapping[str, Word] = {
    "owner": _("Owner"),
    "admin": _("Admin"),
    "developer": _("Developer"),
    "billing": _("Billing"),
    "viewer": _("Viewer"),
}
ACTOR_KINDS: Mapping[str, Word] = {
    "member": _("Member"),
    "api_key": _("API key"),
    "operator": _("Operator"),
    "system": _("Platform"),
}
TENANT_STATES: Mapping[str, Word] = {
    "active": pgettext_lazy("organisation", "Active"),
    "suspended": _("Suspended"),
    "closed": _("Closed"),
}
COST_PURPOSES: Mapping[str, Word] = {
    "job": _("Job"),
    "idle": _("Idle"),
    "startup": _("Start-up"),
    "retry": _("Retry"),
}
METERS: Mapping[str, Word] = {
    "tokens.input": _("Input tokens"),
    "tokens.output": _("Output tokens"),
    "tokens.cached": _("Cached tokens"),
    "tokens.trained": _("Trained tokens"),
    "tokens.embedded": _("Embedded tokens"),
    "tokens.evaluated": _("Evaluated tokens"),
    "requests": _("Requests"),
    "storage.gb_hours": _("Storage (GB hours)"),
    "deployment.hours": _("Deployment hours"),
    "slot.seconds": _("Worker seconds"),
    "plugin.units": _("Plugin units"),
    "service.units": _("Service units"),
}

# The colour that a state has everywhere (unfold's label variants).
TONES: Mapping[str, str] = {
    "running": "info", "validating": "info", "waking": "info", "starting": "info",
    "succeeded": "success", "ready": "success", "valid": "success", "processed": "success",
    "active": "success", "delivered": "success",
    "failed": "danger", "error": "danger", "invalid": "danger", "lost": "danger",
    "closed": "danger", "revoked": "danger",
    "pausing": "warning", "paused": "warning", "cancelling": "warning", "suspended": "warning",
    "draining": "warning", "expired": "warning",
    "paid": "success", "final": "success", "matched": "success", "published": "success",
    "open": "info", "grace": "warning", "unmatched": "warning", "uncollectible": "danger",
    "ample": "success", "near": "warning", "passed": "danger", "suspend": "danger",
    "remind": "warning", "close": "danger",
}  # fmt: skip
