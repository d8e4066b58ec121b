"""Similarity alignment of poses, as PA-MPJPE needs it (Umeyama, 1991)."""

import torch
from jaxtyping import Float
from torch import Tensor


def procrustes_align(pred: Float[Tensor, "*B J 3"], target: Float[Tensor, "*B J 3"]) -> Float[Tensor, "*B J 3"]:
    """Moves each predicted pose onto its target by the rotation, scale and shift of least squares; never a mirror.

    Defined for every finite pose: where the rotation is not unique (joints on a line, or one joint) one of the best
    is taken; a prediction without extent (all joints at one point) goes to the target's centroid. Computed in float64.
    """
    x, y = pred.double(), target.double()
    x_mean, y_mean = x.mean(-2, keepdim=True), y.mean(-2, keepdim=True)
    x, y = x - x_mean, y - y_mean
    # Dividing by the extent first keeps tiny and huge poses alike within the numbers' range.
    extent = x.abs().amax((-2, -1), keepdim=True)
    x = x / torch.where(extent > 0, extent, 1.0)
    U, singular, Vt = torch.linalg.svd(x.mT @ y)
    mirrored = torch.linalg.det(U @ Vt) < 0
    sign = torch.ones_like(singular)
    sign[..., -1] = torch.where(mirrored, -1.0, 1.0)
    rotation = (U * sign[..., None, :]) @ Vt
    variance = x.square().sum((-2, -1))
    scale = torch.where(variance > 0, (singular * sign).sum(-1) / torch.where(variance > 0, variance, 1.0), 0.0)
    return (scale[..., None, None] * (x @ rotation) + y_mean).to(pred.dtype)
