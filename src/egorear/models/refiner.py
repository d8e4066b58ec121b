"""The paper's contribution, sections 4.2 to 4.4: joint queries gather evidence at 2D anchors in all views
and turn it into an offset to the heatmap feature of their own view.

The paper trains one refiner per view; a refiner here serves `targets` views, so that a small network can
share one among all views: each view then keeps its own joint queries and all else is shared.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from egorear.models.attention import MultiViewLayer
from egorear.models.heatmap_estimator import Upsample, heatmap_head

CONFIDENT = 0.5
"""Paper eq. 10: an anchor is trusted where its heatmap reaches half of a target's peak."""


@dataclass(frozen=True)
class RefinerConfig:
    """The defaults are the paper's full model; `query` and `cross` span the ablations of its Table 5.

    query: what a joint query starts from. "full": a learned embedding plus embeddings of the view's heatmap
    and of its backbone feature (eq. 9); "heatmap": the heatmap's embedding plus a learned position;
    "plain": the learned embedding alone.
    cross: "masked" with 2D anchors and uncertainty; "unmasked" without uncertainty; "dense" without anchors.
    embed must be a square: each query is unrolled to a √embed x √embed map.
    own_widths: hidden widths of the projection of the view's own feature.
    pixel_center: where in its cell a heatmap value sits; 0 in the published networks (a defect), else 0.5.
    """

    embed: int = 256
    heads: int = 4
    points: int = 16
    ffn_dim: int = 512
    layers: int = 1
    query: Literal["full", "heatmap", "plain"] = "full"
    cross: Literal["masked", "unmasked", "dense"] = "masked"
    own_widths: tuple[int, int] = (256, 512)
    pixel_center: float = 0.5


class JointQueries(nn.Module):
    """Paper section 4.3: queries that carry the state of the initial estimate of their view."""

    def __init__(self, config: RefinerConfig, targets: int, joints: int, pixels: int, context_dim: int):
        super().__init__()
        self.kind = config.query
        embed = config.embed
        if self.kind == "heatmap":
            self.embedding = nn.Parameter(torch.zeros(targets * joints, embed))
        else:
            self.embedding = nn.Parameter(torch.randn(targets * joints, embed))
            self.project = nn.Linear(embed, embed)
        if self.kind != "plain":
            self.heatmap = nn.Sequential(nn.Linear(pixels, embed), nn.ReLU(inplace=True), nn.Linear(embed, embed))
        if self.kind == "full":
            self.context = nn.Linear(context_dim, embed)

    def forward(
        self, heatmaps: Float[Tensor, "B T K H W"], contexts: Float[Tensor, "B T D h w"]
    ) -> Float[Tensor, "B T K C"]:
        batch, targets, joints = heatmaps.shape[:3]
        x = self.embedding.view(targets, joints, -1).expand(batch, -1, -1, -1)
        if self.kind != "plain":
            x = x + self.heatmap(heatmaps.flatten(3))
        if self.kind == "full":
            x = x + self.context(contexts.mean(dim=(-2, -1)))[:, :, None]
        return x if self.kind == "heatmap" else F.relu(self.project(x))


class OffsetHead(nn.Module):
    """Paper eq. 3-5: queries to offset feature, refined feature, refined heatmaps."""

    def __init__(self, embed: int, dim: int, joints: int, deep: bool):
        super().__init__()
        self.norm = nn.LayerNorm(embed)
        self.offset_in = nn.Conv2d(joints, dim // 2, 1)
        self.offset_out = nn.Conv2d(dim // 2, dim, 1)
        self.feature = nn.Sequential(
            nn.Conv2d(dim, dim, 1), nn.ReLU(inplace=True), Upsample(), nn.Conv2d(dim, dim, 1), nn.ReLU()
        )
        self.heatmaps = heatmap_head(dim, joints) if deep else nn.Conv2d(dim, joints, 1)

    def forward(
        self, x: Float[Tensor, "N K C"], own: Float[Tensor, "N D h w"], detach: bool
    ) -> tuple[Float[Tensor, "N D H W"], Float[Tensor, "N K H W"]]:
        side = int(x.shape[-1] ** 0.5)
        maps = F.relu(self.offset_in(self.norm(x).unflatten(-1, (side, side))))
        maps = F.interpolate(maps, own.shape[-2:], mode="bilinear", align_corners=True)
        feature = self.feature(own + F.relu(self.offset_out(maps)))
        return feature, self.heatmaps(feature.detach() if detach else feature)


class HeatmapRefiner(nn.Module):
    """Refines `targets` consecutive views out of `views`. 8,231,375 parameters for one of four views."""

    def __init__(
        self,
        config: RefinerConfig,
        targets: int,
        views: int,
        dim: int,
        context_dim: int,
        joints: int,
        map_size: int,
        deep_head: bool,
    ):
        super().__init__()
        embed, (first, second) = config.embed, config.own_widths
        self.queries = JointQueries(config, targets, joints, map_size**2, context_dim)
        self.memory = nn.Conv2d(dim, embed, 1)
        self.position = nn.Parameter(torch.zeros(views, embed, map_size, map_size))
        self.own = nn.Sequential(
            nn.Conv2d(dim, first, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, second, 3, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(second, dim, 1),
            nn.ReLU(),
        )
        self.layers = nn.ModuleList(
            MultiViewLayer(embed, views, config.heads, config.points, config.ffn_dim, config.cross)
            for _ in range(config.layers)
        )
        self.heads = nn.ModuleList(OffsetHead(embed, dim, joints, deep_head) for _ in range(config.layers))

    def forward(
        self,
        target: slice,
        features: Float[Tensor, "B V D H W"],
        contexts: Float[Tensor, "B V E h w"],
        heatmaps: Float[Tensor, "B V K H W"],
        anchors: Float[Tensor, "B V K 2"],
        valid: Bool[Tensor, "B V K"],
        detach_heatmaps: bool = False,
        present: Bool[Tensor, "B V"] | None = None,
    ) -> list[tuple[Float[Tensor, "B T D H W"], Float[Tensor, "B T K H W"]]]:
        """Refined feature and heatmaps of the views in `target`, one pair per layer, the last the best.

        anchors: `heatmap_anchors` of the initial heatmaps. detach_heatmaps: heatmap losses then train the
        heatmap regressor only. present: the views there are; a target that is not among them gets maps too, guessed
        from the others.
        """
        batch = features.shape[0]
        x = self.queries(heatmaps[:, target], contexts[:, target])
        memory = self.memory(features.flatten(0, 1)).unflatten(0, (batch, -1)) + self.position
        # The release detaches this, which leaves `own` as it was initialised; here it is trained.
        own = self.own(features[:, target].flatten(0, 1))
        refined = []
        for layer, head in zip(self.layers, self.heads, strict=True):
            x = layer(x, anchors, valid, memory, present)
            feature, maps = head(x.flatten(0, 1), own, detach_heatmaps)
            refined.append((feature.unflatten(0, (batch, -1)), maps.unflatten(0, (batch, -1))))
        return refined


def heatmap_anchors(
    heatmaps: Float[Tensor, "B V K H W"], pixel_center: float = 0.5
) -> tuple[Float[Tensor, "B V K 2"], Bool[Tensor, "B V K"]]:
    """The highest pixel of each heatmap in relative image coordinates, and whether it is confident; detached."""
    height, width = heatmaps.shape[-2:]
    peak, index = heatmaps.detach().flatten(-2).max(dim=-1)
    x = (index % width + pixel_center) / width
    y = (torch.div(index, width, rounding_mode="floor") + pixel_center) / height
    return torch.stack((x, y), dim=-1), peak >= CONFIDENT
