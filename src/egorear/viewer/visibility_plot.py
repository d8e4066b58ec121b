"""Bars of what each camera sees, from the table of `synth.visibility`."""

from pathlib import Path
from typing import Any

from egorear.files import atomic_write

COLORS = ("#1f77b4", "#6baed6", "#d94801", "#fd8d3c")  # left and right hand, left and right foot


def plot(table: list[dict[str, Any]], path: str | Path) -> None:
    """Draws one panel for each variant of the rig, one group of bars for each view; writes PNG, PDF or SVG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    joints = [key.removesuffix("_interval") for key in table[0] if key.endswith("_interval")]
    variants = list(dict.fromkeys(row["variant"] for row in table))
    figure = Figure(figsize=(1.5 + 3.6 * len(variants), 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(variants), sharey=True, squeeze=False)[0]
    width = 0.8 / len(joints)
    for panel, variant in zip(panels, variants, strict=True):
        rows = [row for row in table if row["variant"] == variant]
        for j, joint in enumerate(joints):
            places = [i + (j - (len(joints) - 1) / 2) * width for i in range(len(rows))]
            panel.bar(
                places, [row[joint] for row in rows], width, yerr=[row[f"{joint}_interval"] for row in rows],
                label=joint, color=COLORS[j % len(COLORS)], error_kw={"elinewidth": 0.7},
            )  # fmt: skip
        panel.set_xticks(range(len(rows)), [row["view"] for row in rows], rotation=35, ha="right", fontsize=8)
        panel.set_title(variant, fontsize=9)
    panels[0].set_ylabel("unoccluded, % of frames")
    panels[-1].legend(fontsize=7)
    with atomic_write(Path(path)) as temporary:
        figure.savefig(temporary, format=Path(path).suffix.lstrip("."), dpi=150)
