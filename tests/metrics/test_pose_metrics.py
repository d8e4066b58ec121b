"""Known values, partial batches and merging of processes."""

import math

import pytest
import torch

from egorear.errors import UserError
from egorear.geometry.skeleton import EGO4VIEW
from egorear.metrics.heatmap import HeatmapMSE
from egorear.metrics.pose import AUC, MPJPE, PAMPJPE, PCK, PoseErrorTable

METRICS = (MPJPE, PAMPJPE, PCK, AUC)


def pair(frames: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(frames, 16, 3, generator=generator)
    return target + 0.08 * torch.randn(frames, 16, 3, generator=generator), target


def merged(first, second):
    """What a run of two processes computes: every state reduced by its own rule."""
    for name, reduce in first._reductions.items():
        setattr(first, name, reduce(torch.stack((getattr(first, name), getattr(second, name)))))
    return first


def test_known_errors():
    target = torch.zeros(2, 16, 3)
    pred = target.clone()
    pred[0, :, 0] = 0.0975  # a frame 97.5 mm off, a frame right
    assert float(metric_of(MPJPE(), pred, target)) == pytest.approx(48.75)
    assert float(metric_of(PCK(), pred, target)) == 100
    # 0, 5 … 95 mm: half right; 100 … 150 mm (11 of 31 thresholds): all right.
    assert float(metric_of(AUC(), pred, target)) == pytest.approx(100 * (20 * 0.5 + 11) / 31)


def test_the_threshold_of_pck_is_150_mm():
    target = torch.zeros(1, 2, 3)
    pred = torch.tensor([[[0.1499, 0, 0], [0.1501, 0, 0]]])
    assert float(metric_of(PCK(), pred, target)) == 50


def test_a_shifted_pose_has_no_aligned_error():
    _, target = pair(3)
    assert float(metric_of(PAMPJPE(), 2 * target + 1, target)) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("kind", METRICS)
def test_batches_and_processes_do_not_change_the_figure(kind):
    pred, target = pair(11)
    whole = metric_of(kind(), pred, target)
    batched = kind()
    for rows in (slice(0, 4), slice(4, 8), slice(8, 11)):  # the last batch is a partial one
        batched.update(pred[rows], target[rows])
    torch.testing.assert_close(batched.compute(), whole)
    first, second = kind(), kind()
    first.update(pred[:9], target[:9])
    second.update(pred[9:], target[9:])
    torch.testing.assert_close(merged(first, second).compute(), whole)


@pytest.mark.parametrize("kind", METRICS)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_pose_that_is_not_finite_is_refused(kind, bad):
    pred, target = pair(2)
    pred[1, 3, 0] = bad
    with pytest.raises(UserError, match="predicted joint is not finite"):
        kind().update(pred, target)


def test_joints_can_be_chosen_and_are_aligned_with_the_whole_body():
    pred, target = pair(4)
    table = metric_of(PoseErrorTable(align=True), pred, target)
    hands = metric_of(PAMPJPE(EGO4VIEW.groups["hands"]), pred, target)
    torch.testing.assert_close(table["hands"], hands)
    assert set(table) == {*EGO4VIEW.names, *EGO4VIEW.groups}


def test_the_table_tells_which_joint_is_off():
    _, target = pair(5)
    pred = target.clone()
    pred[:, EGO4VIEW.index("LeftHand"), 2] += 0.04
    table = {name: float(value) for name, value in metric_of(PoseErrorTable(), pred, target).items()}
    assert table["LeftHand"] == pytest.approx(40, abs=1e-3)
    assert table["hands"] == pytest.approx(20, abs=1e-3)
    assert table["upper"] == pytest.approx(5, abs=1e-3)
    assert table["all"] == pytest.approx(2.5, abs=1e-3)
    assert table["lower"] == table["Head"] == 0


def test_heatmap_error_is_in_the_unit_of_the_paper():
    target = torch.zeros(2, 15, 64, 64)
    assert float(metric_of(HeatmapMSE(), target + 0.01, target)) == pytest.approx(1.0)


def test_sums_stay_exact_over_many_batches():
    metric, target = MPJPE(), torch.zeros(1, 1, 3)
    metric.update(torch.tensor([[[1e5, 0.0, 0.0]]]), target)
    for _ in range(1000):
        metric.update(torch.tensor([[[1e-3, 0.0, 0.0]]]), target)
    assert float(metric.compute()) * 1001 - 1e8 == pytest.approx(1000, rel=1e-4)


def metric_of(metric, pred, target):
    metric.update(pred, target)
    return metric.compute()
