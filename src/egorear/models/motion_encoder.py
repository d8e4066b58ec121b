"""AG-EgoPose's motion encoder: each frame's feature vector to one that knows what moved before and after it.

Two forms, after ActionFormer's blocks: the paper's (section 3.2), a stack of blocks at full frame rate, and the
released code's, a pyramid whose blocks halve the frame rate and whose levels a projector mixes; the published weights
are of the latter. The first has a causal variant (ours), which also runs frame by frame with bounded memory.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from egorear.errors import UserError
from egorear.models.motion_block import Band, BlockState, MotionBlock

PUBLISHED_LEVELS = 7
"""Blocks in ActionFormer's branch: a published pyramid has as many levels as frames can be halved, but no more."""


@dataclass(frozen=True)
class MotionEncoderConfig:
    """What to build; the defaults are the paper's.

    local, whole: number of blocks that see `window` / 2 frames to either side, then of those that see all frames.
    form: "paper" keeps all frames in each block; "pyramid" halves them in each (published weights: local 2, whole 3, 4
    or 5 for videos of 32, 64 or 128 frames).
    causal: no frame knows of later ones, and the blocks that would see all see `reach` frames of the past.
    """

    width: int = 384
    heads: int = 4
    mlp: int = 1536
    local: int = 4
    whole: int = 4
    window: int = 8
    form: Literal["paper", "pyramid"] = "paper"
    causal: bool = False
    reach: int = 64
    dropout: float = 0.1
    drop_path: float = 0.1

    def __post_init__(self) -> None:
        if self.heads < 1 or self.width < 1 or self.width % self.heads:
            raise UserError(
                f"'motion.width' is {self.width} but must be a positive multiple of 'motion.heads' ({self.heads})"
            )
        if self.window < 2 or self.window % 2:
            raise UserError(f"'motion.window' is {self.window} but must be a positive even number of frames")
        if self.levels < 1:
            raise UserError(
                "'motion.local' and 'motion.whole' are both 0 but the motion encoder needs at least one block"
            )
        if self.causal and self.form == "pyramid":
            raise UserError("'motion.causal' goes with 'motion.form: paper' only: a pyramid needs the whole video")
        if self.causal and self.reach < 1:
            raise UserError(f"'motion.reach' is {self.reach} but must be at least one frame")
        for name, share in (("dropout", self.dropout), ("drop_path", self.drop_path)):
            if not 0 <= share < 1:
                raise UserError(f"'motion.{name}' is {share} but must be at least 0 and less than 1")

    @property
    def levels(self) -> int:
        """Number of blocks."""
        return self.local + self.whole

    @property
    def first_fitting(self) -> tuple[int, int]:
        """The two shortest videos that a pyramid takes, in frames; all others go on in the same steps.

        As in the published networks: a video that could be halved once more would have one more level.
        """
        unit = 2**self.levels
        return unit, (3 if self.levels < PUBLISHED_LEVELS else 2) * unit

    def fits(self, frames: int) -> bool:
        """Whether the encoder takes videos of so many frames."""
        if self.form == "paper":
            return frames > 0
        first, second = self.first_fitting
        return frames >= first and (frames - first) % (second - first) == 0


@dataclass
class MotionState:
    """What `MotionEncoder.step` keeps of a batch of streams; its size does not grow. frames: how many it has seen."""

    blocks: list[BlockState]
    frames: int = 0


class MotionEncoder(nn.Module):
    """The encoder of `config`. 14,247,936 parameters in the paper's form."""

    def __init__(self, config: MotionEncoderConfig = MotionEncoderConfig()):
        super().__init__()
        self.config = config
        pyramid = config.form == "pyramid"
        half = config.window // 2
        near = Band(half, 0 if config.causal else half)
        far = Band(config.reach, 0) if config.causal else Band()
        self.blocks = nn.ModuleList(
            MotionBlock(
                config.width,
                config.heads,
                config.mlp,
                band,
                stride=2 if pyramid else 1,
                causal=config.causal,
                dropout=config.dropout,
                drop_path=config.drop_path,
            )
            for band in (near,) * config.local + (far,) * config.whole
        )
        self.projector = nn.Linear(config.levels * config.width, config.width) if pyramid else None

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B T C"]:
        """F_s to F_m.

        Raises:
            UserError: a pyramid does not fit the number of frames.
        """
        frames = x.shape[1]
        if not self.config.fits(frames):
            first, second = self.config.first_fitting
            raise UserError(
                f"the video has {frames} frames but this motion encoder of {self.config.levels} levels takes {first}, "
                f"{second}, {2 * second - first}, ... frames"
            )
        masks: dict[tuple[Band, int], Bool[Tensor, "n n"] | None] = {}
        levels = []
        for block in self.blocks:
            assert isinstance(block, MotionBlock)
            which = (block.band, x.shape[1] // block.stride)
            if which not in masks:
                masks[which] = block.band.visible(which[1], x.device)
            x = block(x, masks[which])
            levels.append(x)
        if self.projector is None:
            return x
        repeated = [level.repeat_interleave(frames // level.shape[1], dim=1) for level in levels]
        return self.projector(torch.cat(repeated, dim=-1))

    def start(self, batch: int, device: torch.device | str = "cpu") -> MotionState:
        """The state of `batch` streams before their first frame.

        Raises:
            UserError: the encoder is not causal.
        """
        if not self.config.causal:
            raise UserError("this motion encoder looks at later frames, too: one with 'motion.causal: true' can stream")
        return MotionState([block.start(batch, device) for block in self.blocks])  # type: ignore[operator]

    @torch.no_grad()
    def step(self, x: Float[Tensor, "B C"], state: MotionState) -> Float[Tensor, "B C"]:
        """The next frame of each stream; the same, up to rounding, as `forward` of all frames so far (in eval mode).

        state: of the frames before, from `start`; it is changed.
        """
        for block, kept in zip(self.blocks, state.blocks, strict=True):
            x = block.step(x, kept, state.frames)  # type: ignore[operator]
        state.frames += 1
        return x
