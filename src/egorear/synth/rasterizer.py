"""Triangles to pixels: a z-buffer over vertices that were projected by an exact fisheye model.

A fisheye bends straight edges, but the body's edges are a few centimetres long: drawing them straight
between exactly projected vertices agrees with ray tracing to a fraction of a pixel and of a millimetre
in depth. Depth is the distance from the camera centre, since a fisheye sees beyond 90 degrees.
"""

import math
from typing import no_type_check

import numpy as np
from jaxtyping import Bool, Float32, Int32
from numba import njit

NOTHING = -1  # triangle index of a pixel that no triangle covers


@njit(cache=True, fastmath=True, error_model="numpy")
@no_type_check  # numba compiles the plain function, not the tests\' checking wrapper
def _fill(xy, distance, valid, triangles, nearest, winner):  # pragma: no cover (compiled)
    height, width = nearest.shape
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        if not (valid[a] and valid[b] and valid[c]):
            continue
        ax, ay, bx, by, cx, cy = xy[a, 0], xy[a, 1], xy[b, 0], xy[b, 1], xy[c, 0], xy[c, 1]
        left = max(0, math.ceil(min(ax, bx, cx)))
        right = min(width - 1, math.floor(max(ax, bx, cx)))
        top = max(0, math.ceil(min(ay, by, cy)))
        bottom = min(height - 1, math.floor(max(ay, by, cy)))
        if left > right or top > bottom:
            continue
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < np.float32(1e-8):
            continue
        scale = np.float32(1) / area
        # Barycentric weights of b and c are affine in the pixel: walk them by their steps.
        step_bx, step_by = (cy - ay) * scale, -(cx - ax) * scale
        step_cx, step_cy = -(by - ay) * scale, (bx - ax) * scale
        da, db, dc = distance[a], distance[b], distance[c]
        for y in range(top, bottom + 1):
            weight_b = (left - ax) * step_bx + (y - ay) * step_by
            weight_c = (left - ax) * step_cx + (y - ay) * step_cy
            for x in range(left, right + 1):
                if weight_b >= 0 and weight_c >= 0 and weight_b + weight_c <= 1:
                    d = da + weight_b * (db - da) + weight_c * (dc - da)
                    if d < nearest[y, x]:
                        nearest[y, x] = d
                        winner[y, x] = f
                weight_b += step_bx
                weight_c += step_cx


@njit(cache=True, fastmath=True, error_model="numpy")
@no_type_check
def _resolve(xy, colors, triangles, winner, background, samples):  # pragma: no cover (compiled)
    height, width = background.shape[:2]
    share = np.float32(1.0 / (samples * samples))
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
                    ax, ay, bx, by, cx, cy = xy[a, 0], xy[a, 1], xy[b, 0], xy[b, 1], xy[c, 0], xy[c, 1]
                    scale = np.float32(1) / ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax))
                    wb = ((sx - ax) * (cy - ay) - (sy - ay) * (cx - ax)) * scale
                    wc = ((sy - ay) * (bx - ax) - (sx - ax) * (by - ay)) * scale
                    wa = 1 - wb - wc
                    red += wa * colors[a, 0] + wb * colors[b, 0] + wc * colors[c, 0]
                    green += wa * colors[a, 1] + wb * colors[b, 1] + wc * colors[c, 1]
                    blue += wa * colors[a, 2] + wb * colors[b, 2] + wc * colors[c, 2]
            rest = 1 - covered * share
            out[y, x, 0] = red * share + rest * background[y, x, 0]
            out[y, x, 1] = green * share + rest * background[y, x, 1]
            out[y, x, 2] = blue * share + rest * background[y, x, 2]
    return out


def rasterize(
    xy: Float32[np.ndarray, "N 2"],
    distance: Float32[np.ndarray, "N"],
    valid: Bool[np.ndarray, "N"],
    triangles: Int32[np.ndarray, "F 3"],
    height: int,
    width: int,
) -> tuple[Float32[np.ndarray, "H W"], Int32[np.ndarray, "H W"]]:
    """The nearest triangle at every pixel centre (the top-left centre is (0, 0)).

    Triangles are two-sided; one with an invalid vertex (beyond the lens) is left out.

    Returns:
        distance to the surface in the unit of `distance` (inf where there is none), and the index of the
        triangle (`NOTHING` where there is none).
    """
    nearest = np.full((height, width), np.inf, np.float32)
    winner = np.full((height, width), NOTHING, np.int32)
    _fill(xy, distance, valid, triangles, nearest, winner)
    return nearest, winner


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


@njit(cache=True, fastmath=True)
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
        scale = 1 / max(math.sqrt(x * x + y * y + z * z), 1e-12)
        normals[i, 0], normals[i, 1], normals[i, 2] = x * scale, y * scale, z * scale
    return normals


def vertex_normals(
    vertices: Float32[np.ndarray, "N 3"], triangles: Int32[np.ndarray, "F 3"]
) -> Float32[np.ndarray, "N 3"]:
    """Unit normals, area-weighted over the triangles that meet at each vertex (zero where none do)."""
    return _vertex_normals(vertices, triangles)
