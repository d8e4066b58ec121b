"""The learning rate over a run."""

import math
from dataclasses import dataclass
from typing import Literal

from egorear.errors import UserError


@dataclass(frozen=True)
class Schedule:
    """A factor of the learning rate for every step; the defaults are the official recipe.

    warmup_steps: the factor first rises linearly from 0 to 1.
    decay: "epochs" multiplies by 0.1 after each of the `milestones` (epochs); "cosine" falls to zero at the last
    step, for runs counted in steps (`trainer.max_steps`).
    """

    warmup_steps: int = 500
    decay: Literal["epochs", "cosine"] = "epochs"
    milestones: tuple[int, ...] = (8, 10)

    def factor(self, step: int, steps_per_epoch: float, total_steps: float) -> float:
        """The factor at an optimizer step, counted from 0.

        Raises:
            UserError: the cosine has no end, because `total_steps` is infinite.
        """
        warmup = min(1.0, (step + 1) / max(1, self.warmup_steps))
        if self.decay == "epochs":
            return warmup * 0.1 ** sum(step >= epoch * steps_per_epoch for epoch in self.milestones)
        if not math.isfinite(total_steps):
            raise UserError("the cosine schedule needs an end: set 'trainer.max_steps' or 'trainer.max_epochs'")
        progress = (step - self.warmup_steps) / max(1.0, total_steps - self.warmup_steps)
        return warmup * 0.5 * (1 + math.cos(math.pi * min(1.0, max(0.0, progress))))
