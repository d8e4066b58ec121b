"""`egorear evaluate`: scores a poses.npz against a dataset, or studies a network under faults or with fewer cameras."""

import argparse
import json
from typing import TYPE_CHECKING

from egorear.cli import evaluate_faults
from egorear.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from egorear.evaluation.motion import MotionReport
    from egorear.evaluation.reliability import Reliability
    from egorear.evaluation.score import ScoreReport

COLUMNS = ("frames", "mpjpe_mm", "pa_mpjpe_mm", "pck", "auc")
TITLES = ("frames", "MPJPE mm", "PA-MPJPE mm", "PCK@150 %", "AUC %")
MOTION = ("mpjve", "acceleration_error", "jitter", "jitter_truth")
MOTION_TITLES = ("MPJVE", "acceleration error", "jitter", "jitter of the truth")
TRUST = ("ece", "auroc", "mean_confidence", "correct")
OPTIONS = ("baseline", "train_data", "fps")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("poses", nargs="?", help="score this poses.npz, as `egorear predict` writes it")
    parser.add_argument("--faults", action="store_true", help="or: what lost, late, turned … cameras cost a network")
    parser.add_argument("--view-sets", action="store_true", help="or: a network with every set of its cameras")
    parser.add_argument(
        "--data", required=True, metavar="DIR", help="a dataset: Ego4View-Syn or -RW, UnrealEgo, EgoCap, or shards"
    )
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"))
    parser.add_argument("--baseline", choices=("mean-pose",), help="also score a constant pose on the same frames")
    parser.add_argument("--train-data", metavar="DIR", help="whose train split gives the mean pose (default: --data)")
    parser.add_argument(
        "--fps", type=float, metavar="F", help="frames a second, where the dataset tells no times (default: per frame)"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--csv", metavar="FILE", help="write the table as CSV too")
    evaluate_faults.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Does the one thing that is asked for.

    Raises:
        UserError: not exactly one is, or an option belongs to another.
    """
    if sum((args.poses is not None, args.faults, args.view_sets)) != 1:
        raise UserError("give exactly one of a poses.npz, --faults and --view-sets")
    scores = args.poses is not None
    for option in evaluate_faults.OPTIONS if scores else OPTIONS:
        if getattr(args, option) is not None:
            belongs = "--faults and --view-sets" if scores else "the score of a poses.npz"
            raise UserError(f"--{option.replace('_', '-')} belongs to {belongs}")
    return _score(args) if scores else evaluate_faults.run(args)


def _score(args: argparse.Namespace) -> int:
    """Scores and prints. Reads the dataset's truth only, no images."""
    from egorear.datasets.opening import open_dataset
    from egorear.evaluation.matching import KeptTruth, match
    from egorear.evaluation.motion import frame_times, motion
    from egorear.evaluation.reliability import reliability
    from egorear.evaluation.score import mean_pose, score
    from egorear.poses import Poses

    poses = Poses.load(args.poses)
    dataset = open_dataset(args.data, args.split)
    baseline = mean_pose(open_dataset(args.train_data or args.data, "train")) if args.baseline else None
    truth = KeptTruth(dataset)
    report = score(poses, truth, baseline)
    matched = match(poses, truth)
    trust = reliability(poses, KeptTruth(truth, matched.skeleton))
    moving = motion(matched, truth.names, frame_times(dataset, matched.places), args.fps)
    if args.csv:
        _write_csv(report, trust, moving, args.csv)
    if args.json:
        print(json.dumps(_as_json(report, trust, moving), indent=2, allow_nan=False))
    else:
        _print_tables(report, trust, moving)
    return 0


def _as_json(report: "ScoreReport", trust: "Reliability", moving: "MotionReport | None") -> dict:
    from dataclasses import asdict

    content = {"schema": "egorear-score", "version": 1, **asdict(report), "confidence": trust.row()}
    return content | {"motion": None if moving is None else asdict(moving)}


def _write_csv(report: "ScoreReport", trust: "Reliability", moving: "MotionReport | None", path: str) -> None:
    """The table; how far the confidence can be believed stands in the first row, which is that of all frames."""
    import csv
    import io

    from egorear.files import write_text

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    moved = {} if moving is None else {(kind, name): scores for kind, name, scores in moving.rows()}
    titles = MOTION if moving is None else [f"{column} ({moving.units[column]})" for column in MOTION]
    writer.writerow(("kind", "name", *COLUMNS, *TRUST, *titles))
    for kind, name, scores in report.rows():
        believed = [trust.row()[column] if kind == "overall" else None for column in TRUST]
        motions = [getattr(moved.get((kind, name)), column, None) for column in MOTION]
        writer.writerow((kind, name, *(getattr(scores, column) for column in COLUMNS), *believed, *motions))
    write_text(path, text.getvalue())


def _print_tables(report: "ScoreReport", trust: "Reliability", moving: "MotionReport | None") -> None:
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
    if report.joints_left_out:
        names = ", ".join(report.joints_left_out)
        console.print(f"not scored: {names}, which the poses and the truth do not both have", markup=False)
    _print_motion(moving, console)
    remark = (
        f"confidence: {trust.mean_confidence:.3f} on average, and {trust.correct:.3f} of the joints are within 100 mm; "
        f"expected calibration error {trust.ece:.3f}"
    )
    finds = "" if trust.row()["auroc"] is None else f", AUROC for the other joints {trust.auroc:.3f}"
    console.print(remark + finds, markup=False, highlight=False)
    for names, what in ((report.without_pose, "have no pose"), (report.without_truth, "are not in the dataset")):
        if names:
            console.print(f"not scored: {len(names)} frames {what} (first: {names[0]})", markup=False)


def _print_motion(moving: "MotionReport | None", console: "Console") -> None:
    from rich.markup import escape
    from rich.table import Table

    if moving is None:
        console.print("motion: not scored, since no two of these frames follow each other", markup=False)
        return
    rate = (
        "at " + ", ".join(f"{fps:g}" for fps in moving.fps) + " frames/s" if moving.fps else "rate unknown: see --fps"
    )
    table = Table(title=f"motion of {moving.frames} frames in {moving.runs} runs ({rate})")
    table.add_column("")
    for column, title in zip(MOTION, MOTION_TITLES, strict=True):
        table.add_column(f"{title} {moving.units[column]}", justify="right")
    previous = "overall"
    for kind, name, scores in moving.rows():
        if kind != previous:
            table.add_section()
        previous = kind
        figures = [getattr(scores, column) for column in MOTION]
        table.add_row(escape(name), *("-" if figure is None else f"{figure:.2f}" for figure in figures))
    console.print(table)
