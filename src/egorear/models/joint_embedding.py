"""AG-EgoPose's joint heatmap embedding (Azam, Quarles and Desai, section 3.1): each heatmap alone becomes one token."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from egorear.errors import UserError


@dataclass(frozen=True)
class JointEmbeddingConfig:
    """The defaults are the published network.

    widths: of the three convolutions, of which all but the first halve the map. pool: height and width to which the
    map is averaged at the end. dim: of a token. identity: add to each token a learned vector of its joint (ours, see
    `JointEmbedding`).

    Raises:
        UserError: a number is not positive.
    """

    widths: tuple[int, int, int] = (16, 32, 64)
    pool: int = 4
    dim: int = 128
    identity: bool = False

    def __post_init__(self) -> None:
        for name, numbers in (("widths", self.widths), ("pool", (self.pool,)), ("dim", (self.dim,))):
            if min(numbers) < 1:
                raise UserError(f"'embedding.{name}' is {getattr(self, name)} but must be positive")


class JointEmbedding(nn.Module):
    """Heatmaps of `joints` joints to tokens H_e; 154,752 parameters in the published form.

    All maps share the weights, and where a token stands among the others does not matter to the attention that reads
    it: as published, a token does not tell whose it is, the left hand's from the right hand's. `identity` lets it.
    """

    def __init__(self, config: JointEmbeddingConfig, joints: int):
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        width_in = 1
        for i, width in enumerate(config.widths):
            layers += [nn.Conv2d(width_in, width, 3, stride=min(i, 1) + 1, padding=1), nn.ReLU(inplace=True)]
            width_in = width
        self.convs = nn.Sequential(*layers)
        self.project = nn.Linear(width_in * config.pool**2, config.dim)
        nn.init.kaiming_uniform_(self.project.weight, nonlinearity="relu")
        nn.init.zeros_(self.project.bias)
        self.norm = nn.LayerNorm(config.dim)
        self.identity = nn.Parameter(0.02 * torch.randn(joints, config.dim)) if config.identity else None

    def forward(self, heatmaps: Float[Tensor, "*B K h w"]) -> Float[Tensor, "*B K E"]:
        """Tokens of heatmaps between 0 and 1 (after the sigmoid)."""
        x = self.convs(heatmaps.reshape(-1, 1, *heatmaps.shape[-2:]))
        x = F.adaptive_avg_pool2d(x, self.config.pool).flatten(1)
        tokens = self.norm(self.project(x)).unflatten(0, heatmaps.shape[:-2])
        return tokens if self.identity is None else tokens + self.identity
