"""Reads the JSON of one frame, in the form of Ego4View: where the joints are, in every coordinate frame it tells,
and what hides them.

The fields that only our own data have (docs/data.md) are optional: published files lack them.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from egorear.errors import UserError
from egorear.files import read_json
from egorear.geometry.rig_file import check_rigid, rigid_from_list
from egorear.geometry.skeleton import EGO4VIEW, Skeleton

FARTHEST_JOINT_CM = 1000.0
FRAME_LIMIT_BYTES = 4 * 2**20
UNIT_TOLERANCE = 1e-3  # of quaternions and rotations from length one


class Visibility(IntEnum):
    """Why a camera does not see a joint; files have the names in small letters."""

    VISIBLE = 0
    OUTSIDE = 1  # of the image or the lens' field of view
    BODY = 2  # behind the wearer's own body and close clothes
    CLOTH = 3  # behind or inside a loose garment
    OTHER = 4  # behind the headset, glasses, furniture, a wall or another person


REASONS = {reason.name.lower(): int(reason) for reason in Visibility}
_FLAGS = {False: 0, True: 1}


@dataclass(frozen=True)
class BodyTruth:
    """The wearer's body: unit quaternions (w, x, y, z) that turn each bone from the rest pose to the world, the
    place of the hips (m, world), and the coefficients of the shape, which do not tell how much smaller a child is."""

    bones: Float[np.ndarray, "B 4"]
    root_m: Float[np.ndarray, "3"]
    shape: Float[np.ndarray, "C"]


@dataclass(frozen=True)
class StoredTruth:
    """The truth of a frame as its file has it, lengths turned to metres.

    joints: device frame. joints_camera: frame of each view. joints_2d: pixels of the calibration, not of the images.
    visible: unoccluded and inside the image; none where the file does not say. action: what the wearer does, or none.
    pelvis: device frame, of a dataset that tells it besides the joints, else none.
    Of our own data only, else none: visibility: `Visibility` of each joint. timestamp_s: since the sequence's start.
    T_device_world: world points to device points. T_camera_device: the extrinsics of this very frame. body.
    """

    joints: Float[np.ndarray, "J 3"]
    joints_camera: Float[np.ndarray, "V J 3"]
    joints_2d: Float[np.ndarray, "V J 2"]
    visible: Bool[np.ndarray, "V J"] | None
    action: str | None
    visibility: UInt8[np.ndarray, "V J"] | None = None
    timestamp_s: float | None = None
    T_device_world: Float[np.ndarray, "4 4"] | None = None
    T_camera_device: Float[np.ndarray, "V 4 4"] | None = None
    body: BodyTruth | None = None
    pelvis: Float[np.ndarray, "3"] | None = None


class FrameFile:
    """The parsed JSON of a frame with the joints of `skeleton`; `source` names its file when something in it is wrong.

    Raises:
        UserError (also each method): the content is no frame, or a field is missing, not finite or out of bounds.
    """

    def __init__(self, source: str, content: Any, skeleton: Skeleton = EGO4VIEW) -> None:
        self.source = source
        self.skeleton = skeleton
        joints = content.get("joints") if isinstance(content, dict) else None
        if not isinstance(joints, dict):
            raise UserError(f"{source}: 'joints' must be an object of joint names")
        for name in skeleton.names:
            if not isinstance(joints.get(name), dict):
                raise UserError(f"{source}: 'joints.{name}' is missing")
        self.content: dict[str, Any] = content
        self._joints: list[dict[str, Any]] = [joints[name] for name in skeleton.names]
        self.action = content.get("action")
        if self.action is not None and not isinstance(self.action, str):
            raise UserError(f"{source}: 'action' must be text")

    @staticmethod
    def load(path: str | Path) -> "FrameFile":
        """Reads a file."""
        return FrameFile(str(path), read_json(path, FRAME_LIMIT_BYTES))

    def truth(self, views: Sequence[str]) -> StoredTruth:
        """Everything the frame tells about these views."""
        visible, reasons = self.visibility(views)
        return StoredTruth(
            joints=self.joints_m(),
            joints_camera=np.stack([self._points_m(f"camera_{view}_pts3d") for view in views]),
            joints_2d=self.joints_2d(views),
            visible=visible,
            action=self.action,
            visibility=reasons,
            timestamp_s=self._timestamp(),
            T_device_world=self._pose(),
            T_camera_device=self.extrinsics(views),
            body=self._body(),
            pelvis=self.pelvis_m(),
        )

    def joints_2d(self, views: Sequence[str]) -> Float[np.ndarray, "V J 2"]:
        """Pixels of the calibration."""
        return np.stack([self._numbers(f"camera_{view}_pts2d", 2) for view in views])

    def visibility(
        self, views: Sequence[str]
    ) -> tuple[Bool[np.ndarray, "V J"] | None, UInt8[np.ndarray, "V J"] | None]:
        """Which joints are unoccluded and inside the image, and `Visibility`; none where the file does not say."""
        cameras = [f"camera_{view}" for view in views]
        visible = self._of_all([self._flags(f"{camera}_visible") for camera in cameras], "visible", cameras)
        reasons = self._of_all([self._reasons(f"{camera}_visibility") for camera in cameras], "visibility", cameras)
        if reasons is not None:
            seen = reasons == Visibility.VISIBLE
            if visible is not None and (seen != visible).any():
                v, j = np.argwhere(seen != visible)[0]
                field = f"joints.{self.skeleton.names[j]}.{cameras[v]}"
                raise UserError(f"{self.source}: '{field}_visibility' contradicts '{field}_visible'")
            visible = seen
        return visible, reasons

    def joints_m(self) -> Float[np.ndarray, "J 3"]:
        """The joints in the device frame: what an evaluation needs."""
        return self._points_m("device_pts3d")

    def pelvis_m(self) -> Float[np.ndarray, "3"] | None:
        """The pelvis in the device frame where the file tells it."""
        value = self.content.get("pelvis_device_pts3d")
        if value is None:
            return None
        point = self._array(value, (3,), "pelvis_device_pts3d")
        if np.abs(point).max() > FARTHEST_JOINT_CM:
            far = f"within {FARTHEST_JOINT_CM:g} cm of the origin"
            raise UserError(f"{self.source}: 'pelvis_device_pts3d' must lie {far}")
        return point / 100

    def extrinsics(self, views: Sequence[str]) -> Float[np.ndarray, "V 4 4"] | None:
        """Device-to-camera matrices (m) of this frame where the file tells them."""
        matrices = self.content.get("T_camera_device")
        if matrices is None:
            return None
        if not isinstance(matrices, dict):
            raise UserError(f"{self.source}: 'T_camera_device' must be an object of view names")
        T = _numeric([matrices.get(view) for view in views], (len(views), 4, 4))
        with suppress(UserError):  # which view is wrong, reading them one by one tells
            if T is not None:
                check_rigid(torch.from_numpy(T), "a view")
                return T
        try:
            return np.stack([rigid_from_list(matrices.get(view), f"view '{view}'").numpy() for view in views])
        except UserError as error:
            raise UserError(f"{self.source}: {error}") from error

    def _timestamp(self) -> float | None:
        value = self.content.get("timestamp")
        return None if value is None else float(self._array(value, (), "timestamp"))

    def _pose(self) -> Float[np.ndarray, "4 4"] | None:
        value = self.content.get("T_device_world")
        if value is None:
            return None
        T = self._array(value, (4, 4), "T_device_world")
        R = T[:3, :3]
        if np.abs(R @ R.T - np.eye(3)).max() > UNIT_TOLERANCE or (T[3] != (0, 0, 0, 1)).any():
            raise UserError(f"{self.source}: 'T_device_world' must be a rotation and a translation")
        return T

    def _body(self) -> BodyTruth | None:
        value = self.content.get("body")
        if value is None:
            return None
        if not isinstance(value, dict):
            raise UserError(f"{self.source}: 'body' must be an object")
        bones = self._array(value.get("bones"), (None, 4), "body.bones")
        if np.abs(np.linalg.norm(bones, axis=-1) - 1).max() > UNIT_TOLERANCE:
            raise UserError(f"{self.source}: 'body.bones' must be unit quaternions")
        root, shape = (self._array(value.get(name), (n,), f"body.{name}") for name, n in (("root", 3), ("shape", None)))
        return BodyTruth(bones, root, shape)

    def _array(self, value: Any, shape: tuple[int | None, ...], field: str) -> Float[np.ndarray, "..."]:
        """Nested lists of finite numbers of this shape (None: any length above 0)."""
        if (values := _numeric(value, shape)) is None:
            sides = " x ".join("n" if side is None else str(side) for side in shape)
            raise UserError(f"{self.source}: '{field}' must be {f'{sides} finite numbers' if shape else 'a number'}")
        return values

    def _points_m(self, field: str) -> Float[np.ndarray, "J 3"]:
        points = self._numbers(field, 3)
        if (far := np.abs(points) > FARTHEST_JOINT_CM).any():
            name = self.skeleton.names[int(far.any(-1).argmax())]
            raise UserError(
                f"{self.source}: 'joints.{name}.{field}' must lie within {FARTHEST_JOINT_CM:g} cm of the origin"
            )
        return points / 100

    def _numbers(self, field: str, count: int) -> Float[np.ndarray, "J {count}"]:
        rows = [joint.get(field) for joint in self._joints]
        if (values := _numeric(rows, (len(rows), count))) is not None:
            return values
        for name, row in zip(self.skeleton.names, rows, strict=True):
            if not isinstance(row, list) or len(row) != count or not all(type(x) in (float, int) for x in row):
                raise UserError(f"{self.source}: 'joints.{name}.{field}' must be a list of {count} numbers")
            if not all(abs(x) < 1e300 for x in row):  # a whole number can be too large for a float
                raise UserError(f"{self.source}: 'joints.{name}.{field}' must be finite")
        raise UserError(f"{self.source}: 'joints.*.{field}' must be {len(rows)} lists of {count} numbers")

    def _flags(self, field: str) -> Bool[np.ndarray, "J"] | None:
        codes = self._each(field, _FLAGS, "true or false")
        return None if codes is None else np.array(codes, bool)

    def _reasons(self, field: str) -> UInt8[np.ndarray, "J"] | None:
        codes = self._each(field, REASONS, f"of {[*REASONS]}")
        return None if codes is None else np.array(codes, np.uint8)

    def _each(self, field: str, known: Mapping[Any, int], expected: str) -> list[int] | None:
        """What each joint's value stands for; none where no joint has the field."""
        values = [joint.get(field) for joint in self._joints]
        if all(value is None for value in values):
            return None
        for name, value in zip(self.skeleton.names, values, strict=True):
            if type(value) not in (str, bool) or value not in known:
                raise UserError(f"{self.source}: 'joints.{name}.{field}' must be {expected}")
        return [known[value] for value in values]

    def _of_all(self, rows: list[np.ndarray | None], field: str, cameras: list[str]) -> np.ndarray | None:
        """The rows of all views as one array; a file tells the field for every view or for none."""
        known = [row for row in rows if row is not None]
        if known and len(known) < len(rows):
            camera = cameras[next(i for i, row in enumerate(rows) if row is None)]
            raise UserError(f"{self.source}: 'joints.*.{camera}_{field}' is missing")
        return np.stack(known) if known else None


def _numeric(value: Any, shape: tuple[int | None, ...]) -> Float[np.ndarray, "..."] | None:
    """Nested lists of finite numbers of this shape (None: any length above 0) as an array; none if they are not."""
    try:
        values = np.array(value)
    except ValueError:  # rows of several lengths
        return None
    if values.dtype.kind not in "fi" or len(values.shape) != len(shape) or not values.size:
        return None
    if any(side not in (None, length) for side, length in zip(shape, values.shape, strict=True)):
        return None
    values = values.astype(np.float64)
    return values if np.isfinite(values).all() else None
