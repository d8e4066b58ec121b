"""AG-EgoPose's targets and losses are the paper's, and with other weights the release's."""

import math
from dataclasses import replace

import pytest
import torch
from tests.models.agegopose_rule import goldens, normal_input
from torch.nn import functional as F

from egorear.datasets.sample import Sample
from egorear.errors import UserError
from egorear.geometry.rig import ego4view_syn
from egorear.geometry.skeleton import EGO4VIEW, EGOCAP, EGOPW
from egorear.models.agegopose import AGEgoPoseConfig, AGEgoPoseOutput
from egorear.training.clip_losses import (
    ClipTruth,
    bone_direction_loss,
    bone_length_loss,
    clip_terms,
    logits_loss,
    position_loss,
)
from egorear.training.losses import LossConfig
from egorear.training.schedule import Schedule

PAPER = LossConfig(heatmap=1.0, heatmap_loss="bce", pose=1.0, bone=0.1, cosine=0.01, sigma=2.0)
BONES = len(EGOPW) - 1


@pytest.fixture
def windows() -> Sample:
    """Two windows of three frames of one camera, joints as Ego4View's."""
    torch.manual_seed(0)
    rig = ego4view_syn().select(("front_left",)).resized(64, 64)
    pixels = 80 * torch.rand(2, 3, 1, 16, 2) - 8
    return Sample(
        images=torch.zeros((2, 3, 1, 3, 64, 64), dtype=torch.uint8),
        joints=torch.rand(2, 3, 16, 3),
        joints_2d=pixels,
        visible=torch.ones((2, 3, 1, 16), dtype=torch.bool),
        rig=replace(rig, T_camera_device=rig.T_camera_device.expand(2, 3, 1, 4, 4)),
        name=[f"a/b/{i}" for i in range(6)],
    )


def test_the_losses_with_the_releases_weights_are_the_golden_ones() -> None:
    pose, truth = (normal_input(f"input.loss.{name}", (8, 15, 3)) * 0.3 for name in ("pred", "gt"))
    position, bone, cosine, total = goldens()["I_losses_mpjpe_bone_cos_total"].tolist()
    assert position_loss(pose, truth).item() == pytest.approx(position, rel=1e-5)
    assert BONES * bone_length_loss(pose, truth, EGOPW).item() == pytest.approx(bone, rel=1e-5)
    assert -BONES * bone_direction_loss(pose, truth, EGOPW).item() == pytest.approx(cosine, rel=1e-4)
    released = replace(PAPER, pose=5.0, bone=0.1 * BONES, cosine=0.01 * BONES)
    output = AGEgoPoseOutput(poses=pose[:, None])
    terms = clip_terms(output, truth_of(truth[:, None]), released, EGOPW)
    assert sum(terms.values()).item() == pytest.approx(total, rel=1e-5)
    # The paper's: means over bones.
    expected = 1.0 * position + 0.1 * bone / BONES - 0.01 * cosine / BONES
    assert sum(clip_terms(output, truth_of(truth[:, None]), PAPER, EGOPW).values()).item() == pytest.approx(expected)


def truth_of(joints: torch.Tensor) -> ClipTruth:
    frames = joints.shape[:2]
    return ClipTruth(joints, torch.zeros(*frames, 15, 2), torch.ones(*frames, 15).bool(), torch.ones(*frames).bool())


def test_truth_is_told_on_the_networks_joints(windows: Sample) -> None:
    truth = ClipTruth.of(windows, EGO4VIEW, AGEgoPoseConfig(views=("front_left",)))
    for joint, name in enumerate(EGOPW.names):
        there = EGO4VIEW.index(name)
        assert torch.equal(truth.joints[..., joint, :], windows.joints[..., there, :])
        place = (windows.joints_2d[:, :, 0, there] + 0.5) / 64
        assert torch.equal(truth.place[..., joint, :], place)
        assert torch.equal(truth.seen[..., joint], ((place >= 0) & (place < 1)).all(-1))
    assert truth.counted.all()
    assert not truth.seen.all()
    own = ClipTruth.of(windows, EGO4VIEW, AGEgoPoseConfig(views=("front_left",), skeleton="ego4view"))
    assert torch.equal(own.joints, windows.joints)
    assert own.place.shape[2] == 15, "all but the head"
    with pytest.raises(UserError, match="16"):
        ClipTruth.of(windows, EGOCAP, AGEgoPoseConfig())


