"""A search's candidates as a drawing: cost to the right, loss of quality upwards. Pure SVG.

The drawing speaks in numbers and in the candidates' own names, so it needs no translation but its
two axes, which the caller names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT, MARGIN = 640, 400, 56
Point = Mapping[str, Any]


def pareto_svg(search: Mapping[str, Any], *, cost: str, loss: str) -> str:
    """The drawing of `report["search"]`. `cost` and `loss` are what the axes are called."""
    key = "bytes" if search["target"]["bytes"] and not search["target"]["latency"] else "latency"
    points = [*search["candidates"], *search["measured"]]
    scale = _Scale(
        widest=max([1.0, *(p[key] for p in points)]),
        highest=max([search["target"]["quality_loss"], 0.01, *(p["quality_loss"] for p in points)]),
    )
    shapes = [_frame(cost, loss, scale), _limits(search["target"], key, scale)]
    shapes.append(_line([(p[key], p["quality_loss"]) for p in search["front"]], scale))
    shapes += [_dot(point, key, scale, search["recommended"]) for point in points]
    body = "".join(shapes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'font-family="sans-serif" font-size="12">{body}</svg>'
    )


class _Scale:
    def __init__(self, *, widest: float, highest: float) -> None:
        self.widest, self.highest = widest * 1.05, highest * 1.05

    def at(self, cost: float, loss: float) -> tuple[float, float]:
        x = MARGIN + (WIDTH - 2 * MARGIN) * cost / self.widest
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * max(loss, 0.0) / self.highest
        return round(x, 1), round(y, 1)


def _frame(cost: str, loss: str, scale: _Scale) -> str:
    left, bottom = scale.at(0, 0)
    right, top = scale.at(scale.widest, scale.highest)
    ticks = "".join(_tick(scale, share) for share in (0.25, 0.5, 0.75, 1.0))
    return (
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
        f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#555"/>{ticks}'
        f'<text x="{(left + right) / 2}" y="{HEIGHT - 12}" text-anchor="middle">'
        f"{escape(cost)}</text>"
        f'<text x="{left}" y="{top - 14}">{escape(loss)}</text>'
    )


def _tick(scale: _Scale, share: float) -> str:
    x, bottom = scale.at(share, 0)
    left, y = scale.at(0, share * scale.highest)
    return (
        f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{share:.0%}</text>'
        f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{share * scale.highest:.1%}</text>'
    )


def _limits(target: Mapping[str, Any], key: str, scale: _Scale) -> str:
    """The target and the bound, dashed."""
    shapes = []
    if target[key]:
        x, bottom = scale.at(target[key], 0)
        shapes.append(f"M{x} {bottom}V{scale.at(0, scale.highest)[1]}")
    left, y = scale.at(0, target["quality_loss"])
    shapes.append(f"M{left} {y}H{scale.at(scale.widest, 0)[0]}")
    return f'<path d="{"".join(shapes)}" stroke="#b45309" stroke-dasharray="5 4" fill="none"/>'


def _line(front: Sequence[tuple[float, float]], scale: _Scale) -> str:
    places = " ".join(",".join(map(str, scale.at(cost, loss))) for cost, loss in front)
    return f'<polyline points="{places}" fill="none" stroke="#2563eb" stroke-width="1.5"/>'


def _dot(point: Point, key: str, scale: _Scale, recommended: Point) -> str:
    x, y = scale.at(point[key], point["quality_loss"])
    name = f"{point['ratio']:.0%} {point['scorer']} {point['format']}"
    fill = "#2563eb" if point["is_measured"] else "#cbd5e1"
    ring = ' stroke="#16a34a" stroke-width="3"' if point == recommended else ""
    title = f"<title>{escape(name)}: {point[key]:.0%}, {point['quality_loss']:+.1%}</title>"
    return f'<circle cx="{x}" cy="{y}" r="6" fill="{fill}"{ring}>{title}</circle>'
