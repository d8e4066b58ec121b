"""What arms and head do over any legs: each takes a pose and returns it with hands, elbows, palms or gaze replaced.

Hands are given in arm lengths from the shoulder, (outward, forward, up) in the axes of the chest.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Num

from egorear.synth.figure import rest
from egorear.synth.posing import ARM, OUTWARD, Pose
from egorear.synth.procedural.curves import ease, sway, through, wander
from egorear.synth.procedural.draw import Draw

Time = Num[np.ndarray, "T"]
MIDDLE = -float(rest("LeftArm")[0]) / ARM  # outward coordinate of the plane between left and right
TRUNK_HALF_WIDTH, TRUNK_FRONT = 0.05, 0.28  # where a hand would be inside the trunk, in arm lengths


def swing(draw: Draw, t: Time, pose: Pose) -> Pose:
    """The arms as the legs left them."""
    return pose


def reach(draw: Draw, t: Time, pose: Pose) -> Pose:
    """One or both hands visit points all over their workspace: near and far, overhead, across and behind."""
    rng = draw.rng
    wide = wander(rng, t, [[-0.75, -0.45, -0.95]] * 2, [[0.95, 0.95, 0.97]] * 2, hold=(0.0, 0.8), move=(0.45, 1.2))
    busy = np.array([draw.chance("left_reaches", 0.75), draw.chance("right_reaches", 0.75)])
    hands = np.where(busy[:, None], _outside_trunk(wide), pose.hands)
    palms = wander(rng, t, [[-0.9, -0.5]] * 2, [[1.2, 0.7]] * 2)
    followed, follows = draw.side("hand_watched"), draw.chance("watches", 0.4)
    gaze = _look_at(hands[:, followed], followed) if follows else pose.gaze
    return replace(pose, hands=hands, palms=palms, gaze=gaze, elbows=wander(rng, t, [-0.3] * 2, [0.9] * 2))


def manipulate(draw: Draw, t: Time, pose: Pose) -> Pose:
    """Both hands busy close in front of the chest or the belly, the eyes on them."""
    out, forward = draw.uniform("hands_apart", -0.3, -0.05), draw.uniform("hands_forward_at", 0.35, 0.75)
    centre = np.array([out, forward, draw.uniform("hands_height", -0.65, 0.05)])
    rng = draw.rng
    small = wander(rng, t, [[-0.12, -0.12, -0.12]] * 2, [[0.15, 0.15, 0.15]] * 2, hold=(0.0, 0.5), move=(0.2, 0.6))
    hands = _outside_trunk(centre + small)
    gaze = 0.3 * pose.gaze + 0.7 * _look_at(hands[:, 0], 0)
    return replace(pose, hands=hands, gaze=gaze, palms=wander(rng, t, [[-0.5, -0.4]] * 2, [[0.9, 0.6]] * 2))


def carry(draw: Draw, t: Time, pose: Pose) -> Pose:
    """Both hands hold a box that moves a little, from belly height to overhead."""
    half_width, forward = draw.uniform("box_width", 0.15, 0.5), draw.uniform("box_forward", 0.4, 0.7)
    low, high = draw.uniform("box_height", -0.7, -0.1), draw.uniform("box_overhead", 0.2, 0.9)
    height = high if draw.chance("overhead", 0.2) else low
    box = np.stack([MIDDLE + half_width + 0 * t, forward + 0 * t, height + 0 * t], -1) + sway(draw.rng, t, 0.02)
    palms = np.full((len(t), 2, 2), [draw.uniform("palms_up", 0, 1), 0.2])
    return replace(pose, hands=np.repeat(box[:, None], 2, 1), palms=palms)


def wave(draw: Draw, t: Time, pose: Pose) -> Pose:
    side, rate, wide = draw.side("hand"), draw.uniform("rate", 1.0, 2.5), draw.uniform("width", 0.1, 0.35)
    hands, palms = pose.hands.copy(), pose.palms.copy()
    out, forward, up = draw.uniform("hand_out", 0.2, 0.6), draw.uniform("hand_forward", 0.2, 0.6), 0.0
    up = draw.uniform("hand_up", 0.1, 0.75)
    hands[:, side] = [out, forward, up]
    hands[:, side, 0] += wide * np.sin(2 * np.pi * rate * t)
    palms[:, side] = [draw.uniform("palm_turn", 0.5, 1.2), 0.0]
    return replace(pose, hands=hands, palms=palms)


def clap(draw: Draw, t: Time, pose: Pose) -> Pose:
    rate, wide = draw.uniform("rate", 1.0, 3.0), draw.uniform("width", 0.1, 0.4)
    apart = MIDDLE + 0.1 + wide * (0.5 + 0.5 * np.cos(2 * np.pi * rate * t))
    forward, up = draw.uniform("hand_forward", 0.4, 0.75), draw.uniform("hand_up", -0.5, 0.4)
    hands = np.stack([apart, forward + 0 * t, up + 0 * t], -1) + sway(draw.rng, t, 0.01)
    return replace(pose, hands=np.repeat(hands[:, None], 2, 1), palms=np.full((len(t), 2, 2), [0.3, 0.0]))


def arms_crossed(draw: Draw, t: Time, pose: Pose) -> Pose:
    """Each hand at the other elbow, one forearm above the other."""
    over, across = draw.side("upper_arm"), draw.uniform("across", 0.15, 0.32)
    hands = np.tile([MIDDLE - across, 0.42, -0.5], (len(t), 2, 1)) + sway(draw.rng, t, 0.01)[:, None]
    hands[:, over] += [0.05, 0.08, 0.1]
    return replace(pose, hands=hands, elbows=np.full((len(t), 2), draw.uniform("elbows_lifted", 0, 0.5)))


def hands_on_hips(draw: Draw, t: Time, pose: Pose) -> Pose:
    place = [draw.uniform("hands_outward", 0.0, 0.12), draw.uniform("hands_front", -0.1, 0.12), -0.72]
    elbows = draw.uniform("elbows_lifted", 0.7, 1.2)
    return replace(
        pose, hands=np.tile(place, (len(t), 2, 1)) + sway(draw.rng, t, 0.008)[:, None],
        elbows=np.full((len(t), 2), elbows), palms=np.full((len(t), 2, 2), [-0.5, 0.6]),
    )  # fmt: skip


def hands_behind(draw: Draw, t: Time, pose: Pose) -> Pose:
    """Hands joined behind the back, or at the nape, elbows wide: clear of the skull and of the headset's cameras."""
    behind, low = draw.choice("behind", ("back", "head"), p=(0.6, 0.4)), draw.uniform("hands_low", -0.8, -0.6)
    nape = behind == "head"
    place = [MIDDLE + 0.13, -0.2, 0.28] if nape else [MIDDLE + 0.1, -0.38, low]
    hands = np.tile(place, (len(t), 2, 1)) + sway(draw.rng, t, 0.01)[:, None]
    return replace(pose, hands=hands, elbows=np.full((len(t), 2), -0.6 if nape else 0.3))


