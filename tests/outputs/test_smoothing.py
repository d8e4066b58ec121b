"""Smoothing recorded poses: rest and steady movement stay, tremble goes, gaps and edges do no harm."""

import numpy as np
import pytest

from egorear.errors import UserError
from egorear.outputs.smoothing import smooth

TIMES = np.arange(60) / 30


def test_what_rests_and_what_moves_steadily_stays():
    rest = np.full((60, 2, 3), 0.7, np.float32)
    np.testing.assert_allclose(smooth(TIMES, rest, 0.05), rest, rtol=1e-6)
    steady = (TIMES[:, None, None] * np.ones((2, 3))).astype(np.float32)
    np.testing.assert_allclose(smooth(TIMES, steady, 0.05)[10:-10], steady[10:-10], atol=1e-4)  # no delay


def test_tremble_goes_and_the_more_the_longer():
    noise = np.random.default_rng(0).normal(size=(60, 4, 3)).astype(np.float32)
    spread = [smooth(TIMES, noise, sigma).std() for sigma in (0.001, 0.04, 0.2)]
    assert spread[0] == pytest.approx(noise.std(), rel=1e-5)
    assert spread[0] > 1.5 * spread[1] > 2 * spread[2]


def test_a_known_step_becomes_the_gaussians_integral():
    step = (TIMES >= 1).astype(np.float32)[:, None, None] * np.ones((1, 3), np.float32)
    smoothed = smooth(TIMES, step, 0.1)[:, 0, 0]
    assert smoothed[29] + smoothed[30] == pytest.approx(1, abs=1e-6)  # 1/60 s before and after the step
    assert smoothed[33] == pytest.approx(0.878, abs=0.003)  # Phi of 0.1167 s / 0.1 s


def test_what_is_far_away_in_time_has_no_part_in_it():
    times = np.concatenate([TIMES[:30], TIMES[:30] + 100])
    joints = np.repeat(np.array([1.0, 5.0], np.float32), 30)[:, None, None] * np.ones((1, 3), np.float32)
    np.testing.assert_allclose(smooth(times, joints, 0.2), joints, rtol=1e-6)


def test_time_that_does_not_go_on_is_told():
    with pytest.raises(UserError, match="0 s follows 0 s"):
        smooth(np.zeros(2), np.zeros((2, 1, 3), np.float32), 0.1)
