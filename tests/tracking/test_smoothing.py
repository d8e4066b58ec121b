"""The One Euro filter: what rests is calmed, what moves is followed, and nothing is carried over a gap."""

import math

import pytest
import torch

from egorear.errors import UserError
from egorear.metrics.derivatives import jerk_mm
from egorear.tracking.smoothing import OneEuroConfig, OneEuroFilter

FPS = 30.0


def smoothed(motion, fps=FPS, config=None):
    smooth = OneEuroFilter(config)
    return torch.stack([smooth(pose, i / fps) for i, pose in enumerate(motion)])


def steady(speed, frames=300, fps=FPS):
    """Two joints moving along x and along y (m/s)."""
    way = speed * torch.arange(frames)[:, None] / fps
    return torch.stack((torch.cat((way, 0 * way, 0 * way), 1), torch.cat((0 * way, way, 0 * way), 1)), 1)


def test_what_rests_comes_back_as_it_is():
    pose = torch.rand(16, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(smoothed([pose] * 20), torch.stack([pose] * 20))


def test_trembling_is_calmed():
    rest = torch.zeros(300, 16, 3)
    trembling = rest + 0.02 * torch.randn(rest.shape, generator=torch.Generator().manual_seed(0))
    calm = smoothed(trembling)
    assert jerk_mm(calm).mean() < 0.5 * jerk_mm(trembling).mean()
    assert calm[30:].norm(dim=-1).mean() < 0.7 * trembling[30:].norm(dim=-1).mean()


@pytest.mark.parametrize("speed", [0.1, 0.5, 1.0, 3.0, 10.0])
def test_a_steady_motion_lags_by_a_bounded_way(speed):
    motion = steady(speed)
    lag = (motion - smoothed(motion)).norm(dim=-1)[-1]
    # A low pass with time constant tau lags by speed · tau.
    expected = speed / (2 * math.pi * (OneEuroConfig().cutoff_hz + OneEuroConfig().rise_hz * speed))
    torch.testing.assert_close(lag, torch.full((2,), expected), rtol=0.02, atol=0.0)
    assert (lag < 1 / (2 * math.pi * OneEuroConfig().rise_hz)).all()


def test_the_lag_hardly_depends_on_the_rate():
    lags = []
    for fps in (15.0, 120.0):
        motion = steady(1.0, frames=int(10 * fps), fps=fps)
        lags.append((motion - smoothed(motion, fps)).norm(dim=-1)[-1])
    torch.testing.assert_close(*lags, rtol=0.05, atol=0.0)


def test_doubt_calms_and_confidence_changes_nothing():
    trembling = 0.02 * torch.randn(200, 3, 3, generator=torch.Generator().manual_seed(0))
    trembling[:, 1] = trembling[:, 2] = trembling[:, 0]
    sure, smooth = smoothed(trembling), OneEuroFilter()
    confidence = torch.tensor([1.0, 0.5, 0.0])
    told = torch.stack([smooth(pose, i / FPS, confidence) for i, pose in enumerate(trembling)])
    assert torch.equal(told[:, 0], sure[:, 0])
    jitter = jerk_mm(told).mean(0)
    assert jitter[2] < 0.5 * jitter[0]
    assert jitter[2] < jitter[1] < jitter[0]


def test_a_joint_without_confidence_still_moves():
    smooth = OneEuroFilter()
    for i, pose in enumerate(steady(1.0)):
        last = smooth(pose, i / FPS, torch.zeros(2))
    lag = (steady(1.0)[-1] - last).norm(dim=-1)
    config = OneEuroConfig()
    assert (lag < 1 / (2 * math.pi * config.rise_hz * config.doubtful_share)).all()


def test_turning_the_axes_turns_the_result():
    generator = torch.Generator().manual_seed(0)
    motion = torch.randn(50, 16, 3, generator=generator, dtype=torch.float64).cumsum(0) / 50
    turned = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64)).Q
    torch.testing.assert_close(smoothed(motion @ turned), smoothed(motion) @ turned)


def test_joints_do_not_touch_each_other():
    motion = steady(1.0)
    alone = smoothed(motion[:, :1])
    torch.testing.assert_close(smoothed(motion)[:, :1], alone)


@pytest.mark.parametrize("step", [0.51, 0.0, -1.0])
def test_another_motion_begins_after_a_gap_or_a_step_back(step):
    smooth = OneEuroFilter()
    before, after = torch.zeros(16, 3), torch.ones(16, 3)
    for i in range(10):
        smooth(before, i / FPS)
    assert torch.equal(smooth(after, 9 / FPS + step), after)
    assert torch.equal(smooth(after, 9 / FPS + step + 0.1), after)


def test_a_short_gap_is_bridged():
    smooth = OneEuroFilter()
    smooth(torch.zeros(16, 3), 0.0)
    there = smooth(torch.full((16, 3), 0.01), 0.3)
    assert (there > 0.005).all()  # after 0.3 s most of the way is gone
    assert (there < 0.01).all()


def test_what_it_gets_and_returns_is_not_what_it_keeps():
    motion, smooth = steady(1.0, frames=5), OneEuroFilter()
    for i, (pose, expected) in enumerate(zip(motion, smoothed(motion), strict=True)):
        given = pose.clone()
        answer = smooth(given, i / FPS)
        assert torch.equal(answer, expected)
        answer.fill_(7.0)
        given.fill_(7.0)


def test_a_joint_that_is_not_finite_is_refused_and_forgotten():
    smooth = OneEuroFilter()
    smooth(torch.zeros(16, 3), 0.0)
    with pytest.raises(UserError, match="not finite"):
        smooth(torch.full((16, 3), math.nan), 0.1)
    assert smooth(torch.zeros(16, 3), 0.2).isfinite().all()


@pytest.mark.parametrize("wrong", [{"cutoff_hz": 0.0}, {"rise_hz": -1.0}, {"gap_s": math.inf}])
def test_wrong_parameters(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        OneEuroConfig(**wrong)
