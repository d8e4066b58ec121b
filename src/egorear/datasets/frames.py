"""What every reader of stored frames has in common: from a frame's truth and pictures to a `Sample`."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from egorear.datasets.maps import ViewMaps
from egorear.datasets.sample import Sample
from egorear.datasets.truth import FrameFile, StoredTruth
from egorear.errors import UserError
from egorear.geometry.camera import Camera
from egorear.geometry.rig import Rig


class FrameStream(Dataset[Sample], ABC):
    """Samples without end that no file holds, for training; a subclass is an `IterableDataset` too."""

    @abstractmethod
    def set_rank(self, rank: int, world_size: int) -> None:
        """Tells which of how many training processes this is: each gets other samples."""


class FrameDataset(Dataset[Sample], ABC):
    """Frames of one split. A subclass knows where a frame's truth and pictures are.

    image_size: pixels of the images delivered, one number for squares or (width, height). views: those delivered, in
    this order (default: all). rig: cameras at the calibrated size.
    """

    def __init__(
        self, root: Path, split: str, image_size: int | tuple[int, int], views: Sequence[str] | None, rig: Rig
    ) -> None:
        self.root = root
        self.split = split
        self.image_size = (image_size, image_size) if isinstance(image_size, int) else image_size
        self.rig = rig if views is None else rig.select(views)
        self._delivered_rig = self.rig.resized(*self.image_size)

    @abstractmethod
    def __len__(self) -> int: ...

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """Every frame's name, "character/sequence/stem"."""

    @abstractmethod
    def name(self, index: int) -> str:
        """The frame's name."""

    @abstractmethod
    def truth_file(self, index: int) -> Path:
        """The file that holds the frame's truth."""

    @abstractmethod
    def image(self, index: int, view: str) -> UInt8[np.ndarray, "H W 3"]:
        """The frame's picture of a view as stored, RGB.

        Raises:
            UserError: it is missing or damaged.
        """

    @abstractmethod
    def maps(self, index: int) -> dict[str, ViewMaps]:
        """Depth, segmentation and normals by view, as far as the dataset has them.

        Raises:
            UserError: a map is damaged.
        """

    @abstractmethod
    def _frame(self, index: int) -> FrameFile:
        """The frame's parsed JSON."""

    def joints(self, index: int) -> tuple[Float[np.ndarray, "J 3"], str | None]:
        """Truth for an evaluation: joints (m, device frame) and the action, if the dataset tells it."""
        frame = self._frame(index)
        return frame.joints_m(), frame.action

    def truth(self, index: int) -> StoredTruth:
        """Everything the frame's JSON tells, pixels as calibrated. No image is read."""
        return self._frame(index).truth(self.rig.views)

    def calibration(self, index: int) -> Rig:
        """The rig of a frame, cameras at the calibrated size."""
        return self._with(self._frame(index).extrinsics(self.rig.views))

    def _calibration(self, index: int, truth: StoredTruth) -> Rig:
        """`calibration` where the truth has been read already."""
        return self._with(truth.T_camera_device)

    def _with(self, extrinsics: Float[np.ndarray, "V 4 4"] | None) -> Rig:
        return self.rig if extrinsics is None else replace(self.rig, T_camera_device=torch.from_numpy(extrinsics))

    def __getitem__(self, index: int) -> Sample:
        """Reads one frame.

        Raises:
            UserError: an image or a joint is missing or damaged; the sentence names the file.
        """
        truth = self.truth(index)
        width, height = self.image_size
        images, joints_2d = [], []
        for view, pixels in zip(self.rig.views, torch.from_numpy(truth.joints_2d), strict=True):
            camera = self.rig.cameras[view]
            images.append(self._delivered(index, view, camera))
            scale = torch.tensor([width / camera.width, height / camera.height], dtype=pixels.dtype)
            joints_2d.append((pixels + 0.5) * scale - 0.5)
        extrinsics = self._calibration(index, truth).T_camera_device
        rig = replace(self._delivered_rig, T_camera_device=extrinsics.to(self._delivered_rig.T_camera_device.dtype))
        pixels = torch.stack(joints_2d)
        visible = None if truth.visible is None else torch.from_numpy(truth.visible)
        if visible is None:
            cameras = rig.cameras.values()
            visible = torch.stack([camera.contains(p) for camera, p in zip(cameras, pixels, strict=True)])
        return Sample(
            images=torch.stack(images),
            joints=torch.from_numpy(truth.joints).float(),
            joints_2d=pixels.float(),
            visible=visible,
            rig=rig,
            name=self.name(index),
            visibility=None if truth.visibility is None else torch.from_numpy(truth.visibility),
        )

    def _delivered(self, index: int, view: str, camera: Camera) -> UInt8[Tensor, "3 H W"]:
        image = self.image(index, view)
        height, width = image.shape[:2]
        if not camera.same_aspect(width, height):
            raise UserError(
                f"{self.root}: view '{view}' of frame {self.name(index)} is {width}x{height} but must have the aspect "
                f"ratio of its calibration, {camera.width}x{camera.height}"
            )
        if (width, height) != self.image_size:
            image = cv2.resize(image, self.image_size, interpolation=cv2.INTER_AREA)
        return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
