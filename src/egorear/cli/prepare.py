"""`egorear prepare`: any dataset to checked shards at the network's resolution, bad frames put aside with a reason."""

import argparse
import json
import sys
import time
from typing import TYPE_CHECKING, Any

from egorear.cli.progress import with_progress
from egorear.cli.verified import verify_dataset
from egorear.errors import UserError

if TYPE_CHECKING:
    from egorear.datasets.prepare import PrepareJob


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add = parser.add_argument
    known = "Ego4View-Syn or -RW, UnrealEgo, EgoCap, EgoPW, SceneEgo, Mo2Cap2, or shards"
    add("source", nargs="?", metavar="SOURCE", help=f"a dataset: {known}")
    add("--out", metavar="DIR", help="folder of the shards; resumed if it exists")
    add("--split", action="append", choices=("train", "validation", "test"), help="repeatable (default: all there are)")
    add("--rig", metavar="RIG", help="cameras to read it with: a rig file, or a shipped rig's name (default: its own)")
    add("--size", type=int, default=256, help="height of the pictures in pixels (default 256)")
    add("--quality", type=int, default=92, help="of their JPEGs, 1 to 100 (default 92)")
    add("--frames-per-shard", type=int, default=500, metavar="N", help="frames of the source a tar (default 500)")
    add("--json", action="store_true", help="end with a line of JSON")
    add("--verify", metavar="DIR", help="compare finished shards with their index, and nothing else")
    add = parser.add_argument_group("what makes a frame bad").add_argument
    add("--limit-px", type=float, default=5.0, metavar="PX", help="2D truth this far from the 3D's projection (5)")
    add("--limit-mm", type=float, default=5.0, metavar="MM", help="camera and device frame this far apart (5)")
    add("--most-bad", type=float, default=5.0, metavar="P", help="exit code 1 if more than P %% of a split is bad (5)")
    add = parser.add_argument_group("who converts (never changes the bytes)").add_argument
    add("--workers", type=int, default=1, metavar="W", help="processes (default 1)")
    add("--ray", metavar="ADDRESS", help="a Ray cluster, or 'local' to start one of W processes")


def run(args: argparse.Namespace) -> int:
    if args.verify:
        return verify_dataset(args.verify)
    if not args.source or not args.out:
        raise UserError(f"{'--out' if args.source else 'SOURCE'} is missing: egorear prepare SOURCE --out DIR")
    if args.workers < 1:
        raise UserError(f"--workers is {args.workers} but must be at least 1")
    if not 0 <= args.most_bad <= 100:
        raise UserError(f"--most-bad is {args.most_bad:g} but must be from 0 to 100 %")
    from egorear.datasets.conversion import Conversion
    from egorear.datasets.prepare import PrepareJob, prepare

    conversion = Conversion(args.source, args.size, args.quality, args.limit_px, args.limit_mm, args.rig)
    job = PrepareJob(args.out, conversion, tuple(args.split or ()), args.frames_per_shard)
    started = time.monotonic()
    for _ in with_progress(prepare(job, args.workers, args.ray), job.total, "preparing", "frames", int):
        pass
    report = _report(job)
    report["seconds"] = round(time.monotonic() - started, 1)
    for split, found in report["splits"].items():
        reasons = ", ".join(f"{count} {kind}" for kind, count in found["reasons"].items())
        print(
            f"{split}: {found['frames']} frames, {found['megabytes']:.1f} MB, {found['hash']}"
            + (f"; {found['quarantined']} bad ({reasons})" if reasons else "")
        )
    if any(found["quarantined"] for found in report["splits"].values()):
        print(f"which frames are bad, and why: {job.out}/quarantine.json")
    code = _judge(report, args.most_bad)
    if args.json:
        print(json.dumps(report))
    return code


def _report(job: "PrepareJob") -> dict[str, Any]:
    from collections import Counter

    from egorear.datasets.index import Index
    from egorear.datasets.quarantine import load_quarantine

    index, quarantine = Index.load(job.out), load_quarantine(job.out)
    splits = {}
    for split in job.splits:
        bad = quarantine.get(split, {}).values()
        splits[split] = {
            "frames": index.frames(split),
            "megabytes": sum(part.bytes for part in index.splits[split].values()) / 1e6,
            "hash": index.hash_of(split),
            "quarantined": len(bad),
            "reasons": dict(Counter(each.kind for each in bad).most_common()),
            "first": next((each.reason for each in bad), None),
        }
    return {"out": job.out, "hash": index.hash(), "splits": splits}


def _judge(report: dict[str, Any], most_bad: float) -> int:
    """1, and a sentence for each split of which too much is bad."""
    code = 0
    for split, found in report["splits"].items():
        share = 100 * found["quarantined"] / max(1, found["quarantined"] + found["frames"])
        if share > most_bad:
            what = "every frame" if not found["frames"] else f"{share:.1f} % of the frames"
            print(
                f"egorear prepare: {what} of '{split}' is bad, more than --most-bad {most_bad:g} %; the first: "
                f"{found['first']}",
                file=sys.stderr,
            )
            code = 1
    return code
