"""`egorear card`: what a dataset holds, as a page of figures and pictures."""

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument("data", metavar="DIR", help="a dataset (docs/data.md tells which)")
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"))
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for card.md, statistics.json and pictures")
    parser.add_argument("--title", metavar="TEXT", help="of the page (default: the dataset's folder and split)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> int:
    """Reads every frame's truth and some images, writes the page."""
    from pathlib import Path

    from rich.console import Console
    from rich.progress import track

    from egorear.datasets.opening import open_dataset
    from egorear.evaluation.statistics import gather
    from egorear.files import check_writable
    from egorear.viewer.card import write_card

    out = Path(args.out)
    dataset = open_dataset(args.data, args.split)
    check_writable(out)
    console = Console(file=sys.stderr)
    indices = track(range(len(dataset)), "reading", console=console, disable=not console.is_terminal)
    statistics = gather(dataset, indices)
    title = args.title or f"{Path(args.data).resolve().name}, {args.split} split"
    write_card(out, title, dataset, statistics)
    if args.json:
        print(json.dumps(statistics.summary()))
    else:
        print(f"{statistics.frames} frames described in {out / 'card.md'}")
    return 0
