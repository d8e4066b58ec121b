"""A rig: named cameras on one device, and its JSON file (docs/rig.md)."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egorear.errors import UserError
from egorear.files import check_name, read_json, write_text
from egorear.geometry.cameras import Camera
from egorear.geometry.rig_file import camera_from_dict, camera_to_dict, check_rigid, rigid_from_list
from egorear.geometry.transforms import transform_points

SCHEMA = "egorear-rig"
VERSION = 1
SHIPPED = ("ego4view_syn", "ego4view_rw", "unrealego", "egopw")


@dataclass(frozen=True, eq=False)
class Rig:
    """Cameras on a device, and how device points reach each of them.

    name: free text. cameras: view name to camera, in the order of the V dimension.
    T_camera_device: device points to camera points (m). Leading dimensions give each sample of a batch its own
    extrinsics; the intrinsics are shared. Compare rigs by `hash()`.

    Raises:
        UserError: there is no camera, or not one matrix for each. (That matrices are rigid is checked where they
            come from outside: `from_dict` and `with_extrinsics`.)
    """

    name: str
    cameras: dict[str, Camera]
    T_camera_device: Float[Tensor, "*B V 4 4"]

    def __post_init__(self) -> None:
        if not self.cameras:
            raise UserError("'cameras' is empty but a rig must have at least one")
        if self.T_camera_device.shape[-3] != len(self.cameras):
            raise UserError(
                f"'T_camera_device' has {self.T_camera_device.shape[-3]} matrices but must have one for each of "
                f"the {len(self.cameras)} cameras"
            )

    @property
    def views(self) -> tuple[str, ...]:
        """View names, in the order of the V dimension."""
        return tuple(self.cameras)

    def to_camera(self, points: Float[Tensor, "*B N 3"]) -> Float[Tensor, "*B V N 3"]:
        """Device points to every camera's frame (m)."""
        return transform_points(self.T_camera_device, points[..., None, :, :])

    def project(self, points: Float[Tensor, "*B N 3"]) -> tuple[Float[Tensor, "*B V N 2"], Bool[Tensor, "*B V N"]]:
        """Device points (m) to pixels of every view, and whether each is in view: within the camera's field of
        view and inside its image. Extrinsics without batch dimensions serve the whole batch."""
        pixels, in_view = [], []
        for camera, seen in zip(self.cameras.values(), self.to_camera(points).unbind(-3), strict=True):
            pixel, valid = camera.project(seen)
            pixels.append(pixel)
            in_view.append(valid & camera.contains(pixel))
        return torch.stack(pixels, -3), torch.stack(in_view, -2)

    def select(self, views: Sequence[str]) -> "Rig":
        """The rig of these views, in this order.

        Raises:
            UserError: a view is not in the rig.
        """
        for view in views:
            if view not in self.cameras:
                raise UserError(f"rig '{self.name}' has no view '{view}', only {', '.join(self.views)}")
        index = [self.views.index(view) for view in views]
        return replace(
            self,
            cameras={view: self.cameras[view] for view in views},
            T_camera_device=self.T_camera_device[..., index, :, :],
        )

    def resized(self, width: int, height: int) -> "Rig":
        """The rig whose cameras' images are all resampled to `width` x `height`."""
        cameras = {view: camera.resized(width, height) for view, camera in self.cameras.items()}
        return replace(self, cameras=cameras)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Rig":
        """The rig with its extrinsics on that device, in that dtype."""
        return replace(self, T_camera_device=self.T_camera_device.to(device=device, dtype=dtype))

    def expand(self, batch: int) -> "Rig":
        """The rig with a leading batch dimension of that size (a view, not a copy)."""
        return replace(self, T_camera_device=self.T_camera_device.expand(batch, *self.T_camera_device.shape))

    def with_extrinsics(self, T_camera_device: Float[Tensor, "*C V 4 4"]) -> "Rig":
        """The rig with other device-to-camera matrices (m), for instance those of one recorded sequence.

        Raises:
            UserError: a matrix is not a rigid transform in metres.
        """
        rig = replace(self, T_camera_device=T_camera_device)
        for index, view in enumerate(self.views):
            check_rigid(T_camera_device[..., index, :, :], f"camera '{view}'")
        return rig

    def hash(self) -> str:
        """Twelve hexadecimal digits that name the cameras and extrinsics, whatever the file's layout, the rig's
        name, device or dtype."""
        cameras = [camera_to_dict(view, camera) for view, camera in self.cameras.items()]
        text = json.dumps([cameras, _shortest_decimals(self.T_camera_device)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        """The content of a rig file.

        Raises:
            UserError: the extrinsics have batch dimensions; a file describes one rig.
        """
        if self.T_camera_device.ndim != 3:
            raise UserError("a rig with batched 'T_camera_device' must be indexed to one sample before it is saved")
        cameras = [camera_to_dict(view, camera) for view, camera in self.cameras.items()]
        for entry, T in zip(cameras, _shortest_decimals(self.T_camera_device), strict=True):
            entry["T_camera_device"] = T
        return {"schema": SCHEMA, "version": VERSION, "name": self.name, "cameras": cameras}

    @staticmethod
    def from_dict(content: Any) -> "Rig":
        """The rig a file's content describes.

        Raises:
            UserError: a field is missing, unknown or not what docs/rig.md says, named with its camera.
        """
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            raise UserError(f"'schema' must be \"{SCHEMA}\"")
        if content.get("version") != VERSION:
            raise UserError(f"'version' is {content.get('version')!r} but this release reads version {VERSION}")
        if not isinstance(content.get("name"), str):
            raise UserError("'name' must be text")
        entries = content.get("cameras")
        if not isinstance(entries, list) or not entries:
            raise UserError("'cameras' must be a list of at least one camera")
        cameras, extrinsics = {}, []
        for index, entry in enumerate(entries):
            view = entry.get("name") if isinstance(entry, dict) else None
            if not isinstance(view, str) or not view or view in cameras:
                raise UserError(f"camera {index}: 'name' must be text that no other camera has")
            check_name(view, f"camera {index}")  # folders of images are called like views
            with_matrix = dict(entry)
            matrix = with_matrix.pop("T_camera_device", None)
            try:
                cameras[view] = camera_from_dict(with_matrix)
            except UserError as error:
                raise UserError(f"camera '{view}': {error}") from error
            extrinsics.append(rigid_from_list(matrix, f"camera '{view}'"))
        return Rig(content["name"], cameras, torch.stack(extrinsics).float())

    def save(self, path: str | Path) -> None:
        """Writes the rig file atomically, each list of numbers on one line."""
        text = json.dumps(self.to_dict(), indent=2, allow_nan=False)
        write_text(path, re.sub(r"\[[^][{}]*\]", lambda numbers: " ".join(numbers[0].split()), text) + "\n")

    @staticmethod
    def load(path: str | Path) -> "Rig":
        """Reads a rig file.

        Raises:
            UserError: the file is unreadable or `from_dict` refuses it.
        """
        try:
            return Rig.from_dict(read_json(path))
        except UserError as error:
            raise UserError(str(error) if str(path) in str(error) else f"{path}: {error}") from error


def ego4view_syn() -> Rig:
    """The four-camera rig of Ego4View-Syn (EgoRear, ICCV 2025)."""
    return shipped("ego4view_syn")


def ego4view_rw() -> Rig:
    """The cameras of Ego4View-RW at their nominal places. Each recorded sequence has its own extrinsics: give them
    with `with_extrinsics`."""
    return shipped("ego4view_rw")


def unrealego() -> Rig:
    """The stereo glasses of UnrealEgo (Akada et al., ECCV 2022); the device frame has its origin midway between the
    cameras, and their axes. The lens ends at 95 degrees. Only its `world_to_cam` is as published: the other direction
    is fitted to its inverse (0.01 px)."""
    return shipped("unrealego")


def egopw() -> Rig:
    """The one camera of EgoPW (Wang et al., CVPR 2022) as published with SceneEgo, `front`; the device frame is the
    camera's. The lens ends at 95 degrees; the published `affine`, the identity to 3e-4, is left out, as in the
    published projections."""
    return shipped("egopw")


@cache
def shipped(name: str) -> Rig:
    """A rig that comes with the package, one of `SHIPPED`."""
    return Rig.load(Path(__file__).parent / "rigs" / f"{name}.json")


def _shortest_decimals(matrices: Float[Tensor, "*B 4 4"]) -> list[Any]:
    """Nested lists of the shortest decimals that float32 reads back exactly (0.06, not 0.05999999865)."""
    values = matrices.detach().float().cpu() + 0.0  # and no -0.0
    decimals = [float(str(value)) for value in values.flatten().numpy()]
    return torch.tensor(decimals, dtype=torch.float64).reshape(values.shape).tolist()
