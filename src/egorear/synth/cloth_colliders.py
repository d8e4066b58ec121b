"""What cloth falls on: limbs and trunk as axes with a radius for every height and direction, measured on the person.

A limb's cross-section is no circle (buttocks, calves, a trunk twice as wide as deep), so each axis carries a table of
radii instead of two: H heights along the axis by A directions around it, read bilinearly. Both ends are rounded off.
Directions are told by y / (|x| + |y|), which orders them like the angle and needs no trigonometry, so that every
machine finds the same bytes.
"""

from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple, no_type_check

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64
from numba import njit

from egorear.synth.body import BONES, Person, body_model
from egorear.synth.garments import Part

HEIGHTS, DIRECTIONS = 9, 16
CARRIED = 0.4  # a limb's surface is what its bones carry at least this share of
CENTRE_OF_HIPS_DROP = 0.25  # the pelvis ends below the hip joints by this share of their distance
MIDDLE_M = 0.012  # legs keep this far from the middle of the body at rest
TOES = 1.45  # the foot reaches beyond the ball of the foot: its length over that from ankle to ball

Axis = tuple[str, str, str]  # bone that moves it, joint where it starts and joint where it ends
ARM = (("Arm", "Arm", "ForeArm"), ("ForeArm", "ForeArm", "Hand"), ("Hand", "Hand", "HandMiddle3"))
LEG = (("UpLeg", "UpLeg", "Leg"), ("Leg", "Leg", "Foot"), ("Foot", "Foot", "ToeBase"))
TRUNK: tuple[Axis, ...] = (
    ("Spine2", "Spine2", "Neck"),
    ("Spine1", "Spine1", "Spine2"),
    ("Spine", "Spine", "Spine1"),
    ("Hips", "Spine", "Hips"),
)
# Where two press on a vertex the later one wins: hands sink into a skirt rather than thighs.
AXES: tuple[Axis, ...] = (
    *((side + bone, side + start, side + end) for side in ("Left", "Right") for bone, start, end in ARM),
    *TRUNK,
    *((side + bone, side + start, side + end) for side in ("Left", "Right") for bone, start, end in LEG),
)
ARMS = 2 * len(ARM)  # the first axes are those of the arms
AXIS_BONES: Int32[np.ndarray, "S"] = np.array([BONES.index(bone) for bone, _, _ in AXES], np.int32)

BLUNT: Float64[np.ndarray, "S"] = np.array([4.0 if axis in TRUNK else 1.0 for axis in AXES])


class Body(NamedTuple):
    """The axes in the T frames of a motion, world, metres; see `Colliders`. largest: the greatest radius of each."""

    origin: Float32[np.ndarray, "T S 3"]
    basis: Float32[np.ndarray, "T S 3 3"]
    length: Float64[np.ndarray, "S"]
    blunt: Float64[np.ndarray, "S"]
    radius: Float64[np.ndarray, "S H A"]
    largest: Float64[np.ndarray, "S"]


@dataclass(frozen=True)
class Colliders:
    """S axes in a person's rest pose, metres.

    basis: columns x and y across and z along each axis. blunt: how much flatter than a ball its ends are.
    radius: table over height and direction.
    """

    origin: Float64[np.ndarray, "S 3"]
    basis: Float64[np.ndarray, "S 3 3"]
    length: Float64[np.ndarray, "S"]
    blunt: Float64[np.ndarray, "S"]
    radius: Float64[np.ndarray, "S H A"]

    def posed(
        self,
        rest_joints: Float32[np.ndarray, "B 3"],
        rotations: Float32[np.ndarray, "T B 3 3"],
        joints: Float32[np.ndarray, "T B 3"],
    ) -> Body:
        """Where the axes are in each frame."""
        turn = rotations[:, AXIS_BONES].astype(np.float64)
        offset = self.origin - rest_joints[AXIS_BONES]
        origin = joints[:, AXIS_BONES] + (turn * offset[:, None]).sum(3)
        return Body(
            origin.astype(np.float32, order="C"),
            (turn @ self.basis).astype(np.float32, order="C"),
            self.length,
            self.blunt,
            self.radius,
            self.radius.max((1, 2)),
        )


def clearance(
    colliders: Colliders, points: Float64[np.ndarray, "P 3"]
) -> tuple[Float64[np.ndarray, "P"], Int64[np.ndarray, "P"]]:
    """How far points are from the body at rest, metres (negative: inside), and the axis that is nearest."""
    distance, home = np.full(len(points), np.inf), np.empty(len(points), np.int64)
    _clearance(
        points, colliders.origin, colliders.basis, colliders.length, colliders.blunt, colliders.radius, distance, home
    )
    return distance, home


