"""What `shadows` computes, for many scenes at once, in torch operations on any device.

The sun's map is drawn by `torch_rasterizer`, whose rule for edges differs a little from that of `shadows`. All
scenes have as many vertices N and triangles F: shorter lists are padded, triangles by (0, 0, 0).
"""

import math

import torch
from jaxtyping import Float32, Int32
from torch import Tensor

from egorear.synth import shadows
from egorear.synth.shadows import FLOOR_FADE, FLOOR_TEXELS, LARGEST_MAP, LOWEST_SUN, TEXEL_M
from egorear.synth.torch_rasterizer import rasterize, snap

DARKENING, DARKENING_M = float(shadows.FLOOR_DARKENING), float(shadows.FLOOR_DARKENING_M)
REACH_M, SPREAD = float(shadows.REACH_M), float(shadows.SUN_SPREAD)
MARGIN = 4  # texels free around the silhouette: a lifted vertex may leave it


def vertex_normals(vertices: Float32[Tensor, "S N 3"], triangles: Int32[Tensor, "S F 3"]) -> Float32[Tensor, "S N 3"]:
    """As `rasterizer.vertex_normals`."""
    corners = triangles.long()[..., None].expand(-1, -1, -1, 3)
    a, b, c = (vertices.gather(1, corners[:, :, k]) for k in range(3))
    normal = torch.linalg.cross(b - a, c - a)
    total = torch.zeros_like(vertices)
    for k in range(3):
        total.scatter_add_(1, corners[:, :, k], normal)
    return total / total.norm(dim=-1, keepdim=True).clamp(min=1e-12)


class Sun:
    """Depth maps of scenes as the sun sees them.

    direction: unit vectors towards the sun; where one is nearly level, nothing is shadowed. depth[S, row, column]:
    metres towards the sun, -inf where there is nothing; axes, corner and texel: see `shadows._sun_map`.
    """

    def __init__(
        self, vertices: Float32[Tensor, "S N 3"], triangles: Int32[Tensor, "S F 3"], direction: Float32[Tensor, "S 3"]
    ) -> None:
        self.direction, self.up = direction, direction[:, 2] >= LOWEST_SUN
        x, y, z = direction.unbind(1)
        level = (x * x + y * y).sqrt()
        turned = level > 1e-4
        ux, uy = torch.where(turned, -y / level, 1.0), torch.where(turned, x / level, 0.0)
        none = torch.zeros_like(z)
        self.axes = torch.stack(
            (torch.stack((ux, uy, none), 1), torch.stack((-z * uy, z * ux, x * uy - y * ux), 1), direction), 1
        )
        self.seen = self.turned(vertices)
        low, high = self.seen.amin(1), self.seen.amax(1)
        extent = (high - low)[:, :2].amax(1)
        self.texel = (extent / (LARGEST_MAP - 10)).clamp(min=TEXEL_M)
        self.corner = low[:, :2] - MARGIN * self.texel[:, None]
        # The rasteriser keeps the largest of what it interpolates, 1 / distance: here the height towards the sun.
        height = self.seen[..., 2] - low[:, None, 2] + 1
        xy = snap(((self.seen[..., :2] - self.corner[:, None]) / self.texel[:, None, None]).double())
        valid = torch.ones(height.shape, dtype=torch.bool, device=height.device)
        nearest, _ = rasterize(xy, 1 / height, valid, triangles, LARGEST_MAP, LARGEST_MAP)
        depth = 1 / nearest - 1 + low[:, 2, None, None]
        self.depth = torch.where(nearest < math.inf, depth, -math.inf)

    def turned(self, points: Float32[Tensor, "S N 3"]) -> Float32[Tensor, "S N 3"]:
        """Points in the axes of the map."""
        u, v, t = self.axes[:, None].unbind(2)
        return torch.stack([(axis * points).sum(-1) for axis in (u, v, t)], -1)

    def visibility(self, normals: Float32[Tensor, "S N 3"]) -> Float32[Tensor, "S N"]:
        """As `shadows.Sun.visibility`."""
        texel = self.texel[:, None]
        along = self.turned(normals)
        facing = along[..., 2]
        lift = 2.2 * texel * (1 - facing * facing).clamp(min=0).sqrt() + 0.5 * texel
        lifted = self.seen + lift[..., None] * along
        x, y = ((lifted[..., :2] - self.corner[:, None]) / texel[..., None] - 1).unbind(2)
        column, row = (x + 0.5).floor(), (y + 0.5).floor()
        fx, fy = x + 0.5 - column, y + 0.5 - row
        depth, first = self.depth.flatten(1), (row.long() * LARGEST_MAP + column.long())
        dark = torch.zeros_like(facing)
        for r, wy in enumerate((1 - fy, 1, fy)):
            for c, wx in enumerate((1 - fx, 1, fx)):
                at = (first + (r * LARGEST_MAP + c)).clamp(0, depth.shape[1] - 1)
                dark += (depth.gather(1, at) > lifted[..., 2]) * wx * wy
        lit = torch.where(facing > 0, (1 - dark / 4).clamp(min=0), 0.0)
        return torch.where(self.up[:, None], lit, 1.0)

    def on_floor(self, points: Float32[Tensor, "S P 3"]) -> Float32[Tensor, "S P"]:
        """Share of the sun that reaches points of the floor."""
        texel = self.texel[:, None]
        rows = self.corner[:, 1:] + torch.arange(LARGEST_MAP, device=points.device) * texel
        floor = -rows * self.axes[:, 1, 2:] / self.axes[:, 2, 2:]
        covered = self.depth > -math.inf
        gap = torch.where(covered, self.depth - floor[..., None], 0.0)
        count, gaps = (_sums(image.double()) for image in (covered, gap))
        x, y = ((self.turned(points)[..., :2] - self.corner[:, None]) / texel[..., None] + 0.5).double().unbind(2)
        reach = (REACH_M / texel).double()
        total = _box(count, x, y, reach)
        mean = (_box(gaps, x, y, reach) / total.clamp(min=1e-3)).clamp(min=0)
        width = (SPREAD * mean / texel).clamp(min=1)
        share = (1 - _box(count, x, y, width) / (4 * width * width)).clamp(min=0)
        return torch.where((total >= 1e-3) & self.up[:, None], share, 1.0).float()


