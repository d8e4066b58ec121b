"""Motion without motion capture: families of movements with named random parameters, composed of legs and arms.

`legs`, `ground` and `gait` say what carries the body, `arms` what hands and head do over it, `posing.solve` makes
bone rotations of it. A clip is a pure function of its seed and of time, so any frame rate and any window is exact.
Any parameter can be given instead of drawn: `FAMILIES["walk"].clip(seed, t, speed=1.5, arms="wave")`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num

from egorear.synth.posing import Pose, solve
from egorear.synth.procedural import arms, ground, legs
from egorear.synth.procedural.draw import Draw, Value
from egorear.synth.procedural.gait import stand

Legs = Callable[[Draw, np.ndarray], Pose]
Arms = Callable[[Draw, np.ndarray, Pose], Pose]

LEGS: dict[str, Legs] = {
    legs_of.__name__: legs_of
    for legs_of in (
        stand, legs.walk, legs.run, legs.side_step, legs.back_step, legs.march, legs.crouch, legs.squat, legs.lunge,
        legs.kick, legs.jump, legs.sit, legs.kneel, legs.bend_down, legs.lift, legs.twist, legs.dance, ground.crawl,
        ground.push_up, ground.sit_floor, ground.lie,
    )
}  # fmt: skip
ARMS: dict[str, Arms] = {
    arms_of.__name__: arms_of
    for arms_of in (
        arms.swing, arms.reach, arms.manipulate, arms.carry, arms.wave, arms.clap, arms.arms_crossed,
        arms.hands_on_hips, arms.hands_behind, arms.phone, arms.stretch, arms.punch, arms.throw, arms.open_door,
        arms.look_around, arms.look_up, arms.look_down,
    )
}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """Movements of one kind. action: the label; legs, arms: names of what is drawn from (a name twice is drawn twice
    as often); weight: share of the clips."""

    action: str
    legs: tuple[str, ...]
    arms: tuple[str, ...] = ("swing",)
    weight: float = 1.0

    def clip(
        self, seed, t: Num[np.ndarray, "T"], **given: Value
    ) -> tuple[Float[np.ndarray, "T N 3 3"], Float[np.ndarray, "T 3"]]:
        """The clip of a seed at the times `t` (seconds): global rotations of the body bones, hips in leg lengths.

        given: parameters by name that are not drawn (see `parameters`); `legs` and `arms` may be any of `LEGS` and
        `ARMS` that go together.

        Raises:
            UserError: a given parameter does not exist or is out of its range.
        """
        return solve(self._pose(seed, t, given)[0])

    def parameters(self, seed, **given: Value) -> dict[str, Value]:
        """The parameters of the clip of a seed, by name."""
        return self._pose(seed, np.zeros(1), given)[1]

    def _pose(self, seed, t: np.ndarray, given: dict[str, Value]) -> tuple[Pose, dict[str, Value]]:
        draw = Draw(np.random.default_rng(seed), given)
        carried = LEGS[str(draw.choice("legs", self.legs, others=LEGS))]
        act = ARMS[str(draw.choice("arms", self.arms, others=ARMS))]
        pose = act(draw, t, carried(draw, t))
        draw.check()
        return pose, draw.values


_UPRIGHT = ("stand", "stand", "walk", "sit", "march")
_ANYWHERE = (*_UPRIGHT, "squat", "kneel", "side_step", "back_step", "sit_floor")
_BUSY = ("swing", "reach", "reach", "look_around")

FAMILIES: dict[str, Family] = {
    "stand": Family("stand", ("stand",), ("swing",), 0.6),
    "walk": Family("walk", ("walk",), ("swing", "swing", "look_around"), 2.0),
    "run": Family("run", ("run",)),
    "side_step": Family("side_step", ("side_step",), _BUSY),
    "back_step": Family("back_step", ("back_step",), _BUSY),
    "march": Family("march", ("march",), _BUSY),
    "crouch": Family("crouch", ("crouch",), ("swing", "swing", "reach", "look_around")),
    "squat": Family("squat", ("squat",), _BUSY, 1.5),
    "lunge": Family("lunge", ("lunge",), _BUSY),
    "kick": Family("kick", ("kick",), ("swing", "punch")),
    "jump": Family("jump", ("jump",)),
    "bend_down": Family("bend", ("bend_down",), ("swing", "reach")),
    "reach": Family("reach", _ANYWHERE, ("reach",), 4.0),
    "manipulate": Family("manipulate", _ANYWHERE, ("manipulate",), 1.5),
    "lift": Family("lift", ("lift",)),
    "carry": Family("carry", ("walk", "squat", *_UPRIGHT), ("carry",)),
    "throw": Family("throw", ("stand", "stand", "march", "kneel"), ("throw",)),
    "open_door": Family("open_door", ("stand", "march", "back_step"), ("open_door",)),
    "wave": Family("wave", _UPRIGHT, ("wave",)),
    "clap": Family("clap", _UPRIGHT, ("clap",)),
    "arms_crossed": Family("arms_crossed", _UPRIGHT, ("arms_crossed",)),
    "hands_on_hips": Family("hands_on_hips", _UPRIGHT, ("hands_on_hips",)),
    "hands_behind": Family("hands_behind", _UPRIGHT, ("hands_behind",)),
    "phone": Family("phone", _UPRIGHT, ("phone",)),
    "sit": Family("sit", ("sit",), _BUSY, 2.0),
    "sit_floor": Family("sit", ("sit_floor",), _BUSY),
    "kneel": Family("kneel", ("kneel",), _BUSY),
    "crawl": Family("crawl", ("crawl",)),
    "push_up": Family("push_up", ("push_up",), weight=0.6),
    "lie": Family("lie", ("lie",)),
    "stretch": Family("stretch", ("stand", "sit", "kneel"), ("stretch",)),
    "twist": Family("twist", ("twist",), ("swing", "reach")),
    "look_up": Family("look_up", _UPRIGHT, ("look_up",)),
    "look_down": Family("look_down", _UPRIGHT, ("look_down",)),
    "look_around": Family("look_around", _ANYWHERE, ("look_around",), 1.5),
    "punch": Family("punch", ("stand", "march", "lunge"), ("punch",)),
    "dance": Family("dance", ("dance",), weight=1.5),
}
