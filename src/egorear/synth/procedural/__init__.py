"""Motion without motion capture: families of movements with random parameters, composed of legs and arms.

`legs`, `ground` and `gait` say what carries the body, `arms` what hands and head do over it, `posing.solve` makes
bone rotations of it. A clip is a pure function of its seed and of time, so any frame rate and any window is exact.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num

from egorear.synth.posing import Pose, solve
from egorear.synth.procedural import arms, ground, legs
from egorear.synth.procedural.gait import stand

Legs = Callable[[np.random.Generator, np.ndarray], Pose]
Arms = Callable[[np.random.Generator, np.ndarray, Pose], Pose]


@dataclass(frozen=True)
class Family:
    """Movements of one kind. action: the label; legs, arms: what is drawn from; weight: share of the clips."""

    action: str
    legs: tuple[Legs, ...]
    arms: tuple[Arms, ...] = (arms.swing,)
    weight: float = 1.0

    def clip(self, seed, t: Num[np.ndarray, "T"]) -> tuple[Float[np.ndarray, "T N 3 3"], Float[np.ndarray, "T 3"]]:
        """The clip of a seed at the times `t` (seconds): global rotations of the body bones, hips in leg lengths."""
        rng = np.random.default_rng(seed)
        carry, act = rng.integers(len(self.legs)), rng.integers(len(self.arms))
        pose = self.legs[carry](rng, t)
        return solve(self.arms[act](rng, t, pose))


_UPRIGHT = (stand, stand, legs.walk, legs.sit, legs.step_in_place)
_ANYWHERE = (*_UPRIGHT, legs.squat, legs.kneel, legs.side_step, legs.back_step)
_BUSY = (arms.swing, arms.reach, arms.reach, arms.look_around)

FAMILIES: dict[str, Family] = {
    "walk": Family("walk", (legs.walk,), (arms.swing, arms.swing, arms.look_around), 2.0),
    "run": Family("run", (legs.run,)),
    "side_step": Family("step", (legs.side_step,), _BUSY),
    "back_step": Family("step", (legs.back_step,), _BUSY),
    "step_in_place": Family("step", (legs.step_in_place,), _BUSY),
    "squat": Family("squat", (legs.squat,), _BUSY, 1.5),
    "lunge": Family("lunge", (legs.lunge,), _BUSY),
    "kick": Family("kick", (legs.kick,), (arms.swing, arms.punch)),
    "jump": Family("jump", (legs.jump,)),
    "bend_down": Family("bend", (legs.bend_down,), (arms.swing, arms.reach)),
    "reach": Family("reach", _ANYWHERE, (arms.reach,), 4.0),
    "manipulate": Family("manipulate", _ANYWHERE, (arms.manipulate,), 1.5),
    "carry": Family("carry", (legs.walk, legs.squat, *_UPRIGHT), (arms.carry,)),
    "wave": Family("wave", _UPRIGHT, (arms.wave,)),
    "clap": Family("clap", _UPRIGHT, (arms.clap,)),
    "arms_crossed": Family("stand", _UPRIGHT, (arms.arms_crossed,)),
    "hands_on_hips": Family("stand", _UPRIGHT, (arms.hands_on_hips,)),
    "hands_behind": Family("stand", _UPRIGHT, (arms.hands_behind,)),
    "phone": Family("phone", _UPRIGHT, (arms.phone,)),
    "sit": Family("sit", (legs.sit,), _BUSY, 2.0),
    "kneel": Family("kneel", (legs.kneel,), _BUSY),
    "crawl": Family("crawl", (ground.crawl,)),
    "push_up": Family("push_up", (ground.push_up,), weight=0.6),
    "lie": Family("lie", (ground.lie,)),
    "stretch": Family("stretch", (stand, legs.sit, legs.kneel), (arms.stretch,)),
    "twist": Family("twist", (legs.twist,), (arms.swing, arms.reach)),
    "look_around": Family("look", _ANYWHERE, (arms.look_around,), 2.5),
    "punch": Family("punch", (stand, legs.step_in_place, legs.lunge), (arms.punch,)),
    "dance": Family("dance", (legs.dance,), weight=1.5),
}
