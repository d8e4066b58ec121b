"""What a person wears on the head: the headset that carries a rig's cameras, and glasses.

All parts are closed tubes swept along paths, with edges short enough for a fisheye rasteriser that draws them straight.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int32

from egorear.geometry.rig import Rig
from egorear.geometry.rotations import unit

STEP_M, DIAGONAL_M = 0.0135, 0.0186  # between points of profiles, and across the quads of a tube: edges stay under 2 cm
ROUNDNESS = 2.5  # exponent of the superellipse a head's outline follows (2: ellipse)
WIDTH = (0.75, 0.9)  # of a head with pressed hair, as a share of its length
FREE_M, BOX_FREE_M = 0.012, 0.045  # no part, no box that a camera sees comes nearer to its lens
TOGETHER_M, TOGETHER_RAD = 0.17, math.radians(40)  # cameras so near and so alike share an arm
SHORTEST_ARM_M = 0.015


@dataclass(frozen=True)
class HeadPoints:
    """Where a headset rests, on skin or hair; metres, in any one frame."""

    forehead: Float32[np.ndarray, "3"]
    back_of_head: Float32[np.ndarray, "3"]
    crown: Float32[np.ndarray, "3"]
    left_temple: Float32[np.ndarray, "3"]
    right_temple: Float32[np.ndarray, "3"]


@dataclass(frozen=True)
class HeadsetMesh:
    """vertices: device frame, metres; triangles wind outward; albedo: linear RGB."""

    vertices: Float32[np.ndarray, "N 3"]
    triangles: Int32[np.ndarray, "F 3"]
    albedo: Float32[np.ndarray, "N 3"]


def head_points(person, mount) -> HeadPoints:
    """The head of a `body.Person` in the device frame of a `mount.Mount` on it."""
    forehead, back, crown = (np.asarray(p, float) for p in (person.forehead, person.back_of_head, person.crown))
    middle = (forehead + back) / 2
    around = person.vertices[np.abs(person.vertices[:, 2] - middle[2]) < 0.02] - middle
    ahead = np.abs(around[:, 1]) / ((back[1] - forehead[1]) / 2)
    beside = np.abs(around[:, 0])
    level = (ahead < 0.8) & (beside < 0.14)
    # The superellipse through forehead and back of the head that goes around everything there.
    half_width = (beside[level] / (1 - ahead[level] ** ROUNDNESS) ** (1 / ROUNDNESS)).max(initial=0)
    half_width = np.clip(half_width, *(np.array(WIDTH) * (back[1] - forehead[1]) / 2))  # thick hair gives way
    side = np.array([half_width, 0, 0])
    points = np.stack((forehead, back, crown, middle + side, middle - side))
    return HeadPoints(*_rounded((points - mount.position) @ mount.rotation.astype(float)))


def build_headset(rng: np.random.Generator, rig: Rig, head: HeadPoints) -> HeadsetMesh:
    """A headset of random make around that head (device frame): band, straps, boxes, an arm to each group of cameras.

    Each camera's housing lies behind its lens, where it does not see it; a part that would come too near before a lens
    is left out. rig: of any cameras, extrinsics without batch dimensions.
    """
    skull, lenses = _Skull.of(head), _lenses(rig)
    shell, metal, plastic = _color(rng), _color(rng), rng.uniform(0.015, 0.06) * np.ones(3)
    thickness, height = rng.uniform(0.005, 0.011), rng.uniform(0.028, 0.0405)
    clearance = rng.uniform(0.002, 0.008) + thickness / 2
    lift, tilt = rng.uniform(-0.004, 0.018), rng.uniform(-0.02, 0.1)

    def over(around, above, clearance=clearance):
        """A point around the head where the band (above: 0) or a strap runs."""
        path = skull.surface(around, above, clearance)
        rise = lift + tilt * (path - skull.origin) @ skull.ahead
        return path + skull.up * (np.cos(above) ** 2 * rise)[..., None]

    ring = over(np.linspace(-np.pi, np.pi, 400), np.zeros(400))
    parts = [_sweep(ring[:-1], skull.up, _rectangle(thickness, height), shell, looped=True)]

    bow = np.linspace(0.05, np.pi - 0.05, 200)
    strap = _rectangle(0.003, rng.uniform(0.016, 0.03))
    lengthwise, crosswise = rng.random() < 0.6, rng.random() < 0.35
    for worn, start, width in ((lengthwise, 0.0, skull.left), (crosswise, np.pi / 2, skull.ahead)):
        if worn:
            parts.append(_sweep(over(np.full(200, start), bow), width, strap, shell))
    for chance, angle in ((0.35, 0.0), (0.3, np.pi)):  # electronics at the forehead, battery at the back
        wide, deep, tall = rng.uniform((0.05, 0.014, 0.03), (0.1, 0.022, 0.05))
        if rng.random() < chance:
            place = over(angle, 0.0, clearance + (thickness + deep) / 2) + skull.up * rng.uniform(0.002, 0.02)
            box = _box(place, skull.left * wide, skull.up, _rectangle(deep, tall), shell)
            parts += [box] if _clear(box, lenses, BOX_FREE_M) else []

    radius, length = rng.uniform(0.007, 0.012), rng.uniform(0.018, 0.035)
    rears = []
    for lens in lenses:
        housing, rear = _housing(lens, radius, length, plastic)
        parts += housing
        rears.append(rear)
    round_arm, thick = rng.random() < 0.5, rng.uniform(0.004, 0.007)
    arm = _circle(thick, 6) if round_arm else _rectangle(thick, rng.uniform(0.01, 0.018))
    high = rng.uniform(0.3, 0.9) if lengthwise and rng.random() < 0.5 else 0.0  # arms from the strap or the band
    bent = rng.uniform(0.2, 1)
    for group in _groups(lenses):
        hub = np.mean([rears[i] for i in group], 0)
        ends = [rears[i] for i in group if math.dist(hub, rears[i]) > SHORTEST_ARM_M]
        parts += [_sweep(np.stack((hub, end)), skull.up, arm, metal) for end in ends]
        to_hub = hub - skull.origin
        angle = math.atan2(to_hub @ skull.left / skull.half_width, to_hub @ skull.ahead / skull.front)
        root = over(angle, high if abs(math.sin(angle)) < 0.3 else 0.0)
        if math.dist(root, hub) > SHORTEST_ARM_M:
            parts.append(_sweep(_bow(root, hub, skull.up, bent), skull.left, arm, metal, step=0.0085))
    return HeadsetMesh(*_joined([part for part in parts if _clear(part, lenses, FREE_M)]))


def build_glasses(
    rng: np.random.Generator,
    head: Float32[np.ndarray, "H 3"],
    forehead: Float32[np.ndarray, "3"],
    head_joint: Float32[np.ndarray, "3"],
) -> tuple[Float32[np.ndarray, "N 3"], Int32[np.ndarray, "F 3"], Float32[np.ndarray, "N 3"]]:
    """Glasses or sunglasses on a head at rest (body axes, metres): vertices, triangles that wind outward, linear RGB.

    head: vertices of skin and hair that the bone Head carries; forehead: see `body.Person`; head_joint: of the bone
    Head. The bone Head is to carry all of it.
    """
    x, y, z = (head.astype(float) - (forehead[0], 0, 0)).T
    below = forehead[2] - head_joint[2]  # the forehead over the top of the neck: the size of the face
    face = (np.abs(x) < 0.15 * below) & (z > head_joint[2]) & (z < forehead[2] - 0.25 * below)
    nose = z[face][y[face].argmin()]
    eyes = nose + 0.5 * (forehead[2] - nose)
    size = below / 0.12
    shape = (rng.uniform(0.021, 0.026) * size, rng.uniform(0.013, 0.021) * size)  # half width and height of a lens
    apart, thick = rng.uniform(0.008, 0.011) * size + shape[0], rng.uniform(0.0009, 0.0021)
    level = eyes - 0.15 * shape[1]
    near = (np.abs(z - level) < shape[1] + 0.004) & (np.abs(x) < apart + shape[0]) & (y < head_joint[1])
    near &= (np.abs(x) > 0.1 * below) | (z > eyes)  # below its bridge, the nose is between the lenses
    curve = rng.uniform(1.5, 3.5)  # of the frame around the face, 1/m
    front = (y[near] - curve * x[near] ** 2).min() - 0.002 - thick

    def on_face(across, up):
        return np.stack((across, front + curve * across**2, level + up), -1)

    turns, forward = np.linspace(0, 2 * np.pi, 200), np.array([0.0, -1, 0])
    roundness = rng.uniform(0.6, 1.0)
    outline = np.stack([_power(wave(turns), roundness) for wave in (np.cos, np.sin)], -1) * shape
    outline = _walked(outline, pieces=12)[:-1]
    color, rim = _color(rng), _rectangle(2 * thick, 2 * thick)
    sunglasses = rng.random() < 0.3
    tint = rng.uniform(0.01, 0.05) * np.ones(3)
    hinge, ear = apart + shape[0], head_joint[1] + 0.1 * below
    beside = (np.abs(z - eyes) < 0.012) & (y > front + 0.03) & (y < ear)
    wide = max(np.abs(x[beside]).max(initial=0), hinge) + 0.001
    parts = []
    for side in (-1, 1):
        loop = on_face(side * apart + outline[:, 0], outline[:, 1])
        parts.append(_sweep(loop, forward, rim, color, looped=True, step=np.inf))
        if sunglasses:
            facing = 0.0005 * unit(np.array([2 * curve * side * apart, -1, 0]))
            lens = on_face(np.array(side * apart), np.array(0)) + np.stack((facing, -facing))
            parts.append(_sweep(lens, np.array([0, 0, 1.0]), outline, tint, step=np.inf))
        start = on_face(np.array(side * hinge), np.array(0.3 * shape[1]))
        top, end = np.array([side * wide, ear, eyes + 0.004]), np.array([side * wide, ear + 0.02, eyes - 0.022])
        bow = np.stack((start, start + np.array([side * 0.003, 0.004, 0]), top, end))
        parts.append(_sweep(bow, np.array([0, 0, 1.0]), _rectangle(1.5 * thick, 3 * thick), color, step=0.019))
    bridge = on_face(np.linspace(-1, 1, 4) * (apart - shape[0]), np.array([0.3, 0.45, 0.45, 0.3]) * shape[1])
    parts.append(_sweep(bridge, np.array([0, 0, 1.0]), rim, color))
    vertices, triangles, albedo = _joined(parts)
    return vertices + np.array((forehead[0], 0, 0), np.float32), triangles, albedo


class _Solid(NamedTuple):
    """A closed mesh of one colour."""

    vertices: Float[np.ndarray, "N 3"]
    triangles: Int32[np.ndarray, "F 3"]
    color: Float[np.ndarray, "3"]


class _Lens(NamedTuple):
    """A camera in the device frame; max_angle in radians from the axis."""

    centre: Float[np.ndarray, "3"]
    axis: Float[np.ndarray, "3"]
    max_angle: float


@dataclass(frozen=True)
class _Skull:
    """A domed head around an origin between the temples: unit axes, and how far it reaches along them in metres."""

    origin: Float[np.ndarray, "3"]
    ahead: Float[np.ndarray, "3"]
    left: Float[np.ndarray, "3"]
    up: Float[np.ndarray, "3"]
    front: float
    back: float
    half_width: float
    top: float

    @staticmethod
    def of(head: HeadPoints) -> "_Skull":
        left_temple, right_temple = head.left_temple.astype(float), head.right_temple.astype(float)
        origin = (left_temple + right_temple) / 2
        ahead = unit(head.forehead.astype(float) - head.back_of_head)
        left = left_temple - right_temple
        half_width = math.dist(left_temple, right_temple) / 2
        left = unit(left - ahead * (left @ ahead))
        up = np.cross(ahead, left)
        to_crown = head.crown - origin
        return _Skull(
            origin, ahead, left, up if up @ to_crown > 0 else -up, float((head.forehead - origin) @ ahead),
            float((origin - head.back_of_head) @ ahead), half_width, abs(float(up @ to_crown)),
        )  # fmt: skip

    def surface(self, around, above, clearance: float) -> Float[np.ndarray, "*shape 3"]:
        """The point `clearance` metres outside, at angles from straight ahead to the left, and upward."""
        ahead, left = _power(np.cos(around), 2 / ROUNDNESS), _power(np.sin(around), 2 / ROUNDNESS)
        level, up = np.cos(above), np.sin(above)
        # Beyond the zenith the way goes down on the other side.
        reach = np.where(ahead * level > 0, self.front, self.back) + clearance
        sides = (level * ahead * reach, level * left * (self.half_width + clearance), up * (self.top + clearance))
        axes = (self.ahead, self.left, self.up)
        return self.origin + sum(np.asarray(s)[..., None] * axis for s, axis in zip(sides, axes, strict=True))


def _power(value, exponent: float):
    return np.sign(value) * np.abs(value) ** exponent


def _color(rng: np.random.Generator) -> Float[np.ndarray, "3"]:
    """Linear RGB of a painted or moulded part: mostly dark plastic, also grey, white, some colour."""
    kind = rng.choice(4, p=(0.5, 0.2, 0.15, 0.15))
    grey = rng.uniform(*((0.015, 0.06), (0.1, 0.35), (0.55, 0.8), (0.03, 0.1))[kind])
    return grey * np.ones(3) + (rng.uniform(0, 0.6, 3) * (rng.random(3) < 0.5) if kind == 3 else 0)


def _lenses(rig: Rig) -> list[_Lens]:
    T = rig.T_camera_device.double().cpu().numpy()
    cameras = rig.cameras.values()
    return [_Lens(-t[:3, :3].T @ t[:3, 3], t[2, :3], c.max_angle) for t, c in zip(T, cameras, strict=True)]


def _housing(lens: _Lens, radius: float, length: float, color) -> tuple[list[_Solid], Float[np.ndarray, "3"]]:
    """A camera with its glass, where its own lens does not see it, and the point at its rear end."""
    # Also beyond 90 degrees, the rim stays behind the edge of the field of view.
    gap = 0.003 + min(radius * math.tan(min(max(lens.max_angle - math.pi / 2, 0), 1.4)), 0.05)
    glass, front, rear = (lens.centre - lens.axis * way for way in (gap - 0.001, gap, gap + length))
    up = np.eye(3)[np.abs(lens.axis).argmin()]
    return [
        _sweep(np.stack((front, rear)), up, _circle(radius), color),
        _sweep(np.stack((glass, front)), up, _circle(radius / 2, 6), 0.01 * np.ones(3)),
    ], rear


def _bow(start, end, up, bent: float) -> Float[np.ndarray, "K 3"]:
    """The way from start to end: straight (bent: 0), or first more and more along the unit vector `up` (1)."""
    share, way = np.linspace(0, 1, 60)[:, None], end - start
    corner = start + ((1 - bent) * way + bent * up * (way @ up)) / 2
    return (1 - share) ** 2 * start + 2 * share * (1 - share) * corner + share**2 * end


def _groups(lenses: list[_Lens]) -> list[list[int]]:
    """Cameras that sit together, by index."""
    groups: list[list[int]] = []
    for i, lens in enumerate(lenses):
        near = [group for group in groups if any(_together(lens, lenses[k]) for k in group)]
        groups = [group for group in groups if group not in near] + [[k for group in near for k in group] + [i]]
    return groups


def _together(a: _Lens, b: _Lens) -> bool:
    return math.dist(a.centre, b.centre) < TOGETHER_M and float(a.axis @ b.axis) > math.cos(TOGETHER_RAD)


def _clear(part: _Solid, lenses: list[_Lens], free: float) -> bool:
    """Whether no lens is inside a part, or sees it from nearer than `free` metres."""
    for lens in lenses:
        way = part.vertices - lens.centre
        distance = np.sqrt((way * way).sum(1))
        seen = way @ lens.axis >= distance * math.cos(min(lens.max_angle, math.pi))
        if (seen & (distance < free)).any() or _winding(way[part.triangles]) > 0.5:
            return False
    return True


def _winding(triangles: Float[np.ndarray, "F 3 3"]) -> float:
    """How often closed triangles go around the origin: the solid angle they cover, over 4 pi."""
    a, b, c = triangles.swapaxes(0, 1)
    la, lb, lc = (np.sqrt((p * p).sum(1)) for p in (a, b, c))
    below = la * lb * lc + (a * b).sum(1) * lc + (b * c).sum(1) * la + (c * a).sum(1) * lb
    return float(np.arctan2((a * np.cross(b, c)).sum(1), below).sum() / (2 * np.pi))


def _rectangle(width: float, height: float) -> Float[np.ndarray, "M 2"]:
    """A rectangle's outline around the origin with points every `STEP_M`."""
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]) * (width / 2, height / 2)
    pieces = [math.ceil(side / STEP_M) for side in (width, height, width, height)]
    edges = zip(corners[:-1], corners[1:], pieces, strict=True)
    return np.concatenate([np.linspace(a, b, n, endpoint=False) for a, b, n in edges])


