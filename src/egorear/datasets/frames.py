"""What every reader of stored frames has in common: from a frame's truth and pictures to a `Sample`."""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch.utils.data import Dataset

from egorear.datasets.images import Cut, decode_resized, decode_rgb, stored_size
from egorear.datasets.maps import ViewMaps
from egorear.datasets.sample import Sample
from egorear.datasets.truth import FrameFile, StoredTruth
from egorear.errors import UserError
from egorear.geometry.camera import ASPECT_TOLERANCE, Camera
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import EGO4VIEW, Skeleton


class FrameStream(Dataset[Sample], ABC):
    """Samples without end that no file holds, for training; a subclass is an `IterableDataset` too."""

    @abstractmethod
    def set_rank(self, rank: int, world_size: int) -> None:
        """Tells which of how many training processes this is: each gets other samples."""

    @abstractmethod
    def start_at(self, batches: int, batch_size: int) -> None:
        """Lets the next iteration go on where a DataLoader of as many workers has delivered that many batches."""


class FrameDataset(Dataset[Sample], ABC):
    """Frames of one split. A subclass knows where a frame's truth and pictures are.

    image_size: pixels of the images delivered, one number for squares or (width, height). views: those delivered, in
    this order (default: all). rig: cameras at the calibrated size. skeleton: which joints, in which order.
    """

    skeleton: Skeleton = EGO4VIEW

    def __init__(
        self, root: Path, split: str, image_size: int | tuple[int, int], views: Sequence[str] | None, rig: Rig
    ) -> None:
        self.root = root
        self.split = split
        self.image_size = (image_size, image_size) if isinstance(image_size, int) else image_size
        self.rig = rig if views is None else rig.select(views)
        self._delivered_rig = self.rig.resized(*self.image_size)
        calibrated = np.array([(camera.width, camera.height) for camera in self.rig.cameras.values()])
        self._scale = (self.image_size / calibrated)[:, None]

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    def names(self) -> list[str]:
        """Every frame's name, "character/sequence/stem"."""
        return self._names

    @cached_property
    def _names(self) -> list[str]:
        return [self.name(index) for index in range(len(self))]

    @abstractmethod
    def name(self, index: int) -> str:
        """The frame's name."""

    @abstractmethod
    def truth_file(self, index: int) -> Path:
        """The file that holds the frame's truth."""

    def files(self, index: int) -> list[Path]:
        """All that the frame is read from: where none of them has changed, neither has the frame.

        Raises:
            UserError: a picture is missing.
        """
        return [self.truth_file(index)]

    @abstractmethod
    def image_file(self, index: int, view: str) -> tuple[str, bytes]:
        """The frame's picture of a view as stored: what a user knows it by, and the bytes of a JPEG or PNG.

        Raises:
            UserError: it is missing or cannot be read.
        """

    def image(self, index: int, view: str) -> UInt8[np.ndarray, "H W 3"]:
        """The frame's picture of a view at its stored size, RGB: what the camera sees of it.

        Raises:
            UserError: it is missing, damaged or not that camera's.
        """
        name, data = self.image_file(index, view)
        _, (x, y, width, height) = picture_cut(name, data, self.rig.cameras[view])
        return decode_rgb(name, data)[y : y + height, x : x + width]

    @abstractmethod
    def maps(self, index: int) -> dict[str, ViewMaps]:
        """Depth, segmentation and normals by view, as far as the dataset has them.

        Raises:
            UserError: a map is damaged.
        """

    @abstractmethod
    def frame(self, index: int) -> FrameFile:
        """The frame's parsed JSON.

        Raises:
            UserError: it is missing or no frame's.
        """

    def joints(self, index: int) -> tuple[Float[np.ndarray, "J 3"], str | None]:
        """Truth for an evaluation: joints (m, device frame) and the action, if the dataset tells it."""
        frame = self.frame(index)
        return frame.joints_m(), frame.action

    def truth(self, index: int) -> StoredTruth:
        """Everything the frame's JSON tells, pixels as calibrated. No image is read."""
        return self.frame(index).truth(self.rig.views)

    def calibration(self, index: int) -> Rig:
        """The rig of a frame, cameras at the calibrated size."""
        return self._calibration(index, self.frame(index))

    def _calibration(self, index: int, frame: FrameFile) -> Rig:
        """`calibration` where the JSON has been read already."""
        extrinsics = frame.extrinsics(self.rig.views)
        return self.rig if extrinsics is None else replace(self.rig, T_camera_device=torch.from_numpy(extrinsics))

    def __getitem__(self, index: int) -> Sample:
        """Reads one frame.

        Raises:
            UserError: an image or a joint is missing or damaged; the sentence names the file.
        """
        frame = self.frame(index)
        width, height = self.image_size
        images = torch.empty((len(self.rig.views), 3, height, width), dtype=torch.uint8)
        for view, planes in zip(self.rig.views, images.numpy(), strict=True):
            name, data = self.image_file(index, view)
            stored, cut = picture_cut(name, data, self.rig.cameras[view])
            planes[2], planes[1], planes[0] = cv2.split(decode_resized(name, data, stored, self.image_size, cut=cut))
        extrinsics = self._calibration(index, frame).T_camera_device
        rig = replace(self._delivered_rig, T_camera_device=extrinsics.to(self._delivered_rig.T_camera_device.dtype))
        pixels = torch.from_numpy((frame.joints_2d(self.rig.views) + 0.5) * self._scale - 0.5)
        seen, reasons = frame.visibility(self.rig.views)
        if seen is not None:
            visible = torch.from_numpy(seen)
        else:
            cameras = rig.cameras.values()
            visible = torch.stack([camera.contains(p) for camera, p in zip(cameras, pixels, strict=True)])
        return Sample(
            images=images,
            joints=torch.from_numpy(frame.joints_m()).float(),
            joints_2d=pixels.float(),
            visible=visible,
            rig=rig,
            name=self.name(index),
            visibility=None if reasons is None else torch.from_numpy(reasons),
            pelvis=None if (pelvis := frame.pelvis_m()) is None else torch.from_numpy(pelvis).float(),
        )


