"""What a compression came to, as its job's page shows it: before and after, and the search."""

from __future__ import annotations

from typing import Any

from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy as _

from saas.console.columns import as_number, as_size
from saas.console.words import WEIGHT_FORMATS
from saas.pareto import pareto_svg
from workers.engine.compression.specs import GPU_FORMATS
from workers.jobs.models import Job
from workers.jobs.states import Kind, State


def compression_shown(job: Job) -> dict[str, Any] | None:
    """Figures, the plot and whether the target was reached; None while there is no result."""
    if job.kind != Kind.COMPRESS or job.state != State.SUCCEEDED:
        return None
    search = job.result["report"].get("search")
    return {
        "figures": [line for line in map(_line(job.result["metrics"]), _FIGURES) if line],
        "plot": _plot(search) if search else None,
        "search": search,
        "masked": "masked_weights" in job.result["report"],
        "rounded": _rounded(job.result["report"]),
        "adapters": [
            (each["model"], each["carried_from"], f"{each['error']:.1%}")
            for each in job.result.get("adapters", [])
        ],
    }


def _rounded(report: dict[str, Any]) -> dict[str, Any] | None:
    """What the weights were rounded to, and what that took; None where they were not."""
    kind = report["settings"]["quantise"]
    if kind == "none":
        return None
    errors = report.get("quantisation_errors") or {"": 0.0}
    layer = max(errors, key=errors.__getitem__)
    return {
        "to": WEIGHT_FORMATS[kind],
        "layer": layer,
        "lost": f"{errors[layer]:.2%}",
        "timed_on_cpu": kind in GPU_FORMATS and report.get("device") == "cpu",
        "turned_back": list(report.get("not_accelerated", ())),
    }


def _figure(value: float) -> str:
    return f"{value:.4g}"


METRICS = {
    "perplexity": _("Perplexity"),
    "accuracy": _("Accuracy"),
    "mrr": _("Mean reciprocal rank"),
    "mse": _("Mean squared error"),
    "r2": _("Variance explained (R²)"),
}
_FIGURES = (
    ("parameters", _("Parameters"), as_number),
    ("bytes", _("Size"), as_size),
    ("latency_ms", _("Time of a pass"), lambda value: f"{value:.2f} ms"),
    *((name, label, _figure) for name, label in METRICS.items()),
)


def _line(metrics: dict[str, float]) -> Any:
    def line(figure: Any) -> tuple[Any, str, str, str] | None:
        name, label, shown = figure
        before, after = metrics.get(f"dense_{name}"), metrics.get(name)
        if before is None or after is None:
            return None
        return label, shown(before), shown(after), f"{after / before:.0%}" if before else "–"

    return line


def _plot(search: dict[str, Any]) -> Any:
    """The candidates, drawn; numbers and the engine's own words only."""
    by_bytes = search["target"]["bytes"] and not search["target"]["latency"]
    cost = _("Bytes, of the whole model's") if by_bytes else _("Time, of the whole model's")
    lost = _("Quality lost: %(metric)s") % {"metric": METRICS[search.get("metric", "perplexity")]}
    drawn = pareto_svg(search, cost=str(cost), loss=lost)
    return mark_safe(drawn)  # noqa: S308 -- `pareto_svg` escapes what it writes
