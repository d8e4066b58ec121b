"""What arms and head do over any legs: each takes a pose and returns it with hands, elbows, palms or gaze replaced.

Hands are given in arm lengths from the shoulder, (outward, forward, up) in the axes of the chest.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Num

from egorear.synth.figure import rest
from egorear.synth.posing import ARM, OUTWARD, Pose
from egorear.synth.procedural.curves import ease, sway, wander

Time = Num[np.ndarray, "T"]
MIDDLE = -float(rest("LeftArm")[0]) / ARM  # outward coordinate of the plane between left and right
TRUNK_HALF_WIDTH, TRUNK_FRONT = 0.05, 0.28  # where a hand would be inside the trunk, in arm lengths


def swing(rng: np.random.Generator, t: Time, pose: Pose) -> Pose:
    """The arms as the legs left them."""
    return pose


def reach(rng: np.random.Generator, t: Time, pose: Pose) -> Pose:
    """One or both hands visit points all over their workspace: near and far, overhead, across and behind."""
    wide = wander(rng, t, [[-0.75, -0.45, -0.95]] * 2, [[0.95, 0.95, 0.97]] * 2, hold=(0.0, 0.8), move=(0.3, 1.1))
    hands = np.where(rng.random(2)[:, None] < 0.75, _outside_trunk(wide), pose.hands)
    palms = wander(rng, t, [[-0.9, -0.5]] * 2, [[1.2, 0.7]] * 2)
    followed = int(rng.integers(2))
    gaze = _look_at(hands[:, followed], followed) if rng.random() < 0.4 else pose.gaze
    return replace(pose, hands=hands, palms=palms, gaze=gaze, elbows=wander(rng, t, [-0.3] * 2, [0.9] * 2))


def manipulate(rng: np.random.Generator, t: Time, pose: Pose) -> Pose:
    """Both hands busy close in front of the chest or the belly, the eyes on them."""
    centre = np.array([rng.uniform(-0.3, -0.05), rng.uniform(0.35, 0.75), rng.uniform(-0.65, 0.05)])
    small = wander(rng, t, [[-0.12, -0.12, -0.12]] * 2, [[0.15, 0.15, 0.15]] * 2, hold=(0.0, 0.5), move=(0.2, 0.6))
    hands = _outside_trunk(centre + small)
    gaze = 0.3 * pose.gaze + 0.7 * _look_at(hands[:, 0], 0)
    return replace(pose, hands=hands, gaze=gaze, palms=wander(rng, t, [[-0.5, -0.4]] * 2, [[0.9, 0.6]] * 2))


def carry(rng: np.random.Generator, t: Time, pose: Pose) -> Pose:
    """Both hands hold a box that moves a little, from belly height to overhead."""
    half_width, forward = rng.uniform(0.15, 0.5), rng.uniform(0.4, 0.7)
    height = rng.choice([rng.uniform(-0.7, -0.1), rng.uniform(0.2, 0.9)], p=[0.8, 0.2])
    box = np.stack([MIDDLE + half_width + 0 * t, forward + 0 * t, height + 0 * t], -1) + sway(rng, t, 0.02)
    hands = np.repeat(box[:, None], 2, 1)
    return replace(pose, hands=hands, palms=np.full((len(t), 2, 2), [rng.uniform(0, 1), 0.2]))


def wave(rng: np.random.Generator, t: Time, pose: Pose) -> Pose:
    side, rate, wide = int(rng.integers(2)), rng.uniform(1.0, 2.5), rng.uniform(0.1, 0.35)
    hands, palms = pose.hands.copy(), pose.palms.copy()
    hands[:, side] = [rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.6), rng.uniform(0.1, 0.75)]
    hands[:, side, 0] += wide * np.sin(2 * np.pi * rate * t)
    palms[:, side] = [rng.uniform(0.5, 1.2), 0.0]
    return replace(pose, hands=hands, palms=palms)


def clap(rng: np.random.Generator, t: Time, pose: Pose) -> Pose:
    rate, wide = rng.uniform(1.0, 3.0), rng.uniform(0.1, 0.4)
    apart = MIDDLE + 0.1 + wide * (0.5 + 0.5 * np.cos(2 * np.pi * rate * t))
    place = [rng.uniform(0.4, 0.75), rng.uniform(-0.5, 0.4)]
    hands = np.stack([apart, place[0] + 0 * t, place[1] + 0 * t], -1) + sway(rng, t, 0.01)
    return replace(pose, hands=np.repeat(hands[:, None], 2, 1), palms=np.full((len(t), 2, 2), [0.3, 0.0]))


def arms_crossed(rng: np.random.Generator, t: Time, pose: Pose) -> Pose:
    """Each hand at the other elbow, one forearm above the other."""
    over = int(rng.integers(2))
    hands = np.tile([MIDDLE - rng.uniform(0.15, 0.32), 0.42, -0.5], (len(t), 2, 1)) + sway(rng, t, 0.01)[:, None]
    hands[:, over] += [0.05, 0.08, 0.1]
    return replace(pose, hands=hands, elbows=np.full((len(t), 2), rng.uniform(0, 0.5)))


def hands_on_hips(rng: np.random.Generator, t: Time, pose: Pose) -> Pose:
    hands = np.tile([rng.uniform(0.0, 0.12), rng.uniform(-0.1, 0.12), -0.72], (len(t), 2, 1))
    return replace(
        pose, hands=hands + sway(rng, t, 0.008)[:, None], elbows=np.full((len(t), 2), rng.uniform(0.7, 1.2)),
        palms=np.full((len(t), 2, 2), [-0.5, 0.6]),
    )  # fmt: skip


def hands_behind(rng: np.random.Generator, t: Time, pose: Pose) -> Pose:
    """Hands joined behind the back, or behind the head."""
    head = rng.random() < 0.4
    place = [MIDDLE + 0.12, -0.05, 0.45] if head else [MIDDLE + 0.1, -0.38, rng.uniform(-0.8, -0.6)]
    hands = np.tile(place, (len(t), 2, 1)) + sway(rng, t, 0.01)[:, None]
    return replace(pose, hands=hands, elbows=np.full((len(t), 2), 0.3))


def phone(rng: np.random.Generator, t: Time, pose: Pose) -> Pose:
    """Reads a phone, or holds it to the ear."""
    side, hands, gaze = int(rng.integers(2)), pose.hands.copy(), pose.gaze
    if rng.random() < 0.5:
        hands[:, side] = [rng.uniform(-0.3, 0.0), rng.uniform(0.45, 0.65), rng.uniform(-0.45, 0.0)]
        hands[:, side] += sway(rng, t, 0.015)
        gaze = 0.2 * pose.gaze + 0.8 * _look_at(hands[:, side], side)
    else:
        hands[:, side] = [rng.uniform(-0.1, 0.05), 0.2, rng.uniform(0.12, 0.25)]
        hands[:, side] += sway(rng, t, 0.01)
    return replace(pose, hands=hands, gaze=gaze, palms=np.full((len(t), 2, 2), [0.8, 0.3]))


def stretch(rng: np.random.Generator, t: Time, pose: Pose) -> Pose:
    """Arms long overhead, sideways or back, the trunk going along."""
    up = wander(rng, t, [[-0.1, -0.3, -0.1]] * 2, [[0.7, 0.4, 1.0]] * 2, hold=(0.5, 2.0))
    hands = 0.97 * up / np.maximum(np.linalg.norm(up, axis=-1, keepdims=True), 0.3)
    bend = pose.bend + wander(rng, t, [-0.35, -0.5, -0.4], [0.4, 0.5, 0.4], hold=(0.5, 2.0))
    return replace(pose, hands=hands, bend=bend)


def punch(rng: np.random.Generator, t: Time, pose: Pose) -> Pose:
    """A guard from which either hand strikes."""
    rate = rng.uniform(0.6, 1.4)
    guard = np.array([-0.1, rng.uniform(0.4, 0.55), rng.uniform(-0.2, 0.1)])
    far = wander(rng, t, [[-0.4, 0.75, -0.3]] * 2, [[0.5, 0.95, 0.35]] * 2, hold=(0.0, 0.4))
    phase = (t[:, None] * rate + np.array([0.0, 0.5]) * rng.choice([1, 0.6])) % 1
    out = ease(phase / 0.22) * (1 - ease((phase - 0.26) / 0.3))
    twist = (out @ OUTWARD)[:, None] * [0, 0, -0.35]
    return replace(pose, hands=guard + out[..., None] * (far - guard), bend=pose.bend + twist)


def look_around(rng: np.random.Generator, t: Time, pose: Pose) -> Pose:
    """The head as far as it goes: up, down, over the shoulder; it takes the chest a little with it."""
    gaze = wander(rng, t, [-1.0, -0.4, -1.4], [1.15, 0.4, 1.4], hold=(0.1, 1.0), move=(0.3, 0.9))
    return replace(pose, gaze=gaze, bend=pose.bend + gaze * [0.12, 0.2, 0.35])


def _outside_trunk(hands: np.ndarray) -> np.ndarray:
    """Hands that would be in the trunk are brought before it, where they started in front, else behind."""
    inside = (hands[..., 0] < TRUNK_HALF_WIDTH) & (np.abs(hands[..., 1]) < TRUNK_FRONT) & (hands[..., 2] < 0.2)
    depth = np.where(inside, TRUNK_FRONT, hands[..., 1])
    return np.stack([hands[..., 0], depth, hands[..., 2]], -1)


def _look_at(hand: np.ndarray, side: int) -> np.ndarray:
    """Gaze towards a hand (arm lengths from the shoulder); the eyes are about 0.4 above the shoulder line."""
    left = OUTWARD[side] * (hand[:, 0] - MIDDLE)
    ahead, down = np.maximum(hand[:, 1], 0.1), 0.4 - hand[:, 2]
    yaw = np.clip(np.arctan2(left, ahead), -1.2, 1.2)
    return np.stack([np.clip(np.arctan2(down, np.hypot(left, ahead)), -0.9, 1.0), 0 * yaw, yaw], -1)
