"""The compiled ray caster behind `Place.background`: one exact hit of floor, wall, box or sky per ray.

All coordinates are in the place's frame (the world turned about z), except that the sky map is the world's.
"""

import math
from typing import no_type_check

import numpy as np
from numba import njit

from egorear.synth.floors import SIZE
from egorear.synth.rooms import GLASS, LAMP

FLOOR, WALL, BOX = 0, 1, 2  # rows of the stacked pyramids
FAR = np.float32(1e9)
compiled = njit(fastmath=True, cache=True, error_model="numpy", nogil=True)


@compiled
@no_type_check  # numba compiles the plain function, not the tests\' checking wrapper
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


@compiled
@no_type_check
def sky_color(sky, x, y, z):
    """Bilinear look-up of the map in world direction (x, y, z), of any length."""
    height, width = sky.shape[0], sky.shape[1]
    theta = angle(math.sqrt(x * x + y * y), z)
    column = (np.float32(0.5) - angle(y, x) * np.float32(0.5 / math.pi)) * width - np.float32(0.5)
    row = theta * np.float32(1 / math.pi) * height - np.float32(0.5)
    row = min(max(row, np.float32(0)), np.float32(height - 1.001))
    c, r = math.floor(column), int(row)
    fc, fr = column - np.float32(c), row - np.float32(r)
    c0, c1 = c % width, (c + 1) % width
    one = np.float32(1)
    a, b, d, e = (one - fc) * (one - fr), fc * (one - fr), (one - fc) * fr, fc * fr
    p, q, s, t = sky[r, c0], sky[r, c1], sky[r + 1, c0], sky[r + 1, c1]
    return (
        a * p[0] + b * q[0] + d * s[0] + e * t[0],
        a * p[1] + b * q[1] + d * s[1] + e * t[1],
        a * p[2] + b * q[2] + d * s[2] + e * t[2],
    )


@compiled
@no_type_check
def tile_color(pyramid, u, v, footprint):
    """Bilinear look-up at (u, v) tiles in the mip level whose texels match `footprint` (in tiles)."""
    size, start = SIZE, 0
    while size > 1 and footprint * size > np.float32(1.5):
        start += size * size
        size >>= 1
    x = (u - math.floor(u)) * size - np.float32(0.5)
    y = (v - math.floor(v)) * size - np.float32(0.5)
    c, r = math.floor(x), math.floor(y)
    fc, fr = x - np.float32(c), y - np.float32(r)
    mask = size - 1
    top, bottom = start + (r & mask) * size, start + ((r + 1) & mask) * size
    c0, c1 = c & mask, (c + 1) & mask
    one = np.float32(1)
    a, b, d, e = (one - fc) * (one - fr), fc * (one - fr), (one - fc) * fr, fc * fr
    p, q, s, t = pyramid[top + c0], pyramid[top + c1], pyramid[bottom + c0], pyramid[bottom + c1]
    return (
        a * p[0] + b * q[0] + d * s[0] + e * t[0],
        a * p[1] + b * q[1] + d * s[1] + e * t[1],
        a * p[2] + b * q[2] + d * s[2] + e * t[2],
    )


@compiled
@no_type_check
def crease(low, high, at):
    """Darkening towards the nearer of two planes at right angles to the surface."""
    near = min(at - low, high - at) * np.float32(1 / 0.6)
    return np.float32(0.7) + np.float32(0.3) * min(max(near, np.float32(0)), np.float32(1))


@compiled
@no_type_check
def contact(shadows, boxes, x, y):
    """Light left on the floor at (x, y) among the soft blobs (x, y, radius, strength) and box feet."""
    left = np.float32(1)
    for k in range(shadows.shape[0]):
        dx, dy, radius = x - shadows[k, 0], y - shadows[k, 1], shadows[k, 2]
        inside = np.float32(1) - (dx * dx + dy * dy) / (radius * radius)
        if inside > 0:
            left *= np.float32(1) - shadows[k, 3] * inside * inside
    for k in range(boxes.shape[0]):
        if boxes[k, 2] < np.float32(0.05):
            dx = max(boxes[k, 0] - x, x - boxes[k, 3], np.float32(0))
            dy = max(boxes[k, 1] - y, y - boxes[k, 4], np.float32(0))
            inside = np.float32(1) - (dx * dx + dy * dy) * np.float32(1 / 0.09)
            if inside > 0:
                left *= np.float32(1) - np.float32(0.5) * inside * inside
    return left


