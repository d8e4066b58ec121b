"""AG-EgoPose's heatmap network (Azam, Quarles and Desai, section 3.1): a ResNet with a top-down decoder.

Published as a feature pyramid with "unified skips"; it is a U-Net decoder that joins by concatenation, without any
normalisation. Its answer are logits: a sigmoid makes heatmaps of them.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from egorear.errors import UserError
from egorear.models.resnet import ResNet, ResNetConfig

SLOPE = 0.2  # of the decoder's leaky ReLUs
STRIDE = 32  # of the coarsest features: both sides of an image are multiples of it


class HeatmapFPN(nn.Module):
    """Images to one map of logits per joint at a quarter of their size.

    With ResNet-18 and 15 joints it is the published network: 13,849,487 parameters (the released checkpoints hold
    590,952 more that nobody calls). The decoder's widths are the backbone's.
    """

    def __init__(self, backbone: ResNetConfig, joints: int):
        super().__init__()
        self.backbone = ResNet(backbone)
        channels = backbone.channels
        self.skip = nn.ModuleList(_conv(width, width, 1) for width in channels)
        pairs = zip(channels[1:], channels[:-1], strict=True)  # what comes from below, and the stride's own
        self.fuse = nn.ModuleList(_conv(below + width, width, 3) for below, width in pairs)
        self.head = nn.Conv2d(channels[0], joints, 1)
        nn.init.kaiming_normal_(self.head.weight, nonlinearity="linear")
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, images: Float[Tensor, "N 3 H W"]) -> Float[Tensor, "N K h w"]:
        """Logits of normalised images (`images.normalize`).

        Raises:
            UserError: a side of the images is no multiple of 32.
        """
        if any(side % STRIDE for side in images.shape[-2:]):
            raise UserError(f"the images are {tuple(images.shape)} but their sides must be multiples of {STRIDE}")
        levels = [skip(level) for skip, level in zip(self.skip, self.backbone(images), strict=True)]
        x = levels.pop()
        for level, fuse in reversed(list(zip(levels, self.fuse, strict=True))):
            larger = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = fuse(torch.cat((larger, level), dim=1))
        return self.head(x)


def _conv(width_in: int, width: int, kernel: int) -> nn.Sequential:
    """A convolution as the decoder begins with, and its leaky ReLU."""
    conv = nn.Conv2d(width_in, width, kernel, padding=kernel // 2)
    nn.init.kaiming_uniform_(conv.weight, a=SLOPE, mode="fan_out")
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return nn.Sequential(conv, nn.LeakyReLU(SLOPE, inplace=True))
