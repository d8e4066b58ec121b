"""The compiled ray caster behind `Place.background`: one exact hit of floor, wall, box or sky per ray.

All coordinates are in the place's frame (the world turned about z), except that the sky map and the person's floor
light are the world's. All rays of a call begin at one point; hence each box is tested only by the rays whose
azimuth and elevation it can reach, which is told by two tables of bit masks.
"""

import math
from typing import NamedTuple, no_type_check

import numpy as np

from egorear.synth.clutter import CELL_M, HALF_CELLS
from egorear.synth.floors import FLOOR, GLASS, GLOW, GRAIN_M, PLAIN, SIZE, WALL
from egorear.synth.ground import GROUND_HALF_M
from egorear.synth.lookups import HALF, ONE, ZERO, below, compiled, inlined, shares, sky_color, tile_color, tile_value

FAR = np.float32(1e9)
HORIZON_M = np.float32(1000.0)  # a floor farther than this is the sky map's
GRAIN_SEEN_M = np.float32(0.03)  # finer than this footprint, floors show their grain
TEXELS = (4 * SIZE * SIZE - 1) // 3  # of a pyramid
SECTORS, BANDS = 64, 32  # of azimuth and elevation
MAGIC = np.uint64(0x03F79D71B4CB0A89)  # a de Bruijn sequence: times a power of two, its top six bits tell which
BIT = np.zeros(64, np.int64)
BIT[[((int(MAGIC) << k) & (2**64 - 1)) >> 58 for k in range(64)]] = np.arange(64)


class Backdrop(NamedTuple):
    """All of a place that does not change from picture to picture, as the ray caster takes it."""

    cosine: np.float32  # of the turn from the place's frame to the world
    sine: np.float32
    sky: np.ndarray  # [H, W, 3] radiance
    pyramids: np.ndarray  # [5 · texels, 3], the patterns one after the other
    tiles: np.ndarray  # [5] of each pattern in a metre
    grain: np.ndarray  # [texels]
    contrast: np.float32  # of the grain
    light: np.ndarray  # [6, 3] what white faces show with outward normals -x, +x, -y, +y, -z, +z
    sun_share: np.ndarray  # [3] of light[5]
    # A lamp at pool[0:3] brightens what is near it: pool[3] of all light falls with the distance, to a half at
    # 1 / sqrt(pool[4]) metres, and keeps its strength where the person stands.
    pool: np.ndarray
    # From fade[0] to fade[1] metres around the origin the floor's pattern gives way to the ground of the captured
    # map, seen as if photographed from capture_height above the origin.
    fade: np.ndarray
    capture_height: np.float32
    indoors: bool
    panels: np.ndarray  # [P, 9], those of wall w being starts[w] to starts[w + 1]
    starts: np.ndarray
    boxes: np.ndarray  # [K, 6]
    looks: np.ndarray  # [K, 4]
    patches: np.ndarray  # [P, 10]
    cells: np.ndarray  # bit masks, see `clutter.Patches`
    ground: np.ndarray  # [G, G, 2], see `ground.floor_shares`


@inlined
@no_type_check  # numba compiles the plain function, not the tests' checking wrapper
def sector_of(dx, dy):
    """Azimuth measured along a diamond, 0…4 from -y over +x, +y and -x: as ordered as an angle, without one."""
    q = dy / (abs(dx) + abs(dy) + np.float32(1e-20))
    return q + ONE if dx >= 0 else np.float32(3) - q


