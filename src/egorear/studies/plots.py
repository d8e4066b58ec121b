"""Pictures of a study: errors by cameras, and what each part of the method is worth, beside the paper's."""

from collections.abc import Sequence
from pathlib import Path

from egorear.files import atomic_write
from egorear.studies.cells import TAP, TAP_FULL
from egorear.studies.config import StudyConfig
from egorear.studies.findings import TITLES
from egorear.studies.published import BASELINE, FULL
from egorear.studies.results import Figure, Results

COLORS = {BASELINE: "#8c8c8c", FULL: "#1f77b4", TAP: "#e6c98f", TAP_FULL: "#d9822b"}
OTHER = "#9ecae1"


def plot_cameras(results: Results, config: StudyConfig, path: str | Path) -> None:
    """Writes a PNG: MPJPE of each row of Table 3 with its 95 % interval, and the paper's in a panel of its own."""
    methods = list(dict.fromkeys(method for row in config.rows for method in row.methods))
    bars = [
        (i + (m - (len(methods) - 1) / 2) * 0.8 / len(methods), method, figure)
        for i, row in enumerate(config.rows)
        for m, method in enumerate(methods)
        if method in row.methods and (figure := results.figure("mpjpe_mm", (row.views, method))) is not None
    ]
    figure, panels = _panels(("this study", "the paper"), 4.4)
    for x, method, value in bars:
        _bar(panels[0], x, value, COLORS.get(method, OTHER), 0.8 / len(methods))
        if value.published is not None:
            panels[1].bar(x, value.published, 0.8 / len(methods), color=COLORS.get(method, OTHER))
    for panel in panels:
        panel.set_xticks(
            range(len(config.rows)), [row.name for row in config.rows], rotation=25, ha="right", fontsize=8
        )
        panel.set_ylabel("MPJPE, mm")
    for method in methods:
        panels[0].bar(0, 0, color=COLORS.get(method, OTHER), label=TITLES[method])
    figure.legend(loc="outside lower center", ncols=len(methods), fontsize=8)
    _save(figure, path)


def plot_ablations(results: Results, config: StudyConfig, path: str | Path) -> None:
    """Writes a PNG: poses and rear heatmaps of each row of Table 5 with 95 % intervals, the paper's as diamonds on an
    axis of its own."""
    views = config.row(config.ablations.row).views
    methods = [method for method in config.ablations.methods if (views, method) in results]
    figure, panels = _panels(("poses: MPJPE, mm", "heatmaps of the rear cameras: MSE, 1e-4"), 4.8)
    for panel, metric in zip(panels, ("mpjpe_mm", "back_mse"), strict=True):
        known = [(i, results.figure(metric, (views, method))) for i, method in enumerate(methods)]
        known = [(i, value) for i, value in known if value is not None]
        for i, value in known:
            _bar(panel, i, value, COLORS.get(methods[i], OTHER), 0.7)
        theirs = [(i, value.published) for i, value in known if value.published is not None]
        if theirs:
            other = panel.twinx()
            other.plot(*zip(*theirs, strict=True), "D", color="#d94801", markersize=5)
            other.set_ylim(0, 1.15 * max(value for _, value in theirs))
            other.tick_params(labelsize=8, colors="#d94801")
            other.set_ylabel("the paper's ◆", color="#d94801", fontsize=8)
        names = [TITLES[method] for method in methods]
        panel.set_xticks(range(len(methods)), names, rotation=35, ha="right", fontsize=7)
    _save(figure, path)


def _panels(titles: Sequence[str], height: float) -> tuple:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    figure = Canvas(figsize=(10, height), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(titles))
    for panel, title in zip(panels, titles, strict=True):
        panel.set_title(title, fontsize=10)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _bar(panel, x: float | int, value: Figure, color: str, width: float) -> None:
    interval = None
    if value.low is not None and value.high is not None:
        # Of very few recordings the interval may lie beside the mean; a bar's ends cannot.
        interval = [[max(0.0, value.value - value.low)], [max(0.0, value.high - value.value)]]
    panel.bar(x, value.value, width, yerr=interval, color=color, error_kw={"elinewidth": 0.9, "capsize": 2})


def _save(figure, path: str | Path) -> None:
    with atomic_write(Path(path)) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
