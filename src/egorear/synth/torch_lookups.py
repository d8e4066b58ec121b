"""The look-ups of `lookups` in torch operations on any device: all take flat lists of rays."""

import math

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from egorear.synth.floors import SIZE


def angle(y: Float32[Tensor, "*N"], x: Float32[Tensor, "*N"]) -> Float32[Tensor, "*N"]:
    """As `lookups.angle`."""
    ax, ay = x.abs(), y.abs()
    t = torch.minimum(ax, ay) / (torch.maximum(ax, ay) + 1e-20)
    s = t * t
    r = 0.0208351 * s - 0.085133
    r = (((r * s + 0.180141) * s - 0.3302995) * s + 0.999866) * t
    r = torch.where(ay > ax, math.pi / 2 - r, r)
    r = torch.where(x < 0, math.pi - r, r)
    return torch.where(y < 0, -r, r)


def sky_color(
    sky: Float32[Tensor, "S H W 3"],
    place: Int64[Tensor, "N"],
    x: Float32[Tensor, "N"],
    y: Float32[Tensor, "N"],
    z: Float32[Tensor, "N"],
) -> Float32[Tensor, "N 3"]:
    """As `lookups.sky_color`, in the map of each ray's place."""
    _, height, width, _ = sky.shape
    column = (0.5 - angle(y, x) * (0.5 / math.pi)) * width - 0.5
    row = (angle((x * x + y * y).sqrt(), z) * (1 / math.pi) * height - 0.5).clamp(0, height - 1.001)
    c, r = column.floor(), row.floor()
    fc, fr = (column - c)[:, None], (row - r)[:, None]
    top = (place * height + r.long()) * width
    c0, c1 = c.long() % width, (c.long() + 1) % width
    texels = sky.view(-1, 3)
    upper = texels[top + c0] * (1 - fc) + texels[top + c1] * fc
    lower = texels[top + width + c0] * (1 - fc) + texels[top + width + c1] * fc
    return upper * (1 - fr) + lower * fr


class Pyramids:
    """Mip pyramids [S places, K patterns, texels, C channels], looked up bilinearly."""

    def __init__(self, pyramids: Float32[Tensor, "S K texels C"]) -> None:
        _, self.patterns, self.length, channels = pyramids.shape
        self.texels = pyramids.reshape(-1, channels)
        self.levels = int(math.log2(SIZE))
        starts = [sum((SIZE >> finer) ** 2 for finer in range(level)) for level in range(self.levels + 1)]
        self.starts = torch.tensor(starts, device=pyramids.device)

    def __call__(
        self,
        place: Int64[Tensor, "N"],
        pattern: Int64[Tensor, "N"],
        u: Float32[Tensor, "N"],
        v: Float32[Tensor, "N"],
        footprint: Float32[Tensor, "N"],
    ) -> Float32[Tensor, "N C"]:
        """As `lookups.tile_color` and `tile_value`: u, v and footprint in tiles."""
        mantissa, exponent = torch.frexp(footprint * (SIZE / 1.5))
        level = (exponent - (mantissa == 0.5).int()).clamp(0, self.levels).long()  # halvings down to 1.5 texels
        size = SIZE >> level
        x, y = u * size - 0.5, v * size - 0.5
        c, r = x.floor(), y.floor()
        fc, fr = (x - c)[:, None], (y - r)[:, None]
        mask, start = size - 1, (place * self.patterns + pattern) * self.length + self.starts[level]
        top, bottom = start + (r.long() & mask) * size, start + ((r.long() + 1) & mask) * size
        c0, c1 = c.long() & mask, (c.long() + 1) & mask
        upper = self.texels[top + c0] * (1 - fc) + self.texels[top + c1] * fc
        lower = self.texels[bottom + c0] * (1 - fc) + self.texels[bottom + c1] * fc
        return upper * (1 - fr) + lower * fr


def shares(
    textures: Float32[Tensor, "S G G 2"],
    which: Int64[Tensor, "N"],
    x: Float32[Tensor, "N"],
    y: Float32[Tensor, "N"],
) -> Float32[Tensor, "N 2"]:
    """As `lookups.shares`, in the texture of that index."""
    size = textures.shape[1]
    column, row = (x + 1) * ((size - 1) / 2), (y + 1) * ((size - 1) / 2)
    outside = (torch.minimum(column, row) < 0) | (torch.maximum(column, row) >= size - 1)
    c, r = column.floor().clamp(0, size - 2), row.floor().clamp(0, size - 2)
    fc, fr = (column - c)[:, None], (row - r)[:, None]
    at = (which * size + r.long()) * size + c.long()
    texels = textures.reshape(-1, 2)
    upper = texels[at] + fc * (texels[at + 1] - texels[at])
    lower = texels[at + size] + fc * (texels[at + size + 1] - texels[at + size])
    return torch.where(outside[:, None], 1.0, upper + fr * (lower - upper))
