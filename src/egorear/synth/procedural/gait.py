"""Legs that step: standing, and walking or running along any path in any direction."""

import numpy as np
from jaxtyping import Float, Num

from egorear.geometry.rotations import turn
from egorear.synth.posing import ANKLE, HIP_HEIGHT, LEG_REACH, OUTWARD, Pose, angles, point, rolled
from egorear.synth.procedural.curves import ease, sway, wander
from egorear.synth.procedural.draw import Draw

FEET_APART_M = (0.09, 0.16)
STANCE_M = 0.78  # of ground that passes under a foot while it is planted: more is beyond the legs
_ZEROS = np.zeros(3)


def gaze_around(draw: Draw, t: Num[np.ndarray, "T"], pitch: float = 0.1) -> Float[np.ndarray, "T 3"]:
    """A head that looks at one thing after the other around the mean `pitch` (down is positive)."""
    wide = draw.uniform("gaze_width", 0.2, 1.0)
    return wander(draw.rng, t, [pitch - 0.6 * wide, -0.15, -0.9 * wide], [pitch + 0.7 * wide, 0.15, 0.9 * wide])


def hanging_arms(draw: Draw, t: Num[np.ndarray, "T"]) -> Float[np.ndarray, "T 2 3"]:
    out, forward = draw.uniform("arms_out", 0.08, 0.35), draw.uniform("arms_forward", -0.05, 0.2)
    hands = np.tile([out, forward, -0.93], (len(t), 2, 1))
    return hands + sway(draw.rng, t, 0.02, 6).reshape(-1, 2, 3)


def pose_on_legs(
    draw: Draw,
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
        bend=bend + sway(draw.rng, t, 0.02),
        gaze=gaze_around(draw, t),
        ankles=ankles,
        soles=soles,
        knees=(forward + of_feet)[..., 0],
        hands=hanging_arms(draw, t),
        planted=np.zeros(2, bool),
        elbows=np.full((len(t), 2), draw.uniform("elbows_out", -0.2, 0.5)),
        palms=np.tile([draw.uniform("palms_turn", -0.4, 0.6), draw.uniform("palms_bend", -0.2, 0.4)], (len(t), 2, 1)),
    )


def steps(
    t: Num[np.ndarray, "T"],
    velocity: tuple[float, float],
    turning: float,
    cadence: float,
    duty: float,
    width: float,
    lift: float,
    roll: float = 1.0,
    ahead: float = 0.0,
    lag: float = 0.0,
    on_toes: float = 0.0,
) -> tuple[Float[np.ndarray, "T 3"], Float[np.ndarray, "T"], Float[np.ndarray, "T 2 3"], Float[np.ndarray, "T 2 3"]]:
    """Feet that stay where they are planted under a body that moves along an arc.

    velocity: (left, forward) m/s against the heading, which turns by `turning` rad/s; cadence: strides per second;
    duty: share of a stride a foot is on the ground (under 0.5 the body flies); width: of the feet from the middle;
    lift: of the swinging foot, metres; roll: how much it rolls from heel to ball; ahead: metres by which feet (or
    hands) are before the body; lag: strides by which they are early; on_toes: pitch of
    the standing foot. Returns position on the floor and heading of the body, ankles, soles.
    """

    def path(time):
        yaw = turning * time
        along = turn(angles(0.0, 0.0, yaw / 2)) @ point(*velocity, 0.0)[:, None]
        return np.sinc(yaw[..., None] / 2 / np.pi) * time[..., None] * along[..., 0], yaw

    def print_of(stride, side):
        place, yaw = path((stride + duty / 2 - side / 2 - lag) / cadence)
        beside = turn(angles(0.0, 0.0, yaw)) @ point(OUTWARD[side] * width, ahead, 0.0)[:, None]
        return place + beside[..., 0], yaw

    ankles, soles = np.zeros((len(t), 2, 3)), np.zeros((len(t), 2, 3))
    pace = np.clip(np.hypot(*velocity) / 1.4, 0, 1.5) * np.sign(velocity[1] + 1e-9) * (abs(velocity[1]) > 0.2)
    for side in (0, 1):
        phase = t * cadence + side / 2 + lag
        stride, share = np.floor(phase), phase % 1
        in_air = np.clip((share - duty) / (1 - duty), 0, 1)
        swing = ease((in_air - 0.06) / 0.88)
        (here, yaw), (there, next_yaw) = print_of(stride, side), print_of(stride + 1, side)
        ankles[:, side] = here + swing[:, None] * (there - here)
        soles[:, side, 2] = yaw + swing * (next_yaw - yaw) + 0.12 * OUTWARD[side]
        # The heel rises before the foot leaves, and lands first.
        push_off = ease((share - duty * 0.6) / (duty * 0.4)) * (1 - ease(in_air / 0.6))
        landing = ease(in_air / 0.8 - 0.25) * (share > duty) + (1 - ease(share / duty / 0.25)) * (share <= duty)
        soles[:, side, 0] = on_toes + roll * pace * (0.75 * push_off - 0.3 * landing)
        ankles[:, side, 2] = ANKLE + lift * np.sin(np.pi * in_air) ** 2
    position, heading = path(t)
    return position, heading, rolled(ankles, soles), soles


