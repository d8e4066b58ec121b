"""Light against rays cast one by one, closed forms and geometry that can be worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egorear.synth.body import BONES, body_model
from egorear.synth.rasterizer import vertex_normals
from egorear.synth.shadows import FLOOR_TEXELS, Sun, body_spheres, floor_light, openness

NO_SPHERES = np.zeros((0, 4), np.float32)
elevations = st.floats(10, 90)
azimuths = st.floats(0, 360)


def sun(elevation: float, azimuth: float) -> np.ndarray:
    e, a = np.radians((elevation, azimuth))
    return np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)], np.float32)


def sunlight(points: np.ndarray, triangles: np.ndarray, direction: np.ndarray) -> np.ndarray:
    return Sun(points, triangles, direction).visibility(vertex_normals(points, triangles))


def grid(corners: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The quadrangle of four corners as n x n squares, cut into triangles."""
    s, t = (x.ravel()[:, None] for x in np.meshgrid(*[np.linspace(0, 1, n + 1)] * 2))
    a, b, c, d = corners
    points = (1 - s) * (1 - t) * a + s * (1 - t) * b + s * t * c + (1 - s) * t * d
    first = (np.arange(n)[:, None] * (n + 1) + np.arange(n)).ravel()
    lower = np.stack((first, first + 1, first + n + 2), 1)
    upper = np.stack((first, first + n + 2, first + n + 1), 1)
    return points, np.concatenate((lower, upper))


def joined(*meshes) -> tuple[np.ndarray, np.ndarray]:
    starts = np.cumsum([0] + [len(points) for points, _ in meshes])
    triangles = [triangles + start for (_, triangles), start in zip(meshes, starts, strict=False)]
    return (
        np.concatenate([points for points, _ in meshes]).astype(np.float32),
        np.concatenate(triangles).astype(np.int32),
    )


