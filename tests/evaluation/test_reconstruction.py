"""The reconstruction test tells encoders that keep heatmaps from those that do not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from egorear.datasets.frames import FrameDataset
from egorear.datasets.sample import Sample
from egorear.errors import UserError
from egorear.evaluation.reconstruction import MapDecoder, Trial
from egorear.geometry.rig import ego4view_syn
from egorear.models.egotap import EgoTAP, EgoTAPConfig
from egorear.models.egotap_lifter import TAPLifterConfig
from egorear.models.heatmap_encoders import MapEncoder, MapEncoderConfig
from egorear.models.propagation import PropagationConfig
from egorear.models.resnet import ResNetConfig
from egorear.models.unet import UNetConfig
from egorear.viewer.reconstruction_plot import plot_reconstructions

VIEWS, SIZE, MAP, JOINTS = ("front_left", "front_right"), 32, 8, 15


class Frames(FrameDataset):
    """Pictures in memory whose grey is the frame's number; recordings of ten frames."""

    def __init__(self, numbers):
        super().__init__(Path(), "test", SIZE, VIEWS, ego4view_syn())
        self.numbers = numbers

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, index):
        images = torch.full((2, 3, SIZE, SIZE), self.numbers[index], dtype=torch.uint8)
        blank = torch.zeros(2, 16, dtype=torch.bool)
        rig = self._delivered_rig
        return Sample(images, torch.zeros(16, 3), torch.zeros(2, 16, 2), blank, rig, f"anna/{index // 10}/{index}")

    names = name = truth_file = image_file = maps = frame = None  # type: ignore[assignment]


class Spots(nn.Module):
    """One spot a map, somewhere that depends on the frame, the view and the joint."""

    def forward(self, images, present=None):
        number = images[:, 0, 0, 0, 0].mul(1000).round().long().abs()
        place = torch.arange(2 * JOINTS).view(2, JOINTS) * 7919 + number[:, None, None] * 104729
        x, y = (1 + place % 6)[..., None, None], (1 + place // 6 % 6)[..., None, None]
        row, column = torch.arange(float(MAP)).view(MAP, 1), torch.arange(float(MAP))
        return torch.exp(-((column - x) ** 2 + (row - y) ** 2) / 2)


class Keeping(MapEncoder):
    """Each map as it is, `share` of it."""

    embedding = MAP**2

    def __init__(self, share):
        super().__init__()
        self.share = share

    def embed(self, maps, present=None):
        return self.share * maps.flatten(3)

    forward = embed


class KeepingJointly(Keeping):
    """All maps side by side as one embedding."""

    embedding = MAP**2 * 2 * JOINTS

    def embed(self, maps, present=None):
        return self.share * maps.flatten(1)


def network(encoder: MapEncoder | None = None, kind="grid") -> EgoTAP:
    torch.manual_seed(0)
    backbone = ResNetConfig(widths=(8, 8, 8, 8), blocks=(1, 1, 1, 1), stem="light")
    lifter = TAPLifterConfig(
        encoder=MapEncoderConfig(kind, patches=2, width=16, heads=2, layers=1, mlp=16, hidden=(16, 16), features=8),
        propagation=PropagationConfig(cell="none", hidden=8),
    )
    unet = UNetConfig(backbone, skips=(8, 8, 8, 8), widths=(8, 8, 8))
    config = EgoTAPConfig(VIEWS, SIZE, joint_maps=unet, limb_maps=unet, lifter=lifter)
    model = EgoTAP(config)
    if encoder is not None:
        model.joint_maps, model.lifter.encoder = Spots(), encoder
    return model


def tried(model, steps=60, seed=0):
    trial = Trial(model, seed)
    trial.train(Frames(range(0, 200, 2)), steps, 4)
    return trial.test(Frames(range(1, 41, 2)), list(range(20)), 8)


def test_an_encoder_that_keeps_everything_is_told_from_one_that_keeps_nothing():
    kept, lost = tried(network(Keeping(1.0))), tried(network(Keeping(0.0)))
    spot = np.pi / MAP**2  # the mean square of a whole spot
    for result in (kept, lost):
        assert result.zeros.value == pytest.approx(spot, rel=0.1)
        assert result.mean_map.value < result.zeros.value
        assert (result.frames, result.recordings, result.numbers) == (20, 2, 2 * JOINTS * MAP**2)
    assert kept.error.value < 0.3 * kept.zeros.value
    assert kept.error.high < kept.mean_map.low
    assert lost.error.value > 0.95 * lost.mean_map.value


def test_a_joint_embedding_has_a_decoder_of_all_maps():
    trial = Trial(network(KeepingJointly(1.0)))
    assert (trial.each, trial.numbers, trial.decoder.last.out_channels) == (False, 2 * JOINTS * MAP**2, 2 * JOINTS)
    nothing = tried(network(KeepingJointly(0.0)), steps=20)
    # It knows which map it draws, so that it may come near the mean map; not beyond.
    assert nothing.error.value > 0.95 * nothing.mean_map.value


@pytest.mark.parametrize(("kind", "numbers"), [("grid", 2 * JOINTS * 8), ("channel", 16), ("cnn", 16)])
def test_every_encoder_can_be_tried_and_the_network_stays_as_it_was(kind, numbers):
    model = network(kind=kind)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    result = tried(model, steps=3)
    assert (result.encoder, result.numbers) == (kind, numbers)
    assert result.estimated.shape == result.decoded.shape == (2, JOINTS, MAP, MAP)
    assert result.frame == "anna/1/10"
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_seed_decides():
    first, again, other = (tried(network(), steps=3, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.decoded, again.decoded)
    assert first.error == again.error
    assert first.error.value != other.error.value


def test_the_decoder_begins_at_zero_and_has_the_published_sizes():
    decoder = MapDecoder(128, 3, 64)
    assert decoder.eval()(torch.randn(2, 128)).abs().sum() == 0
    widths = [part.out_features for part in decoder.expand if isinstance(part, nn.Linear)]
    assert widths == [512, 2048, 8192]
    assert decoder(torch.randn(2, 128)).shape == (2, 3, 64, 64)


def test_networks_without_an_encoder_are_refused():
    with pytest.raises(UserError, match="not Linear"):
        Trial(nn.Linear(1, 1))
    model = network()
    with pytest.raises(UserError, match="not EgoTAP without one"):
        Trial(EgoTAP(replace(model.config, lifter=None)))


def test_the_picture_is_written(tmp_path):
    result = tried(network(Keeping(1.0)), steps=2)
    plot_reconstructions({"a": result, "b": result}, [f"joint {k}" for k in range(JOINTS)], tmp_path / "r.png")
    assert (tmp_path / "r.png").stat().st_size > 10_000