def phone(draw: Draw, t: Time, pose: Pose) -> Pose:
    """Reads a phone, or holds it to the ear."""
    side, reads, hands, gaze = draw.side("hand"), draw.chance("reads", 0.5), pose.hands.copy(), pose.gaze
    out, forward = draw.uniform("hand_out", -0.3, 0.0), draw.uniform("hand_forward", 0.45, 0.65)
    up, at_ear = draw.uniform("hand_up", -0.45, 0.0), draw.uniform("hand_at_ear", 0.12, 0.25)
    if reads:
        hands[:, side] = np.array([out, forward, up]) + sway(draw.rng, t, 0.015)
        gaze = 0.2 * pose.gaze + 0.8 * _look_at(hands[:, side], side)
    else:
        hands[:, side] = np.array([out / 2 + 0.05, 0.2, at_ear]) + sway(draw.rng, t, 0.01)
    return replace(pose, hands=hands, gaze=gaze, palms=np.full((len(t), 2, 2), [0.8, 0.3]))


def stretch(draw: Draw, t: Time, pose: Pose) -> Pose:
    """Arms long overhead, sideways or back, the trunk going along."""
    up = wander(draw.rng, t, [[-0.1, -0.3, -0.1]] * 2, [[0.7, 0.4, 1.0]] * 2, hold=(0.5, 2.0))
    hands = 0.97 * up / np.maximum(np.linalg.norm(up, axis=-1, keepdims=True), 0.3)
    wide = draw.uniform("bend_width", 0.3, 1.0)
    bend = pose.bend + wide * wander(draw.rng, t, [-0.35, -0.5, -0.4], [0.4, 0.5, 0.4], hold=(0.5, 2.0))
    return replace(pose, hands=hands, bend=bend)


def punch(draw: Draw, t: Time, pose: Pose) -> Pose:
    """A guard from which either hand strikes."""
    rate, double = draw.uniform("rate", 0.6, 1.4), float(draw.choice("rhythm", (1, 0.6)))
    guard = np.array([-0.1, draw.uniform("guard_forward", 0.4, 0.55), draw.uniform("guard_up", -0.2, 0.1)])
    far = wander(draw.rng, t, [[-0.4, 0.75, -0.3]] * 2, [[0.5, 0.95, 0.35]] * 2, hold=(0.0, 0.4))
    phase = (t[:, None] * rate + np.array([0.0, 0.5]) * double) % 1
    out = ease(phase / 0.22) * (1 - ease((phase - 0.26) / 0.3))
    twist = (out @ OUTWARD)[:, None] * [0, 0, -0.35]
    return replace(pose, hands=guard + out[..., None] * (far - guard), bend=pose.bend + twist)


