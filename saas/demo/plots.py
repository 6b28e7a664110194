"""The demo's pictures."""

from __future__ import annotations

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
