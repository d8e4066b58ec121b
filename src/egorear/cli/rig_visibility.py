"""`egorear rig visibility`: how often each camera sees hands and feet (EgoRear, Table 2), for any rig and placement."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from egorear.synth.visibility import Visibilities

PLOTS = (".png", ".pdf", ".svg")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--frames", type=int, default=500, metavar="N", help="frames of each variant (default 500)")
    parser.add_argument("--seed", type=int, default=0, help="of people and motions (default 0)")
    parser.add_argument("--mix", choices=("all", "hard"), default="all", help="of motions (default: all)")
    parser.add_argument("--workers", type=int, default=1, metavar="W", help="processes (default 1)")
    parser.add_argument(
        "--sweep", metavar="VIEWS:AXIS=METRES", help="also move cameras, e.g. back_left,back_right:y=-0.05,0,0.05"
    )
    parser.add_argument("--out", metavar="FILE.json", help="shares of every joint, view and reason")
    parser.add_argument("--plot", metavar="FILE.png", help="bars of the table")
    parser.add_argument("--json", action="store_true", help="print the table for machines")


def run(args: argparse.Namespace) -> int:
    from egorear.errors import UserError
    from egorear.files import check_writable, write_json
    from egorear.geometry.calibration import read_rig
    from egorear.synth.visibility import Sweep, rows

    for name in ("frames", "workers"):
        if getattr(args, name) < 1:
            raise UserError(f"--{name} is {getattr(args, name)} but must be at least 1")
    if args.seed < 0:
        raise UserError(f"--seed is {args.seed} but must be at least 0")
    if args.plot and Path(args.plot).suffix not in PLOTS:
        raise UserError(f"--plot is {args.plot} but must end in {', '.join(PLOTS[:-1])} or {PLOTS[-1]}")
    for path in filter(None, (args.out, args.plot)):
        if Path(path).is_dir():
            raise UserError(f"cannot write {path}: it is a folder")
        check_writable(Path(path).parent)
    rig = read_rig(args.source)
    rigs = Sweep.parse(args.sweep).rigs(rig) if args.sweep else {"as it is": rig}
    measured = {name: _measure(name, variant, args) for name, variant in rigs.items()}
    table = rows(measured)
    if args.out:
        mix = {"frames": args.frames, "seed": args.seed, "mix": args.mix}
        variants = {name: seen.to_dict() for name, seen in measured.items()}
        write_json(args.out, {"rig": rig.hash(), **mix, "variants": variants, "table": table})
    if args.plot:
        from egorear.viewer.visibility_plot import plot

        plot(table, args.plot)
    if args.json:
        print(json.dumps({"rig": rig.hash(), "table": table}))
    else:
        _print(table)
    return 0


def _measure(name: str, rig, args: argparse.Namespace) -> "Visibilities":
    import numpy as np
    from rich.console import Console
    from rich.progress import Progress

    from egorear.synth.visibility import FRAMES_PER_TAKE, Visibilities, measure

    console = Console(file=sys.stderr)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(name, total=-(-args.frames // FRAMES_PER_TAKE))
        takes = []
        for reasons in measure(rig, args.frames, args.seed, args.mix, args.workers):
            takes.append(reasons)
            progress.advance(bar)
    return Visibilities(rig.views, np.stack(takes))


def _print(table: list[dict]) -> None:
    from rich.console import Console
    from rich.table import Table

    from egorear.synth.visibility import END_EFFECTORS

    shown = Table(title="share of frames in which a joint is unoccluded, % (± 95 % interval)")
    for column in ("cameras", "view", *END_EFFECTORS):
        shown.add_column(column)
    for row in table:
        shares = (f"{row[joint]:.1f} ± {row[f'{joint}_interval']:.1f}" for joint in END_EFFECTORS)
        shown.add_row(row["variant"], row["view"], *shares)
    Console().print(shown)
