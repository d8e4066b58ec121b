"""Errors joint by joint of two or more runs side by side (Fig. 4 of the AG-EgoPose paper), with their intervals."""

from pathlib import Path

import numpy as np

from egorear.evaluation.bootstrap import Estimate
from egorear.evaluation.joint_comparison import MEASURES, JointComparison
from egorear.files import atomic_write

TITLES = {"mpjpe_mm": "MPJPE, mm", "pa_mpjpe_mm": "PA-MPJPE, mm"}
COLORS = ("#9aa5b1", "#1f77b4", "#d94801", "#2ca02c", "#9467bd", "#e6ab02", "#17becf", "#e377c2")
CERTAIN = "*"  # over a bar whose difference from the first run has an interval without 0


def plot_joint_comparison(comparison: JointComparison, path: str | Path, title: str = "") -> None:
    """Draws one bar for each run at every joint and over all of them, MPJPE above PA-MPJPE, with 95 % intervals; a star
    stands over a bar whose paired difference from the first run has an interval without 0. Writes PNG, PDF or SVG.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = {"all": comparison.groups["all"], **comparison.joints}
    runs = comparison.runs
    figure = Figure(figsize=(2 + len(rows) * (0.25 + 0.14 * len(runs)), 6), layout="constrained")
    FigureCanvasAgg(figure)
    width = 0.8 / len(runs)
    for panel, measure in zip(figure.subplots(len(MEASURES), 1, sharex=True), MEASURES, strict=True):
        for number, run in enumerate(runs):
            places = np.arange(len(rows)) + (number - (len(runs) - 1) / 2) * width
            estimates = [row[measure].values[run] for row in rows.values()]
            heights, color = [each.value for each in estimates], COLORS[number % len(COLORS)]
            panel.bar(places, heights, 0.92 * width, color=color, label=run, zorder=2)
            reach = np.array([_reach(each) for each in estimates]).T
            panel.errorbar(places, heights, yerr=reach, fmt="none", ecolor="#333333", elinewidth=0.8, zorder=3)
            for place, each, row in zip(places, estimates, rows.values(), strict=True):
                if number and _certain(row[measure].differences[run]):
                    top = each.value if each.high is None else each.high
                    panel.annotate(CERTAIN, (place, top), (0, -1), textcoords="offset points", ha="center", fontsize=9)
        panel.set_ylabel(TITLES[measure])
        panel.grid(axis="y", color="#e5e5e5", linewidth=0.6, zorder=0)
        panel.axvline(0.5, color="#999999", linewidth=0.8)
        panel.margins(x=0.01, y=0.1)
        panel.set_xticks(range(len(rows)), list(rows), rotation=40, ha="right", fontsize=8)
    star = f"{CERTAIN} differs from {runs[0]}, by recording"
    figure.legend(*figure.axes[0].get_legend_handles_labels(), title=star, title_fontsize=8, loc="outside lower center",
                  ncols=min(len(runs), 4), fontsize=8, frameon=False)  # fmt: skip
    if title:
        figure.suptitle(title, fontsize=10)
    with atomic_write(Path(path)) as temporary:
        figure.savefig(temporary, format=Path(path).suffix.lstrip("."), dpi=130)


def _reach(estimate: Estimate) -> tuple[float, float]:
    """How far the interval goes below and above the value."""
    if estimate.low is None or estimate.high is None:
        return 0.0, 0.0
    return max(0.0, estimate.value - estimate.low), max(0.0, estimate.high - estimate.value)


def _certain(difference: Estimate) -> bool:
    """Whether its interval is without 0."""
    return difference.low is not None and difference.high is not None and (difference.low > 0 or difference.high < 0)
