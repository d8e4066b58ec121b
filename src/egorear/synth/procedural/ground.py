"""On the ground: crawling, push-ups and lying. Hands are planted in the world where they carry weight."""

from dataclasses import replace

import numpy as np
from jaxtyping import Num

from egorear.synth.figure import rest
from egorear.synth.posing import ARM, OUTWARD, SHIN, THIGH, Pose, angles, point
from egorear.synth.procedural.curves import through, wander
from egorear.synth.procedural.gait import pose_on_legs, steps
from egorear.synth.rotations import turn

Time = Num[np.ndarray, "T"]
TRUNK = float(rest("LeftArm")[2] - rest("LeftUpLeg")[2])
HAND_HEIGHT = 0.06
ON_HANDS = np.array([True, True])


def crawl(rng: np.random.Generator, t: Time) -> Pose:
    """Hands and knees; the opposite hand and knee move together."""
    speed, cadence, low = rng.uniform(0.0, 0.6), rng.uniform(0.5, 0.9), rng.uniform(0, 0.08)
    position, heading, knees, soles = steps(t, (0.0, speed), rng.normal(0, 0.2), cadence, 0.65, 0.1, 0.02)
    _, _, hands, _ = steps(t + 0.5 / cadence, (0.0, speed), 0.0, cadence, 0.65, 0.17, 0.06)
    ahead = speed * 0.5 / cadence
    hands += point(0.0, TRUNK - ahead + rng.uniform(-0.05, 0.1), 0.0)
    hands[..., 2] += HAND_HEIGHT - hands[..., 2].min()
    yaw = turn(angles(0.0, 0.0, heading))[:, None]
    behind = (yaw @ point(0.0, -SHIN, 0.0)[:, None])[..., 0]
    soles = angles(1.45, 0.0, soles[..., 2])
    pelvis = position + point(0.0, 0.0, THIGH + 0.05 - low)
    tilt = angles(1.35, 0.05 * np.sin(2 * np.pi * cadence * t), heading)
    ankles = knees + behind
    ankles[..., 2] = 0.08
    pose = pose_on_legs(rng, t, pelvis, ankles, soles, tilt, angles(rng.uniform(-0.3, 0.4) + 0 * t, 0.0, 0.0))
    down = (yaw @ point(0.0, 0.5, -1.0)[:, None])[..., 0]
    return replace(
        pose,
        hands=hands,
        planted=ON_HANDS,
        knees=np.broadcast_to(down, ankles.shape),
        gaze=0.7 * pose.gaze + [0.6, 0, 0],
    )


def push_up(rng: np.random.Generator, t: Time) -> Pose:
    """A straight body that turns about the toes while the arms bend; or a plank that holds."""
    period, depth = rng.uniform(1.2, 3.0), rng.choice([0.05, 0.6, 0.9])
    bent = depth * through((t / period) % 1, [0, 0.45, 0.55, 1], [0, 1, 1, 0])
    shoulder = HAND_HEIGHT + ARM * (0.96 - 0.6 * bent)
    body = THIGH + SHIN + TRUNK
    rise = np.arcsin((shoulder - 0.13) / body)
    toes = point(OUTWARD * rng.uniform(0.05, 0.15), -(THIGH + SHIN), 0.13)
    along = THIGH + SHIN - 0.02
    pelvis = point(0.0, -(THIGH + SHIN) + along * np.cos(rise), 0.13 + along * np.sin(rise) + rng.uniform(-0.02, 0.08))
    ankles = np.tile(toes, (len(t), 1, 1))
    soles = np.zeros((len(t), 2, 3))
    soles[..., 0] = 1.1
    palms = point(OUTWARD * rng.uniform(0.2, 0.35), TRUNK * 0.95 + rng.uniform(-0.05, 0.1), HAND_HEIGHT)
    pose = pose_on_legs(rng, t, pelvis, ankles, soles, angles(np.pi / 2 - rise, 0.0, 0.0))
    return replace(
        pose,
        hands=np.tile(palms, (len(t), 1, 1)),
        planted=ON_HANDS,
        knees=np.broadcast_to(point(0.0, 0.0, -1.0), ankles.shape),
        gaze=0.7 * pose.gaze + [0.8, 0, 0],
        elbows=np.full((len(t), 2), 0.5),
    )


def lie(rng: np.random.Generator, t: Time) -> Pose:
    """On the back, on a side or propped up; legs long or drawn up."""
    roll = rng.choice([0.0, 0.0, 1.3, -1.3]) + rng.normal(0, 0.1)
    prop = rng.choice([0.0, 0.5]) * rng.uniform()
    height = 0.12 + 0.06 * abs(np.sin(roll))
    length = wander(rng, t, [0.45, 0.45], [0.97, 0.97], hold=(1.0, 4.0), move=(0.8, 1.6)) * (THIGH + SHIN)
    spread = rng.uniform(0.03, 0.25)
    ankles = point(OUTWARD * spread, length, 0.09 + 0.0 * length)
    soles = np.zeros((len(t), 2, 3))
    soles[..., 0] = np.where(length > 0.75 * (THIGH + SHIN), -0.9, 0.1)
    soles[..., 2] = 0.3 * OUTWARD
    pelvis = point(0 * t, 0.0, height)
    furthest = 0.8 if abs(roll) < 0.5 else 0.1  # an arm under the body stays before it
    tilt = angles(prop - np.pi / 2, roll + wander(rng, t, -0.15, 0.15), 0.0)
    pose = pose_on_legs(rng, t, pelvis, ankles, soles, tilt)
    return replace(
        pose,
        knees=np.broadcast_to(turn(angles(0.0, roll, 0.0)) @ point(0.0, 0.1, 1.0), ankles.shape),
        hands=wander(rng, t, [[-0.2, 0.1, -0.9]] * 2, [[furthest, 0.8, 0.9]] * 2, hold=(0.5, 2.5)),
        gaze=0.7 * pose.gaze + tilt + [0.2, 0, 0],
    )
