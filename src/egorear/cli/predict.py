"""`egorear predict SOURCE… --rig F --out DIR`: images, videos or a dataset split to `poses.npz` and overlays."""

import argparse
import json
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from egorear.cli.fps import check_fps
from egorear.cli.progress import with_progress
from egorear.errors import UserError
from egorear.files import atomic_write, check_writable
from egorear.tracking.weights import DEFAULT

if TYPE_CHECKING:
    from egorear.poses import Poses
    from egorear.tracking.clip_tracker import ClipTracker
    from egorear.tracking.sources import Frame, Source
    from egorear.tracking.tracker import PoseTracker, TrackedPose

JPEG_QUALITY = 90


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `egorear predict`."""
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE",
        help="view=FOLDER or view=VIDEO for each camera; or one folder with a folder per view; "
        "or, with --split, a dataset (docs/data.md tells which)",
    )  # fmt: skip
    parser.add_argument(
        "--rig", metavar="F", help="rig JSON, or ego4view_syn, ego4view_rw, unrealego, egopw (dataset: its own)"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for poses.npz")
    parser.add_argument("--split", choices=("train", "validation", "test"), help="split of a dataset")
    parser.add_argument("--weights", default=DEFAULT, metavar="W", help=f"name, folder or Hub id (default {DEFAULT})")
    parser.add_argument("--overlays", action="store_true", help="also draw DIR/overlays/FRAME.jpg")
    parser.add_argument("--batch", type=int, default=8, metavar="N", help="frames at once (default 8)")
    parser.add_argument("--device", default="cpu", metavar="D", help="cpu (default), cuda, cuda:1, mps ...")
    parser.add_argument(
        "--stream",
        action="store_true",
        help="frame by frame as a live camera's, and tell the latency (docs/streaming.md)",
    )
    parser.add_argument(
        "--delay", type=int, default=0, metavar="N", help="stream: frames to wait for after each frame (default 0)"
    )
    parser.add_argument(
        "--hop", type=int, default=1, metavar="N", help="stream: frames from one window to the next (default 1)"
    )
    parser.add_argument("--fps", type=float, metavar="F", help="frames a second (default: the video's, else 1)")
    parser.add_argument("--json", action="store_true", help="tell the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Predicts and writes; nothing is written to `poses.npz` before the last frame is done."""
    if args.batch < 1:
        raise UserError(f"--batch is {args.batch} but must be at least 1")
    check_fps(args.fps)
    if not args.stream and (args.delay, args.hop) != (0, 1):
        raise UserError("--delay and --hop belong to --stream, which is missing")
    check_writable(args.out)

    from egorear.cli.predict_clip import StreamReport, predict_clip, predict_stream
    from egorear.geometry.calibration import read_rig
    from egorear.tracking.clip_tracker import ClipTracker
    from egorear.tracking.opening import open_tracker
    from egorear.tracking.sources import open_source

    rig = None if args.rig is None else read_rig(args.rig)
    source = open_source(args.sources, rig, args.split, args.fps)
    tracker = open_tracker(args.weights, args.device)
    overlays = args.out / "overlays" if args.overlays else None
    report: StreamReport | None = None
    started = time.monotonic()
    if args.stream:
        if not isinstance(tracker, ClipTracker):
            raise UserError(f"--stream is for networks that look along time: '{tracker.model_id}' takes single frames")
        poses, report = predict_stream(tracker, source, args.delay, args.hop)
    elif isinstance(tracker, ClipTracker):
        poses = predict_clip(tracker, source, args.batch)
    else:
        poses = predict(tracker, source, args.batch, overlays)
    seconds = time.monotonic() - started
    if overlays is not None and isinstance(tracker, ClipTracker):
        _draw_all(overlays, source, poses, tracker)
    poses.save(args.out / "poses.npz")
    if args.json:
        result = {"poses": str(args.out / "poses.npz"), "frames": len(poses), "seconds": round(seconds, 3)}
        result |= {"model_id": poses.model_id, "rig_hash": poses.rig_hash, "remarks": source.remarks}
        result |= {} if overlays is None else {"overlays": str(overlays)}
        print(json.dumps(result | ({} if report is None else {"stream": report.row()})))
    else:
        also = "" if overlays is None else f", overlays in {overlays}"
        print(f"{len(poses)} poses in {args.out / 'poses.npz'}{also} ({len(poses) / seconds:.1f} frames/s)")
        if report is not None:
            print(report.text())
    return 0


def predict(tracker: "PoseTracker", source: "Source", batch: int, overlays: Path | None = None) -> "Poses":
    """Poses of all frames of a source, progress on stderr; draws into the folder `overlays` on the way.

    What a user should know is said on stderr, and gathered in `source.remarks`.
    """
    import torch

    from egorear.poses import Poses
    from egorear.tracking.sources import batches

    tracked: list[TrackedPose] = []
    names: list[str] = []
    timestamps: list[float] = []
    rig_hash = ""
    for frames in with_remarks(tracker, source, batches(source, batch)):
        rig = frames[0].rig
        rig_hash = rig_hash or rig.hash()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the same remarks
            poses = tracker.predict([frame.images for frame in frames], rig)
        tracked.append(poses)
        names += [frame.name for frame in frames]
        timestamps += [frame.timestamp for frame in frames]
        if overlays is not None:
            for frame, joints in zip(frames, poses.joints, strict=True):
                _draw(overlays, frame, joints, tracker.skeleton)
    return Poses(
        joints=torch.cat([poses.joints for poses in tracked]).numpy(),
        confidence=torch.cat([poses.confidence for poses in tracked]).numpy(),
        frame_names=names,
        timestamps=torch.tensor(timestamps, dtype=torch.float64).numpy(),
        rig_hash=rig_hash,
        model_id=tracker.model_id,
        joint_names=tracker.skeleton.names,
    )


def with_remarks(
    tracker: "PoseTracker | ClipTracker", source: "Source", batches: "Iterator[list[Frame]]"
) -> "Iterator[list[Frame]]":
    """The batches, each of one rig, with progress on stderr; the source's remarks, and what the tracker has to say of
    each rig, go there too. The latter are gathered in `source.remarks`."""
    said = set()
    for remark in source.remarks:
        print(f"note: {remark}", file=sys.stderr)
    for frames in with_progress(batches, len(source), "predicting", "frames", len):
        rig = frames[0].rig
        for remark in tracker.remarks(rig):
            # Once per rig's name, not for each recording's own extrinsics.
            if (key := (rig.name, remark.split("(")[0])) not in said:
                said.add(key)
                source.remarks.append(remark)
                print(f"note: {remark}", file=sys.stderr)
        yield frames


def write_jpeg(path: Path, picture) -> None:
    """Writes an RGB picture atomically."""
    import cv2

    data = cv2.imencode(".jpg", picture[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1].tobytes()
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def _draw(folder: Path, frame: "Frame", joints, skeleton) -> None:
    from egorear.viewer.overlay import draw_views

    picture = draw_views(frame.images, frame.rig, joints, skeleton=skeleton, title=frame.name)
    write_jpeg(folder / f"{frame.name}.jpg", picture)


def _draw_all(folder: Path, source: "Source", poses: "Poses", tracker: "ClipTracker") -> None:
    """Reads the source once more: a window's pictures would fill the memory until their poses are there."""
    import torch

    for frame, joints in zip(source, torch.from_numpy(poses.joints), strict=True):
        _draw(folder, frame, joints, tracker.skeleton)
