"""What a stage starts from: a whole EgoRear as the joint maps of an EgoTAP, and what is refused."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from egorear.errors import UserError
from egorear.models import MODELS, EgoRear, EgoTAP, save_pretrained
from egorear.models.egotap import EgoTAPConfig
from egorear.models.lifter import LifterConfig
from egorear.models.motion_encoder import MotionEncoder, MotionEncoderConfig
from egorear.models.resnet import ResNetConfig
from egorear.models.unet import UNetConfig
from egorear.training.initial import InitialPart, load_part, load_parts

TINY = ResNetConfig(widths=(8, 8, 16, 16), blocks=(1, 1, 1, 1), stem="light")
UNET = UNetConfig(TINY, skips=(8, 8, 8, 8), widths=(8, 8, 8))
NANO, _ = MODELS["egorear-nano"]
SEEN = replace(
    NANO, views=("front_left", "front_right"), image_size=64, encoder=replace(NANO.encoder, backbone=TINY, dim=16),
    lifter=None, confidence=False,
)  # fmt: skip
LIFTED = replace(SEEN, lifter=LifterConfig(proposal="compact", embed=16, layers=1, ffn_dim=16), confidence=True)


@pytest.fixture(scope="module")
def trained() -> EgoRear:
    """An EgoRear with all that one can have."""
    torch.manual_seed(1)
    return EgoRear(LIFTED)


@pytest.fixture
def tap() -> EgoTAP:
    """EgoTAP on EgoRear's heatmaps. Its lifter does not matter here, but that there may be one."""
    config = EgoTAPConfig(views=SEEN.views, image_size=64, joint_maps=None, limb_maps=UNET, egorear=SEEN, lifter=None)
    network = EgoTAP(config)
    network.lifter = torch.nn.Linear(2, 2)  # type: ignore[assignment]
    return network


def written(network: EgoRear, path: Path) -> Path:
    """As a checkpoint of its training, or as a folder."""
    if path.suffix:
        torch.save({"state_dict": {f"network.{name}": t for name, t in network.state_dict().items()}}, path)
    else:
        save_pretrained(network, path)
    return path


@pytest.mark.parametrize("file", ["model", "best.ckpt"])
@pytest.mark.parametrize("by_part", [False, True])
def test_egorear_starts_the_joint_maps_of_egotap_but_for_its_lifter(
    tap: EgoTAP, trained: EgoRear, tmp_path: Path, file: str, by_part: bool
) -> None:
    others = {name: t.clone() for name, t in tap.state_dict().items() if not name.startswith("joint_maps.")}
    path = written(trained, tmp_path / file)
    if by_part:
        load_part(tap, InitialPart("joint_maps", str(path)))
    else:
        assert load_parts(tap, path) == ["joint_maps"]
    theirs, ours = trained.state_dict(), tap.state_dict()
    assert {"lifter", "confidence"} < {name.partition(".")[0] for name in theirs}
    assert all(torch.equal(ours[f"joint_maps.{name}"], theirs[name]) for name in EgoRear(SEEN).state_dict())
    assert all(torch.equal(ours[name], tensor) for name, tensor in others.items())


def test_an_egorear_that_does_not_fit_gets_one_sentence(tap: EgoTAP, trained: EgoRear, tmp_path: Path) -> None:
    heatmaps = written(EgoRear(replace(SEEN, refiner=None)), tmp_path / "heatmaps")
    with pytest.raises(UserError, match=r"heatmaps cannot start 'joint_maps' .*: 'refiners\..* are missing"):
        load_parts(tap, heatmaps)
    own = EgoTAP(replace(tap.config, joint_maps=UNET, egorear=None))
    with pytest.raises(UserError, match=r"model is an EgoRear, .* look at 'model\.egotap\.egorear'"):
        load_parts(own, written(trained, tmp_path / "model"))


def test_weights_that_are_not_finite_start_nothing(tap: EgoTAP, tmp_path: Path) -> None:
    broken = EgoRear(SEEN)
    with torch.no_grad():
        next(broken.refiners.parameters()).fill_(math.nan)
    with pytest.raises(UserError, match=r"last\.ckpt cannot start .*: 'refiners\.\S+' holds NaN"):
        load_parts(tap, written(broken, tmp_path / "last.ckpt"))


def test_an_actionformer_that_does_not_fit_is_named(tmp_path: Path) -> None:
    network = torch.nn.ModuleDict({"motion": MotionEncoder(MotionEncoderConfig(local=1, whole=1))})
    torch.save({"state_dict": {"module.backbone.branch.0.gate": torch.zeros(1)}}, tmp_path / "ego4d.pth.tar")
    with pytest.raises(UserError, match=r"ego4d\.pth\.tar cannot start 'motion' of this network: .*ActionFormer's"):
        load_part(network, InitialPart("motion", str(tmp_path / "ego4d.pth.tar")))


def test_the_same_views_in_another_order_are_refused(trained: EgoRear, tmp_path: Path) -> None:
    """Shapes would not tell: what the refiner knows of the left camera would become the right one's."""
    path = written(trained, tmp_path / "model")
    turned = EgoRear(replace(LIFTED, views=SEEN.views[::-1]))
    with pytest.raises(UserError, match="must have them in the order front_right, front_left"):
        load_parts(turned, path)
    load_parts(EgoRear(LIFTED), path)
