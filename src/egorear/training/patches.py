"""Parts of the pictures that something near hides: a box of flat colour in the image, and what the truth says of it."""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from egorear.datasets.sample import Sample
from egorear.datasets.truth import Visibility

SIDES = (0.1, 0.4)  # smallest and largest, of the image's


def erase(
    images: Float[Tensor, "B V 3 H W"], sample: Sample, share: float
) -> tuple[Float[Tensor, "B V 3 H W"], Sample]:
    """That share of the views (0..255) with a box of random place, size and colour. Joints in it stay where they are
    but are seen no more."""
    batch, views, _, height, width = images.shape
    device = images.device

    def draw(*shape: int) -> Tensor:
        return torch.rand((batch, views, *shape), device=device)

    size = torch.tensor((width, height), device=device)
    sides = ((SIDES[0] + (SIDES[1] - SIDES[0]) * draw(2)) * size).round() * (draw(1) < share)
    first = (draw(2) * size - sides / 2).floor() - 0.5  # the edge of a pixel

    def inside(coordinate: Float[Tensor, "*#B N"], axis: int) -> Bool[Tensor, "B V N"]:
        beyond = coordinate - first[..., axis, None]
        return (beyond >= 0) & (beyond < sides[..., axis, None])

    columns, rows = (inside(torch.arange(n, device=device).float(), axis) for axis, n in enumerate((width, height)))
    box = (rows[..., :, None] & columns[..., None, :])[:, :, None]
    images = torch.where(box, 255 * draw(3, 1, 1), images)
    hidden = inside(sample.joints_2d[..., 0], 0) & inside(sample.joints_2d[..., 1], 1)
    reasons = sample.visibility
    if reasons is not None:
        reasons = reasons.masked_fill(hidden & (reasons == Visibility.VISIBLE), Visibility.OTHER)
    return images, replace(sample, visible=sample.visible & ~hidden, visibility=reasons)
