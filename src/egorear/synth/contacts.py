"""Clean-up of recorded motion: joints within their limits, feet that do not slide, nothing under the floor.

Where a foot stands (low and slow), the point it stands on is held: the slide of the stance is taken off the foot, about
its mean, and given back while the foot is in the air, so that nothing jumps. Analytic leg inverse kinematics brings the
foot there; the hips come down where a leg would not reach. World: z up, floor z = 0, metres.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Num

from egorear.geometry.rotations import about, swing_twist, unit
from egorear.synth.clips import FPS
from egorear.synth.figure import BODY, joints, lowest, rest, sole_points
from egorear.synth.limits import within_limits
from egorear.synth.posing import LEG_REACH, SIDES, two_bones
from egorear.synth.procedural.curves import ease

STANCE_HEIGHT_M, STANCE_SPEED = 0.05, 0.6  # a foot stands that is lower and slower (m/s) than this
SHORTEST_STANCE = 3  # frames
MOST_SLIDE_M = 0.1  # that is taken off a foot; one that slides further does so because the person slid it
FLOOR_BAND_M = 0.03  # the floor is as thick as the heights of standing feet are uncertain
FEWEST_STANCES = 0.1  # of the frames, to tell the floor by
STANCE_QUANTILE = 0.6  # of the lowest points while a foot stands: rather bent knees than stretched legs
AIR_M, LONGEST_FLIGHT_S = 0.12, 1.1
SOFT_M = 0.012  # a point so much higher than the lowest carries a good third of its weight
SMOOTH = 4  # frames to each side over which the hips give way
MOST_DROP_M = 0.12
REACH_SHARE = 0.994  # of the straight leg: at full stretch the knee would jump with every millimetre
FOREARM_TWIST = np.radians(120.0)


@dataclass(frozen=True)
class Quality:
    """skate_mm: slide of the feet that stand, mean per frame at 30 fps on the reference figure; lowest_m: lowest point
    of the body; beyond_limits: share of joints out of their range."""

    skate_mm: float
    lowest_m: float
    beyond_limits: float


def stance(points: Num[np.ndarray, "T 2 P 3"]) -> Bool[np.ndarray, "T 2"]:
    """Where the left and the right foot stand: the lowest of its points is low and slow. At 30 fps, floor z = 0."""
    if len(points) < 2:
        return np.zeros(points.shape[:2], bool)
    low = points[..., 2].min(-1)
    slid = np.linalg.norm(_slide(points), axis=-1) * FPS
    speed = np.minimum(np.concatenate([slid[:1], slid]), np.concatenate([slid, slid[-1:]]))
    standing = (low < STANCE_HEIGHT_M) & (speed < STANCE_SPEED)
    for side in range(standing.shape[1]):
        for first, last in _runs(~standing[:, side]):
            if last - first < 2 and first > 0 and last < len(standing) - 1:
                standing[first : last + 1, side] = True
        for first, last in _runs(standing[:, side]):
            if last - first + 1 < SHORTEST_STANCE:
                standing[first : last + 1, side] = False
    return standing


def foot_skate_mm(
    rotations: Num[np.ndarray, "T N 3 3"],
    root: Num[np.ndarray, "T 3"],
    standing: Bool[np.ndarray, "T 2"] | None = None,
) -> float:
    """Mean horizontal way per frame (mm, at 30 fps) of what each foot that stands is standing on, for hips at `root`
    (metres); 0 where none stands. standing: see `stance`, of this motion if not given."""
    points = sole_points(rotations, root)
    standing = stance(points) if standing is None else standing
    both = standing[1:] & standing[:-1]
    return float(1000 * np.linalg.norm(_slide(points), axis=-1)[both].mean()) if both.any() else 0.0


def quality(
    rotations: Num[np.ndarray, "T N 3 3"], root: Num[np.ndarray, "T 3"], standing: Bool[np.ndarray, "T 2"]
) -> Quality:
    """Figures of a clip, for hips at `root` (metres); standing: from before it was cleaned, so that both are judged by
    the same frames."""
    over = within_limits(rotations)[1].mean() if len(rotations) else 0.0
    return Quality(foot_skate_mm(rotations, root, standing), float(lowest(rotations, root).min()), float(over))


def on_floor(
    rotations: Num[np.ndarray, "T N 3 3"], root: Num[np.ndarray, "T 3"], grounded: bool
) -> Float[np.ndarray, "T 3"]:
    """Hips (metres) moved up or down so that most stances are on z = 0, or, not grounded, all of it is above."""
    lows = lowest(rotations, root)
    floor = lows.min()
    if grounded:
        # Where most lowest points are: jumps do not count, nor does a body that lies lower than it stood.
        ordered = np.sort(lows)
        floor = ordered[(np.searchsorted(ordered, ordered + FLOOR_BAND_M) - np.arange(len(lows))).argmax()]
        standing = stance(sole_points(rotations, root - floor * np.array([0, 0, 1]))).any(-1)
        if standing.mean() > FEWEST_STANCES:
            floor = np.quantile(lows[standing], STANCE_QUANTILE)
    return root - floor * np.array([0, 0, 1])


def leaves_floor(rotations: Num[np.ndarray, "T N 3 3"], root: Num[np.ndarray, "T 3"]) -> bool:
    """Whether the body (hips in metres, 30 fps, floor z = 0) stays in the air for longer than anybody flies: what it
    stood on was not recorded."""
    runs = _runs(lowest(rotations, root) > AIR_M)
    return max((last - first + 1 for first, last in runs), default=0) > LONGEST_FLIGHT_S * FPS


def clean(
    rotations: Num[np.ndarray, "T N 3 3"], root: Num[np.ndarray, "T 3"], grounded: bool = True
) -> tuple[Float[np.ndarray, "T N 3 3"], Float[np.ndarray, "T 3"]]:
    """The motion (30 fps, hips in metres) with joints within limits and knees and elbows as hinges, and, if grounded,
    with feet that stand where they stand and nothing under the floor."""
    points = sole_points(rotations, root)
    rotations = within_limits(rotations)[0]
    placed = joints(rotations, root)
    for side in SIDES:
        _bend_arm(rotations, placed, side)
    if not grounded:
        ankles = placed[:, [BODY[f"{side}Foot"] for side in SIDES]]
        return on_feet(rotations, root, ankles), root
    root = root + _lift(rotations, root)[:, None] * [0, 0, 1]
    ankles = joints(rotations, root)[:, [BODY[f"{side}Foot"] for side in SIDES]]
    now = sole_points(rotations, root)
    moved, planted = held(now, stance(points))
    root = root - _drop(rotations, root, ankles + moved, planted)[:, None] * [0, 0, 1]
    rotations = on_feet(rotations, root, ankles + moved)
    sunk = -np.minimum(lowest(rotations, root), 0)
    return rotations, root + _envelope(sunk, 1)[:, None] * [0, 0, 1]


def held(
    points: Num[np.ndarray, "T 2 P 3"], standing: Bool[np.ndarray, "T 2"]
) -> tuple[Float[np.ndarray, "T 2 3"], Float[np.ndarray, "T 2"]]:
    """By how much each foot must be moved so that it does not slide while it stands, stands on z = 0, and is nowhere
    below; and how firmly it stands, 0 in the air to 1."""
    frames = len(points)
    moved, firm = np.zeros((frames, 2, 3)), np.zeros((frames, 2))
    slid = _slide(points)
    for side in range(2):
        runs = _runs(standing[:, side])
        for first, last in runs:
            moved[first : last + 1, side, :2] = _against(slid[first:last, side])
            firm[first : last + 1, side] = 1
        for (_, last), (first, _) in pairwise(runs):
            share = ease(np.arange(1, first - last) / (first - last))[:, None]
            start, end = moved[last, side, :2], moved[first, side, :2]
            moved[last + 1 : first, side, :2] = start + share * (end - start)
        if runs:
            moved[: runs[0][0], side, :2] = moved[runs[0][0], side, :2]
            moved[runs[-1][1] + 1 :, side, :2] = moved[runs[-1][1], side, :2]
        firm[:, side] = _blurred(_blurred(firm[:, side], 3), 2)
    low = points[..., 2].min(-1)
    moved[..., 2] = -low * np.where(low < 0, 1, firm)
    return moved, firm


def reach_drop(
    hips: Num[np.ndarray, "T 3"], R: Num[np.ndarray, "T 3 3"], ankles: Num[np.ndarray, "T 2 3"]
) -> Float[np.ndarray, "T 2"]:
    """How far hips with rotation R must come down (metres) for each leg to reach its ankle."""
    drops = []
    for side, name in enumerate(SIDES):
        leg = hips + R @ (rest(f"{name}UpLeg") - rest("Hips")) - ankles[:, side]
        drops.append(leg[:, 2] - np.sqrt(np.maximum((REACH_SHARE * LEG_REACH) ** 2 - (leg[:, :2] ** 2).sum(-1), 0)))
    return np.maximum(np.stack(drops, 1), 0)


def _slide(points: np.ndarray) -> Float[np.ndarray, "S 2 2"]:
    """Horizontal way from frame to frame of what each foot stands on: of its points, the lower the more."""
    low = (points[1:, ..., 2] + points[:-1, ..., 2]) / 2
    weight = np.exp(-np.minimum((low - low.min(-1, keepdims=True)) / SOFT_M, 30))
    weight /= weight.sum(-1, keepdims=True)
    return (weight[..., None] * np.diff(points[..., :2], axis=0)).sum(-2)


def _against(slid: np.ndarray) -> np.ndarray:
    """What takes the slide off a foot in one stance: about its middle, or as much as may be."""
    drift = -np.concatenate([np.zeros((1, 2)), np.cumsum(slid, 0)])
    middle = (drift.min(0) + drift.max(0)) / 2
    if np.hypot(*(drift - middle).T).max() <= MOST_SLIDE_M:
        return drift - middle
    moved = np.zeros_like(drift)
    for t, step in enumerate(slid):
        place = moved[t] - step
        moved[t + 1] = place * min(1.0, MOST_SLIDE_M / max(np.hypot(*place), 1e-9))
    return moved


def _lift(rotations: np.ndarray, root: np.ndarray) -> np.ndarray:
    """How far the body must come up for what is not a foot: knees, hands, back."""
    feet = sole_points(rotations, root)[..., 2].min((-1, -2))
    low = lowest(rotations, root)
    return _envelope(np.where(low < np.minimum(feet, 0) - 1e-9, -low, 0), SMOOTH)


def _drop(rotations: np.ndarray, root: np.ndarray, ankles: np.ndarray, firm: np.ndarray) -> np.ndarray:
    drop = (reach_drop(root, rotations[:, BODY["Hips"]], ankles) * firm).max(-1)
    return _envelope(np.minimum(drop, MOST_DROP_M), SMOOTH)


def on_feet(
    rotations: Num[np.ndarray, "T N 3 3"], root: Num[np.ndarray, "T 3"], ankles: Num[np.ndarray, "T 2 3"]
) -> Float[np.ndarray, "T N 3 3"]:
    """Legs that bend at the knee only and bring the ankles where they should be (metres), or as near as they reach; the
    feet keep their own rotation."""
    rotations = rotations.copy()
    hips = rotations[:, BODY["Hips"]]
    for side, name in enumerate(SIDES):
        start = root + hips @ (rest(f"{name}UpLeg") - rest("Hips"))
        limb = [f"{name}{part}" for part in ("UpLeg", "Leg", "Foot")]
        upper, lower = _hinged(rotations, limb, start, ankles[:, side])
        rotations[:, BODY[limb[0]]], rotations[:, BODY[limb[1]]] = upper, lower
    return rotations


def _bend_arm(rotations: np.ndarray, placed: np.ndarray, side: str) -> None:
    """Makes the elbow a hinge, in place; the forearm keeps its twist, hand and wrist are where they were."""
    limb = [f"{side}{part}" for part in ("Arm", "ForeArm", "Hand")]
    before = rotations[:, BODY[limb[1]]].copy()
    upper, lower = _hinged(rotations, limb, placed[:, BODY[limb[0]]], placed[:, BODY[limb[2]]])
    along = unit(rest(limb[2]) - rest(limb[1]))
    twist = swing_twist(np.swapaxes(lower, -1, -2) @ before, along)[1]
    twist = np.clip(twist, -FOREARM_TWIST, FOREARM_TWIST)
    rotations[:, BODY[limb[0]]] = upper
    rotations[:, BODY[limb[1]]] = lower @ about(along, twist)


def _hinged(rotations: np.ndarray, limb: list[str], start: np.ndarray, target: np.ndarray):
    """Upper and lower bone from `start` to `target`, bent in the plane they are in; where they are almost straight, in
    the plane of the upper bone's own hinge."""
    upper, lower, end = limb
    first, second = rest(lower) - rest(upper), rest(end) - rest(lower)
    a, b = rotations[:, BODY[upper]] @ unit(first), rotations[:, BODY[lower]] @ unit(second)
    own = rotations[:, BODY[upper]] @ unit(np.cross(first, second))
    bent = np.cross(a, b)
    backward = -np.minimum((bent * own).sum(-1), 0)  # a little the wrong way is a straight limb, not one turned about
    hinge = bent + (0.2 + backward * (1 - np.clip((backward - 0.4) / 0.3, 0, 1)))[:, None] * own
    return two_bones(upper, lower, end, start, target, np.cross(target - start, hinge))


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """First and last frame of each stretch where the mask is true."""
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False)).reshape(-1, 2) - [0, 1]
    return [(int(first), int(last)) for first, last in edges]


def _envelope(values: np.ndarray, reach: int) -> np.ndarray:
    """A smooth curve nowhere below the values: the mean of their sliding maxima."""
    padded = np.pad(values, 2 * reach, mode="edge")
    highest = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(-1)
    return np.lib.stride_tricks.sliding_window_view(highest, 2 * reach + 1).mean(-1)


def _blurred(values: np.ndarray, reach: int) -> np.ndarray:
    padded = np.pad(values, reach, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).mean(-1)
