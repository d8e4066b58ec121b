"""How much each fault costs, and what the confidence makes of it: two rows of panels, one column a kind of fault."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from egorear.evaluation.bootstrap import Estimate
from egorear.evaluation.robustness import Row
from egorear.files import atomic_write

COLORS = ("#1f77b4", "#6baed6", "#d94801", "#fd8d3c", "#2ca02c", "#98df8a", "#9467bd", "#c5b0d5")
ALL_COLOR = "#333333"
QUANTITIES = (("change_mm", "MPJPE, change in mm"), ("confidence_change", "mean confidence, change"))
ALL = ("every camera",)


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draws changes against no fault with their 95 % intervals; writes a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    families = {name: list(group) for name, group in groupby(rows, lambda row: row.family) if name != "none"}
    cameras = [row.cameras for row in rows if row.cameras and len(row.cameras) == 1]
    colors = {camera: COLORS[i % len(COLORS)] for i, camera in enumerate(dict.fromkeys(cameras))}
    figure = Figure(figsize=(1.8 * len(families) + 0.6, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(QUANTITIES), len(families), sharey="row", squeeze=False)
    for (quantity, label), line in zip(QUANTITIES, panels, strict=True):
        line[0].set_ylabel(label)
        for panel, members in zip(line, families.values(), strict=True):
            panel.axhline(0, color="#999999", linewidth=0.8)
            panel.grid(axis="y", color="#e5e5e5", linewidth=0.6)
            panel.set_axisbelow(True)
            _draw(panel, members, quantity, colors)
    for top, bottom, (family, members) in zip(panels[0], panels[-1], families.items(), strict=True):
        top.set_title(family, fontsize=10)
        top.tick_params(labelbottom=False)
        bottom.set_xlabel(members[0].unit, fontsize=8)
    for camera, color in colors.items():
        panels[0][0].plot([], [], "o-", color=color, markersize=4, label=camera[0])
    panels[0][0].plot([], [], "o-", color=ALL_COLOR, markersize=4, label="pair or every camera")
    figure.legend(loc="outside lower center", ncols=len(colors) + 1, fontsize=8, frameon=False)
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=100)


def _draw(panel, rows: list[Row], quantity: str, colors: dict) -> None:
    """Levels along x where a fault has several, else cameras side by side."""
    levels = sorted({row.level for row in rows})
    places = list(dict.fromkeys(row.cameras for row in rows))
    for i, cameras in enumerate(places):
        members = [row for row in rows if row.cameras == cameras]
        # A little aside of each other, so that the intervals stay apart.
        shift = 0.12 * (i - (len(places) - 1) / 2)
        x = [levels.index(row.level) + shift for row in members] if len(levels) > 1 else [float(i)]
        estimates: list[Estimate] = [getattr(row, quantity) for row in members]
        values = [each.value for each in estimates]
        below = [each.value - (each.value if each.low is None else each.low) for each in estimates]
        above = [(each.value if each.high is None else each.high) - each.value for each in estimates]
        color = colors.get(cameras, ALL_COLOR)
        panel.errorbar(x, values, yerr=(below, above), fmt="o-", color=color, markersize=4, linewidth=1)
    if len(levels) > 1:
        panel.set_xticks(range(len(levels)), [f"{level:g}" for level in levels], fontsize=8)
    else:
        names = [",\n".join(cameras or ALL) for cameras in places]
        panel.set_xticks(range(len(places)), names, rotation=90, fontsize=8)
        panel.margins(x=0.2)
