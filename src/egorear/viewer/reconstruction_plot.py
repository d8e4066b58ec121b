"""Estimated heatmaps above what a decoder made of the encoder's features (Fig. 3 of the EgoTAP paper)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from egorear.evaluation.reconstruction import Reconstruction
from egorear.files import atomic_write

CELL = 0.85  # inches a map


def plot_reconstructions(trials: Mapping[str, Reconstruction], joints: Sequence[str], path: str | Path) -> None:
    """Draws two rows for each of `trials`, by its name: the maps of one test frame as the network's first view
    estimated them, and from the features; one column for each of `joints`, grey values alike in both rows. Writes PNG,
    PDF or SVG.

    Raises:
        UserError: the file cannot be written.
    """
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names, strips = [], []
    for name, trial in trials.items():
        peak = float(trial.estimated[0].max()) or 1.0
        for what, maps in (("estimated", trial.estimated), (f"from {trial.encoder} features", trial.decoded)):
            names.append(f"{name}: {what}")
            strips.append(_strip(maps[0] / peak))
    high, wide = (1.0 / each for each in (len(strips), len(joints)))
    figure = Figure(figsize=(CELL * len(joints) + 2.4, CELL * len(strips) + 0.9), layout="constrained")
    FigureCanvasAgg(figure)
    panel, colors = figure.subplots(), colormaps["magma"].with_extremes(bad="white")
    # One picture of everything: hundreds of axes would take a minute.
    panel.imshow(np.concatenate(strips), cmap=colors, vmin=0, vmax=1, extent=(0, 1, 0, 1), aspect="auto")
    panel.set_xticks((np.arange(len(joints)) + 0.5) * wide, joints, fontsize=7, rotation=30, ha="left")
    panel.set_yticks(1 - (np.arange(len(strips)) + 0.5) * high, names, fontsize=7)
    panel.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    panel.set_title(next(iter(trials.values())).frame, fontsize=8)
    with atomic_write(Path(path)) as temporary:
        figure.savefig(temporary, format=Path(path).suffix.lstrip("."), dpi=130)


def _strip(maps: np.ndarray) -> np.ndarray:
    """Maps side by side, each with a border of nothing."""
    return np.concatenate(list(np.pad(maps, ((0, 0), (1, 1), (1, 1)), constant_values=np.nan)), axis=1)
