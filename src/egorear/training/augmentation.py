"""Photometric augmentation on the training device; the geometry of calibrated images stays as it is.

Mirroring left and right would need mirror-symmetric lenses, which the real ones are not.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Strengths, in units of ImageNet-normalised intensity; drawn anew for every frame and view.

    contrast: scale of the whole image, 1 ± contrast. colour: scale of each channel, 1 ± colour.
    brightness: standard deviation of an offset. noise: standard deviation per pixel (0 is cheapest on a CPU).
    """

    contrast: float = 0.2
    colour: float = 0.1
    brightness: float = 0.2
    noise: float = 0.0

    def __call__(self, images: Float[Tensor, "B V 3 H W"]) -> Float[Tensor, "B V 3 H W"]:
        """Changes normalised images in place and returns them."""

        def around_one(strength: float, channels: int) -> Tensor:
            shape = (*images.shape[:2], channels, 1, 1)
            return 1 + strength * (2 * torch.rand(shape, device=images.device) - 1)

        images.mul_(around_one(self.contrast, 1) * around_one(self.colour, 3))
        images.add_(self.brightness * torch.randn((*images.shape[:2], 1, 1, 1), device=images.device))
        return images.add_(self.noise * torch.randn_like(images)) if self.noise else images
