"""What of the light arrives: the sun's shadows and the sky hidden by the body, on the body and on the floor.

The sun's shadows come from a depth map of all triangles as the sun sees them. What limbs hide of the sky comes from
spheres along the bones, each in closed form: Snyder, "Area Light Sources for Real-Time Graphics" (1996).
World axes: z up, floor at z = 0, metres.
"""

import math
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Int32

from egorear.synth.body import BONES, body_model
from egorear.synth.rasterizer import compiled

LOWEST_SUN = 0.087  # sine of the elevation under which nothing is shadowed: such shadows lie beyond the floor we keep
TEXEL_M = 0.008  # of the sun's depth map
LARGEST_MAP = 448  # texels along a side; a scene too wide for that gets larger texels
SUN_SPREAD = np.float32(0.015)  # half width of a penumbra over its distance; haze and lamps are wider than the sun
REACH_M = np.float32(0.05)  # within which the floor looks for what shadows it
FLOOR_TEXELS = 160
FLOOR_FADE = 0.12  # share of half the square's width over which its light returns to 1 at the edge
FLOOR_DARKENING = np.float32(0.65)  # of the light from the floor at its very surface: the body keeps it dark there
FLOOR_DARKENING_M = np.float32(0.3)  # height that takes three quarters of that away

ZERO, HALF, ONE, PI = np.float32(0), np.float32(0.5), np.float32(1), np.float32(np.pi)


@dataclass(frozen=True)
class FloorLight:
    """Shares of light that reach a square of floor, 0…1: [..., 0] of the sun, [..., 1] of all other light.

    texture: row along world y, column along world x, texel centres spread over centre ± half_width (metres);
    texels at the edge are 1, and so is the floor outside.
    """

    texture: Float32[np.ndarray, "G G 2"]
    centre: tuple[float, float]
    half_width: float


class Sun:
    """What the sun sees of all triangles: a depth map. direction: unit vector towards it.

    A sun that is nearly down (or a zero vector: none) throws no shadows.
    """

    def __init__(
        self,
        vertices: Float32[np.ndarray, "N 3"],
        triangles: Int32[np.ndarray, "F 3"],
        direction: Float32[np.ndarray, "3"],
    ) -> None:
        self.direction = direction
        self.count = len(vertices)
        self.up = bool(direction[2] >= LOWEST_SUN)
        if self.up:
            self.depth, self.corner, self.texel, self.seen = _sun_map(vertices, triangles, direction)

    def visibility(self, normals: Float32[np.ndarray, "N 3"]) -> Float32[np.ndarray, "N"]:
        """How much of the sun each vertex sees, 1 lit … 0 shadowed, with a soft edge of a centimetre.

        normals: unit, of the vertices; those that face away from the sun are 0.
        """
        if not self.up:
            return np.ones(self.count, np.float32)
        return _compare(self.seen, normals, self.direction, self.depth, self.corner, self.texel)


def openness(
    vertices: Float32[np.ndarray, "N 3"], normals: Float32[np.ndarray, "N 3"], occluders: Float32[np.ndarray, "K 4"]
) -> Float32[np.ndarray, "N"]:
    """Share of the light from all around that reaches vertices past spheres (x, y, z, radius; metres) and the floor.

    A sphere hides only what of it rises over a vertex' own horizon, so a limb does not darken itself.
    """
    points, facing = np.ascontiguousarray(vertices.T), np.ascontiguousarray(normals.T)
    return _open(points, facing, occluders) * _over_floor(points[2], facing[2])


def floor_light(
    sun: Sun, spheres: Float32[np.ndarray, "K 4"], centre: tuple[float, float], half_width: float
) -> Float32[np.ndarray, "G G 2"]:
    """The texture of a `FloorLight`: the shadow of all triangles and the sky that the spheres hide."""
    offset = np.linspace(-half_width, half_width, FLOOR_TEXELS)
    x, y = (centre[0] + offset).astype(np.float32), (centre[1] + offset).astype(np.float32)
    points = np.zeros((3, FLOOR_TEXELS, FLOOR_TEXELS), np.float32)
    points[0], points[1] = x, y[:, None]
    points = points.reshape(3, -1)
    up = np.zeros_like(points)
    up[2] = 1
    light = np.ones((points.shape[1], 2), np.float32)
    light[:, 1] = _open(points, up, spheres)
    if sun.up:
        light[:, 0] = _floor_sun(points, sun.direction, sun.depth, sun.corner, sun.texel)
    light = light.reshape(FLOOR_TEXELS, FLOOR_TEXELS, 2)
    edge = np.clip((1 - np.abs(np.linspace(-1, 1, FLOOR_TEXELS))) / FLOOR_FADE, 0, 1).astype(np.float32)
    return 1 - (1 - light) * (edge * edge[:, None])[..., None]


