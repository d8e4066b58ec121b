"""Legs that step: standing, and walking or running along any path in any direction."""

import numpy as np
from jaxtyping import Float, Num

from egorear.synth.posing import ANKLE, HIP_HEIGHT, OUTWARD, Pose, angles, point
from egorear.synth.procedural.curves import ease, sway, wander
from egorear.synth.rotations import turn

FEET_APART_M = (0.09, 0.16)
_ZEROS = np.zeros(3)


def gaze_around(rng: np.random.Generator, t: Num[np.ndarray, "T"], pitch: float = 0.1) -> Float[np.ndarray, "T 3"]:
    """A head that looks at one thing after the other around the mean `pitch` (down is positive)."""
    wide = rng.uniform(0.2, 1.0)
    return wander(rng, t, [pitch - 0.6 * wide, -0.15, -0.9 * wide], [pitch + 0.7 * wide, 0.15, 0.9 * wide])


def hanging_arms(rng: np.random.Generator, t: Num[np.ndarray, "T"]) -> Float[np.ndarray, "T 2 3"]:
    out, forward = rng.uniform(0.08, 0.35), rng.uniform(-0.05, 0.2)
    hands = np.tile([out, forward, -0.93], (len(t), 2, 1))
    return hands + sway(rng, t, 0.02, 6).reshape(-1, 2, 3)


def pose_on_legs(
    rng: np.random.Generator,
    t: Num[np.ndarray, "T"],
    pelvis: Num[np.ndarray, "T 3"],
    ankles: Num[np.ndarray, "T 2 3"],
    soles: Num[np.ndarray, "T 2 3"],
    tilt: Num[np.ndarray, "T 3"] = _ZEROS[None],
    bend: Num[np.ndarray, "T 3"] = _ZEROS[None],
    knees_apart: float = 0.15,
) -> Pose:
    """A pose from its lower half: arms hang, the head looks around, the knees point between feet and pelvis."""
    tilt = tilt + np.zeros_like(pelvis)
    forward = turn(tilt[:, None]) @ point(knees_apart * OUTWARD, 1.0, 0.0)[:, :, None]
    of_feet = turn(soles * [0, 0, 1]) @ point(0.0, 1.0, 0.0)[:, None]
    return Pose(
        pelvis=pelvis,
        tilt=tilt,
        bend=bend + sway(rng, t, 0.02),
        gaze=gaze_around(rng, t),
        ankles=ankles,
        soles=soles,
        knees=(forward + of_feet)[..., 0],
        hands=hanging_arms(rng, t),
        planted=np.zeros(2, bool),
        elbows=np.full((len(t), 2), rng.uniform(-0.2, 0.5)),
        palms=np.broadcast_to(rng.uniform([-0.4, -0.2], [0.6, 0.4]), (len(t), 2, 2)),
    )


def steps(
    t: Num[np.ndarray, "T"],
    velocity: tuple[float, float],
    turning: float,
    cadence: float,
    duty: float,
    width: float,
    lift: float,
) -> tuple[Float[np.ndarray, "T 3"], Float[np.ndarray, "T"], Float[np.ndarray, "T 2 3"], Float[np.ndarray, "T 2 3"]]:
    """Feet that stay where they are planted under a body that moves along an arc.

    velocity: (left, forward) m/s against the heading, which turns by `turning` rad/s; cadence: strides per second;
    duty: share of a stride a foot is on the ground (under 0.5 the body flies); width: of the feet from the middle;
    lift: of the swinging foot, metres. Returns position on the floor and heading of the body, ankles, soles.
    """

    def path(time):
        yaw = turning * time
        along = turn(angles(0.0, 0.0, yaw / 2)) @ point(*velocity, 0.0)[:, None]
        return np.sinc(yaw[..., None] / 2 / np.pi) * time[..., None] * along[..., 0], yaw

    def print_of(stride, side):
        place, yaw = path((stride + duty / 2 - side / 2) / cadence)
        beside = turn(angles(0.0, 0.0, yaw)) @ point(OUTWARD[side] * width, 0.0, 0.0)[:, None]
        return place + beside[..., 0], yaw

    ankles, soles = np.zeros((len(t), 2, 3)), np.zeros((len(t), 2, 3))
    pace = np.clip(np.hypot(*velocity) / 1.4, 0, 1.5) * np.sign(velocity[1] + 1e-9) * (abs(velocity[1]) > 0.2)
    for side in (0, 1):
        phase = t * cadence + side / 2
        stride, share = np.floor(phase), phase % 1
        swing = ease((share - duty) / (1 - duty))
        (here, yaw), (there, next_yaw) = print_of(stride, side), print_of(stride + 1, side)
        ankles[:, side] = here + swing[:, None] * (there - here)
        soles[:, side, 2] = yaw + swing * (next_yaw - yaw) + 0.12 * OUTWARD[side]
        # The heel rises before the foot leaves, and lands first.
        push_off = ease((share - duty * 0.6) / (duty * 0.4)) * (1 - ease((share - duty) / (1 - duty) / 0.6))
        landing = ease((share - duty) / (1 - duty) / 0.8 - 0.25) * (share > duty) + (1 - ease(share / duty / 0.25)) * (
            share <= duty
        )
        pitch = pace * (0.75 * push_off - 0.3 * landing)
        soles[:, side, 0] = pitch
        ankles[:, side, 2] = ANKLE + lift * np.sin(np.pi * swing) ** 2 + 0.15 * np.sin(np.maximum(pitch, 0))
    position, heading = path(t)
    return position, heading, ankles, soles


