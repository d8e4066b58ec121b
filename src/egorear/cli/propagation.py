"""`egorear propagation NP.npz P.npz --data DIR`: what propagation along the skeleton brings, and what only looks so."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from egorear.errors import UserError
from egorear.files import check_writable, write_json

if TYPE_CHECKING:
    from egorear.evaluation.bootstrap import Estimate
    from egorear.evaluation.propagation import Figures, PropagationReport, Samples
    from egorear.evaluation.regression import Line

STEM = "propagation"
PIPED_WIDTH = 132  # a file has no width: no cell needs to wrap


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `egorear propagation`."""
    parser.add_argument("without", metavar="NP.npz", help="poses of a network without propagation")
    parser.add_argument("propagating", metavar="P.npz", help="poses of the same frames by a network with it")
    parser.add_argument("--data", required=True, metavar="DIR", help="dataset with the truth of these frames")
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"))
    parser.add_argument(
        "--null", metavar="NP2.npz", help="poses by a second network without propagation (another seed): what is noise"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the bootstrap over recordings (default 0)")
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"folder for {STEM}.png and {STEM}.json")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the tables and writes plot and report. Reads the dataset's truth only, no images."""
    if args.seed < 0:
        raise UserError(f"--seed is {args.seed} but must be at least 0")
    if args.out is not None:
        check_writable(args.out)
    import numpy as np

    from egorear.datasets.opening import open_dataset
    from egorear.evaluation.propagation import sample, summarise
    from egorear.poses import Poses

    without, propagating = Poses.load(args.without), Poses.load(args.propagating)
    null = None if args.null is None else Poses.load(args.null)
    for which, other in (("NP.npz", without), ("P.npz", propagating)):
        if null is not None and np.array_equal(null.joints, other.joints):
            raise UserError(f"--null has the poses of {which} once more: give those of a network of its own")
    samples = sample(without, propagating, open_dataset(args.data, args.split), null)
    report = summarise(samples, args.seed)
    content = {"schema": "egorear-propagation", "version": 1, "without": without.model_id}
    content |= {"propagating": propagating.model_id, "null": None if null is None else null.model_id}
    content |= {"split": args.split, "seed": args.seed, "parents": samples.joints, **asdict(report)}
    title = (
        f"{propagating.model_id} against {without.model_id}: {report.frames} frames of {report.recordings} recordings"
    )
    if args.out is not None:
        from egorear.viewer.propagation_plot import plot_propagation

        write_json(args.out / f"{STEM}.json", content)
        plot_propagation(samples, report, args.out / f"{STEM}.png", title)
    if args.json:
        print(json.dumps(content, indent=2, allow_nan=False))
        return 0
    _print(title, samples, report)
    if args.out is not None:
        print(f"written: {args.out / STEM}.json, {args.out / STEM}.png")
    return 0


def _print(title: str, samples: "Samples", report: "PropagationReport") -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    all_, null = report.overall, report.overall.null is not None
    rows = [_joint("all", all_, null), *(_joint(name, figures, null) for name, figures in report.joints.items())]
    heads = ["joint", "PP mm (95 %)", "PE mm (95 %)", "PE>0 %", "PP>0 %", "both %", "PE>0: mm", "PE<0: mm", "slope"]
    _table(console, title, heads + (["null", "crossed"] if null else []), rows)
    lines = [("PE of NP on PP of NP, as in the paper", all_.line)]
    if null:
        lines += [("  null: NP2 in place of P", all_.null), ("  crossed: PE of NP2 on PP of NP", all_.crossed)]
    rows = [(name, *_line(each)) for name, each in lines]
    if report.corrected is not None and report.given_child is not None:
        rows.append(("crossed, without the noise of PP", interval(report.corrected, ".3f"), "", "", ""))
        for name, each in (("parent", report.given_child.parent), ("child", report.given_child.child)):
            rows.append(
                (f"PE for each mm of the {name}'s error, the other's given", interval(each, "+.3f"), "", "", "")
            )
    _table(console, "", ["regression", "slope (95 %)", "intercept mm", "r", "p"], rows)
    if not null:
        print(
            "NP's error of the child is in both PP and PE, so that its noise alone makes the slope positive; "
            "--null tells by how much"
        )


def _joint(name: str, figures: "Figures", null: bool) -> tuple[str, ...]:
    shares = (figures.effect_positive, figures.potential_positive, figures.both_positive)
    means = (figures.mean_positive_mm, figures.mean_negative_mm)
    lines = [figures.line, *((figures.null, figures.crossed) if null else ())]
    return (
        name,
        interval(figures.potential_mm, ".1f"),
        interval(figures.effect_mm, ".1f"),
        *(f"{share:.1f}" for share in shares),
        *("-" if mean is None else f"{mean:.1f}" for mean in means),
        *("-" if each is None else f"{each.slope.value:.2f}" for each in lines),
    )


def _line(line: "Line | None") -> tuple[str, ...]:
    if line is None:
        return "-", "-", "-", "-"
    p = f"{line.p_value:.1e}" if line.p_value > 0 else "<1e-300"
    return interval(line.slope, ".3f"), f"{line.intercept:.2f}", f"{line.r:.3f}", p


def interval(estimate: "Estimate", form: str) -> str:
    """The figure, with its interval in brackets where there is one."""
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:{form}}"
    return f"{estimate.value:{form}} ({estimate.low:{form}}…{estimate.high:{form}})"


def _table(console, title: str, heads: list[str], rows: list[tuple[str, ...]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title) or None, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for number, head in enumerate(heads):
        table.add_column(head, justify="right" if number else "left", no_wrap=number > 0)
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
