"""Joint positions as a humanoid of bones with rotations, as engines, avatars and BVH want it (docs/outputs.md)."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from egorear.geometry.skeleton import Skeleton


@dataclass(frozen=True)
class HumanoidPose:
    """N poses of one humanoid of B bones: parents before children, the root "Hips" first.

    Each bone is a frame at its joint. In the rest pose, a T-pose that looks along -y of the device frame (x right, y
    backward, z down), all of these frames stand as the device frame does: a rotation says how far a bone has turned
    from rest, relative to its parent's.

    root: of the hips, metres, device frame. local: unit quaternions x, y, z, w, each bone's rotation relative to its
    parent's, the root's to the device frame. names: of the bones, those of the joints they begin at. parents: index of
    each bone's parent, the root's is its own. offsets: metres, each bone's joint in its parent's frame, the same in all
    poses; the root's is zero. lengths: metres, those of the offsets.
    """

    root: Float64[np.ndarray, "N 3"]
    local: Float64[np.ndarray, "N B 4"]
    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: Float64[np.ndarray, "B 3"]

    @property
    def lengths(self) -> Float64[np.ndarray, "B"]:
        return np.linalg.norm(self.offsets, axis=-1)

    def positions(self) -> Float64[np.ndarray, "N B 3"]:
        """Where the bones' joints are, metres, device frame (forward kinematics)."""
        raise NotImplementedError


class Humanoid:
    """Turns joints of one skeleton into rotations.

    Raises:
        UserError: the skeleton lacks a joint that a humanoid needs.
    """

    def __init__(self, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self.names: tuple[str, ...] = ()
        self.parents: tuple[int, ...] = ()

    def measure(self, joints: Float[np.ndarray, "N J 3"]) -> Float64[np.ndarray, "B"]:
        """Lengths of the bones, metres: the median over the poses. For live use: of the poses seen so far."""
        raise NotImplementedError

    def solve(
        self, joints: Float[np.ndarray, "N J 3"], lengths: Float64[np.ndarray, "B"] | None = None
    ) -> HumanoidPose:
        """The humanoid of N poses, metres, device frame. lengths: of the bones (default: `measure` of these poses)."""
        raise NotImplementedError
