"""Motion metrics on motions whose derivatives are known."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from egorear.errors import UserError
from egorear.metrics.derivatives import derivative_mm, jerk_mm, motion_errors_mm, unit
from egorear.metrics.motion import MPJVE, AccelerationError, Jitter

FPS = 25.0
T = torch.arange(10, dtype=torch.float64) / FPS


def along_x(x: torch.Tensor, joints: int = 3) -> torch.Tensor:
    """A motion of all joints, "T J 3" in metres; they stand at different places."""
    offset = torch.arange(joints * 3, dtype=torch.float64).reshape(joints, 3)
    return offset + x[:, None, None] * torch.tensor([1.0, 0.0, 0.0])


def result(metric, *poses) -> float:
    metric.update(*poses)
    return float(metric.compute())


def test_polynomials_have_the_derivatives_of_analysis():
    # Differences of neighbours are exact here: D t = 1, D² t² = 2, D³ t³ = 6.
    still = along_x(0 * T)
    assert result(MPJVE(FPS), along_x(0.3 * T), still) == pytest.approx(300)  # mm/s
    assert result(AccelerationError(FPS), along_x(0.5 * T**2), still) == pytest.approx(1)  # m/s²
    assert result(AccelerationError(FPS), along_x(0.3 * T), still) == pytest.approx(0, abs=1e-9)
    assert result(Jitter(FPS), along_x(T**3)) == pytest.approx(6)  # m/s³
    assert result(Jitter(FPS), along_x(T**2)) == pytest.approx(0, abs=1e-6)


def test_without_a_rate_the_figures_are_millimetres_per_frame():
    frames = torch.arange(10, dtype=torch.float64)
    still = along_x(0 * frames)
    assert result(MPJVE(), along_x(0.002 * frames), still) == pytest.approx(2)
    assert result(AccelerationError(), along_x(0.002 * frames**2), still) == pytest.approx(4)
    assert result(Jitter(), along_x(0.001 * frames**3)) == pytest.approx(6)
    assert [MPJVE().unit, AccelerationError().unit, Jitter().unit] == ["mm/frame", "mm/frame²", "mm/frame³"]
    assert [MPJVE(FPS).unit, AccelerationError(FPS).unit, Jitter(FPS).unit] == ["mm/s", "m/s²", "m/s³"]
    assert unit(3, timed=True) == ("m/s³", 1e-3)


def test_a_joint_that_trembles_by_a_known_amount():
    # ±a every other frame: differences of 2a, 4a and 8a.
    tremble = along_x(0.001 * (-1.0) ** torch.arange(10, dtype=torch.float64))
    still = along_x(0 * T)
    assert result(MPJVE(), tremble, still) == pytest.approx(2)
    assert result(AccelerationError(), tremble, still) == pytest.approx(4)
    assert result(Jitter(), tremble) == pytest.approx(8)
    assert result(Jitter(), still) == 0


def test_independent_errors_give_what_the_documentation_says():
    still = torch.zeros(4000, 5, 3, dtype=torch.float64)
    noisy = 0.01 * torch.randn(still.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for metric, poses, neighbours in (
        (MPJVE(FPS), (noisy, still), 2),
        (AccelerationError(FPS), (noisy, still), 6),
        (Jitter(FPS), (noisy,), 20),
    ):
        scale = 1000 if metric.ORDER == 1 else 1
        expected = scale * 1.596 * neighbours**0.5 * 0.01 * FPS**metric.ORDER
        assert result(metric, *poses) == pytest.approx(expected, rel=0.01)


def test_an_error_that_does_not_change_is_no_error_of_the_motion():
    motion = along_x(torch.sin(7 * T))
    assert result(MPJVE(FPS), motion + 0.2, motion) == pytest.approx(0, abs=1e-9)
    assert result(AccelerationError(FPS), motion + 0.2, motion) == pytest.approx(0, abs=1e-9)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), fps=st.floats(1, 240))
def test_a_turned_and_shifted_world_has_the_same_figures(seed, fps):
    generator = torch.Generator().manual_seed(seed)
    pred, true = torch.randn(2, 8, 5, 3, generator=generator, dtype=torch.float64)
    Q = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    for order in (1, 2, 3):
        here = motion_errors_mm(pred, true, order, 1 / fps)
        torch.testing.assert_close(motion_errors_mm(pred @ Q + 1, true @ Q + 1, order, 1 / fps), here)
        torch.testing.assert_close(here, motion_errors_mm(pred, true, order) * fps**order)
    torch.testing.assert_close(jerk_mm(pred), motion_errors_mm(pred, torch.zeros_like(pred), 3))


def test_runs_are_added_apart_and_in_any_batches():
    a, b = torch.randn(2, 6, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole, parts = MPJVE(FPS), MPJVE(FPS)
    whole.update(torch.stack((a, b + 50)), torch.zeros(2, 6, 4, 3))  # the jump from a to b is no motion
    for each in (a, b + 50):
        parts.update(each, torch.zeros(6, 4, 3))
    torch.testing.assert_close(parts.compute(), whole.compute())
    assert float(whole.compute()) < 1000 * 10 * FPS


@pytest.mark.parametrize("metric", [MPJVE(), AccelerationError(), Jitter()])
def test_a_run_too_short_for_a_derivative_counts_nothing(metric):
    poses = torch.zeros(metric.ORDER, 2, 3)
    metric.update(*([poses] if metric.ORDER == 3 else [poses, poses]))
    assert math.isnan(float(metric.compute()))
    assert derivative_mm(poses, metric.ORDER).shape == (0, 2, 3)


def test_what_has_no_motion_is_refused():
    poses = torch.zeros(4, 2, 3)
    poses[2, 1, 0] = math.nan
    with pytest.raises(UserError, match="not finite"):
        Jitter().update(poses)
    for fps in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(UserError, match="fps is"):
            MPJVE(fps)
    with pytest.raises(UserError, match="must be positive"):
        derivative_mm(torch.zeros(4, 2, 3), 1, 0.0)
