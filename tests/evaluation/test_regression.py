"""Lines whose slope, correlation, p-value and interval are known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from egorear.evaluation.bootstrap import ClusterBootstrap
from egorear.evaluation.regression import coefficients, line, student_p

RNG = np.random.default_rng


@given(st.floats(-1e6, 1e6))
def test_the_p_value_is_exact_where_it_has_a_closed_form(t):
    assert student_p(t, 1) == pytest.approx(1 - 2 / math.pi * math.atan(abs(t)), abs=1e-12)
    assert student_p(t, 2) == pytest.approx(1 - abs(t) / math.hypot(t, math.sqrt(2)), abs=1e-12)


@pytest.mark.parametrize(("t", "freedom", "p"), [(2.228138852, 10, 0.05), (2.6259, 100, 0.01), (0.0, 7, 1)])
def test_the_p_value_is_that_of_the_tables(t, freedom, p):
    assert student_p(t, freedom) == pytest.approx(p, abs=1e-6)


def test_the_p_value_of_many_samples_is_the_normal_one_down_to_the_smallest_floats():
    for t in (0.1, 1.0, 5.0, 30.0):
        assert student_p(t, 10**8) == pytest.approx(math.erfc(t / math.sqrt(2)), rel=1e-3)
    assert student_p(100.0, 10**6) == 0


def test_a_straight_line_is_found_with_its_correlation():
    x = np.arange(12.0).reshape(6, 2)
    found = line(x, 3 - 0.5 * x, ClusterBootstrap("aabbcc"))
    assert found is not None
    assert (found.slope.value, found.intercept, found.r) == pytest.approx((-0.5, 3, -1))
    assert (found.slope.low, found.slope.high) == pytest.approx((-0.5, -0.5))
    assert found.p_value < 1e-60
    flat = line(x, np.full_like(x, 2), ClusterBootstrap("aaaaaa"))
    assert flat is not None
    assert (flat.slope.value, flat.slope.low, flat.r, flat.p_value) == (0, None, 0, 1)
    assert line(np.ones((6, 2)), x, ClusterBootstrap("aabbcc")) is None


def test_the_p_value_of_a_regression_is_that_of_a_worked_example():
    x, y = np.array([[1.0], [2.0], [3.0], [4.0], [5.0]]), np.array([[2.0], [1.0], [4.0], [3.0], [5.0]])
    found = line(x, y, ClusterBootstrap("abcde"))
    assert found is not None
    # r = 0.8, t = 0.8 √3 / 0.6 with 3 degrees of freedom
    assert (found.slope.value, found.intercept, found.r) == pytest.approx((0.8, 0.6, 0.8))
    assert found.p_value == pytest.approx(0.10408803866182788)


def test_dense_frames_of_few_recordings_make_the_interval_wide():
    rng = RNG(0)
    recordings = np.repeat(np.arange(20), 50)
    # One value a recording, seen fifty times: twenty points, not a thousand.
    x, y = (rng.normal(size=20)[recordings][:, None] + rng.normal(0, 0.01, (1000, 1)) for _ in range(2))
    dense = line(x, y, ClusterBootstrap(recordings.tolist()))
    single = line(x, y, ClusterBootstrap(range(1000)))
    assert dense is not None
    assert single is not None
    width, naive = (each.slope.high - each.slope.low for each in (dense, single))
    assert width > 4 * naive
    assert dense.slope.low < 0 < dense.slope.high


def test_instruments_take_the_noise_out_of_regressors():
    rng = RNG(1)
    true = rng.normal(size=(4000, 1, 2)) @ np.array([[1, 0.6], [0, 0.8]])
    first, second = (true + rng.normal(0, 0.7, true.shape) for _ in range(2))
    y = true @ np.array([2.0, -1.0]) + rng.normal(0, 0.1, (4000, 1)) + 5
    bootstrap = ClusterBootstrap(range(4000))
    plain = coefficients(y, first, bootstrap)
    freed = coefficients(y, first, bootstrap, second)
    assert [each.value for each in freed] == pytest.approx([2, -1], abs=0.12)
    assert all(each.low < truth < each.high for each, truth in zip(freed, (2, -1), strict=True))
    assert plain[0].high < 1.5