def _sun_map(vertices, triangles, direction):
    """Depth map as the sun sees it (metres towards the sun, -inf: nothing), corner, texel, and vertices in its axes.

    The map's axes are u (level), v and t (towards the sun); texel [row, column] has its centre at
    v = corner[1] + row * texel and u = corner[0] + column * texel.
    """
    seen = _turned(vertices, *_axes(direction))
    low, high = seen[:, :2].min(0), seen[:, :2].max(0)
    texel = max(np.float32(TEXEL_M), (high - low).max() / np.float32(LARGEST_MAP - 10))
    corner = low - 4 * texel  # a lifted vertex may leave the silhouette
    columns, rows = np.ceil((high - low) / texel).astype(int) + 9
    depth = np.full((rows, columns), -np.inf, np.float32)
    _draw(seen, triangles, corner, texel, depth)
    return depth, corner, texel, seen


@compiled
@no_type_check  # numba compiles the plain function, not the tests' checking wrapper
def _axes(direction):
    """Level axis u and axis v of the sun's map; with `direction` they are orthonormal."""
    x, y, z = direction[0], direction[1], direction[2]
    level = math.sqrt(x * x + y * y)
    ux, uy = ONE, ZERO
    if level > np.float32(1e-4):
        ux, uy = -y / level, x / level
    u = np.array([ux, uy, ZERO])
    v = np.array([-z * uy, z * ux, x * uy - y * ux])
    return u, v, direction


@compiled
@no_type_check
def _turned(points, u, v, t):
    out = np.empty_like(points)
    for i in range(points.shape[0]):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        out[i, 0] = u[0] * x + u[1] * y + u[2] * z
        out[i, 1] = v[0] * x + v[1] * y + v[2] * z
        out[i, 2] = t[0] * x + t[1] * y + t[2] * z
    return out


@compiled
@no_type_check
def _draw(seen, triangles, corner, texel, depth):
    """The surface nearest to the sun in each texel; edges count as inside, so that meshes have no cracks."""
    rows, columns = depth.shape
    scale = ONE / texel
    slack = np.float32(1e-3)
    for f in range(triangles.shape[0]):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        ax, ay = (seen[a, 0] - corner[0]) * scale, (seen[a, 1] - corner[1]) * scale
        bx, by = (seen[b, 0] - corner[0]) * scale - ax, (seen[b, 1] - corner[1]) * scale - ay
        cx, cy = (seen[c, 0] - corner[0]) * scale - ax, (seen[c, 1] - corner[1]) * scale - ay
        left = math.ceil(ax + min(bx, cx, ZERO) - slack)
        right = math.floor(ax + max(bx, cx, ZERO) + slack)
        top = math.ceil(ay + min(by, cy, ZERO) - slack)
        bottom = math.floor(ay + max(by, cy, ZERO) + slack)
        if left > right or top > bottom:
            continue
        area = bx * cy - by * cx
        if abs(area) < np.float32(1e-6):
            continue
        inverse = ONE / area
        ta = seen[a, 2]
        tb, tc = seen[b, 2] - ta, seen[c, 2] - ta
        for row in range(max(top, 0), min(bottom, rows - 1) + 1):
            y = row - ay
            for column in range(max(left, 0), min(right, columns - 1) + 1):
                x = column - ax
                wb, wc = (x * cy - y * cx) * inverse, (bx * y - by * x) * inverse
                if wb >= -slack and wc >= -slack and wb + wc <= ONE + slack:
                    t = ta + wb * tb + wc * tc
                    if t > depth[row, column]:
                        depth[row, column] = t


@compiled
@no_type_check
def _compare(seen, normals, direction, depth, corner, texel):
    """Percentage-closer filtering with a box of two texels.

    Each vertex is first lifted along its normal by as much as lets it clear its own tangent plane within the box.
    """
    out = np.zeros(seen.shape[0], np.float32)
    u, v, _ = _axes(direction)
    reach = np.float32(2.2) * texel
    for i in range(seen.shape[0]):
        nx, ny, nz = normals[i, 0], normals[i, 1], normals[i, 2]
        facing = nx * direction[0] + ny * direction[1] + nz * direction[2]
        if not facing > 0:
            continue
        lift = reach * math.sqrt(max(ONE - facing * facing, ZERO)) + HALF * texel
        x = (seen[i, 0] + lift * (nx * u[0] + ny * u[1] + nz * u[2]) - corner[0]) / texel - ONE
        y = (seen[i, 1] + lift * (nx * v[0] + ny * v[1] + nz * v[2]) - corner[1]) / texel - ONE
        t = seen[i, 2] + lift * facing
        column, row = math.floor(x + HALF), math.floor(y + HALF)
        fx, fy = x + HALF - np.float32(column), y + HALF - np.float32(row)
        dark = ZERO
        for r in range(3):
            wy = ONE - fy if r == 0 else (fy if r == 2 else ONE)
            for c in range(3):
                wx = ONE - fx if c == 0 else (fx if c == 2 else ONE)
                if depth[row + r, column + c] > t:
                    dark += wx * wy
        out[i] = max(ONE - dark * np.float32(0.25), ZERO)
    return out


