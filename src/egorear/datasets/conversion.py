"""One frame of any dataset to what a shard holds of it, checked on the way; nothing of its JSON is lost."""

import json
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from egorear.datasets.consistency import disagreement
from egorear.datasets.frame import EncodedFrame
from egorear.datasets.frames import FrameDataset, picture_cut
from egorear.datasets.images import JPEG, decode_image, decode_resized
from egorear.datasets.maps import ViewMaps, encode_maps
from egorear.datasets.opening import open_dataset
from egorear.datasets.quarantine import BadFrame
from egorear.datasets.shard_writer import check_frame_name
from egorear.datasets.truth import FrameFile
from egorear.errors import UserError
from egorear.geometry.calibration import read_rig
from egorear.geometry.camera import Camera
from egorear.geometry.rig import Rig


@dataclass(frozen=True)
class Conversion:
    """What becomes of each frame of the dataset in `source`.

    size: height of the pictures. quality: of their JPEGs. limit_px: a joint in view whose 2D truth is farther from its
    projection makes a frame bad; pixels as calibrated. limit_mm: so does one that differs as much between the device
    frame and a camera's. rig: what `read_rig` reads the cameras from, none: those that the source is read with.
    """

    source: str
    size: int = 256
    quality: int = 92
    limit_px: float = 5.0
    limit_mm: float = 5.0
    rig: str | None = None

    def open(self, split: str) -> FrameDataset:
        """One split of the source.

        Raises:
            UserError: it, or the rig, cannot be read.
        """
        return open_dataset(self.source, split, rig=None if self.rig is None else read_rig(self.rig))

    def picture_size(self, camera: Camera) -> tuple[int, int]:
        """Width and height of a camera's pictures."""
        return max(1, round(camera.width * self.size / camera.height)), self.size


@dataclass(frozen=True)
class Chunk:
    """Consecutive frames of a split: their names, and the index of the first."""

    split: str
    first: int
    frames: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.frames[0]


def convert(conversion: Conversion, chunk: Chunk) -> Iterator[EncodedFrame | BadFrame]:
    """Each frame of the chunk, as a shard holds it or as the quarantine lists it.

    Raises:
        UserError: the dataset has changed since the chunk was made.
    """
    dataset = _open(conversion, chunk.split)
    for index, name in enumerate(chunk.frames, chunk.first):
        if index >= len(dataset) or dataset.name(index) != name:
            raise UserError(f"{dataset.root} has changed since the job began: {name} is not where it was; run it again")
        yield convert_frame(dataset, index, conversion)


@lru_cache(maxsize=4)
def _open(conversion: Conversion, split: str) -> FrameDataset:
    """Kept open: listing a large dataset takes longer than a chunk."""
    return conversion.open(split)


forget_open_datasets = _open.cache_clear  # what was listed for an earlier job may have changed


def convert_frame(dataset: FrameDataset, index: int, conversion: Conversion) -> EncodedFrame | BadFrame:
    """One frame, or why it is bad."""
    name, root = dataset.name(index), f"{dataset.root}{os.sep}"

    def bad(kind: str, file: str | Path, reason: str) -> BadFrame:
        # Paths below the dataset's folder: the list is the same wherever the dataset lies.
        return BadFrame(name, str(file).removeprefix(root).replace(os.sep, "/"), kind, reason.replace(root, ""))

    truth_file = dataset.truth_file(index)
    try:
        check_frame_name(name)
    except UserError as error:
        return bad("name", truth_file, str(error))
    try:
        frame = dataset.frame(index)
        rig = dataset.calibration(index)
        fault = _truth_fault(frame, rig, conversion)
    except UserError as error:
        return bad("truth", truth_file, str(error))
    if fault is not None:
        return bad(fault[0], truth_file, f"{frame.source}: {fault[1]}")
    images = {}
    for view, camera in rig.cameras.items():
        file, picture = _picture(dataset, index, view, camera, conversion)
        if isinstance(picture, UserError):
            return bad("image", file, str(picture))
        images[view] = picture
    try:
        maps = {
            (kind, view): data
            for view, each in dataset.maps(index).items()
            for kind, data in encode_maps(_resized(each, conversion.picture_size(rig.cameras[view]))).items()
        }
    except UserError as error:
        return bad("image", name, str(error))
    return EncodedFrame(_content(dataset, frame, rig), images, maps, {})


