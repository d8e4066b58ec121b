"""AG-EgoPose's decoder (section 3.3): joint queries read a memory of spatial tokens and motion, and become a pose.

The tokens may be those of any method and any number of views: the decoder asks neither how many there are nor in which
order they come. Each frame is decoded by itself; what it knows of others is in its motion feature.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from egorear.errors import UserError
from egorear.models.proposal import FullPrecisionLinear


@dataclass(frozen=True)
class PoseDecoderConfig:
    """What to build; the defaults are the paper's.

    mlp: width of the feed-forward layers. head: hidden widths of the pose head.
    attention: without it (an ablation) the head reads the memory itself, a token for each joint.
    """

    dim: int = 128
    heads: int = 4
    layers: int = 3
    mlp: int = 512
    head: tuple[int, int] = (128, 64)
    attention: bool = True
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.heads < 1 or self.dim < 1 or self.dim % self.heads:
            raise UserError(
                f"'decoder.dim' is {self.dim} but must be a positive multiple of 'decoder.heads' ({self.heads})"
            )
        if self.attention and self.layers < 1:
            raise UserError(
                "'decoder.layers' is 0 but attention needs one or more: leave it out with 'decoder.attention'"
            )
        if not 0 <= self.dropout < 1:
            raise UserError(f"'decoder.dropout' is {self.dropout} but must be at least 0 and less than 1")


class PoseDecoder(nn.Module):
    """Tokens of width `token_width` and a motion feature of `motion_width` to `joints` joints; None: there are none.

    919,299 parameters at the paper's size.

    Raises:
        UserError: nothing to read, or nothing that tells the joints apart.
    """

    def __init__(self, config: PoseDecoderConfig, joints: int, token_width: int | None, motion_width: int | None):
        super().__init__()
        if token_width is None and motion_width is None:
            raise UserError("the pose decoder needs joint tokens, a motion feature or both")
        if token_width is None and not config.attention:
            raise UserError(
                "'decoder.attention' is false, but without it a motion feature alone does not tell joints apart"
            )
        self.joints = joints
        dim, (first, second) = config.dim, config.head
        self.motion = None if motion_width is None else nn.Linear(motion_width, dim)
        width = (token_width or 0) + (0 if motion_width is None else dim)
        self.memory = nn.Sequential(nn.Linear(width, dim), nn.ReLU(), nn.Linear(dim, dim))
        self.decoder = None
        if config.attention:
            self.queries = nn.Parameter(0.02 * torch.randn(joints, dim))
            layer = nn.TransformerDecoderLayer(dim, config.heads, config.mlp, config.dropout, batch_first=True)
            self.decoder = nn.TransformerDecoder(layer, config.layers)
        self.head = nn.Sequential(
            nn.Linear(dim, first),
            nn.LeakyReLU(0.1),
            nn.Dropout(config.dropout),
            nn.Linear(first, second),
            nn.LeakyReLU(0.1),
            nn.Dropout(config.dropout),
            FullPrecisionLinear(second, 3),
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(
        self, tokens: Float[Tensor, "N M E"] | None, motion: Float[Tensor, "N C"] | None
    ) -> Float[Tensor, "N J 3"]:
        """Poses in metres, of N frames. tokens: M of them, for instance one for each joint and view.

        Raises:
            UserError: without attention, there is not one token for each joint.
        """
        parts = [] if tokens is None else [tokens]
        if self.motion is not None:
            assert motion is not None
            count = self.joints if tokens is None else tokens.shape[1]
            parts.append(self.motion(motion)[:, None].expand(-1, count, -1))
        x = self.memory(torch.cat(parts, dim=-1))
        if self.decoder is not None:
            x = self.decoder(self.queries.expand(len(x), -1, -1), x)
        elif x.shape[1] != self.joints:
            raise UserError(
                f"the pose decoder was given {x.shape[1]} tokens but without attention it needs one for each of "
                f"{self.joints} joints"
            )
        return self.head(x)
