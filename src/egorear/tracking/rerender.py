"""Any fisheye for a network that knows one lens: images re-rendered as the training camera would have seen them.

A pixel of the training camera is a ray; turned into the user's camera and projected there, it tells which pixel to
copy. Only the direction counts, so the camera's place must stay where it is: the network is told it (the rig).
"""

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from egorear.geometry.cameras import Camera

SAME_LENS_PX = 0.25  # calibrations that differ by less at the network's resolution are one
SAME_MOUNT_DEG = 10.0  # the recordings of one device (Ego4View-RW) differ by 6°, and networks are trained on them


@dataclass(frozen=True)
class ViewWarp:
    """From one view's image, taken by `source`, to the one `target` would have taken from the same place.

    rotation: rows of the matrix that takes directions of the training camera to the source camera.
    Where the lenses are the same and the mounting nearly so, the image is only resized (`resizes`) and keeps its own
    orientation; what `source` did not see is black.
    """

    source: Camera
    target: Camera
    rotation: tuple[tuple[float, ...], ...]

    def __call__(self, image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """The image (of the source camera's size) at the target's size."""
        size = self.target.width, self.target.height
        if self.resizes:
            return image if image.shape[1::-1] == size else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        shrunk, columns, rows = self._map
        if image.shape[1::-1] != shrunk:
            image = cv2.resize(image, shrunk, interpolation=cv2.INTER_AREA)
        return cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT).astype(np.uint8)

    def to_source(self, pixels: Float[Tensor, "*N 2"]) -> Float[Tensor, "*N 2"]:
        """Pixels of the target back to the source image; the inverse of what `__call__` does to them."""
        if self.resizes:
            scale = [self.source.width / self.target.width, self.source.height / self.target.height]
            return (pixels + 0.5) * pixels.new_tensor(scale) - 0.5
        return self._look_up(self.source, pixels)[0]

    @cached_property
    def resizes(self) -> bool:
        """Whether source and target differ in resolution only."""
        trace = sum(self.rotation[i][i] for i in range(3))
        if math.degrees(math.acos(max(-1.0, min(1.0, (trace - 1) / 2)))) > SAME_MOUNT_DEG:
            return False
        pixels = self._grid
        rays, seen = self.target.unproject(pixels)
        same, valid = self.source.resized(self.target.width, self.target.height).project(rays)
        distance = (same - pixels).norm(dim=-1)[seen & valid]
        return len(distance) > 0 and bool(distance.max() < SAME_LENS_PX)

    @cached_property
    def coverage(self) -> float:
        """Share of the training camera's field of view that the source camera saw."""
        seen = self.target.unproject(self._grid)[1]
        found = self._look_up(self.source, self._grid)[1]
        return 1.0 if self.resizes else float((found & seen).sum() / seen.sum())

    @cached_property
    def _grid(self) -> Float[Tensor, "h w 2"]:
        """Every pixel (x, y) of the target."""
        rows, columns = torch.meshgrid(
            torch.arange(self.target.height, dtype=torch.float64),
            torch.arange(self.target.width, dtype=torch.float64),
            indexing="ij",
        )
        return torch.stack((columns, rows), dim=-1)

    @cached_property
    def _map(self) -> tuple[tuple[int, int], np.ndarray, np.ndarray]:
        """The size to shrink the source to before sampling it (else a large image would alias), and the pixels of
        that to copy; -2 is outside."""
        at, found = self._look_up(self.source, self._grid)
        steps = (at[1:, :-1] - at[:-1, :-1]).norm(dim=-1)[found[1:, :-1] & found[:-1, :-1]]
        step = max(1.0, float(steps.median())) if len(steps) else 1.0
        shrunk = max(1, round(self.source.width / step)), max(1, round(self.source.height / step))
        at, found = self._look_up(self.source.resized(*shrunk), self._grid)
        at = torch.where(found[..., None], at, -2.0).float().numpy()
        return shrunk, np.ascontiguousarray(at[..., 0]), np.ascontiguousarray(at[..., 1])

    def _look_up(
        self, source: Camera, pixels: Float[Tensor, "*N 2"]
    ) -> tuple[Float[Tensor, "*N 2"], Bool[Tensor, "*N"]]:
        """Pixels of the target to those of the source camera at some resolution, and where it saw them."""
        rays, seen = self.target.unproject(pixels)
        turned = (rays[..., None, :] * rays.new_tensor(self.rotation)).sum(dim=-1)
        at, valid = source.project(turned)
        return at, seen & valid & source.contains(at)


@lru_cache(maxsize=64)
def view_warp(source: Camera, target: Camera, rotation: tuple[tuple[float, ...], ...]) -> ViewWarp:
    """The warp between two cameras; kept, since its map takes longer than a frame."""
    return ViewWarp(source, target, rotation)