@compiled
@no_type_check
def _floor_sun(points, direction, depth, corner, texel):
    """Sun on floor points [3, N]: share of the map that is free in a box as wide as the penumbra.

    Everything on the map stands on the floor, so box sums of what covers it and how far up are all that is needed.
    """
    u, v, t = _axes(direction)
    rows, columns = depth.shape
    covered, gaps = np.zeros((rows + 1, columns + 1)), np.zeros((rows + 1, columns + 1))  # float64: exact box sums
    for row in range(rows):
        floor = -(corner[1] + np.float32(row) * texel) * v[2] / t[2]
        cover = gap = 0.0
        for column in range(columns):
            if depth[row, column] > -np.inf:
                cover += 1.0
                gap += depth[row, column] - floor
            covered[row + 1, column + 1] = covered[row, column + 1] + cover
            gaps[row + 1, column + 1] = gaps[row, column + 1] + gap
    out = np.ones(points.shape[1], np.float32)
    reach = REACH_M / texel
    for i in range(points.shape[1]):
        x = (u[0] * points[0, i] + u[1] * points[1, i] - corner[0]) / texel + HALF
        y = (v[0] * points[0, i] + v[1] * points[1, i] - corner[1]) / texel + HALF
        if x < -reach or y < -reach or x > columns + reach or y > rows + reach:
            continue
        count = _box(covered, x, y, reach)
        if count < 1e-3:
            continue
        gap = max(_box(gaps, x, y, reach) / count, 0.0)
        width = max(SUN_SPREAD * gap / texel, 1.0)
        out[i] = max(1.0 - _box(covered, x, y, width) / (4 * width * width), 0.0)
    return out


@compiled
@no_type_check
def _box(sums, x, y, half):
    """Sum over the square x ± half, y ± half of an image given by its summed-area table; texel edges are integers."""
    rows, columns = sums.shape[0] - 1, sums.shape[1] - 1
    total = 0.0
    for corner in range(4):
        px = x + half if corner & 1 else x - half
        py = y + half if corner & 2 else y - half
        px, py = min(max(px, 0.0), float(columns)), min(max(py, 0.0), float(rows))
        column, row = min(int(px), columns - 1), min(int(py), rows - 1)
        fx, fy = px - column, py - row
        top = sums[row, column] * (1 - fx) + sums[row, column + 1] * fx
        bottom = sums[row + 1, column] * (1 - fx) + sums[row + 1, column + 1] * fx
        value = top * (1 - fy) + bottom * fy
        total += value if corner == 0 or corner == 3 else -value
    return total


@compiled
@no_type_check
def _arccos(x):
    """Within 7e-5 radians for x in -1…1 (Abramowitz and Stegun 4.4.45)."""
    a = min(abs(x), ONE)
    r = np.float32(0.0742610) - np.float32(0.0187293) * a
    r = (r * a - np.float32(0.2121144)) * a + np.float32(1.5707288)
    r *= math.sqrt(ONE - a)
    return PI - r if x < 0 else r


