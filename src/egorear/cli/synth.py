"""`egorear synth`: renders people seen by a head rig, with exact truth, as folders or shards."""

import argparse
import time
from typing import TYPE_CHECKING, Any

from egorear.cli.progress import with_progress
from egorear.cli.verified import verify_dataset
from egorear.errors import UserError

if TYPE_CHECKING:
    from egorear.synth.job import Job
    from egorear.synth.preset import Preset

# What makes the pictures, by attribute of the arguments; a preset fixes all of it.
DEFAULTS: dict[str, Any] = {
    "frames": None, "seed": 0, "rig": "ego4view_syn", "size": 256, "samples": 2, "fps": 6.0, "take_frames": 10,
    "truth": (), "motion": (), "children": False, "mix": "all", "shaken": False,
}  # fmt: skip
SPLIT_CHOICES = ("all", "train", "validation", "test")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments; those of `DEFAULTS` are none where they are not given."""
    add = parser.add_argument
    add("--out", metavar="DIR", help="folder of the dataset; resumed if it exists")
    add("--frames", type=int, metavar="N", help="frames with all their views")
    add("--split", choices=SPLIT_CHOICES, default="all", help="all: 80/10/10 %% of the frames (default)")
    add("--layout", choices=("syn", "rw", "shards"), default="syn", help="Ego4View-Syn's (default), -RW's, or tars")
    add("--preset", metavar="NAME", help="a benchmark whose frames are fixed, e.g. open-v1; only --split is chosen")
    add("--verify", metavar="DIR", help="compare a finished dataset with its index, and nothing else")
    where = parser.add_argument_group("who renders (never changes the pictures)")
    where.add_argument("--workers", type=int, default=1, metavar="W", help="processes (default 1)")
    where.add_argument("--ray", metavar="ADDRESS", help="a Ray cluster, or 'local' to start one of W processes")
    add = parser.add_argument_group("what is rendered").add_argument
    add("--seed", type=int, help="frame k of a seed is always the same (default 0)")
    add("--rig", metavar="F", help="rig JSON (default: ego4view_syn)")
    add("--size", type=int, help="image height in pixels, e.g. 256 (default) or 872")
    add("--samples", type=int, help="samples a pixel along each axis (default 2)")
    add("--fps", type=float, help="pictures a second of a take, at most 30 (default 6)")
    add("--take-frames", type=int, metavar="N", help="pictures of one person in one place (default 10)")
    add("--mix", choices=("all", "hard"), help="hard: only what trackers find hard (default all)")
    add("--children", action="store_true", default=None, help="people may be children")
    add("--shaken", action="store_true", default=None, help="cameras move in their holders from take to take")
    add(
        "--truth", action="append", choices=("depth", "segmentation", "normals"),
        help="also write maps of every view; repeatable",
    )  # fmt: skip
    add(
        "--motion", action="append", metavar="PATH",
        help="more motion: BVH, AMC with its ASF, SMPL-family npz, npz of rotations, or folders of them; repeatable",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    if args.verify:
        return verify_dataset(args.verify)
    if not args.out:
        raise UserError("--out is missing: the folder of the dataset")
    if args.workers < 1:
        raise UserError(f"--workers is {args.workers} but must be at least 1")
    from egorear.synth.generate import generate

    job, preset = _job(args)
    started = time.monotonic()
    done = sum(with_progress(generate(job, args.workers, args.ray), job.total, "rendering", "frames", int))
    seconds = time.monotonic() - started
    print(f"{done} frames of {len(job.recipe.rig.views)} views in {job.out} ({done / seconds:.1f} frames/s)")
    return _report_hashes(job, preset)


def _job(args: argparse.Namespace) -> "tuple[Job, Preset | None]":
    from egorear.geometry.calibration import read_rig
    from egorear.synth.job import Job, Recipe, divide

    given = [name for name in DEFAULTS if getattr(args, name) is not None]
    if args.preset:
        from egorear.synth.preset import load_preset

        if given:
            raise UserError(f"--preset {args.preset} fixes --{given[0].replace('_', '-')}: leave it out")
        preset = load_preset(args.preset)
        return preset.job(args.out, args.split, args.layout), preset
    if args.frames is None:
        raise UserError("--frames is missing: how many to render")
    options = {name: getattr(args, name) if name in given else default for name, default in DEFAULTS.items()}
    for name, least in (("frames", 1), ("seed", 0), ("size", 16), ("samples", 1), ("take_frames", 1)):
        if options[name] < least:
            raise UserError(f"--{name.replace('_', '-')} is {options[name]} but must be at least {least}")
    counts, mix = divide(options.pop("frames"), args.split), options.pop("mix")
    options |= {"rig": read_rig(options["rig"]), "truth": tuple(options["truth"]), "motion": tuple(options["motion"])}
    return Job(args.out, Recipe(**options), *((counts, {}) if mix == "all" else ({}, counts)), args.layout), None


def _report_hashes(job: "Job", preset: "Preset | None") -> int:
    """Prints the hash of each split; 1 if it is not what the preset says."""
    from egorear.datasets.index import Index

    index, code = Index.load(job.out), 0
    for split in job.splits:
        found = index.hash_of(split)
        known = preset.hashes.get(split) if preset and job.layout == "syn" else None
        print(
            f"{split} {found}" + ("" if known is None else " as published" if known == found else f" but NOT {known}")
        )
        code |= known not in (None, found)
    return code
