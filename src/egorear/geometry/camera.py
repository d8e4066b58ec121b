"""What every camera shares: points of the camera frame to pixels and pixels to unit rays, for any batch shape.

Camera frame: OpenCV axes (x right, y down, z forward along the optical axis). Pixels: the centre of the top-left
pixel is (0, 0), so an image of width W spans -0.5 to W - 0.5.

A model is a pair of functions between directions and its image plane (`_distort`, `_undistort`) and one affine map
from that plane to pixels; resizing, cropping and padding only touch the affine map, hence are exact for every model.
Values and gradients are finite for every input, NaN and infinity included; what is meaningless is marked invalid.
"""

import math
import reprlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egorear.errors import UserError

NEAREST_M = 1e-6  # a point closer to the projection centre has no direction
FARTHEST_PX = 1e7  # a pixel coordinate beyond this is treated as infinite
LARGEST_SIDE_PX = 2**15
ASPECT_TOLERANCE = 0.01  # the sizes of one image at two resolutions are rounded
FIELD_SAMPLES = 512  # angles at which a new camera's field of view is checked
LEAST_GROWTH = 0.04  # of the radius, per angle and against its growth at the axis: flatter cannot be inverted


@dataclass(frozen=True, kw_only=True)
class Camera(ABC):
    """A calibrated lens and the image behind it.

    Constructing one checks it: the image radius must grow with the angle to the axis all over the field of view.

    Raises:
        UserError: a parameter is not finite, the size is not positive, the principal point lies outside the image,
            or the model folds over inside its field of view.
    """

    MODEL: ClassVar[str]

    width: int
    height: int
    max_angle: float = math.inf
    """Radians from the optical axis up to which the model holds; infinite: up to the farthest image corner, or to
    where the model stops growing, whichever comes first."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Calibrated pixels to pixels of this image: x' = scale·x + shift."""
    shift: tuple[float, float] = (0.0, 0.0)
    calibrated_size: tuple[int, int] = (0, 0)
    """Width and height of the image that was calibrated, before any resizing or cropping; (0, 0): this one."""
    mask: str | None = None
    """Image of the calibrated size, white where the lens sees the scene; a path relative to the rig file."""

    @property
    def _angle_limit(self) -> float:
        """The widest `max_angle` (radians) the model's formulas can hold."""
        return math.pi

    @property
    @abstractmethod
    def _plane_to_calibrated(self) -> tuple[float, float, float, float, float, float]:
        """Rows (a, b, tx), (c, d, ty) of the affine map from the image plane to calibrated pixels."""

    @abstractmethod
    def _distort(
        self, x: Float[Tensor, "*shape"], y: Float[Tensor, "*shape"], z: Float[Tensor, "*shape"]
    ) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
        """Directions whose largest coordinate is ±1 to the image plane."""

    @abstractmethod
    def _undistort(
        self, x: Float[Tensor, "*shape"], y: Float[Tensor, "*shape"]
    ) -> tuple[Float[Tensor, "*shape 3"], Bool[Tensor, "*shape"]]:
        """Image plane to unit rays, and where the ray is inside the field of view."""

    def __post_init__(self) -> None:
        if self.calibrated_size == (0, 0):
            object.__setattr__(self, "calibrated_size", (self.width, self.height))
        _check_size_and_numbers(self)
        if math.isinf(self.max_angle):
            object.__setattr__(self, "max_angle", _widest_angle(self))
        _check_field_of_view(self)
        # Fill the cached constants now: torch.compile cannot enter the lock of cached_property.
        self._undistort(torch.zeros(1), torch.zeros(1))

    def project(self, points: Float[Tensor, "*shape 3"]) -> tuple[Float[Tensor, "*shape 2"], Bool[Tensor, "*shape"]]:
        """Points (camera frame, m) to pixels, and whether the model holds for them.

        Valid means at most `max_angle` from the axis and not at the origin; `contains` tells if the pixel is inside
        the image. The axis maps to the principal point, also behind the lens.
        """
        size = points.detach().abs().amax(-1)
        usable = (size > NEAREST_M) & (size < math.inf)
        # Projection does not depend on length: dividing by the detached size changes neither value nor gradient.
        directions = points / torch.where(usable, size, 1.0)[..., None]
        x, y, z = torch.where(usable[..., None], directions, 0.0).unbind(-1)
        z = torch.where(usable, z, 1.0)
        radius = (x.detach().square() + y.detach().square()).sqrt()
        # sin(max_angle - angle) ≥ 0, written without the angle.
        valid = usable & (radius * math.cos(self.max_angle) <= z * math.sin(self.max_angle))
        u, v = self._distort(x, y, z)
        a, b, tx, c, d, ty = self._plane_to_pixels
        return torch.stack((u * a + v * b + tx, u * c + v * d + ty), -1), valid

    def unproject(self, pixels: Float[Tensor, "*shape 2"]) -> tuple[Float[Tensor, "*shape 3"], Bool[Tensor, "*shape"]]:
        """Pixels to unit rays (camera frame), and whether the pixel is inside the field of view.

        Exact inverse of `project` there (below 1e-3 px, also in float32; UnrealEgo's polynomial of degree 18 below
        0.01 px in float32); elsewhere finite and marked invalid.
        """
        usable = pixels.detach().abs().amax(-1) < FARTHEST_PX
        column, row = torch.where(usable[..., None], pixels, 0.0).unbind(-1)
        a, b, tx, c, d, ty = self._plane_to_pixels
        determinant = a * d - b * c
        column, row = column - tx, row - ty
        rays, solved = self._undistort(
            column * (d / determinant) - row * (b / determinant),
            row * (a / determinant) - column * (c / determinant),
        )
        return rays, usable & solved

    def contains(self, pixels: Float[Tensor, "*shape 2"]) -> Bool[Tensor, "*shape"]:
        """Whether pixels lie inside the image, its outermost pixels whole: -0.5 ≤ x < width - 0.5."""
        x, y = pixels.unbind(-1)
        return (x >= -0.5) & (x < self.width - 0.5) & (y >= -0.5) & (y < self.height - 0.5)

    def same_aspect(self, width: int, height: int) -> bool:
        """Whether an image of that size can be this camera's at another resolution."""
        return abs(width * self.height / (height * self.width) - 1) <= ASPECT_TOLERANCE

    def resized(self, width: int, height: int) -> "Camera":
        """The camera of the same image resampled to `width` x `height`: x' = (x + 0.5)·s - 0.5."""
        sx, sy = width / self.width, height / self.height
        shift = ((self.shift[0] + 0.5) * sx - 0.5, (self.shift[1] + 0.5) * sy - 0.5)
        scale = (self.scale[0] * sx, self.scale[1] * sy)
        return replace(self, width=width, height=height, scale=scale, shift=shift)

    def cropped(self, x: int, y: int, width: int, height: int) -> "Camera":
        """The camera of the window whose top-left pixel is (x, y)."""
        return replace(self, width=width, height=height, shift=(self.shift[0] - x, self.shift[1] - y))

    def padded(self, left: int, top: int, right: int, bottom: int) -> "Camera":
        """The camera of the image with that many pixels added on each side."""
        return self.cropped(-left, -top, self.width + left + right, self.height + top + bottom)

    @property
    def principal_point(self) -> tuple[float, float]:
        """Pixel (x, y) of the optical axis."""
        return self._plane_to_pixels[2], self._plane_to_pixels[5]

    @cached_property
    def _plane_to_pixels(self) -> tuple[float, float, float, float, float, float]:
        a, b, tx, c, d, ty = self._plane_to_calibrated
        (sx, sy), (ox, oy) = self.scale, self.shift
        return a * sx, b * sx, tx * sx + ox, c * sy, d * sy, ty * sy + oy


