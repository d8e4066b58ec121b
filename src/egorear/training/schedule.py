"""The learning rate over a run."""

import math
from dataclasses import dataclass
from typing import Literal

from egorear.errors import UserError


@dataclass(frozen=True)
class Schedule:
    """A factor of the learning rate for every step; the defaults are the official recipe.

    warmup_steps, warmup_epochs: the factor first rises linearly from 0 to 1, for so many steps and epochs together.
    decay: "epochs" multiplies by 0.1 after each of the `milestones` (epochs); "cosine" falls to zero at the last
    step, for runs counted in steps (`trainer.max_steps`); "linear" falls in equal steps, one an epoch, from the
    `milestones[0]`th on, and would reach zero after `milestones[1]` (EgoTAP's heatmap networks).
    floor: the factor at which the cosine ends (AG-EgoPose's poses: 0.1).
    """

    warmup_steps: int = 500
    warmup_epochs: float = 0.0
    decay: Literal["epochs", "cosine", "linear"] = "epochs"
    milestones: tuple[int, ...] = (8, 10)
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.floor <= 1:
            raise UserError(f"'schedule.floor' is {self.floor} but must be from 0 to 1")
        if self.decay == "linear" and (len(self.milestones) != 2 or self.milestones[0] >= self.milestones[1]):
            raise UserError(
                f"'schedule.milestones' is {list(self.milestones)} but a linear decay needs two: the first epoch that "
                "is slower and the one at which nothing would be left"
            )

    def factor(self, step: int, steps_per_epoch: float, total_steps: float) -> float:
        """The factor at an optimizer step, counted from 0.

        Raises:
            UserError: the cosine has no end, because `total_steps` is infinite.
        """
        rise = self.warmup_steps + (self.warmup_epochs * steps_per_epoch if self.warmup_epochs else 0.0)
        warmup = min(1.0, (step + 1) / max(1.0, rise))
        if self.decay == "epochs":
            return warmup * 0.1 ** sum(step >= epoch * steps_per_epoch for epoch in self.milestones)
        if self.decay == "linear":
            first, last = self.milestones
            epoch = step // max(1, round(steps_per_epoch))
            return warmup * min(1.0, max(0.0, (last - epoch) / (last - first + 1)))
        if not math.isfinite(total_steps):
            raise UserError("the cosine schedule needs an end: set 'trainer.max_steps' or 'trainer.max_epochs'")
        progress = (step - rise) / max(1.0, total_steps - rise)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, progress))))
        return warmup * (self.floor + (1 - self.floor) * cosine)
