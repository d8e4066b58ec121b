"""One block of the motion encoder: ActionFormer's (Zhang et al., ECCV 2022), for whole videos and frame by frame.

A block mixes frames in two ways: a convolution over three neighbours before the attention, and the attention itself,
which sees the frames of a `Band`. Nothing else tells it the order of frames: there is no positional encoding.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

FIRST_SCALE = 1e-4  # of what a block adds, so that a new stack starts as (nearly) the identity


@dataclass(frozen=True)
class Band:
    """How many frames before and after its own a frame attends to; None: all there are."""

    past: int | None = None
    future: int | None = None

    def visible(self, frames: int, device: torch.device) -> Bool[Tensor, "T T"] | None:
        """For each frame (row) the frames (columns) that it attends to; None: each to all."""
        if self.past is None and self.future is None:
            return None
        seen = torch.ones(frames, frames, dtype=torch.bool, device=device)
        if self.past is not None:
            seen = seen.triu(-self.past)
        return seen if self.future is None else seen.tril(self.future)


@dataclass
class BlockState:
    """What a block keeps of a stream; `MotionBlock.step` changes it.

    recent: the last two frames that its attention was given. keys, values: of the last R frames, in a ring.
    """

    recent: Float[Tensor, "B 2 C"]
    keys: Float[Tensor, "B heads R D"]
    values: Float[Tensor, "B heads R D"]


class Projection(nn.Module):
    """Frames to queries, keys or values: a convolution over three frames of each channel by itself, norm, linear."""

    def __init__(self, width: int, stride: int):
        super().__init__()
        self.conv = nn.Conv1d(width, width, 3, stride, groups=width, bias=False)
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "B T C"]) -> Float[Tensor, "B n C"]:
        """One answer for each three frames: pad x before, as the convolution does not."""
        return self.linear(self.norm(self.conv(x.transpose(1, 2)).transpose(1, 2)))


class FrameAttention(nn.Module):
    """Attention among the frames of a band; with `stride` 2 there are half as many after it."""

    def __init__(self, width: int, heads: int, stride: int, causal: bool, dropout: float):
        super().__init__()
        self.heads = heads
        self.padding = (2, 0) if causal else (1, 1)
        self.query, self.key, self.value = (Projection(width, stride) for _ in range(3))
        self.output = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Float[Tensor, "B T C"], visible: Bool[Tensor, "n n"] | None) -> Float[Tensor, "B n C"]:
        query, key, value = self._project(F.pad(x, (0, 0, *self.padding)))
        return self._merge(F.scaled_dot_product_attention(query, key, value, attn_mask=visible))

    def step(self, x: Float[Tensor, "B C"], state: BlockState, frame: int) -> Float[Tensor, "B C"]:
        """The answer for frame number `frame` of a stream, as `forward` has it for a causal band."""
        three = torch.cat((state.recent, x[:, None]), dim=1)
        state.recent = three[:, 1:]
        query, key, value = self._project(three)
        size = state.keys.shape[2]
        slot, filled = frame % size, min(frame + 1, size)
        state.keys[:, :, slot] = key[:, :, 0]
        state.values[:, :, slot] = value[:, :, 0]
        # The ring is not in the order of time, and attention does not ask for it.
        keys, values = state.keys[:, :, :filled], state.values[:, :, :filled]
        return self._merge(F.scaled_dot_product_attention(query, keys, values))[:, 0]

    def _project(self, x: Float[Tensor, "B T C"]) -> tuple[Float[Tensor, "B heads n D"], ...]:
        parts = (self.query(x), self.key(x), self.value(x))
        return tuple(part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)

    def _merge(self, x: Float[Tensor, "B heads n D"]) -> Float[Tensor, "B n C"]:
        return self.dropout(self.output(x.transpose(1, 2).flatten(2)))


class ScaledDropPath(nn.Module):
    """What a block adds, scaled by channel; in training it is left out for some samples (all their frames)."""

    def __init__(self, width: int, drop: float):
        super().__init__()
        self.scale = nn.Parameter(torch.full((width,), FIRST_SCALE))
        self.drop = drop

    def forward(self, x: Float[Tensor, "B *T C"]) -> Float[Tensor, "B *T C"]:
        x = self.scale * x
        if not self.training or self.drop == 0:
            return x
        kept = torch.rand(len(x), *(1,) * (x.ndim - 1), device=x.device) >= self.drop
        return x * kept / (1 - self.drop)


class MotionBlock(nn.Module):
    """Attention and MLP, each after a norm and beside a shortcut; a strided block max-pools its first shortcut.

    causal: the convolutions look at the past only, and so must `band`. 1,780,992 parameters at the paper's size.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        mlp: int,
        band: Band,
        stride: int = 1,
        causal: bool = False,
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ):
        super().__init__()
        self.band, self.stride = band, stride
        self.norm_attention = nn.LayerNorm(width)
        self.attention = FrameAttention(width, heads, stride, causal, dropout)
        self.residual_attention = ScaledDropPath(width, drop_path)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp), nn.GELU(), nn.Dropout(dropout), nn.Linear(mlp, width), nn.Dropout(dropout)
        )
        self.residual_mlp = ScaledDropPath(width, drop_path)

    def forward(self, x: Float[Tensor, "B T C"], visible: Bool[Tensor, "n n"] | None) -> Float[Tensor, "B n C"]:
        """visible: `band.visible` of the n = T / stride frames after it."""
        shortcut = x
        if self.stride > 1:
            shortcut = F.max_pool1d(x.transpose(1, 2), 3, self.stride, padding=1).transpose(1, 2)
        x = shortcut + self.residual_attention(self.attention(self.norm_attention(x), visible))
        return x + self.residual_mlp(self.mlp(self.norm_mlp(x)))

    def start(self, batch: int, device: torch.device | str) -> BlockState:
        """The state before the first frame of a stream: zeros, like the padding of a whole video."""
        if self.stride > 1 or self.band.past is None or self.band.future != 0:
            raise ValueError("only a block without stride, whose band ends with the frame itself, can stream")
        width = self.attention.output.in_features
        heads = self.attention.heads
        ring = (batch, heads, self.band.past + 1, width // heads)
        dtype = self.attention.output.weight.dtype
        sizes = (batch, 2, width), ring, ring
        return BlockState(*(torch.zeros(size, device=device, dtype=dtype) for size in sizes))

    def step(self, x: Float[Tensor, "B C"], state: BlockState, frame: int) -> Float[Tensor, "B C"]:
        """The answer for the frame that comes after those that `state` has seen; frame: their number."""
        x = x + self.residual_attention(self.attention.step(self.norm_attention(x), state, frame))
        return x + self.residual_mlp(self.mlp(self.norm_mlp(x)))
