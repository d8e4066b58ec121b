"""The density of Propagation Effect over Propagation Potential (Fig. 7 of the EgoTAP paper), and its two parts."""

from pathlib import Path

import numpy as np

from egorear.evaluation.propagation import PropagationReport, Samples
from egorear.evaluation.regression import Line
from egorear.files import atomic_write

MIDDLE = (0.5, 99.5)  # percentiles of what is shown: a few outliers would leave the rest a dot
CELLS = 45  # hexagons along x
LINE, GUIDE = "#d94801", "#555555"


def plot_propagation(samples: Samples, report: PropagationReport, path: str | Path, title: str = "") -> None:
    """Draws PE over PP in millimetres, darker where there are more samples (logarithmic), with the regression line and
    the lines PE = PP and PE = 0; with a null, beside it the null and the crossed effect on the same axes. Writes PNG,
    PDF or SVG.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    overall = report.overall
    panels = [("Propagation Effect", samples.effect, overall.line)]
    if samples.null_effect is not None and samples.crossed_effect is not None:
        panels += [
            ("null: another network without propagation", samples.null_effect, overall.null),
            ("effect on that other network", samples.crossed_effect, overall.crossed),
        ]
    left, right = _range(samples.potential)
    bottom, top = _range(np.concatenate([effect for _, effect, _ in panels]))
    figure = Figure(figsize=(1 + 4.3 * len(panels), 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    rows = max(4, round(CELLS / 1.6))
    drawn = []
    for panel, (name, effect, line) in zip(axes, panels, strict=True):
        x = samples.potential.ravel()
        drawn.append(
            panel.hexbin(
                x, effect.ravel(), gridsize=(CELLS, rows), extent=(left, right, bottom, top), mincnt=1,
                bins="log", cmap="Blues", linewidths=0.1,
            )
        )  # fmt: skip
        panel.axhline(0, color=GUIDE, linewidth=0.8, linestyle=":")
        panel.axvline(0, color=GUIDE, linewidth=0.8, linestyle=":")
        panel.plot((left, right), (left, right), color=GUIDE, linewidth=0.8, linestyle="--", label="PE = PP")
        if line is not None:
            ends = np.array((left, right))
            panel.plot(ends, line.slope.value * ends + line.intercept, color=LINE, linewidth=1.8, label=_name(line))
        panel.set(xlim=(left, right), ylim=(bottom, top), xlabel="Propagation Potential, mm")
        panel.set_title(name, fontsize=10)
        panel.legend(fontsize=8, loc="upper left", framealpha=0.9)
    axes[0].set_ylabel("Propagation Effect, mm")
    most = max(each.get_clim()[1] for each in drawn)
    for each in drawn:
        each.set_clim(1, most)
    figure.colorbar(drawn[-1], ax=list(axes), label="samples", pad=0.01)
    if title:
        figure.suptitle(title, fontsize=10)
    with atomic_write(Path(path)) as temporary:
        figure.savefig(temporary, format=Path(path).suffix.lstrip("."), dpi=130)


def _range(values: np.ndarray) -> tuple[float, float]:
    """Of the middle of the values, with a little room; never empty."""
    low, high = np.percentile(values, MIDDLE)
    room = 0.05 * (high - low) or 1.0
    return float(low - room), float(high + room)


def _name(line: Line) -> str:
    slope = line.slope
    return f"slope {slope.value:.2f}" + ("" if slope.low is None else f" ({slope.low:.2f}…{slope.high:.2f})")
