"""How far joints of people go, and rotations brought back within it.

Ranges are those that orthopaedic handbooks give as normal (American Academy of Orthopaedic Surgeons, "Joint Motion:
Method of Measuring and Recording", 1965: hip 120/30, 45/30, 45; knee 135; ankle 20/50; neck 45/45, 45, 60; shoulder
180/60; elbow 150; forearm 80/80; wrist 80/70 degrees), widened by 10-30 degrees: for supple people, for axes of a rig
that are not those of the joint, and for the clavicle and the single bones of the spine, of which the tables know
nothing. Knees and elbows are hinges of their own (see `posing.FLEXION` and `contacts`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Num

from egorear.geometry.rotations import about, from_vector, swing_twist, to_quaternion, unit
from egorear.synth.figure import BODY, rest

TOLERANCE = np.radians(2.0)  # beyond a limit that counts as exceeding it
_MIRROR = np.outer([-1.0, 1, 1], [-1.0, 1, 1])
Range = tuple[int, int]  # degrees


@dataclass(frozen=True)
class JointLimit:
    """Of a left or middle bone against its parent, from the rest pose (an A-pose); a right bone is its mirror image.

    axis: the bone's own direction; hinge: perpendicular to it. bend, side: degrees about the hinge and about
    axis x hinge, an ellipse of four different half-axes; twist: about the bone.
    """

    parent: str
    axis: Float[np.ndarray, "3"]
    hinge: Float[np.ndarray, "3"]
    bend: Range
    side: Range
    twist: Range


_LEFT, _BACK, _UP = np.eye(3)


def _limit(parent: str, axis, hinge, bend: Range, side: Range, twist: Range) -> JointLimit:
    axis = unit(np.asarray(axis, float))
    return JointLimit(parent, axis, unit(hinge - (hinge @ axis) * axis), bend, side, twist)


def _along(a: str, b: str) -> np.ndarray:
    return rest(b) - rest(a)


_HAND = _along("LeftHand", "LeftHandMiddle1")
_KNUCKLES = rest("LeftHandIndex1") - rest("LeftHandPinky1")
LIMITS: dict[str, JointLimit] = {
    # Bending about the left axis: forward is positive for what stands up, backward for what hangs down.
    "Spine": _limit("Hips", _UP, _LEFT, (-25, 45), (-25, 25), (-30, 30)),
    "Spine1": _limit("Spine", _UP, _LEFT, (-25, 45), (-25, 25), (-30, 30)),
    "Spine2": _limit("Spine1", _UP, _LEFT, (-25, 45), (-25, 25), (-30, 30)),
    "Neck": _limit("Spine2", _UP, _LEFT, (-40, 40), (-35, 35), (-50, 50)),
    "Head": _limit("Neck", _UP, _LEFT, (-40, 40), (-35, 35), (-50, 50)),
    "LeftUpLeg": _limit("Hips", _along("LeftUpLeg", "LeftLeg"), _LEFT, (-145, 45), (-70, 70), (-90, 90)),
    "LeftFoot": _limit("LeftLeg", -_UP, _LEFT, (-45, 70), (-40, 40), (-45, 45)),
    "LeftShoulder": _limit("Spine2", _LEFT, _BACK, (-45, 25), (-40, 40), (-45, 45)),
    "LeftArm": _limit("LeftShoulder", _along("LeftArm", "LeftForeArm"), _BACK, (-150, 75), (-150, 100), (-115, 115)),
    "LeftHand": _limit("LeftForeArm", _HAND, _KNUCKLES, (-90, 90), (-50, 50), (-100, 100)),
}  # fmt: skip


def within_limits(
    rotations: Num[np.ndarray, "T N 3 3"],
) -> tuple[Float[np.ndarray, "T N 3 3"], Bool[np.ndarray, "T L"]]:
    """Global rotations of the body bones with every joint of `LIMITS` brought back to its range, and which joints
    were out of it. A bone keeps its direction in the world where its own joint allows, whatever its parent did."""
    fixed, exceeded = np.array(rotations, np.float64), []
    for bone, limit in LIMITS.items():
        sides = ("Left", "Right") if bone.startswith("Left") else ("",)
        for side in sides:
            own, parent = (BODY[name.replace("Left", side) if side else name] for name in (bone, limit.parent))
            against = np.swapaxes(fixed[:, parent], -1, -2) @ fixed[:, own]
            mirror = _MIRROR if side == "Right" else 1.0
            allowed, over = _clamped(against * mirror, limit)
            fixed[:, own] = np.where(over[:, None, None], fixed[:, parent] @ (allowed * mirror), fixed[:, own])
            exceeded.append(over)
    return fixed, np.stack(exceeded, 1)


def _clamped(R: np.ndarray, limit: JointLimit) -> tuple[np.ndarray, np.ndarray]:
    """The nearest rotation within the limit, and whether R was beyond it by more than the tolerance."""
    swing, twist = swing_twist(R, limit.axis)
    q = to_quaternion(swing)
    q = np.where(q[:, :1] < 0, -q, q)
    vector = 2 * np.arccos(np.clip(q[:, :1], -1, 1)) * unit(q[:, 1:])
    other = np.cross(limit.axis, limit.hinge)
    bend, side = vector @ limit.hinge, vector @ other
    most_bend = np.radians(np.where(bend > 0, limit.bend[1], -limit.bend[0]))
    most_side = np.radians(np.where(side > 0, limit.side[1], -limit.side[0]))
    size = np.sqrt((bend / most_bend) ** 2 + (side / most_side) ** 2)
    share = 1 / np.maximum(size, 1)
    kept = np.clip(twist, *np.radians(limit.twist))
    vector = share[:, None] * (bend[:, None] * limit.hinge + side[:, None] * other)
    allowed = from_vector(vector) @ about(limit.axis, kept)
    over = (np.hypot(bend, side) * (1 - share) > TOLERANCE) | (np.abs(twist - kept) > TOLERANCE)
    return allowed, over
