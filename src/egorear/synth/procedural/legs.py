"""What legs and trunk do: one function per way of being on the ground. Each draws its parameters, then follows t."""

import numpy as np
from jaxtyping import Num

from egorear.synth.posing import ANKLE, HIP_HEIGHT, OUTWARD, SHIN, THIGH, Pose, angles, ankle_height, point, rolled
from egorear.synth.procedural.curves import ease, set_anew, through, wander
from egorear.synth.procedural.draw import Draw
from egorear.synth.procedural.gait import FEET_APART_M, pose_on_legs, stand, travel

GRAVITY = 9.81
Time = Num[np.ndarray, "T"]


def walk(draw: Draw, t: Time) -> Pose:
    """From a slow stooped shuffle to a brisk walk, straight or along a curve."""
    stoop = draw.choice("stoop", (0.0, 0.1, 0.25, 0.6), p=(0.5, 0.25, 0.15, 0.1))
    speed, turning = draw.uniform("speed", 0.4, 1.8), draw.normal("turning", 0, 0.4)
    return travel(draw, t, (0.0, speed), turning, stoop=float(stoop), swing=draw.uniform("arm_swing", 0.05, 0.5))


def run(draw: Draw, t: Time) -> Pose:
    speed, turning = draw.uniform("speed", 1.8, 3.8), draw.normal("turning", 0, 0.3)
    return travel(draw, t, (0.0, speed), turning, True, 0.1, draw.uniform("arm_swing", 0.3, 0.6))


def side_step(draw: Draw, t: Time) -> Pose:
    speed = draw.uniform("speed", 0.25, 0.7) * OUTWARD[draw.side("towards")]
    return travel(draw, t, (float(speed), 0.0), stoop=draw.uniform("stoop", 0, 0.2))


def back_step(draw: Draw, t: Time) -> Pose:
    velocity = draw.normal("sideways", 0, 0.1), -draw.uniform("speed", 0.3, 0.8)
    return travel(draw, t, velocity, draw.normal("turning", 0, 0.3), stoop=draw.uniform("stoop", 0, 0.2))


def march(draw: Draw, t: Time) -> Pose:
    """Steps on the spot or turns about."""
    turning = draw.chance("turns", 0.5) * draw.normal("turning", 0, 1.2)
    return travel(draw, t, (0.0, draw.uniform("speed", -0.1, 0.15)), turning)


def crouch(draw: Draw, t: Time) -> Pose:
    """Walks with bent knees and back, as under something low, or sneaks."""
    depth, speed = draw.uniform("depth", 0.15, 0.42), draw.uniform("speed", 0.2, 0.9)
    turning, stoop = draw.normal("turning", 0, 0.3), draw.uniform("stoop", 0.1, 0.7)
    return travel(draw, t, (0.0, speed), turning, stoop=stoop, swing=0.15, crouched=depth)


def down_and_up(draw: Draw, t: Time, shortest: float = 1.8) -> np.ndarray:
    """0 up, 1 down; the longer down the longer it holds."""
    period, hold = draw.uniform("period", shortest, 5.0), draw.uniform("hold", 0.05, 0.35)
    return through((t / period + draw.uniform("start", 0, 1)) % 1, [0, 0.3, 0.3 + hold, 1], [0, 1, 1, 0])


def squat(draw: Draw, t: Time) -> Pose:
    """Goes down and up, or stays down; the trunk leans so that the weight stays over the feet."""
    drop = draw.uniform("depth", 0.15, 0.58) * down_and_up(draw, t)
    apart, out = draw.uniform("feet_apart", 0.14, 0.26), draw.uniform("feet_out", 0.2, 0.6)
    ankles = np.tile(point(OUTWARD * apart, draw.normal("feet_ahead", 0, 0.03), ANKLE), (len(t), 1, 1))
    soles = np.tile(angles(0.0, 0.0, out * OUTWARD), (len(t), 1, 1))
    pelvis = point(0.0, -0.55 * drop, HIP_HEIGHT - 0.02 - drop)
    tilt = angles(1.1 * drop, 0.0, wander(draw.rng, t, -0.2, 0.2))
    return pose_on_legs(draw, t, pelvis, ankles, soles, tilt, angles(0.8 * drop, 0.0, 0.0), knees_apart=out + 0.15)