def measure_colliders(person: Person) -> Colliders:
    """The axes of a person with the radii of everything they wear that is not cloth.

    Where garments hide the skin, so that it is not in the mesh, the mean body's radii stand in, scaled to the limb.
    """
    rigid = (person.looseness[person.triangles] == 0).all(1) & (person.part != Part.HAIR)
    colliders = _measured(
        person.vertices, person.triangles[rigid], person.skin_bones, person.skin_weights, person.rest_joints
    )
    mean = _mean_colliders()
    stand_in = mean.radius * (colliders.length / mean.length)[:, None, None]
    radius = np.where(colliders.radius > 0, colliders.radius, stand_in)
    return replace(colliders, radius=np.minimum(radius, _to_the_middle(colliders)))


def _to_the_middle(colliders: Colliders) -> Float64[np.ndarray, "S H A"]:
    """How large radii may be at most: each leg stays on its side, or cloth behind both would be folded between them."""
    way = np.arange(DIRECTIONS) * (4 / DIRECTIONS)
    x, y = np.abs(way - 2) - 1, np.where(way < 3, 1 - np.abs(way - 1), way - 4)  # the inverse of `direction`
    length = np.sqrt(x * x + y * y)
    sideways = (x * colliders.basis[:, 0, :1] + y * colliders.basis[:, 0, 1:2]) / length
    on_axis = np.linspace(0, 1, HEIGHTS) * colliders.length[:, None]
    from_middle = colliders.origin[:, :1] + on_axis * colliders.basis[:, 0, 2:]
    inward = -np.sign(from_middle)[:, :, None] * sideways[:, None]
    room = np.maximum(np.abs(from_middle) - MIDDLE_M, MIDDLE_M)
    limit = np.where(inward > 0.01, room[:, :, None] / np.maximum(inward, 0.01), np.inf)
    legs = [i for i, (bone, _, _) in enumerate(AXES) if bone.endswith("Leg")]
    most = np.full((len(AXES), HEIGHTS, DIRECTIONS), np.inf)
    most[legs] = limit[legs]
    return most


@cache
def _mean_colliders() -> Colliders:
    model = body_model()
    skin, joints = np.split(model.shape_mean.astype(np.float32), [len(model.wear)])
    colliders = _measured(skin, model.meshes["body"], model.skin_bones, model.skin_weights, joints)
    radius = colliders.radius
    for _ in range(DIRECTIONS):  # inner sides of thighs and shoulders have no surface: take their neighbours'
        beside = np.maximum(np.roll(radius, 1, 2), np.roll(radius, -1, 2))
        radius = np.where(radius > 0, radius, beside)
    for _ in range(HEIGHTS):
        radius[:, 1:] = np.where(radius[:, 1:] > 0, radius[:, 1:], radius[:, :-1])
        radius[:, :-1] = np.where(radius[:, :-1] > 0, radius[:, :-1], radius[:, 1:])
    return replace(colliders, radius=radius)


def _measured(vertices, triangles, skin_bones, skin_weights, rest_joints) -> Colliders:
    origin, basis, length = _axes(rest_joints.astype(np.float64))
    radius = np.zeros((len(AXES), HEIGHTS, DIRECTIONS))
    _measure(vertices, triangles, skin_bones, skin_weights, _axis_of_bone(), origin, basis, length, radius)
    return Colliders(origin, basis, length, BLUNT, radius)


def _axes(joints: Float64[np.ndarray, "B 3"]):
    start = joints[[BONES.index(name) for _, name, _ in AXES]]
    end = joints[[BONES.index(name) for _, _, name in AXES]]
    for i, (bone, _, _) in enumerate(AXES):
        if bone == "Hips":
            left, right = joints[BONES.index("LeftUpLeg")], joints[BONES.index("RightUpLeg")]
            end[i] = (left + right) / 2 - [0, 0, CENTRE_OF_HIPS_DROP * (left[0] - right[0])]
        elif bone.endswith("Foot"):
            end[i] = start[i] + TOES * (end[i] - start[i])
    along = end - start
    length = np.sqrt((along * along).sum(1))
    along /= length[:, None]
    across = np.cross(along, np.where(np.abs(along[:, 1:2]) < 0.8, [[0.0, 1, 0]], [[1.0, 0, 0]]))
    across /= np.sqrt((across * across).sum(1))[:, None]
    return start, np.stack((across, np.cross(along, across), along), 2), length


