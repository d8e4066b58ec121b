"""Motion metrics for training and validation loops: MPJVE, acceleration error and jitter, defined in
`metrics.derivatives`, from sums and counts as in `metrics.pose`. Poses in metres, device frame. Needs torchmetrics."""

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from egorear.errors import UserError
from egorear.metrics.derivatives import ACCELERATION, JERK, VELOCITY, jerk_mm, motion_errors_mm, unit


class _MotionMetric(Metric):
    """Mean over joints and places of what `ORDER` says. fps: frames a second; None: per frame (see `unit`).

    Before any update with more than ORDER frames a result is NaN.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    ORDER: int

    def __init__(self, fps: float | None = None) -> None:
        super().__init__()
        if fps is not None and not 0 < fps < float("inf"):
            raise UserError(f"fps is {fps} but must be a positive number")
        self.step_s = 1.0 if fps is None else 1 / fps
        self.unit, self._scale = unit(self.ORDER, fps is not None)
        self.total_mm: Tensor
        self.count: Tensor
        self.add_state("total_mm", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def _add(self, values_mm: Float[Tensor, "*B D J"]) -> None:
        self.total_mm += values_mm.sum()
        self.count += values_mm.numel()

    def compute(self) -> Float[Tensor, ""]:
        return self._scale * self.total_mm / self.count


class MPJVE(_MotionMetric):
    """Mean per-joint velocity error (mm/s; without fps mm/frame)."""

    ORDER = VELOCITY

    def update(self, pred: Float[Tensor, "*B T J 3"], target: Float[Tensor, "*B T J 3"]) -> None:
        """Adds runs of T consecutive frames; nothing is counted from one run to the next."""
        self._add(motion_errors_mm(pred, target, self.ORDER, self.step_s))


class AccelerationError(MPJVE):
    """Mean per-joint acceleration error (m/s²; without fps mm/frame²)."""

    ORDER = ACCELERATION


class Jitter(_MotionMetric):
    """Mean length of the jerk of one motion, predicted or true (m/s³; without fps mm/frame³)."""

    ORDER = JERK

    def update(self, poses: Float[Tensor, "*B T J 3"]) -> None:
        """Adds runs of T consecutive frames."""
        self._add(jerk_mm(poses, self.step_s))
