"""The reference figure on which every motion is authored: the mean body's skeleton, standing on the floor z = 0.

Axes: x left, y back (the figure faces -y), z up; metres. Bone rotations are global and against the rest pose (an
A-pose), so bone b starts at  j_b = j_parent + R_parent (rest_b - rest_parent).
"""

import numpy as np
from jaxtyping import Float, Num

from egorear.synth.body import BONES, PARENTS, body_model


def _mean_figure() -> np.ndarray:
    """Joints of the mean body, symmetrised, with the soles at z = 0 and the hips over the origin."""
    model = body_model()
    joints = model.shape_mean[-len(BONES) :].astype(np.float64)
    joints[:, 2] -= model.shape_mean[np.unique(model.meshes["body"]), 2].min()
    twins = [BONES.index(_twin(bone)) for bone in BONES]
    joints = (joints + joints[twins] * [-1, 1, 1]) / 2
    return joints - [0, joints[0, 1], 0]


def _twin(bone: str) -> str:
    """The bone of the other side."""
    sides = {"L": "Right", "R": "Left"}
    return sides[bone[0]] + bone.removeprefix("Left").removeprefix("Right") if bone[:2] in ("Le", "Ri") else bone


REST: Float[np.ndarray, "B 3"] = _mean_figure()
BODY_BONES: tuple[str, ...] = tuple(b for b in BONES if not b.endswith(("1", "2", "3")) or b.startswith("Spine"))
"""The bones that a motion turns; fingers follow the hands."""

INDEX = {bone: i for i, bone in enumerate(BONES)}
BODY = {bone: i for i, bone in enumerate(BODY_BONES)}
LEG = float(REST[0, 2])
"""Leg length: height of the hips joint above the soles in the rest pose (metres), the unit of `Motion.root`."""

_BODY_PARENTS = [-1 if b == "Hips" else BODY[BONES[PARENTS[INDEX[b]]]] for b in BODY_BONES]
_BODY_REST = REST[[INDEX[b] for b in BODY_BONES]]
_MIRRORED = [BODY[_twin(b)] for b in BODY_BONES]
_FLIP = np.array([-1.0, 1, 1])


def rest(bone: str) -> Float[np.ndarray, "3"]:
    """Where a bone starts in the rest pose, metres."""
    return REST[INDEX[bone]]


def joints(rotations: Num[np.ndarray, "*T N 3 3"], root: Num[np.ndarray, "*T 3"]) -> Float[np.ndarray, "*T N 3"]:
    """Forward kinematics of the body bones: where each starts, metres, for hips at `root` (metres)."""
    placed = np.empty(rotations.shape[:-1])
    for i, parent in enumerate(_BODY_PARENTS):
        if parent < 0:
            placed[..., i, :] = root
        else:
            offset = _BODY_REST[i] - _BODY_REST[parent]
            placed[..., i, :] = placed[..., parent, :] + rotations[..., parent, :, :] @ offset
    return placed


def mirrored(
    rotations: Num[np.ndarray, "*T N 3 3"], root: Num[np.ndarray, "*T 3"]
) -> tuple[Num[np.ndarray, "*T N 3 3"], Num[np.ndarray, "*T 3"]]:
    """The motion in a mirror: left and right swapped."""
    return rotations[..., _MIRRORED, :, :] * np.outer(_FLIP, _FLIP), root * _FLIP


# Balls and points by which the body touches the floor: bone, point in the rest pose, radius (metres).
_KNEE, _ELBOW, _HAND = 0.055, 0.045, 0.03
_CONTACTS = [("Hips", rest("Hips"), 0.1), ("Spine1", rest("Spine1"), 0.1), ("Spine2", rest("Spine2"), 0.1)]
_CONTACTS += [("Head", rest("Head") + np.array([0, -0.01, 0.1]), 0.1)]
for _side in ("Left", "Right"):
    _ankle, _ball = rest(f"{_side}Foot"), rest(f"{_side}ToeBase")
    _CONTACTS += [(f"{_side}Foot", np.array([_ankle[0], _ankle[1] + 0.05, 0]), 0.0)]
    _CONTACTS += [(f"{_side}Foot", np.array([_ball[0], _ball[1], 0]), 0.0)]
    _CONTACTS += [(f"{_side}ToeBase", np.array([_ball[0], _ball[1] - 0.06, 0]), 0.0)]
    _CONTACTS += [(f"{_side}{b}", rest(f"{_side}{b}"), r) for b, r in [("Leg", _KNEE), ("ForeArm", _ELBOW)]]
    _CONTACTS += [(f"{_side}Hand", rest(f"{_side}HandMiddle1"), _HAND), (f"{_side}Arm", rest(f"{_side}Arm"), 0.06)]
_CONTACT_BONES = [BODY[bone] for bone, _, _ in _CONTACTS]
_CONTACT_OFFSETS = np.stack([point - rest(bone) for bone, point, _ in _CONTACTS])
_CONTACT_RADII = np.array([radius for _, _, radius in _CONTACTS])


_SOLES = [i for i, (bone, _, radius) in enumerate(_CONTACTS) if radius == 0]  # heel, ball, toes; left, right


def sole_points(rotations: Num[np.ndarray, "*T N 3 3"], root: Num[np.ndarray, "*T 3"]) -> Float[np.ndarray, "*T 2 3 3"]:
    """Heel, ball and toe tip under the left and the right foot, metres, for hips at `root` (metres)."""
    bones = [_CONTACT_BONES[i] for i in _SOLES]
    placed = joints(rotations, root)[..., bones, :]
    points = placed + (rotations[..., bones, :, :] @ _CONTACT_OFFSETS[_SOLES][..., None])[..., 0]
    return points.reshape(*points.shape[:-2], 2, 3, 3)


def lowest(rotations: Num[np.ndarray, "*T N 3 3"], root: Num[np.ndarray, "*T 3"]) -> Float[np.ndarray, "*T"]:
    """Height of the body's lowest point, metres, for hips at `root` (metres)."""
    starts = joints(rotations, root)[..., _CONTACT_BONES, 2]
    rows = rotations[..., _CONTACT_BONES, 2, :]
    return (starts + (rows * _CONTACT_OFFSETS).sum(-1) - _CONTACT_RADII).min(-1)