def throw(draw: Draw, t: Time, pose: Pose) -> Pose:
    """One hand winds up behind the shoulder, throws forward and swings through; the trunk turns along."""
    side, period = draw.side("hand"), draw.uniform("period", 1.4, 3.0)
    high, far = draw.uniform("hand_up", -0.2, 0.6), draw.uniform("hand_forward", 0.6, 0.9)
    phase = (t / period + draw.uniform("wind_up", 0, 1)) % 1
    knots = [0, 0.35, 0.45, 0.6, 0.72, 1]
    path = [[0.1, 0.3, -0.6], [0.45, -0.45, high], [0.45, -0.45, high], [0.1, far, 0.25], [-0.35, 0.55, -0.5]]
    hands = pose.hands.copy()
    hands[:, side] = np.stack([through(phase, knots, [*axis, axis[0]]) for axis in zip(*path, strict=True)], -1)
    twist = OUTWARD[side] * through(phase, knots, [0, 0.5, 0.5, -0.3, -0.5, 0])
    return replace(pose, hands=hands, bend=pose.bend + twist[:, None] * [0, 0, 1] - 0.2 * twist[:, None] * [1, 0, 0])


def open_door(draw: Draw, t: Time, pose: Pose) -> Pose:
    """A hand takes a handle at belly height, turns it and draws or pushes the door; the eyes on it first."""
    side, period, pull = draw.side("hand"), draw.uniform("period", 2.0, 4.0), draw.chance("pulls", 0.5)
    up, out = draw.uniform("handle_up", -0.55, -0.3), draw.uniform("handle_out", -0.3, 0.15)
    phase = (t / period + draw.uniform("start_door", 0, 1)) % 1
    knots, near, far = [0, 0.25, 0.45, 0.75, 1], 0.35, 0.9
    reached, ends = (0.8, near) if pull else (0.5, far)
    path = [[0.15, out, out, out + 0.25], [0.1, reached, reached, ends], [-0.92, up, up, up]]
    hands, palms = pose.hands.copy(), pose.palms.copy()
    hands[:, side] = np.stack([through(phase, knots, [*axis, axis[0]]) for axis in path], -1)
    palms[:, side, 0] = through(phase, knots, [0, 0.2, 1.0, 0.6, 0])
    watch = 0.7 * through(phase, knots, [0, 1, 1, 0, 0])[:, None]
    gaze = pose.gaze + watch * (_look_at(hands[:, side], side) - pose.gaze)
    return replace(pose, hands=hands, palms=palms, gaze=gaze)


def look_around(draw: Draw, t: Time, pose: Pose) -> Pose:
    """The head as far as it goes: up, down, over the shoulder; it takes the chest a little with it."""
    gaze = wander(draw.rng, t, [-1.0, -0.4, -1.4], [1.15, 0.4, 1.4], hold=(0.1, 1.0), move=(0.3, 0.9))
    return replace(pose, gaze=gaze, bend=pose.bend + gaze * [0.12, 0.2, 0.35])


def look_up(draw: Draw, t: Time, pose: Pose) -> Pose:
    """The head laid back, to what is overhead."""
    gaze = wander(draw.rng, t, [-1.25, -0.3, -0.9], [-0.45, 0.3, 0.9], hold=(0.5, 2.5), move=(0.5, 1.2))
    return replace(pose, gaze=gaze, bend=pose.bend + gaze * [0.15, 0.2, 0.2])


def look_down(draw: Draw, t: Time, pose: Pose) -> Pose:
    """The head bowed, to the feet and the floor around."""
    gaze = wander(draw.rng, t, [0.5, -0.2, -0.7], [1.2, 0.2, 0.7], hold=(0.5, 2.5), move=(0.4, 1.0))
    return replace(pose, gaze=gaze, bend=pose.bend + gaze * [0.2, 0.2, 0.25])


def _outside_trunk(hands: np.ndarray) -> np.ndarray:
    """Hands that would be in the trunk are brought before it; near the shoulder they pass in front of it, since an arm
    cannot turn about as fast as a hand passes through its own shoulder."""
    near = np.maximum(0.55 - np.linalg.norm(hands, axis=-1, keepdims=True), 0)
    hands = hands + near * [0.6, 1.4, -0.3]
    inside = (hands[..., 0] < TRUNK_HALF_WIDTH) & (np.abs(hands[..., 1]) < TRUNK_FRONT) & (hands[..., 2] < 0.2)
    depth = np.where(inside, TRUNK_FRONT, hands[..., 1])
    return np.stack([hands[..., 0], depth, hands[..., 2]], -1)


def _look_at(hand: np.ndarray, side: int) -> np.ndarray:
    """Gaze towards a hand (arm lengths from the shoulder); the eyes are about 0.4 above the shoulder line."""
    left = OUTWARD[side] * (hand[:, 0] - MIDDLE)
    ahead, down = np.maximum(hand[:, 1], 0.1), 0.4 - hand[:, 2]
    yaw = np.clip(np.arctan2(left, ahead), -1.2, 1.2)
    return np.stack([np.clip(np.arctan2(down, np.hypot(left, ahead)), -0.9, 1.0), 0 * yaw, yaw], -1)