def box(low, high, n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Six faces with outward triangles; no vertices are shared between faces, so normals are exact."""
    faces = []
    for axis in range(3):
        for side in (0, 1):
            corners = np.tile(np.array((low, high), float)[side], (4, 1))
            i, j = (axis + 1) % 3, (axis + 2) % 3
            order = ((0, 0), (1, 0), (1, 1), (0, 1)) if side else ((0, 0), (0, 1), (1, 1), (1, 0))
            corners[:, i] = [(low[i], high[i])[p] for p, _ in order]
            corners[:, j] = [(low[j], high[j])[q] for _, q in order]
            faces.append(grid(corners, n))
    return joined(*faces)


def sphere(centre, radius: float, n: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """A box blown up to a sphere, its seams welded."""
    points, triangles = box((-1, -1, -1), (1, 1, 1), n)
    points, index = np.unique(np.round(points, 5), axis=0, return_inverse=True)
    points = points / np.linalg.norm(points, axis=1, keepdims=True) * radius + centre
    return points.astype(np.float32), index.reshape(-1)[triangles].astype(np.int32)


BALL = (np.array((0.3, 0, 0.5)), 0.1)
BOXES = (((-0.5, -0.4, 0.0), (0.5, 0.4, 0.2)), ((-0.1, -0.1, 0.3), (0.1, 0.1, 0.8)))


def met(origins: np.ndarray, direction: np.ndarray, solid: int) -> np.ndarray:
    """Do rays meet one of the solids (0: BALL, 1, 2: BOXES)? Exact intersections, no triangles."""
    if solid == 0:
        centre, radius = BALL
        along = (centre - origins) @ direction
        return (along > 0) & (((centre - origins) ** 2).sum(1) - along**2 < radius**2)
    low, high = BOXES[solid - 1]
    ends = np.stack([(corner - origins) / np.where(direction == 0, 1e-12, direction) for corner in (low, high)])
    return ends.min(0).max(1) < np.where((last := ends.max(0).min(1)) > 0, last, -np.inf)


def cast(origins: np.ndarray, direction: np.ndarray, solids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Which origins are in shadow, and which lie clear of every shadow's edge by four centimetres."""
    d = direction.astype(float)
    u = np.cross(d, (0.3, 0.5, 0.8))
    u /= np.linalg.norm(u)
    ring = [r * (np.cos(a) * u + np.sin(a) * np.cross(d, u)) for a in np.arange(8) * 0.785 for r in (0.02, 0.04)]
    shadowed = [np.any([met(origins + shift, d, solid) for solid in solids], 0) for shift in [np.zeros(3), *ring]]
    return shadowed[0], np.all(np.array(shadowed) == shadowed[0], 0)


@pytest.mark.parametrize(("elevation", "azimuth"), [(20, 185), (45, 130), (75, 250)])
def test_shadows_on_boxes_and_a_sphere_are_those_of_cast_rays(elevation, azimuth):
    solids = [sphere(*BALL), box(*BOXES[0], 30), box(*BOXES[1], 10)]
    points, triangles = joined(*solids)
    direction = sun(elevation, azimuth)
    facing = vertex_normals(points, triangles) @ direction
    seen = sunlight(points, triangles, direction)
    start, lit, dark = 0, 0, 0
    for i, (own, _) in enumerate(solids):
        part = slice(start, start := start + len(own))
        # A convex solid does not shadow its own lit side.
        shadowed, clear = cast(own.astype(float), direction, [k for k in range(3) if k != i])
        clear &= facing[part] > 0.1
        lit, dark = lit + (clear & ~shadowed).sum(), dark + (clear & shadowed).sum()
        np.testing.assert_allclose(seen[part][clear], ~shadowed[clear], atol=1e-6)
    assert lit > 1000
    assert dark > 30
    assert (seen[facing < -0.01] == 0).all()


@settings(max_examples=25, deadline=None)
@given(elevations, azimuths, st.floats(0.05, 0.4))
def test_a_convex_body_casts_no_shadow_on_its_lit_side(elevation, azimuth, radius):
    points, triangles = sphere((0.2, -0.1, 1), radius)
    direction = sun(elevation, azimuth)
    facing = vertex_normals(points, triangles) @ direction
    seen = sunlight(points, triangles, direction)
    assert seen[facing > 0.15].min() == 1
    assert (seen[facing < 0] == 0).all()


def test_the_edge_of_a_shadow_is_soft_and_where_it_should_be():
    ground, sheet = np.array([(-0.5, -0.5, 0), (0.5, -0.5, 0), (0.5, 0.5, 0), (-0.5, 0.5, 0)]), 0.3
    roof = ground * (0.5, 1, 0) + (-0.25, 0, sheet)  # above x < 0
    points, triangles = joined(grid(ground, 250), grid(roof, 10))
    seen = sunlight(points, triangles, sun(90, 0))
    row = (points[:, 2] == 0) & (np.abs(points[:, 1]) < 1e-6)
    x, light = points[row, 0], seen[row]
    assert (np.diff(light[np.argsort(x)])[(np.sort(x)[1:] > -0.4)] >= 0).all()
    assert ((light > 0) & (light < 1)).sum() >= 3
    assert np.interp(0.5, light[np.abs(x) < 0.05], x[np.abs(x) < 0.05]) == pytest.approx(0, abs=0.008)


def test_a_low_sun_or_none_throws_no_shadows():
    points, triangles = joined(box((0, 0, 0), (1, 1, 1)))
    for direction in (sun(4, 30), sun(-20, 30), np.zeros(3, np.float32)):
        assert (sunlight(points, triangles, direction) == 1).all()
        assert (floor_light(Sun(points, triangles, direction), NO_SPHERES, (0.0, 0.0), 1.6) == 1).all()


@pytest.mark.parametrize("elevation", [35, 60, 90])
def test_the_floor_is_dark_where_a_ray_to_the_sun_is_blocked(elevation):
    points, triangles = joined(sphere(*BALL), *(box(*solid, 6) for solid in BOXES))
    direction, centre, half = sun(elevation, 200), (0.2, 0.1), 1.6
    light = floor_light(Sun(points, triangles, direction), NO_SPHERES, centre, half)[..., 0]
    inner = np.linspace(-half, half, FLOOR_TEXELS)[25:-25]
    x, y = np.meshgrid(centre[0] + inner, centre[1] + inner)
    shadowed, clear = cast(np.stack((x, y, 0 * x), -1).reshape(-1, 3), direction, [0, 1, 2])
    light = light[25:-25, 25:-25].ravel()
    assert (clear & shadowed).sum() > 500
    assert light[clear & shadowed].max() < 0.02
    assert light[clear & ~shadowed].min() > 0.98


def test_shadows_are_wider_blurred_the_higher_their_cause():
    widths = []
    for height in (0.05, 0.8, 1.6):
        points, triangles = joined(box((-0.5, -0.5, height), (0.5, 0.5, height + 0.01)))
        row = floor_light(Sun(points, triangles, sun(90, 0)), NO_SPHERES, (0.5, 0.0), 0.4)[FLOOR_TEXELS // 2, :, 0]
        widths.append(((row > 0.02) & (row < 0.98)).sum())
    assert widths[0] < widths[1] < widths[2]


def test_the_floor_is_open_at_its_edge_and_darkest_under_what_stands_on_it():
    points, triangles = joined(box((-2, -2, 0.5), (2, 2, 0.6)))
    foot = np.array([[0.3, -0.2, 0.04, 0.05], [0.3, -0.2, 0.8, 0.1]], np.float32)
    light = floor_light(Sun(points, triangles, sun(60, 0)), foot, (0.0, 0.0), 1.6)
    for edge in (light[0], light[-1], light[:, 0], light[:, -1]):
        np.testing.assert_array_equal(edge, 1)
    row, column = np.unravel_index(light[..., 1].argmin(), light.shape[:2])
    offset = np.linspace(-1.6, 1.6, FLOOR_TEXELS)
    np.testing.assert_allclose((offset[column], offset[row]), (0.3, -0.2), atol=0.02)
    assert light[..., 1].min() < 0.3
    assert ((light >= 0) & (light <= 1)).all()


@settings(max_examples=40, deadline=None)
@given(st.floats(2, 8), st.floats(-1, 1))
def test_a_sphere_hides_its_share_of_the_cosine(distance, cosine):
    """Against the sum over 40,000 directions on the hemisphere, evenly spread in the cosine measure."""
    n = 200
    radius, phi = np.sqrt((np.arange(n) + 0.5) / n)[:, None], 2 * np.pi * (np.arange(n) + 0.5) / n
    rays = np.stack(
        np.broadcast_arrays(radius * np.cos(phi), radius * np.sin(phi), np.sqrt(1 - radius**2)), -1
    ).reshape(-1, 3)
    toward = np.array([np.sqrt(1 - cosine**2), 0, cosine])
    exact = (rays @ toward > np.sqrt(1 - 1 / distance**2)).mean()
    centre = np.array([0.0, 0, 50]) + 0.3 * distance * toward
    occluder = np.append(centre, 0.3).astype(np.float32)[None]
    left = openness(np.array([[0, 0, 50]], np.float32), np.array([[0, 0, 1]], np.float32), occluder)
    assert 1 - left[0] == pytest.approx(exact, abs=0.005)


def test_openness_over_an_empty_floor():
    heights = np.array([0, 0.1, 0.5, 1.5, -0.02], np.float32)
    points = np.stack((0 * heights, 0 * heights, heights), 1)
    down, up = (np.tile(np.array((0, 0, z), np.float32), (len(heights), 1)) for z in (-1, 1))
    np.testing.assert_array_equal(openness(points, up, NO_SPHERES), 1)
    below = openness(points, down, NO_SPHERES)
    assert (np.diff(below[:4]) > 0).all()
    assert below[0] == below[4] == pytest.approx(0.35)
    assert below[3] > 0.97


def test_the_spheres_lie_in_the_body_and_darken_where_limbs_meet():
    model = body_model()
    joints = model.shape_mean[-len(BONES) :].astype(np.float32) + np.array((0, 0, 1), np.float32)
    spheres = body_spheres(joints, model.limb_radius.astype(np.float32))
    low, high = joints.min(0), joints.max(0)
    assert (spheres[:, :3] > low - 0.1).all()
    assert (spheres[:, :3] < high + 0.2).all()
    hips, knee, upper = (joints[BONES.index(name)] for name in ("Hips", "LeftLeg", "LeftUpLeg"))
    between = (hips + knee) / 2 * (0, 1, 1) + (0.035, 0, 0)  # inside of the thigh
    outside = (knee + upper) / 2 + (0.09, 0, 0)
    side = np.array([(-1, 0, 0), (1, 0, 0)], np.float32)
    inner, outer = openness(np.stack((between, outside)).astype(np.float32), side, spheres)
    assert inner < 0.6
    assert outer > 0.9


def test_the_same_scene_gives_the_same_light():
    points, triangles = joined(box((-0.3, -0.2, 0), (0.3, 0.2, 0.2)), sphere((0.1, 0, 0.6), 0.15))
    spheres = np.array([[0.1, 0, 0.6, 0.15]], np.float32)
    direction = sun(50, 20)
    first, second = (
        (
            sunlight(points, triangles, direction),
            openness(points, vertex_normals(points, triangles), spheres),
            floor_light(Sun(points, triangles, direction), spheres, (0.0, 0.0), 1.6),
        )
        for _ in range(2)
    )
    for a, b in zip(first, second, strict=True):
        assert a.tobytes() == b.tobytes()