def _check_size_and_numbers(camera: Camera) -> None:
    for name in ("width", "height"):
        size = getattr(camera, name)
        if not isinstance(size, int) or not 0 < size <= LARGEST_SIDE_PX:
            raise UserError(
                f"'{name}' is {reprlib.repr(size)} but must be a positive whole number of pixels, "
                f"at most {LARGEST_SIDE_PX}"
            )
    for entry in fields(camera):
        value = getattr(camera, entry.name)
        if entry.name in ("max_angle", "mask"):
            continue
        if not np.isfinite(np.asarray(value, dtype=float)).all():
            raise UserError(f"'{entry.name}' is {value} but must be finite")
    if not camera.max_angle > 0.0:
        raise UserError(f"'max_angle_deg' is {math.degrees(camera.max_angle):.4g} but must be positive")
    if math.isfinite(camera.max_angle) and camera.max_angle > camera._angle_limit:
        raise UserError(
            f"'max_angle_deg' is {math.degrees(camera.max_angle):.4g} but a {camera.MODEL} model must stay "
            f"within {math.degrees(camera._angle_limit):.4g}"
        )
    a, b, _, c, d, _ = camera._plane_to_pixels
    if not a * d - b * c > 0 or min(camera.scale) <= 0:
        raise UserError("the focal lengths, 'affine' and 'scale' must keep the image's orientation (all positive)")
    _, _, x, _, _, y = camera._plane_to_calibrated
    width, height = camera.calibrated_size
    if not (0 <= x < width and 0 <= y < height):
        raise UserError(
            f"the principal point ({x:.4g}, {y:.4g}) must be (x, y) inside the {width}x{height} image calibrated"
        )


