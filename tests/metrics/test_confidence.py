"""Calibration error, reliability curve and AUROC against their definitions, written down pair by pair."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from egorear.errors import UserError
from egorear.metrics.confidence import auroc, expected_calibration_error, reliability_curve

# Coarse steps make ties and values on the bins' edges likely.
CONFIDENCES = st.one_of(st.integers(0, 30).map(lambda k: k / 30), st.floats(0, 1))
ANSWERS = st.lists(st.tuples(CONFIDENCES, st.booleans()), min_size=1, max_size=40)


def arrays(pairs):
    return np.array([p[0] for p in pairs], np.float64), np.array([p[1] for p in pairs], bool)


@given(ANSWERS, st.integers(1, 20))
def test_calibration_error_is_its_definition(pairs, bins):
    confidence, correct = arrays(pairs)
    expected = 0.0
    for k in range(bins):
        held = [(c, t) for c, t in pairs if k / bins <= c and (c < (k + 1) / bins or k == bins - 1)]
        if held:
            gap = sum(c for c, _ in held) / len(held) - sum(t for _, t in held) / len(held)
            expected += len(held) / len(pairs) * abs(gap)
    assert expected_calibration_error(confidence, correct, bins) == pytest.approx(expected, abs=1e-12)
    assert reliability_curve(confidence, correct, bins).count.sum() == len(pairs)


@given(st.lists(st.tuples(st.integers(-3, 3).map(float), st.booleans()), min_size=1, max_size=30))
def test_auroc_is_the_share_of_pairs_in_order(pairs):
    score, positive = arrays(pairs)
    wins = [
        1.0 if up > down else 0.5 if up == down else 0.0
        for up, is_up in pairs
        for down, is_down in pairs
        if is_up and not is_down
    ]
    found = auroc(score, positive)
    assert math.isnan(found) if not wins else found == pytest.approx(sum(wins) / len(wins))


def test_known_values():
    """Says 0.9 of what is right half of the time, and 0.2 of what never is."""
    confidence = torch.tensor([[0.9, 0.9], [0.2, 0.2]])
    correct = torch.tensor([[True, False], [False, False]])
    assert expected_calibration_error(confidence, correct) == pytest.approx((0.4 + 0.2) / 2, abs=1e-6)
    curve = reliability_curve(confidence, correct, bins=10)
    np.testing.assert_allclose(curve.confidence, [0.2, 0.9], atol=1e-6)
    np.testing.assert_array_equal(curve.correct, [0, 0.5])
    np.testing.assert_array_equal(curve.count, [2, 2])
    assert auroc(confidence, correct) == pytest.approx((1 + 1 + 0.5) / 3)


def test_confidences_drawn_from_what_they_say_have_no_error():
    rng = np.random.default_rng(0)
    confidence = rng.random(200_000)
    correct = rng.random(200_000) < confidence
    assert expected_calibration_error(confidence, correct) < 0.005
    assert auroc(confidence, correct) == pytest.approx(5 / 6, abs=0.005)  # of a uniform confidence, by integration


def test_what_has_no_value():
    nothing = np.zeros(0)
    assert math.isnan(expected_calibration_error(nothing, nothing.astype(bool)))
    assert math.isnan(auroc(np.ones(3), np.ones(3, bool)))
    for bad in (1.01, -0.1, math.nan):
        with pytest.raises(UserError, match="within 0 and 1"):
            expected_calibration_error(np.array([0.5, bad]), np.array([True, True]))
    with pytest.raises(UserError, match="NaN"):
        auroc(np.array([0.5, math.nan]), np.array([True, False]))
