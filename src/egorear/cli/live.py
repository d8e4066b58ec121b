"""`egorear live SOURCE… --rig F --osc HOST:PORT`: cameras to poses to engines and avatars, as they come."""

import argparse
import json
import os
import signal
import sys
import time
from array import array
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egorear.cli.predict_clip import median_and_p95
from egorear.errors import UserError
from egorear.files import check_writable
from egorear.tracking.weights import DEFAULT

if TYPE_CHECKING:
    from egorear.geometry.skeleton import Skeleton
    from egorear.outputs.osc import OscOutput, Protocol
    from egorear.tracking.live import LivePose, LiveTracker
    from egorear.tracking.live_source import LiveSource, Moment
    from egorear.tracking.smoothing import OneEuroFilter

TOLD_EVERY_S = 1.0  # with --show-latency


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `egorear live`."""
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE",
        help="view=camera:0 or view=/dev/video0 for each camera; or images or videos as for predict, in real time",
    )  # fmt: skip
    parser.add_argument("--rig", required=True, metavar="F", help="rig JSON, or ego4view_syn, ego4view_rw, unrealego …")
    parser.add_argument("--weights", default=DEFAULT, metavar="W", help=f"name, folder or Hub id (default {DEFAULT})")
    parser.add_argument("--osc", metavar="HOST:PORT", help="send the poses there")
    parser.add_argument(
        "--protocol", choices=("vmc", "joints"), default="vmc",
        help="vmc: bones of an avatar (default); joints: positions (docs/live.md)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the poses: DIR/poses.npz, written at the end")
    parser.add_argument("--raw", action="store_true", help="the network's poses, not smoothed")
    parser.add_argument("--fps", type=float, metavar="F", help="rate asked of the cameras, or of the recording")
    parser.add_argument("--seconds", type=float, metavar="S", help="stop after so long (default: Ctrl-C)")
    parser.add_argument("--show-latency", action="store_true", help="tell rate and latency every second")
    parser.add_argument("--device", default="cpu", metavar="D", help="cpu (default), cuda, cuda:1, mps ...")
    parser.add_argument("--json", action="store_true", help="tell the summary as JSON")


def run(args: argparse.Namespace) -> int:
    """Runs until the source ends, the time is over, or Ctrl-C, which is the usual end of a live run."""
    for name in ("fps", "seconds"):
        if (value := getattr(args, name)) is not None and not 0 < value < 1e6:
            raise UserError(f"--{name} is {value} but must be a positive number")
    if args.osc is not None:
        import_module("pythonosc")  # said to be missing before any work
    if args.out is not None:
        check_writable(args.out)
    # OpenCV tells of a camera that is not there in three lines of its own, every second; we do in one, once.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")

    from egorear.geometry.calibration import read_rig
    from egorear.tracking.live import LiveTracker
    from egorear.tracking.live_source import open_live_source
    from egorear.tracking.opening import open_tracker
    from egorear.tracking.smoothing import OneEuroFilter

    source = open_live_source(args.sources, read_rig(args.rig), args.fps)
    output, saved, whole = None, {}, False
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # services are ended so: as by Ctrl-C
    try:
        tracker = open_tracker(args.weights, args.device)
        if args.osc is not None:
            output = _open_output(args.osc, args.protocol, tracker.skeleton)
        live = LiveTracker(tracker, source.rig, source.example())
        source.remarks += live.remarks
        for remark in source.remarks:
            _tell(f"note: {remark}")
        _tell(f"{'running' if args.osc is None else f'sending to {args.osc}'}; Ctrl-C ends")
        session = Session(source, output, None if args.raw else OneEuroFilter(), keeps=args.out is not None)
        try:
            with suppress(KeyboardInterrupt):  # what follows is the end of every live run
                session.run(live, args.seconds, args.show_latency)
            whole = True
        finally:  # a run that breaks off keeps its poses too
            if session.kept and args.out is not None:
                saved = {"poses": _save(session, args.out, tracker.skeleton.names, tracker.model_id)}
                if not whole:
                    _tell(f"note: {len(session.kept)} poses until then are in {saved['poses']}")
    finally:
        signal.signal(signal.SIGTERM, before)
        source.close()
        if output is not None:
            output.close()
    row = session.row() | saved
    print(json.dumps(row) if args.json else _text(row))
    return 0


class Session:
    """A live run, and what is told of it at the end.

    keeps: whether the poses are. kept: them, with their names and timestamps. blind: moments without a pose, because no
    camera saw (every few seconds one). latency, computing: seconds, of each pose: from the arrival of its images until
    it was sent, and the part of it that did not wait for the pose before.
    """

    def __init__(
        self, source: "LiveSource", output: "OscOutput | None", smooth: "OneEuroFilter | None", keeps: bool = False
    ) -> None:
        self.kept: list[tuple[str, float, LivePose]] = []
        self.blind = 0
        self.latency, self.computing = array("d"), array("d")
        self.source = source
        self._output, self._smooth, self._keeps = output, smooth, keeps
        self._seconds = 0.0

    def run(self, live: "LiveTracker", seconds: float | None = None, shows: bool = False) -> None:
        """Until the source ends, or for so many seconds. shows: tell rate and latency now and then."""
        started = told = time.monotonic()
        told_count, lost = 0, set()
        try:
            for moment in self.source:
                self._answer(live, moment)
                now_lost = {view for view, image in moment.images.items() if image is None}
                if now_lost != lost:
                    _tell_change(lost, lost := now_lost)
                now = time.monotonic()
                if shows and now - told >= TOLD_EVERY_S and len(self.latency) > told_count:
                    rate = (len(self.latency) - told_count) / (now - told)
                    latency = _words(median_and_p95(self.latency[told_count:]))
                    _tell(f"{rate:.1f} poses/s, latency {latency}, {self.source.dropped} frames dropped")
                    told, told_count = now, len(self.latency)
                if seconds is not None and now - started >= seconds:
                    break
        finally:
            self._seconds = time.monotonic() - started

    def row(self) -> dict[str, Any]:
        """The summary as JSON."""
        count = len(self.latency)
        row: dict[str, Any] = {"frames": count, "dropped": self.source.dropped, "blind": self.blind}
        row |= {"losses": self.source.losses, "unsent": 0 if self._output is None else self._output.unsent}
        row |= {"seconds": round(self._seconds, 3), "fps": round(count / self._seconds, 2) if self._seconds else 0.0}
        row |= {"latency_ms": median_and_p95(self.latency) if count else None}
        return row | {"computing_ms": median_and_p95(self.computing) if count else None, "remarks": self.source.remarks}

    def _answer(self, live: "LiveTracker", moment: "Moment") -> None:
        started = time.monotonic()
        pose = live.push(moment.images)
        if pose is None:
            self.blind += 1
            return
        if self._smooth is not None:
            trust = pose.confidence if pose.confidence.any() else None  # networks without heatmaps say nothing of it
            pose = replace(pose, joints=self._smooth(pose.joints, moment.timestamp, trust))
        if self._output is not None:
            self._output.send(pose.joints.numpy(), pose.confidence.numpy(), len(self.latency), moment.timestamp)
        now = time.monotonic()
        self.latency.append(now - moment.arrived)
        self.computing.append(now - started)
        if self._keeps:
            self.kept.append((moment.name, moment.timestamp, pose))  # not the images: they would fill the memory


def _open_output(address: str, protocol: "Protocol", skeleton: "Skeleton") -> "OscOutput":
    from egorear.outputs.osc import OscOutput

    return OscOutput(address, protocol, skeleton)


def _save(session: Session, folder: Path, joint_names: tuple[str, ...], model_id: str) -> str:
    """Writes the poses of a live run and returns where."""
    import numpy as np
    import torch

    from egorear.poses import Poses

    path = folder / "poses.npz"
    names, timestamps, poses = zip(*session.kept, strict=True)
    Poses(
        joints=torch.stack([pose.joints for pose in poses]).numpy(),
        confidence=torch.stack([pose.confidence for pose in poses]).numpy(),
        frame_names=list(names),
        timestamps=np.array(timestamps, np.float64),
        rig_hash=session.source.rig.hash(),
        model_id=model_id,
        joint_names=joint_names,
    ).save(path)
    return str(path)


def _text(row: dict[str, Any]) -> str:
    """The summary in words."""
    text = (
        f"{row['frames']} poses in {row['seconds']:.1f} s ({row['fps']:.1f} a second), {row['dropped']} frames dropped"
    )
    if row["frames"]:
        latency, computing = row["latency_ms"], row["computing_ms"]
        text += f"; latency {_words(latency)}; of it computing {_words(computing)}"
    if lost := [f"{view} {times}" for view, times in row["losses"].items() if times]:
        text += f"; cameras lost, times: {', '.join(lost)}"
    if row["unsent"]:
        text += f"; {row['unsent']} datagrams could not be sent"
    return text + (f"; poses in {row['poses']}" if "poses" in row else "")


def _words(row: dict[str, float]) -> str:
    return f"{row['median']:.1f} ms median, {row['p95']:.1f} ms 95 %"


def _tell_change(lost: set[str], now_lost: set[str]) -> None:
    if gone := sorted(now_lost - lost):
        _tell(f"note: no images of {', '.join(gone)}; trying again")
    if back := sorted(lost - now_lost):
        _tell(f"note: images of {', '.join(back)} again")


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
