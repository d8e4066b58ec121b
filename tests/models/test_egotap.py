"""EgoTAP as one network: its parts, its configuration, and what EgoRear gives it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from egorear.errors import UserError
from egorear.geometry.rig import ego4view_syn
from egorear.models import MODELS, EgoRearConfig, EgoTAP, EgoTAPConfig, load_pretrained, save_pretrained
from egorear.models.egorear import VIEWS
from egorear.models.egotap_lifter import TAPLifterConfig
from egorear.models.heatmap_encoders import MapEncoderConfig
from egorear.models.propagation import PropagationConfig
from egorear.models.resnet import ResNetConfig
from egorear.models.unet import UNetConfig

BACKBONE = ResNetConfig(widths=(8, 8, 16, 16), blocks=(1, 1, 1, 1), stem="light")
UNET = UNetConfig(BACKBONE, skips=(8, 8, 8, 8), widths=(8, 8, 8))
TINY = EgoTAPConfig(
    image_size=64,
    joint_maps=UNET,
    limb_maps=UNET,
    lifter=TAPLifterConfig(
        encoder=MapEncoderConfig(patches=2, width=16, heads=2, layers=1, mlp=16, hidden=(16, 16), features=8),
        limb_hidden=(16, 16),
        propagation=PropagationConfig(hidden=16),
    ),
)
NANO, _ = MODELS["egorear-nano"]


def egorear(views: tuple[str, ...]) -> EgoRearConfig:
    assert isinstance(NANO, EgoRearConfig)
    return replace(NANO, views=views, image_size=64, lifter=None, confidence=False)


@pytest.mark.parametrize("views", [VIEWS[:1], VIEWS[:2], VIEWS[:3], VIEWS], ids=len)
@pytest.mark.parametrize("source", ["unet", "egorear"])
def test_any_number_of_views_from_either_source_of_heatmaps(views: tuple[str, ...], source: str) -> None:
    config = replace(TINY, views=views)
    if source == "egorear":
        config = replace(config, joint_maps=None, egorear=egorear(views))
    network = EgoTAP(config).eval()
    images = torch.randn(2, len(views), 3, 64, 64)
    with torch.no_grad():
        output = network(images, ego4view_syn().select(views))
    assert output.poses.shape == (2, 1, 16, 3)
    assert output.limb_maps.shape == (2, len(views), 2, 15, 16, 16)
    assert (output.heatmaps_refined is None) == (source == "unet")
    # What is lifted are the refined maps, where there are any.
    maps = output.heatmaps_initial if source == "unet" else output.heatmaps_refined
    lifted = network.lifter(maps, output.limb_maps)
    torch.testing.assert_close(output.poses[:, 0], lifted.poses_cm / 100)


def test_a_lost_camera_has_no_influence() -> None:
    network = EgoTAP(replace(TINY, views=VIEWS[:3])).eval()
    images = torch.randn(2, 3, 3, 64, 64)
    present = torch.tensor([[True, False, True], [True, True, True]])
    blank = images.clone()
    blank[0, 1] = torch.nan
    with torch.no_grad():
        one, other = network(images, present=present), network(blank, present=present)
    for field in ("poses", "heatmaps_initial", "limb_maps", "joint_features", "relation_features"):
        assert torch.equal(getattr(one, field), getattr(other, field)), field
    assert not torch.equal(one.poses[0], network(images).poses[0])


@pytest.mark.parametrize(
    "config",
    [
        TINY,
        replace(TINY, joint_maps=None, egorear=egorear(VIEWS[:2])),
        replace(TINY, skeleton="egocap", lifter=replace(TINY.lifter, root="origin")),
        replace(TINY, limb_maps=None, lifter=replace(TINY.lifter, propagation=PropagationConfig("lstm", hidden=8))),
    ],
    ids=["own", "egorear", "egocap", "no limbs"],
)
def test_it_is_saved_and_loaded(config: EgoTAPConfig, tmp_path: Path) -> None:
    network = EgoTAP(config).eval()
    save_pretrained(network, tmp_path)
    loaded = load_pretrained(tmp_path)
    assert loaded.config == config
    images = torch.randn(1, 2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(loaded(images).poses, network(images).poses)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"joint_maps": None}, "'lifter' reads joint heatmaps"),
        ({"limb_maps": None}, "reads limb heatmaps"),
        ({"joint_maps": None, "limb_maps": None, "lifter": None}, "nothing looks at the images"),
        ({"egorear": egorear(VIEWS[:2])}, "both make joint heatmaps"),
        ({"joint_maps": None, "egorear": egorear(VIEWS)}, "'egorear.views'"),
        ({"joint_maps": None, "egorear": replace(egorear(VIEWS[:2]), lifter=NANO.lifter)}, "'egorear.lifter'"),
        ({"joint_maps": None, "skeleton": "egocap", "egorear": egorear(VIEWS[:2])}, "'egorear.heatmap_joints'"),
        ({"image_size": 100}, "multiple of 32"),
        ({"views": ()}, "one or more cameras"),
    ],
)
def test_what_does_not_fit_together_is_refused(change: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        replace(TINY, **change)


def test_images_and_rig_must_be_the_networks() -> None:
    network = EgoTAP(TINY)
    with pytest.raises(UserError, match="takes \\(B, 2, 3, 64, 64\\)"):
        network(torch.zeros(1, 3, 3, 64, 64))
    with pytest.raises(UserError, match="must have one with front_left, front_right"):
        network(torch.zeros(1, 2, 3, 64, 64), ego4view_syn().select(VIEWS[:2][::-1]))