@compiled
@no_type_check
def reachable(boxes, ox, oy, oz):
    """Bit k of sectors[s] and bands[e] says that box k may be hit by a ray of that azimuth and elevation."""
    sectors, bands = np.zeros(SECTORS, np.uint64), np.zeros(BANDS, np.uint64)
    for k in range(boxes.shape[0]):
        bit = np.uint64(1) << np.uint64(k)
        x0, y0, z0 = boxes[k, 0] - ox, boxes[k, 1] - oy, boxes[k, 2] - oz
        x1, y1, z1 = boxes[k, 3] - ox, boxes[k, 4] - oy, boxes[k, 5] - oz
        first, last = 0, SECTORS - 1
        if not (x0 <= 0 <= x1 and y0 <= 0 <= y1):  # else it stands above or below the origin
            low, high, before, after = np.float32(4), ZERO, ZERO, np.float32(4)
            for x in (x0, x1):
                for y in (y0, y1):
                    s = sector_of(x, y)
                    low, high = min(low, s), max(high, s)
                    if s < 2:
                        before = max(before, s)
                    else:
                        after = min(after, s)
            if high - low > 2:  # seen over the seam: from `after` through 4 = 0 to `before`
                low, high = after, before + np.float32(4)
            first = int(low * np.float32(SECTORS / 4)) - 1
            last = int(high * np.float32(SECTORS / 4)) + 1
        for s in range(first, min(last, first + SECTORS - 1) + 1):
            sectors[s & (SECTORS - 1)] |= bit
        near = max(x0, -x1, ZERO) + max(y0, -y1, ZERO)
        far = max(abs(x0), abs(x1)) + max(abs(y0), abs(y1))
        low = z0 / ((near if z0 < 0 else far) + abs(z0) + np.float32(1e-20))
        high = z1 / ((near if z1 > 0 else far) + abs(z1) + np.float32(1e-20))
        first, last = int((low + ONE) * np.float32(BANDS / 2)) - 1, int((high + ONE) * np.float32(BANDS / 2)) + 1
        for e in range(max(first, 0), min(last, BANDS - 1) + 1):
            bands[e] |= bit
    return sectors, bands


@inlined
@no_type_check
def crease(low, high, at):
    """Darkening towards the nearer of two planes at right angles to the surface."""
    near = min(at - low, high - at) * np.float32(1 / 0.6)
    return np.float32(0.7) + np.float32(0.3) * min(max(near, ZERO), ONE)


@inlined
@no_type_check
def covered(at, half, footprint):
    """Share of a pixel of width `footprint` around `at` that lies in -half…half."""
    inside = min(at + HALF * footprint, half) - max(at - HALF * footprint, -half)
    return max(inside, ZERO) / footprint


@inlined
@no_type_check
def material(pyramids, tiles, look, u, v, footprint):
    """Pattern of a surface at (u, v) metres; 1 where it is plain."""
    if look >= PLAIN:
        return ONE, ONE, ONE
    scale = tiles[look]
    return tile_color(pyramids, look * TEXELS, u * scale, v * scale, footprint * scale)


