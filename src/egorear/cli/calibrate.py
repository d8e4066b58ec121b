"""`egorear calibrate WEIGHTS --data DIR`: makes a network's confidences mean what they say, and shows it."""

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from egorear.cli.joints import check_joints
from egorear.cli.progress import with_progress
from egorear.errors import UserError
from egorear.files import check_writable

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from egorear.evaluation.reliability import Reliability
    from egorear.tracking.sources import DatasetSource
    from egorear.tracking.tracker import PoseTracker

PLOT = "reliability.png"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `egorear calibrate`."""
    parser.add_argument("weights", metavar="WEIGHTS", help="name, folder or Hub id")
    parser.add_argument(
        "--data", required=True, metavar="DIR", help="dataset in the layout of Ego4View-Syn or -RW, or shards"
    )
    parser.add_argument("--split", default="validation", choices=("train", "validation", "test"))
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help=f"for calibration.json and {PLOT} (default: WEIGHTS, if a folder)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="at most N frames, evenly spread (default: all)")
    parser.add_argument("--batch", type=int, default=8, metavar="N", help="frames at once (default 8)")
    parser.add_argument("--device", default="cpu", metavar="D", help="cpu (default), cuda, cuda:1, mps ...")
    parser.add_argument("--json", action="store_true", help="tell the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Predicts the split without any calibration, with all cameras and with some lost, fits one, writes it and the
    plot of its cross-validation."""
    for name in ("limit", "batch"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise UserError(f"--{name} is {getattr(args, name)} but must be at least 1")
    out = _out(args.weights, args.out)
    check_writable(out)

    from egorear.datasets.opening import open_dataset
    from egorear.evaluation.reliability import by_part, reliability_of
    from egorear.geometry.skeleton import EGO4VIEW
    from egorear.tracking.calibration import Calibration, Platt, hash_weights, out_of_fold
    from egorear.tracking.pose_network import PoseNetwork, raw_confidence
    from egorear.tracking.sources import DatasetSource
    from egorear.tracking.tracker import PoseTracker
    from egorear.tracking.weights import find_weights
    from egorear.viewer.reliability_plot import plot_reliability

    folder = find_weights(args.weights)
    tracker = PoseTracker.from_pretrained(folder, args.device, calibrated=False)
    if tracker.skeleton != EGO4VIEW:
        raise UserError(f"'{tracker.model_id}' answers other joints than Ego4View's 16, those of a calibration")
    source = DatasetSource(open_dataset(args.data, args.split), limit=args.limit)
    check_joints(tracker, source.dataset.skeleton, args.data)
    raw, present, correct, sequences = _measure(tracker, source, args.batch)
    platt = Platt.fit(raw, present, correct)
    unseen = out_of_fold(raw, present, correct, sequences)
    calibrated = platt.apply(raw, present) if unseen is None else unseen
    whole, lost = slice(0, len(source)), slice(len(source), None)

    assert isinstance(tracker.network, PoseNetwork)  # exports were refused with `calibrated`
    kind = raw_confidence(tracker.network.model)

    def rows_of(frames: slice) -> "dict[str, Reliability]":
        both = {f"raw ({kind})": raw, "calibrated": calibrated}
        return {name: reliability_of(said[frames].numpy(), correct[frames].numpy()) for name, said in both.items()}

    tables = {"all cameras": rows_of(whole)}
    if len(raw) > len(source):
        tables["cameras lost"] = rows_of(lost)
    before, after = tables["all cameras"].values()
    parts = by_part(calibrated[whole].numpy(), correct[whole].numpy())
    data = f"{Path(args.data).resolve().name}, {args.split}"
    title = f"{tracker.model_id} on {data}, {len(source)} frames" + ("" if unseen is None else ", cross-validated")
    plot_reliability(tables["all cameras"], parts, out / PLOT, title)
    ece_after = None if unseen is None else after.ece
    origin = (tracker.views, kind, hash_weights(folder), data, len(source))
    path = Calibration(platt, *origin, before.ece, ece_after).save(out)
    if args.json:
        result = {"calibration": str(path), "plot": str(out / PLOT), "raw": kind, "cross_validated": unseen is not None}
        for table, rows in tables.items():
            result[table.replace(" ", "_")] = {name.split()[0]: row.row() for name, row in rows.items()}
        print(json.dumps(result | {"parts": {name: row.row() for name, row in parts.items()}}))
        return 0
    _print(title, tables | {"calibrated, by part": parts})
    print(f"written: {path}, {out / PLOT}")
    if unseen is None:
        print("there is one sequence only, so that nothing tells how the calibration does on others")
    if out.resolve() != folder.resolve():
        print(f"predictions use calibration.json once it lies in the weights' folder ({folder})")
    return 0


def _measure(tracker: "PoseTracker", source: "DatasetSource", batch: int) -> "tuple[Tensor, Tensor, Tensor, list[str]]":
    """Raw confidences (2N J), the views there were (2N V), which joints are within 100 mm (2N J), and the frames'
    sequences: first N frames with all their cameras, then the same with some of them lost (if they have several)."""
    import torch

    from egorear.models.confidence import CONFIDENT_M
    from egorear.tracking.sources import batches

    views = tracker.views_of(source.dataset.rig)
    for remark in tracker.remarks(source.dataset.rig):
        print(f"note: {remark}", file=sys.stderr)
    whole, lost, done = [], [], 0
    for frames in with_progress(batches(source, batch), len(source), "predicting", "frames", len):
        indices = source.indices[done : done + len(frames)]
        images = [{view: frame.images[view] for view in views} for frame in frames]
        if len(views) > 1:
            images += [_with_cameras_lost(each, index) for index, each in zip(indices, images, strict=True)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the same remarks
            poses = tracker.predict(images, frames[0].rig)
        truth = torch.stack([torch.from_numpy(source.dataset.joints(index)[0]) for index in indices])
        correct = (poses.joints - truth.float().repeat(len(images) // len(frames), 1, 1)).norm(dim=-1) <= CONFIDENT_M
        present = torch.tensor([[each.get(view) is not None for view in tracker.views] for each in images])
        sequences = [frame.name.rpartition("/")[0] for frame in frames]
        rows = list(zip(poses.confidence, present, correct, sequences * 2, strict=False))
        whole += rows[: len(frames)]
        lost += rows[len(frames) :]
        done += len(frames)
    raw, present, correct, sequences = zip(*whole, *lost, strict=True)
    return torch.stack(raw), torch.stack(present), torch.stack(correct), list(sequences)


def _with_cameras_lost(images: "dict[str, np.ndarray]", number: int) -> "dict[str, np.ndarray | None]":
    """At least one camera lost and one left, every such set equally likely; the same one for the same number."""
    import numpy as np

    chosen = int(np.random.default_rng(number).integers(1, 2 ** len(images) - 1))
    return {view: image if chosen >> bit & 1 else None for bit, (view, image) in enumerate(images.items())}


def _out(weights: str, out: Path | None) -> Path:
    """Where to write. Never unasked into the installed package or the Hub's cache."""
    from egorear.tracking.weights import FOLDER

    if out is not None:
        return out
    if not Path(weights).is_dir() or FOLDER in Path(weights).resolve().parents:
        raise UserError(f"--out is missing: '{weights}' is no folder of your own to write calibration.json into")
    return Path(weights)


def _print(title: str, tables: "dict[str, dict[str, Reliability]]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left")
    for heading in ("", "ECE", "AUROC", "confidence", "within 100 mm"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, rows in tables.items():
        table.add_row(f"[bold]{name}")
        for label, row in rows.items():
            figures = (row.ece, row.auroc, row.mean_confidence, row.correct)
            table.add_row(escape(label), *(f"{figure:.3f}" for figure in figures))
        table.add_section()
    Console().print(table)
