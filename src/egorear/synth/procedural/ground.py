"""On the ground: crawling, push-ups, sitting and lying. Hands are planted in the world where they carry weight."""

from dataclasses import replace

import numpy as np
from jaxtyping import Num

from egorear.geometry.rotations import turn
from egorear.synth.figure import rest
from egorear.synth.posing import ANKLE, ARM, OUTWARD, SHIN, THIGH, Pose, angles, ankle_height, point
from egorear.synth.procedural.curves import set_anew, through, wander
from egorear.synth.procedural.draw import Draw
from egorear.synth.procedural.gait import pose_on_legs, steps

Time = Num[np.ndarray, "T"]
TRUNK = float(rest("LeftArm")[2] - rest("LeftUpLeg")[2])
HAND_HEIGHT = 0.06
ON_HANDS = np.array([True, True])


def crawl(draw: Draw, t: Time) -> Pose:
    """Hands and knees; the opposite hand and knee move together."""
    speed, cadence = draw.uniform("speed", 0.0, 0.6), draw.uniform("cadence", 0.5, 0.9)
    turning, low = draw.normal("turning", 0, 0.2), draw.uniform("low", 0, 0.08)
    position, heading, knees, soles = steps(t, (0.0, speed), turning, cadence, 0.65, 0.1, 0.03, roll=0.0)
    ahead = TRUNK + draw.uniform("hands_ahead", -0.05, 0.1)
    _, _, hands, _ = steps(t, (0.0, speed), turning, cadence, 0.65, 0.17, 0.06, roll=0.0, ahead=ahead, lag=0.5)
    hands[..., 2] += HAND_HEIGHT - ANKLE
    # The shin lies behind its own knee, so a foot rests while its knee does.
    behind = (turn(soles * [0, 0, 1]) @ point(0.0, -SHIN, 0.0)[:, None])[..., 0]
    pitch = float(draw.choice("feet_pitch", (1.3, 2.5)))
    ankles = knees + behind
    ankles[..., 2] = ankle_height(pitch) + 1.5 * (knees[..., 2] - ANKLE)
    soles = angles(pitch, 0.0, soles[..., 2])
    pelvis = position + point(0.0, 0.0, THIGH + 0.05 - low)
    tilt = angles(1.35, 0.05 * np.sin(2 * np.pi * cadence * t), heading)
    back = draw.uniform("back", -0.3, 0.4)
    pose = pose_on_legs(draw, t, pelvis, ankles, soles, tilt, angles(back + 0 * t, 0.0, 0.0))
    down = (turn(angles(0.0, 0.0, heading))[:, None] @ point(0.0, 0.5, -1.0)[:, None])[..., 0]
    return replace(
        pose,
        hands=hands,
        planted=ON_HANDS,
        knees=np.broadcast_to(down, ankles.shape),
        gaze=0.7 * pose.gaze + [0.6, 0, 0],
    )


def push_up(draw: Draw, t: Time) -> Pose:
    """A straight body that turns about the toes while the arms bend; or a plank that holds."""
    period, depth = draw.uniform("period", 1.2, 3.0), float(draw.choice("depth", (0.05, 0.6, 0.9)))
    bent = depth * through((t / period) % 1, [0, 0.45, 0.55, 1], [0, 1, 1, 0])
    pitch = 1.1
    toes = ankle_height(pitch)
    shoulder = HAND_HEIGHT + ARM * (0.96 - 0.6 * bent)
    body = THIGH + SHIN + TRUNK
    rise = np.arcsin((shoulder - toes) / body)
    ankles = np.tile(point(OUTWARD * draw.uniform("feet_apart", 0.05, 0.15), -(THIGH + SHIN), toes), (len(t), 1, 1))
    along = THIGH + SHIN - 0.02
    sag = draw.uniform("hips_up", -0.02, 0.08)
    pelvis = point(0.0, -(THIGH + SHIN) + along * np.cos(rise), toes + along * np.sin(rise) + sag)
    soles = np.zeros((len(t), 2, 3))
    soles[..., 0] = pitch
    palms = point(
        OUTWARD * draw.uniform("hands_out", 0.2, 0.35), TRUNK * 0.95 + draw.uniform("hands_ahead", -0.05, 0.1),
        HAND_HEIGHT,
    )  # fmt: skip
    pose = pose_on_legs(draw, t, pelvis, ankles, soles, angles(np.pi / 2 - rise, 0.0, 0.0))
    return replace(
        pose,
        hands=np.tile(palms, (len(t), 1, 1)),
        planted=ON_HANDS,
        knees=np.broadcast_to(point(0.0, 0.0, -1.0), ankles.shape),
        gaze=0.7 * pose.gaze + [0.8, 0, 0],
        elbows=np.full((len(t), 2), 0.5),
    )


