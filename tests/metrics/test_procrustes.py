"""Similarity alignment: what it undoes, what it must not, and its degenerate inputs."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from egorear.geometry.transforms import axis_angle_to_matrix
from egorear.metrics.procrustes import procrustes_align

seeds = st.integers(0, 2**32 - 1)


def poses(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(deadline=None, max_examples=30)
@given(seed=seeds, scale=st.floats(0.01, 100))
def test_rotation_scale_and_shift_are_undone(seed, scale):
    target = poses(seed, 4, 16)
    R = axis_angle_to_matrix(poses(seed + 1, 4))
    moved = scale * target @ R.mT + 5 * poses(seed + 2, 4, 1)
    torch.testing.assert_close(procrustes_align(moved, target), target)


@settings(deadline=None, max_examples=30)
@given(seed=seeds)
def test_no_small_change_of_the_alignment_does_better(seed):
    pred, target = poses(seed, 16), poses(seed + 1, 16)
    aligned = procrustes_align(pred, target)
    best = (aligned - target).square().sum()
    for step in 0.01 * poses(seed + 2, 8):
        turned = (aligned - aligned.mean(0)) @ axis_angle_to_matrix(step).T + aligned.mean(0)
        for changed in (turned, aligned + step, (1 + step[0]) * (aligned - aligned.mean(0)) + aligned.mean(0)):
            assert (changed - target).square().sum() >= best


def test_a_mirrored_pose_is_not_mirrored_back():
    target = poses(0, 16)
    aligned = procrustes_align(target * torch.tensor([-1.0, 1.0, 1.0]), target)
    assert (aligned - target).norm(dim=-1).mean() > 0.1


def test_joints_on_a_line_are_aligned():
    target = torch.linspace(0, 1, 16)[:, None] * torch.tensor([1.0, 2.0, -1.0])
    pred = torch.linspace(3, 5, 16)[:, None] * torch.tensor([0.0, 0.0, 1.0])
    torch.testing.assert_close(procrustes_align(pred, target), target, atol=1e-5, rtol=1e-5)


def test_a_pose_without_extent_goes_to_the_centroid():
    target = poses(0, 16)
    aligned = procrustes_align(torch.full((16, 3), 7.0, dtype=torch.float64), target)
    torch.testing.assert_close(aligned, target.mean(0).expand(16, 3))


def test_one_joint_is_moved_onto_its_truth():
    torch.testing.assert_close(procrustes_align(poses(0, 1), poses(1, 1)), poses(1, 1))


def test_tiny_poses_are_aligned_as_well_as_large_ones():
    target = poses(0, 16)
    torch.testing.assert_close(procrustes_align(1e-200 * target, target), target)
