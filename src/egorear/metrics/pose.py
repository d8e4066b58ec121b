"""Pose metrics for training and validation loops: sums and counts, so that any split of the data into batches and
processes gives the same figure. Poses in metres, device frame; results in millimetres or per cent. Needs torchmetrics.

Before any update, and only then, a result is NaN. Poses that are not finite are refused (see `joint_errors_mm`).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from egorear.geometry.skeleton import EGO4VIEW, Skeleton
from egorear.metrics.errors import AUC_THRESHOLDS_MM, PCK_THRESHOLD_MM, hits, joint_errors_mm


class MPJPE(Metric):
    """Mean per-joint position error (mm). joints: indices to score (default: all)."""

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    ALIGN = False

    def __init__(self, joints: Sequence[int] | None = None) -> None:
        super().__init__()
        self.joints = slice(None) if joints is None else list(joints)
        self.total_mm: Tensor
        self.count: Tensor
        self.add_state("total_mm", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, pred: Float[Tensor, "*B J 3"], target: Float[Tensor, "*B J 3"]) -> None:
        """Adds a batch; alignment uses every joint, also when only some are scored."""
        errors = joint_errors_mm(pred, target, self.ALIGN)[..., self.joints]
        self.total_mm += errors.sum()
        self.count += errors.numel()

    def compute(self) -> Float[Tensor, ""]:
        return self.total_mm / self.count


class PAMPJPE(MPJPE):
    """MPJPE after each pose is moved onto its truth by rotation, scale and shift (mm)."""

    ALIGN = True


class AUC(Metric):
    """Area under the curve of correct joints, thresholds 0, 5 … 150 mm (per cent)."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    THRESHOLDS_MM = AUC_THRESHOLDS_MM

    def __init__(self) -> None:
        super().__init__()
        self.correct: Tensor
        self.count: Tensor
        self.add_state("correct", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, pred: Float[Tensor, "*B J 3"], target: Float[Tensor, "*B J 3"]) -> None:
        """Adds a batch."""
        correct = hits(joint_errors_mm(pred, target), self.THRESHOLDS_MM)
        self.correct += correct.sum()
        self.count += correct.numel()

    def compute(self) -> Float[Tensor, ""]:
        return 100 * self.correct / self.count


class PCK(AUC):
    """Joints at most 150 mm off their truth (per cent)."""

    THRESHOLDS_MM = (PCK_THRESHOLD_MM,)


class PoseErrorTable(Metric):
    """Errors by joint and by the joint groups of the paper's Table 4 (mm): name to value.

    align: errors after similarity alignment.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    def __init__(self, skeleton: Skeleton = EGO4VIEW, align: bool = False) -> None:
        super().__init__()
        self.skeleton = skeleton
        self.align = align
        self.total_mm: Tensor
        self.count: Tensor
        self.add_state("total_mm", torch.zeros(len(skeleton), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, pred: Float[Tensor, "*B J 3"], target: Float[Tensor, "*B J 3"]) -> None:
        """Adds a batch."""
        errors = joint_errors_mm(pred, target, self.align).flatten(0, -2)
        self.total_mm += errors.sum(0)
        self.count += len(errors)

    def compute(self) -> dict[str, Tensor]:
        means = self.total_mm / self.count
        joints = dict(zip(self.skeleton.names, means.unbind(), strict=True))
        return joints | {group: means[list(index)].mean() for group, index in self.skeleton.groups.items()}