@cache
def _axis_of_bone() -> Int32[np.ndarray, "B"]:
    """The axis whose surface each bone's skin belongs to; -1: none."""
    owner = np.full(len(BONES), -1, np.int32)
    for i, name in enumerate(BONES):
        name = name.replace("ToeBase", "Foot")
        if "Hand" in name:
            name = name[: name.index("Hand") + 4]
        if BONES.index(name) in AXIS_BONES:
            owner[i] = list(AXIS_BONES).index(BONES.index(name))
    return owner


SAMPLES = np.array([[4, 0, 0], [0, 4, 0], [0, 0, 4], [2, 2, 0], [0, 2, 2], [2, 0, 2]]) / 4


@njit(cache=True, error_model="numpy")
@no_type_check  # numba compiles the plain function, not the tests' checking wrapper
def _measure(
    vertices, triangles, skin_bones, skin_weights, axis_of_bone, origin, basis, length, radius
):  # pragma: no cover (compiled)
    axes, heights, directions = radius.shape
    carried = np.zeros((len(vertices), axes))
    for n in range(len(vertices)):
        for w in range(4):
            axis = axis_of_bone[skin_bones[n, w]]
            if axis >= 0:
                carried[n, axis] += skin_weights[n, w]
    for f in range(len(triangles)):
        a, b, c = triangles[f]
        for s in range(axes):
            if carried[a, s] + carried[b, s] + carried[c, s] == 0:
                continue
            for k in range(len(SAMPLES)):
                u, v, w = SAMPLES[k]
                if u * carried[a, s] + v * carried[b, s] + w * carried[c, s] < CARRIED:
                    continue
                x = y = z = 0.0
                for i in range(3):
                    d = u * vertices[a, i] + v * vertices[b, i] + w * vertices[c, i] - origin[s, i]
                    x += d * basis[s, i, 0]
                    y += d * basis[s, i, 1]
                    z += d * basis[s, i, 2]
                row = int(np.floor(z / length[s] * (heights - 1) + 0.5))
                if 0 <= row < heights:
                    column = int(np.floor(direction(x, y) * (directions / 4) + 0.5)) % directions
                    radius[s, row, column] = max(radius[s, row, column], np.sqrt(x * x + y * y))


@njit(cache=True, error_model="numpy")
@no_type_check
def direction(x, y):  # pragma: no cover (compiled)
    """Where a vector points, 0..4 once around, in the order of its angle."""
    size = abs(x) + abs(y)
    if size == 0:
        return 0.0
    if x < 0:
        return 2.0 - y / size
    return y / size if y >= 0 else 4.0 + y / size


@njit(cache=True, error_model="numpy")
@no_type_check
def radius_at(radius, s, height, x, y):  # pragma: no cover (compiled)
    """Table s of several [S H A], read at a share of the height, 0..1, in a direction."""
    _, heights, directions = radius.shape
    row = min(int(height * (heights - 1)), heights - 2)
    up = height * (heights - 1) - row
    way = direction(x, y) * (directions / 4)
    column = min(int(way), directions - 1)
    on = way - column
    after = (column + 1) % directions
    low = (1 - on) * radius[s, row, column] + on * radius[s, row, after]
    high = (1 - on) * radius[s, row + 1, column] + on * radius[s, row + 1, after]
    return (1 - up) * low + up * high


@njit(cache=True, error_model="numpy")
@no_type_check
def local(points, i, s, at, turn, length, blunt):  # pragma: no cover (compiled)
    """Point i against the nearest one on axis s: x, y, z, the height of that one, and the squared distance.

    z is stretched where the axis' end is blunt.
    """
    X, Y, Z = points[i, 0] - at[s, 0], points[i, 1] - at[s, 1], points[i, 2] - at[s, 2]
    x = X * turn[s, 0, 0] + Y * turn[s, 1, 0] + Z * turn[s, 2, 0]
    y = X * turn[s, 0, 1] + Y * turn[s, 1, 1] + Z * turn[s, 2, 1]
    h = X * turn[s, 0, 2] + Y * turn[s, 1, 2] + Z * turn[s, 2, 2]
    height = min(max(h, 0.0), length[s])
    z = blunt[s] * (h - height)
    return x, y, z, height, x * x + y * y + z * z


@njit(cache=True, error_model="numpy")
@no_type_check
def _clearance(points, at, turn, length, blunt, radius, distance, home):  # pragma: no cover (compiled)
    for i in range(len(points)):
        for s in range(len(at)):
            x, y, _, height, square = local(points, i, s, at, turn, length, blunt)
            over = np.sqrt(square) - radius_at(radius, s, height / length[s], x, y)
            if over < distance[i]:
                distance[i], home[i] = over, s
