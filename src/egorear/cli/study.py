"""`egorear study`: trains and judges the paper's matrix of cameras and methods, and writes what it found."""

import argparse
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from egorear.errors import UserError

if TYPE_CHECKING:
    from egorear.studies.report import Report
    from egorear.studies.tables import Table


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    add = parser.add_argument
    add("config", help="YAML of the study, e.g. configs/study/rear_views.yaml")
    add("--out", metavar="DIR", help="folder of the study; resumed if it exists (default: runs/study/NAME-MODE-SIZE)")
    add("--size", default="minutes", help="smoke, minutes (default), hours, full: as the YAML has them")
    add(
        "--mode", choices=("images", "controlled"), default="images",
        help="images: everything is trained (default); controlled: heatmaps made from the truth",
    )  # fmt: skip
    add("--seeds", type=int, metavar="N", help="repetitions (default: as the size says)")
    add("--cells", metavar="PATTERN", help="only these, e.g. 'front_left+front_right.*' or '*/seed_2'")
    add("--report-only", action="store_true", help="train nothing: write the report of what is done")
    add("--json", action="store_true", help="print the report as JSON")
    data = parser.add_argument_group("data (rendered where none are given)").add_argument
    data("--data", metavar="DIR", help="dataset in the layout of Ego4View-Syn or -RW, or shards")
    data("--test-data", metavar="DIR", help="whose frames judge (default: --data)")
    data("--test-split", default="test", choices=("train", "validation", "test"), help="(default test)")
    data("--workers", type=int, default=1, metavar="W", help="processes that render (default 1)")


def run(args: argparse.Namespace) -> None:
    """Runs the study, or what is missing of it, and prints its tables."""
    for name in ("seeds", "workers"):
        if (value := getattr(args, name)) is not None and value < 1:
            raise UserError(f"--{name} is {value} but must be at least 1")
    if args.test_data and not args.data:
        raise UserError("--test-data needs --data: rendered training frames have rendered test frames")
    from egorear.studies.launch import Options, launch

    out = Path(args.out or f"runs/study/{Path(args.config).stem}-{args.mode}-{args.size}")
    options = Options(
        config=Path(args.config),
        out=out,
        size=args.size,
        mode=args.mode,
        data=Path(args.data) if args.data else None,
        test_data=Path(args.test_data) if args.test_data else None,
        test_split=args.test_split,
        seeds=args.seeds,
        cells=args.cells,
        workers=args.workers,
        command=shlex.join(["egorear", *sys.argv[1:]]),
    )
    report = launch(options, args.report_only)
    if args.json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        _print(report, out)


def _print(report: "Report", out: Path) -> None:
    from rich.console import Console

    from egorear.studies.report import caveats, verdicts

    console = Console()
    if not console.is_terminal:
        console = Console(width=160)  # a file's lines need not fit a window
    for table in report.tables:
        if table.rows:
            console.print(_rich(table))
    for sentence in verdicts(report.findings):
        console.print(sentence, markup=False)
    for sentence in caveats(report.facts, report.results, report.findings):
        console.print(f"note: {sentence}", markup=False)
    console.print(f"report: {out / 'report.md'}", markup=False, soft_wrap=True)


def _rich(table: "Table"):
    from rich.markup import escape
    from rich.table import Table as RichTable

    shown = RichTable(title=escape(table.caption))
    for title in table.head:
        shown.add_column(escape(title))
    for row in table.texts():
        shown.add_row(*map(escape, row))
    return shown
