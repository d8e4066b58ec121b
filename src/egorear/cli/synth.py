"""`egorear synth`: renders people seen by a head rig, with exact truth, in the Ego4View-Syn layout."""

import argparse
import sys
import time

from egorear.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the dataset; resumed if it exists")
    parser.add_argument("--frames", type=int, required=True, metavar="N", help="frames with all their views")
    parser.add_argument("--seed", type=int, default=0, help="frame k of a seed is always the same (default 0)")
    parser.add_argument("--workers", type=int, default=1, metavar="W", help="processes (default 1)")
    parser.add_argument("--rig", default="ego4view_syn", metavar="F", help="rig JSON (default: ego4view_syn)")
    parser.add_argument("--size", type=int, default=256, help="image height in pixels, e.g. 256 or 872")
    parser.add_argument("--samples", type=int, default=2, help="samples a pixel along each axis (default 2)")
    parser.add_argument(
        "--split", choices=("all", "train", "validation", "test"), default="all",
        help="all: 80/10/10 %% of the frames (default)",
    )  # fmt: skip
    parser.add_argument(
        "--motion", action="append", default=[], metavar="PATH",
        help="more motion for training: a BVH file or folder, or an npz; repeatable",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    for name, smallest in (("frames", 1), ("seed", 0), ("workers", 1), ("size", 16), ("samples", 1)):
        if getattr(args, name) < smallest:
            raise UserError(f"--{name} is {getattr(args, name)} but must be at least {smallest}")
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from egorear.geometry.calibration import read_rig
    from egorear.synth.generate import Job, generate

    rig = read_rig(args.rig)
    job = Job(
        args.out, rig, args.frames, args.seed, args.split, args.size, args.samples, tuple(args.motion)
    )  # fmt: skip
    started, done = time.monotonic(), 0
    console = Console(file=sys.stderr)
    columns = ("rendering", BarColumn(), MofNCompleteColumn(), "frames", TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=args.frames)
        for frames in generate(job, args.workers):
            done += frames
            progress.update(bar, completed=done)
            if not console.is_terminal and done % 1000 < frames:
                print(f"{done}/{args.frames} frames", file=sys.stderr, flush=True)
    seconds = time.monotonic() - started
    print(f"{done} frames of {len(rig.views)} views in {args.out} ({done / seconds:.1f} frames/s)")
    return 0