def _circle(radius: float, points: int = 8) -> Float[np.ndarray, "M 2"]:
    turns = 2 * np.pi * np.arange(points) / points
    return radius * np.stack((np.cos(turns), np.sin(turns)), 1)


def _box(centre, width, up, profile: Float[np.ndarray, "M 2"], color) -> _Solid:
    """A box with bevelled ends: `profile` swept over the vector `width`."""
    long = math.ceil(math.dist(width, (0, 0, 0)) / STEP_M)
    at = np.concatenate(((-0.5, -0.46), np.linspace(-0.46, 0.46, long + 1)[1:-1], (0.46, 0.5)))
    scale = np.where(np.abs(at) == 0.5, 0.5, 1.0)
    return _sweep(centre + at[:, None] * width, up, scale[:, None, None] * profile, color, step=np.inf)


def _sweep(path, up, profile, color, looped: bool = False, step: float | None = None) -> _Solid:
    """A closed tube: `profile` (M 2: to the side and to `up`, metres; or one for each point) along `path` (K 3).

    The path is walked in steps of at most `step` metres, by default such that quads are small.
    """
    if step is None:
        sides = profile - np.roll(profile, 1, 0)
        step = math.sqrt(DIAGONAL_M**2 - (sides * sides).sum(1).max())
    if np.isfinite(step):
        path = _walked(np.vstack((path, path[:1])) if looped else path, step=step)
        path = path[:-1] if looped else path
    ends = (np.roll(path, -1, 0), np.roll(path, 1, 0)) if looped else (path[[*range(1, len(path)), -1]],
                                                                      path[[0, *range(len(path) - 1)]])  # fmt: skip
    along = unit(ends[0] - ends[1])
    side = np.cross(along, up)
    weak = (side * side).sum(1, keepdims=True) < 0.01  # the path goes the way of `up`: take another
    side = unit(np.where(weak, np.cross(along, np.roll(up, 1)), side))
    upward = np.cross(side, along)
    rings = path[:, None] + profile[..., :1] * side[:, None] + profile[..., 1:] * upward[:, None]
    k, m = np.arange(len(path) if looped else len(path) - 1), np.arange(rings.shape[1])
    here, there, after = k[:, None] * len(m), (k[:, None] + 1) % len(path) * len(m), (m + 1) % len(m)
    quads = np.stack((here + m, here + after, there + after, there + m), -1).reshape(-1, 4)
    triangles = np.concatenate((quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]))
    vertices = rings.reshape(-1, 3)
    if not looped:
        last = len(vertices) - len(m)
        fans = [
            (np.full_like(m, len(vertices)), after, m),
            (np.full_like(m, len(vertices) + 1), last + m, last + after),
        ]
        triangles = np.concatenate((triangles, *(np.stack(fan, 1) for fan in fans)))
        vertices = np.concatenate((vertices, path[:1], path[-1:]))
    a, b, c = (vertices - path[0])[triangles].swapaxes(0, 1)
    inside_out = (a * np.cross(b, c)).sum() < 0
    return _Solid(vertices, (triangles[:, ::-1] if inside_out else triangles).astype(np.int32), np.asarray(color))