def openness(
    vertices: Float32[Tensor, "S N 3"], normals: Float32[Tensor, "S N 3"], spheres: Float32[Tensor, "S K 4"]
) -> Float32[Tensor, "S N"]:
    """As `shadows.openness`."""
    near = DARKENING_M / (DARKENING_M + vertices[..., 2].clamp(min=0))
    over_floor = 1 - DARKENING * near * near * 0.5 * (1 - normals[..., 2])
    return _open(vertices, normals, spheres) * over_floor


def floor_light(
    sun: Sun, spheres: Float32[Tensor, "S K 4"], centre: Float32[Tensor, "S 2"], half_width: Float32[Tensor, "S"]
) -> Float32[Tensor, "S G G 2"]:
    """As `shadows.floor_light`."""
    way = torch.linspace(-1, 1, FLOOR_TEXELS, device=centre.device)
    offset = way * half_width[:, None]
    x, y = centre[:, :1] + offset, centre[:, 1:] + offset
    grid = torch.broadcast_tensors(x[:, None, :], y[:, :, None], torch.zeros((), device=centre.device))
    points = torch.stack(grid, -1).flatten(1, 2)
    up = torch.zeros_like(points)
    up[..., 2] = 1
    light = torch.stack((sun.on_floor(points), _open(points, up, spheres)), -1)
    edge = ((1 - way.abs()) / FLOOR_FADE).clamp(0, 1)
    return 1 - (1 - light.unflatten(1, (FLOOR_TEXELS, FLOOR_TEXELS))) * (edge * edge[:, None])[..., None]


def _open(points: Tensor, normals: Tensor, spheres: Tensor) -> Tensor:
    """As `shadows._open`."""
    out = torch.ones_like(points[..., 0])
    for sphere in spheres[:, :, None].unbind(1):
        to = (sphere[..., :3] - points) / sphere[..., 3:]
        squared, rise = (to * to).sum(-1), (to * normals).sum(-1)
        far = squared.clamp(min=1.0001)
        cosine = (rise / squared.clamp(min=1e-6).sqrt()).clamp(-1, 1)
        sine = (1 - cosine * cosine).clamp(min=1e-6).sqrt()
        rise = cosine * far.sqrt()
        tangent = (far - 1).sqrt()
        cut = (1 - rise * rise).clamp(min=0).sqrt()
        ratio = tangent / sine
        crossing = (cosine * (-cosine * ratio).clamp(-1, 1).acos() - cut * tangent) / far
        crossing = (crossing + (ratio / far.sqrt()).clamp(-1, 1).acos()) / math.pi
        hidden = torch.where(rise < 1, crossing, cosine / far)
        hidden = torch.where(rise > -1, hidden, 0.0)
        other = torch.maximum(1 + rise * 1.6, 0.5 * far - 1)
        out *= 1 - hidden.clamp(min=0) * other.clamp(0, 1)
    return out


def _sums(image: Tensor) -> Tensor:
    """Summed-area table [S, rows + 1, columns + 1] of images."""
    return torch.nn.functional.pad(image.cumsum(1).cumsum(2), (1, 0, 1, 0))


def _box(sums: Tensor, x: Tensor, y: Tensor, half: Tensor) -> Tensor:
    """As `shadows._box`, of points [S, P]."""
    size = sums.shape[1]
    flat = sums.flatten(1)

    def at(px: Tensor, py: Tensor) -> Tensor:
        px, py = px.clamp(0, size - 1), py.clamp(0, size - 1)
        column, row = px.floor().clamp(max=size - 2), py.floor().clamp(max=size - 2)
        fx, fy, i = px - column, py - row, (row * size + column).long()
        upper = flat.gather(1, i) * (1 - fx) + flat.gather(1, i + 1) * fx
        lower = flat.gather(1, i + size) * (1 - fx) + flat.gather(1, i + size + 1) * fx
        return upper * (1 - fy) + lower * fy

    return at(x - half, y - half) - at(x + half, y - half) - at(x - half, y + half) + at(x + half, y + half)
