"""EgoTAP's heatmap estimator (Kang and Lee, CVPR 2024): a U-Net on a ResNet whose decoder sees all views at once.

The encoder is shared by the views, which are folded into its batch. The decoder runs once, on the views' features
side by side, so that each view's maps are drawn with what the other cameras saw; it has as many channels per view
whatever their number. The joint maps and the limb maps come from one such network each, with nothing in common.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from egorear.errors import UserError
from egorear.models.attention import only_present
from egorear.models.heatmap_estimator import upsample
from egorear.models.resnet import ResNet, ResNetConfig

STRIDE = 32  # of the coarsest features: both sides of an image are multiples of it


FAINT = 0.1
"""Of the head's first weights. Nearly all of a target is zero; maps that begin as large as Kaiming's draw makes them
are pushed there so hard that the last ReLUs die, and the network answers zero for ever (the "collapse" that the release
restarts its training for)."""


@dataclass(frozen=True)
class UNetConfig:
    """Channels PER VIEW; the defaults are the published network.

    skips: of what enters the decoder from the encoder, at strides 4, 8, 16 and 32 (258 is no slip of ours: the
    published weights have it).
    widths: of the decoder's own features, at strides 4, 8 and 16.

    Raises:
        UserError: a number of channels is not positive.
    """

    backbone: ResNetConfig = field(default_factory=ResNetConfig)
    skips: tuple[int, int, int, int] = (64, 128, 258, 512)
    widths: tuple[int, int, int] = (256, 256, 512)

    def __post_init__(self) -> None:
        channels = {"backbone.widths": self.backbone.widths, "skips": self.skips, "widths": self.widths}
        for name, numbers in channels.items():
            if min(numbers) < 1:
                raise UserError(f"'{name}' is {tuple(numbers)} but must consist of positive numbers")


class MultiViewUNet(nn.Module):
    """Images to `maps` maps per view at a quarter of their size, linear (no activation at the end).

    With two views and the default configuration it is the published network: 35,630,562 parameters for 15 joint
    maps per view, 35,645,952 for 30 limb maps (the released ones hold 513,000 more, of a classifier nobody calls).

    Raises:
        UserError: `views` or `maps` is not positive.
    """

    def __init__(self, config: UNetConfig, views: int, maps: int):
        super().__init__()
        if min(views, maps) < 1:
            raise UserError(f"a network of {views} views and {maps} maps each cannot be built: both must be positive")
        self.views, self.maps = views, maps
        self.backbone = ResNet(config.backbone)
        encoded, skips, widths = (
            [views * width for width in sizes] for sizes in (config.backbone.channels, config.skips, config.widths)
        )
        self.skip = nn.ModuleList(_conv_relu(*sizes, 1) for sizes in zip(encoded, skips, strict=True))
        # What a fusion gets is what comes from the next coarser stride, doubled in size, beside the skip.
        coarser = (*widths[1:], skips[-1])
        self.fuse = nn.ModuleList(
            _conv_relu(below + skip, width, 3) for below, skip, width in zip(coarser, skips[:-1], widths, strict=True)
        )
        self.head = _conv(widths[0], views * maps, 1)
        with torch.no_grad():
            self.head.weight.mul_(FAINT)

    def forward(
        self, images: Float[Tensor, "B V 3 H W"], present: Bool[Tensor, "B V"] | None = None
    ) -> Float[Tensor, "B V M h w"]:
        """Maps of all views from their normalised images (`images.normalize`).

        present: the views there are; None: all. The features of the others are zero to the decoder, and so are
        their maps; their images have no influence on anything (a zero image stands in for them, so that not even
        batch statistics and gradients see a NaN).

        Raises:
            UserError: the number of views is not the network's, or a side of the images is no multiple of 32.
        """
        if images.shape[1] != self.views or any(side % STRIDE for side in images.shape[-2:]):
            raise UserError(
                f"the images are {tuple(images.shape)} but this network takes (B, {self.views}, 3, H, W)"
                f" with H and W multiples of {STRIDE}"
            )
        pyramid = self.backbone(only_present(images, present).flatten(0, 1))
        levels = [
            skip(only_present(level.unflatten(0, images.shape[:2]), present).flatten(1, 2))
            for skip, level in zip(self.skip, pyramid, strict=True)
        ]
        x = levels.pop()
        for level, fuse in reversed(list(zip(levels, self.fuse, strict=True))):
            x = fuse(torch.cat((upsample(x), level), dim=1))
        return only_present(self.head(x).unflatten(1, (self.views, self.maps)), present)


def _conv(width_in: int, width: int, kernel: int) -> nn.Conv2d:
    """A convolution with EgoTAP's initial values: its decoder has no normalisation that would mend the scale."""
    conv = nn.Conv2d(width_in, width, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv


def _conv_relu(width_in: int, width: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(_conv(width_in, width, kernel), nn.ReLU(inplace=True))
