"""Motion of any humanoid skeleton on our reference figure.

Global rotations are carried over, not joint angles: the source's rotation against its own calibration pose, in our
axes, times one constant alignment per limb bone that turns our rest direction to the source's. The root is scaled by
the length of the legs, so the unit of the source does not matter. The result is cleaned (see `contacts`).
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from egorear.errors import UserError
from egorear.geometry.rotations import between, blend, limit, slerp, to_matrix, to_quaternion, unit
from egorear.synth.clips import FPS, Clip, resample
from egorear.synth.contacts import Quality, clean, leaves_floor, on_floor, quality, stance
from egorear.synth.figure import BODY_BONES, LEG, rest, sole_points

FASTEST_HIPS_M, FASTEST_TURN = 0.45, np.radians(110.0)  # from frame to frame at 30 fps; beyond, the frame is faulty
FARTHEST_M = 1e7  # from the origin: map coordinates at most
WRIST_LIMIT = np.radians(75.0)
UPRIGHT = np.cos(np.radians(30.0))

_NAMES = {
    "UpLeg": ("upleg", "upperleg", "thigh", "femur", "hip"),
    "Leg": ("leg", "lowerleg", "lowleg", "shin", "tibia", "calf", "knee"),
    "Foot": ("foot", "ankle"),
    "ToeBase": ("toebase", "toes", "toe", "ball"),
    "Shoulder": ("clavicle", "collar", "shoulder"),
    "Arm": ("arm", "upperarm", "uparm", "humerus", "shoulder"),
    "ForeArm": ("forearm", "lowerarm", "lowarm", "radius", "elbow"),
    "Hand": ("hand", "wrist"),
}
_REQUIRED = ("UpLeg", "Leg", "Foot", "Arm", "ForeArm", "Hand")
_LIMBS = {"UpLeg": "Leg", "Leg": "Foot", "Arm": "ForeArm", "ForeArm": "Hand"}


@dataclass(frozen=True)
class Source:
    """A recording on its own skeleton, in any unit and with any axis up.

    origin: the file, for messages; offsets: from parent to joint with all rotations identity; a parent precedes its
    children, the root's is -1; rotations: global; root: of joint 0; ok: see `Clip`.
    """

    name: str
    origin: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Float[np.ndarray, "J 3"]
    rotations: Float[np.ndarray, "T J 3 3"]
    root: Float[np.ndarray, "T 3"]
    fps: float
    ok: Bool[np.ndarray, "T"]


class Cleaned(NamedTuple):
    """A clip with its figures before and after the clean-up."""

    clip: Clip
    before: Quality
    after: Quality


def retarget(source: Source, action: str, grounded: bool = True) -> Clip:
    """The recording on the reference figure, cleaned, at 30 fps.

    Raises:
        UserError: a joint of legs, arms, hips or head cannot be told from the source's names, or has no length.
    """
    return retarget_and_judge(source, action, grounded).clip


def retarget_and_judge(source: Source, action: str, grounded: bool = True) -> Cleaned:
    """As `retarget`, with what the clean-up did. A recording that stays off the floor for longer than anybody flies is
    not grounded, whatever `grounded` says."""
    rotations, root = transfer(source)
    if not (np.isfinite(rotations).all() and np.abs(root).max() < FARTHEST_M):
        raise UserError(f"{source.origin}: in {source.name} a number is beyond anything that a person does")
    frames = np.arange(0, len(root) - 1 + 1e-6, source.fps / FPS)
    quaternions, root = resample(to_quaternion(rotations), root, frames)
    rotations = to_matrix(quaternions)
    ok = source.ok[np.floor(frames).astype(int)]
    ok = ok & source.ok[np.minimum(np.ceil(frames - 1e-6).astype(int), len(source.ok) - 1)]
    steps = np.linalg.norm(np.diff(root, axis=0), axis=-1)
    if len(steps) and np.median(steps) > FASTEST_HIPS_M:
        raise UserError(
            f"{source.origin}: in {source.name} the hips move at {np.median(steps) * FPS:.0f} m/s; positions and bone "
            "lengths must be in one unit"
        )
    ok = ok & _plausible(rotations, steps)
    if ok.any():  # faulty ends are cut off: the T-pose before many a recording
        sound = slice(int(ok.argmax()), len(ok) - int(ok[::-1].argmax()))
        rotations, root, ok = rotations[sound], root[sound], ok[sound]
    grounded = grounded and not leaves_floor(rotations, on_floor(rotations, root, True))
    root = on_floor(rotations, root, grounded)
    standing = stance(sole_points(rotations, root))
    before = quality(rotations, root, standing)
    rotations, root = clean(rotations, root, grounded)
    clip = Clip(
        source.name, action, to_quaternion(rotations).astype(np.float32), (root / LEG).astype(np.float32), ok, grounded
    )
    return Cleaned(clip, before, quality(rotations, root, standing))


def _plausible(rotations: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """False beside jumps that no body makes."""
    trace = np.einsum("tnij,tnij->tn", rotations[1:], rotations[:-1])
    jumps = (steps > FASTEST_HIPS_M) | (np.arccos(np.clip((trace - 1) / 2, -1, 1)) > FASTEST_TURN).any(-1)
    return ~(np.append(jumps, False) | np.insert(jumps, 0, False))


def transfer(source: Source) -> tuple[Float[np.ndarray, "T N 3 3"], Float[np.ndarray, "T 3"]]:
    """Rotations of our body bones and the path of our hips (metres, any floor), frame by frame of the source.

    Raises:
        UserError: see `retarget`.
    """
    limbs, spine = map_joints(source)
    calibration, places = _calibration_pose(source, limbs, spine)
    _check_lengths(source, places, limbs)
    axes = _body_axes(places, limbs, spine)
    turned = axes @ source.rotations @ np.swapaxes(calibration, -1, -2) @ axes.T
    places = places @ axes.T

    bones = _spine(turned, spine, source)
    for side in ("Left", "Right"):
        at = {part: limbs[side + part] for part in _NAMES if side + part in limbs}
        for part, child in _LIMBS.items():
            ours = rest(side + child) - rest(side + part)
            bones[side + part] = turned[:, at[part]] @ between(ours, places[at[child]] - places[at[part]])
        bones[f"{side}Shoulder"] = turned[:, at["Shoulder"]] if "Shoulder" in at else bones["Spine2"]
        bones[f"{side}Hand"] = _hand(source, side, at["Hand"], turned, places, bones[f"{side}ForeArm"])
        toe = at.get("ToeBase")
        heading = _yaw_to(places[toe] - places[at["Foot"]], side) if toe is not None else np.eye(3)
        bones[f"{side}Foot"] = turned[:, at["Foot"]] @ heading
        bones[f"{side}ToeBase"] = turned[:, toe] @ heading if toe is not None else bones[f"{side}Foot"]
    rotations = np.stack([bones[bone] for bone in BODY_BONES], 1)

    # The hip joints, not the hips, are the same point of any body.
    leg = [f"Left{part}" for part in ("UpLeg", "Leg", "Foot")]
    theirs = sum(np.linalg.norm(places[limbs[b]] - places[limbs[a]]) for a, b in pairwise(leg))
    ours = sum(np.linalg.norm(rest(b) - rest(a)) for a, b in pairwise(leg))
    middle = (places[limbs["LeftUpLeg"]] + places[limbs["RightUpLeg"]]) / 2 - places[spine[0]]
    hips = _positions(source, spine[0]) @ axes.T + turned[:, spine[0]] @ middle
    below = (rest("LeftUpLeg") + rest("RightUpLeg")) / 2 - rest("Hips")
    return rotations, hips * (ours / theirs) - bones["Hips"] @ below


def map_joints(source: Source) -> tuple[dict[str, int], tuple[int, ...]]:
    """Joint of each of our limb bones, and the chain of joints from hips to head.

    Raises:
        UserError: a joint is missing.
    """
    plain = [_plain(name) for name in source.joints]
    limbs: dict[str, int] = {}
    for side in ("left", "right"):
        for part, names in _NAMES.items():
            found = [plain.index((side, name)) for name in names if (side, name) in plain]
            free = [i for i in found if i not in limbs.values()] or found
            if free:
                limbs[side.title() + part] = free[0]
        # Where "shoulder" is the only name about there, it is where the upper arm starts.
        if f"{side.title()}Arm" not in limbs or limbs[f"{side.title()}Arm"] == limbs.get(f"{side.title()}Shoulder"):
            limbs[f"{side.title()}Arm"] = limbs.pop(f"{side.title()}Shoulder", -1)
        for part in _REQUIRED:
            if limbs.get(side.title() + part, -1) < 0:
                raise UserError(f"{source.origin} has no joint that could be {side.title()}{part}")
    head = next((plain.index(("", name)) for name in ("head", "neck", "lowerneck") if ("", name) in plain), -1)
    if head < 0:
        raise UserError(f"{source.origin} has no joint that could be Head")
    ancestors = [_ancestors(source, limbs[f"{side}UpLeg"]) for side in ("Left", "Right")]
    chain = _ancestors(source, head)
    hips = next((i for i in chain if i in ancestors[0] and i in ancestors[1]), -1)
    if hips < 0:
        raise UserError(f"{source.origin} has no joint Hips that carries both legs and the head")
    return limbs, tuple(reversed(chain[: chain.index(hips) + 1]))


def _plain(name: str) -> tuple[str, str]:
    """Side ("left", "right" or "") and bare lower-case name: mixamorig:LeftUpLeg, lfemur, thigh_l, Right_Hip …"""
    name = re.sub(r"^.*:|^mixamorig\d*_?|^bip\d*[ _]?", "", name.strip(), flags=re.IGNORECASE)
    name = re.sub(r"[ ._-]+", "_", name).strip("_").lower()
    for side, letter in (("left", "l"), ("right", "r")):
        bare = re.sub(rf"^{side}_?|_?{side}$|^{letter}_|_{letter}$", "", name)
        if bare != name:
            return side, bare.replace("_", "")
        if name[:1] == letter and any(name[1:] in names for names in _NAMES.values()):
            return side, name[1:]
    return "", name.replace("_", "")


def _ancestors(source: Source, joint: int) -> list[int]:
    """The joint, its parent and so on up to the root."""
    chain = []
    while joint >= 0:
        chain.append(joint)
        joint = source.parents[joint]
    return chain


def _positions(source: Source, joint: int) -> np.ndarray:
    """World path of one joint."""
    chain = list(reversed(_ancestors(source, joint)))
    steps = (source.rotations[:, a] @ source.offsets[b] for a, b in pairwise(chain))
    return source.root + sum(steps, np.zeros_like(source.root))


def _calibration_pose(source: Source, limbs: dict[str, int], spine: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Rotations and places of the joints in a pose known to stand: the zero pose, or the first frame where the zero
    pose of the file is no standing person."""
    for rotations in (np.broadcast_to(np.eye(3), source.rotations.shape[1:]), source.rotations[0]):
        places = np.zeros_like(source.offsets)
        for j, parent in enumerate(source.parents):
            if parent >= 0:
                places[j] = places[parent] + rotations[parent] @ source.offsets[j]
        trunk = unit(places[spine[-1]] - places[spine[0]])
        legs = [unit(places[limbs[f"{s}Foot"]] - places[limbs[f"{s}UpLeg"]]) for s in ("Left", "Right")]
        if min(-trunk @ leg for leg in legs) > UPRIGHT and np.abs(trunk).max() > UPRIGHT:
            return rotations, places
    raise UserError(f"{source.origin}: neither the zero pose nor the first frame of {source.name} stands upright")


