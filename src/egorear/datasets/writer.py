"""Writes frames in the layout of Ego4View-Syn, so that readers of that dataset read ours.

    {root}/rig.json                                             ours: the rig that the images were taken with
    {root}/{train,validation,test}.txt                          characters, one a line
    {root}/{character}/{sequence}/fisheye_rgb/camera_{view}/{stem}.jpg
    {root}/{character}/{sequence}/json_smplx_gendered/{stem}.json

The JSON of a frame is written after its images: a frame that has one is whole. See docs/data.md for the fields.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from egorear.errors import UserError
from egorear.files import atomic_write, write_text
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import EGO4VIEW

SPLITS = ("train", "validation", "test")
IMAGE_FOLDER = "fisheye_rgb"
JSON_FOLDER = "json_smplx_gendered"
JPEG_QUALITY = 92
CM_DIGITS, METRE_DIGITS, PIXEL_DIGITS, RADIAN_DIGITS = 4, 6, 3, 7


@dataclass(frozen=True)
class FrameTruth:
    """What is known of a frame besides its images.

    joints_world: metres, world frame (z up). T_device_world: world points to device points (m).
    visible: per view of the rig, the joint is unoccluded and inside the image. action: free text, or none.
    """

    joints_world: Float[np.ndarray, "J 3"]
    T_device_world: Float[np.ndarray, "4 4"]
    visible: Bool[np.ndarray, "V J"]
    action: str | None = None


class SynWriter:
    """Writes frames below `root`, taken with `rig`; several processes may write different frames at once.

    Pixels in the JSON are those of `rig`, whatever the size of the images (same aspect ratio).

    Raises:
        UserError: `root` already holds frames of another rig, or cannot be written.
    """

    def __init__(self, root: str | Path, rig: Rig) -> None:
        self.root = Path(root)
        self.rig = rig.to("cpu", torch.float64)
        rig_file = self.root / "rig.json"
        if not rig_file.exists():
            rig.save(rig_file)
        elif Rig.load(rig_file).hash() != rig.hash():
            raise UserError(f"{rig_file} is another rig than the one given; choose an empty folder")

    def is_complete(self, character: str, sequence: str, stem: str) -> bool:
        """Whether that frame is on disk whole."""
        return self._json_path(character, sequence, stem).exists()

    def write(
        self,
        character: str,
        sequence: str,
        stem: str,
        images: Mapping[str, UInt8[np.ndarray, "H W 3"]],
        truth: FrameTruth,
    ) -> None:
        """Writes one frame: RGB images by view name, and its JSON.

        Raises:
            UserError: a view is missing, an image has another aspect ratio than its camera, a value is not finite,
                a name is no plain file name, or the disk is full.
        """
        for part in (character, sequence, stem):
            if not part or part.startswith(".") or "/" in part or "\\" in part:
                raise UserError(f"'{part}' cannot name a character, sequence or frame: it must be a plain file name")
        text = json.dumps(self._frame_json(truth), separators=(",", ":"), allow_nan=False)
        folder = self.root / character / sequence / IMAGE_FOLDER
        for view in self.rig.views:
            path = folder / f"camera_{view}" / f"{stem}.jpg"
            if view not in images:
                raise UserError(f"{path} cannot be written: the frame has no image of view '{view}'")
            with atomic_write(path) as temporary:
                temporary.write_bytes(self._encode(view, images[view]))
        write_text(self._json_path(character, sequence, stem), text + "\n")

    def write_splits(self, splits: Mapping[str, Sequence[str]]) -> None:
        """Writes the lists of characters; a split that is not given gets an empty list."""
        for split in SPLITS:
            write_text(self.root / f"{split}.txt", "".join(f"{name}\n" for name in splits.get(split, ())))

    def _json_path(self, character: str, sequence: str, stem: str) -> Path:
        return self.root / character / sequence / JSON_FOLDER / f"{stem}.json"

    def _encode(self, view: str, image: UInt8[np.ndarray, "H W 3"]) -> bytes:
        camera = self.rig.cameras[view]
        height, width = image.shape[:2]
        if not camera.same_aspect(width, height):
            raise UserError(
                f"view '{view}': the image is {width}x{height} but must have the aspect ratio of its camera, "
                f"{camera.width}x{camera.height}"
            )
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        return cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1].tobytes()

    def _frame_json(self, truth: FrameTruth) -> dict[str, Any]:
        """The content of a frame's JSON file; centimetres where the published data has them."""
        T_device_world = truth.T_device_world.astype(np.float64)
        world = truth.joints_world.astype(np.float64)
        device = world @ T_device_world[:3, :3].T + T_device_world[:3, 3]
        if not np.isfinite(device).all():
            raise UserError("'joints_world' and 'T_device_world' must be finite")
        joints = torch.from_numpy(device)
        cameras = _rounded(100 * self.rig.to_camera(joints).numpy(), CM_DIGITS)
        pixels = _rounded(self.rig.project(joints)[0].numpy(), PIXEL_DIGITS)
        visible = truth.visible.tolist()
        views = [f"camera_{view}" for view in self.rig.views]
        device_cm, world_m = _rounded(100 * device, CM_DIGITS), _rounded(world, METRE_DIGITS)
        entries = {}
        for j, name in enumerate(EGO4VIEW.names):
            entry: dict[str, Any] = {"device_pts3d": device_cm[j]}
            for v, view in enumerate(views):
                entry[f"{view}_pts3d"] = cameras[v][j]
                entry[f"{view}_pts2d"] = pixels[v][j]
                entry[f"{view}_visible"] = visible[v][j]
            entry["trans_blender"] = world_m[j]
            entries[name] = entry
        T_view_world = self.rig.T_camera_device.numpy() @ T_device_world
        T_world = np.linalg.inv(np.concatenate((T_device_world[None], T_view_world)))
        frames = ("device", *views)
        places = dict(zip(frames, _rounded(T_world[:, :3, 3], METRE_DIGITS), strict=True))
        turns = dict(zip(frames, _rounded(_euler_xyz(T_world[:, :3, :3]), RADIAN_DIGITS), strict=True))
        content = {"joints": entries, "global_trans_blender": places, "global_rot_blender": turns}
        return content if truth.action is None else {"action": truth.action, **content}


def _rounded(values: np.ndarray, digits: int) -> list[Any]:
    return np.round(values, digits).tolist()


def _euler_xyz(R: Float[np.ndarray, "N 3 3"]) -> Float[np.ndarray, "N 3"]:
    """Blender's "XYZ" angles (radians): R = Rz(z) Ry(y) Rx(x)."""
    y = np.arcsin(np.clip(-R[:, 2, 0], -1, 1))
    return np.stack((np.arctan2(R[:, 2, 1], R[:, 2, 2]), y, np.arctan2(R[:, 1, 0], R[:, 0, 0])), -1)
