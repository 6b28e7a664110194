"""What can go wrong inside the engine, each with the kind of failure that it is. Free of torch."""

from __future__ import annotations


class EngineError(Exception):
    """An error whose message tells a person what is wrong, where, and what to do.

    `code` is stable; callers match codes, never prose. `customers` says whose failure it is: data
    and settings are the customer's and never retried, the rest is the platform's.
    """

    code = "engine_error"
    customers = False


class DataError(EngineError):
    """The training data cannot be used as it is."""

    code = "invalid_data"
    customers = True


class DivergedError(EngineError):
    """The loss or the gradient stopped being a number."""

    code = "diverged"
    customers = True


class TemplateError(EngineError):
    """A chat template cannot render these messages, or not in a way that training can follow."""

    code = "invalid_template"
    customers = True


class SnapshotError(EngineError):
    """A snapshot is torn, altered or made by something else."""

    code = "invalid_snapshot"


class ModelError(EngineError):
    """A model folder cannot be loaded."""

    code = "invalid_model"


class AdapterError(EngineError):
    """An adapter folder cannot be loaded, or does not fit its base."""

    code = "invalid_adapter"


class OutOfMemoryError(EngineError):
    """One example alone does not fit in memory."""

    code = "out_of_memory"


class ContextError(EngineError):
    """A text is longer than the model holds."""

    code = "context_length_exceeded"
    customers = True