def _radii(camera: Camera, angles: np.ndarray) -> np.ndarray:
    """Image plane radius over angles (rows) in eight directions around the axis (columns), in float64."""
    around = np.arange(8) * (math.pi / 4)
    sine, cosine = np.sin(angles)[:, None], np.cos(angles)[:, None] + 0.0 * around
    directions = np.stack((sine * np.cos(around), sine * np.sin(around), cosine), -1)
    x, y, z = torch.from_numpy(directions / np.abs(directions).max(-1, keepdims=True)).unbind(-1)
    u, v = camera._distort(x, y, z)
    return (u * torch.from_numpy(np.cos(around)) + v * torch.from_numpy(np.sin(around))).numpy()


def _growing(radii: np.ndarray, least: float) -> np.ndarray:
    """Per step along the angles: whether the radius grows by that fraction of the first step, all around."""
    steps = np.diff(radii, axis=0)
    return ((steps > 0) & (steps >= least * steps[0])).all(1)


def _widest_angle(camera: Camera) -> float:
    """Angle of the farthest image corner, or where the radius stops growing if that comes first."""
    angles = np.linspace(0.0, camera._angle_limit, 2048)
    radii = _radii(camera, angles)
    a, b, tx, c, d, ty = camera._plane_to_pixels
    corners = [(x - tx, y - ty) for x in (-0.5, camera.width - 0.5) for y in (-0.5, camera.height - 0.5)]
    farthest = max(math.hypot(d * x - b * y, a * y - c * x) for x, y in corners) / (a * d - b * c)
    grows = int(np.append(_growing(radii, 2 * LEAST_GROWTH), False).argmin())
    reaches = int(np.append((radii >= farthest).all(1), True).argmax())
    return float(angles[min(reaches, max(grows - 1, 0))])


def _check_field_of_view(camera: Camera) -> None:
    growing = _growing(_radii(camera, np.linspace(0.0, camera.max_angle, FIELD_SAMPLES)), LEAST_GROWTH)
    if not (camera.max_angle > 0 and growing.all()):
        stop = math.degrees(camera.max_angle) * float(growing.argmin()) / (FIELD_SAMPLES - 1)
        raise UserError(
            f"the {camera.MODEL} parameters fold over: the image radius must grow with the angle to the axis up to "
            f"'max_angle_deg' ({math.degrees(camera.max_angle):.4g}) but is not monotone from {stop:.3g}° on"
        )
