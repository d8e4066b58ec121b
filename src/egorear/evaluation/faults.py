"""What goes wrong with a rig, one small class each: a fault tells the pictures and the rig that a frame then has.

A fault of another kind is another subclass that overrides `image` or `rig`, and a line in `standard_faults`.
"""

import math
import zlib
from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import UInt8

from egorear.evaluation.matching import TruthSource
from egorear.geometry.rig import Rig
from egorear.geometry.transforms import axis_angle_to_matrix

Image = UInt8[np.ndarray, "_ _ 3"]
Images = dict[str, Image | None]

LATE_FRAMES = (1, 2, 3)
ROTATIONS_DEG = (1.0, 2.0, 3.0, 5.0)
BLURS_PERCENT = (0.5, 1.0, 2.0)
NOISES_PERCENT = (5.0, 10.0, 20.0)


@runtime_checkable
class FrameSource(TruthSource, Protocol):
    """What of a dataset is needed to spoil its frames: besides the truth, pictures (RGB, as stored) and rigs."""

    def image(self, index: int, view: str) -> Image: ...

    def calibration(self, index: int) -> Rig: ...


class Take:
    """The frames of one sequence in order, each picture read once. views: those to deliver. seed: of all chance."""

    def __init__(
        self, dataset: FrameSource, name: str, frames: Sequence[int], views: Sequence[str], seed: int = 0
    ) -> None:
        self.name = name
        self.views = tuple(views)
        self._dataset = dataset
        self._frames = frames
        self._seed = seed
        self._images: dict[tuple[int, str], Image] = {}

    def image(self, index: int, view: str) -> Image:
        """The picture as stored, RGB; index counts the sequence's frames."""
        if (index, view) not in self._images:
            self._images[index, view] = self._dataset.image(self._frames[index], view)
        return self._images[index, view]

    def rig(self, index: int) -> Rig:
        """The rig that took the frame, with the views delivered."""
        return self._dataset.calibration(self._frames[index]).select(self.views)

    def chance(self, what: object) -> np.random.Generator:
        """Random numbers that depend on the seed, the sequence and `what` only."""
        return np.random.default_rng((self._seed, zlib.crc32(f"{self.name}/{what}".encode())))


@dataclass(frozen=True)
class Fault(ABC):
    """cameras: those at fault (none given: every camera). level: how bad, in `unit`.

    history: how many frames before this one the fault needs.
    """

    family: ClassVar[str]
    unit: ClassVar[str] = ""
    cameras: tuple[str, ...] | None = None
    level: int | float = 0

    @property
    def name(self) -> str:
        """As tables show it: "late 2 frames: front_left"."""
        level = f" {self.level:g}{self.unit}" if self.level else ""
        return f"{self.family}{level}: {'every camera' if self.cameras is None else ', '.join(self.cameras)}"

    @property
    def history(self) -> int:
        return 0

    def apply(self, take: Take, index: int) -> tuple[Images, Rig]:
        """What the tracker gets for a frame: its pictures by view (none: no picture came), and the rig it is told."""
        images: Images = {}
        for view in take.views:
            hit = self.cameras is None or view in self.cameras
            images[view] = self.image(take, index, view) if hit else take.image(index, view)
        return images, self.rig(take, index)

    def image(self, take: Take, index: int, view: str) -> Image | None:
        """What a camera at fault delivers."""
        return take.image(index, view)

    def rig(self, take: Take, index: int) -> Rig:
        """The rig that the tracker is told."""
        return take.rig(index)


@dataclass(frozen=True)
class NoFault(Fault):
    """Frames as they are; what all others are compared with."""

    family: ClassVar[str] = "none"
    cameras: tuple[str, ...] | None = ()

    @property
    def name(self) -> str:
        return self.family


class Lost(Fault):
    """No picture comes, and the tracker knows."""

    family: ClassVar[str] = "lost"

    def image(self, take: Take, index: int, view: str) -> None:
        return None


class Black(Fault):
    """Black pictures come, and the tracker does not know."""

    family: ClassVar[str] = "black"

    def image(self, take: Take, index: int, view: str) -> Image:
        return np.zeros_like(take.image(index, view))