def _check_lengths(source: Source, places: np.ndarray, limbs: dict[str, int]) -> None:
    for side in ("Left", "Right"):
        for part, child in _LIMBS.items():
            a, b = limbs[side + part], limbs[side + child]
            if not np.linalg.norm(places[b] - places[a]) > 1e-9:
                raise UserError(
                    f"{source.origin}: the bone from joint '{source.joints[a]}' to '{source.joints[b]}' has no length"
                )


def _body_axes(places: np.ndarray, limbs: dict[str, int], spine: tuple[int, ...]) -> np.ndarray:
    """Rows: our axes (left, back, up) in the source's world, from a standing pose."""
    trunk = places[spine[-1]] - places[spine[0]]
    up = np.zeros(3)
    up[np.abs(trunk).argmax()] = np.sign(trunk[np.abs(trunk).argmax()])
    left = places[limbs["LeftUpLeg"]] - places[limbs["RightUpLeg"]]
    left = unit(left - (left @ up) * up)
    return np.stack([left, np.cross(up, left), up])


def _spine(turned: np.ndarray, spine: tuple[int, ...], source: Source) -> dict[str, np.ndarray]:
    """Hips to head: our three spine bones share what the source's have between hips and chest."""
    neck = [j for j in spine if "neck" in source.joints[j].lower()]
    trunk = [j for j in spine[:-1] if j not in neck]
    chain = to_quaternion(turned[:, trunk])
    bones = {"Hips": turned[:, trunk[0]], "Head": turned[:, spine[-1]]}
    for i, bone in enumerate(("Spine", "Spine1", "Spine2"), start=1):
        place = i / 3 * (len(trunk) - 1)
        low = min(int(place), max(len(trunk) - 2, 0))
        high = min(low + 1, len(trunk) - 1)
        bones[bone] = to_matrix(slerp(chain[:, low], chain[:, high], place - low))
    bones["Neck"] = blend(bones["Spine2"], bones["Head"], 0.5)
    return bones


def _hand(
    source: Source, side: str, joint: int, turned: np.ndarray, places: np.ndarray, forearm: np.ndarray
) -> np.ndarray:
    """The source's hand where it has fingers to show its direction, else rigid with the forearm."""
    tips = [j for j, p in enumerate(source.parents) if p == joint and np.any(places[j] != places[joint])]
    if not tips:
        return forearm
    ours = rest(f"{side}HandMiddle1") - rest(f"{side}Hand")
    hand = turned[:, joint] @ between(ours, places[tips].mean(0) - places[joint])
    return forearm @ limit(np.swapaxes(forearm, -1, -2) @ hand, WRIST_LIMIT)


def _yaw_to(foot: np.ndarray, side: str) -> np.ndarray:
    """Our flat foot turned about the vertical to the source's heading: flat stays flat."""
    flat = np.array([1.0, 1, 0])
    return between((rest(f"{side}ToeBase") - rest(f"{side}Foot")) * flat, foot * flat)
