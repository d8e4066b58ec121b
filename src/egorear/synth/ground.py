"""The light on a place's floor: contact and cast shadows of its own furniture, and sunlight through its windows."""

import math
from typing import no_type_check

import numpy as np
from jaxtyping import Float32

from egorear.synth.lookups import HALF, ONE, ZERO, compiled, inlined

GROUND_HALF_M = 5.0  # the map's first and last texel lie this far before and behind the origin
TEXELS = 160
LOWEST_SUN = 0.15  # sine of the elevation under which shadows would run out of the map
TALL_M = 2.6  # buildings cast none: the person would stand in the shadow and be lit


def floor_shares(
    boxes: Float32[np.ndarray, "K 6"], sun_direction: Float32[np.ndarray, "3"], reach: float
) -> Float32[np.ndarray, "G G 2"]:
    """Shares of sun [..., 0] and ambient light [..., 1] that boxes leave on the floor around the origin.

    Row along y, column along x, in the frame of the boxes (metres). Cast shadows fade out within `reach` of the
    origin, because the person who stands there is lit without them.
    """
    ground = np.ones((TEXELS, TEXELS, 2), np.float32)
    _darken(ground, boxes, sun_direction, np.float32(reach))
    ground[[0, -1]] = ground[:, [0, -1]] = 1
    return ground


def add_sunbeams(
    shares: Float32[np.ndarray, "G G 2"],
    windows: Float32[np.ndarray, "W 5"],
    bounds: Float32[np.ndarray, "2 3"],
    beam: Float32[np.ndarray, "3"],
    reach: float,
) -> None:
    """Adds to the sun's share what comes in through windows (wall, u0, u1, v0, v1) of a room, outside `reach`.

    beam: metres sideways towards the sun, x and y, for each metre up; and the strength, in shares.
    """
    _shine(shares, windows, bounds, beam, np.float32(reach))


@compiled
@no_type_check
def _shine(ground, windows, bounds, beam, reach):
    size = ground.shape[0]
    half, texel = np.float32(GROUND_HALF_M), np.float32(2 * GROUND_HALF_M / (TEXELS - 1))
    sx, sy = beam[0], beam[1]
    side_x, side_y = 1 if sx > 0 else 0, 1 if sy > 0 else 0
    for row in range(1, size - 1):
        y = np.float32(row) * texel - half
        for column in range(1, size - 1):
            x = np.float32(column) * texel - half
            high_x, high_y = (bounds[side_x, 0] - x) / sx, (bounds[side_y, 1] - y) / sy  # where walls are met
            if high_x < 0 or high_y < 0:
                continue
            wall, z, u = side_x, high_x, y + sy * high_x
            if high_y < high_x:
                wall, z, u = 2 + side_y, high_y, x + sx * high_y
            for k in range(windows.shape[0]):
                if windows[k, 0] == wall:
                    inside = min(u - windows[k, 1], windows[k, 2] - u, z - windows[k, 3], windows[k, 4] - z)
                    through = min(max(HALF + inside / np.float32(0.08), ZERO), ONE)
                    ground[row, column, 0] += beam[2] * through * _beyond(x, y, reach)


@inlined
@no_type_check
def _beyond(x, y, reach):
    """0 within half the reach, rising to 1 at the reach."""
    away = math.sqrt(x * x + y * y) / max(reach, np.float32(0.1))
    return min(max(np.float32(2) * away - ONE, ZERO), ONE)


@compiled
@no_type_check
def _darken(ground, boxes, sun, reach):
    size = ground.shape[0]
    half, texel = np.float32(GROUND_HALF_M), np.float32(2 * GROUND_HALF_M / (TEXELS - 1))
    casts = sun[2] > np.float32(LOWEST_SUN)
    sx = sun[0] / sun[2] if casts else ZERO  # metres sideways towards the sun for each metre up
    sy = sun[1] / sun[2] if casts else ZERO
    for k in range(boxes.shape[0]):
        x0, y0, z0 = boxes[k, 0], boxes[k, 1], boxes[k, 2]
        x1, y1, z1 = boxes[k, 3], boxes[k, 4], boxes[k, 5]
        shadowed = casts and z1 < np.float32(TALL_M)
        radius = min(max(z1, np.float32(0.05)), np.float32(0.4))
        depth = np.float32(0.6) * max(ONE - z0, ZERO)
        tall = z1 if shadowed else ZERO
        left, right = min(x0, x0 - sx * tall) - radius, max(x1, x1 - sx * tall) + radius
        low, high = min(y0, y0 - sy * tall) - radius, max(y1, y1 - sy * tall) + radius
        first, last = max(int((left + half) / texel), 0), min(int((right + half) / texel) + 1, size - 1)
        for row in range(max(int((low + half) / texel), 0), min(int((high + half) / texel) + 1, size - 1) + 1):
            y = np.float32(row) * texel - half
            for column in range(first, last + 1):
                x = np.float32(column) * texel - half
                dx, dy = max(x0 - x, x - x1, ZERO), max(y0 - y, y - y1, ZERO)
                inside = ONE - (dx * dx + dy * dy) / (radius * radius)
                if inside > 0:
                    ground[row, column, 1] *= ONE - depth * inside * inside
                if shadowed:
                    lit = _missed(x, y, sx, sy, x0, x1, y0, y1, z0, z1)
                    if lit < 1:
                        ground[row, column, 0] = min(ground[row, column, 0], ONE - _beyond(x, y, reach) * (ONE - lit))


@inlined
@no_type_check
def _missed(x, y, sx, sy, x0, x1, y0, y1, z0, z1):
    """1 where the ray from (x, y) on the floor to the sun passes a box, 0 where it hits, smoothly: how far outside
    the box it is at the height where it is deepest inside, against a penumbra that grows with height."""
    tiny = np.float32(1e-4)
    ix, iy = ONE / (sx if abs(sx) > tiny else tiny), ONE / (sy if abs(sy) > tiny else tiny)
    a, b, c, d = (x0 - x) * ix, (x1 - x) * ix, (y0 - y) * iy, (y1 - y) * iy
    middle = HALF * (max(min(a, b), min(c, d), z0) + min(max(a, b), max(c, d), z1))
    z = min(max(middle, z0), z1)
    px, py = x + sx * z, y + sy * z
    outside = max(x0 - px, px - x1, y0 - py, py - y1)
    width = np.float32(0.05) + np.float32(0.06) * z
    return min(max(HALF + outside / width, ZERO), ONE)
