"""The z-buffer against geometry that can be worked out by hand, and against exact rays of a fisheye."""

import numpy as np
import pytest
import torch

from egorear.geometry.rig import ego4view_syn
from egorear.synth.rasterizer import NOTHING, rasterize, resolve, vertex_normals


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


def test_pixel_centres_decide_and_distance_is_interpolated():
    nearest, winner = draw([(0, 0), (4, 0), (0, 4)], [1, 5, 9], [(0, 1, 2)])
    covered = {(x, y) for y, x in np.argwhere(winner >= 0)}
    assert covered == {(x, y) for x in range(5) for y in range(5) if x + y <= 4}
    assert nearest[0, 2] == pytest.approx(3)
    assert nearest[2, 0] == pytest.approx(5)
    assert np.isinf(nearest[7, 7])
    assert winner[7, 7] == NOTHING


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


def test_normals_point_out_of_a_sphere():
    vertices, triangles = icosphere(3)
    # The two crossing edges of neighbours are subdivided apart, so vertices repeat: each sees its own triangles.
    agreement = (vertex_normals(vertices, triangles) * vertices).sum(-1)
    assert agreement.min() > 0.9


@pytest.mark.parametrize("view", ["front_left", "back_right"])
def test_a_sphere_covers_the_pixels_whose_exact_rays_meet_it(view):
    camera = ego4view_syn().cameras[view].resized(256, 256)
    centre, radius = np.array([0.25, 0.1, 0.5]), 0.3
    vertices, triangles = icosphere(5)
    points = (vertices * radius + centre).astype(np.float32)
    pixels, valid = camera.project(torch.from_numpy(points))
    distance = np.linalg.norm(points, axis=-1).astype(np.float32)
    nearest, winner = rasterize(pixels.numpy(), distance, valid.numpy(), triangles, 256, 256)

    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    rays, seen = camera.unproject(torch.stack((x, y), -1))
    rays = rays.numpy()
    along = rays @ centre
    discriminant = along**2 - centre @ centre + radius**2
    hit = (discriminant > 0) & seen.numpy()
    exact = along - np.sqrt(np.maximum(discriminant, 0))
    both = hit & (winner >= 0)
    assert (hit == (winner >= 0)).mean() > 0.999
    assert np.median(np.abs(exact - nearest)[both]) < 1e-3
