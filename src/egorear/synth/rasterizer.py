"""Triangles to pixels: a z-buffer over vertices that were projected by an exact fisheye model.

A fisheye bends straight edges, but the body's edges are a few centimetres long: drawing them straight
between exactly projected vertices agrees with ray tracing to a fraction of a pixel and of a millimetre
in depth, but for what all but touches the lens. Depth is the distance from the camera centre, since a fisheye sees
beyond 90 degrees; its inverse is interpolated, because over a plane that is linear in the direction of the ray.

Vertices lie on a grid of 1/256 px (`snap`), so that edge functions are whole numbers, and all other operations have
one fixed order: the result is the same bits on every machine, and `torch_rasterizer` gives them too. Neighbours share
no pixel and leave none out (top-left rule); equal depths go to the lowest triangle index. There is no clipping: a
triangle with a vertex that has no pixel is left out whole.
"""

import math
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int32
from numba import njit

NOTHING = -1  # triangle index of a pixel that no triangle covers
SUBPIXELS = 256
FARTHEST_PX = 2.0**15  # vertices beyond are moved there: float32 holds the grid up to here, int64 edge functions too

compiled = njit(cache=True, error_model="numpy", nogil=True)  # no fastmath: the same bytes on every machine


@compiled
@no_type_check  # numba compiles the plain function, not the tests' checking wrapper
def _handicap(dx, dy):  # pragma: no cover (compiled)
    """0 for edges that own the pixels on them (top and left ones, going clockwise in the picture), else 1."""
    return 0 if dy < 0 or (dy == 0 and dx > 0) else 1


@compiled
@no_type_check
def _fill(xy, closeness, valid, triangles, closest, winner):  # pragma: no cover (compiled)
    height, width = closest.shape
    grid = np.empty(xy.shape, np.int32)
    for n in range(xy.shape[0]):
        for k in range(2):
            grid[n, k] = np.int32(xy[n, k] * np.float32(SUBPIXELS))
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax, bx, cx = np.int64(grid[a, 0]), np.int64(grid[b, 0]), np.int64(grid[c, 0])
        # Most triangles of a body are smaller than a pixel and lie between the centres: leave them early.
        left, right = max(0, (min(ax, bx, cx) + 255) >> 8), min(width - 1, max(ax, bx, cx) >> 8)
        if left > right:
            continue
        ay, by, cy = np.int64(grid[a, 1]), np.int64(grid[b, 1]), np.int64(grid[c, 1])
        top, bottom = max(0, (min(ay, by, cy) + 255) >> 8), min(height - 1, max(ay, by, cy) >> 8)
        if top > bottom or not (valid[a] and valid[b] and valid[c]):
            continue
        abx, aby, cax, cay = bx - ax, by - ay, ax - cx, ay - cy
        area = aby * cax - abx * cay
        if area == 0:
            continue
        if area < 0:  # seen from behind: walk its edges the other way round
            area, abx, aby, cax, cay = -area, -abx, -aby, -cax, -cay
        less_a, less_b, less_c = _handicap(-abx - cax, -aby - cay), _handicap(cax, cay), _handicap(abx, aby)
        scale = 1.0 / area
        at_a = closeness[a]
        to_b, to_c = closeness[b] - at_a, closeness[c] - at_a
        px, py = 256 * left - ax, 256 * top - ay
        start_b = cax * py - cay * px - less_b
        start_c = abx * py - aby * px - less_c
        most = area - less_a - less_b - less_c
        cax, cay, abx, aby = 256 * cax, 256 * cay, 256 * abx, 256 * aby
        for y in range(top, bottom + 1):
            edge_b, edge_c = start_b, start_c
            for x in range(left, right + 1):
                if (edge_b | edge_c | (most - edge_b - edge_c)) >= 0:
                    wb, wc = np.float32((edge_b + less_b) * scale), np.float32((edge_c + less_c) * scale)
                    close = at_a + (wb * to_b + wc * to_c)
                    if close > closest[y, x]:
                        closest[y, x] = close
                        winner[y, x] = f
                edge_b -= cay
                edge_c -= aby
            start_b += cax
            start_c += abx


@compiled
@no_type_check
def _weights(xy, a, b, c, x, y):  # pragma: no cover (compiled)
    """Shares of corners b and c at a pixel inside, the ones `_fill` interpolates with."""
    ax, ay = np.float64(xy[a, 0]), np.float64(xy[a, 1])
    abx, aby, cax, cay = xy[b, 0] - ax, xy[b, 1] - ay, ax - xy[c, 0], ay - xy[c, 1]
    scale = 1.0 / (aby * cax - abx * cay)
    px, py = x - ax, y - ay
    return np.float32((cax * py - cay * px) * scale), np.float32((abx * py - aby * px) * scale)


