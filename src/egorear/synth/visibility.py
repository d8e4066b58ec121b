"""How often each camera of a rig sees each joint (EgoRear, Table 2), for the rig as it is and with cameras moved.

People of the data engine move in a stated mix of motions; the share of frames in which a joint is unoccluded is
counted with the reasons where it is not. All variants of a rig see the same people in the same motions.
"""

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8

from egorear.datasets.truth import Visibility
from egorear.datasets.workers import become_worker, interrupts_for_parent_only
from egorear.errors import UserError
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import EGO4VIEW
from egorear.synth import studio
from egorear.synth.job import FIRST_HARD_TAKE, Recipe, Take

AXES = ("x", "y", "z")  # of the device: to the wearer's right, backward, down
END_EFFECTORS = ("LeftHand", "RightHand", "LeftFoot", "RightFoot")
FRAMES_PER_TAKE, FPS = 10, 3.0
HEIGHT_PX = 192  # fine enough for fingers at arm's length
CONFIDENCE = 1.96  # standard errors in a 95 % interval


@dataclass(frozen=True)
class Sweep:
    """Some cameras moved together along one axis of the device, by each of the offsets (metres)."""

    views: tuple[str, ...]
    axis: str
    offsets_m: tuple[float, ...]

    @staticmethod
    def parse(text: str) -> "Sweep":
        """Reads `back_left,back_right:y=-0.05,0,0.05`.

        Raises:
            UserError: the text is not of that form.
        """
        views, _, change = text.partition(":")
        axis, _, offsets = change.partition("=")
        try:
            sweep = Sweep(tuple(views.split(",")), axis, tuple(float(offset) for offset in offsets.split(",")))
        except ValueError:
            sweep = None
        if sweep is None or axis not in AXES or not all(sweep.views) or not np.isfinite(sweep.offsets_m).all():
            raise UserError(
                f"a sweep is written VIEW[,VIEW…]:AXIS=METRES[,METRES…] with an axis of {', '.join(AXES)}, "
                f"such as back_left,back_right:y=-0.05,0,0.05, not '{text}'"
            )
        if len(set(sweep.views)) < len(sweep.views):
            raise UserError(f"a sweep names each view once, not '{views}'")
        return sweep

    def rigs(self, rig: Rig) -> dict[str, Rig]:
        """The variants of a rig by the offset, such as "+5.0 cm".

        Raises:
            UserError: a view is not in the rig.
        """
        rig.select(self.views)
        moved = [rig.views.index(view) for view in self.views]
        variants = {}
        for offset in self.offsets_m:
            T = rig.T_camera_device.clone()
            step = torch.zeros(3, dtype=T.dtype)
            step[AXES.index(self.axis)] = offset
            T[moved, :3, 3] -= T[moved, :3, :3] @ step
            centimetres = f"{100 * offset:+.1f}"
            if abs(float(centimetres) - 100 * offset) > 1e-6:  # finer than a millimetre
                centimetres = f"{100 * offset:+g}"
            variants[f"{centimetres} cm"] = replace(rig, T_camera_device=T)
        return variants


@dataclass(frozen=True)
class Visibilities:
    """reasons: `Visibility` of every take, frame, view and joint. views: names of the V dimension."""

    views: tuple[str, ...]
    reasons: UInt8[np.ndarray, "T F V 16"]

    def share(self, view: str | None, joint: str) -> tuple[float, float]:
        """Share of frames in which a view (None: any view) sees a joint, and half its 95 % confidence interval.

        Frames of a take are alike, so the interval comes from the spread over takes.
        """
        seen = self.reasons[..., EGO4VIEW.names.index(joint)] == Visibility.VISIBLE
        seen = seen.any(-1) if view is None else seen[..., self.views.index(view)]
        takes = seen.mean(1)
        return float(takes.mean()), float(CONFIDENCE * takes.std() / np.sqrt(max(len(takes) - 1, 1)))

    def to_dict(self) -> dict[str, Any]:
        """Shares of every reason by view and joint, for machines."""
        shares: dict[str, Any] = {}
        for v, view in enumerate(self.views):
            shares[view] = {
                joint: {
                    reason.name.lower(): float((self.reasons[:, :, v, j] == reason).mean()) for reason in Visibility
                }
                for j, joint in enumerate(EGO4VIEW.names)
            }
        return {"frames": int(np.prod(self.reasons.shape[:2])), "views": shares}


def measure(
    rig: Rig, frames: int, seed: int = 0, mix: str = "all", workers: int = 1
) -> Iterator[UInt8[np.ndarray, "F V 16"]]:
    """Renders takes of people and yields the `Visibility` of every frame, view and joint of each, in order.

    frames: rounded up to whole takes of ten, three pictures a second. mix: of motions, "all" or "hard".
    """
    jobs = [(rig, seed, mix, number) for number in range(-(-frames // FRAMES_PER_TAKE))]
    if workers <= 1:
        yield from (_take(*job) for job in jobs)
        return
    pool = ProcessPoolExecutor(min(workers, len(jobs)), multiprocessing.get_context("spawn"), become_worker)
    try:
        with interrupts_for_parent_only():
            takes = pool.map(_take, *zip(*jobs, strict=True))
        yield from takes
    except BrokenExecutor as error:
        raise UserError("a worker was killed (out of memory?): try fewer --workers") from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _take(rig: Rig, seed: int, mix: str, number: int) -> UInt8[np.ndarray, "F V 16"]:
    recipe = Recipe(rig, seed, HEIGHT_PX, samples=1, fps=FPS, take_frames=FRAMES_PER_TAKE)
    first = FIRST_HARD_TAKE if mix == "hard" else 0
    take = Take("train", first + number, FRAMES_PER_TAKE, mix)
    return np.stack([truth.visibility for _, _, truth in studio.take(recipe, take)])


def rows(measured: dict[str, Visibilities], joints: Sequence[str] = END_EFFECTORS) -> list[dict[str, Any]]:
    """The table: one row for each variant and view, and one for what any view sees; shares in percent."""
    table = []
    for variant, visibilities in measured.items():
        for view in (*visibilities.views, None):
            shares = {joint: visibilities.share(view, joint) for joint in joints}
            table.append(
                {
                    "variant": variant,
                    "view": view or "any",
                    **{joint: round(100 * share, 1) for joint, (share, _) in shares.items()},
                    **{f"{joint}_interval": round(100 * half, 1) for joint, (_, half) in shares.items()},
                }
            )
    return table
