"""`egorear export WEIGHTS --out DIR`: a network to one ONNX file, checked against torch before it may be used."""

import argparse
import dataclasses
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egorear.errors import UserError
from egorear.files import atomic_write, check_writable, write_json

if TYPE_CHECKING:
    from egorear.tracking.onnx_parity import Given, Latency, Parity
    from egorear.tracking.tracker import PoseTracker

FRAMES = 12  # of the dataset that torch and the export are compared on
BATCH = 4
ROUNDS = 2  # in which frames lack views: over 12 frames, all 14 sets of four that are less than all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `egorear export`."""
    from egorear.cli.demo import DATA

    parser.add_argument("weights", metavar="WEIGHTS", help="name, folder or Hub id of EgoRear or EgoTAP")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for model.onnx and export.json")
    parser.add_argument(
        "--sampling", choices=("grid", "gather"), default="grid",
        help="how features are read: GridSample (default), or Gather for engines that get GridSample wrong (TensorRT)",
    )  # fmt: skip
    parser.add_argument(
        "--batch", type=int, metavar="N", help="frames the graph takes, for engines that need to know (default: any)"
    )
    parser.add_argument(
        "--data", type=Path, default=DATA, metavar="DIR", help="dataset to check with, its split 'test' (the demo's)"
    )
    parser.add_argument("--json", action="store_true", help="tell the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Exports, compares with torch, and keeps the file only if it answers the same; else 1."""
    if args.batch is not None and not 1 <= args.batch <= 4096:
        raise UserError(f"--batch is {args.batch} but must be from 1 to 4096")
    for package in ("onnx", "onnxscript", "onnxruntime"):  # said to be missing before any work
        import_module(package)

    from egorear.tracking.calibration import sha256_of
    from egorear.tracking.onnx_export import describe, export_onnx
    from egorear.tracking.onnx_network import DESCRIPTION, MODEL, OnnxNetwork
    from egorear.tracking.onnx_parity import latency, parity
    from egorear.tracking.opening import open_tracker
    from egorear.tracking.pose_network import PoseNetwork
    from egorear.tracking.tracker import PoseTracker
    from egorear.tracking.weights import FILES

    check_writable(args.out)
    if (args.out / FILES[0]).exists():
        raise UserError(f"--out is {args.out}, which holds weights: an export needs a folder of its own")
    tracker = open_tracker(args.weights)
    if not isinstance(tracker, PoseTracker):
        raise UserError(f"'{args.weights}' looks along time: such networks cannot be exported (docs/export.md)")
    if not isinstance(tracker.network, PoseNetwork):
        raise UserError(f"'{args.weights}' is an export already: give the weights it is of")
    batches = _frames(tracker, args.data)
    network, about = tracker.network, describe(tracker.network, tracker.model_id, args.sampling, args.batch)
    print(f"exporting {tracker.model_id}, a minute or more", file=sys.stderr, flush=True)
    try:
        with atomic_write(args.out / MODEL) as temporary:
            export_onnx(network, temporary, about, args.sampling, args.batch)
            exported = OnnxNetwork.open(temporary, about)
            print("comparing it with torch", file=sys.stderr, flush=True)
            found = parity(network, exported, batches)
            if not found.holds:
                raise _Refused(found)  # which removes the file
            times = latency(network, exported, batches[0])
            about |= {"sha256": sha256_of(temporary), "parity": dataclasses.asdict(found)}
            about |= {"latency": dataclasses.asdict(times)}
            (args.out / DESCRIPTION).unlink(missing_ok=True)  # of an earlier export; the new one follows its model
    except _Refused as refused:
        _tell(args, refused.found, None)
        return 1
    write_json(args.out / DESCRIPTION, about)
    _tell(args, found, times)
    return 0


class _Refused(Exception):
    """The export answers otherwise than torch."""

    def __init__(self, found: "Parity") -> None:
        super().__init__()
        self.found = found


def _frames(tracker: "PoseTracker", data: Path) -> "list[Given]":
    """Frames of the dataset as the network gets them, with all and with some views, and frames of noise."""
    import torch

    from egorear.datasets.opening import open_dataset
    from egorear.tracking.onnx_parity import with_views_lost
    from egorear.tracking.sources import DatasetSource, batches

    torch.manual_seed(0)
    source = DatasetSource(open_dataset(data, "test"), limit=FRAMES)
    checked, seen = [], 0
    for frames in batches(source, BATCH):
        retaken = tracker.cameras.retake([frame.images for frame in frames], frames[0].rig)
        whole = retaken.images, retaken.rig.T_camera_device, retaken.present
        checked += with_views_lost(whole, seen * ROUNDS, ROUNDS)
        seen += len(frames)
    images, T, _ = checked[0]
    return [*checked, (torch.randint_like(images, 256), T, torch.ones(images.shape[:2], dtype=torch.bool))]


def _tell(args: argparse.Namespace, found: "Parity", times: "Latency | None") -> None:
    from egorear.tracking.onnx_network import MODEL
    from egorear.tracking.onnx_parity import LIMIT_MM, LIMIT_SHARE

    if args.json:
        result: dict[str, Any] = {"onnx": str(args.out / MODEL), "kept": found.holds}
        result |= {"limit_mm": LIMIT_MM, "limit_share": LIMIT_SHARE, "sampling": args.sampling, "batch": args.batch}
        result |= {"parity": dataclasses.asdict(found)}
        result |= {} if times is None else {"latency": dataclasses.asdict(times)}
        result |= {"bytes": (args.out / MODEL).stat().st_size} if found.holds else {}
        print(json.dumps(result))
        return
    print(
        f"ONNX Runtime against torch, {found.frames} frames: joints {found.joints_max_mm:.2g} mm apart at most "
        f"(median {found.joints_median_mm:.2g}), confidences {found.confidence_max:.2g}, heatmap peaks "
        f"{found.scores_2d_max:.2g}, {found.peaks_moved} of them elsewhere"
    )
    if times is None:
        print(
            f"refused, nothing kept: joints must be at most {LIMIT_MM} mm apart, confidences and peaks {LIMIT_SHARE}, "
            "all finite"
        )
        return
    print(
        f"{times.batch} frame{'s' * (times.batch > 1)}, CPU, threads {times.threads}, medians of {times.rounds}: torch "
        f"{times.torch_ms:.1f} ms, ONNX Runtime {times.onnx_ms:.1f} ms, {times.ratio:.2f} times as fast"
    )
    path = args.out / MODEL
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB); egorear predict --weights {args.out} runs it")
