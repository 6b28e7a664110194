"""What is not needed to run, and whether it is there."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator

from saas.doctor.engine import engine_facts
from saas.doctor.files import storage_name
from saas.doctor.findings import Finding, good, off, warning
from saas.settings.environment import value


def optional_check() -> Iterator[Finding]:
    yield _gpu()
    yield _tpu()
    yield _object_storage()
    yield _stripe()


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


def _object_storage() -> Finding:
    backend = storage_name()
    if "s3" in backend.lower():
        return good("S3", f"files go to {backend}")
    return off("S3", "files lie in a local folder", "set STORAGE_BACKEND for more than one machine")


def _stripe() -> Finding:
    if value("STRIPE_SECRET_KEY"):
        return good("Stripe", "a key is set")
    return off("Stripe", "not configured: invoices are settled by hand", "set STRIPE_SECRET_KEY")