def test_the_papers_heatmaps_are_gaussians_and_the_published_ones_leave_a_trace_at_the_border(windows: Sample) -> None:
    windows.joints_2d[0, 0, 0, EGO4VIEW.index("Neck")] = torch.tensor([20.0, 40.0])
    windows.joints_2d[0, 0, 0, EGO4VIEW.index("LeftHand")] = torch.tensor([-2.0, 40.0])
    truth = ClipTruth.of(windows, EGO4VIEW, AGEgoPoseConfig(views=("front_left",)))
    ours, published = truth.heatmaps(64, 2.0)[0, 0], truth.heatmaps(64, None)[0, 0]
    neck, hand = 0, EGOPW.index("LeftHand")
    assert ours[neck, 40, 20] == published[neck, 40, 20] == 1
    assert ours[neck, 43, 22].item() == pytest.approx(math.exp(-13 / 8))
    assert (ours[neck, 40, 27] > 0, published[neck, 40, 27]) == (True, 0)
    assert (ours[hand].max(), published[hand, 40, 0], published[hand].max()) == (0, 1, 1)


def test_cross_entropy_and_squares_are_averaged_over_everything() -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 5, 8, 8), torch.rand(2, 3, 5, 8, 8)
    plain = F.binary_cross_entropy_with_logits(logits, target)
    assert logits_loss(logits, target, PAPER).item() == pytest.approx(plain.item())
    by_hand = -(12 * target * F.logsigmoid(logits) + (1 - target) * F.logsigmoid(-logits)).mean()
    assert logits_loss(logits, target, replace(PAPER, positive=12.0)).item() == pytest.approx(by_hand.item())
    mse = replace(PAPER, heatmap_loss="mse")
    assert logits_loss(logits, target, mse).item() == pytest.approx(F.mse_loss(logits.sigmoid(), target).item())
    error = (1 + 9 * target) * (logits.sigmoid() - target).square()
    assert logits_loss(logits, target, replace(mse, foreground=9.0)).item() == pytest.approx(error.mean().item())


def test_perfect_answers_have_no_error_and_what_weighs_nothing_is_left_out(windows: Sample) -> None:
    truth = ClipTruth.of(windows, EGO4VIEW, AGEgoPoseConfig(views=("front_left",)))
    logits = torch.logit(truth.heatmaps(16, 2.0), eps=1e-6)
    output = AGEgoPoseOutput(poses=truth.joints.clone(), heatmap_logits=logits)
    terms = clip_terms(output, truth, replace(PAPER, joints_2d=1.0), EGOPW)
    assert set(terms) == {"heatmaps", "joints_2d", "poses", "bones", "cosine"}
    assert terms["poses"] == terms["bones"] == 0
    assert terms["cosine"].item() == pytest.approx(-0.01)
    worse = replace(output, heatmap_logits=logits.roll(5, -1), poses=truth.joints + 0.3 * torch.randn(2, 3, 15, 3))
    worse_terms = clip_terms(worse, truth, replace(PAPER, joints_2d=1.0), EGOPW)
    assert all(worse_terms[name] > terms[name] for name in terms)
    assert set(clip_terms(output, truth, replace(PAPER, heatmap=0.0, bone=0.0, cosine=0.0), EGOPW)) == {"poses"}


def test_the_cosine_of_the_learning_rate_ends_at_its_floor() -> None:
    papers = Schedule(warmup_steps=0, decay="cosine", floor=0.1)
    assert [papers.factor(step, math.inf, 100.0) for step in (0, 50, 100)] == pytest.approx([1, 0.55, 0.1])
    with pytest.raises(UserError, match=r"schedule\.floor"):
        Schedule(floor=2.0)