@compiled
@no_type_check
def _open(points, normals, spheres):
    """Product over the spheres of what each leaves of the light on points [3, N], weighted by the cosine.

    The inner loop has no branches, so it runs on whole vectors of points.
    """
    out = np.ones(points.shape[1], np.float32)
    px, py, pz = points[0], points[1], points[2]
    nx, ny, nz = normals[0], normals[1], normals[2]
    for k in range(spheres.shape[0]):
        sx, sy, sz, radius = spheres[k, 0], spheres[k, 1], spheres[k, 2], spheres[k, 3]
        inverse = ONE / radius
        for i in range(out.shape[0]):
            x, y, z = (sx - px[i]) * inverse, (sy - py[i]) * inverse, (sz - pz[i]) * inverse
            squared = x * x + y * y + z * z
            rise = x * nx[i] + y * ny[i] + z * nz[i]  # of the centre over the horizon, in radii
            far = max(squared, np.float32(1.0001))  # from within a sphere its nearest side is all there is
            cosine = min(max(rise / math.sqrt(max(squared, np.float32(1e-6))), -ONE), ONE)
            sine = math.sqrt(max(ONE - cosine * cosine, np.float32(1e-6)))
            rise = cosine * math.sqrt(far)
            tangent = math.sqrt(far - ONE)
            cut = math.sqrt(max(ONE - rise * rise, ZERO))
            ratio = tangent / sine
            crossing = (cosine * _arccos(-cosine * ratio) - cut * tangent) / far
            crossing = (crossing + _arccos(ratio / math.sqrt(far))) / PI
            above = cosine / far
            hidden = crossing if rise < ONE else above
            hidden = hidden if rise > -ONE else ZERO
            # A near sphere mostly under the horizon belongs to the vertex' own limb: its bulges must not show.
            other = max(ONE + rise * np.float32(1.6), HALF * far - ONE)
            out[i] *= ONE - max(hidden, ZERO) * min(max(other, ZERO), ONE)
    return out


@compiled
@no_type_check
def _over_floor(z, nz):
    """Share of light left over a floor that the body darkens near itself, for heights z and upward normals nz."""
    out = np.empty_like(z)
    for i in range(z.shape[0]):
        near = FLOOR_DARKENING_M / (FLOOR_DARKENING_M + max(z[i], ZERO))
        out[i] = ONE - FLOOR_DARKENING * near * near * HALF * (ONE - nz[i])
    return out


# Spheres along the bones: from bone, to bone, way between them, radius on the mean body (metres).
_CHAINS = [
    ("Hips", "Spine", 0.0, 0.115), ("Spine", "Spine1", 0.0, 0.115), ("Spine1", "Spine2", 0.0, 0.12),
    ("Spine2", "Neck", 0.0, 0.11), ("Neck", "Head", 0.0, 0.055), ("Neck", "Head", 2.9, 0.095),
]  # fmt: skip
_ARM = [("Arm", "ForeArm", 0.0, 0.058), ("Arm", "ForeArm", 0.35, 0.05), ("Arm", "ForeArm", 0.7, 0.044),
        ("ForeArm", "Hand", 0.0, 0.041), ("ForeArm", "Hand", 0.4, 0.037), ("ForeArm", "Hand", 0.75, 0.031),
        ("Hand", "HandMiddle1", 0.2, 0.03), ("Hand", "HandMiddle1", 0.9, 0.03),
        ("HandMiddle1", "HandMiddle3", 1.0, 0.022)]  # fmt: skip
_LEG = [("UpLeg", "Leg", 0.0, 0.095), ("UpLeg", "Leg", 0.25, 0.085), ("UpLeg", "Leg", 0.5, 0.076),
        ("UpLeg", "Leg", 0.75, 0.066), ("Leg", "Foot", 0.0, 0.06), ("Leg", "Foot", 0.25, 0.058),
        ("Leg", "Foot", 0.5, 0.05), ("Leg", "Foot", 0.75, 0.042), ("Leg", "Foot", 1.1, 0.042),
        ("Foot", "ToeBase", 0.4, 0.042), ("Foot", "ToeBase", 0.8, 0.035), ("Foot", "ToeBase", 1.2, 0.028)]  # fmt: skip
_CHAINS += [(side + a, side + b, way, radius) for side in ("Left", "Right") for a, b, way, radius in _ARM + _LEG]
_CHAINS += [("Spine1", side + "Arm", 0.45, 0.095) for side in ("Left", "Right")]  # the sides of the chest
_FROM = np.array([BONES.index(chain[0]) for chain in _CHAINS])
_TO = np.array([BONES.index(chain[1]) for chain in _CHAINS])
_WAY = np.array([chain[2] for chain in _CHAINS], np.float32)[:, None]
_RADIUS = np.array([chain[3] for chain in _CHAINS], np.float32)


def body_spheres(
    joints: Float32[np.ndarray, "B 3"], limb_radius: Float32[np.ndarray, "16"]
) -> Float32[np.ndarray, "K 4"]:
    """Spheres (x, y, z, radius; metres) that fill a posed body: `pose_person`'s joints and `Person.limb_radius`."""
    size = (limb_radius.astype(np.float64).sum() / body_model().limb_radius.astype(np.float64).sum()).astype(np.float32)
    centres = joints[_FROM] + _WAY * (joints[_TO] - joints[_FROM])
    return np.concatenate([centres, (_RADIUS * size)[:, None]], 1)
