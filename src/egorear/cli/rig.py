"""`egorear rig`: look at a rig, check it, convert other tools' calibrations, count what its cameras see."""

import argparse
import json
import math
from typing import TYPE_CHECKING, Any

from egorear.cli import rig_visibility

if TYPE_CHECKING:
    from egorear.geometry.cameras import Camera
    from egorear.geometry.rig import Rig

SOURCES = "rig file, calibration of Ego4View, EgoPW, EgoCap, OpenCV or Kalibr, or the name of a shipped rig"
GRID_STEP_PX = 4
ROUND_TRIP_PX = 1e-3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the subcommands show, check, convert and visibility."""
    commands = parser.add_subparsers(dest="action", required=True)
    show = commands.add_parser("show", help="a table of the cameras")
    check = commands.add_parser("check", help="validate and measure round-trip errors; exit code 2 if refused")
    convert = commands.add_parser("convert", help="write any calibration as a rig file")
    visibility = commands.add_parser("visibility", help="how often each camera sees hands and feet (renders people)")
    for command in (show, check, convert, visibility):
        command.add_argument("source", metavar="RIG", help=SOURCES)
    for command in (show, check):
        command.add_argument("--json", action="store_true", help="for machines")
    rig_visibility.add_arguments(visibility)
    convert.add_argument("output", metavar="OUT.json", help="rig file to write")


def run(args: argparse.Namespace) -> int:
    """Runs one subcommand; a refused calibration raises UserError."""
    if args.action == "visibility":
        return rig_visibility.run(args)
    from egorear.geometry.calibration import read_rig

    rig = read_rig(args.source)
    if args.action == "convert":
        rig.save(args.output)
        cameras = "1 camera" if len(rig.views) == 1 else f"{len(rig.views)} cameras"
        print(f"wrote {args.output}: {cameras}, hash {rig.hash()}")
        return 0
    rows = show_rows(rig) if args.action == "show" else check_rows(rig)
    if args.json:
        print(json.dumps({"name": rig.name, "hash": rig.hash(), "cameras": rows}))
    else:
        _print_table(f"rig {rig.name} ({rig.hash()})", rows)
    if args.action == "check":
        from egorear.errors import UserError

        for row in rows:
            if not row["round_trip_px"] <= ROUND_TRIP_PX:
                raise UserError(
                    f"{args.source}: camera '{row['view']}': pixels come back {row['round_trip_px']:.3g} px off after "
                    f"unprojection and projection, {ROUND_TRIP_PX} was expected"
                )
    return 0


def show_rows(rig: "Rig") -> list[dict[str, Any]]:
    """Per camera: model, size and centre (px), field of view (degrees), place (m) and direction in the device frame."""
    from egorear.geometry.transforms import invert_rigid

    rows = []
    for (view, camera), T_device_camera in zip(
        rig.cameras.items(), invert_rigid(rig.T_camera_device.double()), strict=True
    ):
        rows.append(
            {
                "view": view,
                "model": camera.MODEL,
                "size": [camera.width, camera.height],
                "centre": _rounded(camera.principal_point, 2),
                "field_of_view_deg": round(2 * math.degrees(camera.max_angle), 1),
                "position_m": _rounded(T_device_camera[:3, 3].tolist(), 4),
                "looks_along": _rounded(T_device_camera[:3, 2].tolist(), 3),
                "image_down": _rounded(T_device_camera[:3, 1].tolist(), 3),
                "mask": camera.mask,
            }
        )
    return rows


def check_rows(rig: "Rig") -> list[dict[str, Any]]:
    """Per camera: round-trip error (px, float32), disagreement of its two polynomials (px, none for other models),
    field of view, and the share of the image inside it.

    Every camera that could be constructed is monotone: the constructor refuses the others."""
    from egorear.geometry.cameras import Scaramuzza

    rows = []
    for view, camera in rig.cameras.items():
        worst, share = round_trip(camera)
        disagreement = camera.disagreement_px() if isinstance(camera, Scaramuzza) else None
        rows.append(
            {
                "view": view,
                "model": camera.MODEL,
                "round_trip_px": worst,
                "polynomials_disagree_px": disagreement,
                "monotone": True,
                "field_of_view_deg": round(2 * math.degrees(camera.max_angle), 1),
                "image_in_field_of_view": round(share, 3),
            }
        )
    return rows


def round_trip(camera: "Camera") -> tuple[float, float]:
    """Largest distance (px) between a pixel of a grid inside the field of view and the projection of its ray; and the
    share of the grid that is inside."""
    import torch

    x, y = (torch.arange(0, size, GRID_STEP_PX, dtype=torch.float64) for size in (camera.width, camera.height))
    pixels = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    rays, valid = camera.unproject(pixels)
    distance = (camera.project(rays)[0] - pixels).norm(dim=-1)[valid]
    return (distance.max().item() if distance.numel() else 0.0), valid.float().mean().item()


def _print_table(title: str, rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    names = list(rows[0])
    for heading in (names[0], *(row[names[0]] for row in rows)):
        table.add_column(heading, overflow="fold")
    for name in names[1:]:
        table.add_row(name.replace("_", " "), *(_cell(row[name]) for row in rows))
    console = Console()
    Console(width=None if console.is_terminal else 120).print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1 else f"{value:g}"
    return " ".join(f"{item:g}" for item in value) if isinstance(value, list) else str(value)


def _rounded(values: Any, digits: int) -> list[float]:
    return [round(value, digits) + 0.0 for value in values]
