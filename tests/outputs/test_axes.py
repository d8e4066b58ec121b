"""Other programs' axes: who looks ahead looks ahead there, and rotations turn points there as here."""

import numpy as np
import pytest

from egorear.geometry.rotations import to_matrix, to_quaternion
from egorear.outputs import axes
from egorear.outputs.humanoid import FORWARD, RIGHT, UP

ALL = {"opengl": axes.OPENGL, "bvh": axes.BVH, "unity": axes.UNITY, **axes.WORLDS}


@pytest.mark.parametrize(
    ("matrix", "right", "up", "ahead", "handed"),
    [
        (axes.OPENGL, [1, 0, 0], [0, 1, 0], [0, 0, -1], 1),
        (axes.BVH, [-1, 0, 0], [0, 1, 0], [0, 0, 1], 1),
        (axes.UNITY, [1, 0, 0], [0, 1, 0], [0, 0, 1], -1),
    ],
)
def test_the_wearers_ways_in_other_axes(matrix, right, up, ahead, handed):
    for ours, theirs in ((RIGHT, right), (UP, up), (FORWARD, ahead)):
        np.testing.assert_array_equal(axes.points(matrix, ours), theirs)
    assert round(np.linalg.det(matrix)) == handed


@pytest.mark.parametrize(("world", "up"), [("y-up", [0, 1, 0]), ("z-up", [0, 0, 1]), ("y-down", [0, -1, 0]),
                                           ("z-down", [0, 0, -1])])  # fmt: skip
def test_worlds_become_upright_and_stay_right_handed(world, up):
    np.testing.assert_array_equal(axes.points(axes.WORLDS[world], np.array(up, float)), [0, 1, 0])
    assert round(np.linalg.det(axes.WORLDS[world])) == 1


@pytest.mark.parametrize("name", ALL)
def test_rotations_turn_points_there_as_here(name):
    rng = np.random.default_rng(0)
    wxyz = to_quaternion(to_matrix(rng.normal(size=(20, 4))))
    point = rng.normal(size=(20, 3))
    there = np.roll(axes.rotations(ALL[name], np.roll(wxyz, -1, -1)), 1, -1)
    turned_here = (to_matrix(wxyz) @ point[..., None])[..., 0]
    turned_there = (to_matrix(there) @ axes.points(ALL[name], point)[..., None])[..., 0]
    np.testing.assert_allclose(turned_there, axes.points(ALL[name], turned_here), atol=1e-12)


def test_the_quaternion_from_openxr_to_the_device_is_as_documented():
    np.testing.assert_allclose(to_matrix(np.array([0.70711, 0.70711, 0.0, 0.0])), axes.OPENGL, atol=1e-9)