def sit_floor(draw: Draw, t: Time) -> Pose:
    """On the floor: legs long, drawn up or crossed; the hands in the lap or behind as a prop."""
    rng, crossed = draw.rng, draw.chance("crossed", 0.35)
    length = 0.4 if crossed else draw.uniform("legs_long", 0.45, 0.97) * (THIGH + SHIN)
    apart = -0.12 if crossed else draw.uniform("feet_apart", 0.05, 0.25)
    pitch = 0.9 if crossed else float(np.interp(length / (THIGH + SHIN), [0.6, 0.9], [0.05, -0.9]))
    moves = np.stack([set_anew(rng, t, [0.0, 0.0] if crossed else [0.03, 0.1], 0.04) for _ in OUTWARD], 1)
    ankles = point(OUTWARD * apart, length, ankle_height(pitch)) + moves
    soles = np.zeros((len(t), 2, 3))
    soles[..., 0] = pitch
    soles[..., 2] = (0.8 if crossed else 0.2) * OUTWARD
    prop = draw.uniform("lean_back", 0, 0.5)
    lean = wander(rng, t, [-0.1, -0.12, -0.3], [0.35, 0.12, 0.3], hold=(0.5, 3.0)) - [prop + 0.3, 0, 0]
    pose = pose_on_legs(draw, t, point(0 * t, 0.0, 0.12), ankles, soles, lean * [0.7, 0.2, 0.1], lean * [0.2, 1, 1])
    knees = point(OUTWARD * (1.5 if crossed else 0.2), 0.3, 0.5 if crossed else 1.0)
    up = draw.uniform("hands_up", -0.6, -0.3)
    place = [0.15, -0.45, -0.8] if prop > 0.3 else [0.0, 0.55, up]
    hands = place + wander(rng, t, [[-0.06, -0.06, 0]] * 2, [[0.06, 0.06, 0.1]] * 2, hold=(1.0, 4.0))
    return replace(pose, knees=np.tile(knees, (len(t), 1, 1)), hands=hands)


def lie(draw: Draw, t: Time) -> Pose:
    """On the back, on a side or propped up; legs long or drawn up."""
    rng = draw.rng
    roll = float(draw.choice("on", (0.0, 1.3, -1.3), p=(0.5, 0.25, 0.25))) + draw.normal("roll", 0, 0.1)
    prop = draw.chance("propped", 0.5) * draw.uniform("prop", 0, 0.5)
    height = 0.12 + 0.06 * abs(np.sin(roll))
    bent = wander(rng, t, 0.45, 0.97, hold=(1.0, 4.0), move=(0.8, 1.6))
    length = np.stack([bent, 0.45 + 0.52 * (bent - 0.45) / 0.52 * draw.uniform("one_leg_up", 0, 1)], 1)
    length = length * (THIGH + SHIN)
    spread = draw.uniform("feet_apart", 0.03, 0.25)
    soles = np.zeros((len(t), 2, 3))
    soles[..., 0] = np.interp(length / (THIGH + SHIN), [0.6, 0.85], [0.1, -0.9])
    soles[..., 1:] = np.stack([0 * OUTWARD + roll, 0.3 * OUTWARD], -1)
    ankles = point(OUTWARD * spread, length, np.interp(soles[..., 0], [-0.9, 0.1], [0.07, 0.1]))
    pelvis = point(0 * t, 0.0, height)
    furthest = 0.8 if abs(roll) < 0.5 else 0.1  # an arm under the body stays before it
    tilt = angles(prop - np.pi / 2, roll + wander(rng, t, -0.15, 0.15), 0.0)
    pose = pose_on_legs(draw, t, pelvis, ankles, soles, tilt)
    return replace(
        pose,
        knees=np.broadcast_to(turn(angles(0.0, roll, 0.0)) @ point(0.0, 0.1, 1.0), ankles.shape),
        hands=wander(rng, t, [[-0.2, 0.1, -0.9]] * 2, [[furthest, 0.8, 0.9]] * 2, hold=(0.5, 2.5)),
        gaze=0.7 * pose.gaze + tilt + [0.2, 0, 0],
    )
