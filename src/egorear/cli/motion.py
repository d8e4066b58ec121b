"""`egorear motion`: what is in files of motion, and what the clean-up makes of it."""

import argparse
import json
import sys

COLUMNS = ("clip", "frames", "seconds", "action", "split", "skate mm/frame", "lowest cm", "beyond limits")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths", nargs="*", metavar="PATH",
        help="BVH, AMC (its ASF beside it), AMASS/SMPL-X npz, npz of rotations, or folders of them; "
        "without any, the shipped clips",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON for machines")


def run(args: argparse.Namespace) -> int:
    rows = [row for path in args.paths for row in _given(path)] if args.paths else list(_shipped())
    if args.json:
        json.dump({"clips": rows}, sys.stdout, indent=2)
        print()
        return 0
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in ("clip", "action", "split") else "right")
    for row in rows:
        table.add_row(*_cells(row))
    console = Console()
    # Into a file or a pipe the whole width is written, whatever the terminal's is.
    (console if console.is_terminal else Console(width=160)).print(table)
    minutes = sum(row["seconds"] for row in rows) / 60
    print(f"{len(rows)} clips, {minutes:.1f} minutes; figures before -> after the clean-up")
    return 0


def _given(path: str):
    from pathlib import Path

    from egorear.synth.sources import read_and_judge

    for clip, before, after in read_and_judge(Path(path)):
        yield _row(clip, before, after)


def _shipped():
    from egorear.geometry.rotations import to_matrix
    from egorear.synth.clips import read_clips
    from egorear.synth.contacts import quality, stance
    from egorear.synth.figure import LEG, sole_points
    from egorear.synth.motion import ASSET

    for clip in read_clips(ASSET):
        rotations, root = to_matrix(clip.quaternions), clip.root.astype(float) * LEG
        yield _row(clip, None, quality(rotations, root, stance(sole_points(rotations, root))))


def _row(clip, before, after) -> dict:
    from egorear.synth.motion import split_of

    def figures(quality) -> dict:
        return {
            "foot_skate_mm": round(quality.skate_mm, 3),
            "lowest_m": round(quality.lowest_m, 4),
            "beyond_limits": round(quality.beyond_limits, 5),
        }

    return {
        "name": clip.name,
        "frames": len(clip.root),
        "faulty_frames": int((~clip.ok).sum()),
        "seconds": round(clip.seconds, 3),
        "action": clip.action,
        "split": split_of(clip.name),
        "grounded": clip.grounded,
        "before": figures(before) if before is not None else None,
        "after": figures(after),
    }


def _cells(row: dict) -> list[str]:
    def change(name: str, scale: int, digits: int, unit: str = "") -> str:
        values = [row[when][name] * scale + 0.0 for when in ("before", "after") if row[when] is not None]
        return " -> ".join(f"{round(value, digits) + 0.0:.{digits}f}{unit}" for value in values)

    skate = change("foot_skate_mm", 1, 2) if row["grounded"] else "-"
    action = row["action"] if row["grounded"] else f"{row['action']}, off the floor"
    frames = f"{row['frames']}" + (f" ({row['faulty_frames']} faulty)" if row["faulty_frames"] else "")
    return [
        row["name"], frames, f"{row['seconds']:.1f}", action, row["split"], skate,
        change("lowest_m", 100, 1), change("beyond_limits", 100, 1, " %"),
    ]  # fmt: skip
