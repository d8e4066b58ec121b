"""A pose in space, upright: predicted and true, from the front and from the side."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from egorear.errors import UserError
from egorear.geometry.skeleton import EGO4VIEW, Skeleton
from egorear.viewer.overlay import SIDES, side_of, side_of_bone

TRUTH_COLOR = "#3c4450"
GREY = "#5a6270"


@dataclass(frozen=True)
class Viewpoint:
    """From where to look, degrees; level: without perspective and without the axis that points at the eye."""

    name: str
    elevation: float
    azimuth: float
    level: bool = False


FRONT = Viewpoint("from the front", 14.0, 60.0)
SIDE = Viewpoint("from the wearer's right", 0.0, 0.0, level=True)


def plot_pose(
    predicted: Float[Tensor, "J 3"],
    truth: Float[Tensor, "J 3"] | None = None,
    title: str = "",
    skeleton: Skeleton = EGO4VIEW,
    height: int = 600,
    viewpoints: Sequence[Viewpoint] = (FRONT, SIDE),
) -> UInt8[np.ndarray, "H W 3"]:
    """A picture of the pose (RGB, `height` pixels high). predicted, truth: metres, device frame.

    The device's z axis (down to the floor) is drawn upside down, so that the person stands; the marker at the origin
    is the device.

    Raises:
        UserError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise UserError("3D plots need matplotlib: pip install matplotlib") from error
    width = 0.8 * height * len(viewpoints)
    figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    shown = [upright(pose) for pose in (predicted, truth) if pose is not None]
    for column, viewpoint in enumerate(viewpoints):
        axes: Any = figure.add_subplot(1, len(viewpoints), column + 1, projection="3d")
        if truth is not None:
            _draw_truth(axes, shown[1], skeleton)
        _draw_predicted(axes, shown[0], skeleton)
        axes.scatter(0, 0, 0, marker="s", s=46, color="#20242a", depthshade=False, label="device")
        _frame(axes, np.concatenate((*shown, np.zeros((1, 3)))))
        _look(axes, viewpoint)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    small = 10 if len(viewpoints) > 1 else 7.5
    figure.legend(
        handles, labels, loc="lower center", ncol=len(labels), frameon=False, fontsize=small, columnspacing=1.0
    )
    figure.suptitle(title, fontsize=12, y=0.985)
    figure.subplots_adjust(left=0.01, right=0.98, bottom=0.11, top=0.93, wspace=0.0)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def upright(joints: Float[Tensor, "*B J 3"]) -> Float[np.ndarray, "*B J 3"]:
    """Device frame (x right, y back, z down) to x right, y forward, z up: half a turn about x."""
    return joints.detach().cpu().numpy() * np.array([1.0, -1.0, -1.0], np.float32)


def _draw_predicted(axes: Any, joints: Float[np.ndarray, "J 3"], skeleton: Skeleton) -> None:
    named: set[str] = set()
    for bone in skeleton.bones:
        side = side_of_bone(skeleton, bone)
        label = None if side in named or side == "middle" else f"predicted, {side}"
        named.add(side)
        axes.plot(*joints[list(bone)].T, color=_hex(side), linewidth=3.2, solid_capstyle="round", label=label)
    colors = [_hex(side_of(skeleton, joint)) for joint in range(len(skeleton))]
    axes.scatter(*joints.T, c=colors, s=30, edgecolors="white", linewidths=0.8, depthshade=False)


def _draw_truth(axes: Any, joints: Float[np.ndarray, "J 3"], skeleton: Skeleton) -> None:
    for index, bone in enumerate(skeleton.bones):
        label = "truth" if index == 0 else None
        axes.plot(*joints[list(bone)].T, color=TRUTH_COLOR, linewidth=1.4, linestyle=(0, (4, 2)), label=label)
    axes.scatter(*joints.T, color=TRUTH_COLOR, s=8, depthshade=False)


def _frame(axes: Any, points: Float[np.ndarray, "N 3"]) -> None:
    """Equal scales on all axes and room around the points."""
    low, high = points.min(axis=0), points.max(axis=0)
    reach = (high - low) / 2 + 0.1
    reach[:2] = max(reach[:2].max(), 0.5)  # a square floor
    for axis, at, r, label in zip("xyz", (low + high) / 2, reach, ("right", "forward", "up"), strict=True):
        getattr(axes, f"set_{axis}lim")(at - r, at + r)
        getattr(axes, f"set_{axis}label")(f"{label} (m)", fontsize=8, color=GREY)
        getattr(axes, f"{axis}axis").set_pane_color((0.965, 0.97, 0.98))
        getattr(axes, f"{axis}axis").set_major_locator(_locator())
    axes.set_box_aspect(reach, zoom=0.98)
    axes.tick_params(labelsize=7, colors=GREY, pad=0)


def _look(axes: Any, viewpoint: Viewpoint) -> None:
    axes.view_init(elev=viewpoint.elevation, azim=viewpoint.azimuth)
    axes.set_title(viewpoint.name, fontsize=10, color=GREY, pad=0)
    if viewpoint.level:
        axes.set_proj_type("ortho")
        axes.set_xticks([])
        axes.set_xlabel("")
    else:
        axes.set_proj_type("persp", focal_length=0.9)


def _locator() -> Any:
    from matplotlib.ticker import MultipleLocator

    return MultipleLocator(0.5)


def _hex(side: str) -> str:
    # The overlay's colours, darkened for a white page.
    return "#{:02x}{:02x}{:02x}".format(*(round(0.86 * value) for value in SIDES[side]))