@compiled
@no_type_check
def cast(
    rays, origin, cosine, sine, sky, pyramids, metres, light, fade, capture_height,
    indoors, bounds, panels, boxes, colors, shadows, pixel_angle, out,
):  # fmt: skip
    """Fills out[N, 3] with linear RGB for world rays [N, 3]; `origin` and `shadows` are in the place's frame.

    light[6, 3] is what white faces show with outward normals -x, +x, -y, +y, -z, +z. From fade[0] to fade[1]
    metres around the origin the floor's pattern gives way to the ground of the captured map, seen as if
    photographed from `capture_height` above the origin.
    """
    ox, oy, oz = origin[0], origin[1], origin[2]
    zero, one, tiny = np.float32(0), np.float32(1), np.float32(1e-9)
    for i in range(rays.shape[0]):
        wx, wy, dz = rays[i, 0], rays[i, 1], rays[i, 2]
        dx, dy = cosine * wx + sine * wy, cosine * wy - sine * wx
        ix = one / (dx if abs(dx) > tiny else tiny)
        iy = one / (dy if abs(dy) > tiny else tiny)
        iz = one / (dz if abs(dz) > tiny else tiny)

        nearest, face, box = FAR, -1, -1  # face: outward normal of what was hit, -1 is the sky
        if dz < -tiny and oz > 0:
            nearest, face = -oz * iz, 5
        if indoors:
            for axis in range(3):
                o = ox if axis == 0 else (oy if axis == 1 else oz)
                inverse = ix if axis == 0 else (iy if axis == 1 else iz)
                if axis < 2 or inverse > 0:
                    t = (bounds[1 if inverse > 0 else 0, axis] - o) * inverse
                    if zero < t < nearest:
                        nearest, face = t, 2 * axis + (0 if inverse > 0 else 1)
        for k in range(boxes.shape[0]):
            x0, x1 = (boxes[k, 0] - ox) * ix, (boxes[k, 3] - ox) * ix
            y0, y1 = (boxes[k, 1] - oy) * iy, (boxes[k, 4] - oy) * iy
            z0, z1 = (boxes[k, 2] - oz) * iz, (boxes[k, 5] - oz) * iz
            tx, ty, tz = min(x0, x1), min(y0, y1), min(z0, z1)
            enter = max(tx, ty, tz)
            leave = min(max(x0, x1), max(y0, y1), max(z0, z1))
            if zero < enter < nearest and enter < leave:
                nearest, box = enter, k
                if enter == tx:
                    face = 0 if ix > 0 else 1
                elif enter == ty:
                    face = 2 if iy > 0 else 3
                else:
                    face = 4 if iz > 0 else 5

        if face < 0 or nearest > np.float32(1e6):
            out[i, 0], out[i, 1], out[i, 2] = sky_color(sky, wx, wy, dz)
            continue
        x, y, z = ox + nearest * dx, oy + nearest * dy, oz + nearest * dz
        axis = face >> 1
        # the footprint's geometric mean: grazing rays blur less across than along
        incidence = abs(dx if axis == 0 else (dy if axis == 1 else dz))
        footprint = nearest * pixel_angle / math.sqrt(max(incidence, np.float32(1e-4)))
        u, v = (y if axis == 0 else x), (y if axis == 2 else z)
        gr, gg, gb = light[face, 0], light[face, 1], light[face, 2]

        if box >= 0:
            scale = one / metres[BOX]
            r, g, b = tile_color(pyramids[BOX], u * scale, v * scale, footprint * scale)
            r, g, b = r * colors[box, 0] * gr, g * colors[box, 1] * gg, b * colors[box, 2] * gb
        elif face == 5:
            distance = math.sqrt(x * x + y * y)
            captured = (distance - fade[0]) / (fade[1] - fade[0])
            captured = min(max(captured, zero), one)
            captured = captured * captured * (np.float32(3) - np.float32(2) * captured)
            r = g = b = zero
            if captured < one:
                scale = one / metres[FLOOR]
                r, g, b = tile_color(pyramids[FLOOR], u * scale, v * scale, footprint * scale)
                r, g, b = r * gr, g * gg, b * gb
            if captured > zero:
                px, py = cosine * x - sine * y, sine * x + cosine * y
                cr, cg, cb = sky_color(sky, px, py, -capture_height)
                r, g, b = r + captured * (cr - r), g + captured * (cg - g), b + captured * (cb - b)
            left = contact(shadows, boxes, x, y)
            if indoors:
                left *= crease(bounds[0, 0], bounds[1, 0], x) * crease(bounds[0, 1], bounds[1, 1], y)
            r, g, b = r * left, g * left, b * left
        else:
            mode, pr, pg, pb = -one, zero, zero, zero
            wall = 4 if axis == 2 else 2 * axis + (1 - (face & 1))
            for k in range(panels.shape[0]):
                if panels[k, 0] == wall and panels[k, 1] < u < panels[k, 2] and panels[k, 3] < v < panels[k, 4]:
                    pr, pg, pb, mode = panels[k, 5], panels[k, 6], panels[k, 7], panels[k, 8]
            if mode == GLASS:
                r, g, b = sky_color(sky, wx, wy, dz)
                r, g, b = r * pr, g * pg, b * pb
            elif mode == LAMP:
                r, g, b = pr, pg, pb
            else:
                scale = one / metres[WALL]
                if mode < 0 and axis < 2:
                    pr, pg, pb = tile_color(pyramids[WALL], u * scale, v * scale, footprint * scale)
                elif mode < 0:
                    pr = pg = pb = np.float32(0.75)  # ceilings are white
                left = one
                if axis != 0:
                    left *= crease(bounds[0, 0], bounds[1, 0], x)
                if axis != 1:
                    left *= crease(bounds[0, 1], bounds[1, 1], y)
                if axis != 2:
                    left *= crease(bounds[0, 2], bounds[1, 2], z)
                r, g, b = pr * gr * left, pg * gg * left, pb * gb * left
        out[i, 0], out[i, 1], out[i, 2] = r, g, b
