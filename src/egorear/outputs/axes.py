"""The axes of other programs: signed permutations of ours (table in docs/outputs.md)."""

import numpy as np
from jaxtyping import Float, Float64

DEVICE = np.eye(3)
"""x right, y backward, z down (head upright), right-handed."""

OPENGL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""X right, Y up, Z backward, right-handed: OpenGL, OpenXR."""

BVH = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, -1.0, 0.0]])
"""X left, Y up, Z forward, right-handed: who looks ahead looks along +Z, as characters in BVH and glTF files do."""

UNITY = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, -1.0, 0.0]])
"""X right, Y up, Z forward, left-handed: Unity, VMC."""


def points(axes: Float64[np.ndarray, "3 3"], device: Float[np.ndarray, "*N 3"]) -> Float64[np.ndarray, "*N 3"]:
    """Points of the device frame, in the same unit, in other axes."""
    return device @ axes.T


def rotations(axes: Float64[np.ndarray, "3 3"], device: Float[np.ndarray, "*N 4"]) -> Float64[np.ndarray, "*N 4"]:
    """The same rotations (unit quaternions x, y, z, w) in other axes, left-handed ones too."""
    vector = round(np.linalg.det(axes)) * device[..., :3] @ axes.T  # an axis turns round in a mirror
    return np.concatenate([vector, device[..., 3:]], -1)
