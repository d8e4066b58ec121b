"""Joints to heatmaps and back, batched on any device.

Joints are in pixels of a square image of `image_size`, the centre of its top-left pixel at (0, 0); maps are square too.
"""

import torch
from jaxtyping import Float
from torch import Tensor

STAMP_RADIUS = 3.0  # of the official 7x7 window


def stamped_heatmaps(
    joints_2d: Float[Tensor, "*B 2"], image_size: int, size: int = 64
) -> Float[Tensor, "*B {size} {size}"]:
    """The target of the official training (EgoRear, ICCV 2025): peak 1, zero outside a 7x7 window.

    The centre is the whole heatmap pixel floor(joint·size/image_size + 0.5): the official formula, which adds no
    half pixel, so give pixels of the calibration (872) to reproduce its maps exactly. Gaussian of sigma 1. A joint
    whose window misses the map, or that is not finite, gives zeros.
    """
    centre = (joints_2d * size / image_size + 0.5).floor()
    return _separable(centre, size, sigma=1.0, radius=STAMP_RADIUS)


def gaussian_heatmaps(
    joints_2d: Float[Tensor, "*B 2"], image_size: int, size: int = 64, sigma: float = 1.0
) -> Float[Tensor, "*B {size} {size}"]:
    """Sub-pixel form: a whole Gaussian about the joint's exact place, (x + 0.5)·size/image_size - 0.5.

    `sigma` is in heatmap pixels; the peak is 1 at the joint, hence less on the nearest pixel. A joint that is not
    finite gives zeros.
    """
    return _separable((joints_2d + 0.5) * (size / image_size) - 0.5, size, sigma, radius=float("inf"))


def argmax_2d(heatmaps: Float[Tensor, "*B H W"]) -> tuple[Float[Tensor, "*B 2"], Float[Tensor, "*B"]]:
    """Index (x, y) of the largest value, in heatmap pixels, and that value."""
    width = heatmaps.shape[-1]
    peak, index = heatmaps.flatten(-2).max(-1)
    return torch.stack((index % width, index // width), -1).to(heatmaps.dtype), peak


def soft_argmax(logits: Float[Tensor, "*B H W"]) -> Float[Tensor, "*B 2"]:
    """Mean place (x, y) under the softmax of a map, in heatmap pixels; differentiable."""
    height, width = logits.shape[-2:]
    weights = logits.flatten(-2).softmax(-1).unflatten(-1, (height, width))
    columns = torch.arange(width, dtype=logits.dtype, device=logits.device)
    rows = torch.arange(height, dtype=logits.dtype, device=logits.device)
    return torch.stack(((weights.sum(-2) * columns).sum(-1), (weights.sum(-1) * rows).sum(-1)), -1)


def to_image_pixels(places: Float[Tensor, "*B 2"], image_size: int, size: int = 64) -> Float[Tensor, "*B 2"]:
    """Heatmap pixels to image pixels; undoes the sub-pixel form."""
    return (places + 0.5) * (image_size / size) - 0.5


def _separable(
    centre: Float[Tensor, "*B 2"], size: int, sigma: float, radius: float
) -> Float[Tensor, "*B {size} {size}"]:
    """Gaussians as products of a row and a column, cut beyond `radius` pixels from the centre in x or y."""
    pixels = torch.arange(size, dtype=centre.dtype, device=centre.device)
    finite = centre.isfinite().all(-1, keepdim=True)
    distance = pixels - torch.where(finite, centre, 0.0)[..., None]
    profile = torch.exp(distance.square() / (-2 * sigma**2)) * ((distance.abs() <= radius) & finite[..., None])
    return profile[..., 1, :, None] * profile[..., 0, None, :]
