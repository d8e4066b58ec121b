"""Reader of pose parameters of the SMPL family, as AMASS and others give them in npz files: SMPL, SMPL-H, SMPL-X.

Only rotations are carried over, so no body model is needed. The offsets below are our own round figures of an average
adult in T-pose with these 22 joints; they serve to tell where limbs point in that pose.
"""

from pathlib import Path
from typing import Any

import numpy as np

from egorear.errors import UserError
from egorear.geometry.rotations import from_vector
from egorear.synth.retarget import Source

# Joint, parent, offset from the parent in metres (left, up, forward). Names and order are those of the family.
_TREE: list[tuple[str, int, tuple[float, ...]]] = [
    ("pelvis", -1, (0, 0, 0)),
    ("left_hip", 0, (0.06, -0.09, 0)),
    ("right_hip", 0, (-0.06, -0.09, 0)),
    ("spine1", 0, (0, 0.11, -0.02)),
    ("left_knee", 1, (0.04, -0.38, 0)),
    ("right_knee", 2, (-0.04, -0.38, 0)),
    ("spine2", 3, (0, 0.13, 0)),
    ("left_ankle", 4, (-0.01, -0.41, -0.03)),
    ("right_ankle", 5, (0.01, -0.41, -0.03)),
    ("spine3", 6, (0, 0.06, 0.02)),
    ("left_foot", 7, (0.03, -0.06, 0.12)),
    ("right_foot", 8, (-0.03, -0.06, 0.12)),
    ("neck", 9, (0, 0.21, -0.03)),
    ("left_collar", 9, (0.07, 0.12, -0.02)),
    ("right_collar", 9, (-0.07, 0.12, -0.02)),
    ("head", 12, (0, 0.09, 0.04)),
    ("left_shoulder", 13, (0.11, 0.03, -0.02)),
    ("right_shoulder", 14, (-0.11, 0.03, -0.02)),
    ("left_elbow", 16, (0.26, -0.01, -0.02)),
    ("right_elbow", 17, (-0.26, -0.01, -0.02)),
    ("left_wrist", 18, (0.25, 0.01, 0)),
    ("right_wrist", 19, (-0.25, 0.01, 0)),
]
# Our names: what the family calls "foot" is the ball, its elbow is where the forearm starts.
_NAMES = {"spine1": "spine", "spine2": "spine1", "spine3": "spine2", "left_foot": "left_toe", "right_foot": "right_toe"}
_TIPS: list[tuple[str, int, tuple[float, ...]]] = [
    ("left_hand", 20, (0.09, 0, 0)),
    ("right_hand", 21, (-0.09, 0, 0)),
]  # of hands, along the fingers
JOINTS = len(_TREE)
_RATES = ("mocap_framerate", "mocap_frame_rate", "fps", "frame_rate")
LARGEST_ANGLE = 8 * np.pi  # of an axis angle's components; recordings stay within a turn or two
_Z_UP = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])  # turns z up to y up


def is_smplx(file: Any) -> bool:
    """Whether an open npz file has pose parameters."""
    return "poses" in file or {"root_orient", "pose_body"} <= set(file)


def read_smplx(file: Any, path: str | Path) -> Source:
    """The motion of an open npz file: `poses` [T, 66 or more] or `root_orient` [T, 3] and `pose_body` [T, 63], axis
    angles in radians; `trans` [T, 3] in metres; a frame rate. z or y is up, whichever the person stands along.

    Raises:
        UserError: a field is missing or malformed.
    """
    path = Path(path)
    pose, trans = _pose(file, path), _field(file, "trans", path) if "trans" in file else None
    frames = len(pose)
    trans = np.zeros((frames, 3)) if trans is None else trans.reshape(len(trans), -1)
    if trans.shape != (frames, 3):
        raise UserError(f"{path}: 'trans' must be [{frames}, 3] as there are {frames} poses, not {list(trans.shape)}")
    if not (np.isfinite(pose).all() and np.isfinite(trans).all()):
        raise UserError(f"{path}: 'poses' or 'trans' holds values that are not finite")
    if np.abs(pose).max() > LARGEST_ANGLE:
        raise UserError(f"{path}: poses hold {np.abs(pose).max():.3g} but must be axis angles in radians, not degrees")
    local = from_vector(pose.reshape(frames, JOINTS, 3))
    if np.quantile(local[:, 0, 2, 1], 0.9) > np.quantile(local[:, 0, 1, 1], 0.9):
        local[:, 0], trans = _Z_UP @ local[:, 0], trans @ _Z_UP.T
    rotations = np.empty((frames, JOINTS, 3, 3))
    for j, (_, parent, _) in enumerate(_TREE):
        rotations[:, j] = rotations[:, parent] @ local[:, j] if parent >= 0 else local[:, j]
    tree = [*_TREE, *((f"{name}_tip", parent, offset) for name, parent, offset in _TIPS)]
    return Source(
        path.stem,
        str(path),
        tuple(_NAMES.get(name, name) for name, _, _ in tree),
        tuple(parent for _, parent, _ in tree),
        np.array([offset for _, _, offset in tree], float),
        np.concatenate([rotations, rotations[:, [parent for _, parent, _ in _TIPS]]], 1),
        trans,
        _rate(file, path),
        np.ones(frames, bool),
    )


def _pose(file: Any, path: Path) -> np.ndarray:
    if "poses" in file:
        poses = _field(file, "poses", path)
        poses = poses.reshape(len(poses), -1) if poses.ndim > 1 else poses
    else:
        parts = [_field(file, name, path) for name in ("root_orient", "pose_body")]
        if len({len(part) for part in parts}) > 1:
            raise UserError(f"{path}: 'root_orient' and 'pose_body' have different numbers of frames")
        poses = np.concatenate([part.reshape(len(part), -1) for part in parts], 1)
    if poses.ndim != 2 or poses.shape[1] < 3 * JOINTS or poses.shape[1] % 3:
        raise UserError(
            f"{path}: poses must be [frames, 66 or more], three numbers a joint, not {list(poses.shape)}"
        )  # fmt: skip
    return poses[:, : 3 * JOINTS]


def _field(file: Any, name: str, path: Path) -> np.ndarray:
    try:
        values = np.asarray(file[name])
        if values.dtype.kind not in "fiu":
            raise TypeError(values.dtype)
        values = values.astype(np.float64)
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: '{name}' is not an array of numbers") from error
    if values.ndim == 0 or values.size == 0:
        raise UserError(f"{path}: '{name}' is {'empty' if values.ndim else 'a single number, not an array'}")
    return values


def _rate(file: Any, path: Path) -> float:
    name = next((name for name in _RATES if name in file), None)
    if name is None:
        raise UserError(f"{path} gives no frame rate; one of {', '.join(_RATES)} is needed")
    try:
        rate = float(np.asarray(file[name], np.float64).reshape(()))
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: '{name}' is not a number") from error
    if not 1 <= rate <= 10_000:
        raise UserError(f"{path}: '{name}' is {rate} frames per second, which is out of range")
    return rate
