"""Targets, loss terms and the learning rate are the recipe's."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from egorear.datasets.ego4view import open_ego4view
from egorear.datasets.sample import Sample
from egorear.errors import UserError
from egorear.geometry.skeleton import EGO4VIEW, EGOCAP
from egorear.models import EgoRearOutput, EgoTAPConfig, EgoTAPOutput
from egorear.training.losses import (
    LossConfig,
    bone_cosine,
    heatmap_loss,
    heatmap_targets,
    limb_loss,
    limb_targets,
    loss_terms,
    true_poses,
)
from egorear.training.schedule import Schedule

VIEWS = ("front_left", "front_right")


@pytest.fixture
def batch(dataset: Path) -> Sample:
    source = open_ego4view(dataset, "test", 64, VIEWS)
    return Sample.stack([source[i] for i in range(3)])


def test_official_targets_follow_from_pixels_of_the_calibration(batch: Sample) -> None:
    calibrated = (batch.joints_2d[..., 1:, :] + 0.5) * (872 / 64) - 0.5
    centre = (calibrated * 64 / 872 + 0.5).floor().long()
    targets = heatmap_targets(batch, 64, sigma=None)
    for b, v, k in torch.cartesian_prod(torch.arange(3), torch.arange(2), torch.arange(15)):
        x, y = centre[b, v, k].tolist()
        if 0 <= x < 64 and 0 <= y < 64:
            assert targets[b, v, k, y, x] == 1


def test_joints_outside_the_image_give_empty_subpixel_targets(batch: Sample) -> None:
    batch.joints_2d[0, 0, :] = torch.tensor([-0.6, 20.0])  # just beyond the edge: half a Gaussian would be inside
    targets = heatmap_targets(batch, 16, sigma=1.0)
    assert not targets[0, 0].any()
    assert targets[0, 1].any()


def test_the_terms_are_those_of_the_outputs_and_vanish_for_perfect_ones(batch: Sample) -> None:
    perfect = heatmap_targets(batch, 64, sigma=None)
    feature = torch.zeros(3, 2, 1, 64, 64)
    poses = batch.joints[:, None].expand(-1, 4, -1, -1)
    output = EgoRearOutput(poses, perfect, perfect + 0.1, feature, None)
    terms = loss_terms(output, batch, LossConfig())
    assert terms["heatmaps_initial"] == 0
    assert terms["poses"] == 0
    # 10 x the mean square, summed over two views; 0.1 a centimetre, summed over four poses.
    assert terms["heatmaps_refined"].item() == pytest.approx(10 * 2 * 0.01, rel=1e-4)
    shifted = replace(output, poses=poses + torch.tensor([0.03, 0.0, 0.04]))
    assert loss_terms(shifted, batch, LossConfig())["poses"].item() == pytest.approx(0.1 * 5 * 4, rel=1e-4)
    assert set(loss_terms(replace(output, poses=None, heatmaps_refined=None), batch, LossConfig())) == {
        "heatmaps_initial"
    }


def test_foreground_weighs_joints_and_joints_2d_pulls_a_peak_to_its_place(batch: Sample) -> None:
    target = heatmap_targets(batch, 64, sigma=1.0)
    nothing, noise = torch.zeros_like(target), target + 0.05 * (target == 0)
    assert heatmap_loss(nothing, target, 30.0) > 10 * heatmap_loss(nothing, target)
    assert heatmap_loss(noise, target, 30.0) == pytest.approx(heatmap_loss(noise, target).item(), rel=0.05)
    config = LossConfig(sigma=1.0, joints_2d=1.0)
    feature = torch.zeros(3, 2, 1, 64, 64)
    near, far = (
        loss_terms(EgoRearOutput(None, maps, None, feature, None), batch, config)["joints_2d_initial"]
        for maps in (target, target.roll(8, dims=-1))
    )
    assert near < 0.2 * far


def test_the_official_schedule() -> None:
    factor = [Schedule().factor(step, 100.0, 1200.0) for step in range(1200)]
    assert factor[0] == pytest.approx(1 / 500)
    assert factor[499] == factor[799] == 1
    assert factor[800] == pytest.approx(0.1)
    assert factor[1199] == pytest.approx(0.01)


def test_the_cosine_ends_at_zero_and_needs_an_end() -> None:
    cosine = Schedule(warmup_steps=10, decay="cosine")
    assert cosine.factor(55, math.inf, 100.0) == pytest.approx(0.5)
    assert cosine.factor(100, math.inf, 100.0) == pytest.approx(0, abs=1e-9)
    with pytest.raises(UserError, match="max_steps"):
        cosine.factor(3, 100.0, math.inf)


def test_the_schedules_of_egotap() -> None:
    maps = Schedule(warmup_steps=0, decay="linear", milestones=(5, 10))  # UnrealEgo: 5 epochs, then 5/6 … 1/6
    assert [maps.factor(100 * epoch + 99, 100.0, 1000.0) for epoch in range(10)] == pytest.approx(
        [1, 1, 1, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    )
    lifter = Schedule(warmup_steps=0, warmup_epochs=1.0, decay="cosine")  # 16 epochs of 100 steps
    assert lifter.factor(49, 100.0, 1600.0) == pytest.approx(0.5)
    assert lifter.factor(100 + 750, 100.0, 1600.0) == pytest.approx(0.5)
    assert lifter.factor(1600, 100.0, 1600.0) == pytest.approx(0, abs=1e-9)
    with pytest.raises(UserError, match="milestones"):
        Schedule(decay="linear", milestones=(3,))


@pytest.mark.parametrize("sigma", [None, 1.0], ids=["published", "ours"])
def test_limb_targets_lie_between_the_ends_and_tell_the_angle(batch: Sample, sigma: float | None) -> None:
    maps, lengths = limb_targets(batch, 64, sigma, EGO4VIEW)
    place = (batch.joints_2d + 0.5) * (64 / batch.images.shape[-1]) - 0.5
    joints = batch.rig.to_camera(batch.joints)
    checked = 0
    for b, v, k in torch.cartesian_prod(torch.arange(3), torch.arange(2), torch.arange(15)):
        child, parent = k + 1, EGO4VIEW.parents[k + 1]
        if not batch.rig.project(batch.joints)[1][b, v, [child, parent]].all():
            continue
        column, row = place[b, v, child].round().long().clamp(0, 63).tolist()
        cos, sin = maps[b, v, :, k, row, column]
        bone = joints[b, 0 if sigma is None else v, parent] - joints[b, 0 if sigma is None else v, child]
        if cos > 0.2:  # the end of a limb, or the whole of a short one
            assert torch.atan2(sin, cos).item() == pytest.approx(torch.atan2(bone[2], bone[:2].norm()).item(), abs=1e-3)
            checked += 1
    assert checked > 20
    assert (lengths >= 1).all()


def test_the_terms_of_egotap_vanish_for_perfect_answers_and_leave_out_what_weighs_nothing(batch: Sample) -> None:
    config = EgoTAPConfig(views=VIEWS)
    maps = heatmap_targets(batch, 64, 1.0, egotap=True)
    limbs, lengths = limb_targets(batch, 64, 1.0, EGO4VIEW)
    loss = LossConfig(sigma=1.0, cosine=0.001)
    terms = loss_terms(EgoTAPOutput(batch.joints[:, None], maps, limb_maps=limbs), batch, loss, config)
    assert terms["heatmaps_initial"] == terms["limbs"] == terms["poses"] == 0
    assert terms["cosine"].item() == pytest.approx(-0.001 * 15)
    assert (
        set(loss_terms(EgoTAPOutput(None, maps, limb_maps=limbs), batch, replace(loss, limbs=0.0, heatmap=0.0), config))
        == set()
    )
    # A limb's error counts by its length: of two alike, the longer one's less.
    off = limbs.clone()
    off[:, :, :, 0] += 0.1
    expected = (0.01 / 15 / lengths[:, :, 0]).mean(dim=0).sum()
    assert limb_loss(off, limbs, lengths).item() == pytest.approx(expected.item(), rel=1e-4)


def test_poses_relative_to_the_pelvis_need_data_that_tell_it(batch: Sample) -> None:
    pelvis = torch.full((3, 3), 0.5)
    assert true_poses(replace(batch, pelvis=pelvis), "pelvis").equal(batch.joints - 0.5)
    with pytest.raises(UserError, match="pelvis"):
        true_poses(batch, "pelvis")


def test_the_cosine_of_egocap_leaves_out_the_bone_to_the_camera() -> None:
    joints = torch.randn(4, 18, 3)
    other = joints.clone()
    other[:, 0] += 1  # the camera, at the root
    assert bone_cosine(other, joints, EGOCAP).item() == pytest.approx(16, abs=1e-4)
    assert bone_cosine(-joints, joints, EGOCAP).item() == pytest.approx(-16, abs=1e-4)
