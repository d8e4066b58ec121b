"""Reads the JSON of one Ego4View frame: where the joints are, in every frame the dataset tells."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from egorear.errors import UserError
from egorear.files import read_json
from egorear.geometry.skeleton import EGO4VIEW

FARTHEST_JOINT_CM = 1000.0
FRAME_LIMIT_BYTES = 4 * 2**20


@dataclass(frozen=True)
class StoredTruth:
    """The truth of a frame as its file has it, lengths turned to metres.

    joints: device frame. joints_camera: frame of each view. joints_2d: pixels of the calibration, not of the images.
    visible: unoccluded and inside the image; none where the file does not say. action: what the wearer does, or none.
    """

    joints: Float[np.ndarray, "J 3"]
    joints_camera: Float[np.ndarray, "V J 3"]
    joints_2d: Float[np.ndarray, "V J 2"]
    visible: Bool[np.ndarray, "V J"] | None
    action: str | None


def read_truth(path: str | Path, views: Sequence[str]) -> StoredTruth:
    """Reads everything a frame's JSON tells about these views.

    Raises:
        UserError: the file is no JSON of a frame, or a joint is missing, not finite or farther than 10 m.
    """
    content = _FrameFile(path)
    cameras = [f"camera_{view}" for view in views]
    visible = [content.flags(f"{camera}_visible") for camera in cameras]
    stored = [flags is not None for flags in visible]
    if any(stored) and not all(stored):
        raise UserError(f"{path}: 'joints.*.{cameras[stored.index(False)]}_visible' is missing")
    return StoredTruth(
        joints=content.points_m("device_pts3d"),
        joints_camera=np.stack([content.points_m(f"{camera}_pts3d") for camera in cameras]),
        joints_2d=np.stack([content.numbers(f"{camera}_pts2d", 2) for camera in cameras]),
        visible=np.array(visible, dtype=bool) if all(stored) else None,
        action=content.action,
    )


def read_joints(path: str | Path) -> tuple[Float[np.ndarray, "J 3"], str | None]:
    """Reads only the joints (device frame, metres) and the action: what an evaluation needs.

    Raises:
        UserError: as `read_truth`.
    """
    content = _FrameFile(path)
    return content.points_m("device_pts3d"), content.action


class _FrameFile:
    """The parsed JSON of a frame; every accessor names file and field when it fails."""

    def __init__(self, path: str | Path) -> None:
        self.path = path
        content = read_json(path, FRAME_LIMIT_BYTES)
        joints = content.get("joints") if isinstance(content, dict) else None
        if not isinstance(joints, dict):
            raise UserError(f"{path}: 'joints' must be an object of joint names")
        for name in EGO4VIEW.names:
            if not isinstance(joints.get(name), dict):
                raise UserError(f"{path}: 'joints.{name}' is missing")
        self.joints: list[dict[str, Any]] = [joints[name] for name in EGO4VIEW.names]
        self.action = content.get("action")
        if self.action is not None and not isinstance(self.action, str):
            raise UserError(f"{path}: 'action' must be text")

    def points_m(self, field: str) -> Float[np.ndarray, "J 3"]:
        points = self.numbers(field, 3)
        if (far := np.abs(points) > FARTHEST_JOINT_CM).any():
            name = EGO4VIEW.names[int(far.any(-1).argmax())]
            raise UserError(
                f"{self.path}: 'joints.{name}.{field}' must lie within {FARTHEST_JOINT_CM:g} cm of the origin"
            )
        return points / 100

    def numbers(self, field: str, count: int) -> Float[np.ndarray, "J {count}"]:
        rows = []
        for name, joint in zip(EGO4VIEW.names, self.joints, strict=True):
            row = joint.get(field)
            if not isinstance(row, list) or len(row) != count or not all(type(x) in (float, int) for x in row):
                raise UserError(f"{self.path}: 'joints.{name}.{field}' must be a list of {count} numbers")
            rows.append([x if abs(x) < 1e300 else np.nan for x in row])  # a whole number can be too large for a float
        values = np.array(rows, dtype=np.float64)
        if not (finite := np.isfinite(values)).all():
            name = EGO4VIEW.names[int((~finite).any(-1).argmax())]
            raise UserError(f"{self.path}: 'joints.{name}.{field}' must be finite")
        return values

    def flags(self, field: str) -> list[bool] | None:
        values = [joint.get(field) for joint in self.joints]
        if all(value is None for value in values):
            return None
        for name, value in zip(EGO4VIEW.names, values, strict=True):
            if not isinstance(value, bool):
                raise UserError(f"{self.path}: 'joints.{name}.{field}' must be true or false")
        return [value is True for value in values]
