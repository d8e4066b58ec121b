"""Light on bodies and floors in torch against the compiled one."""

import numpy as np
import pytest
import torch

from egorear.synth import shadows, torch_shadows
from egorear.synth.body import BONES, pose_person, sample_person
from egorear.synth.rasterizer import vertex_normals

SUNS = ((0.0, 0.0, 1.0), (0.5, 0.4, 0.77), (-0.8, 0.59, 0.03))  # overhead, afternoon, almost down
CENTRE, HALF_WIDTH = (0.1, -0.2), 1.5


@pytest.fixture(scope="module")
def standing():
    person = sample_person(np.random.default_rng(2))
    rest = np.tile(np.eye(3, dtype=np.float32), (len(BONES), 1, 1))
    vertices, joints = pose_person(person, rest, np.array([0, 0, person.leg_length], np.float32))
    return vertices, person.triangles, shadows.body_spheres(joints, person.limb_radius)


def repeated(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values).expand(len(SUNS), *values.shape)


def test_light_of_three_suns_is_that_of_the_compiled_shadows(standing):
    vertices, triangles, spheres = standing
    directions = np.array(SUNS, np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    expected_normals = vertex_normals(vertices, triangles)
    normals = torch_shadows.vertex_normals(repeated(vertices), repeated(triangles))
    np.testing.assert_allclose(normals[0], expected_normals, atol=1e-4)
    open_ = torch_shadows.openness(repeated(vertices), normals, repeated(spheres))
    np.testing.assert_allclose(open_[0], shadows.openness(vertices, expected_normals, spheres), atol=1e-3)

    sun = torch_shadows.Sun(repeated(vertices), repeated(triangles), torch.from_numpy(directions))
    visible = sun.visibility(normals)
    centre, half_width = torch.tensor([CENTRE]).expand(3, -1), torch.full((3,), HALF_WIDTH)
    floors = torch_shadows.floor_light(sun, repeated(spheres), centre, half_width)
    for k, direction in enumerate(directions):
        expected = shadows.Sun(vertices, triangles, direction).visibility(vertex_normals(vertices, triangles))
        assert np.abs(visible[k].numpy() - expected).mean() < 2e-3
        expected = shadows.floor_light(shadows.Sun(vertices, triangles, direction), spheres, CENTRE, HALF_WIDTH)
        assert np.abs(floors[k].numpy() - expected).mean() < 1e-3
    assert visible[1].min() == 0
    assert floors[1].min() < 0.1