def lunge(draw: Draw, t: Time) -> Pose:
    """One long step forward and back, the rear heel lifted."""
    period, side = draw.uniform("period", 1.8, 4.0), draw.side("foot")
    reach, drop = draw.uniform("stride", 0.3, 0.75), draw.uniform("depth", 0.1, 0.4)
    phase = (t / period + draw.uniform("start", 0, 1)) % 1
    step, low = through(phase, [0, 0.3, 0.6, 0.9, 1], [0, 1, 1, 0, 0]), through(phase, [0, 0.35, 0.55, 1], [0, 1, 1, 0])
    ankles, soles = np.tile(point(OUTWARD * 0.11, 0.0, ANKLE), (len(t), 1, 1)), np.zeros((len(t), 2, 3))
    raw = np.interp(phase, [0, 0.3, 0.6, 0.9, 1], [0, 1, 1, 0, 0])
    ankles[:, side] += point(0.0, reach * step, 0.1 * np.sin(np.pi * raw) ** 2)
    soles[:, 1 - side, 0] = 0.7 * low
    pelvis = point(0.0, 0.5 * reach * step, HIP_HEIGHT - 0.03 - drop * low)
    tilt = angles(draw.uniform("lean", 0, 0.4) * low, 0.0, wander(draw.rng, t, -0.15, 0.15))
    return pose_on_legs(draw, t, pelvis, rolled(ankles, soles), soles, tilt, knees_apart=0.05)


def kick(draw: Draw, t: Time) -> Pose:
    """Kicks forward, sideways or backward, knee first."""
    period, side = draw.uniform("period", 1.8, 3.5), draw.side("foot")
    aim = float(draw.choice("aim", (0.0, 1.2, np.pi), p=(0.6, 0.25, 0.15)))
    phase = (t / period + draw.uniform("start", 0, 1)) % 1
    chamber = through(phase, [0, 0.25, 0.6, 0.85, 1], [0, 1, 1, 0, 0])
    strike = through(phase, [0, 0.22, 0.38, 0.6, 1], [0, 0, 1, 0, 0])
    height, length = draw.uniform("height", 0.2, 1.0), draw.uniform("reach", 0.5, 0.8)
    out = OUTWARD[side] * np.sin(aim)
    ankles, soles = np.tile(point(OUTWARD * 0.1, 0.0, ANKLE), (len(t), 1, 1)), np.zeros((len(t), 2, 3))
    drawn_back = 0.12 * ease(2 * chamber - 0.6) * (1 - strike)
    ankles[:, side] += point(out * length * strike, np.cos(aim) * length * strike - drawn_back, 0.0)
    ankles[:, side, 2] += chamber * 0.35 + strike * (height - 0.35)
    soles[:, side, 0] = 0.5 * chamber * np.cos(aim)
    stance = -OUTWARD[side] * 0.08 * chamber
    pelvis = point(stance, 0.03 * chamber, HIP_HEIGHT - 0.02 - 0.03 * chamber)
    lean = -0.35 * strike * height
    tilt = angles(np.cos(aim) * lean, out * lean, wander(draw.rng, t, -0.2, 0.2))
    pose = pose_on_legs(draw, t, pelvis, ankles, soles, tilt, angles(-0.6 * lean * np.cos(aim), 0.0, 0.0))
    up = chamber * np.cos(aim)  # of a leg kicked forward the knee points up, backward down
    pose.knees[:, side] = pose.knees[:, side] * (1 - 0.9 * np.abs(up))[:, None] + point(0.0, 0.0, 2.5 * up)
    return pose


