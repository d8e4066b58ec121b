"""How well a predicted motion follows the true one, and how much it trembles.

Poses are of consecutive frames, in metres, with the same time between any two neighbours; derivatives are differences
of neighbours, so that a sequence of T frames has T - n values of the n-th. Nothing is aligned or made relative to a
root. Of joints x in frames t, with D the difference of neighbours over the time between them:

    MPJVE               mean of |D pred - D true|        Pavllo et al., VideoPose3D, CVPR 2019
    acceleration error  mean of |D² pred - D² true|      Kanazawa et al., HMMR, CVPR 2019
    jitter              mean of |D³ x|, the jerk         Yi et al., TransPose, SIGGRAPH 2021; Flash and Hogan, 1985

Jitter needs no truth; the true motion has some too, and a prediction that has less is smoothed, not better.
`metrics.motion` has the same as torchmetrics classes.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from egorear.errors import UserError

VELOCITY, ACCELERATION, JERK = 1, 2, 3
"""Which derivative."""


def derivative_mm(poses: Float[Tensor, "*B T J 3"], order: int, step_s: float = 1.0) -> Float[Tensor, "*B D J 3"]:
    """Derivative of that order by time, mm/s^order, of D = T - order places; none where T is too small.

    step_s: seconds from frame to frame; 1.0 gives mm per frame.

    Raises:
        UserError: a coordinate is not finite, or the step is not positive.
    """
    if not poses.isfinite().all():
        raise UserError("a joint is not finite, so that its motion cannot be told")
    if not step_s > 0:
        raise UserError(f"the time from frame to frame is {step_s} s but must be positive")
    if poses.shape[-3] <= order:
        return poses.new_zeros((*poses.shape[:-3], 0, *poses.shape[-2:]), dtype=torch.float64)
    return 1000 * poses.double().diff(n=order, dim=-3) / step_s**order


def motion_errors_mm(
    pred: Float[Tensor, "*B T J 3"], target: Float[Tensor, "*B T J 3"], order: int, step_s: float = 1.0
) -> Float[Tensor, "*B D J"]:
    """Length of the difference of the two motions' derivatives: order 1 for MPJVE, 2 for the acceleration error."""
    return derivative_mm(pred.double() - target.double(), order, step_s).norm(dim=-1)


def jerk_mm(poses: Float[Tensor, "*B T J 3"], step_s: float = 1.0) -> Float[Tensor, "*B D J"]:
    """Length of the third derivative, whose mean is the jitter."""
    return derivative_mm(poses, JERK, step_s).norm(dim=-1)


def unit(order: int, timed: bool) -> tuple[str, float]:
    """The unit in which a derivative is told, and how many of it one mm/s^order (timed) or mm/frame^order is."""
    power = ("", "²", "³")[order - 1]
    if not timed:
        return f"mm/frame{power}", 1.0
    return ("mm/s", 1.0) if order == VELOCITY else (f"m/s{power}", 1e-3)
