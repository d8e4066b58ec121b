"""The optimizer of every training run, and the average of the weights that goes beside it."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class AdamWConfig:
    """The optimizer. weight_decay spares biases and the parameters of norms; without any, it is Adam."""

    lr: float = 1e-3
    weight_decay: float = 5e-4
    eps: float = 1e-8

    def over(self, parameters: Iterable[nn.Parameter]) -> torch.optim.AdamW:
        """The optimizer of these parameters."""
        learned = list(parameters)
        matrices = {"params": [p for p in learned if p.ndim > 1], "weight_decay": self.weight_decay}
        vectors = {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0}
        return torch.optim.AdamW([matrices, vectors], lr=self.lr, eps=self.eps)


@torch.no_grad()
def average_weights(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Moves an average of weights towards the network; what is counted, not averaged, is copied.

    decay: the share of the average that stays; less in the first steps, so that it soon forgets the random start.
    """
    decay = min(decay, (1 + step) / (10 + step))
    current = network.state_dict()
    for name, tensor in average.state_dict().items():
        if tensor.is_floating_point():
            tensor.lerp_(current[name], 1 - decay)
        else:
            tensor.copy_(current[name])