class Frozen(Fault):
    """The picture stays that of the sequence's first frame."""

    family: ClassVar[str] = "frozen"

    @property
    def history(self) -> int:
        return 1

    def image(self, take: Take, index: int, view: str) -> Image:
        return take.image(0, view)


class Swapped(Fault):
    """The pictures of two cameras come under each other's name."""

    family: ClassVar[str] = "swapped"

    def image(self, take: Take, index: int, view: str) -> Image:
        first, second = self.cameras or (view, view)
        return take.image(index, second if view == first else first)


class Late(Fault):
    """The picture is the one taken `level` frames before."""

    family: ClassVar[str] = "late"
    unit: ClassVar[str] = " frames"

    @property
    def history(self) -> int:
        return int(self.level)

    def image(self, take: Take, index: int, view: str) -> Image:
        return take.image(index - self.history, view)


class Turned(Fault):
    """The rig says that the camera looks `level` degrees elsewhere than it does.

    It is turned about its own centre, around an axis that is random for each camera and sequence (uniform on the
    sphere) and the same at every level.
    """

    family: ClassVar[str] = "extrinsics"
    unit: ClassVar[str] = "°"

    def rig(self, take: Take, index: int) -> Rig:
        rig = take.rig(index)
        T = rig.T_camera_device.clone()
        for view in self.cameras or take.views:
            axis = take.chance(f"{view}/axis").normal(size=3)
            turn = torch.from_numpy(math.radians(self.level) * axis / np.linalg.norm(axis))
            v = rig.views.index(view)
            # From the left: points keep their distance from the camera's centre, the origin of its frame.
            T[v, :3] = (axis_angle_to_matrix(turn) @ T[v, :3].double()).to(T)
        return replace(rig, T_camera_device=T)


class Blurred(Fault):
    """Gaussian blur, its sigma in per cent of the picture's width."""

    family: ClassVar[str] = "blur"
    unit: ClassVar[str] = " %"

    def image(self, take: Take, index: int, view: str) -> Image:
        image = take.image(index, view)
        return cv2.GaussianBlur(image, (0, 0), self.level / 100 * image.shape[1]).astype(np.uint8, copy=False)


class Noisy(Fault):
    """Independent Gaussian noise on every stored pixel and colour, its deviation in per cent of full scale."""

    family: ClassVar[str] = "noise"
    unit: ClassVar[str] = " %"

    def image(self, take: Take, index: int, view: str) -> Image:
        image = take.image(index, view)
        noise = take.chance(f"{index}/{view}/noise").standard_normal(image.shape, np.float32)
        return np.clip(image + 2.55 * self.level * noise + 0.5, 0, 255).astype(np.uint8)


def standard_faults(rig: Rig, views: Sequence[str], longest: int) -> list[Fault]:
    """The faults of the study, no fault first. Those that cannot be are left out: the loss of an only camera, a swap
    without a pair, a picture from before the sequence.

    views: of the rig, those that the tracker uses. longest: how many frames the longest sequence has.
    """
    each = [(view,) for view in views]
    several = len(views) > 1
    faults: list[Fault] = [NoFault()]
    if several:
        faults += [Lost(camera) for camera in each] + [Black(camera) for camera in each]
    faults += [Frozen(camera) for camera in each]
    faults += [Swapped(pair) for pair in _pairs(rig, views)]
    faults += [Late(camera, frames) for frames in LATE_FRAMES for camera in each]
    faults += [Turned(camera, deg) for deg in ROTATIONS_DEG for camera in each]
    faults += [Turned(None, deg) for deg in ROTATIONS_DEG if several]
    faults += [Blurred(None, percent) for percent in BLURS_PERCENT]
    faults += [Noisy(None, percent) for percent in NOISES_PERCENT]
    return [fault for fault in faults if fault.history < longest]


def _pairs(rig: Rig, views: Sequence[str]) -> list[tuple[str, str]]:
    """Left and right cameras of one place whose pictures have the same shape."""
    pairs = [(view, view.replace("left", "right")) for view in views if "left" in view]
    cameras = rig.cameras
    return [
        (left, right)
        for left, right in pairs
        if right in views and cameras[left].same_aspect(cameras[right].width, cameras[right].height)
    ]
