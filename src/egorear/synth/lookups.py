"""Compiled look-ups in sky maps, surface patterns and maps of light; exact operations only, hence the same
bits on every processor.
"""

import math
from typing import no_type_check

import numpy as np
from numba import njit

from egorear.synth.floors import SIZE

ZERO, HALF, ONE = np.float32(0), np.float32(0.5), np.float32(1)
EXACT = {"fastmath": {"nnan", "nsz"}, "cache": True, "error_model": "numpy", "nogil": True}
compiled = njit(**EXACT)
inlined = njit(forceinline=True, **EXACT)  # a call that passes arrays costs more than these bodies


@inlined
@no_type_check  # numba compiles the plain function, not the tests' checking wrapper
def angle(y, x):
    """atan2 to 1e-5 radians (Hastings' polynomial), several times faster than the exact one; 0 at 0, 0."""
    ax, ay = abs(x), abs(y)
    t = min(ax, ay) / (max(ax, ay) + np.float32(1e-20))
    s = t * t
    r = np.float32(0.0208351) * s - np.float32(0.085133)
    r = ((r * s + np.float32(0.180141)) * s - np.float32(0.3302995)) * s + np.float32(0.999866)
    r *= t
    if ay > ax:
        r = np.float32(math.pi / 2) - r
    if x < 0:
        r = np.float32(math.pi) - r
    return -r if y < 0 else r


@inlined
@no_type_check
def below(x):
    """The largest whole number not above x; math.floor would call the C library."""
    whole = int(x)
    return whole - 1 if np.float32(whole) > x else whole


@inlined
@no_type_check
def sky_color(sky, x, y, z):
    """Bilinear look-up of the map in world direction (x, y, z), of any length."""
    height, width = sky.shape[0], sky.shape[1]
    theta = angle(math.sqrt(x * x + y * y), z)
    column = (HALF - angle(y, x) * np.float32(0.5 / math.pi)) * np.float32(width) - HALF
    row = theta * np.float32(1 / math.pi) * np.float32(height) - HALF
    row = min(max(row, ZERO), np.float32(height) - np.float32(1.001))
    c, r = int(column + ONE) - 1, int(row)  # the column begins at -1/2
    fc, fr = column - np.float32(c), row - np.float32(r)
    c0, c1 = c if c >= 0 else c + width, c + 1 if c + 1 < width else 0
    a, b, d, e = (ONE - fc) * (ONE - fr), fc * (ONE - fr), (ONE - fc) * fr, fc * fr
    c0, c1, r0, r1 = np.uintp(c0), np.uintp(c1), np.uintp(r), np.uintp(r + 1)
    return (
        a * sky[r0, c0, 0] + b * sky[r0, c1, 0] + d * sky[r1, c0, 0] + e * sky[r1, c1, 0],
        a * sky[r0, c0, 1] + b * sky[r0, c1, 1] + d * sky[r1, c0, 1] + e * sky[r1, c1, 1],
        a * sky[r0, c0, 2] + b * sky[r0, c1, 2] + d * sky[r1, c0, 2] + e * sky[r1, c1, 2],
    )


@inlined
@no_type_check
def tile_place(first, u, v, footprint):
    """Where (u, v), in tiles, lies in the mip pyramid that begins at row `first`, in the level whose texels match
    `footprint` (in tiles): four rows and the weights right and down."""
    size, start, scaled = SIZE, first, footprint * np.float32(SIZE)
    while size > 1 and scaled > np.float32(1.5):
        start += size * size
        size >>= 1
        scaled *= HALF
    x, y = u * np.float32(size) - HALF, v * np.float32(size) - HALF
    c, r = below(x), below(y)
    mask = size - 1
    top, bottom = start + (r & mask) * size, start + ((r + 1) & mask) * size
    c0, c1 = c & mask, (c + 1) & mask
    # unsigned, which spares numba the test for a negative index
    i, j, k, m = np.uintp(top + c0), np.uintp(top + c1), np.uintp(bottom + c0), np.uintp(bottom + c1)
    return i, j, k, m, x - np.float32(c), y - np.float32(r)


@inlined
@no_type_check
def tile_color(pyramids, first, u, v, footprint):
    """Bilinear look-up in one of several pyramids [texels, 3] at (u, v) tiles."""
    i, j, k, m, fc, fr = tile_place(first, u, v, footprint)
    a, b, d, e = (ONE - fc) * (ONE - fr), fc * (ONE - fr), (ONE - fc) * fr, fc * fr
    return (
        a * pyramids[i, 0] + b * pyramids[j, 0] + d * pyramids[k, 0] + e * pyramids[m, 0],
        a * pyramids[i, 1] + b * pyramids[j, 1] + d * pyramids[k, 1] + e * pyramids[m, 1],
        a * pyramids[i, 2] + b * pyramids[j, 2] + d * pyramids[k, 2] + e * pyramids[m, 2],
    )


@inlined
@no_type_check
def tile_value(pyramid, u, v, footprint):
    """Bilinear look-up of a [texels] pyramid at (u, v) tiles."""
    i, j, k, m, fc, fr = tile_place(0, u, v, footprint)
    top = pyramid[i] + fc * (pyramid[j] - pyramid[i])
    return top + fr * (pyramid[k] + fc * (pyramid[m] - pyramid[k]) - top)


@inlined
@no_type_check
def shares(texture, x, y):
    """Bilinear look-up of a floor's (sun, ambient) shares at x, y in -1…1, where the first and last texels lie;
    1 outside."""
    size = texture.shape[0]
    half = np.float32(size - 1) * HALF
    column, row = (x + ONE) * half, (y + ONE) * half
    if not (ZERO <= column < np.float32(size - 1) and ZERO <= row < np.float32(size - 1)):
        return ONE, ONE
    c, r = np.uintp(column), np.uintp(row)
    fc, fr = column - np.float32(c), row - np.float32(r)
    c1, r1 = c + np.uintp(1), r + np.uintp(1)
    top, bottom = texture[r, c, 0], texture[r1, c, 0]
    top, bottom = top + fc * (texture[r, c1, 0] - top), bottom + fc * (texture[r1, c1, 0] - bottom)
    sun = top + fr * (bottom - top)
    top, bottom = texture[r, c, 1], texture[r1, c, 1]
    top, bottom = top + fc * (texture[r, c1, 1] - top), bottom + fc * (texture[r1, c1, 1] - bottom)
    return sun, top + fr * (bottom - top)
