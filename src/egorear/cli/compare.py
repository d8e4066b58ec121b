"""`egorear compare A.npz B.npz … --data DIR`: where one network's poses are better than another's, joint by joint."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from egorear.errors import UserError
from egorear.files import check_writable, write_json, write_text

if TYPE_CHECKING:
    from egorear.evaluation.bootstrap import Estimate
    from egorear.evaluation.joint_comparison import JointComparison
    from egorear.poses import Poses

STEM = "comparison"
TITLES = {"mpjpe_mm": "MPJPE mm", "pa_mpjpe_mm": "PA-MPJPE mm"}
PIPED_WIDTH = 160  # a file has no width: no cell needs to wrap


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `egorear compare`."""
    parser.add_argument("poses", nargs="+", metavar="POSES.npz", help="of the same frames; the first is the yardstick")
    parser.add_argument("--data", required=True, metavar="DIR", help="dataset with the truth of these frames")
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"))
    parser.add_argument("--names", nargs="+", metavar="NAME", help="what to call them (default: their model ids)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the bootstrap over recordings (default 0)")
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"folder for {STEM}.png, {STEM}.json and {STEM}.csv")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the table and writes plot, report and table. Reads the dataset's truth only, no images."""
    if args.seed < 0:
        raise UserError(f"--seed is {args.seed} but must be at least 0")
    runs = _load(args.poses, args.names)
    if args.out is not None:
        check_writable(args.out)
    from egorear.datasets.opening import open_dataset
    from egorear.evaluation.joint_comparison import compare

    comparison = compare(runs, open_dataset(args.data, args.split), args.seed)
    models = {name: poses.model_id for name, poses in runs.items()}
    content = {"schema": "egorear-comparison", "version": 1, "models": models, "split": args.split, "seed": args.seed}
    content |= asdict(comparison)
    title = f"{comparison.frames} frames of {comparison.recordings} recordings"
    if args.out is not None:
        from egorear.viewer.joint_comparison_plot import plot_joint_comparison

        write_json(args.out / f"{STEM}.json", content)
        write_text(args.out / f"{STEM}.csv", _csv(comparison))
        plot_joint_comparison(comparison, args.out / f"{STEM}.png", title)
    if args.json:
        print(json.dumps(content, indent=2, allow_nan=False))
        return 0
    _print(title, comparison)
    if args.out is not None:
        print("written: " + ", ".join(f"{args.out / STEM}.{suffix}" for suffix in ("png", "json", "csv")))
    return 0


def _load(files: list[str], names: list[str] | None) -> "dict[str, Poses]":
    """The poses by the names given, else by their model ids where those differ, else by their files.

    Raises:
        UserError: there are less than two, one is given twice or is no poses.npz, or the names do not suit.
    """
    if len(files) < 2:
        raise UserError("give two or more poses.npz to compare")
    paths = [Path(each).resolve() for each in files]
    if twice := [each for each, path in zip(files, paths, strict=True) if paths.count(path) > 1]:
        raise UserError(f"{twice[0]} is given twice: give the poses of different networks")
    if names is not None and (len(names) != len(files) or len(set(names)) < len(names)):
        raise UserError(f"--names must be {len(files)} different names, one for each of the files")
    from egorear.poses import Poses

    loaded = [Poses.load(each) for each in files]
    models = [poses.model_id for poses in loaded]
    telling = all(models) and len(set(models)) == len(models)
    return dict(zip(names or (models if telling else files), loaded, strict=True))


def _csv(comparison: "JointComparison") -> str:
    """One line for each row, measure and run; the first run has no difference from itself."""
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ("value", "low", "high", "difference", "difference_low", "difference_high")
    writer.writerow(("kind", "name", "measure", "run", *columns))
    for kind, name, measures in comparison.rows():
        for measure, compared in measures.items():
            for run, value in compared.values.items():
                difference = compared.differences.get(run)
                off = (None, None, None) if difference is None else vars(difference).values()
                writer.writerow((kind, name, measure, run, *vars(value).values(), *off))
    return text.getvalue()


def _print(title: str, comparison: "JointComparison") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    first, *others = comparison.runs
    for measure, name in TITLES.items():
        table = Table(title=f"{name}: {title}", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("")
        for run in comparison.runs:
            table.add_column(escape(run), justify="right")
        for run in others:
            table.add_column(escape(f"{run} - {first} (95 %)"), justify="right")
        previous = "group"
        for kind, row, measures in comparison.rows():
            if kind != previous:
                table.add_section()
            previous, compared = kind, measures[measure]
            values = [f"{each.value:.1f}" for each in compared.values.values()]
            table.add_row(row, *values, *(_difference(each) for each in compared.differences.values()))
        console.print(table)
    if comparison.joints_left_out:
        print(f"not compared: {', '.join(comparison.joints_left_out)}, which not all poses and the truth have")
    if comparison.recordings == 1:
        print("all frames are of one recording, so that nothing is known of others: no intervals")


def _difference(estimate: "Estimate") -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:+.1f}"
    return f"{estimate.value:+.1f} ({estimate.low:+.1f}…{estimate.high:+.1f})"
