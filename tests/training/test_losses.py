"""Targets, loss terms and the learning rate are the recipe's."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from egorear.datasets.ego4view import open_ego4view
from egorear.datasets.sample import Sample
from egorear.errors import UserError
from egorear.models import EgoRearOutput
from egorear.training.losses import HEATMAP_INDEX, LossConfig, heatmap_loss, heatmap_targets, loss_terms
from egorear.training.schedule import Schedule

VIEWS = ("front_left", "front_right")


@pytest.fixture
def batch(dataset: Path) -> Sample:
    source = open_ego4view(dataset, "test", 64, VIEWS)
    return Sample.stack([source[i] for i in range(3)])


def test_official_targets_follow_from_pixels_of_the_calibration(batch: Sample) -> None:
    calibrated = (batch.joints_2d[..., HEATMAP_INDEX, :] + 0.5) * (872 / 64) - 0.5
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
