"""What legs and trunk do: one function per way of being on the ground. Each draws its parameters, then follows t."""

import numpy as np
from jaxtyping import Num

from egorear.synth.posing import ANKLE, HIP_HEIGHT, OUTWARD, SHIN, THIGH, Pose, angles, point
from egorear.synth.procedural.curves import through, wander
from egorear.synth.procedural.gait import FEET_APART_M, pose_on_legs, stand, travel

GRAVITY = 9.81
Time = Num[np.ndarray, "T"]


def walk(rng: np.random.Generator, t: Time) -> Pose:
    """From a slow stooped shuffle to a brisk walk, straight or along a curve."""
    stoop = rng.choice([0.0, 0.1, 0.25, 0.6], p=[0.5, 0.25, 0.15, 0.1])
    return travel(rng, t, (0.0, rng.uniform(0.4, 1.8)), rng.normal(0, 0.4), stoop=stoop, swing=rng.uniform(0.05, 0.5))


def run(rng: np.random.Generator, t: Time) -> Pose:
    return travel(rng, t, (0.0, rng.uniform(1.8, 3.8)), rng.normal(0, 0.3), 1.0, 0.1, rng.uniform(0.3, 0.6))


def side_step(rng: np.random.Generator, t: Time) -> Pose:
    return travel(rng, t, (rng.choice([-1, 1]) * rng.uniform(0.25, 0.7), 0.0), stoop=rng.uniform(0, 0.2))


def back_step(rng: np.random.Generator, t: Time) -> Pose:
    return travel(rng, t, (rng.normal(0, 0.1), -rng.uniform(0.3, 0.8)), rng.normal(0, 0.3), stoop=rng.uniform(0, 0.2))


def step_in_place(rng: np.random.Generator, t: Time) -> Pose:
    """Marches on the spot or turns about."""
    return travel(rng, t, (0.0, rng.uniform(-0.1, 0.15)), rng.choice([0.0, 1.0]) * rng.normal(0, 1.2))


def squat(rng: np.random.Generator, t: Time) -> Pose:
    """Goes down and up, or stays down; the trunk leans so that the weight stays over the feet."""
    period, deepest = rng.uniform(1.8, 5.0), rng.uniform(0.15, 0.58)
    down = through((t / period + rng.uniform()) % 1, [0, 0.3, 0.3 + rng.uniform(0.05, 0.35), 1], [0, 1, 1, 0])
    drop = deepest * down
    apart, out = rng.uniform(0.14, 0.26), rng.uniform(0.2, 0.6)
    ankles = np.tile(point(OUTWARD * apart, rng.normal(0, 0.03), ANKLE), (len(t), 1, 1))
    soles = np.tile(angles(0.0, 0.0, out * OUTWARD), (len(t), 1, 1))
    pelvis = point(0.0, -0.55 * drop, HIP_HEIGHT - 0.02 - drop)
    tilt = angles(1.1 * drop, 0.0, wander(rng, t, -0.2, 0.2))
    return pose_on_legs(rng, t, pelvis, ankles, soles, tilt, angles(0.8 * drop, 0.0, 0.0), knees_apart=out + 0.15)


def lunge(rng: np.random.Generator, t: Time) -> Pose:
    """One long step forward and back, the rear heel lifted."""
    period, reach, drop = rng.uniform(1.8, 4.0), rng.uniform(0.3, 0.75), rng.uniform(0.1, 0.4)
    side = rng.integers(2)
    out = through((t / period + rng.uniform()) % 1, [0, 0.3, 0.6, 1], [0, 1, 1, 0])
    ankles, soles = np.tile(point(OUTWARD * 0.11, 0.0, ANKLE), (len(t), 1, 1)), np.zeros((len(t), 2, 3))
    ankles[:, side] += point(0.0, reach * out, 0.12 * np.sin(np.pi * out) ** 2)
    ankles[:, 1 - side] += point(0.0, 0.0, 0.09 * out)
    soles[:, 1 - side, 0] = 0.7 * out
    pelvis = point(0.0, 0.5 * reach * out, HIP_HEIGHT - 0.03 - drop * out)
    tilt = angles(rng.uniform(0, 0.4) * out, 0.0, wander(rng, t, -0.15, 0.15))
    return pose_on_legs(rng, t, pelvis, ankles, soles, tilt, knees_apart=0.05)


