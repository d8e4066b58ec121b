"""Rigid transforms against linear algebra."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from egorear.geometry.transforms import (
    axis_angle_to_matrix,
    invert_rigid,
    matrix_to_axis_angle,
    rigid,
    transform_points,
)

component = st.floats(-2.0, 2.0)
vectors = st.tuples(component, component, component).map(lambda v: torch.tensor(v, dtype=torch.float64))


def random_rigid(*shape):
    draw = torch.Generator().manual_seed(0)
    R = axis_angle_to_matrix(torch.randn(*shape, 3, generator=draw, dtype=torch.float64))
    return rigid(R, torch.randn(*shape, 3, generator=draw, dtype=torch.float64))


def test_transforms_are_matrix_products():
    T, points = random_rigid(2, 4), torch.randn(2, 1, 7, 3, dtype=torch.float64)
    homogeneous = torch.cat((points, torch.ones_like(points[..., :1])), -1)
    expected = torch.einsum("bvij,bnj->bvni", T, homogeneous[:, 0])[..., :3]
    torch.testing.assert_close(transform_points(T, points), expected)
    torch.testing.assert_close(transform_points(T[0, 0], points)[1], transform_points(T[0, 0], points[1]))


def test_inverse_undoes():
    T = random_rigid(5)
    torch.testing.assert_close(invert_rigid(T) @ T, torch.eye(4, dtype=torch.float64).expand(5, 4, 4))


@settings(deadline=None, max_examples=50)
@given(vector=vectors)
def test_axis_angle_is_the_matrix_exponential_and_back(vector):
    x, y, z = vector.tolist()
    K = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    R = axis_angle_to_matrix(vector)
    torch.testing.assert_close(R, torch.linalg.matrix_exp(K), atol=1e-9, rtol=0)
    torch.testing.assert_close(axis_angle_to_matrix(matrix_to_axis_angle(R)), R, atol=1e-9, rtol=0)


def test_half_turns_and_the_identity_are_no_exception():
    turns = torch.tensor([[math.pi, 0, 0], [0, math.pi, 0], [0, 0, math.pi], [0, 0, 0], [0, 1e-9, 0]])
    back = matrix_to_axis_angle(axis_angle_to_matrix(turns))
    torch.testing.assert_close(back.abs(), turns, atol=1e-5, rtol=0)
    still = torch.zeros(3, requires_grad=True)
    (gradient,) = torch.autograd.grad(axis_angle_to_matrix(still).sum(), still)
    assert gradient.isfinite().all()