def jump(draw: Draw, t: Time) -> Pose:
    """Crouch, flight under gravity, landing; on the spot."""
    height, tuck = draw.uniform("height", 0.08, 0.45), draw.uniform("tuck", 0, 0.35)
    crouch = draw.uniform("depth", 0.15, 0.4)
    flight = np.sqrt(8 * height / GRAVITY)
    period = flight + draw.uniform("pause", 1.0, 2.0)
    seconds = (t + draw.uniform("start", 0, 1) * period) % period
    lift_off = 0.45 * (period - flight)
    air = np.clip((seconds - lift_off) / flight, 0, 1)
    up = 4 * height * air * (1 - air)
    after = lift_off + flight
    ends = [0, 0.75 * lift_off, lift_off, after, after + 0.4 * (period - after), period]
    bent = through(seconds, ends, [0, 1, 0, 0, 0.7, 0])
    apart = draw.uniform("feet_apart", *FEET_APART_M)
    ankles, soles = np.tile(point(OUTWARD * apart, 0.0, ANKLE), (len(t), 1, 1)), np.zeros((len(t), 2, 3))
    ankles[..., 2] += (up + tuck * np.sin(np.pi * air) ** 2)[:, None]
    soles[..., 0] = 0.6 * np.sin(np.pi * air)[:, None] ** 2
    pelvis = point(0.0, -0.25 * crouch * bent, HIP_HEIGHT - 0.02 - crouch * bent + up)
    tilt, bend = angles(0.9 * crouch * bent, 0.0, 0.0), angles(0.4 * bent, 0.0, 0.0)
    pose = pose_on_legs(draw, t, pelvis, ankles, soles, tilt, bend)
    swing = np.sin(np.pi * air)
    pose.hands[..., 1] += (-0.5 * bent + draw.uniform("arm_swing", 0.1, 0.8) * swing)[:, None]
    pose.hands[..., 2] += (draw.uniform("arm_lift", 0.1, 1.3) * swing)[:, None]
    return pose


def sit(draw: Draw, t: Time) -> Pose:
    """On a chair, a stool or a low step; feet in front, tucked under, crossed or stretched forward."""
    rng, seat = draw.rng, draw.uniform("seat", 0.2, 0.62)
    apart, forward = draw.uniform("feet_apart", 0.03, 0.25), draw.uniform("feet_ahead", 0.25, 0.7)
    crossed = -0.7 if draw.chance("crossed", 0.25) else 1.0
    soles = np.zeros((len(t), 2, 3))
    soles[..., 2] = draw.uniform("feet_out", 0, 0.4) * OUTWARD
    soles[..., 0] = draw.uniform("feet_pitch", -0.2, 0.3)
    moves = np.stack([set_anew(rng, t, [0.03, 0.1], 0.05) for _ in OUTWARD], 1)
    ankles = rolled(point(OUTWARD * apart * crossed, forward, ANKLE) + moves, soles)
    lean = wander(rng, t, [-0.35, -0.12, -0.3], [0.35, 0.12, 0.3], hold=(0.5, 3.0))
    pelvis = point(0 * t, 0.0, seat + 0.1)
    pose = pose_on_legs(draw, t, pelvis, ankles, soles, lean * [0.6, 0.3, 0.1], lean, apart + 0.1)
    lap = [draw.uniform("hands_out", -0.05, 0.2), draw.uniform("hands_forward", 0.4, 0.65), -0.6]
    pose.hands[:] = lap + wander(rng, t, [[-0.1, -0.15, 0]] * 2, [[0.1, 0.15, 0.15]] * 2, hold=(1.0, 4.0))
    return pose


def kneel(draw: Draw, t: Time) -> Pose:
    """Upright on both knees, on the heels, or on one knee."""
    upright, one_knee = draw.uniform("upright", 0, 1), draw.chance("one_knee", 0.35)
    height = (0.2 + (THIGH - 0.17) * max(upright, one_knee)) + 0.04
    apart, pitch = draw.uniform("feet_apart", 0.09, 0.2), float(draw.choice("feet_pitch", (1.2, 2.5)))
    knee_forward = np.sqrt(max(THIGH**2 - (height - 0.06) ** 2, 0))
    ankles = np.tile(point(OUTWARD * apart, knee_forward - SHIN + 0.02, ankle_height(pitch)), (len(t), 1, 1))
    soles = np.zeros((len(t), 2, 3))
    soles[..., 0] = pitch  # on the toes or on the instep
    knees = np.tile(point(OUTWARD * 0.15, 1.0, -0.6), (len(t), 1, 1))
    front, ahead = draw.side("foot"), draw.uniform("foot_ahead", 0.3, 0.5)
    if one_knee:
        ankles[:, front] = point(OUTWARD[front] * 0.15, ahead, ANKLE)
        soles[:, front, 0] = 0
        knees[:, front] = point(OUTWARD[front] * 0.1, 1.0, 1.0)
    lean = wander(draw.rng, t, [-0.1, -0.1, -0.3], [0.5, 0.1, 0.3])
    pose = pose_on_legs(draw, t, point(0 * t, 0.0, height), ankles, soles, lean * [0.4, 0.3, 0.1], lean)
    pose.knees[:] = knees
    return pose


