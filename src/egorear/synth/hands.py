"""What hands do with their fingers: named poses that change now and then, as rotations of the finger bones.

A pose gives anatomical angles: how far each finger bends and spreads against a flat hand. They are made in the left
hand's frame at rest (along the hand, across it to the little finger, out of its back); the right hand is its mirror
image. What the rest pose of the rig already bends is taken off.
"""

from functools import cache

import numpy as np
from jaxtyping import Float

from egorear.geometry.rotations import about, unit
from egorear.synth.figure import rest

FINGERS = ("Thumb", "Index", "Middle", "Ring", "Pinky")
_SPREAD = np.array([9.0, 0.0, -6.0, -14.0])  # degrees of the open hand's fingers to the thumb's side


def _pose(thumb, knuckle, middle, spread: float) -> Float[np.ndarray, "5 4"]:
    """Degrees. thumb: opposition, stretch, bend of its two joints; fingers: bend at knuckle and middle joint."""
    fingers = np.stack([np.broadcast_to(a, 4) for a in (spread * _SPREAD, knuckle, middle)], 1)
    # The end joint follows the middle joint: one tendon bends both.
    return np.vstack((thumb, np.column_stack((fingers, 0.65 * fingers[:, 2]))))


POSES: dict[str, Float[np.ndarray, "5 4"]] = {
    "relaxed": _pose((45, 40, 12, 15), (22, 27, 31, 33), (28, 33, 36, 34), 0.35),
    "open": _pose((25, 48, 0, -5), (0, -2, -2, 0), (4, 3, 4, 6), 1.2),
    "fist": _pose((94, 64, 34, 54), (72, 78, 80, 78), (98, 102, 100, 92), -0.1),
    "grasp": _pose((86, 43, 12, 28), (42, 46, 48, 50), (58, 60, 58, 54), 0.3),
    "point": _pose((94, 64, 34, 54), (4, 72, 76, 74), (6, 96, 98, 90), 0.0),
    "pinch": _pose((84, 50, 16, 36), (50, 36, 26, 18), (52, 36, 28, 24), 0.4),
    "thumb_up": _pose((5, 62, -5, -10), (74, 80, 82, 80), (98, 100, 98, 92), -0.1),
}
"""Degrees, a row for each of `FINGERS`. Thumb: turned before the palm, stretched away from the hand, bend of its two
joints. Other fingers: turned to the thumb's side, bend at knuckle, middle and end joint."""

SHARES = {"relaxed": 0.42, "open": 0.14, "fist": 0.12, "grasp": 0.16, "point": 0.05, "pinch": 0.06, "thumb_up": 0.05}
LOWEST = np.array([(0, 15, -10, -15)] + 4 * [(-22, -15, 0, 0)], float)
HIGHEST = np.array([(105, 75, 60, 80)] + 4 * [(22, 92, 110, 75)], float)
"""Limits of each angle of `POSES`, degrees."""

HOLD_S = (0.6, 6.0)  # how long a pose is kept
CHANGE_S = (0.25, 0.9)  # and how long the next one takes
WHOLE_STD, FINGER_STD = 8.0, 5.0  # degrees by which a pose differs as a whole and in each angle
FIDGET = 2.5  # degrees that fingers wander within a pose
FIDGET_HZ = (0.1, 0.8)


def sample_hands(rng: np.random.Generator, frames: int, fps: float, side: str) -> dict[str, Float[np.ndarray, "T 3 3"]]:
    """Finger motion of one hand: what it does, and how its poses follow each other, is drawn from `rng`.

    side: "Left" or "Right". Returns by bone name (mixamo, three of each finger) the rotation against the hand, relative
    to the rest pose: the bone's global rotation is hand @ this. Angles stay within `LOWEST` and `HIGHEST`.
    """
    return finger_rotations(np.radians(_angles(rng, np.arange(frames) / fps)), side)


