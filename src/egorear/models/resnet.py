"""ResNet (He et al., CVPR 2016) as a feature pyramid: one map per stride 4, 8, 16, 32.

With the default configuration and with `RESNET50` the parameters bear torchvision's names and shapes, so that the
state dicts of its `resnet18` and `resnet50` load once `fc.*` is left out. Narrow configurations train from scratch.
"""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class ResNetConfig:
    """Widths and blocks of the four stages; the default is ResNet-18.

    `stem`: "imagenet" is the 7x7 stride-2 convolution and 3x3 max pooling of the paper; "light" is
    two 3x3 stride-2 convolutions, of which the first is half as wide (cheap on a CPU).
    `block`: "bottleneck" works at the stage's width inside and gives four times as many channels.
    """

    widths: tuple[int, int, int, int] = (64, 128, 256, 512)
    blocks: tuple[int, int, int, int] = (2, 2, 2, 2)
    stem: Literal["imagenet", "light"] = "imagenet"
    block: Literal["basic", "bottleneck"] = "basic"

    @property
    def channels(self) -> tuple[int, int, int, int]:
        """Of the four feature maps."""
        one, two, three, four = (BLOCKS[self.block].gain * width for width in self.widths)
        return one, two, three, four


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut, projected where the shape changes."""

    gain = 1  # channels out, in widths

    def __init__(self, width_in: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(width_in, width, stride)

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D h w"]:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution with a shortcut; the 3x3 has the stride (torchvision's "v1.5")."""

    gain = 4

    def __init__(self, width_in: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, self.gain * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(self.gain * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(width_in, self.gain * width, stride)

    def forward(self, x: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D h w"]:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


BLOCKS: dict[str, type[BasicBlock] | type[Bottleneck]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


class ResNet(nn.Module):
    """Images to the feature maps of strides 4, 8, 16 and 32, `config.channels` wide."""

    def __init__(self, config: ResNetConfig):
        super().__init__()
        width = config.widths[0]
        if config.stem == "imagenet":
            self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
            self.bn1 = nn.BatchNorm2d(width)
            self.relu = nn.ReLU(inplace=True)
            self.reduce = nn.MaxPool2d(3, stride=2, padding=1)
        else:
            self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(width // 2)
            self.relu = nn.ReLU(inplace=True)
            self.reduce = nn.Sequential(
                nn.Conv2d(width // 2, width, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            )
        block, strides = BLOCKS[config.block], (1, 2, 2, 2)
        stages = []
        for inside, channels, blocks, stride in zip(
            config.widths, config.channels, config.blocks, strides, strict=True
        ):
            rest = [block(channels, inside, stride=1) for _ in range(blocks - 1)]
            stages.append(nn.Sequential(block(width, inside, stride), *rest))
            width = channels
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Float[Tensor, "N 3 H W"]) -> list[Float[Tensor, "N _ _ _"]]:
        x = self.reduce(self.relu(self.bn1(self.conv1(images))))
        pyramid = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            pyramid.append(x)
        return pyramid


RESNET50 = ResNetConfig(blocks=(3, 4, 6, 3), block="bottleneck")


def _shortcut(width_in: int, width: int, stride: int) -> nn.Sequential | None:
    """The projection past a block that changes the shape."""
    if stride == 1 and width_in == width:
        return None
    return nn.Sequential(nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width))
