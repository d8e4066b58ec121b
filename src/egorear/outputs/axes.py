"""The axes of other programs, as matrices that take our points to theirs (table in docs/outputs.md)."""

import numpy as np
from jaxtyping import Float, Float64

OPENGL = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Device frame to X right, Y up, Z backward, right-handed: OpenGL, OpenXR."""

BVH = np.array([[-1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, -1.0, 0.0]])
"""Device frame to X left, Y up, Z forward, right-handed: who looks ahead looks along +Z, as characters do in BVH and
glTF files, and in Blender (imported with its defaults) towards the front view."""

UNITY = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, -1.0, 0.0]])
"""Device frame to X right, Y up, Z forward, left-handed: Unity, VMC."""

WORLDS = {
    "y-up": np.eye(3),
    "z-up": np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]]),
    "y-down": np.diag([1.0, -1.0, -1.0]),
    "z-down": OPENGL,
}
"""From a user's right-handed world to one with Y up, by the axis that is vertical in it: OpenXR, ARKit and SteamVR have
y up, ROS and Blender z up, many SLAM systems y down."""


def points(axes: Float64[np.ndarray, "3 3"], ours: Float[np.ndarray, "*N 3"]) -> Float64[np.ndarray, "*N 3"]:
    """Points in other axes, in the same unit."""
    return ours @ axes.T


def rotations(axes: Float64[np.ndarray, "3 3"], ours: Float[np.ndarray, "*N 4"]) -> Float64[np.ndarray, "*N 4"]:
    """The same rotations (unit quaternions x, y, z, w) in other axes, left-handed ones too."""
    vector = round(np.linalg.det(axes)) * ours[..., :3] @ axes.T  # seen in a mirror, all turns the other way round
    return np.concatenate([vector, ours[..., 3:]], -1)