def _truth_fault(frame: FrameFile, rig: Rig, conversion: Conversion) -> tuple[str, str] | None:
    """The kind of what is wrong with a frame's numbers, and the end of a sentence about it; none if all agree."""
    truth, names = frame.truth(rig.views), frame.skeleton.names
    pixels, in_view, metres = disagreement(truth, rig, frame.skeleton)
    pixels = np.where(in_view, pixels, 0)
    view, joint = np.unravel_index(pixels.argmax(), pixels.shape)
    if not pixels[view, joint] <= conversion.limit_px:
        field = f"joints.{frame.skeleton.names[joint]}.camera_{rig.views[view]}_pts2d"
        return "projection", (
            f"'{field}' is {pixels[view, joint]:.1f} px from the projection of the 3D joint, "
            f"more than the {conversion.limit_px:g} px allowed"
        )
    view, joint = np.unravel_index(metres.argmax(), metres.shape)
    if not 1000 * metres[view, joint] <= conversion.limit_mm:
        field = f"joints.{frame.skeleton.names[joint]}.camera_{rig.views[view]}_pts3d"
        return "camera", (
            f"'{field}' is {1000 * metres[view, joint]:.1f} mm from 'device_pts3d' moved into the camera's frame, "
            f"more than the {conversion.limit_mm:g} mm allowed"
        )
    parents = np.array(frame.skeleton.parents)
    same = (truth.joints == truth.joints[parents]).all(-1) & (parents != np.arange(len(parents)))
    if same.any():
        joint = int(same.argmax())
        return "limb", (
            f"'joints.{names[joint]}.device_pts3d' is exactly where its parent {names[parents[joint]]} is, "
            "so that their limb has no direction"
        )
    return None


def _picture(
    dataset: FrameDataset, index: int, view: str, camera: Camera, conversion: Conversion
) -> tuple[str, bytes | UserError]:
    """What a user knows a picture by, and the picture as the JPEG of a shard, or what is wrong with it."""
    file, size, complaints = f"{dataset.name(index)}.{view}", conversion.picture_size(camera), []
    try:
        with _libjpeg_heard(complaints):
            file, data = dataset.image_file(index, view)
            stored, cut = picture_cut(file, data, camera)
            if keep := data.startswith(JPEG) and stored == size:  # as it is, so that no loss adds to a loss
                image = decode_image(file, data, cv2.IMREAD_REDUCED_COLOR_8)  # reads every bit of it
            else:
                image = decode_resized(file, data, stored, size, exact=True, cut=cut)
    except UserError as error:
        return file, error
    if complaints:
        return file, UserError(f"{file} is damaged: {complaints[0]}")
    if keep:
        return file, data
    return file, cv2.imencode(".jpg", image, (cv2.IMWRITE_JPEG_QUALITY, conversion.quality))[1].tobytes()


@contextmanager
def _libjpeg_heard(complaints: list[str]) -> Iterator[None]:
    """Gathers what libjpeg complains of. It fills what it cannot make sense of with grey and says so on the process'
    standard error only; what else is said there meanwhile is passed on."""
    with tempfile.TemporaryFile() as heard:
        before = os.dup(2)
        os.dup2(heard.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
        heard.seek(0)
        said = heard.read()
    if b"JPEG" in said:
        complaints += said.decode(errors="replace").splitlines()
    elif said:
        os.write(2, said)


def _resized(maps: ViewMaps, size: tuple[int, int]) -> ViewMaps:
    """Each pixel takes what the nearest had: neither depths nor labels have a middle."""
    arrays = (maps.depth_m, maps.part, maps.limb, maps.normals)
    return ViewMaps(*(None if a is None else cv2.resize(a, size, interpolation=cv2.INTER_NEAREST) for a in arrays))


def _content(dataset: FrameDataset, frame: FrameFile, rig: Rig) -> bytes:
    """The frame's JSON; extrinsics that another file tells go into it."""
    content = {field: value for field, value in frame.content.items() if field != "rig"}
    if rig is not dataset.rig:
        content["T_camera_device"] = dict(zip(rig.views, rig.T_camera_device.tolist(), strict=True))
    try:
        text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    except ValueError:  # in a field that no reader reads: JSON has no such numbers
        text = json.dumps(_finite(content), separators=(",", ":"), allow_nan=False)
    return text.encode() + b"\n"


def _finite(value: Any) -> Any:
    """Numbers that are not finite become null."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
