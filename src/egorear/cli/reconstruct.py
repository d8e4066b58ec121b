"""`egorear reconstruct WEIGHTS… --data DIR`: how much of the heatmaps EgoTAP's encoders keep."""

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from egorear.cli.progress import with_progress
from egorear.errors import UserError
from egorear.files import check_writable, write_json

if TYPE_CHECKING:
    from egorear.datasets.sample import Sample
    from egorear.evaluation.bootstrap import Estimate
    from egorear.evaluation.reconstruction import Reconstruction
    from egorear.models.egotap import EgoTAP

STEM = "reconstruction"
UNIT = 1e-4  # of the errors on the terminal, as in the paper
PIPED_WIDTH = 120  # a file has no width: no cell needs to wrap


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `egorear reconstruct`."""
    parser.add_argument("weights", nargs="+", metavar="WEIGHTS", help="folder of an EgoTAP network, or Hub id")
    parser.add_argument("--data", required=True, metavar="DIR", help="dataset that the decoders are judged on")
    parser.add_argument("--split", default="test", choices=("train", "validation", "test"), help="of --data")
    parser.add_argument("--train-data", metavar="DIR", help="whose train split they learn from (default: --data)")
    parser.add_argument("--steps", type=int, default=600, metavar="N", help="of training a decoder (default 600)")
    parser.add_argument("--batch", type=int, default=32, metavar="N", help="frames at once (default 32)")
    parser.add_argument("--limit", type=int, metavar="N", help="at most N test frames, evenly spread (default: all)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of decoders and bootstrap (default 0)")
    parser.add_argument("--device", default="cpu", metavar="D", help="cpu (default), cuda, cuda:1, mps ...")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes that read frames (default 0)")
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"folder for {STEM}.png and {STEM}.json")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(args: argparse.Namespace) -> int:
    """Trains and judges a decoder for each network, then prints the table and writes it with the pictures."""
    for name, least in (("steps", 1), ("batch", 2), ("limit", 1), ("seed", 0), ("workers", 0)):
        if (value := getattr(args, name)) is not None and value < least:
            raise UserError(f"--{name} is {value} but must be at least {least}")
    if args.out is not None:
        check_writable(args.out)
    _check_device(args.device)
    networks = _load(args.weights)
    trials = {name: _try(args, name, network) for name, network in networks.items()}
    report = {"schema": "egorear-reconstruction", "version": 1, "split": args.split, "seed": args.seed}
    report |= {"steps": args.steps, "batch": args.batch, "networks": {name: _row(t) for name, t in trials.items()}}
    if args.out is not None:
        from egorear.viewer.reconstruction_plot import plot_reconstructions

        joints = next(iter(networks.values())).config.joints.names[1:]
        write_json(args.out / f"{STEM}.json", report)
        plot_reconstructions(trials, joints, args.out / f"{STEM}.png")
    if args.json:
        print(json.dumps(report, indent=2, allow_nan=False))
        return 0
    _print(trials)
    if args.out is not None:
        print(f"written: {args.out / STEM}.json, {args.out / STEM}.png")
    return 0


def _check_device(name: str) -> None:
    import torch

    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:  # how torch says that it has no such device
        raise UserError(f"--device {name} cannot be used: {str(error).splitlines()[0]}") from error


def _load(weights: list[str]) -> "dict[str, EgoTAP]":
    """The networks by their folders' names, or by what was given where those are the same.

    Raises:
        UserError: one is no EgoTAP, is given twice, or has other joints than the first.
    """
    from egorear.models.egotap import EgoTAP
    from egorear.models.pretrained import load_pretrained
    from egorear.tracking.weights import find_weights

    if len(set(weights)) < len(weights):
        raise UserError("the same weights are given twice")
    short = [Path(each).resolve().name for each in weights]
    names = short if len(set(short)) == len(short) else weights
    networks: dict[str, EgoTAP] = {}
    for name, each in zip(names, weights, strict=True):
        network = load_pretrained(find_weights(each))
        if not isinstance(network, EgoTAP) or network.lifter is None:
            raise UserError(f"{each} is no EgoTAP with a lifter, whose encoder of heatmaps could be tried")
        networks[name] = network
    skeletons = {network.config.skeleton for network in networks.values()}
    if len(skeletons) > 1:
        raise UserError(f"the networks are of different skeletons ({', '.join(sorted(skeletons))}): try them apart")
    return networks


def _try(args: argparse.Namespace, name: str, network: "EgoTAP") -> "Reconstruction":
    import numpy as np

    from egorear.datasets.opening import open_dataset
    from egorear.evaluation.reconstruction import Trial

    size, views = network.config.image_size, network.config.views
    train = open_dataset(args.train_data or args.data, "train", size, views)
    test = open_dataset(args.data, args.split, size, views)
    for data in (train, test):
        if not len(data):
            raise UserError(f"{data.root} has no frame in '{data.split}'")
        if data.skeleton != network.config.joints:
            raise UserError(f"{data.root} has other joints than {name}, which is for '{network.config.skeleton}'")
    indices = np.linspace(0, len(test) - 1, min(len(test), args.limit or len(test))).round().astype(int).tolist()
    trial = Trial(network, args.seed, args.device)

    def progress(batches: "Iterable[Sample]", total: int, what: str) -> "Iterator[Sample]":
        return with_progress(batches, total, f"{name}: {what}", "batches")

    trial.train(train, args.steps, args.batch, args.workers, progress)
    return trial.test(test, indices, args.batch, args.workers, progress)


def _row(trial: "Reconstruction") -> dict[str, Any]:
    """The figures as JSON values, without the maps."""
    figures = ("encoder", "numbers", "frames", "recordings")
    errors = {name: asdict(getattr(trial, name)) for name in ("error", "zeros", "mean_map")}
    return {name: getattr(trial, name) for name in figures} | errors


def _print(trials: "dict[str, Reconstruction]") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    first = next(iter(trials.values()))
    title = f"mean squared error per pixel x 1e-4 (95 %), {first.frames} frames of {first.recordings} recordings"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for number, head in enumerate(("network", "encoder", "numbers a frame", "reconstructed", "mean map", "zeros")):
        table.add_column(head, justify="right" if number > 1 else "left", no_wrap=number > 0)
    for name, trial in trials.items():
        errors = (_scaled(each) for each in (trial.error, trial.mean_map, trial.zeros))
        table.add_row(escape(name), trial.encoder, str(trial.numbers), *errors)
    console.print(table)


def _scaled(estimate: "Estimate") -> str:
    value, low, high = (None if each is None else f"{each / UNIT:.2f}" for each in vars(estimate).values())
    return f"{value}" if low is None else f"{value} ({low}…{high})"