def own_rig(root: Path) -> Rig | None:
    """The rig that lies beside the data, `{root}/rig.json`; none where there is none.

    Raises:
        UserError: it is damaged.
    """
    path = root / "rig.json"
    return Rig.load(path) if path.exists() else None


def locate(ends: Sequence[int], index: int) -> tuple[int, int]:
    """In which of some parts an item is, and where in it; IndexError past the end, as a list.

    ends: how many items the parts up to and with each have.
    """
    index = range(ends[-1])[index]
    part = bisect_right(ends, index)
    return part, index - (ends[part - 1] if part else 0)


def picture_cut(name: str, data: bytes, camera: Camera) -> tuple[tuple[int, int], Cut]:
    """`stored_size` of a picture, and what of it the camera sees: all, where it can be the camera's picture at another
    resolution, or else the camera's part, where it can be the whole calibrated image of which the camera sees a part.

    Raises:
        UserError: its aspect ratio is neither's, or it is no JPEG or PNG.
    """
    width, height = stored_size(name, data)
    if camera.same_aspect(width, height):
        return (width, height), (0, 0, width, height)
    whole_width, whole_height = camera.calibrated_size
    if abs(width * whole_height / (height * whole_width) - 1) <= ASPECT_TOLERANCE:
        sides = []
        for shift, scale, seen, calibrated, stored in (
            (camera.shift[0], camera.scale[0], camera.width, whole_width, width),
            (camera.shift[1], camera.scale[1], camera.height, whole_height, height),
        ):
            pixels = stored / calibrated / scale  # of the stored picture, to one of the camera's
            first = 0.5 * stored / calibrated - (0.5 + shift) * pixels
            sides.append((round(first), round(seen * pixels)))
        (x, part_width), (y, part_height) = sides
        if min(x, y) >= 0 and x + part_width <= width and y + part_height <= height:
            return (width, height), (x, y, part_width, part_height)
    raise UserError(
        f"{name} is {width}x{height} but must have the aspect ratio of its calibration, {camera.width}x{camera.height}"
    )
