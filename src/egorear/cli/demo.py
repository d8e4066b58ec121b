"""`egorear demo`: shipped frames and weights to poses, error against truth and pictures, offline."""

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from egorear.cli.predict import predict, write_jpeg
from egorear.errors import UserError
from egorear.files import check_writable
from egorear.tracking.weights import DEFAULT

if TYPE_CHECKING:
    import numpy as np

    from egorear.evaluation.score import ScoreReport
    from egorear.poses import Poses
    from egorear.tracking.sources import DatasetSource

DATA = Path(__file__).parents[1] / "demo_data"
OVERVIEW_FRAMES = 6
PLOTS = 4
PAGE, PICTURE_BYTES = "demo.html", 16_000_000
ROWS = {"overall": "all joints", "hands": "hands", "feet": "feet", "upper": "upper body", "lower": "lower body"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `egorear demo`."""
    parser.add_argument("--out", type=Path, default=Path("demo_output"), metavar="DIR", help="default: ./demo_output")
    parser.add_argument("--weights", default=DEFAULT, metavar="W", help=f"name or folder (default {DEFAULT})")
    parser.add_argument("--data", type=Path, default=DATA, metavar="DIR", help="another dataset, its split 'test'")
    parser.add_argument("--json", action="store_true", help="tell the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Predicts, scores and draws."""
    if not args.data.is_dir():
        raise UserError(f"{args.data} is missing: the demo's frames do not come with this installation, give --data")
    check_writable(args.out)

    from egorear.datasets.ego4view import open_ego4view
    from egorear.evaluation.score import score
    from egorear.tracking.sources import DatasetSource
    from egorear.tracking.tracker import PoseTracker
    from egorear.viewer.html import write_page
    from egorear.viewer.scene import scene_of_dataset

    started = time.monotonic()
    tracker = PoseTracker.from_pretrained(args.weights)
    source = DatasetSource(open_ego4view(args.data, "test"))
    poses = predict(tracker, source, batch=8)
    poses.save(args.out / "poses.npz")
    report = score(poses, source.dataset)
    _draw(source, poses, args.out)
    write_page(args.out / PAGE, scene_of_dataset(poses, source.dataset), f"{poses.model_id}: demo", PICTURE_BYTES)
    seconds = time.monotonic() - started
    if args.json:
        rows = {name: dataclasses.asdict(scores) for name, scores in _rows(report).items()}
        print(json.dumps({"out": str(args.out), "frames": len(poses), "model_id": poses.model_id, "scores": rows}))
    else:
        _print(report, args.out, len(poses), seconds)
    return 0


def _draw(source: "DatasetSource", poses: "Poses", out: Path) -> None:
    """overlays/*.jpg of every frame, pose3d_*.png of some, and overview.png."""
    import numpy as np
    import torch

    from egorear.metrics.errors import joint_errors_mm
    from egorear.viewer.overlay import draw_views, grid
    from egorear.viewer.plot3d import FRONT, plot_pose

    count = len(poses)
    in_overview, plotted = _spread(count, OVERVIEW_FRAMES), _spread(count, PLOTS)
    cells = []
    for index, frame in enumerate(source):
        predicted = torch.from_numpy(poses.joints[index])
        truth = torch.from_numpy(source.dataset.joints(index)[0]).float()
        title = f"{frame.name}   error {joint_errors_mm(predicted[None], truth[None]).mean().item():.0f} mm"
        name = frame.name.replace("/", "_")
        picture = draw_views(frame.images, frame.rig, predicted, truth, title=title)
        write_jpeg(out / "overlays" / f"{name}.jpg", picture)
        if index in plotted:
            _write_png(out / f"pose3d_{name}.png", plot_pose(predicted, truth, title))
        if index in in_overview:
            small = draw_views(frame.images, frame.rig, predicted, truth, tile=240, title=title)
            in_space = plot_pose(predicted, truth, height=small.shape[0], viewpoints=(FRONT,))
            cells.append(np.concatenate((small, in_space), axis=1))
    _write_png(out / "overview.png", grid(cells, columns=2, gap=12))


def _spread(count: int, wanted: int) -> set[int]:
    """Up to `wanted` indices, evenly spread over `count`."""
    return {round(i * (count - 1) / max(1, min(wanted, count) - 1)) for i in range(min(wanted, count))}


def _write_png(path: Path, picture: "np.ndarray") -> None:
    import cv2

    from egorear.files import atomic_write

    with atomic_write(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())


def _rows(report: "ScoreReport"):
    return {label: report.overall if name == "overall" else report.groups[name] for name, label in ROWS.items()}


def _print(report: "ScoreReport", out: Path, frames: int, seconds: float) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"{report.model_id} on {frames} frames it was not trained on", title_justify="left")
    table.add_column("")
    for heading in ("MPJPE (mm)", "PA-MPJPE (mm)", "PCK@150 (%)", "AUC (%)"):
        table.add_column(heading, justify="right")
    for label, row in _rows(report).items():
        table.add_row(label, *(f"{value:.1f}" for value in (row.mpjpe_mm, row.pa_mpjpe_mm, row.pck, row.auc)))
    console = Console()
    console.print(table)
    print(f"look at {out / 'overview.png'}, or in a browser, from all sides: {out / PAGE}")
    print(f"every frame: {out / 'overlays'}; in space: {out}/pose3d_*.png")
    print(f"poses: {out / 'poses.npz'} ({seconds:.1f} s)")
