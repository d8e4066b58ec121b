"""Pose errors as plain functions: metres in, millimetres and per cent out, float64."""

import torch
from jaxtyping import Float
from torch import Tensor

from egorear.errors import UserError
from egorear.metrics.procrustes import procrustes_align

PCK_THRESHOLD_MM = 150.0
AUC_THRESHOLDS_MM = tuple(5.0 * step for step in range(31))
"""0, 5 … 150 mm, both ends included."""


def joint_errors_mm(
    pred: Float[Tensor, "*B J 3"], target: Float[Tensor, "*B J 3"], align: bool = False
) -> Float[Tensor, "*B J"]:
    """Distance of each joint to its truth (mm); poses in metres.

    align: move each pose onto its truth by a similarity first (PA-MPJPE).

    Raises:
        UserError: a coordinate is not finite. Such a pose has no error, and leaving it out would flatter a model.
    """
    for name, pose in (("predicted", pred), ("true", target)):
        if not pose.isfinite().all():
            raise UserError(f"a {name} joint is not finite, so that no error can be told")
    pred, target = pred.double(), target.double()
    if align:
        pred = procrustes_align(pred, target)
    return 1000 * (pred - target).norm(dim=-1)


def hits(
    errors_mm: Float[Tensor, "*B J"], thresholds_mm: tuple[float, ...]
) -> Float[Tensor, "*B J {len(thresholds_mm)}"]:
    """1 where an error is at most a threshold, else 0."""
    limits = torch.tensor(thresholds_mm, dtype=errors_mm.dtype, device=errors_mm.device)
    return (errors_mm[..., None] <= limits).to(errors_mm.dtype)


def pck(errors_mm: Float[Tensor, "*B J"]) -> float:
    """Joints at most 150 mm off, in per cent."""
    return 100 * hits(errors_mm, (PCK_THRESHOLD_MM,)).mean().item()


def auc(errors_mm: Float[Tensor, "*B J"]) -> float:
    """Area under the curve of correct joints over thresholds of 0 to 150 mm (31 of them), in per cent."""
    return 100 * hits(errors_mm, AUC_THRESHOLDS_MM).mean().item()