def stand(draw: Draw, t: Num[np.ndarray, "T"], drop: float = 0.0) -> Pose:
    """Stands with weight shifts; `drop` metres lower than straight, in some people one foot forward."""
    rng = draw.rng
    apart, stagger = draw.uniform("feet_apart", *FEET_APART_M) + drop * 0.15, draw.normal("one_foot_ahead", 0, 0.06)
    out = draw.uniform("feet_out", -0.05, 0.4)
    shift = wander(rng, t, [-0.05, -0.03], [0.05, 0.03], hold=(1.0, 3.0))
    ankles = np.tile(point(OUTWARD * apart, stagger * OUTWARD, ANKLE), (len(t), 1, 1))
    soles = np.zeros((len(t), 2, 3))
    soles[..., 2] = out * OUTWARD
    straight = HIP_HEIGHT - draw.uniform("knees_bent", 0, 0.03)
    pelvis = point(shift[:, 0], shift[:, 1] + 0.03, straight - drop)
    tilt = angles(
        draw.uniform("lean", -0.05, 0.15), 0.8 * shift[:, 0], wander(rng, t, -0.3, 0.3, hold=(1.0, 3.0))
    )  # fmt: skip
    return pose_on_legs(draw, t, pelvis, ankles, soles, tilt)


def travel(
    draw: Draw,
    t: Num[np.ndarray, "T"],
    velocity: tuple[float, float],
    turning: float = 0.0,
    running: bool = False,
    stoop: float = 0.0,
    swing: float = 0.3,
    crouched: float = 0.0,
) -> Pose:
    """Walks, runs or goes sideways or backward at `velocity` (left, forward) m/s.

    stoop: forward bend of the back; swing: of the arms, in arm lengths; crouched: how much lower the hips are (m).
    """
    speed = np.hypot(*velocity)
    natural = 1.4 if running else 0.62 + 0.28 * speed
    cadence = natural * draw.uniform("cadence", 0.9, 1.1)
    duty = draw.uniform("duty", 0.3, 0.42) if running else 0.62 - 0.04 * speed
    duty = min(duty, STANCE_M * cadence / max(speed, 1e-9))
    lift = draw.uniform("foot_lift", 0.06, 0.13) + (draw.uniform("heel_kick", 0.1, 0.3) if running else 0)
    t = t + draw.uniform("start", 0, 3)
    width = draw.uniform("feet_apart", 0.06, 0.12) + 0.1 * abs(velocity[0]) + 0.15 * crouched
    position, heading, ankles, soles = steps(
        t, velocity, turning, cadence, duty, width, lift, on_toes=1.5 * max(0.0, crouched - 0.15)
    )
    phase = 2 * np.pi * (t * cadence - duty / 2)
    side_to_side = np.cos(phase) * draw.uniform("side_to_side", 0.01, 0.035)
    bob = np.cos(2 * phase) * (-0.045 if running else 0.018)
    # Long steps need lower hips: as low as the straight leg to the far end of a step asks for, less the heel's rise.
    half_step = 0.5 * duty * speed / cadence
    low = LEG_REACH - np.sqrt(LEG_REACH**2 - max(0, half_step - 0.1) ** 2)
    crouch = draw.uniform("knees_bent", 0.01, 0.05) + 0.04 * running + low + crouched
    pelvis = position + point(0.0, 0.0, HIP_HEIGHT - crouch + bob)
    pelvis += (turn(angles(0.0, 0.0, heading)) @ point(side_to_side, 0.0, 0.0)[..., None])[..., 0]
    stance = np.clip(velocity[1] / 1.4, -1, 1)
    twist = np.sin(phase) * draw.uniform("hip_twist", 0.05, 0.15) * stance
    lean = np.clip(0.03 * velocity[1], -0.05, 0.1) + 0.12 * running + 0.9 * crouched
    tilt = angles(lean, 0.04 * np.cos(phase), heading + twist)
    pose = pose_on_legs(
        draw, t, pelvis, ankles, soles, tilt,
        angles(stoop, -0.04 * np.cos(phase), -2 * twist), knees_apart=0.05 + 0.5 * crouched,
    )  # fmt: skip
    forward = np.sin(phase)[:, None] * OUTWARD * swing * stance
    elbow = draw.uniform("elbows_bent", 0.7, 1.0) if running else 0.0
    pose.hands[..., 1] += forward * (1 - 0.4 * elbow) + 0.35 * elbow
    pose.hands[..., 2] += 0.35 * forward * np.sign(swing) + elbow * 0.55
    pose.hands[..., 0] -= elbow * 0.1
    return pose
