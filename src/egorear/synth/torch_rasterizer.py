"""The z-buffer of `rasterizer` for many views at once, in torch operations on any device.

On a CPU it gives the very bits of the compiled one; elsewhere too, as long as the device rounds as IEEE 754 says.
Every pair of a triangle and a pixel in its bounding box is one element of flat tensors, so there is no loop over
triangles or views; the nearest is found by an atomic maximum over 64-bit numbers (bits of 1 / distance, ~triangle).
Memory is bounded: views, then pairs, are taken in blocks.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float32, Float64, Int32
from torch import Tensor

from egorear.synth.rasterizer import FARTHEST_PX, NOTHING, SUBPIXELS

CPU_BLOCK, GPU_BLOCK = 1 << 16, 1 << 24  # elements at a time: what stays in a cache, what fills a GPU


def snap(pixels: Float64[Tensor, "*N 2"]) -> Float32[Tensor, "*N 2"]:
    """As `rasterizer.snap`."""
    return ((pixels * SUBPIXELS).round() / SUBPIXELS).clamp(-FARTHEST_PX, FARTHEST_PX).float()


def rasterize(
    xy: Float32[Tensor, "B N 2"],
    distance: Float32[Tensor, "B N"],
    valid: Bool[Tensor, "B N"],
    triangles: Int32[Tensor, "#B F 3"],
    height: int,
    width: int,
) -> tuple[Float32[Tensor, "B H W"], Int32[Tensor, "B H W"]]:
    """As `rasterizer.rasterize`, for B views of as many (or one) meshes; pad lists of triangles with (0, 0, 0)."""
    views = len(xy)
    keys = torch.zeros((views, height * width), dtype=torch.int64, device=xy.device)  # infinitely far, ~NOTHING
    closeness = 1 / distance
    grid = (xy * SUBPIXELS).int()
    for block in _blocks(views, triangles.shape[1], xy.device):
        _draw(keys[block], grid[block], closeness[block], valid[block], _of(triangles, block), width)
    winner, closest = keys.view(torch.int32).view(views, height, width, 2).unbind(3)  # low half first, on all devices
    return 1 / closest.contiguous().view(torch.float32), ~winner


def resolve(
    xy: Float32[Tensor, "B N 2"],
    colors: Float32[Tensor, "B N 3"],
    triangles: Int32[Tensor, "#B F 3"],
    winner: Int32[Tensor, "B sH sW"],
    background: Float32[Tensor, "B H W 3"],
    samples: int,
) -> Float32[Tensor, "B H W 3"]:
    """As `rasterizer.resolve`."""
    _, height, width, _ = background.shape
    share = 1 / samples**2
    out = torch.empty_like(background)
    for block in _blocks(len(xy), height * width * samples**2, xy.device):
        fine = interpolate(xy[block], colors[block], _of(triangles, block), winner[block])
        fine = fine.unflatten(1, (height, samples)).unflatten(3, (width, samples))
        covered = (winner[block] != NOTHING).unflatten(1, (height, samples)).unflatten(3, (width, samples))
        light = sum(fine[:, :, i, :, j] for i in range(samples) for j in range(samples))  # in the CPU's order
        rest = 1 - covered.sum((2, 4)).float() * share
        out[block] = light * share + rest[..., None] * background[block]
    return out


def interpolate(
    xy: Float32[Tensor, "B N 2"],
    attributes: Float32[Tensor, "B N C"],
    triangles: Int32[Tensor, "#B F 3"],
    winner: Int32[Tensor, "B H W"],
) -> Float32[Tensor, "B H W C"]:
    """As `rasterizer.interpolate`."""
    out = torch.zeros((*winner.shape, attributes.shape[2]), device=xy.device)
    for block in _blocks(len(xy), winner[0].numel(), xy.device):
        view, row, column = (winner[block] != NOTHING).nonzero(as_tuple=True)
        mesh = view if len(triangles) > 1 else 0
        corners = _of(triangles, block)[mesh, winner[block][view, row, column]]
        ax, ay, bx, by, cx, cy = xy[block][view[:, None], corners].double().flatten(1).unbind(1)
        abx, aby, cax, cay, px, py = bx - ax, by - ay, ax - cx, ay - cy, column - ax, row - ay
        scale = 1 / (aby * cax - abx * cay)
        wb, wc = ((cax * py - cay * px) * scale).float(), ((abx * py - aby * px) * scale).float()
        a, b, c = attributes[block][view[:, None], corners].unbind(1)
        out[block][view, row, column] = a + (wb[:, None] * (b - a) + wc[:, None] * (c - a))
    return out


def _draw(keys, grid, closeness, valid, triangles, width: int) -> None:
    """Raises keys[B H*W] by a block of views."""
    height = keys.shape[1] // width
    view, face, left, top, columns, rows = _candidates(grid, valid, triangles, height, width)
    corners = triangles[view if len(triangles) > 1 else 0, face].long()
    ax, ay, bx, by, cx, cy = grid[view[:, None], corners].long().flatten(1).unbind(1)
    abx, aby, cax, cay = bx - ax, by - ay, ax - cx, ay - cy
    area = aby * cax - abx * cay
    side = area.sign()  # seen from behind: walk its edges the other way round
    area, abx, aby, cax, cay = area * side, abx * side, aby * side, cax * side, cay * side
    less_a, less_b, less_c = _handicap(-abx - cax, -aby - cay), _handicap(cax, cay), _handicap(abx, aby)
    px, py = SUBPIXELS * left - ax, SUBPIXELS * top - ay
    start_b, start_c = cax * py - cay * px - less_b, abx * py - aby * px - less_c
    most = area - less_a - less_b - less_c
    scale = 1 / area.double()
    at_a, at_b, at_c = closeness[view[:, None], corners].unbind(1)
    to_b, to_c = at_b - at_a, at_c - at_a
    corner = (view * height + top) * width + left

    walk = torch.stack((start_b, cax * SUBPIXELS, cay * SUBPIXELS, start_c, abx * SUBPIXELS, aby * SUBPIXELS, most), 1)

    for i, x, y in _pairs(torch.where(area > 0, columns * rows, 0), columns):
        edge_b, down_b, right_b, edge_c, down_c, right_c, limit = walk.index_select(0, i).unbind(1)
        edge_b, edge_c = edge_b + (down_b * y - right_b * x), edge_c + (down_c * y - right_c * x)
        inside = ((edge_b | edge_c | (limit - edge_b - edge_c)) >= 0).nonzero().squeeze(1)
        i, x, y, edge_b, edge_c = (values.index_select(0, inside) for values in (i, x, y, edge_b, edge_c))
        wb, wc = ((edge_b + less_b[i]) * scale[i]).float(), ((edge_c + less_c[i]) * scale[i]).float()
        close = at_a[i] + (wb * to_b[i] + wc * to_c[i])
        key = (close.view(torch.int32).long() << 32) | (0xFFFFFFFF - face[i])
        keys.view(-1).scatter_reduce_(0, corner[i] + width * y + x, key, "amax")


def _candidates(grid, valid, triangles, height: int, width: int):
    """View, triangle and box of pixel centres (left, top, columns, rows) where that is not empty."""
    a, b, c = triangles.long().expand(len(grid), -1, -1).unbind(2)
    usable = valid.gather(1, a) & valid.gather(1, b) & valid.gather(1, c)
    first, extent = [], []
    for axis, size in ((0, width), (1, height)):
        at = grid[..., axis]
        at_a, at_b, at_c = at.gather(1, a), at.gather(1, b), at.gather(1, c)
        low, high = torch.minimum(torch.minimum(at_a, at_b), at_c), torch.maximum(torch.maximum(at_a, at_b), at_c)
        first.append(((low + (SUBPIXELS - 1)) // SUBPIXELS).clamp(min=0))
        extent.append((high // SUBPIXELS).clamp(max=size - 1) + 1 - first[-1])
    chosen = (usable & (extent[0] > 0) & (extent[1] > 0)).nonzero(as_tuple=True)
    return *chosen, *(box[chosen].long() for box in (*first, *extent))


def _pairs(counts: Tensor, columns: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Triangle and pixel within its box, `counts` pixels a triangle, by blocks of whole triangles."""
    first = counts.cumsum(0) - counts
    block_of = first // _block(counts.device)
    start = 0
    for length in torch.bincount(block_of).tolist():
        block = slice(start, start + length)
        index = torch.arange(start, start + length, device=counts.device).repeat_interleave(counts[block])
        within = torch.arange(len(index), device=counts.device) - (first - first[start]).index_select(0, index)
        wide = columns.index_select(0, index)
        y = within // wide
        yield index, within - y * wide, y
        start += length


def _handicap(dx: Tensor, dy: Tensor) -> Tensor:
    """As `rasterizer._handicap`."""
    return (~((dy < 0) | ((dy == 0) & (dx > 0)))).long()


def _of(triangles: Tensor, block: slice) -> Tensor:
    return triangles[block] if len(triangles) > 1 else triangles


def _blocks(views: int, elements: int, device: torch.device) -> Iterator[slice]:
    """Slices of the views, so that each holds about as many elements as fit."""
    step = max(1, _block(device) // max(elements, 1))
    return (slice(start, start + step) for start in range(0, views, step))


def _block(device: torch.device) -> int:
    return CPU_BLOCK if device.type == "cpu" else GPU_BLOCK
