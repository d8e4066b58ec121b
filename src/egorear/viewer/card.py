"""A dataset's card: one page of markdown with its figures, joint maps and pictures."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from egorear.datasets.frames import FrameDataset
from egorear.evaluation.statistics import Statistics
from egorear.files import atomic_write, write_json, write_text

PICTURES = 8  # frames on the sheet
TILE_PX = 192


def write_card(folder: Path, title: str, dataset: FrameDataset, statistics: Statistics) -> None:
    """Writes card.md, statistics.json, frames.jpg, joint_maps.png and actions.png into `folder`."""
    summary = statistics.summary()
    write_json(folder / "statistics.json", summary)
    _write_image(folder / "frames.jpg", _sheet(dataset))
    _plot_maps(folder / "joint_maps.png", statistics)
    _plot_actions(folder / "actions.png", summary["actions"])
    write_text(folder / "card.md", _page(title, summary, statistics.views))


def _sheet(dataset: FrameDataset) -> UInt8[np.ndarray, "H W 3"]:
    """Frames spread over the split, one a row, its views side by side."""
    rows = []
    for index in np.linspace(0, len(dataset) - 1, min(PICTURES, len(dataset))).astype(int):
        images = dataset[int(index)].images.numpy().transpose(0, 2, 3, 1)
        rows.append(
            np.concatenate([cv2.resize(i, (TILE_PX, TILE_PX), interpolation=cv2.INTER_AREA) for i in images], 1)
        )
    half = -(-len(rows) // 2)
    rows += [np.zeros_like(rows[0])] * (2 * half - len(rows))
    return np.concatenate([np.concatenate(rows[:half]), np.concatenate(rows[half:])], 1)


def _plot_maps(path: Path, statistics: Statistics) -> None:
    figure, panels = _figure(len(statistics.views), (3.0, 3.2))
    for panel, view, counts in zip(panels, statistics.views, statistics.maps, strict=True):
        panel.imshow(np.log1p(counts), cmap="magma")
        panel.set_title(view, fontsize=9)
        panel.set_xticks([])
        panel.set_yticks([])
    _save(figure, path)


def _plot_actions(path: Path, actions: dict[str, int]) -> None:
    figure, (panel,) = _figure(1, (8.0, 0.8 + 0.2 * len(actions)))
    panel.barh(list(actions)[::-1], list(actions.values())[::-1], color="#3b6ea5")
    panel.set_xlabel("frames")
    panel.tick_params(labelsize=8)
    _save(figure, path)


def _figure(columns: int, size: tuple[float, float]):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] * columns, size[1]), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def _save(figure, path: Path) -> None:
    with atomic_write(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _write_image(path: Path, image: UInt8[np.ndarray, "H W 3"]) -> None:
    with atomic_write(path) as temporary:
        data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, 88))[1]
        temporary.write_bytes(data.tobytes())


def _page(title: str, summary: dict[str, Any], views: tuple[str, ...]) -> str:
    diversity, light = summary["pose_diversity_mm"], summary["brightness"]
    lines = [
        f"# {title}",
        "",
        "![frames](frames.jpg)",
        "",
        "| | |",
        "|---|---|",
        f"| frames | {summary['frames']} in {summary['sequences']} sequences of {summary['characters']} people |",
        f"| mean distance of joints to the mean pose | {diversity['from_mean_pose']} mm |",
        f"| between two random poses | {diversity['between_pairs']} mm, "
        f"{diversity['between_pairs_aligned']} mm aligned |",
        f"| mean brightness of an image (5 %, median, 95 %) | {light['percentile_5']}, {light['median']}, "
        f"{light['percentile_95']} |",
        f"| black, burnt pixels | {100 * summary['dark_pixels']:.1f} %, {100 * summary['burnt_pixels']:.1f} % |",
        "",
        "Where joints fall in each view (logarithmic):",
        "",
        "![joint maps](joint_maps.png)",
        "",
        "Share of frames in which a view sees a joint, %:",
        "",
        f"| joint | spread mm | {' | '.join(views)} |",
        "|---|---|" + "---|" * len(views),
    ]
    for joint, spread in diversity["by_joint"].items():
        shares = " | ".join(f"{100 * summary['visible'][view][joint]:.1f}" for view in views)
        lines.append(f"| {joint} | {spread} | {shares} |")
    return "\n".join([*lines, "", "![actions](actions.png)", ""])
