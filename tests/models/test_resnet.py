"""The backbone's two kinds of blocks."""

import pytest
import torch
from tests.models import agegopose_rule as rule

from egorear.models.resnet import RESNET50, ResNet, ResNetConfig


def test_resnet50_has_torchvisions_names_and_shapes():
    """Those of a published checkpoint, which numbers the children of torchvision's network."""
    with torch.device("meta"):
        ours = ResNet(RESNET50)
    children = {"0": "conv1", "1": "bn1", **{str(i + 3): f"layer{i}" for i in range(1, 5)}}
    theirs = {}
    for name, entry in rule.ENTRIES["pose"].items():
        if name.startswith("encoder.resnet."):
            number, _, rest = name.removeprefix("encoder.resnet.").partition(".")
            theirs[f"{children[number]}.{rest}"] = tuple(entry["shape"])
    assert {name: tuple(tensor.shape) for name, tensor in ours.state_dict().items()} == theirs
    assert sum(p.numel() for p in ours.parameters()) == 23_508_032
    assert sum(p.numel() for p in ours.layer4.parameters()) == 14_964_736


@pytest.mark.parametrize("block", ["basic", "bottleneck"])
@pytest.mark.parametrize("stem", ["imagenet", "light"])
def test_channels_are_those_of_the_feature_maps(block, stem):
    config = ResNetConfig(widths=(4, 6, 8, 10), blocks=(1, 2, 1, 1), stem=stem, block=block)
    gain = 4 if block == "bottleneck" else 1
    assert config.channels == (4 * gain, 6 * gain, 8 * gain, 10 * gain)
    pyramid = ResNet(config).eval()(torch.zeros(2, 3, 64, 96))
    for features, channels, stride in zip(pyramid, config.channels, (4, 8, 16, 32), strict=True):
        assert features.shape == (2, channels, 64 // stride, 96 // stride)


def test_a_bottleneck_is_strided_where_it_is_three_wide():
    block = ResNet(RESNET50).layer2[0]
    assert [conv.stride for conv in (block.conv1, block.conv2, block.conv3)] == [(1, 1), (2, 2), (1, 1)]
    assert [conv.kernel_size for conv in (block.conv1, block.conv2, block.conv3)] == [(1, 1), (3, 3), (1, 1)]
