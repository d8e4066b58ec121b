"""One network for every set of its views: what is not present has no influence, whatever its image holds."""

from dataclasses import replace
from itertools import product

import pytest
import torch

from egorear.geometry.rig import ego4view_syn
from egorear.models import MODELS, EgoPoseFormer, EgoPoseFormerConfig, EgoRear, EgoRearConfig
from egorear.models.confidence import CONFIDENT_M
from egorear.models.heatmap_estimator import EncoderConfig
from egorear.models.lifter import LifterConfig
from egorear.models.refiner import RefinerConfig
from egorear.models.resnet import ResNetConfig

SUBSETS = [keep for keep in product((True, False), repeat=4) if any(keep)]
TINY = EgoRearConfig(
    image_size=64,
    sharing="all",
    encoder=EncoderConfig(backbone=ResNetConfig((8, 8, 16, 16), (1, 1, 1, 1), "light"), dim=16),
    refiner=RefinerConfig(embed=16, points=2, ffn_dim=16, own_widths=(8, 8)),
    lifter=LifterConfig(proposal="compact", embed=16, points=2, ffn_dim=16, layers=2),
    confidence=True,
)


def tiny(**changes) -> EgoRear:
    torch.manual_seed(3)
    return EgoRear(replace(TINY, **changes)).eval()


NETWORKS = {
    "shared, compact": TINY,
    "paper's parts and proposal": replace(TINY, sharing="paper", lifter=replace(TINY.lifter, proposal="paper")),
    "pooled proposal, no refiner": replace(TINY, refiner=None, lifter=replace(TINY.lifter, proposal="pooled")),
    "anchors without masks": replace(TINY, refiner=replace(TINY.refiner, cross="unmasked")),
    "attention without anchors": replace(TINY, refiner=replace(TINY.refiner, cross="dense", layers=2)),
}


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_the_image_of_an_absent_view_has_no_influence_at_all(name: str) -> None:
    torch.manual_seed(0)
    network, rig = EgoRear(NETWORKS[name]).eval(), ego4view_syn().resized(64, 64)
    present = torch.tensor(SUBSETS)
    images = torch.randn(len(SUBSETS), 4, 3, 64, 64)
    others = torch.where(present[..., None, None, None], images, 1e3 * torch.randn_like(images))
    others[~present] += torch.nan
    a, b = network(images, rig, present), network(others, rig, present)
    for field in ("poses", "confidence", "heatmaps_initial", "heatmaps_refined", "features_initial"):
        first, second = getattr(a, field), getattr(b, field)
        assert (first is None and second is None) or torch.equal(first, second), field
    final = a.heatmaps_initial if a.heatmaps_refined is None else a.heatmaps_refined
    assert not final[~present].any()
    assert final[present].any()
    assert a.poses.isfinite().all()


@torch.no_grad()
def test_each_view_of_a_set_counts_and_all_present_is_the_default() -> None:
    network, rig = tiny(), ego4view_syn().resized(64, 64)
    torch.manual_seed(1)
    images = torch.randn(1, 4, 3, 64, 64)
    present = torch.tensor(SUBSETS)
    poses = network(images.expand(len(SUBSETS), -1, -1, -1, -1), rig, present).poses[:, -1]
    assert len({tuple(pose.flatten().tolist()) for pose in poses}) == len(SUBSETS)
    everything = SUBSETS.index((True,) * 4)
    torch.testing.assert_close(network(images, rig).poses[0, -1], poses[everything])


@torch.no_grad()
def test_egoposeformer_does_without_a_view_too() -> None:
    torch.manual_seed(0)
    config = EgoPoseFormerConfig(image_size=64, encoder=TINY.encoder, lifter=replace(TINY.lifter, proposal="pooled"))
    network, rig = EgoPoseFormer(config).eval(), ego4view_syn().select(config.views).resized(64, 64)
    images, present = torch.randn(2, 2, 3, 64, 64), torch.tensor([[True, False], [True, True]])
    changed = images.clone()
    changed[0, 1] = torch.nan
    poses = network(images, rig, present).poses
    assert torch.equal(poses, network(changed, rig, present).poses)
    assert not torch.equal(poses[0], network(images, rig).poses[0])


def test_confidence_teaches_the_pose_network_nothing_and_can_be_added_to_it() -> None:
    network, rig = tiny(), ego4view_syn().resized(64, 64)
    output = network(torch.randn(2, 4, 3, 64, 64), rig)
    output.confidence.sum().backward()
    learning = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert learning == {"confidence"}
    without = {name for name, _ in tiny(confidence=False).named_parameters()}
    assert {name for name, _ in network.named_parameters() if not name.startswith("confidence.")} == without
    assert CONFIDENT_M == 0.1


def test_what_ships_can_be_trained_for_any_set() -> None:
    assert MODELS["egorear-nano"][0].confidence