def bend_down(draw: Draw, t: Time) -> Pose:
    """Stoops from the hips towards the floor and rises again."""
    deepest, down = draw.uniform("depth", 0.5, 1.3), down_and_up(draw, t, 2.0)
    pose = stand(draw, t, drop=0.05)
    side = wander(draw.rng, t, -0.4, 0.4)
    pose.tilt[:, 0] += 0.9 * deepest * down
    pose.pelvis[:, 1] += 0.12 * deepest * down
    pose.pelvis[:, 2] -= draw.uniform("knees_give", 0, 0.2) * down
    pose.bend[:] += down[:, None] * angles(0.8 * deepest, 0.0, side)
    pose.hands[..., 1] += (draw.uniform("hands_down", 0.2, 0.8) * down)[:, None]
    return pose


def lift(draw: Draw, t: Time) -> Pose:
    """Fetches a box from the floor with bent knees and lifts it before the chest or overhead, and puts it back."""
    down = down_and_up(draw, t, 2.5)
    drop, apart = draw.uniform("depth", 0.25, 0.5) * down, draw.uniform("feet_apart", 0.14, 0.24)
    ankles = np.tile(point(OUTWARD * apart, 0.0, ANKLE), (len(t), 1, 1))
    soles = np.tile(angles(0.0, 0.0, 0.3 * OUTWARD), (len(t), 1, 1))
    pelvis = point(0.0, -0.5 * drop, HIP_HEIGHT - 0.03 - drop)
    pose = pose_on_legs(
        draw, t, pelvis, ankles, soles, angles(1.3 * drop, 0.0, 0.0), angles(1.6 * drop, 0.0, 0.0), knees_apart=0.5
    )
    up, half = draw.uniform("lifted_to", -0.6, 0.8), draw.uniform("box_width", 0.15, 0.45)
    high = np.stack([half - 0.45 + 0 * t, 0.45 + 0 * t, up + 0 * t], -1)
    low = np.array([half - 0.45, 0.5, -0.8])
    pose.hands[:] = (high + ease(1.4 * down - 0.2)[:, None] * (low - high))[:, None]
    pose.gaze[:, 0] += 0.5 * down
    return pose


def twist(draw: Draw, t: Time) -> Pose:
    """Turns and leans the trunk over standing or sitting legs."""
    pose = (sit if draw.chance("seated", 0.3) else stand)(draw, t)
    wide = draw.uniform("width", 0.3, 1.0)
    pose.bend[:] += wander(draw.rng, t, [-0.25 * wide, -0.5 * wide, -0.9 * wide], [0.5 * wide, 0.5 * wide, 0.9 * wide])
    pose.gaze[:, 2] += 0.7 * pose.bend[:, 2]
    pose.hands[:, :, :2] += 0.35
    return pose


def dance(draw: Draw, t: Time) -> Pose:
    """Hips, knees and feet on a beat; the hands wander fast."""
    rng, beat = draw.rng, draw.uniform("beat", 0.8, 1.3)
    wave = np.sin(2 * np.pi * beat * t + rng.uniform(0, 2 * np.pi, (6, 1)))
    size = draw.uniform("size", 0.4, 1.0) * rng.uniform(0.6, 1.0, 6)
    velocity = draw.normal("sideways", 0, 0.25), draw.normal("speed", 0, 0.3)
    pose = travel(draw, t, velocity, draw.normal("turning", 0, 0.8))
    pose.pelvis[:, 2] -= 0.06 + 0.05 * size[0] * wave[0]
    pose.tilt[:, 1] += 0.15 * size[1] * wave[1]
    pose.bend[:] += angles(0.25 * size[2] * wave[2], 0.3 * size[3] * wave[3], 0.5 * size[4] * wave[4])
    pose.gaze[:, 0] += 0.15 * size[5] * wave[5]
    pose.hands[:] = wander(rng, t, [[-0.3, 0.2, -0.9]] * 2, [[0.85, 0.8, 0.9]] * 2, hold=(0.0, 0.3), move=(0.35, 0.8))
    return pose
