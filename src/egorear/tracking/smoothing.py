"""The One Euro filter (Casiez, Roussel and Vogel, CHI 2012) for joints: calm where they rest, quick where they move.

A low pass whose cutoff rises with the speed. What trembles is slow on average and is held; what moves is let through,
so that it does not lag. Ours differs in three things. A joint has one speed, not one for each coordinate: turning the
axes turns the result and changes nothing else. Speed is taken from pose to pose as they came; from the smoothed one the
lag would count as speed, and more so the higher the rate. And the network's doubt lowers the cutoff.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from egorear.errors import UserError


@dataclass(frozen=True)
class OneEuroConfig:
    """cutoff_hz: of a joint at rest; lower is calmer. rise_hz: by how much the cutoff rises for each m/s; higher lags
    less: a steady motion by no more than 1 / (2π rise_hz) metres, whatever its speed. doubtful_share: of its cutoff
    that a joint of confidence 0 keeps; one of confidence 1 has all of it. speed_cutoff_hz: of the low pass over the
    speed itself. gap_s: after so long without a pose another motion begins. docs/live.md tells how the defaults were
    found.

    Raises:
        UserError: a value is not positive (rise_hz: negative), or not finite.
    """

    cutoff_hz: float = 1.5
    rise_hz: float = 6.0
    doubtful_share: float = 0.2
    speed_cutoff_hz: float = 2.0
    gap_s: float = 0.5

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not math.isfinite(value) or value < 0 or (value == 0 and name != "rise_hz"):
                raise UserError(f"'{name}' is {value} but must be a positive number")


class OneEuroFilter:
    """Smooths one motion as it comes, pose by pose."""

    def __init__(self, config: OneEuroConfig | None = None) -> None:
        self.config = config or OneEuroConfig()
        self.reset()

    def reset(self) -> None:
        """The next pose begins another motion."""
        self._seconds = 0.0
        self._seen: Float[Tensor, "J 3"] | None = None
        self._smooth = self._velocity = torch.zeros(0, 3)

    def __call__(
        self, joints: Float[Tensor, "J 3"], seconds: float, confidence: Float[Tensor, "J"] | None = None
    ) -> Float[Tensor, "J 3"]:
        """The smoothed pose. seconds: when it was taken, by any clock; after a gap, or a step that is none, the pose is
        the first of another motion and comes back as it is. confidence: 0 to 1; none: 1.

        Raises:
            UserError: a joint is not finite (it would stay in the filter for good).
        """
        if not joints.isfinite().all():
            raise UserError("a joint is not finite, so that its motion cannot be smoothed")
        step, seen = seconds - self._seconds, self._seen
        self._seconds, self._seen = seconds, joints.clone()
        if seen is None or not 0 < step <= self.config.gap_s:
            self._smooth, self._velocity = joints.clone(), torch.zeros_like(joints)
            return joints.clone()
        velocity = (joints - seen) / step
        self._velocity = self._velocity + _share(self.config.speed_cutoff_hz, step) * (velocity - self._velocity)
        cutoff_hz = self.config.cutoff_hz + self.config.rise_hz * self._velocity.norm(dim=-1, keepdim=True)
        if confidence is not None:
            least = self.config.doubtful_share
            cutoff_hz = cutoff_hz * (least + (1 - least) * confidence[:, None])
        self._smooth = self._smooth + _share(cutoff_hz, step) * (joints - self._smooth)
        return self._smooth.clone()


def _share(cutoff_hz, step_s: float):
    """How much of the new value a low pass of that cutoff takes: step / (step + time constant)."""
    angle = 2 * math.pi * cutoff_hz * step_s
    return angle / (angle + 1)
