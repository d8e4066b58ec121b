"""The reliability plot: what confidences say against what is true, how they are spread, and the same by part of the
body."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from egorear.evaluation.reliability import Reliability
from egorear.files import atomic_write

COLORS = ("#9aa5b1", "#1f77b4", "#d94801", "#2ca02c")


def plot_reliability(
    series: Mapping[str, Reliability], parts: Mapping[str, Reliability], path: str | Path, title: str = ""
) -> None:
    """Draws one curve for each of `series` (say "raw" and "calibrated") over the histogram of its confidences, and
    beside them bars of the `parts`: said and true. Writes PNG, PDF or SVG.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplot_mosaic([["curve", "parts"], ["spread", "parts"]], height_ratios=(3, 1), width_ratios=(1, 1))
    curve, spread, bars = axes["curve"], axes["spread"], axes["parts"]
    curve.plot([0, 1], [0, 1], color="#cccccc", linewidth=1, linestyle="--")
    for (name, each), color in zip(series.items(), COLORS, strict=False):
        points, label = each.curve, f"{name}: ECE {each.ece:.3f}, AUROC {each.auroc:.3f}"
        curve.plot(points.confidence, points.correct, color=color, marker="o", markersize=4, label=label)
        share = 100 * points.count / points.count.sum()
        spread.plot(points.confidence, share, color=color, marker="o", markersize=3, linewidth=1)
        spread.fill_between(points.confidence, share, color=color, alpha=0.2, linewidth=0)
    curve.set(xlim=(0, 1), ylim=(0, 1), ylabel="share within 100 mm of the truth")
    curve.legend(fontsize=8, loc="upper left", frameon=False)
    curve.tick_params(labelbottom=False)
    spread.set(xlim=(0, 1), xlabel="confidence", ylabel="% of joints")
    spread.set_ylim(bottom=0)
    places = np.arange(len(parts))[::-1]
    said, true = ([getattr(part, name) for part in parts.values()] for name in ("mean_confidence", "correct"))
    bars.barh(places + 0.2, said, 0.38, color=COLORS[1], label=f"mean confidence, {list(series)[-1]}")
    bars.barh(places - 0.2, true, 0.38, color="#333333", label="share within 100 mm")
    bars.set_yticks(places, [name.replace("_", " ") for name in parts])
    bars.set_xlim(0, 1)
    bars.legend(fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=10)
    with atomic_write(Path(path)) as temporary:
        figure.savefig(temporary, format=Path(path).suffix.lstrip("."), dpi=150)
