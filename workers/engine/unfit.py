"""Settings that are right by themselves and yet do not go with their task. Free of torch."""

from __future__ import annotations

from workers.engine.specs import FEW_BITS, EvaluateSpec, FineTuneSpec, SpecError

TRAINED_WHOLE = {  # no adapters so far
    "audio_classification": "classifiers are trained whole so far; give 'full'.",
    "embeddings": "encoders are trained whole so far; give 'full'.",
    "image_classification": "classifiers are trained whole so far; give 'full'.",
    "tabular": "tables are trained whole; give 'full'.",
    "text_classification": "classifiers are trained whole so far; give 'full'.",
}
NEVER_SPLIT = {
    "audio_classification": "a recording has one class; give 'error' or 'truncate'.",
    "embeddings": "a text has one vector; give 'error' or 'truncate'.",
    "image_classification": "an image has one class; give 'error' or 'truncate'.",
    "preference": "a pair is one; give 'error' or 'truncate'.",
    "text_classification": "a text has one class; give 'error' or 'truncate'.",
}


def refuse_unfit(spec: FineTuneSpec | EvaluateSpec) -> None:
    """Refuse settings that the task cannot be done with.

    Raises:
        SpecError: names the setting, and what to give.
    """
    if spec.length_policy == "split" and spec.task in NEVER_SPLIT:
        raise SpecError("length_policy", NEVER_SPLIT[spec.task])
    if not isinstance(spec, FineTuneSpec):
        return
    if spec.method != "full" and spec.task in TRAINED_WHOLE:
        raise SpecError("method", TRAINED_WHOLE[spec.task])
    if spec.task == "embeddings" and spec.batch_size < 2:
        raise SpecError("batch_size", "each pair learns from the others; give 2 or more.")


def gpu_setting(spec: FineTuneSpec) -> tuple[str, str] | None:
    """The setting, with its value, for which a job is given to GPUs alone; None without any.

    The arithmetic is the same on any device, and pays where memory is a GPU's.
    """
    return next((each for each in FEW_BITS.items() if getattr(spec, each[0]) == each[1]), None)
