"""The z-buffer against geometry that can be worked out by hand, whole-number arithmetic, and an exact ray tracer."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from egorear.geometry.rig import ego4view_syn
from egorear.synth import torch_rasterizer
from egorear.synth.body import BONES, pose_person, sample_person
from egorear.synth.motion import MotionLibrary
from egorear.synth.rasterizer import (
    FARTHEST_PX,
    NOTHING,
    interpolate,
    rasterize,
    resolve,
    snap,
    vertex_normals,
)

on_grid = st.integers(-12 * 256, 20 * 256) | st.integers(0, 8).map(lambda pixel: 256 * pixel)


def icosphere(levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Unit sphere from a subdivided octahedron; triangles face outward."""
    vertices = [np.array(v, float) for v in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 0, 0), (0, -1, 0), (0, 0, -1))]
    triangles = [(0, 1, 2), (1, 3, 2), (3, 4, 2), (4, 0, 2), (1, 0, 5), (3, 1, 5), (4, 3, 5), (0, 4, 5)]
    for _ in range(levels):
        finer = []
        for a, b, c in triangles:
            start = len(vertices)
            for i, j in ((a, b), (b, c), (c, a)):
                middle = vertices[i] + vertices[j]
                vertices.append(middle / np.linalg.norm(middle))
            ab, bc, ca = start, start + 1, start + 2
            finer += [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        triangles = finer
    return np.array(vertices, np.float32), np.array(triangles, np.int32)


def draw(xy, distance, triangles, size=8):
    xy, distance = np.array(xy, np.float32), np.array(distance, np.float32)
    return rasterize(xy, distance, np.ones(len(xy), bool), np.array(triangles, np.int32), size, size)


def test_the_nearer_triangle_wins_whatever_the_order_and_the_winding():
    corners = [(-9, -9), (30, -9), (-9, 30)]
    near_first = draw(corners + corners, [1, 1, 1, 2, 2, 2], [(0, 1, 2), (3, 5, 4)])
    near_last = draw(corners + corners, [2, 2, 2, 1, 1, 1], [(0, 1, 2), (3, 5, 4)])
    assert (near_first[1] == 0).all()
    assert (near_last[1] == 1).all()
    assert near_first[0] == pytest.approx(1)


def test_of_equally_near_triangles_the_first_wins():
    corners = [(-9, -9), (30, -9), (-9, 30)]
    _, winner = draw(corners, [1, 1, 1], [(0, 2, 1), (0, 1, 2), (1, 2, 0)])
    assert (winner == 0).all()


def test_pixel_centres_decide_and_distance_is_interpolated():
    nearest, winner = draw([(0, 0), (4, 0), (0, 4)], [1, 5, 9], [(0, 1, 2)])
    covered = {(x, y) for y, x in np.argwhere(winner >= 0)}
    # Centres on the left and the top edge belong to the triangle, those on the edge to the bottom right do not.
    assert covered == {(x, y) for x in range(5) for y in range(5) if x + y < 4}
    assert 1 / nearest[0, 2] == pytest.approx((1 / 1 + 1 / 5) / 2)  # the inverse is linear in the picture
    assert 1 / nearest[2, 0] == pytest.approx((1 / 1 + 1 / 9) / 2)
    assert np.isinf(nearest[7, 7])
    assert winner[7, 7] == NOTHING


@given(st.lists(st.tuples(on_grid, on_grid), min_size=4, max_size=4), st.permutations(range(3)))
def test_each_centre_belongs_to_exactly_one_of_the_triangles_around_a_vertex(points, order):
    """A fan from a point inside a triangle: whole numbers say which centres the triangle holds."""
    *corners, hub = [np.array(point) for point in points]

    def side(a, b, p):
        return int((b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]))

    a, b, c = corners
    if side(a, b, c) < 0:
        b, c = c, b
    fan = [(a, b), (b, c), (c, a)]
    if side(a, b, c) == 0 or any(side(p, q, hub) < 0 for p, q in fan):
        hub = (a + b + c) // 3
        if side(a, b, c) == 0 or any(side(p, q, hub) < 0 for p, q in fan):
            return
    xy = np.stack((a, b, c, hub)).astype(np.float32) / 256
    share = np.zeros((8, 8), int)
    for triangle in ((0, 1, 3), (1, 2, 3), (2, 0, 3)):
        turned = [triangle[i] for i in order]
        share += draw(xy, [1, 1, 1, 1], [turned])[1] == 0
    for y, x in itertools.product(range(8), range(8)):
        sides = [side(p, q, (256 * x, 256 * y)) for p, q in fan]
        if min(sides) > 0:
            assert share[y, x] == 1
        elif min(sides) < 0:
            assert share[y, x] == 0
        else:
            assert share[y, x] <= 1


def test_snapped_vertices_lie_on_the_grid_and_stay_in_reach():
    rng = np.random.default_rng(0)
    pixels = rng.uniform(-600, 600, (500, 2)) * rng.choice([1, 1e5], (500, 1))
    snapped = snap(pixels)
    near = np.abs(pixels).max(1) < 600
    assert np.array_equal(snapped * 256, np.rint(snapped * 256))
    assert np.abs(snapped - pixels)[near].max() <= 1 / 512 + 1e-6
    assert np.abs(snapped).max() == FARTHEST_PX


def test_a_vertex_beyond_the_lens_drops_its_triangle():
    xy, distance = np.zeros((3, 2), np.float32), np.ones(3, np.float32)
    xy[1, 0] = xy[2, 1] = 7
    _, winner = rasterize(xy, distance, np.array([True, True, False]), np.array([[0, 1, 2]], np.int32), 8, 8)
    assert (winner == NOTHING).all()


