"""What happens to light and pixels, not to geometry: colour and exposure, blur, sensor noise.

Every view of every frame draws for itself, from the global generator of the images' device.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from egorear.models.images import IMAGENET_MEAN, IMAGENET_STD

Images = Float[Tensor, "B V 3 H W"]

BLUR_REACH = 2.5  # standard deviations at which the Gaussian is cut off


def normalized_in_other_light(images: Images, contrast: float, colour: float, brightness: float) -> Images:
    """Images (0..255), normalised as `models.images.normalize` does and then scaled and offset at random: see
    `Augmentation` for the strengths. One pass over the pixels."""
    shape = (*images.shape[:2], 3, 1, 1)

    def around_one(strength: float, channels: int) -> Tensor:
        return 1 + strength * (2 * torch.rand((*shape[:2], channels, 1, 1), device=images.device) - 1)

    mean, std = (images.new_tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    scale = around_one(contrast, 1) * around_one(colour, 3) / std
    offset = brightness * torch.randn((*shape[:2], 1, 1, 1), device=images.device)
    return images.mul_(scale / 255).add_(offset - mean * scale)


def blur(images: Images, most: float) -> Images:
    """Half of the views through a Gaussian of random standard deviation, `most` pixels at most."""
    deviation = _half_of_the_views(images, most)
    rows = deviation.nonzero()[:, 0]
    if not len(rows):
        return images
    reach = max(1, math.ceil(BLUR_REACH * most))
    steps = torch.arange(reach + 1, device=images.device)
    weights = torch.exp(-(steps**2) / (2 * deviation[rows, None] ** 2))
    weights = weights / (2 * weights.sum(1, keepdim=True) - 1)  # all steps but the middle one are taken twice
    views = images.flatten(0, 1)
    blurred = views[rows]
    for dim in (-1, -2):
        blurred = _weighted_shifts(blurred, weights, dim)
    views[rows] = blurred
    return images


def _weighted_shifts(images: Float[Tensor, "N 3 H W"], weights: Float[Tensor, "N K"], dim: int) -> Tensor:
    """Σ_k weights_k (image shifted by k + image shifted by -k) along one dimension; the border is repeated."""
    reach, size = weights.shape[1] - 1, images.shape[dim]
    padding = (reach, reach, 0, 0) if dim == -1 else (0, 0, reach, reach)
    padded = F.pad(images, padding, mode="replicate")
    weights = weights[:, :, None, None, None]
    result = images * weights[:, 0]
    for k in range(1, reach + 1):
        both = padded.narrow(dim, reach - k, size) + padded.narrow(dim, reach + k, size)
        result.addcmul_(both, weights[:, k])
    return result


def add_noise(images: Images, most: float) -> Images:
    """Half of the views with Gaussian noise of random standard deviation, at most `most`."""
    deviation = _half_of_the_views(images, most)
    rows = deviation.nonzero()[:, 0]
    if len(rows):
        views = images.flatten(0, 1)
        noise = torch.randn((len(rows), *images.shape[2:]), device=images.device)
        views[rows] += noise.mul_(deviation[rows, None, None, None])
    return images


def _half_of_the_views(images: Images, most: float) -> Float[Tensor, "N"]:
    """A random strength for each view (B and V flattened): zero for half of them, else evenly up to `most`."""
    return most * (2 * torch.rand(images.shape[0] * images.shape[1], device=images.device) - 1).clamp_min(0)
