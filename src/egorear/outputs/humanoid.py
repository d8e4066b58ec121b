"""Joint positions as a humanoid of bones with rotations, as engines, avatars and BVH want it (docs/outputs.md)."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float64

from egorear.errors import UserError
from egorear.geometry.rotations import about, between, cross, slerp, to_matrix, to_quaternion, unit
from egorear.geometry.skeleton import Skeleton

RIGHT, BACK, DOWN = np.eye(3)
LEFT, FORWARD, UP = -RIGHT, -BACK, -DOWN
SIDES = {"Left": LEFT, "Right": RIGHT}

# How joints lie at rest where a T-pose does not tell: rounded from the mean body of the data engine.
NECK_FORWARD, SHOULDER_DOWN, FOOT_DOWN = np.radians((15.0, 30.0, 20.0))

HINGES = {"LeftArm": DOWN, "RightArm": UP, "LeftUpLeg": LEFT, "RightUpLeg": LEFT}
"""About what, at rest, the far end of the limb that a bone begins turns when it bends: hands come forward, feet go
back."""

# A limb's bend tells the plane of its hinge: not at all below the first angle, for sure above the second.
STRAIGHT, BENT = np.sin(np.radians((10.0, 30.0)))
NOWHERE_M = 1e-6  # a shorter bone points nowhere


def _rest() -> dict[str, tuple[str, np.ndarray]]:
    """Each bone's parent, and the direction from the parent's joint to its own at rest; depth first."""
    bones = {"Hips": ("Hips", 0 * UP)}
    for side, out in SIDES.items():
        bones[f"{side}UpLeg"] = ("Hips", out)
        bones[f"{side}Leg"] = (f"{side}UpLeg", DOWN)
        bones[f"{side}Foot"] = (f"{side}Leg", DOWN)
        bones[f"{side}ToeBase"] = (f"{side}Foot", _tilt(FORWARD, DOWN, FOOT_DOWN))
    bones["Spine"] = ("Hips", 0 * UP)
    bones["Neck"] = ("Spine", UP)
    bones["Head"] = ("Neck", _tilt(UP, FORWARD, NECK_FORWARD))
    for side, out in SIDES.items():
        bones[f"{side}Shoulder"] = ("Spine", UP)
        bones[f"{side}Arm"] = (f"{side}Shoulder", _tilt(out, DOWN, SHOULDER_DOWN))
        bones[f"{side}ForeArm"] = (f"{side}Arm", out)
        bones[f"{side}Hand"] = (f"{side}ForeArm", out)
        bones[f"{side}Finger"] = (f"{side}Hand", out)
    return bones


def _tilt(direction: np.ndarray, towards: np.ndarray, angle: float) -> np.ndarray:
    return np.cos(angle) * direction + np.sin(angle) * towards


REST = _rest()
OPTIONAL = ("Head", "LeftToeBase", "RightToeBase", "LeftFinger", "RightFinger")
DERIVED = {
    "Hips": ("LeftUpLeg", "RightUpLeg"),
    "Spine": ("LeftUpLeg", "RightUpLeg"),
    "LeftShoulder": ("Neck", "Neck"),
    "RightShoulder": ("Neck", "Neck"),
}
"""Bones that begin midway between two joints, whatever the skeleton calls by their names: the spine turns about the
middle of the hips, the collarbones about the neck."""


@dataclass(frozen=True)
class HumanoidPose:
    """N poses of one humanoid of B bones: parents before children, depth first, the root "Hips" first.

    Each bone is a frame at its joint. In the rest pose, a T-pose that looks along -y of the device frame (x right, y
    backward, z down), all of these frames stand as the device frame does: a rotation says how far a bone has turned
    from rest, relative to its parent.

    root: place of the hips, metres, device frame. local: unit quaternions x, y, z, w, each bone's rotation relative to
    its parent, the root's to the device frame. names: of the bones, after the joints they begin at. parents: index of
    each bone's parent, the root's is its own. offsets: metres, from the parent's joint to the bone's own in the
    parent's frame, the same in all poses; the root's is zero.
    """

    root: Float64[np.ndarray, "N 3"]
    local: Float64[np.ndarray, "N B 4"]
    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Float64[np.ndarray, "B 3"]

    @property
    def lengths(self) -> Float64[np.ndarray, "B"]:
        """Metres, of the offsets."""
        return np.linalg.norm(self.offsets, axis=-1)

    def forward(self) -> tuple[Float64[np.ndarray, "N B 3"], Float64[np.ndarray, "N B 3 3"]]:
        """Where the bones' joints are (metres) and how the bones are turned, both in the device frame."""
        turned = to_matrix(np.roll(self.local, 1, -1))
        places = np.repeat(self.root[:, None], len(self.names), 1)
        for bone, parent in enumerate(self.parents[1:], 1):
            places[:, bone] = places[:, parent] + turned[:, parent] @ self.offsets[bone]
            turned[:, bone] = turned[:, parent] @ turned[:, bone]
        return places, turned

    def moved(self, T_world_device: Float64[np.ndarray, "N 4 4"]) -> "HumanoidPose":
        """The same poses with the root in the world instead of the device frame."""
        R, t = T_world_device[:, :3, :3], T_world_device[:, :3, 3]
        local = self.local.copy()
        local[:, 0] = _quaternions(R @ to_matrix(np.roll(local[:, 0], 1, -1)))
        return replace(self, root=(R @ self.root[..., None])[..., 0] + t, local=local)

    def between(self, indices: Float64[np.ndarray, "M"]) -> "HumanoidPose":
        """M poses, each between two of these: 3.25 is a quarter of the way from number 3 to number 4."""
        before = np.floor(indices).astype(int)
        after, share = np.ceil(indices).astype(int), indices - before
        root = self.root[before] + share[:, None] * (self.root[after] - self.root[before])
        turned = slerp(np.roll(self.local[before], 1, -1), np.roll(self.local[after], 1, -1), share[:, None])
        return replace(self, root=root, local=np.roll(turned, -1, -1))