def finger_rotations(angles: Float[np.ndarray, "T 5 4"], side: str) -> dict[str, Float[np.ndarray, "T 3 3"]]:
    """Rotation of each finger bone against the hand for angles as in `POSES`, in radians; see `sample_hands`."""
    flip = np.array([1.0, 1, 1]) if side == "Left" else np.array([-1.0, 1, 1])
    along, across, back = _frame()
    found = {}
    for f, finger in enumerate(FINGERS):
        sideways, bend = angles[:, f, 0], np.cumsum(angles[:, f, 1:], 1)
        if finger == "Thumb":  # first turned about the hand's length, then bent in the plane so found
            turn_axis, bend_axis = along, back
            bend = np.cumsum(angles[:, f, 1:] * [-1, 1, 1], 1)
        else:
            turn_axis, bend_axis = -back, across
        rest_sideways, rest_bend = _rest_angles(finger)
        for i in range(3):
            R = about(turn_axis, sideways) @ about(bend_axis, bend[:, i] - rest_bend[i])
            R = R @ about(turn_axis, -rest_sideways) * np.outer(flip, flip)
            # On a grid: near zero, float32 would keep the last bits in which machines differ.
            found[f"{side}Hand{finger}{i + 1}"] = np.rint(R * 2**24) / 2**24 + 0.0
    return found


def _angles(rng: np.random.Generator, times: Float[np.ndarray, "T"]) -> Float[np.ndarray, "T 5 4"]:
    """Degrees at each time (seconds): poses held and changed, over a slow fidget."""
    phase, rate = rng.uniform(0, 2 * np.pi, (5, 4)), 2 * np.pi * rng.uniform(*FIDGET_HZ, (5, 4))
    fidget = FIDGET * np.sin(times[:, None, None] * rate + phase)
    angles = np.broadcast_to(_sample_pose(rng), fidget.shape)
    start = rng.uniform(0, HOLD_S[1])  # the window begins within a pose
    while len(times) and start < times[-1]:
        needs = rng.uniform(*CHANGE_S)
        share = np.clip((times - start) / needs, 0, 1)[:, None, None]
        share = share**3 * (10 + share * (6 * share - 15))  # minimum jerk, as hands move
        angles = angles + share * (_sample_pose(rng) - angles)
        start += needs + rng.uniform(*HOLD_S)
    return np.clip(angles + fidget, LOWEST, HIGHEST)


def _sample_pose(rng: np.random.Generator) -> Float[np.ndarray, "5 4"]:
    """Degrees: one of `POSES` as somebody makes it."""
    pose = POSES[list(SHARES)[rng.choice(len(SHARES), p=list(SHARES.values()))]]
    bent = np.array([0.3, 1, 1, 0.65])  # sideways angles vary less
    pose = pose + bent * (rng.normal(0, WHOLE_STD) + rng.normal(0, FINGER_STD, (5, 4)))
    return np.clip(pose, LOWEST, HIGHEST)


@cache
def _frame() -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Of the left hand at rest: along it to the middle knuckle, across it to the little finger, out of its back."""
    along = unit(rest("LeftHandMiddle1") - rest("LeftHand"))
    back = unit(np.cross(along, rest("LeftHandPinky1") - rest("LeftHandIndex1")))
    return along, np.cross(back, along), back


@cache
def _rest_angles(finger: str) -> tuple[float, tuple[float, float, float]]:
    """Radians: how the rest pose turns a finger sideways, and bends each of its bones against the flat hand."""
    along, across, back = _frame()
    joints = [rest(f"LeftHand{finger}{i}") for i in (1, 2, 3)]
    first, second = joints[1] - joints[0], joints[2] - joints[1]
    if finger == "Thumb":
        sideways = np.arctan2(-first @ back, -first @ across)
        outward = -np.cos(sideways) * across - np.sin(sideways) * back
        bends = [-float(np.arctan2(d @ outward, d @ along)) for d in (first, second)]
    else:
        sideways = np.arctan2(-first @ across, first @ along)
        ahead = np.cos(sideways) * along - np.sin(sideways) * across
        bends = [float(np.arctan2(-d @ back, d @ ahead)) for d in (first, second)]
    # The rig has no joint at the fingertip: the last bone bends on as the end joint does.
    return float(sideways), (bends[0], bends[1], bends[1] + 0.65 * (bends[1] - bends[0]))
