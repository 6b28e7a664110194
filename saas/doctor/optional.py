"""What is not needed to run, and whether it is there."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from urllib.parse import urlsplit

from django.conf import settings

from saas.doctor.engine import engine_facts
from saas.doctor.files import storage_name
from saas.doctor.findings import Finding, failed, good, off, warning
from tenants.billing.stripe.client import API_VERSION, StripeOff, stripe_is_on, stripe_mode
from tenants.billing.stripe.selectors import findings_open
from tenants.kernel.errors import InvalidInput
from tenants.kernel.scope import system_scope
from tenants.kernel.webhooks import endpoint_check
from tenants.market.selectors import deliveries_dead
from tenants.market.webhook import endpoint


def optional_check() -> Iterator[Finding]:
    yield _gpu()
    yield _tpu()
    yield _speech()
    yield _object_storage()
    yield _stripe()
    yield _alert_webhook()


def _gpu() -> Finding:
    try:
        names = [device["name"] for device in engine_facts()["accelerators"]]
    except RuntimeError:
        names = []
    if names:
        return good("GPU", ", ".join(names))
    if shutil.which("nvidia-smi"):
        return warning(
            "GPU",
            "there is one, but this torch cannot use it",
            "install the CUDA build of the pinned torch version",
        )
    return off("GPU", "none on this machine; jobs run on the processor")


def _tpu() -> Finding:
    if importlib.util.find_spec("torch_xla"):
        return good("TPU", "torch_xla is installed")
    return off("TPU", "no torch_xla", "install torch_xla on a TPU machine to offer the class tpu")


def _speech() -> Finding:
    """Recordings are read by a library that comes along; a voice is for tests to listen to."""
    if shutil.which("espeak-ng"):
        return good("speech", "espeak-ng speaks the digits that tests learn to understand")
    return off(
        "speech",
        "no espeak-ng: recordings are trained on all the same, tests of speech are not run",
        "install the system package espeak-ng to run `make test-all`",
    )


def _object_storage() -> Finding:
    backend = storage_name()
    if "s3" in backend.lower():
        return good("S3", f"files go to {backend}")
    return off("S3", "files lie in a local folder", "set STORAGE_BACKEND for more than one machine")


def _stripe() -> Finding:
    """What the settings say. Nothing is sent: doctor must answer without a network."""
    if not stripe_is_on():
        return off(
            "Stripe",
            "not configured: invoices are settled by bank transfer",
            "set STRIPE_SECRET_KEY",
        )
    try:
        mode = stripe_mode()
    except StripeOff as refused:
        return failed("Stripe", "the key may not be used", refused.message)
    if not settings.STRIPE_WEBHOOK_SECRET:
        return warning(
            "Stripe",
            f"{mode} mode, without webhooks: payments are seen by the daily reconciliation only",
            f"add {settings.BASE_URL}/webhooks/stripe in Stripe; set STRIPE_WEBHOOK_SECRET",
        )
    with system_scope():
        count = findings_open().count()
    if count:
        return warning("Stripe", f"{mode} mode; {count} findings are open", "see operations")
    return good("Stripe", f"{mode} mode, API version {API_VERSION}")


def _alert_webhook() -> Finding:
    """What the settings say, and what was given up. Nothing is sent."""
    target = endpoint()
    if target is None:
        return off(
            "alert webhook",
            "not configured: alerts on rivals are on the page Market alerts only",
            "set ALERT_WEBHOOK_URL and ALERT_WEBHOOK_SECRET",
        )
    try:
        endpoint_check(target)
    except InvalidInput as refused:
        name = "ALERT_WEBHOOK_SECRET" if refused.param == "secret" else "ALERT_WEBHOOK_URL"
        return failed("alert webhook", f"{name} cannot be used", refused.message)
    with system_scope():
        count = deliveries_dead().count()
    if count:
        return warning("alert webhook", f"{count} alerts were given up", "see Market alerts")
    return good("alert webhook", f"alerts on rivals go to {urlsplit(target.url).netloc}")