class Humanoid:
    """Turns joints of one skeleton into rotations.

    Pelvis and trunk are turned as their three points say: hips and neck, neck and shoulders; a bow of the trunk is one
    of the pelvis, as no joint tells them apart. A limb's first bone points at the next joint and is twisted so that
    knee or elbow bends about its hinge; the straighter the limb, the more it keeps the twist of its parent. Any other
    bone takes the shortest way from its parent's rotation to its child. The head wears the device and is turned as it
    is. Bones without a child (and what no joint tells, such as the twist of a hand) stay at rest.

    Raises:
        UserError: the skeleton lacks a joint that a humanoid needs.
    """

    def __init__(self, skeleton: Skeleton) -> None:
        self.joint_names = skeleton.names
        known = {*skeleton.names, *DERIVED}
        self.names = tuple(bone for bone in REST if bone in known)
        if missing := [bone for bone in REST if bone not in {*self.names, *OPTIONAL}]:
            raise UserError(f"joint '{missing[0]}', which a humanoid needs, is not among {', '.join(skeleton.names)}")
        self.parents = tuple(self.names.index(REST[bone][0]) for bone in self.names)
        self._rest = np.stack([REST[bone][1] for bone in self.names])
        pairs = [DERIVED.get(bone, (bone, bone)) for bone in self.names]
        self._pairs = np.array([[skeleton.index(joint) for joint in pair] for pair in pairs])
        # A bone's child is the one it points at; those of hips and spine are several, and these two come first.
        self._child = np.array([self._first_child(bone) for bone in range(len(self.names))])
        self._leaves = np.flatnonzero(self._child < 0)
        self._levels = [level for level in self._by_depth() if len(level)]

    def _first_child(self, bone: int) -> int:
        return next((child for child, parent in enumerate(self.parents) if parent == bone != child), -1)

    def _by_depth(self) -> list[np.ndarray]:
        """The bones that point at a child, but hips and spine, by the number of bones above them."""
        depth = np.zeros(len(self.names), int)
        for bone, parent in enumerate(self.parents[1:], 1):
            depth[bone] = depth[parent] + 1
        pointing = (self._child >= 0) & ~np.isin(self.names, ("Hips", "Spine"))
        return [np.flatnonzero(pointing & (depth == each)) for each in range(depth.max() + 1)]

    def measure(self, joints: Float[np.ndarray, "N J 3"]) -> Float64[np.ndarray, "B"]:
        """Lengths of the bones, metres: medians over the poses, at least one; for live use, over those seen so far."""
        places = self.places(joints)
        if not len(places):
            raise UserError("a humanoid cannot be measured without a pose")
        return np.median(np.linalg.norm(places - places[:, self.parents], axis=-1), 0)

    def solve(
        self, joints: Float[np.ndarray, "N J 3"], lengths: Float64[np.ndarray, "B"] | None = None
    ) -> HumanoidPose:
        """The humanoid in N poses. joints: metres, device frame. lengths: of the bones (default: measured here)."""
        places = self.places(joints)
        turned = self._turned(places)
        local = turned[:, self.parents].swapaxes(-1, -2) @ turned
        local[:, 0] = turned[:, 0]
        offsets = self._rest * (self.measure(joints) if lengths is None else lengths)[:, None]
        return HumanoidPose(places[:, 0], _quaternions(local), self.names, self.parents, offsets)

    def places(self, joints: Float[np.ndarray, "N J 3"]) -> Float64[np.ndarray, "N B 3"]:
        """Where the bones' joints were seen, metres."""
        if joints.shape[1] != len(self.joint_names):
            raise UserError(
                f"there are {joints.shape[1]} joints, but those of the skeleton are {len(self.joint_names)}"
            )
        if not np.isfinite(joints).all():
            raise UserError("joints must be finite to become a humanoid")
        return joints.astype(np.float64)[:, self._pairs].mean(2)

    def _turned(self, places: np.ndarray) -> np.ndarray:
        """Rotation matrices of all bones in the device frame, "N B 3 3"."""
        at = dict(zip(self.names, np.moveaxis(places, 1, 0), strict=True))
        turned = np.tile(np.eye(3), (*places.shape[:2], 1, 1))
        hips = _aim(turned[:, 0], RIGHT, at["RightUpLeg"] - at["LeftUpLeg"])
        hips = hips @ about(RIGHT, _angle(hips, RIGHT, UP, at["Neck"] - at["Hips"]))
        spine = _aim(hips, UP, at["Neck"] - at["Hips"])
        spine = spine @ about(UP, _angle(spine, UP, RIGHT, at["RightArm"] - at["LeftArm"]))
        turned[:, 0], turned[:, self.names.index("Spine")] = hips, spine
        for bones in self._levels:
            child = self._child[bones]
            rest, way = self._rest[child], places[:, child] - places[:, bones]
            aimed = _aim(turned[:, np.array(self.parents)[bones]], rest, way)
            hinge = np.stack([HINGES.get(self.names[bone], 0 * UP) for bone in bones])
            if hinge.any():  # where there is none the angle is 0
                bend = cross(unit(way), unit(places[:, self._child[child]] - places[:, child]))
                aimed = aimed @ about(rest, _believed(_angle(aimed, rest, hinge, bend), bend))
            turned[:, bones] = aimed
        turned[:, self._leaves] = turned[:, np.array(self.parents)[self._leaves]]
        if "Head" in self.names:
            turned[:, self.names.index("Head")] = np.eye(3)
        return turned


