"""Settings of a fine-tune that are given to GPU workers alone."""

from __future__ import annotations

from tenants.kernel.errors import InvalidInput
from workers.engine.specs import FineTuneSpec
from workers.engine.unfit import gpu_setting
from workers.jobs.offers import offers_now

ANY, GPU = "any", "gpu"


def device_for(settings: FineTuneSpec, device: str) -> str:
    """The device that a fine-tune is for: `device`, or a GPU where a setting is for those alone.

    Raises InvalidInput, naming the setting, where another is asked for, or no GPU is on offer.
    """
    found = gpu_setting(settings)
    if found is None:
        return device
    name, value = found
    if device not in {ANY, GPU}:
        raise InvalidInput(
            f"{name}: {value!r} is for GPU workers, and device asks for {device!r}; leave one out",
            param=name,
        )
    if GPU not in {offer.worker_class for offer in offers_now()}:
        raise InvalidInput(
            f"{name}: {value!r} is for GPU workers, and this platform has none; leave {name} out",
            param=name,
            code="no_gpu_workers",
        )
    return GPU
