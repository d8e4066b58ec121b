"""`egorear bench`: what each network costs, in one table."""

import argparse
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from egorear.evaluation.cost import Cost


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the command's arguments."""
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="networks to measure (default: all; with --views those of several views)",
    )
    parser.add_argument(
        "--views", nargs="+", metavar="VIEW",
        help="names of the cameras, or how many of them: 2 is the front pair (default: each network's own)",
    )  # fmt: skip
    parser.add_argument(
        "--window",
        type=int,
        metavar="T",
        help="frames that temporal networks take together (default: each network's own)",
    )
    parser.add_argument(
        "--batch", type=int, default=1, help="frames in one forward pass, of temporal networks windows (default: 1)"
    )
    parser.add_argument("--threads", type=int, default=1, help="of the CPU (default: 1)")
    parser.add_argument("--repeats", type=int, default=10, help="timed rounds over all networks (default: 10)")
    parser.add_argument("--device", default="cpu", help="cpu (default) or cuda (cuda:1, …)")
    parser.add_argument(
        "--precision", default="32-true", choices=("32-true", "bf16-mixed", "16-mixed"), help="as in `egorear fit`"
    )
    parser.add_argument("--compile", action="store_true", help="time them after torch.compile (needs a C++ compiler)")
    parser.add_argument("--parts", action="store_true", help="also tell the networks' parts apart")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(args: argparse.Namespace) -> None:
    """Builds the networks with random weights, measures and prints."""
    import torch

    from egorear.errors import UserError
    from egorear.evaluation.cost import measure
    from egorear.models import MODELS

    for option in ("window", "batch", "threads", "repeats"):
        if getattr(args, option) is not None and getattr(args, option) < 1:
            raise UserError(f"--{option} is {getattr(args, option)} but must be 1 or more")
    for name in args.names:
        if name not in MODELS:
            raise UserError(f"there is no network '{name}'; there are {', '.join(MODELS)}")
    if args.device.split(":")[0] not in ("cpu", "cuda"):
        raise UserError(f"--device is {args.device} but must be cpu or cuda (cuda:1, …)")
    try:
        torch.zeros(1, device=args.device)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        raise UserError(f"--device {args.device} cannot be used: {str(error).splitlines()[0]}") from error
    temporal = _temporal()
    names = args.names or [name for name in MODELS if args.views is None or name not in temporal]
    if args.window is not None and not set(names) & set(temporal):
        raise UserError(f"--window is for temporal networks, {' and '.join(temporal)}, of which none is measured")
    networks = {name: _build(name, args.views, args.window) for name in dict.fromkeys(names)}
    costs = measure(networks, args.batch, args.repeats, args.threads, args.device, args.precision, args.compile)
    how = {
        "device": torch.cuda.get_device_name(args.device) if args.device.startswith("cuda") else args.device,
        "threads": args.threads,
        "precision": args.precision,
        "compiled": args.compile,
        "rounds": args.repeats,
    }
    if args.json:
        print(json.dumps({"schema": "egorear-bench", "version": 1, **how, "networks": [_entry(c) for c in costs]}))
    else:
        _print_tables(costs, how, args.parts)


def _temporal() -> list[str]:
    """The networks that take windows of one camera's video."""
    from egorear.models import MODELS
    from egorear.models.agegopose import AGEgoPose

    return [name for name, (_, model) in MODELS.items() if model is AGEgoPose]


def _build(name: str, views: list[str] | None, window: int | None) -> Any:
    from dataclasses import replace

    from egorear.errors import UserError
    from egorear.models import MODELS
    from egorear.models.egorear import VIEWS

    config, model = MODELS[name]
    if views is not None:
        if len(views) == 1 and views[0].isdigit():
            if not 1 <= int(views[0]) <= len(VIEWS):
                raise UserError(f"--views is {views[0]} but there are {len(VIEWS)} cameras: {', '.join(VIEWS)}")
            views = list(VIEWS[: int(views[0])])
        elif unknown := [view for view in views if view not in VIEWS]:
            raise UserError(f"--views names '{unknown[0]}' but the cameras are {', '.join(VIEWS)}")
        config = replace(config, views=tuple(views))
    if window is not None and name in _temporal():
        config = replace(config, window=window)
    return model(config)


def _entry(cost: "Cost") -> dict[str, Any]:
    from dataclasses import asdict

    low, high = cost.quartiles_ms()
    return {
        **asdict(cost),
        "gflop": cost.gflop,
        "median_ms": cost.median_ms,
        "quartiles_ms": [low, high],
        "frames_per_second": cost.frames_per_second,
    }


def _print_tables(costs: "list[Cost]", how: dict[str, Any], parts: bool) -> None:
    compiled = ", compiled" if how["compiled"] else ""
    print(f"{how['device']}, threads {how['threads']}, {how['precision']}{compiled}, batch {costs[0].batch}")
    print("GMAC: multiplications with their additions in convolutions, linear layers, attention (masked keys too) and")
    print(
        "grid_sample, of one frame of all views (of a window: its share); GFLOP: 2 GMAC; norms, activations not counted"
    )
    print(f"ms of a batch: median (middle half) of {how['rounds']} rounds; peak: weights and live tensors")
    rows = []
    for cost in costs:
        low, high = cost.quartiles_ms()
        rows.append(
            (
                cost.name,
                f"{len(cost.views)} x {cost.image_size}",
                "-" if cost.window is None else f"{cost.window}",
                f"{cost.parameters:,}",
                f"{cost.gmac:.2f}",
                f"{cost.gflop:.2f}",
                f"{cost.peak_mb:.0f}",
                f"{cost.median_ms:.1f} ({low:.1f}-{high:.1f})",
                f"{cost.frames_per_second:.1f}",
            )
        )
    titles = ("network", "views x px", "window", "parameters", "GMAC/frame", "GFLOP/frame", "peak MB", "ms", "frames/s")
    _print_rows(titles, rows)
    if parts:
        names = list(dict.fromkeys(part for cost in costs for part in cost.gmac_of))
        print("\nGMAC/frame and ms by part")
        _print_rows(("network", *names), [(cost.name, *(_part(cost, name) for name in names)) for cost in costs])


def _part(cost: "Cost", name: str) -> str:
    if name not in cost.gmac_of:
        return "-"
    time = f"  {cost.milliseconds_of[name]:.1f}" if name in cost.milliseconds_of else ""
    return f"{cost.gmac_of[name]:.3f}{time}"


def _print_rows(titles: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Plain columns, wider than a narrow terminal rather than cut: a figure is of no use without its digits."""
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    for row in (titles, *rows):
        figures = (f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        print("  ".join((f"{row[0]:<{widths[0]}}", *figures)))
