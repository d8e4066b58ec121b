"""AG-EgoPose put together: its parts, its ablations, and what a frame's answer depends on."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from egorear.errors import UserError
from egorear.models import MODELS, load_pretrained, save_pretrained
from egorear.models.agegopose import AGEgoPose, AGEgoPoseConfig, FrameFeatures
from egorear.models.heatmap_fpn import HeatmapFPN
from egorear.models.joint_embedding import JointEmbeddingConfig
from egorear.models.motion_encoder import MotionEncoderConfig
from egorear.models.pose_decoder import PoseDecoderConfig
from egorear.models.resnet import ResNetConfig
from egorear.models.static_encoder import StaticEncoder

BACKBONE = ResNetConfig(widths=(4, 6, 8, 10), blocks=(1, 1, 1, 1), stem="light")
TINY = AGEgoPoseConfig(
    image_size=64,
    window=6,
    heatmap_net=BACKBONE,
    static=replace(BACKBONE, block="bottleneck"),
    embedding=JointEmbeddingConfig(widths=(2, 3, 4), pool=2, dim=8),
    motion=MotionEncoderConfig(width=12, heads=2, mlp=16, local=1, whole=1, window=2),
    decoder=PoseDecoderConfig(dim=8, heads=2, layers=1, mlp=16, head=(8, 8)),
)
ABLATIONS = {
    "full": {},
    "spatial": {"static": None, "motion": None},
    "motion": {"embedding": None},
    "motion without heatmaps": {"embedding": None, "heatmap_net": None},
    "no cross-attention": {"decoder": replace(TINY.decoder, attention=False)},
    "heatmaps": {"embedding": None, "static": None, "motion": None, "decoder": None},
    "head": {"skeleton": "ego4view"},
    "identity": {"skeleton": "ego4view", "embedding": replace(TINY.embedding, identity=True)},
}


def random(config: AGEgoPoseConfig, seed: int = 0) -> AGEgoPose:
    """A network in eval mode whose temporal blocks count, which those of a new one hardly do."""
    torch.manual_seed(seed)
    network = AGEgoPose(config).eval()
    for name, parameter in network.named_parameters():
        if name.endswith(".scale"):
            torch.nn.init.normal_(parameter, 1.0, 0.2)
    return network


def video(batch: int, frames: int) -> Tensor:
    return torch.randn(batch, frames, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ABLATIONS)
def test_each_ablation_has_its_parts_learns_with_all_of_them_and_comes_back_from_a_folder(name, tmp_path):
    config = replace(TINY, **ABLATIONS[name])
    network = random(config)
    out = network(video(2, 5))
    joints, heatmap_joints = len(config.joints), len(config.heatmap_joints)
    assert (joints, heatmap_joints) == ((16, 15) if config.skeleton == "ego4view" else (15, 15))
    sizes = {
        "poses": (2, 5, joints, 3) if config.decoder else None,
        "heatmap_logits": (2, 5, heatmap_joints, 16, 16) if config.heatmap_net else None,
        "joint_features": (2, 5, heatmap_joints, 8) if config.embedding else None,
        "static_features": (2, 5, 12) if config.static else None,
        "motion_features": (2, 5, 12) if config.motion else None,
    }
    assert {key: None if value is None else tuple(value.shape) for key, value in vars(out).items()} == sizes
    children = {"heatmap_net", "embedding", "static", "motion", "decoder"}
    assert {key for key, _ in network.named_children()} == {key for key in children if getattr(config, key) is not None}
    sum(value.square().sum() for value in (out.poses, out.heatmap_logits) if value is not None).backward()
    assert all(p.grad is not None for p in network.parameters())
    save_pretrained(network, tmp_path)
    again = load_pretrained(tmp_path)
    assert again.config == config
    with torch.no_grad():
        both = network(video(1, 3)), again(video(1, 3))
    for ours, theirs in zip(*(vars(each).values() for each in both), strict=True):
        assert (ours is None and theirs is None) or torch.equal(ours, theirs)


@torch.no_grad()
def test_work_on_frames_done_once_gives_the_windows_answer():
    network, images = random(TINY), video(2, 6)
    whole = network(images)
    singly = [network.features(images[:, t]) for t in range(6)]
    lifted = network.lift(
        FrameFeatures(
            joint_features=torch.stack([each.joint_features for each in singly], dim=1),
            static_features=torch.stack([each.static_features for each in singly], dim=1),
        )
    )
    assert lifted.heatmap_logits is None
    torch.testing.assert_close(lifted.poses, whole.poses)
    torch.testing.assert_close(lifted.motion_features, whole.motion_features)
    one = network.decode(whole.joint_features[0, 3:4], whole.motion_features[0, 3:4])
    torch.testing.assert_close(one[0], whole.poses[0, 3])


@torch.no_grad()
def test_poses_depend_on_other_frames_through_motion_alone():
    images = video(1, 6)
    other = images.clone()
    other[:, 0] += 1
    for name, depends in (("full", True), ("spatial", False), ("motion", True)):
        network = random(replace(TINY, **ABLATIONS[name]))
        change = (network(images).poses - network(other).poses).abs().amax(dim=(0, 2, 3))
        assert change[0] > 1e-6
        assert bool((change[1:] > 1e-6).all()) == depends
        assert depends or bool((change[1:] == 0).all())


@torch.no_grad()
def test_heatmaps_enter_after_a_sigmoid_and_tokens_do_not_tell_whose_they_are():
    network = random(TINY)
    found = network.features(video(1, 2)[0])
    torch.testing.assert_close(found.joint_features, network.embedding(found.heatmap_logits.sigmoid()))
    maps = torch.rand(2, 3, 5, 16, 16)
    torch.testing.assert_close(network.embedding(maps.flip(2)), network.embedding(maps).flip(2))


@torch.no_grad()
def test_with_identity_tokens_tell_whose_they_are():
    network = random(replace(TINY, embedding=replace(TINY.embedding, identity=True)))
    same = torch.rand(1, 1, 16, 16).expand(2, 15, 16, 16)
    tokens = network.embedding(same)
    torch.testing.assert_close(
        tokens - tokens[:, :1], (network.embedding.identity - network.embedding.identity[0])[None].expand_as(tokens)
    )
    assert (tokens[0, 0] - tokens[0, 1]).abs().max() > 1e-3


def test_a_new_networks_parts_have_the_published_sizes():
    config, model = MODELS["agegopose"]
    with torch.device("meta"):
        network = model(config)
    sizes = {name: sum(p.numel() for p in child.parameters()) for name, child in network.named_children()}
    assert sizes == {
        "heatmap_net": 13_849_487,
        "embedding": 154_752,
        "static": 23_508_032 + 787_584,
        "motion": 8 * 1_780_992,
        "decoder": 919_299,
    }


def test_the_static_encoder_needs_more_than_one_frame_to_be_trained():
    encoder = StaticEncoder(BACKBONE, 4)
    assert encoder(torch.randn(2, 3, 64, 64)).shape == (2, 4)
    with pytest.raises(UserError, match="cannot be trained on a single frame"):
        encoder(torch.randn(1, 3, 64, 64))
    assert encoder.eval()(torch.randn(1, 3, 64, 64)).shape == (1, 4)


def test_new_heatmaps_are_small_and_learn_everywhere():
    torch.manual_seed(0)
    network = HeatmapFPN(BACKBONE, 15)
    logits = network(torch.randn(2, 3, 64, 96))
    assert logits.shape == (2, 15, 16, 24)
    assert logits.abs().mean() < 10
    assert all((module.bias == 0).all() for module in (network.head, *(each[0] for each in network.fuse)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 100}, "'image_size' is 100"),
        ({"views": ("front", "back")}, "must name one camera"),
        ({"views": ()}, "must name one camera"),
        ({"window": 0}, "'window' is 0"),
        ({"motion": None}, "'static' is of no use without 'motion'"),
        ({"static": None}, "'motion' is of no use without 'static'"),
        ({"heatmap_net": None}, "'embedding' reads heatmaps"),
        ({"embedding": None, "static": None, "motion": None}, "'decoder' reads joint features or motion features"),
        ({"decoder": None}, "'embedding' is read by 'decoder' alone"),
        ({"decoder": None, "embedding": None}, "'motion' is read by 'decoder' alone"),
        (
            {"decoder": None, "embedding": None, "static": None, "motion": None, "heatmap_net": None},
            "'heatmap_net' and 'decoder' are both left out",
        ),
        (
            {"skeleton": "ego4view", "decoder": PoseDecoderConfig(attention=False)},
            "every joint needs a heatmap, but of 'ego4view' only 15 of 16",
        ),
    ],
)
def test_impossible_networks_are_refused_in_one_sentence(changes, message):
    with pytest.raises(UserError, match=message):
        replace(TINY, **changes)


def test_impossible_sizes_are_refused_in_one_sentence():
    with pytest.raises(UserError, match=r"'embedding\.widths' is \(2, 0, 4\) but must be positive"):
        JointEmbeddingConfig(widths=(2, 0, 4))
    with pytest.raises(UserError, match=r"the images are \(3, 32, 64\) but this network takes \(3, 64, 64\)"):
        random(TINY)(torch.zeros(1, 2, 3, 32, 64))
    with pytest.raises(UserError, match="multiples of 32"):
        HeatmapFPN(BACKBONE, 15)(torch.zeros(1, 3, 48, 64))
    pyramid = replace(TINY, motion=replace(TINY.motion, form="pyramid"))
    with pytest.raises(UserError, match="has 6 frames but this motion encoder of 2 levels takes"):
        random(pyramid)(video(1, 6))


def test_a_batch_of_windows_is_each_window_by_itself():
    network = random(TINY)
    with torch.no_grad():
        both, first = network(video(2, 4)), network(video(2, 4)[:1])
    torch.testing.assert_close(both.poses[:1], first.poses)


def test_motion_alone_is_a_network_that_others_start_from():
    alone = AGEgoPose(AGEgoPoseConfig(heatmap_net=None, static=None, embedding=None, decoder=None, motion=TINY.motion))
    assert {name for name, _ in alone.named_children()} == {"motion"}
    assert all(value is None for value in vars(alone.features(torch.zeros(2, 3, 256, 256))).values())
    assert alone.lift(FrameFeatures(static_features=torch.zeros(1, 4, 12))).motion_features.shape == (1, 4, 12)
