"""`egorear evaluate`: scores a poses.npz against a dataset and prints, or writes, the tables."""

import argparse
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from egorear.evaluation.score import ScoreReport

COLUMNS = ("frames", "mpjpe_mm", "pa_mpjpe_mm", "pck", "auc")
TITLES = ("frames", "MPJPE mm", "PA-MPJPE mm", "PCK@150 %", "AUC %")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("poses", help="poses.npz as `egorear predict` writes it")
    parser.add_argument(
        "--data", required=True, metavar="DIR", help="dataset in the layout of Ego4View-Syn or -RW, or shards"
    )
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"))
    parser.add_argument("--baseline", choices=("mean-pose",), help="also score a constant pose on the same frames")
    parser.add_argument("--train-data", metavar="DIR", help="whose train split gives the mean pose (default: --data)")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--csv", metavar="FILE", help="write the table as CSV too")


def run(args: argparse.Namespace) -> None:
    """Scores and prints. Reads the dataset's truth only, no images."""
    from egorear.datasets.opening import open_dataset
    from egorear.evaluation.score import mean_pose, score
    from egorear.poses import Poses

    poses = Poses.load(args.poses)
    dataset = open_dataset(args.data, args.split)
    baseline = mean_pose(open_dataset(args.train_data or args.data, "train")) if args.baseline else None
    report = score(poses, dataset, baseline)
    if args.csv:
        _write_csv(report, args.csv)
    if args.json:
        print(json.dumps(_as_json(report), indent=2))
    else:
        _print_tables(report)


def _as_json(report: "ScoreReport") -> dict:
    from dataclasses import asdict

    return {"schema": "egorear-score", "version": 1, **asdict(report)}


def _write_csv(report: "ScoreReport", path: str) -> None:
    import csv
    import io

    from egorear.files import write_text

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("kind", "name", *COLUMNS))
    for kind, name, scores in report.rows():
        writer.writerow((kind, name, *(getattr(scores, column) for column in COLUMNS)))
    write_text(path, text.getvalue())


def _print_tables(report: "ScoreReport") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    table = Table(title=escape(f"{report.model_id}: {report.overall.frames} frames"))
    table.add_column("")
    for title in TITLES:
        table.add_column(title, justify="right")
    previous = "overall"
    for kind, name, scores in report.rows():
        if kind != previous:
            table.add_section()
        previous = kind
        figures = (getattr(scores, column) for column in COLUMNS[1:])
        table.add_row(escape(name), str(scores.frames), *(f"{figure:.2f}" for figure in figures))
    console.print(table)
    for names, what in ((report.without_pose, "have no pose"), (report.without_truth, "are not in the dataset")):
        if names:
            console.print(f"not scored: {len(names)} frames {what} (first: {names[0]})", markup=False)
