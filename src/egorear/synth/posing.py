"""From where a person's ends are (feet, hands, pelvis, gaze) to bone rotations, by inverse kinematics.

Everything is vectorised over time; side 0 is left, side 1 is right. Angles: radians, (pitch, roll, yaw) bow forward,
lean and turn to the left. World points are metres in body axes (left, back, up) on the reference figure.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Num

from egorear.synth.figure import BODY_BONES, LEG, lowest, rest
from egorear.synth.rotations import about, blend, from_vector, limit, turn, unit

SIDES = ("Left", "Right")
OUTWARD = np.array([1.0, -1.0])
HIP_HEIGHT = float(rest("LeftUpLeg")[2])
THIGH = float(np.linalg.norm(rest("LeftLeg") - rest("LeftUpLeg")))
SHIN = float(np.linalg.norm(rest("LeftFoot") - rest("LeftLeg")))
ANKLE = float(rest("LeftFoot")[2])
UPPER_ARM = float(np.linalg.norm(rest("LeftForeArm") - rest("LeftArm")))
ARM = UPPER_ARM + float(np.linalg.norm(rest("LeftHand") - rest("LeftForeArm")))
FLEXION = np.radians((6.0, 145.0))  # of elbows and knees: never quite straight, never past the flesh
WRIST_LIMIT = np.radians(95.0)
HEAD_TURN, NECK_SHARE = np.radians(75.0), 0.5  # of the head against the chest
SHOULDER_LIFT = np.radians(28.0)  # of the clavicle when the arm points straight up


def point(left, forward, up) -> Float[np.ndarray, "*T 3"]:
    """A point or vector in body axes (left, back, up); arguments broadcast."""
    left, forward, up = np.broadcast_arrays(left, forward, up)
    return np.stack([left, -forward, up], -1).astype(np.float64)


def angles(pitch, roll, yaw) -> Float[np.ndarray, "*T 3"]:
    """(pitch, roll, yaw) in radians; arguments broadcast."""
    return np.stack(np.broadcast_arrays(pitch, roll, yaw), -1).astype(np.float64)


@dataclass(frozen=True)
class Pose:
    """A posture at each of T moments.

    pelvis: midpoint of the hip joints, world; tilt: its pitch, roll, yaw.
    bend: pitch, roll, twist of the chest against the pelvis; gaze: pitch (down is positive), roll, yaw of the head
    against the heading of the pelvis.
    ankles: world; soles: pitch (toes down), roll, yaw of the feet; knees: where the knees point, world directions.
    hands: wrists, in arm lengths from the shoulder along (outward, forward, up) of the chest, or, where `planted`,
    world metres. elbows: angles by which the elbows are swung outward and up from their natural place.
    palms: twist of the hand about the forearm (thumb outward is positive), bend of the wrist towards the palm.
    """

    pelvis: Num[np.ndarray, "T 3"]
    tilt: Num[np.ndarray, "T 3"]
    bend: Num[np.ndarray, "T 3"]
    gaze: Num[np.ndarray, "T 3"]
    ankles: Num[np.ndarray, "T 2 3"]
    soles: Num[np.ndarray, "T 2 3"]
    knees: Num[np.ndarray, "T 2 3"]
    hands: Num[np.ndarray, "T 2 3"]
    planted: Bool[np.ndarray, "2"]
    elbows: Num[np.ndarray, "T 2"]
    palms: Num[np.ndarray, "T 2 2"]


def solve(pose: Pose) -> tuple[Float[np.ndarray, "T N 3 3"], Float[np.ndarray, "T 3"]]:
    """Global rotations of the body bones and the position of the hips in leg lengths; nothing is under the floor."""
    bones = {"Hips": turn(pose.tilt)}
    hips = pose.pelvis - bones["Hips"] @ ((rest("LeftUpLeg") + rest("RightUpLeg")) / 2 - rest("Hips"))
    joint = {"Hips": hips}

    def attach(bone: str, parent: str) -> None:
        joint[bone] = joint[parent] + bones[parent] @ (rest(bone) - rest(parent))

    below = "Hips"
    for i, bone in enumerate(("Spine", "Spine1", "Spine2"), start=1):
        attach(bone, below)
        bones[bone] = bones["Hips"] @ from_vector(pose.bend * (i / 3))
        below = bone
    chest = bones["Spine2"]
    heading = turn(pose.tilt * [0, 0, 1])
    bones["Head"] = chest @ limit(np.swapaxes(chest, -1, -2) @ heading @ turn(pose.gaze), HEAD_TURN)
    bones["Neck"] = blend(chest, bones["Head"], NECK_SHARE)

    for side, name in enumerate(SIDES):
        attach(f"{name}UpLeg", "Hips")
        sole = turn(pose.soles[:, side])
        bones[f"{name}Foot"] = sole
        bones[f"{name}ToeBase"] = turn(pose.soles[:, side] * [0.35, 1, 1])  # toes stay flatter than the foot
        bones[f"{name}UpLeg"], bones[f"{name}Leg"] = two_bones(
            f"{name}UpLeg",
            f"{name}Leg",
            f"{name}Foot",
            joint[f"{name}UpLeg"],
            pose.ankles[:, side],
            pose.knees[:, side],
        )
        attach(f"{name}Shoulder", "Spine2")
        _solve_arm(pose, side, bones, joint, attach)

    rotations = np.stack([bones[b] for b in BODY_BONES], 1)
    sunk = np.minimum(lowest(rotations, hips), 0)
    return rotations, (hips - sunk[:, None] * [0, 0, 1]) / LEG


def _solve_arm(pose: Pose, side: int, bones: dict, joint: dict, attach) -> None:
    name, out, chest = SIDES[side], OUTWARD[side], bones["Spine2"]
    if pose.planted[side]:
        world = pose.hands[:, side]
        reach = (world - joint[f"{name}Shoulder"])[..., None, :] @ chest / ARM
        reach = reach[..., 0, :] * [out, -1, 1]
    else:
        reach = pose.hands[:, side]
    direction = unit(reach)
    lift = SHOULDER_LIFT * np.clip(direction[:, 2] + 0.15, 0, 1)
    protraction = 0.3 * np.clip(direction[:, 1] - 0.3 * direction[:, 0], 0, 1)
    bones[f"{name}Shoulder"] = chest @ turn(np.stack([0 * lift, -out * lift, -out * protraction], -1))
    attach(f"{name}Arm", f"{name}Shoulder")
    if not pose.planted[side]:
        target = np.stack([out * reach[:, 0], -reach[:, 1], reach[:, 2]], -1) * ARM
        world = joint[f"{name}Arm"] + (chest @ target[..., None])[..., 0]
    # Elbows hang down and back; of raised arms they point outward and forward.
    raised = np.clip(direction[:, 2], 0, 1)
    pole = point(out * (0.45 + 0.5 * raised), 0.9 * raised - 0.45, -0.8 + 0 * raised)
    pole = (chest @ pole[..., None])[..., 0]
    axis = unit(world - joint[f"{name}Arm"])
    swing = about(axis, -out * pose.elbows[:, side])
    upper, lower = two_bones(
        f"{name}Arm", f"{name}ForeArm", f"{name}Hand", joint[f"{name}Arm"], world, (swing @ pole[..., None])[..., 0]
    )
    along = unit(rest(f"{name}Hand") - rest(f"{name}ForeArm"))
    twist = -out * pose.palms[:, side, 0]
    knuckles = unit(rest(f"{name}HandIndex1") - rest(f"{name}HandPinky1"))
    bones[f"{name}Arm"] = upper
    bones[f"{name}ForeArm"] = lower @ about(along, twist / 2)
    hand = about(along, twist) @ about(knuckles, out * pose.palms[:, side, 1])
    if pose.planted[side]:
        # The palm lies flat, fingers ahead, as far as the wrist allows.
        fingers = (turn(pose.tilt * [0, 0, 1]) @ point(0.0, 1.0, 0.0)[:, None])[..., 0]
        flat = _frame(fingers, out * np.cross(fingers, [0.0, 0.0, 1.0]))
        at_rest = _frame(unit(rest(f"{name}HandMiddle1") - rest(f"{name}Hand")), knuckles)
        hand = limit(np.swapaxes(lower, -1, -2) @ flat @ at_rest.T, WRIST_LIMIT)
    bones[f"{name}Hand"] = lower @ hand


def two_bones(
    upper: str,
    lower: str,
    end: str,
    start: Num[np.ndarray, "T 3"],
    target: Num[np.ndarray, "T 3"],
    pole: Num[np.ndarray, "T 3"],
) -> tuple[Float[np.ndarray, "T 3 3"], Float[np.ndarray, "T 3 3"]]:
    """Rotations of two hinged bones from `start` so that their end comes to `target` (or as near as the hinge
    allows, in its direction) with the hinge towards `pole`. Metres, world."""
    first, second = rest(lower) - rest(upper), rest(end) - rest(lower)
    a, b = np.linalg.norm(first), np.linalg.norm(second)
    far, near = np.sqrt(a * a + b * b + 2 * a * b * np.cos(FLEXION))
    distance = np.clip(np.linalg.norm(target - start, axis=-1), near, far)
    axis = unit(target - start)
    outward = unit(pole - (pole * axis).sum(-1, keepdims=True) * axis)
    along = (a * a - b * b + distance**2) / (2 * distance)
    middle = along[:, None] * axis + np.sqrt(np.maximum(a * a - along**2, 0))[:, None] * outward
    hinge = np.cross(outward, axis)
    rest_hinge = unit(np.cross(first, second))
    return (
        _frame(middle, hinge) @ _frame(first, rest_hinge).T,
        _frame(distance[:, None] * axis - middle, hinge) @ _frame(second, rest_hinge).T,
    )


def _frame(direction: np.ndarray, hinge: np.ndarray) -> np.ndarray:
    """Axes along a bone, along its hinge and across both, as columns."""
    x = unit(direction)
    y = unit(hinge - (hinge * x).sum(-1, keepdims=True) * x)
    return np.stack([x, y, np.cross(x, y)], -1)