def test_half_covered_pixels_mix_body_and_background():
    xy = np.array([(-9, -9), (2.5, -9), (2.5, 60), (-9, 60)], np.float32)  # left half, in fine pixels
    triangles = np.array([(0, 1, 2), (0, 2, 3)], np.int32)
    _, winner = rasterize(xy, np.ones(4, np.float32), np.ones(4, bool), triangles, 8, 8)
    background = np.zeros((4, 4, 3), np.float32)
    picture = resolve(xy, np.ones((4, 3), np.float32), triangles, winner, background, samples=2)
    np.testing.assert_allclose(picture[:, :, 0], [[1, 0.5, 0, 0]] * 4, atol=1e-6)


def test_attributes_that_are_affine_over_the_picture_are_read_off_exactly():
    xy = np.array([(-9, -9), (30, -9), (-9, 40)], np.float32)
    triangles = np.array([(0, 2, 1)], np.int32)
    _, winner = draw(xy, [1, 1, 1], triangles)
    winner[3, 3] = NOTHING
    picture = interpolate(xy, np.concatenate((xy, xy + 1), 1), triangles, winner)
    y, x = np.mgrid[:8, :8]
    expected = np.stack((x, y, x + 1, y + 1), -1)
    expected[3, 3] = 0
    np.testing.assert_allclose(picture, expected, atol=1e-5)


def test_normals_point_out_of_a_sphere():
    vertices, triangles = icosphere(3)
    # The two crossing edges of neighbours are subdivided apart, so vertices repeat: each sees its own triangles.
    agreement = (vertex_normals(vertices, triangles) * vertices).sum(-1)
    assert agreement.min() > 0.9


def project(camera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    whole_lens = replace(camera, max_angle=math.inf)  # triangles across the rim must keep all their vertices
    pixels, valid = whole_lens.project(torch.from_numpy(points.astype(np.float64)))
    return snap(pixels.numpy()), np.linalg.norm(points, axis=-1).astype(np.float32), valid.numpy()


def rays_of(camera) -> tuple[np.ndarray, np.ndarray]:
    """Unit rays through all pixel centres, and where there is one."""
    y, x = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
    rays, seen = camera.unproject(torch.stack((x, y), -1).double())
    return rays.numpy(), seen.numpy()


@pytest.mark.parametrize("view", ["front_left", "back_right"])
def test_a_sphere_covers_the_pixels_whose_exact_rays_meet_it(view):
    camera = ego4view_syn().cameras[view].resized(256, 256)
    centre, radius = np.array([0.25, 0.1, 0.5]), 0.3
    vertices, triangles = icosphere(5)
    nearest, winner = rasterize(*project(camera, vertices * radius + centre), triangles, 256, 256)

    rays, seen = rays_of(camera)
    along = rays @ centre
    discriminant = along**2 - centre @ centre + radius**2
    hit = (discriminant > 0) & seen
    exact = along - np.sqrt(np.maximum(discriminant, 0))
    both = hit & (winner >= 0)
    assert (hit == (winner >= 0)).mean() > 0.999
    assert np.median(np.abs(exact - nearest)[both]) < 1e-3


def seen_by_the_wearer(seed: int):
    """Triangles of a person in the middle of some motion, and their vertices before each camera of a headset."""
    rng = np.random.default_rng(seed)
    person = sample_person(rng)
    motion = MotionLibrary().sample(rng, "train", 9)
    rotations, root = motion.rotations[4], motion.root[4] * np.float32(person.leg_length)
    vertices, joints = pose_person(person, rotations, root)
    head = BONES.index("Head")
    origin = joints[head] + rotations[head] @ (person.forehead - person.rest_joints[head] - np.array([0, 0.06, 0]))
    device = (vertices - origin) @ (rotations[head] @ np.diag([-1.0, 1.0, -1.0]))  # x right, y back, z down
    rig = ego4view_syn().resized(256, 256)
    placed = [device @ T[:3, :3].T + T[:3, 3] for T in rig.T_camera_device.double().numpy()]
    return [(person.triangles, *view) for view in zip(rig.cameras.values(), placed, strict=True)]


def test_people_are_drawn_where_an_exact_ray_tracer_meets_them():
    rtcore_scene = pytest.importorskip("embreex.rtcore_scene")
    from embreex.mesh_construction import TriangleMesh

    agreement, errors = [], []
    for triangles, camera, points in itertools.chain.from_iterable(map(seen_by_the_wearer, range(6))):
        drawn = project(camera, points)
        nearest, winner = rasterize(*drawn, triangles, 256, 256)
        xy, distance, valid = (torch.from_numpy(values)[None] for values in drawn)
        again = torch_rasterizer.rasterize(xy, distance, valid, torch.from_numpy(triangles)[None], 256, 256)
        assert np.array_equal(nearest, again[0][0])
        assert np.array_equal(winner, again[1][0])

        tracer = rtcore_scene.EmbreeScene()
        TriangleMesh(tracer, points.astype(np.float32), triangles)
        rays, seen = rays_of(camera)
        rays = rays.reshape(-1, 3).astype(np.float32)
        traced = tracer.run(np.zeros_like(rays), rays, output=1)
        hit = (traced["primID"] >= 0).reshape(256, 256)
        agreement.append((hit == (winner != NOTHING))[seen].mean())
        errors.append((traced["tfar"].reshape(256, 256) - nearest)[hit & (winner != NOTHING) & seen])
    assert np.mean(agreement) >= 0.999
    assert np.median(np.abs(np.concatenate(errors))) <= 1e-3