def stand(rng: np.random.Generator, t: Num[np.ndarray, "T"], drop: float = 0.0) -> Pose:
    """Stands with weight shifts; `drop` metres lower than straight, in some people one foot forward."""
    apart, stagger, out = rng.uniform(*FEET_APART_M) + drop * 0.15, rng.normal(0, 0.06), rng.uniform(-0.05, 0.4)
    shift = wander(rng, t, [-0.05, -0.03], [0.05, 0.03], hold=(1.0, 3.0))
    ankles = np.tile(point(OUTWARD * apart, stagger * OUTWARD, ANKLE), (len(t), 1, 1))
    soles = np.zeros((len(t), 2, 3))
    soles[..., 2] = out * OUTWARD
    pelvis = point(shift[:, 0], shift[:, 1] + 0.03, HIP_HEIGHT - rng.uniform(0, 0.03) - drop)
    tilt = angles(rng.uniform(-0.05, 0.15), 0.8 * shift[:, 0], wander(rng, t, -0.3, 0.3, hold=(1.0, 3.0)))
    return pose_on_legs(rng, t, pelvis, ankles, soles, tilt)


def travel(
    rng: np.random.Generator,
    t: Num[np.ndarray, "T"],
    velocity: tuple[float, float],
    turning: float = 0.0,
    running: float = 0.0,
    stoop: float = 0.0,
    swing: float = 0.3,
) -> Pose:
    """Walks (running = 0), runs (1) or goes sideways or backward at `velocity` (left, forward) m/s.

    stoop: forward bend of the back; swing: of the arms, in arm lengths.
    """
    speed = np.hypot(*velocity)
    cadence = (0.62 + 0.28 * speed) * rng.uniform(0.9, 1.1) if running == 0 else rng.uniform(1.25, 1.55)
    duty = 0.62 - 0.04 * speed if running == 0 else rng.uniform(0.3, 0.42)
    lift = rng.uniform(0.06, 0.13) + running * rng.uniform(0.1, 0.3)
    t = t + rng.uniform(0, 3)
    position, heading, ankles, soles = steps(
        t, velocity, turning, cadence, duty, rng.uniform(0.06, 0.12) + 0.1 * abs(velocity[0]), lift
    )
    phase = 2 * np.pi * (t * cadence - duty / 2)
    side_to_side = np.cos(phase) * rng.uniform(0.01, 0.035)
    bob = np.cos(2 * phase) * (0.018 if running == 0 else -0.045)
    crouch = rng.uniform(0.01, 0.05) + 0.05 * running + 0.03 * max(0, speed - 1)
    pelvis = position + point(0.0, 0.0, HIP_HEIGHT - crouch + bob)
    pelvis += (turn(angles(0.0, 0.0, heading)) @ point(side_to_side, 0.0, 0.0)[..., None])[..., 0]
    stance = np.clip(velocity[1] / 1.4, -1, 1)
    twist = np.sin(phase) * rng.uniform(0.05, 0.15) * stance
    lean = np.clip(0.03 * velocity[1], -0.05, 0.1) + 0.12 * running
    tilt = angles(lean, 0.04 * np.cos(phase), heading + twist)
    pose = pose_on_legs(
        rng, t, pelvis, ankles, soles, tilt,
        angles(stoop, -0.04 * np.cos(phase), -2 * twist), knees_apart=0.05,
    )  # fmt: skip
    forward = np.sin(phase)[:, None] * OUTWARD * swing * stance
    elbow = running * rng.uniform(0.7, 1.0)
    pose.hands[..., 1] += forward * (1 - 0.4 * elbow) + 0.35 * elbow
    pose.hands[..., 2] += 0.35 * forward * np.sign(swing) + elbow * 0.55
    pose.hands[..., 0] -= elbow * 0.1
    return pose
