"""What is known of a frame besides its images, and the files it becomes whatever the layout: JPEGs, a JSON, PNGs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from egorear.datasets.maps import ViewMaps, encode_maps
from egorear.datasets.sample import Sample
from egorear.datasets.truth import BodyTruth, Visibility
from egorear.errors import UserError
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import EGO4VIEW, Skeleton

JPEG_QUALITY = 92
CM_DIGITS, METRE_DIGITS, PIXEL_DIGITS, RADIAN_DIGITS, MATRIX_DIGITS, SECOND_DIGITS = 4, 6, 3, 7, 8, 6


@dataclass(frozen=True)
class FrameTruth:
    """What is known of a frame besides its images.

    joints_world: metres, world frame (z up). T_device_world: world points to device points (m).
    visibility: `Visibility` per view of the rig and joint. action: free text. timestamp_s: since the sequence began.
    T_camera_device: the true extrinsics (m); none: those of the rig. maps: by view. jpeg_quality: of its images' files.
    skeleton: which joints these are.
    """

    joints_world: Float[np.ndarray, "J 3"]
    T_device_world: Float[np.ndarray, "4 4"]
    visibility: UInt8[np.ndarray, "V J"]
    action: str | None = None
    timestamp_s: float | None = None
    T_camera_device: Float[np.ndarray, "V 4 4"] | None = None
    body: BodyTruth | None = None
    maps: Mapping[str, ViewMaps] | None = None
    jpeg_quality: int = JPEG_QUALITY
    skeleton: Skeleton = EGO4VIEW

    @property
    def visible(self) -> Bool[np.ndarray, "V J"]:
        """Unoccluded and inside the image."""
        return self.visibility == Visibility.VISIBLE

    def rig(self, nominal: Rig) -> Rig:
        """The rig that took this frame, extrinsics in float64."""
        nominal = nominal.to("cpu", torch.float64)
        if self.T_camera_device is None:
            return nominal
        return replace(nominal, T_camera_device=torch.from_numpy(self.T_camera_device.astype(np.float64)))

    def joints_device(self) -> Float[np.ndarray, "J 3"]:
        """Device frame, metres.

        Raises:
            UserError: joints or pose are not finite, or the joints are not as many as the skeleton's.
        """
        if len(self.joints_world) != len(self.skeleton):
            raise UserError(f"'joints_world' has {len(self.joints_world)} joints but must have {len(self.skeleton)}")
        T = self.T_device_world.astype(np.float64)
        device = self.joints_world.astype(np.float64) @ T[:3, :3].T + T[:3, 3]
        if not np.isfinite(device).all():
            raise UserError("'joints_world' and 'T_device_world' must be finite")
        return device


@dataclass(frozen=True)
class EncodedFrame:
    """A frame as bytes. images: JPEG by view. maps: PNG by kind and view. T_camera_device: as in its JSON (m)."""

    json: bytes
    images: dict[str, bytes]
    maps: dict[tuple[str, str], bytes]
    T_camera_device: dict[str, list[list[float]]]


def encode_frame(rig: Rig, images: Mapping[str, UInt8[np.ndarray, "H W 3"]], truth: FrameTruth) -> EncodedFrame:
    """RGB images by view and their truth as the files of a dataset; pixels in the JSON are those of `rig`, whatever
    the images' size.

    Raises:
        UserError: a view is missing, an image has another aspect ratio than its camera, or a value is not finite.
    """
    files = {}
    for view, camera in rig.cameras.items():
        if view not in images:
            raise UserError(f"the frame has no image of view '{view}'")
        height, width = images[view].shape[:2]
        if not camera.same_aspect(width, height):
            raise UserError(
                f"view '{view}': the image is {width}x{height} but must have the aspect ratio of its camera, "
                f"{camera.width}x{camera.height}"
            )
        bgr = cv2.cvtColor(images[view], cv2.COLOR_RGB2BGR)
        files[view] = cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, truth.jpeg_quality))[1].tobytes()
    maps = {(kind, view): data for view, each in (truth.maps or {}).items() for kind, data in encode_maps(each).items()}
    true_rig = truth.rig(rig)
    text = json.dumps(_content(true_rig, truth), separators=(",", ":"), allow_nan=False)
    return EncodedFrame(text.encode() + b"\n", files, maps, _extrinsics(true_rig))


def to_sample(rig: Rig, images: Mapping[str, UInt8[np.ndarray, "H W 3"]], truth: FrameTruth, name: str) -> Sample:
    """The frame as a reader would deliver it at its own size, without the loss of a JPEG."""
    height, width = images[rig.views[0]].shape[:2]
    true_rig = truth.rig(rig.resized(width, height))
    joints = torch.from_numpy(truth.joints_device())
    pictures = [torch.from_numpy(np.ascontiguousarray(images[view].transpose(2, 0, 1))) for view in rig.views]
    return Sample(
        images=torch.stack(pictures),
        joints=joints.float(),
        joints_2d=true_rig.project(joints)[0].float(),
        visible=torch.from_numpy(truth.visible),
        rig=true_rig.to(dtype=torch.float32),
        name=name,
        visibility=torch.from_numpy(truth.visibility),
    )


def _extrinsics(rig: Rig) -> dict[str, list[list[float]]]:
    return dict(zip(rig.views, _rounded(rig.T_camera_device.numpy(), MATRIX_DIGITS), strict=True))


def _content(rig: Rig, truth: FrameTruth) -> dict[str, Any]:
    """The content of a frame's JSON file; centimetres where the published data has them."""
    device = truth.joints_device()
    T_device_world = truth.T_device_world.astype(np.float64)
    joints = torch.from_numpy(device)
    cameras = _rounded(100 * rig.to_camera(joints).numpy(), CM_DIGITS)
    pixels = _rounded(rig.project(joints)[0].numpy(), PIXEL_DIGITS)
    views = [f"camera_{view}" for view in rig.views]
    device_cm, world_m = _rounded(100 * device, CM_DIGITS), _rounded(truth.joints_world, METRE_DIGITS)
    entries = {}
    for j, name in enumerate(truth.skeleton.names):
        entry: dict[str, Any] = {"device_pts3d": device_cm[j]}
        for v, view in enumerate(views):
            reason = Visibility(truth.visibility[v, j])
            entry[f"{view}_pts3d"] = cameras[v][j]
            entry[f"{view}_pts2d"] = pixels[v][j]
            entry[f"{view}_visible"] = reason == Visibility.VISIBLE
            entry[f"{view}_visibility"] = reason.name.lower()
        entry["trans_blender"] = world_m[j]
        entries[name] = entry
    T_world = np.linalg.inv(np.concatenate((T_device_world[None], rig.T_camera_device.numpy() @ T_device_world)))
    frames = ("device", *views)
    content = {
        "action": truth.action,
        "timestamp": None if truth.timestamp_s is None else round(float(truth.timestamp_s), SECOND_DIGITS),
        "joints": entries,
        "global_trans_blender": dict(zip(frames, _rounded(T_world[:, :3, 3], METRE_DIGITS), strict=True)),
        "global_rot_blender": dict(zip(frames, _rounded(_euler_xyz(T_world[:, :3, :3]), RADIAN_DIGITS), strict=True)),
        "T_device_world": _rounded(T_device_world, MATRIX_DIGITS),
        "T_camera_device": None if truth.T_camera_device is None else _extrinsics(rig),
        "body": None if truth.body is None else _body(truth.body),
    }
    return {field: value for field, value in content.items() if value is not None}


def _body(body: BodyTruth) -> dict[str, Any]:
    return {
        "bones": _rounded(body.bones, METRE_DIGITS),
        "root": _rounded(body.root_m, METRE_DIGITS),
        "shape": _rounded(body.shape, METRE_DIGITS),
    }


def _rounded(values: np.ndarray, digits: int) -> list[Any]:
    return (np.round(values.astype(np.float64), digits) + 0.0).tolist()  # + 0.0: no -0.0, whose sign is chance


def _euler_xyz(R: Float[np.ndarray, "N 3 3"]) -> Float[np.ndarray, "N 3"]:
    """Blender's "XYZ" angles (radians): R = Rz(z) Ry(y) Rx(x)."""
    y = np.arcsin(np.clip(-R[:, 2, 0], -1, 1))
    return np.stack((np.arctan2(R[:, 2, 1], R[:, 2, 2]), y, np.arctan2(R[:, 1, 0], R[:, 0, 0])), -1)
