"""The demo's pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from saas.demo.work import FineTuned


def plot_losses(runs: dict[str, FineTuned], path: Path) -> None:
    """Draw each run's training loss and held-out loss against steps, as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for number, (name, run) in enumerate(runs.items()):
        colour = f"C{number}"
        axes.plot(
            *zip(*run.curve, strict=True), color=colour, alpha=0.35, label=f"{name}: training"
        )
        axes.plot(*zip(*run.held_out, strict=True), "o-", color=colour, label=f"{name}: held out")
    axes.set_xlabel("optimiser step")
    axes.set_ylabel("loss (nats per token)")
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def plot_margins(rows: Mapping[str, Mapping[str, str]], path: Path) -> None:
    """Draw what each job was quoted (with its upper bound), charged and what it cost, as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for number, name in enumerate(("quoted", "charged", "cost")):
        heights = [float(row[name]) for row in rows.values()]
        places = [place + (number - 1) * 0.27 for place in range(len(rows))]
        bars = axes.bar(places, heights, width=0.25, label=name)
        axes.bar_label(bars, fmt="%.4f", padding=2, fontsize=8)
    for place, row in enumerate(rows.values()):
        bound, quoted = float(row["quoted_high"]), float(row["quoted"])
        axes.plot([place - 0.27] * 2, [quoted, bound], "k_-", label=None if place else "at most")
    axes.set_xticks(range(len(rows)), list(rows))
    axes.set_yscale("log")  # a job costs a small part of what it is sold for
    axes.set_ylabel("USD, before tax")
    figure.legend(loc="outside upper center", ncols=4)
    figure.savefig(path, dpi=120)
    plt.close(figure)
