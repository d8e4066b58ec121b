"""From where a person's ends are (feet, hands, pelvis, gaze) to bone rotations, by inverse kinematics.

Everything is vectorised over time; side 0 is left, side 1 is right. Angles: radians, (pitch, roll, yaw) bow forward,
lean and turn to the left. World points are metres in body axes (left, back, up) on the reference figure.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Num

from egorear.geometry.rotations import about, between, blend, from_vector, limit, swing_twist, turn, unit
from egorear.synth.figure import BODY_BONES, LEG, lowest, rest

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
LEG_REACH = float(np.sqrt(THIGH**2 + SHIN**2 + 2 * THIGH * SHIN * np.cos(FLEXION[0])))
MOST_DROP = 0.3  # metres by which the hips give way to feet that the legs would not reach
TOE_BEND = 1.1  # radians; beyond it a foot that stands on its toes turns them too
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


_HEEL, _BALL = np.array([0, 0.05, -ANKLE]), rest("LeftToeBase") * [1, 1, 0] - rest("LeftFoot")
_TOE_JOINT, _TOE_TIP = rest("LeftToeBase") - rest("LeftFoot"), np.array([0, -0.06, -rest("LeftToeBase")[2]])


def rolled(ankles: Num[np.ndarray, "T 2 3"], soles: Num[np.ndarray, "T 2 3"]) -> Float[np.ndarray, "T 2 3"]:
    """Where the ankles of flat feet go when the feet pitch: about the ball with the heel up, about the heel with the
    toes up, so that what touches the floor does not slide."""
    flat = turn(soles * [0, 0, 1])
    pivot = np.where(soles[..., :1] > 0, _BALL * [0, 1, 1], _HEEL)[..., None]
    return ankles + ((flat - turn(soles)) @ pivot)[..., 0]


def ankle_height(pitch: Num[np.ndarray, "*T"] | float) -> Float[np.ndarray, "*T"] | float:
    """Height of the ankle (metres) when a foot of that pitch touches the floor."""
    toe = _stood_on(np.asarray(pitch))
    s, c = np.sin(pitch), np.cos(pitch)
    tip = _TOE_JOINT[1] * s + _TOE_JOINT[2] * c + _TOE_TIP[1] * np.sin(toe) + _TOE_TIP[2] * np.cos(toe)
    return -np.minimum(np.minimum(_HEEL[1] * s + _HEEL[2] * c, _BALL[1] * s + _BALL[2] * c), tip)


def _stood_on(pitch: np.ndarray) -> np.ndarray:
    """Pitch of toes that lie on the floor: flat, as far as they bend; on the instep they go along."""
    return np.where(pitch > 2 * TOE_BEND, pitch, np.maximum(pitch - TOE_BEND, 0))


def _toes(pose: Pose) -> np.ndarray:
    """Pitch, roll, yaw of the toes: flat while they are stood on, flatter than the foot in the air."""
    pitch = pose.soles[..., 0]
    ball = pose.ankles[..., 2] + _BALL[1] * np.sin(pitch) + _BALL[2] * np.cos(pitch)
    stood_on = _stood_on(pitch)
    free = np.where(pitch > 0, np.maximum(stood_on, 0.35 * pitch), 0.35 * pitch)
    toes = np.where(pitch > 0, stood_on + np.clip(ball / 0.05, 0, 1) * (free - stood_on), free)
    return np.concatenate([toes[..., None], pose.soles[..., 1:]], -1)


def _give_way(pose: Pose, hips: np.ndarray, R: np.ndarray) -> np.ndarray:
    """How far the hips must come down (metres) so that the legs reach the feet that stand."""
    drop = np.zeros(len(hips))
    for side, name in enumerate(SIDES):
        leg = hips + R @ (rest(f"{name}UpLeg") - rest("Hips")) - pose.ankles[:, side]
        spare = np.sqrt(np.maximum(LEG_REACH**2 - (leg[:, :2] ** 2).sum(-1), 0))
        raised = pose.ankles[:, side, 2] - ankle_height(pose.soles[:, side, 0])
        drop = np.maximum(drop, (leg[:, 2] - spare) * np.clip(2 - raised / 0.03, 0, 1))
    return np.clip(drop, 0, MOST_DROP)


def solve(pose: Pose) -> tuple[Float[np.ndarray, "T N 3 3"], Float[np.ndarray, "T 3"]]:
    """Global rotations of the body bones and the position of the hips in leg lengths; nothing is under the floor."""
    bones = {"Hips": turn(pose.tilt)}
    hips = pose.pelvis - bones["Hips"] @ ((rest("LeftUpLeg") + rest("RightUpLeg")) / 2 - rest("Hips"))
    hips = hips - _give_way(pose, hips, bones["Hips"])[:, None] * [0, 0, 1]
    joint = {"Hips": hips}
    toes = turn(_toes(pose))

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
        bones[f"{name}ToeBase"] = toes[:, side]
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
    # Of an arm held forward the elbow hangs down; the shortest way from there to where the arm points takes the elbow
    # along, so that it hangs back, points ahead of a raised arm and never flips.
    axis = unit(world - joint[f"{name}Arm"])
    ahead = np.broadcast_to((chest @ unit(point(0.35 * out, 1.0, 0.0))[..., None])[..., 0], axis.shape)
    pole = (between(ahead, axis) @ chest @ point(0.45 * out, 0.0, -0.8)[..., None])[..., 0]
    swing = about(axis, -out * pose.elbows[:, side])
    upper, lower = two_bones(
        f"{name}Arm", f"{name}ForeArm", f"{name}Hand", joint[f"{name}Arm"], world, (swing @ pole[..., None])[..., 0]
    )
    along = unit(rest(f"{name}Hand") - rest(f"{name}ForeArm"))
    twist = -out * pose.palms[:, side, 0]
    knuckles = unit(rest(f"{name}HandIndex1") - rest(f"{name}HandPinky1"))
    hand = about(along, twist) @ about(knuckles, out * pose.palms[:, side, 1])
    if pose.planted[side]:
        # The palm lies flat, fingers ahead, as far as the wrist allows; the forearm turns with it.
        fingers = (turn(pose.tilt * [0, 0, 1]) @ point(0.0, 1.0, 0.0)[:, None])[..., 0]
        flat = _frame(fingers, out * np.cross(fingers, [0.0, 0.0, 1.0]))
        at_rest = _frame(unit(rest(f"{name}HandMiddle1") - rest(f"{name}Hand")), knuckles)
        bent, twist = swing_twist(np.swapaxes(lower, -1, -2) @ flat @ at_rest.T, along)
        hand = limit(bent, WRIST_LIMIT) @ about(along, twist)
    bones[f"{name}Arm"] = upper
    bones[f"{name}ForeArm"] = lower @ about(along, twist / 2)
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
