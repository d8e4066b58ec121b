"""`egorear view poses.npz --out FILE.html|FILE.rrd`: the poses in space and in the cameras' pictures."""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from egorear.cli.fps import check_fps
from egorear.cli.progress import with_progress
from egorear.errors import UserError
from egorear.files import check_writable

if TYPE_CHECKING:
    from egorear.poses import Poses
    from egorear.viewer.scene import Picture, Pictures, Scene

SUFFIXES = (".html", ".rrd")
DEFAULT_MB = 16.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `egorear view`."""
    parser.add_argument("poses", metavar="POSES.npz", help="as `egorear predict` writes it")
    parser.add_argument(
        "--data", metavar="DIR", help="the dataset the poses are of: shows its truth, cameras and pictures"
    )
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"), help="default: test")
    parser.add_argument(
        "--sources", nargs="+", metavar="SOURCE",
        help="or the folders or videos that the poses are of, as for predict: shows their pictures",
    )  # fmt: skip
    parser.add_argument("--rig", metavar="F", help="rig JSON or a shipped rig's name (default: the dataset's)")
    parser.add_argument("--frames", metavar="A:B:STEP", help="only these, as in Python: 100:200, ::5")
    parser.add_argument("--fps", type=float, metavar="F", help="play at this rate (default: the poses' timestamps)")
    parser.add_argument(
        "--pictures-mb", type=float, default=DEFAULT_MB, metavar="MB",
        help=f"what pictures may add to the file (default {DEFAULT_MB:g}; 0: none)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="page (.html) or Rerun recording (.rrd); default: open Rerun's viewer"
    )
    parser.add_argument("--json", action="store_true", help="tell the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Writes the page or the recording, or opens Rerun.

    Raises:
        UserError: an input cannot be read or does not fit the others, or Rerun is not there.
    """
    if args.out is not None and args.out.suffix.lower() not in SUFFIXES:
        raise UserError(f"--out is '{args.out}' but must end with {' or '.join(SUFFIXES)}")
    if args.data and args.sources:
        raise UserError("give --data or --sources, not both")
    check_fps(args.fps)
    if not 0 <= args.pictures_mb < 1e6:
        raise UserError(f"--pictures-mb is {args.pictures_mb} but must be a number of megabytes, 0 or more")
    if args.out is None or args.out.suffix.lower() == ".rrd":
        _check_rerun(args.out)
    if args.out is not None:
        check_writable(args.out.parent)

    from egorear.poses import Poses
    from egorear.viewer.scene import Scene

    poses = Poses.load(args.poses)
    try:
        Scene(poses)  # whether they can be shown at all
    except UserError as error:
        raise UserError(f"{args.poses}: {error}") from error
    poses = _selected(poses, args.frames)
    if args.fps is not None:
        poses = poses.at_rate(args.fps)
    scene = _scene(poses, args)
    with tempfile.TemporaryDirectory() as folder:
        out = args.out or Path(folder) / "poses.rrd"
        pictured = _write(out, scene, args)
        _tell(args, scene, out, len(pictured))
        if args.out is None:
            from egorear.viewer.rerun_log import show_rerun

            show_rerun(out)
    return 0


def _write(out: Path, scene: "Scene", args: argparse.Namespace) -> list[int]:
    budget = round(1e6 * args.pictures_mb)
    if out.suffix.lower() == ".rrd":
        from egorear.viewer.rerun_log import write_rerun

        return write_rerun(out, scene, args.poses, budget, _drawn)
    from egorear.viewer.html import write_page

    return write_page(out, scene, args.poses, budget, _drawn)


def _drawn(pictures: "Pictures") -> "Iterator[Picture]":
    return with_progress(pictures, len(pictures), "drawing", "frames")


def _check_rerun(out: Path | None) -> None:
    from importlib.util import find_spec

    if find_spec("rerun") is None:
        what = "without --out Rerun's viewer is opened, which" if out is None else f"{out} is a Rerun recording, which"
        raise UserError(f"{what} needs pip install 'egorear[view]'; --out FILE.html needs nothing")


def _selected(poses: "Poses", frames: str | None) -> "Poses":
    """The frames that "A:B:STEP" names."""
    if frames is None:
        return poses
    try:
        first, end, step = (int(part) if part else None for part in [*frames.split(":"), "1"][:3])
        if step is None or step < 1 or frames.count(":") > 2:
            raise ValueError
    except ValueError as error:
        raise UserError(f"--frames is '{frames}' but must be A:B or A:B:STEP, whole numbers, STEP positive") from error
    chosen = poses.select(slice(first, end, step))
    if not len(chosen):
        raise UserError(f"--frames {frames} leaves none of the {len(poses)} frames")
    return chosen


def _scene(poses: "Poses", args: argparse.Namespace) -> "Scene":
    from egorear.geometry.calibration import read_rig
    from egorear.viewer.scene import scene_of_dataset, scene_of_source

    rig = None if args.rig is None else read_rig(args.rig)
    if args.data:
        from egorear.datasets.opening import open_dataset

        scene = scene_of_dataset(poses, open_dataset(args.data, args.split, rig=rig))
    else:
        from egorear.tracking.sources import open_source

        scene = scene_of_source(poses, open_source(args.sources, rig) if args.sources else None, rig)
    if scene.rig is not None and poses.rig_hash not in {each.hash() for each in scene.distinct_rigs}:
        print(f"note: the poses were seen with rig {poses.rig_hash}, not {scene.rig.hash()}", file=sys.stderr)
    return scene


def _tell(args: argparse.Namespace, scene: "Scene", out: Path, pictured: int) -> None:
    """What was written, and how many frames have no picture."""
    size = out.stat().st_size
    frames, there = len(scene.poses), 0 if scene.pictures is None else len(scene.pictures)
    if args.json:
        result = {"out": None if args.out is None else str(out), "bytes": size, "frames": frames}
        result |= {"pictured_frames": pictured, "truth": scene.truth is not None, "model_id": scene.poses.model_id}
        print(json.dumps(result), flush=True)
        return
    told = f"{frames} frames" + ("" if scene.truth is None else " with their truth")
    if there:
        told += f", pictures of {pictured}"
        if pictured < there:
            told += f" of the {there} that have any (as many as --pictures-mb {args.pictures_mb:g} allows)"
        if there < frames:
            told += f"; {frames - there} frames were not found where the pictures are"
    print(f"Rerun shows {told}" if args.out is None else f"{out} ({size / 1e6:.1f} MB): {told}", flush=True)