def _walked(path: Float[np.ndarray, "K D"], pieces: int | None = None, step: float = np.inf):
    """Points at equal distances along a polyline: by number of pieces, or of at most `step` metres."""
    edges = np.diff(path, axis=0)
    way = np.concatenate(([0], np.cumsum(np.sqrt((edges * edges).sum(1)))))
    at = np.linspace(0, way[-1], (pieces or math.ceil(way[-1] / step)) + 1)
    return np.stack([np.interp(at, way, axis) for axis in path.T], 1)


def _joined(parts: list[_Solid]):
    """All parts' vertices, triangles and colours."""
    starts = np.cumsum([0] + [len(part.vertices) for part in parts])[:-1]
    none = np.zeros((0, 3))
    triangles = [part.triangles + start for part, start in zip(parts, starts, strict=True)]
    albedo = [np.broadcast_to(part.color, part.vertices.shape) for part in parts]
    return (
        _rounded(np.concatenate([none, *(part.vertices for part in parts)])),
        np.concatenate([none, *triangles]).astype(np.int32),
        np.concatenate([none, *albedo]).astype(np.float32),
    )


def _rounded(metres: Float[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape"]:
    """On a grid of a micrometre: near zero, float32 alone would keep the last bits in which machines differ."""
    return (np.rint(metres * 2**20) / 2**20 + 0.0).astype(np.float32)