def _quaternions(R: np.ndarray) -> np.ndarray:
    """Unit quaternions x, y, z, w."""
    return np.roll(to_quaternion(R), -1, -1)


def _aim(parent: np.ndarray, rest: np.ndarray, way: np.ndarray) -> np.ndarray:
    """The parents' rotations, turned the shortest way so that the directions `rest` become those of `way`."""
    seen = (way[..., None, :] @ parent)[..., 0, :]
    nowhere = np.linalg.norm(seen, axis=-1, keepdims=True) < NOWHERE_M
    return parent @ between(np.broadcast_to(rest, seen.shape), np.where(nowhere, rest, seen))


def _angle(turned: np.ndarray, axis: np.ndarray, reference: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """By how much the rotations must turn about their own `axis` for the direction `reference`, at right angles to it,
    to come next to `seen`; radians, 0 where one of the two is nothing."""
    seen = (seen[..., None, :] @ turned)[..., 0, :]
    return np.arctan2((seen * cross(axis, reference)).sum(-1), (seen * reference).sum(-1))


def _believed(angle: np.ndarray, bend: np.ndarray) -> np.ndarray:
    """The share of a limb's twist that its bend, of which the length is the sine, makes sure. A twist beyond 120° is no
    limb's: what follows fades out towards 180°, so that no small change of the joints makes a leap."""
    share = np.clip((np.linalg.norm(bend, axis=-1) - STRAIGHT) / (BENT - STRAIGHT), 0, 1)
    return share**2 * (3 - 2 * share) * np.copysign(np.minimum(np.abs(angle), 2 * (np.pi - np.abs(angle))), angle)