def kick(rng: np.random.Generator, t: Time) -> Pose:
    """Kicks forward, sideways or backward, knee first."""
    period, side, aim = rng.uniform(1.2, 3.0), rng.integers(2), rng.choice([0.0, 1.2, np.pi], p=[0.6, 0.25, 0.15])
    phase = (t / period + rng.uniform()) % 1
    chamber = through(phase, [0, 0.25, 0.6, 0.85, 1], [0, 1, 1, 0, 0])
    strike = through(phase, [0, 0.22, 0.38, 0.6, 1], [0, 0, 1, 0, 0])
    height, length = rng.uniform(0.2, 1.0), rng.uniform(0.5, 0.8)
    out = OUTWARD[side] * np.sin(aim)
    ankles, soles = np.tile(point(OUTWARD * 0.1, 0.0, ANKLE), (len(t), 1, 1)), np.zeros((len(t), 2, 3))
    drawn_back = 0.12 * (chamber - strike).clip(0)
    ankles[:, side] += point(out * length * strike, np.cos(aim) * length * strike - drawn_back, 0.0)
    ankles[:, side, 2] += chamber * 0.35 + strike * (height - 0.35)
    soles[:, side, 0] = 0.5 * chamber * np.cos(aim)
    stance = -OUTWARD[side] * 0.08 * chamber
    pelvis = point(stance, 0.03 * chamber, HIP_HEIGHT - 0.02 - 0.03 * chamber)
    lean = -0.35 * strike * height
    tilt = angles(np.cos(aim) * lean, out * lean, wander(rng, t, -0.2, 0.2))
    return pose_on_legs(rng, t, pelvis, ankles, soles, tilt, angles(-0.6 * lean * np.cos(aim), 0.0, 0.0))


def jump(rng: np.random.Generator, t: Time) -> Pose:
    """Crouch, flight under gravity, landing; on the spot or a little forward."""
    height, tuck, crouch = rng.uniform(0.08, 0.45), rng.uniform(0, 0.35), rng.uniform(0.15, 0.4)
    flight = np.sqrt(8 * height / GRAVITY)
    period = flight + rng.uniform(1.0, 2.0)
    seconds = (t + rng.uniform(0, period)) % period
    lift_off = 0.45 * (period - flight)
    air = np.clip((seconds - lift_off) / flight, 0, 1)
    up = 4 * height * air * (1 - air)
    after = lift_off + flight
    ends = [0, 0.75 * lift_off, lift_off, after, after + 0.4 * (period - after), period]
    bent = through(seconds, ends, [0, 1, 0, 0, 0.7, 0])
    apart = rng.uniform(*FEET_APART_M)
    ankles, soles = np.tile(point(OUTWARD * apart, 0.0, ANKLE), (len(t), 1, 1)), np.zeros((len(t), 2, 3))
    ankles[..., 2] += (up + tuck * np.sin(np.pi * air) ** 2)[:, None]
    soles[..., 0] = (0.6 * (air > 0) * (1 - np.abs(2 * air - 1)))[:, None]
    pelvis = point(0.0, -0.25 * crouch * bent, HIP_HEIGHT - 0.02 - crouch * bent + up)
    tilt, bend = angles(0.9 * crouch * bent, 0.0, 0.0), angles(0.4 * bent, 0.0, 0.0)
    pose = pose_on_legs(rng, t, pelvis, ankles, soles, tilt, bend)
    pose.hands[..., 1] += (-0.5 * bent + rng.uniform(0.1, 0.8) * np.sin(np.pi * air))[:, None]
    pose.hands[..., 2] += (rng.uniform(0.1, 1.3) * np.sin(np.pi * air))[:, None]
    return pose


def sit(rng: np.random.Generator, t: Time) -> Pose:
    """On a chair, a stool or a low step; feet in front, tucked under, crossed or dangling forward."""
    seat = rng.uniform(0.2, 0.62)
    apart, forward = rng.uniform(0.03, 0.25), rng.uniform(0.25, 0.7)
    place = point(OUTWARD * apart * rng.choice([-0.7, 1, 1, 1]), forward, ANKLE)
    move = wander(rng, t, [[-0.03, -0.1, 0]] * 2, [[0.03, 0.1, 0.05]] * 2, hold=(1.0, 4.0))
    soles = np.zeros((len(t), 2, 3))
    soles[..., 2] = rng.uniform(0, 0.4) * OUTWARD
    soles[..., 0] = rng.uniform(-0.2, 0.3)
    lean = wander(rng, t, [-0.35, -0.12, -0.3], [0.35, 0.12, 0.3], hold=(0.5, 3.0))
    pelvis = point(0 * t, 0.0, seat + 0.1)
    pose = pose_on_legs(rng, t, pelvis, place + move, soles, lean * [0.6, 0.3, 0.1], lean, apart + 0.1)
    lap = [rng.uniform(-0.05, 0.2), rng.uniform(0.4, 0.65), -0.6]
    pose.hands[:] = lap + wander(rng, t, [[-0.1, -0.15, 0]] * 2, [[0.1, 0.15, 0.15]] * 2, hold=(1.0, 4.0))
    return pose


