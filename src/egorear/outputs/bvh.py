"""Writer of BVH (Biovision hierarchy): centimetres, Y up, rest pose a T-pose that looks along +Z (docs/outputs.md)."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Float64

from egorear.files import write_text
from egorear.geometry.rotations import to_matrix
from egorear.outputs import axes
from egorear.outputs.humanoid import FORWARD, REST, UP, HumanoidPose

CM = 100.0
ENDS_M = {"Head": 0.18, "Neck": 0.1, "Hand": 0.15, "Finger": 0.06, "ToeBase": 0.06}
"""Lengths of the bones that end without a joint: for the eye only."""


def write_bvh(
    path: str | Path,
    pose: HumanoidPose,
    frame_time: float,
    file_from_root: Float64[np.ndarray, "3 3"] = axes.BVH,
) -> None:
    """Writes the motion atomically. frame_time: seconds. file_from_root: takes the frame that the root is in, unless it
    is the device's, to one with Y up.

    Source of the format: the BVH importers of Blender and MotionBuilder; angles in degrees, R = Rz · Rx · Ry.
    """
    local = to_matrix(np.roll(pose.local, 1, -1))
    turned = axes.BVH @ local @ axes.BVH.T
    turned[:, 0] = file_from_root @ local[:, 0] @ axes.BVH.T
    angles = np.degrees(_continuous(_zxy(turned))).reshape(len(pose.root), -1)
    table = np.concatenate([CM * axes.points(file_from_root, pose.root), angles], 1)
    rows = "\n".join(" ".join(f"{value:.5f}" for value in row) for row in table.tolist())
    motion = f"MOTION\nFrames: {len(table)}\nFrame Time: {frame_time:.8f}\n{rows}\n"
    write_text(path, "HIERARCHY\n" + "\n".join(_joint(pose, 0, "")) + "\n" + motion)


def _joint(pose: HumanoidPose, bone: int, indent: str) -> list[str]:
    """The lines of a bone and all below it; depth first, as the bones are ordered."""
    inner = indent + "  "
    moves = "6 Xposition Yposition Zposition" if bone == 0 else "3"
    lines = [
        f"{indent}{'JOINT' if bone else 'ROOT'} {pose.names[bone]}",
        f"{indent}{{",
        f"{inner}OFFSET {_vector(pose.offsets[bone])}",
        f"{inner}CHANNELS {moves} Zrotation Xrotation Yrotation",
    ]
    children = [child for child, parent in enumerate(pose.parents) if parent == bone != child]
    for child in children:
        lines += _joint(pose, child, inner)
    if not children:
        lines += [f"{inner}End Site", f"{inner}{{", f"{inner}  OFFSET {_vector(_end(pose.names[bone]))}", f"{inner}}}"]
    return [*lines, f"{indent}}}"]


def _end(name: str) -> np.ndarray:
    """From a leaf's joint to where its bone ends, metres, device frame."""
    part = name.removeprefix("Left").removeprefix("Right")
    ways = {"Head": UP, "Neck": UP, "ToeBase": FORWARD}
    return ENDS_M[part] * (ways[part] if part in ways else REST[name][1])


def _vector(device_m: np.ndarray) -> str:
    return " ".join(f"{value:.5f}" for value in CM * axes.points(axes.BVH, device_m) + 0.0)  # no minus zero


def _zxy(R: Float[np.ndarray, "*N 3 3"]) -> Float[np.ndarray, "*N 3"]:
    """Angles z, x, y (radians) with R = Rz · Rx · Ry; where x is a right angle y is 0."""
    x = np.arcsin(np.clip(R[..., 2, 1], -1, 1))
    locked = np.abs(R[..., 2, 1]) > 1 - 1e-12
    z = np.where(locked, np.arctan2(R[..., 1, 0], R[..., 0, 0]), np.arctan2(-R[..., 0, 1], R[..., 1, 1]))
    y = np.where(locked, 0.0, np.arctan2(-R[..., 2, 0], R[..., 2, 2]))
    return np.stack([z, x, y], -1)


def _continuous(zxy: Float[np.ndarray, "N B 3"]) -> Float[np.ndarray, "N B 3"]:
    """The same rotations by angles next to those of the frame before: editors interpolate each angle by itself."""
    angles = zxy.copy()
    for frame in range(1, len(angles)):
        z, x, y = np.moveaxis(zxy[frame], -1, 0)
        both = np.stack([zxy[frame], np.stack([z + np.pi, np.pi - x, y + np.pi], -1)])
        before = angles[frame - 1]
        both += 2 * np.pi * np.round((before - both) / (2 * np.pi))
        nearer = np.abs(both - before).sum(-1).argmin(0)
        angles[frame] = np.where(nearer[:, None] == 0, both[0], both[1])
    return angles