@compiled
@no_type_check
def cast(rays, rotation, origin, bounds, still, shadow, shadow_square, pixel_angle, color, distance):
    """Fills color[N, 3] with linear RGB and distance[N] with metres for camera rays [N, 3].

    rotation[3, 3] takes the rays to the world; origin and the room's bounds[2, 3] are in the place's frame; shadow
    [G, G, 2] is the person's floor light, over the square (x, y, half width) of the world; still: `Backdrop`.
    """
    cosine, sine, sky, pyramids, tiles = still.cosine, still.sine, still.sky, still.pyramids, still.tiles
    grain, contrast, light, sun_share, pool = still.grain, still.contrast, still.light, still.sun_share, still.pool
    fade, capture_height, indoors, panels, starts = (
        still.fade, still.capture_height, still.indoors, still.panels, still.starts
    )  # fmt: skip
    boxes, looks, patches, cells, ground = still.boxes, still.looks, still.patches, still.cells, still.ground
    center_x, center_y, half_width = shadow_square[0], shadow_square[1], shadow_square[2]
    ox, oy, oz = origin[0], origin[1], origin[2]
    sectors, bands = reachable(boxes, ox, oy, oz)
    tiny = np.float32(1e-9)
    lx, ly, lz = pool[0], pool[1], pool[2] - np.float32(0.8)
    at_person = ONE + pool[4] * (lx * lx + ly * ly + lz * lz)
    fading, per_width = ONE / (fade[1] - fade[0]), ONE / half_width
    for i in range(rays.shape[0]):
        a, b, c = rays[i, 0], rays[i, 1], rays[i, 2]
        wx = rotation[0, 0] * a + rotation[0, 1] * b + rotation[0, 2] * c
        wy = rotation[1, 0] * a + rotation[1, 1] * b + rotation[1, 2] * c
        dz = rotation[2, 0] * a + rotation[2, 1] * b + rotation[2, 2] * c
        dx, dy = cosine * wx + sine * wy, cosine * wy - sine * wx

        nearest, face, box = FAR, -1, -1  # face: outward normal of what was hit, -1 is the sky
        if dz < -tiny and oz > 0:
            nearest, face = -oz / dz, 5
        sector = int(sector_of(dx, dy) * np.float32(SECTORS / 4)) & (SECTORS - 1)
        band = int((dz / (abs(dx) + abs(dy) + abs(dz)) + ONE) * np.float32(BANDS / 2))
        left = sectors[sector] & bands[min(band, BANDS - 1)]
        if indoors or left:
            ix = ONE / (dx if abs(dx) > tiny else tiny)
            iy = ONE / (dy if abs(dy) > tiny else tiny)
            iz = ONE / (dz if abs(dz) > tiny else tiny)
            if indoors:
                t = (bounds[1 if ix > 0 else 0, 0] - ox) * ix
                if ZERO < t < nearest:
                    nearest, face = t, 0 if ix > 0 else 1
                t = (bounds[1 if iy > 0 else 0, 1] - oy) * iy
                if ZERO < t < nearest:
                    nearest, face = t, 2 if iy > 0 else 3
                t = (bounds[1, 2] - oz) * iz
                if ZERO < t < nearest:
                    nearest, face = t, 4
            while left:
                lowest = left & (~left + np.uint64(1))
                left ^= lowest
                k = BIT[(lowest * MAGIC) >> np.uint64(58)]
                x0, x1 = (boxes[k, 0] - ox) * ix, (boxes[k, 3] - ox) * ix
                y0, y1 = (boxes[k, 1] - oy) * iy, (boxes[k, 4] - oy) * iy
                z0, z1 = (boxes[k, 2] - oz) * iz, (boxes[k, 5] - oz) * iz
                tx, ty, tz = min(x0, x1), min(y0, y1), min(z0, z1)
                enter = max(tx, ty, tz)
                if ZERO < enter < nearest and enter < min(max(x0, x1), max(y0, y1), max(z0, z1)):
                    nearest, box = enter, k
                    if enter == tx:
                        face = 0 if ix > 0 else 1
                    elif enter == ty:
                        face = 2 if iy > 0 else 3
                    else:
                        face = 4 if iz > 0 else 5

        if face < 0 or nearest > HORIZON_M:
            color[i, 0], color[i, 1], color[i, 2] = sky_color(sky, wx, wy, dz)
            distance[i] = np.float32(np.inf)
            continue
        distance[i] = nearest
        x, y, z = ox + nearest * dx, oy + nearest * dy, oz + nearest * dz
        axis = face >> 1
        # the footprint's geometric mean: grazing rays blur less across than along
        incidence = abs(dx if axis == 0 else (dy if axis == 1 else dz))
        footprint = nearest * pixel_angle / math.sqrt(max(incidence, np.float32(1e-4)))
        u, v = (y if axis == 0 else x), (y if axis == 2 else z)
        gr, gg, gb = light[face, 0], light[face, 1], light[face, 2]
        if indoors:
            lx, ly, lz = x - pool[0], y - pool[1], z - pool[2]
            near = at_person / (ONE + pool[4] * (lx * lx + ly * ly + lz * lz))
            near = min(ONE + pool[3] * (near - ONE), np.float32(3))
            gr, gg, gb = gr * near, gg * near, gb * near

        if box >= 0:
            look = int(looks[box, 3])
            r, g, b = material(pyramids, tiles, look, u, v, footprint)
            r, g, b = r * looks[box, 0], g * looks[box, 1], b * looks[box, 2]
            if look < GLOW:
                left_over = ONE
                if face != 5:  # the floor's crease and, under it, the dark
                    left_over = np.float32(0.6) + np.float32(0.4) * min(z * np.float32(1 / 0.35), ONE)
                r, g, b = r * gr * left_over, g * gg * left_over, b * gb * left_over
        elif face == 5:
            px, py = cosine * x - sine * y, sine * x + cosine * y
            captured = min(max((math.sqrt(x * x + y * y) - fade[0]) * fading, ZERO), ONE)
            captured = captured * captured * (np.float32(3) - np.float32(2) * captured)
            r = g = b = ZERO
            if captured < ONE:
                r, g, b = material(pyramids, tiles, FLOOR, u, v, footprint)
                if footprint < GRAIN_SEEN_M and contrast > 0:
                    scale = np.float32(1 / GRAIN_M)
                    fine = ONE + contrast * tile_value(grain, u * scale, v * scale, footprint * scale)
                    r, g, b = r * fine, g * fine, b * fine
                r, g, b = r * gr, g * gg, b * gb
            if captured > ZERO:
                cr, cg, cb = sky_color(sky, px, py, -capture_height)
                r, g, b = r + captured * (cr - r), g + captured * (cg - g), b + captured * (cb - b)
            column, row = below(x * np.float32(1 / CELL_M)), below(y * np.float32(1 / CELL_M))
            column, row = column + HALF_CELLS, row + HALF_CELLS
            if 0 <= column < 2 * HALF_CELLS and 0 <= row < 2 * HALF_CELLS:
                left = cells[row, column]
                while left:
                    lowest = left & (~left + np.uint64(1))
                    left ^= lowest
                    k = BIT[(lowest * MAGIC) >> np.uint64(58)]
                    qx, qy = x - patches[k, 0], y - patches[k, 1]
                    along = patches[k, 2] * qx + patches[k, 3] * qy
                    across = patches[k, 2] * qy - patches[k, 3] * qx
                    share = covered(along, patches[k, 4], footprint) * covered(across, patches[k, 5], footprint)
                    if share > 0:
                        pr, pg, pb = material(pyramids, tiles, int(patches[k, 9]), along, across, footprint)
                        r += share * (pr * patches[k, 6] * gr - r)
                        g += share * (pg * patches[k, 7] * gg - g)
                        b += share * (pb * patches[k, 8] * gb - b)
            still = np.float32(1 / GROUND_HALF_M)
            lit, open_ = shares(ground, x * still, y * still)
            sun, sky_share = shares(shadow, (px - center_x) * per_width, (py - center_y) * per_width)
            lit, open_ = lit * sun, open_ * sky_share
            if indoors:
                open_ *= crease(bounds[0, 0], bounds[1, 0], x) * crease(bounds[0, 1], bounds[1, 1], y)
            r *= open_ + (lit - open_) * sun_share[0]
            g *= open_ + (lit - open_) * sun_share[1]
            b *= open_ + (lit - open_) * sun_share[2]
        else:
            wall = 4 if axis == 2 else 2 * axis + (1 - (face & 1))
            chosen = -1
            for k in range(starts[wall], starts[wall + 1]):
                if panels[k, 1] < u < panels[k, 2] and panels[k, 3] < v < panels[k, 4]:
                    chosen = k
            look, pr, pg, pb = WALL, ONE, ONE, ONE
            if chosen >= 0:
                look = int(panels[chosen, 8])
                pr, pg, pb = panels[chosen, 5], panels[chosen, 6], panels[chosen, 7]
            elif axis == 2:
                look, pr, pg, pb = PLAIN, np.float32(0.75), np.float32(0.75), np.float32(0.75)  # white ceilings
            if look == GLASS:
                r, g, b = sky_color(sky, wx, wy, dz)
            else:
                r, g, b = material(pyramids, tiles, look, u, v, footprint)
            if look < GLOW:
                open_ = ONE
                if axis != 0:
                    open_ *= crease(bounds[0, 0], bounds[1, 0], x)
                if axis != 1:
                    open_ *= crease(bounds[0, 1], bounds[1, 1], y)
                if axis != 2:
                    open_ *= crease(bounds[0, 2], bounds[1, 2], z)
                r, g, b = r * gr * open_, g * gg * open_, b * gb * open_
            r, g, b = r * pr, g * pg, b * pb
        color[i, 0], color[i, 1], color[i, 2] = r, g, b
