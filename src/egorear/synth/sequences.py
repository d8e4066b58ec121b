"""One continuous motion of several pieces: each begins where the one before stands, and while one fades into the next
the feet do not slide: each stays where it was planted, then makes one step to where the next piece wants it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Num

from egorear.geometry.rotations import from_vector, to_quaternion, turn
from egorear.synth.contacts import on_feet, reach_drop
from egorear.synth.figure import BODY, LEG, joints, lowest, sole_points
from egorear.synth.procedural.curves import ease

FADE_S = (0.4, 1.6)  # shortest, for movements at the same height, and longest
FADE_PER_LEG, FADE_PER_RADIAN = 1.6, 0.4  # seconds more for what the hips go up or down, or turn
STEP_SHARE = 0.6  # of a fade that one foot's step takes; the other foot's begins when so much is left
STEP_LIFT_M, STEP_LIFT_SHARE = 0.12, 0.4  # of a step: at most, and as a share of its length
ON_GROUND_M = 0.05  # a foot lower than this is planted, one twice as high is not
SOLE_DOWN = 0.3  # cosine of the foot's tilt; a foot turned further does not step, its leg goes with the body
LEG_BONES = ("UpLeg", "Leg")
_UP = np.array([0.0, 0, 1])


@dataclass(frozen=True)
class Piece:
    """A movement that goes on for some seconds of a window.

    span: the frames of the window that it is given for: its own time and a fade's before and after (see `needed`).
    rotations: global, of the body bones; root: hips in leg lengths over the floor z = 0.
    """

    name: str
    action: str
    seconds: float | int
    span: slice
    rotations: Float[np.ndarray, "S N 3 3"]
    root: Float[np.ndarray, "S 3"]


def needed(times: Num[np.ndarray, "T"], start: float | int, seconds: float | int) -> slice:
    """The frames that a piece from `start` on needs, for fades of any length before and after."""
    margin = FADE_S[1] / 2
    first, last = np.searchsorted(times, [start - margin, start + seconds + margin])
    return slice(max(int(first) - 1, 0), int(last) + 1)


def join(
    pieces: Sequence[Piece], times: Num[np.ndarray, "T"]
) -> tuple[tuple[str, ...], Float[np.ndarray, "T N 3 3"], Float[np.ndarray, "T 3"]]:
    """The label of each frame, rotations and hips (leg lengths) of the pieces one after the other."""
    cuts = np.cumsum([piece.seconds for piece in pieces])[:-1]
    actions = tuple(pieces[i].action for i in np.searchsorted(cuts, times, side="right"))
    rotations, root = np.empty((len(times), *pieces[0].rotations.shape[1:])), np.empty((len(times), 3))
    rotations[pieces[0].span], root[pieces[0].span] = pieces[0].rotations, pieces[0].root * LEG
    for piece, cut in zip(pieces[1:], cuts, strict=True):
        at = min(int(np.searchsorted(times, cut)), len(times) - 1)
        new, new_root = _placed(piece, rotations[at], root[at], at - piece.span.start)
        climb = abs(new_root[at - piece.span.start, 2] - root[at, 2]) / LEG
        angle = _angle(rotations[at, BODY["Hips"]], new[at - piece.span.start, BODY["Hips"]])
        seconds = np.clip(FADE_S[0] + max(FADE_PER_LEG * climb, FADE_PER_RADIAN * angle), *FADE_S)
        progress = (times - cut) / seconds + 0.5
        first, last = np.searchsorted(progress, [0, 1], side="right")
        own = slice(first - piece.span.start, last - piece.span.start)
        if last > first:
            new[own], new_root[own] = _fade(
                rotations[first:last], root[first:last], new[own], new_root[own], progress[first:last]
            )
        rotations[first : piece.span.stop], root[first : piece.span.stop] = new[own.start :], new_root[own.start :]
    return actions, rotations, root / LEG


def _placed(piece: Piece, rotations: np.ndarray, root: np.ndarray, at: int) -> tuple[np.ndarray, np.ndarray]:
    """The piece turned and moved on the floor so that at frame `at` it faces as the body (hips in metres) before it
    does and stands on the same spot."""
    own_root = piece.root * LEG
    hips = BODY["Hips"]
    yaw = turn(np.array([0, 0, _turned_least(rotations[hips], piece.rotations[at, hips])]))
    turned, moved = yaw @ piece.rotations, own_root @ yaw.T
    offset = _spot(rotations, root) - _spot(turned[at], moved[at])
    return turned, moved + offset * (1 - _UP)


def _turned_least(before: np.ndarray, after: np.ndarray) -> float:
    """By how much to turn the second rotation about the vertical to bring it as near as can be to the first."""
    R = after @ before.T
    return float(np.arctan2(R[0, 1] - R[1, 0], R[0, 0] + R[1, 1]))


def _angle(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.arccos(np.clip((np.trace(a.T @ b) - 1) / 2, -1, 1)))


def _spot(rotations: np.ndarray, root: np.ndarray) -> np.ndarray:
    placed = joints(rotations, root)
    return (placed[BODY["LeftFoot"]] + placed[BODY["RightFoot"]]) / 2


def _fade(before: np.ndarray, root_before: np.ndarray, after: np.ndarray, root_after: np.ndarray, progress: np.ndarray):
    """From one motion to the other while progress goes from 0 to 1: the body all along, the feet in a step each."""
    share = ease(progress)
    rotations = _mixed(before, after, share[:, None])
    root = root_before + share[:, None] * (root_after - root_before)
    ends = [BODY["LeftFoot"], BODY["RightFoot"]]
    a, b = joints(before, root_before)[:, ends], joints(after, root_after)[:, ends]
    low = [sole_points(R, hips)[..., 2].min(-1) for R, hips in ((before, root_before), (after, root_after))]
    tilts = np.minimum(before[:, ends, 2, 2], after[:, ends, 2, 2]).min(0)
    upright = [bool(tilt > SOLE_DOWN) for tilt in tilts]
    planted = np.clip(2 - np.maximum(*low) / ON_GROUND_M, 0, 1) * upright
    ankles = np.empty_like(a)
    for side, name in enumerate(("Left", "Right")):
        done = np.clip((progress - side * (1 - STEP_SHARE)) / STEP_SHARE, 0, 1)
        step = ease((done - 0.08) / 0.84)
        way = np.linalg.norm((b - a)[:, side, :2], axis=-1)
        lift = np.minimum(STEP_LIFT_M, STEP_LIFT_SHARE * way) * np.sin(np.pi * done) ** 2 * planted[:, side]
        ankles[:, side] = a[:, side] + step[:, None] * (b - a)[:, side] + lift[:, None] * _UP
        for bone in (f"{name}Foot", f"{name}ToeBase") if upright[side] else ():
            rotations[:, BODY[bone]] = _mixed(before[:, BODY[bone]], after[:, BODY[bone]], step)
    drop = (reach_drop(root, rotations[:, BODY["Hips"]], ankles) * planted).max(-1)
    root = root - np.minimum(drop, 0.3)[:, None] * _UP
    stepped = on_feet(rotations, root, ankles)
    sides = [name for name, up in zip(("Left", "Right"), upright, strict=True) if up]
    legs = [BODY[f"{name}{bone}"] for name in sides for bone in LEG_BONES]
    rotations[:, legs] = stepped[:, legs]
    return rotations, root - np.minimum(lowest(rotations, root), 0)[:, None] * _UP


def _mixed(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Slerp frame by frame; the way round is the shorter one halfway, and kept."""
    q = to_quaternion(np.swapaxes(a, -1, -2) @ b)
    steps = np.where((q[1:] * q[:-1]).sum(-1) < 0, -1, 1)
    signs = np.concatenate([np.ones_like(steps[:1]), np.cumprod(steps, 0)]) if len(q) > 1 else np.ones(q.shape[:-1])
    halfway = np.abs(share.reshape(len(q), -1)[:, 0] - 0.5).argmin()
    signs = signs * signs[halfway] * np.where(q[halfway, ..., 0] < 0, -1, 1)
    q = q * signs[..., None]
    size = np.linalg.norm(q[..., 1:], axis=-1)
    vector = q[..., 1:] * (2 * np.arctan2(size, q[..., 0]) / np.maximum(size, 1e-12))[..., None]
    return a @ from_vector(share[..., None] * vector)
