"""Even rates from timestamps."""

import numpy as np
import pytest

from egorear.errors import UserError
from egorear.outputs.timing import evenly


def test_even_timestamps_stay_as_they_are():
    jitter = np.random.default_rng(0).uniform(-1e-5, 1e-5, 300)
    step, indices = evenly(5 + np.arange(300) / 30 + jitter)
    assert step == pytest.approx(1 / 30, rel=1e-4)
    np.testing.assert_array_equal(indices, np.arange(300))


def test_a_gap_is_filled_at_the_usual_rate():
    step, indices = evenly(np.array([0.0, 0.1, 0.2, 0.5, 0.6]))
    assert step == pytest.approx(0.1)
    np.testing.assert_allclose(indices, [0, 1, 2, 2 + 1 / 3, 2 + 2 / 3, 3, 4], atol=1e-9)


def test_a_leap_of_the_clock_is_no_gap_to_be_filled():
    with pytest.raises(UserError, match=r"leap from 0\.2 s to 1\.7e\+09 s but usually differ by 0\.1 s"):
        evenly(np.array([0.0, 0.1, 0.2, 1.7e9, 1.7e9 + 0.1]))


def test_one_pose_or_none_or_time_that_does_not_go_on():
    assert evenly(np.array([7.0]))[1].tolist() == [0.0]
    with pytest.raises(UserError, match="no pose"):
        evenly(np.zeros(0))
    with pytest.raises(UserError, match=r"0\.5 s follows 1 s"):
        evenly(np.array([0.0, 1.0, 0.5]))
