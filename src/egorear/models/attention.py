"""Joint queries look into the feature maps of all views, then at each other.

Used twice: by the refiner at 2D anchors (paper section 4.2) and by the lifter at projected 3D joints.
Anchors are relative image coordinates: (0, 0) is the top-left corner of the image, (1, 1) the bottom-right.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn
from torch.nn import functional as F


def only_present(
    values: Shaped[Tensor, "B V *shape"], present: Bool[Tensor, "B V"] | None
) -> Shaped[Tensor, "B V *shape"]:
    """Zero in place of what belongs to a view that is not there; an absent view cannot even pass on a NaN."""
    if present is None:
        return values
    return torch.where(present.view(*present.shape, *[1] * (values.ndim - 2)), values, values.new_zeros(()))


class DeformableAttention(nn.Module):
    """Samples a few points around an anchor in each view (Zhu et al., Deformable DETR, ICLR 2021).

    The views share all weights; offsets and attention depend on the query alone, so that they are
    computed once for all views. Offsets count in pixels of the feature map; outside of it lies zero.
    """

    def __init__(self, dim: int, heads: int, points: int):
        super().__init__()
        self.heads, self.points = heads, points
        self.offsets = nn.Linear(dim, heads * points * 2)
        self.weights = nn.Linear(dim, heads * points)
        self.value = nn.Conv2d(dim, dim, 1)
        self.output = nn.Linear(dim, dim)
        # Heads start out in evenly spread directions, points farther and farther out.
        angle = torch.arange(heads) * (2 * torch.pi / heads)
        direction = torch.stack((angle.cos(), angle.sin()), dim=-1)
        direction = direction / direction.abs().amax(dim=-1, keepdim=True)
        rings = direction[:, None] * torch.arange(1, points + 1)[:, None]
        nn.init.zeros_(self.offsets.weight)
        self.offsets.bias.data = rings.flatten()
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)

    def forward(
        self,
        query: Float[Tensor, "B N C"],
        anchors: Float[Tensor, "B V N 2"],
        memory: Float[Tensor, "B V C H W"],
    ) -> Float[Tensor, "B V N C"]:
        batch, views, dim, height, width = memory.shape
        spread = (*query.shape[:2], self.heads, self.points)
        offsets = self.offsets(query).view(*spread, 2) / query.new_tensor((width, height))
        weights = self.weights(query).view(spread).softmax(dim=-1)
        # "B V N heads points 2", then heads join batch and views, for grid_sample's [-1, 1] coordinates.
        grid = 2 * (anchors[:, :, :, None, None] + offsets[:, None]) - 1
        grid = grid.transpose(2, 3).flatten(0, 2)
        value = self.value(memory.flatten(0, 1)).reshape(-1, dim // self.heads, height, width)
        sampled = F.grid_sample(value, grid.to(value.dtype), align_corners=False)
        sampled = sampled.view(batch, views, self.heads, dim // self.heads, *spread[1::2])
        attended = (sampled * weights.transpose(1, 2)[:, None, :, None]).sum(dim=-1)
        return self.output(attended.flatten(2, 3).transpose(2, 3))


class DenseAttention(nn.Module):
    """Attention over every pixel of each view: the paper's ablation without 2D anchors (Table 5)."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(
        self,
        query: Float[Tensor, "B N C"],
        anchors: Float[Tensor, "B V N 2"],
        memory: Float[Tensor, "B V C H W"],
    ) -> Float[Tensor, "B V N C"]:
        views = memory.shape[1]
        pixels = memory.flatten(3).flatten(0, 1).transpose(1, 2)
        queries = query.repeat_interleave(views, dim=0)
        return self.attention(queries, pixels, pixels, need_weights=False)[0].unflatten(0, (-1, views))


class SelfAttention(nn.Module):
    """Plain multi-head attention among the joints of one pose."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x: Float[Tensor, "B N C"]) -> Float[Tensor, "B N C"]:
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        return self.output(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class MultiViewLayer(nn.Module):
    """One decoder layer: all views → fused → joints among each other → feed-forward; norms come after.

    cross: "masked" leaves a view out of a joint's query where its anchor is not valid (paper eq. 10-11,
    applied to what that view contributes); "unmasked" trusts every anchor; "dense" needs none.
    """

    def __init__(
        self,
        dim: int,
        views: int,
        heads: int,
        points: int,
        ffn_dim: int,
        cross: Literal["masked", "unmasked", "dense"] = "masked",
    ):
        super().__init__()
        self.masked = cross == "masked"
        self.cross = DenseAttention(dim, heads) if cross == "dense" else DeformableAttention(dim, heads, points)
        self.fuse = nn.Linear(views * dim, dim)
        self.norm_cross = nn.LayerNorm(dim)
        self.self_attention = SelfAttention(dim, heads)
        self.norm_self = nn.LayerNorm(dim)
        self.ffn = nn.Sequential(nn.Linear(dim, ffn_dim), nn.GELU(), nn.Linear(ffn_dim, dim))
        self.norm_ffn = nn.LayerNorm(dim)

    def forward(
        self,
        x: Float[Tensor, "B T K C"],
        anchors: Float[Tensor, "B V K 2"],
        valid: Bool[Tensor, "B V K"],
        memory: Float[Tensor, "B V C H W"],
        present: Bool[Tensor, "B V"] | None = None,
    ) -> Float[Tensor, "B T K C"]:
        """Updates T sets of K joint queries; the sets share anchors and memory, not self-attention.

        present: the views there are (None: all); nothing comes from the others, whatever `cross` is.
        """
        targets = x.shape[1]
        seen = self.cross(x.flatten(1, 2), anchors.repeat(1, 1, targets, 1), memory)
        if self.masked:
            seen = seen * valid.repeat(1, 1, targets)[..., None].to(seen.dtype)
        seen = only_present(seen, present)
        fused = self.fuse(seen.transpose(1, 2).flatten(2)).view_as(x)
        x = self.norm_cross(x + fused)
        x = self.norm_self(x + self.self_attention(x.flatten(0, 1)).view_as(x))
        return self.norm_ffn(x + self.ffn(x))
