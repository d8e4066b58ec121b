"""`egorear evaluate --faults` and `--view-sets`: the tracker under every fault, or with every set of cameras."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egorear.cli.joints import check_joints
from egorear.cli.progress import with_progress
from egorear.errors import UserError

if TYPE_CHECKING:
    from egorear.evaluation.bootstrap import Estimate
    from egorear.evaluation.robustness import Row, Study
    from egorear.tracking.tracker import PoseTracker

LIMIT = 200
PIPED_WIDTH = 120  # a file has no width: no cell needs to wrap
OPTIONS = ("weights", "limit", "out", "seed", "device")
ESTIMATES = (
    "mpjpe_mm", "pa_mpjpe_mm", "upper_mm", "lower_mm", "change_mm", "confidence", "confidence_change",
)  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of both studies; without a default, so that a score can refuse them."""
    group = parser.add_argument_group("studies of a network (--faults, --view-sets)")
    group.add_argument("--weights", metavar="W", help="name, folder or Hub id (default: the shipped)")
    group.add_argument("--limit", type=int, metavar="N", help=f"frames, spread evenly (default {LIMIT}; 0: all)")
    group.add_argument("--out", type=Path, metavar="DIR", help="folder for tables and plot; goes on where it stopped")
    group.add_argument("--seed", type=int, metavar="S", help="of axes, noise and the bootstrap (default 0)")
    group.add_argument("--device", metavar="D", help="cpu (default), cuda, cuda:1, mps ...")


def run(args: argparse.Namespace) -> int:
    """Predicts every frame under every fault, then prints and writes the tables."""
    from egorear.evaluation.clip_store import ClipStore
    from egorear.files import check_writable
    from egorear.tracking.tracker import PoseTracker
    from egorear.tracking.weights import DEFAULT, find_weights

    limit, seed = LIMIT if args.limit is None else args.limit, args.seed or 0
    for name, value in (("limit", limit), ("seed", seed)):
        if value < 0:
            raise UserError(f"--{name} is {value} but must be at least 0")
    for folder in (args.out, Path(args.csv).parent if args.csv else None):
        if folder is not None:
            check_writable(folder)
    weights = args.weights or DEFAULT
    tracker = PoseTracker.from_pretrained(weights, args.device or "cpu")
    study = _study(args, tracker, limit, seed)
    store = ClipStore(args.out, study.identity() | {"weights": _digest(find_weights(weights))})
    predicted, unit = study.predict(_Predictor(tracker), store), f"clips under {len(study.faults)} conditions"
    for _ in with_progress(predicted, len(study.clips), "predicting", unit):
        pass
    rows = study.summarise(store)
    kind = "faults" if args.faults else "view-sets"
    report = {"schema": f"egorear-{kind}", "version": 1, "model_id": tracker.model_id, "split": args.split}
    report |= {"frames": rows[0].frames, "sequences": len({clip.sequence for clip in study.clips}), "seed": seed}
    report["rows"] = [asdict(row) for row in rows]
    _write(report, rows, args.csv, args.out)
    if args.json:
        print(json.dumps(report, indent=2, allow_nan=False))
    else:
        title = f"{tracker.model_id}: {report['frames']} frames of {report['sequences']} sequences"
        (_print_faults if args.faults else _print_view_sets)(title, rows)
        if args.out:
            print(f"written to {args.out}")
    return 0


class _Predictor:
    """The tracker as the study wants it."""

    def __init__(self, tracker: "PoseTracker") -> None:
        self._tracker = tracker

    def __call__(self, frames, rig):
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # what a user of this rig should know, once for each turned rig
            poses = self._tracker.predict(frames, rig)
        return poses.joints.numpy(), poses.confidence.numpy()


def _study(args: argparse.Namespace, tracker: "PoseTracker", limit: int, seed: int) -> "Study":
    from egorear.datasets.opening import open_dataset
    from egorear.evaluation.faults import standard_faults
    from egorear.evaluation.robustness import Study, choose_clips, lengths
    from egorear.evaluation.view_sets import view_sets

    dataset = open_dataset(args.data, args.split)
    check_joints(tracker, dataset.skeleton, args.data)
    views = tracker.views_of(dataset.rig)
    names = dataset.names
    longest = max(lengths(names).values())
    faults = standard_faults(dataset.rig, views, longest) if args.faults else view_sets(views)
    clips = choose_clips(names, max(fault.history for fault in faults), limit)
    return Study(dataset, clips, faults, views, seed)


def _digest(folder: Path) -> str:
    """Of all that decides what the weights answer, so that trained anew they are others even under the same name."""
    import hashlib

    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".json", ".safetensors")):
        digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _write(report: dict[str, Any], rows: "list[Row]", csv_file: str | None, out: Path | None) -> None:
    from egorear.files import write_json, write_text

    table = _as_csv(rows)
    if csv_file:
        write_text(csv_file, table)
    if out is None:
        return
    stem = report["schema"].removeprefix("egorear-")
    write_json(out / f"{stem}.json", report)
    write_text(out / f"{stem}.csv", table)
    if stem == "faults":
        from egorear.viewer.robustness_plot import plot

        plot(rows, out / f"{stem}.png")


def _as_csv(rows: "list[Row]") -> str:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    bounds = [f"{name}{end}" for name in ESTIMATES for end in ("", "_low", "_high")]
    writer.writerow(("name", "family", "level", "unit", "cameras", "frames", *bounds, "auroc"))
    for row in rows:
        cameras = "all" if row.cameras is None else " ".join(row.cameras)
        estimates = [getattr(row, name) for name in ESTIMATES]
        figures = [figure for each in estimates for figure in (each.value, each.low, each.high)]
        writer.writerow((row.name, row.family, row.level, row.unit, cameras, row.frames, *figures, row.auroc))
    return text.getvalue()


def _print_faults(title: str, rows: "list[Row]") -> None:
    columns = ("fault", "MPJPE mm", "change (95 %)", "PA mm", "confidence", "change", "AUROC")
    cells = [
        (
            row.name, f"{row.mpjpe_mm.value:.1f}", _interval(row.change_mm, "+.1f"), f"{row.pa_mpjpe_mm.value:.1f}",
            f"{row.confidence.value:.3f}", f"{row.confidence_change.value:+.3f}",
            "-" if row.auroc is None else f"{row.auroc:.3f}",
        )
        for row in rows
    ]  # fmt: skip
    _print(title, columns, cells, [row.family for row in rows])


def _print_view_sets(title: str, rows: "list[Row]") -> None:
    columns = ("views", "MPJPE mm (95 %)", "PA mm (95 %)", "upper mm", "lower mm")
    cells = [
        (
            row.name, _interval(row.mpjpe_mm, ".1f"), _interval(row.pa_mpjpe_mm, ".1f"),
            f"{row.upper_mm.value:.1f}", f"{row.lower_mm.value:.1f}",
        )
        for row in rows
    ]  # fmt: skip
    _print(title, columns, cells, [row.name.count(",") for row in rows])


def _interval(estimate: "Estimate", form: str) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:{form}}"
    return f"{estimate.value:{form}} ({estimate.low:{form}}…{estimate.high:{form}})"


def _print(title: str, columns: tuple[str, ...], cells: list[tuple[str, ...]], sections: list[Any]) -> None:
    """A table with a line between sections. Only the first column may wrap."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    table = Table(title=escape(title), box=SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=number > 0)
    for row, section, following in zip(cells, sections, [*sections[1:], None], strict=True):
        table.add_row(*map(escape, row), end_section=section != following)
    console.print(table)
