"""Stage 1, paper section 4.1: images to a stride-4 feature map and one heatmap per joint.

ResNet and feature pyramid of EgoPoseFormer (Yang et al., ECCV 2024). One estimator serves the cameras
of a pair (or all cameras): views are folded into the batch.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from egorear.models.resnet import ResNet, ResNetConfig


@dataclass(frozen=True)
class EncoderConfig:
    """Backbone and pyramid.

    dim: channels of the pyramid. smoothing: the convolution after each fusion, a full 3x3 (paper) or a
    depthwise 3x3 followed by a 1x1, about eight times cheaper.
    """

    backbone: ResNetConfig = field(default_factory=ResNetConfig)
    dim: int = 128
    smoothing: Literal["full", "separable"] = "full"


class FeaturePyramid(nn.Module):
    """Top-down fusion: each step upsamples, joins the finer level by concatenation, and smooths."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        dim, levels = config.dim, len(config.backbone.widths)
        self.lateral = nn.ModuleList(_conv_relu(width, dim, 1) for width in config.backbone.channels)
        self.fuse = nn.ModuleList(_conv_relu(2 * dim, dim, 1) for _ in range(levels - 1))
        if config.smoothing == "full":
            self.smooth = nn.ModuleList(_conv_relu(dim, dim, 3) for _ in range(levels - 1))
        else:
            self.smooth = nn.ModuleList(
                nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1, groups=dim), *_conv_relu(dim, dim, 1))
                for _ in range(levels - 1)
            )

    def forward(self, pyramid: list[Float[Tensor, "N _ _ _"]]) -> Float[Tensor, "N C h w"]:
        levels = [lateral(level) for lateral, level in zip(self.lateral, pyramid, strict=True)]
        x = levels.pop()
        for level, fuse, smooth in reversed(list(zip(levels, self.fuse, self.smooth, strict=True))):
            x = smooth(fuse(torch.cat((level, upsample(x)), dim=1)))
        return x


class Encoder(nn.Module):
    """Images to (stride-4 feature "N dim h w", the backbone's stride-32 feature "N width H/32 W/32")."""

    def __init__(self, config: EncoderConfig):
        super().__init__()
        self.backbone = ResNet(config.backbone)
        self.neck = FeaturePyramid(config)

    def forward(self, images: Float[Tensor, "N 3 H W"]) -> tuple[Float[Tensor, "N C h w"], Float[Tensor, "N D _ _"]]:
        pyramid = self.backbone(images)
        return self.neck(pyramid), pyramid[-1]


class HeatmapEstimator(nn.Module):
    """Encoder and the 1x1 head of stage 1. 11,843,279 parameters as in the paper.

    The paper's later stages replace the head by a `deep_heatmap_head` but keep it in their checkpoints.
    """

    def __init__(self, config: EncoderConfig, joints: int):
        super().__init__()
        self.encoder = Encoder(config)
        self.head = nn.Conv2d(config.dim, joints, 1)

    def forward(
        self, images: Float[Tensor, "N 3 H W"], head: nn.Module | None = None, detach_heatmaps: bool = False
    ) -> tuple[Float[Tensor, "N C h w"], Float[Tensor, "N D _ _"], Float[Tensor, "N K h w"]]:
        """Stride-4 feature, stride-32 feature, heatmaps; by `head`, if given, in place of the estimator's own."""
        feature, context = self.encoder(images)
        return feature, context, (self.head if head is None else head)(feature.detach() if detach_heatmaps else feature)


def heatmap_head(dim: int, joints: int) -> nn.Sequential:
    """The refiner's heatmap regressor: half the resolution at twice the width, then back up."""
    return nn.Sequential(
        nn.Conv2d(dim, 2 * dim, 3, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(2 * dim, 2 * dim, 1),
        nn.ReLU(inplace=True),
        Upsample(),
        nn.Conv2d(2 * dim, dim, 1),
        nn.ReLU(inplace=True),
        nn.Conv2d(dim, joints, 1),
    )


def deep_heatmap_head(dim: int, joints: int) -> nn.Sequential:
    """The regressor of initial heatmaps from stage 2 on: one more 1x1 convolution in front."""
    return nn.Sequential(nn.Conv2d(dim, dim, 1), nn.ReLU(inplace=True), *heatmap_head(dim, joints))


def upsample(x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C h w"]:
    """Twice the size, bilinear; corners aligned, as the published networks were trained."""
    return nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True)


class Upsample(nn.Module):
    """`upsample` as a layer."""

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C h w"]:
        return upsample(x)


def _conv_relu(width_in: int, width: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width_in, width, kernel, padding=kernel // 2), nn.ReLU(inplace=True))
