"""MPJPE and PA-MPJPE against AG-EgoPose's own evaluation, and the mistake it makes with two or three frames."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from egorear.metrics.errors import joint_errors_mm
from egorear.metrics.pose import MPJPE, PAMPJPE
from egorear.metrics.procrustes import procrustes_align

GOLDENS = np.load(Path(__file__).parent.parent / "golden" / "agegopose_goldens.npz")
MIRROR = torch.tensor([-1.0, 1.0, 1.0])


def draw(name: str) -> torch.Tensor:
    """Eight poses of 15 joints: the inputs of the golden arrays follow from their names."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    poses = np.random.default_rng(seed).standard_normal((8, 15, 3)).astype(np.float32)
    return torch.from_numpy(poses * np.float32(0.3))


PRED, TRUTH = draw("input.loss.pred"), draw("input.loss.gt")


@pytest.mark.parametrize(
    ("pred", "target", "name"), [(PRED, TRUTH, "pa"), (PRED * MIRROR, PRED, "pa_mirror")], ids=["drawn", "mirrored"]
)
def test_alignment_and_its_error_are_the_published_ones(pred, target, name):
    golden = torch.from_numpy(GOLDENS[f"I_{name}_aligned"])
    torch.testing.assert_close(procrustes_align(pred, target), golden, atol=1e-6, rtol=0)
    metric = PAMPJPE()
    metric.update(pred, target)
    assert float(metric.compute()) == pytest.approx(1000 * GOLDENS[f"I_{name}_mpjpe"].item(), abs=1e-3)


def test_mpjpe_is_absolute_over_all_joints_the_root_too():
    metric = MPJPE()
    metric.update(PRED, TRUTH)
    expected = 1000 * np.linalg.norm(PRED.numpy() - TRUTH.numpy(), axis=-1)
    assert expected.shape == (8, 15)
    assert float(metric.compute()) == pytest.approx(expected.mean(), rel=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
def test_a_batch_of_any_size_is_aligned_as_its_frames_one_by_one(frames):
    whole = joint_errors_mm(PRED[:frames], TRUTH[:frames], align=True)
    alone = torch.stack([joint_errors_mm(PRED[i], TRUTH[i], align=True) for i in range(frames)])
    torch.testing.assert_close(whole, alone)
    assert whole.mean() > 350  # the release takes 2 and 3 frames for transposed points and tells a fifth of the error