@compiled
@no_type_check
def _resolve(xy, colors, triangles, winner, background, samples):  # pragma: no cover (compiled)
    height, width = background.shape[:2]
    share = np.float32(1.0 / (samples * samples))
    one = np.float32(1)
    out = np.empty_like(background)
    for y in range(height):
        for x in range(width):
            red = green = blue = np.float32(0)
            covered = 0
            for sy in range(y * samples, (y + 1) * samples):
                for sx in range(x * samples, (x + 1) * samples):
                    f = winner[sy, sx]
                    if f < 0:
                        continue
                    covered += 1
                    a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
                    wb, wc = _weights(xy, a, b, c, sx, sy)
                    ar, ag, ab = colors[a, 0], colors[a, 1], colors[a, 2]
                    red += ar + (wb * (colors[b, 0] - ar) + wc * (colors[c, 0] - ar))
                    green += ag + (wb * (colors[b, 1] - ag) + wc * (colors[c, 1] - ag))
                    blue += ab + (wb * (colors[b, 2] - ab) + wc * (colors[c, 2] - ab))
            rest = one - np.float32(covered) * share
            out[y, x, 0] = red * share + rest * background[y, x, 0]
            out[y, x, 1] = green * share + rest * background[y, x, 1]
            out[y, x, 2] = blue * share + rest * background[y, x, 2]
    return out


@compiled
@no_type_check
def _interpolate(xy, attributes, triangles, winner):  # pragma: no cover (compiled)
    height, width = winner.shape
    out = np.zeros((height, width, attributes.shape[1]), np.float32)
    for y in range(height):
        for x in range(width):
            f = winner[y, x]
            if f < 0:
                continue
            a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
            wb, wc = _weights(xy, a, b, c, x, y)
            for k in range(attributes.shape[1]):
                at_a = attributes[a, k]
                out[y, x, k] = at_a + (wb * (attributes[b, k] - at_a) + wc * (attributes[c, k] - at_a))
    return out


def snap(pixels: Float64[np.ndarray, "*N 2"]) -> Float32[np.ndarray, "*N 2"]:
    """Pixels on the rasteriser's grid, at most `FARTHEST_PX` from the origin; give float64, or the last bits of
    whoever projected them decide what is rounded up and what down."""
    return np.clip(np.rint(pixels * SUBPIXELS) / SUBPIXELS, -FARTHEST_PX, FARTHEST_PX).astype(np.float32)


def rasterize(
    xy: Float32[np.ndarray, "N 2"],
    distance: Float32[np.ndarray, "N"],
    valid: Bool[np.ndarray, "N"],
    triangles: Int32[np.ndarray, "F 3"],
    height: int,
    width: int,
) -> tuple[Float32[np.ndarray, "H W"], Int32[np.ndarray, "H W"]]:
    """The nearest triangle at every pixel centre (the top-left centre is (0, 0)).

    xy: from `snap`. distance: positive. Triangles are two-sided; one with an invalid vertex or without area is left
    out.

    Returns:
        distance to the surface in the unit of `distance` (inf where there is none), and the index of the
        triangle (`NOTHING` where there is none).
    """
    closest = np.zeros((height, width), np.float32)
    winner = np.full((height, width), NOTHING, np.int32)
    with np.errstate(divide="ignore"):
        _fill(xy, np.float32(1) / distance, valid, triangles, closest, winner)
        return np.float32(1) / closest, winner


def resolve(
    xy: Float32[np.ndarray, "N 2"],
    colors: Float32[np.ndarray, "N 3"],
    triangles: Int32[np.ndarray, "F 3"],
    winner: Int32[np.ndarray, "sH sW"],
    background: Float32[np.ndarray, "H W 3"],
    samples: int,
) -> Float32[np.ndarray, "H W 3"]:
    """Interpolates vertex colours and averages `samples`² samples a pixel over the background."""
    return _resolve(xy, colors, triangles, winner, background, samples)


def interpolate(
    xy: Float32[np.ndarray, "N 2"],
    attributes: Float32[np.ndarray, "N C"],
    triangles: Int32[np.ndarray, "F 3"],
    winner: Int32[np.ndarray, "H W"],
) -> Float32[np.ndarray, "H W C"]:
    """Anything the vertices carry (normals, say) at every pixel; zero where there is no triangle."""
    return _interpolate(xy, attributes, triangles, winner)


@compiled
@no_type_check
def _vertex_normals(vertices, triangles):  # pragma: no cover (compiled)
    normals = np.zeros_like(vertices)
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ox, oy, oz = vertices[a, 0], vertices[a, 1], vertices[a, 2]
        ux, uy, uz = vertices[b, 0] - ox, vertices[b, 1] - oy, vertices[b, 2] - oz
        vx, vy, vz = vertices[c, 0] - ox, vertices[c, 1] - oy, vertices[c, 2] - oz
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for i in (a, b, c):
            normals[i, 0] += nx
            normals[i, 1] += ny
            normals[i, 2] += nz
    for i in range(normals.shape[0]):
        x, y, z = normals[i, 0], normals[i, 1], normals[i, 2]
        scale = np.float32(1) / max(np.float32(math.sqrt(x * x + y * y + z * z)), np.float32(1e-12))
        normals[i, 0], normals[i, 1], normals[i, 2] = x * scale, y * scale, z * scale
    return normals


def vertex_normals(
    vertices: Float32[np.ndarray, "N 3"], triangles: Int32[np.ndarray, "F 3"]
) -> Float32[np.ndarray, "N 3"]:
    """Unit normals, area-weighted over the triangles that meet at each vertex (zero where none do)."""
    return _vertex_normals(vertices, triangles)