def kneel(rng: np.random.Generator, t: Time) -> Pose:
    """Upright on both knees, on the heels, or on one knee."""
    upright, one_knee = rng.uniform(), rng.random() < 0.35
    height = (0.2 + (THIGH - 0.17) * max(upright, one_knee)) + 0.04
    apart = rng.uniform(0.09, 0.2)
    knee_forward = np.sqrt(max(THIGH**2 - (height - 0.06) ** 2, 0))
    ankles = np.tile(point(OUTWARD * apart, knee_forward - SHIN + 0.02, 0.07), (len(t), 1, 1))
    soles = np.zeros((len(t), 2, 3))
    soles[..., 0] = rng.choice([0.6, 1.25])  # on the toes or on the instep
    knees = np.tile(point(OUTWARD * 0.15, 1.0, -0.6), (len(t), 1, 1))
    if one_knee:
        front = rng.integers(2)
        ankles[:, front] = point(OUTWARD[front] * 0.15, rng.uniform(0.3, 0.5), ANKLE)
        soles[:, front, 0] = 0
        knees[:, front] = point(OUTWARD[front] * 0.1, 1.0, 1.0)
    lean = wander(rng, t, [-0.1, -0.1, -0.3], [0.5, 0.1, 0.3])
    pose = pose_on_legs(rng, t, point(0 * t, 0.0, height), ankles, soles, lean * [0.4, 0.3, 0.1], lean)
    pose.knees[:] = knees
    return pose


def bend_down(rng: np.random.Generator, t: Time) -> Pose:
    """Stoops from the hips towards the floor and rises again."""
    period, deepest = rng.uniform(2.0, 5.0), rng.uniform(0.5, 1.3)
    down = through((t / period + rng.uniform()) % 1, [0, 0.3, 0.3 + rng.uniform(0.05, 0.35), 1], [0, 1, 1, 0])
    pose = stand(rng, t, drop=0.05)
    side = wander(rng, t, -0.4, 0.4)
    pose.tilt[:, 0] += 0.9 * deepest * down
    pose.pelvis[:, 1] += 0.12 * deepest * down
    pose.pelvis[:, 2] -= rng.uniform(0, 0.2) * down
    pose.bend[:] += down[:, None] * angles(0.8 * deepest, 0.0, side)
    pose.hands[..., 1] += (rng.uniform(0.2, 0.8) * down)[:, None]
    return pose


def twist(rng: np.random.Generator, t: Time) -> Pose:
    """Turns and leans the trunk over standing or sitting legs."""
    pose = (stand if rng.random() < 0.7 else sit)(rng, t)
    wide = rng.uniform(0.3, 1.0)
    pose.bend[:] += wander(rng, t, [-0.25 * wide, -0.5 * wide, -0.9 * wide], [0.5 * wide, 0.5 * wide, 0.9 * wide])
    pose.gaze[:, 2] += 0.7 * pose.bend[:, 2]
    pose.hands[:, :, :2] += 0.35
    return pose


def dance(rng: np.random.Generator, t: Time) -> Pose:
    """Hips, knees and feet on a beat; the hands wander fast."""
    beat = rng.uniform(0.8, 1.3)
    wave = np.sin(2 * np.pi * beat * t + rng.uniform(0, 2 * np.pi, (6, 1)))
    size = rng.uniform(0.3, 1.0, 6)
    pose = travel(rng, t, (rng.normal(0, 0.25), rng.normal(0, 0.3)), rng.normal(0, 0.8))
    pose.pelvis[:, 2] -= 0.06 + 0.05 * size[0] * wave[0]
    pose.tilt[:, 1] += 0.15 * size[1] * wave[1]
    pose.bend[:] += angles(0.25 * size[2] * wave[2], 0.3 * size[3] * wave[3], 0.5 * size[4] * wave[4])
    pose.gaze[:, 0] += 0.15 * size[5] * wave[5]
    pose.hands[:] = wander(rng, t, [[-0.3, 0.2, -0.9]] * 2, [[0.85, 0.8, 0.9]] * 2, hold=(0.0, 0.3), move=(0.35, 0.8))
    return pose
