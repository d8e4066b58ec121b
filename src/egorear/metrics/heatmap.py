"""Heatmap error in the unit of the published tables. Needs torchmetrics."""

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

PAPER_UNIT = 1e-4
"""The paper's Table 5 tells squared errors per pixel in this unit."""


class HeatmapMSE(Metric):
    """Mean squared error per heatmap pixel, in 1e-4 (EgoRear, Table 5); one instance for each set of views told."""

    is_differentiable = False
    higher_is_better = False
    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        self.total: Tensor
        self.count: Tensor
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, pred: Float[Tensor, "*B H W"], target: Float[Tensor, "*B H W"]) -> None:
        """Adds a batch of maps."""
        self.total += (pred.double() - target.double()).square().sum()
        self.count += pred.numel()

    def compute(self) -> Float[Tensor, ""]:
        return self.total / self.count / PAPER_UNIT
