"""The temporal networks read any method's tokens of any number of views: here those that EgoRear has refined."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from egorear.geometry.skeleton import EGO4VIEW
from egorear.models.egorear import VIEWS, EgoRear, EgoRearConfig, EgoRearOutput
from egorear.models.heatmap_estimator import EncoderConfig
from egorear.models.joint_embedding import JointEmbedding, JointEmbeddingConfig
from egorear.models.motion_encoder import MotionEncoder, MotionEncoderConfig
from egorear.models.pose_decoder import PoseDecoder, PoseDecoderConfig
from egorear.models.refiner import RefinerConfig, heatmap_anchors
from egorear.models.resnet import ResNetConfig

BATCH, FRAMES, WIDTH = 2, 4, 16


class TemporalEgoRear(nn.Module):
    """Videos of all views, "B T V 3 H W": each frame through EgoRear, all frames through the motion encoder."""

    def __init__(self, views: tuple[str, ...], tokens: str):
        super().__init__()
        backbone = ResNetConfig((8, 8, 16, 16), (1, 1, 1, 1), "light")
        refiner = RefinerConfig(16, 2, 2, 16, cross="unmasked", own_widths=(8, 8))
        self.images = EgoRear(
            EgoRearConfig(views, 64, 15, "all", "deep", EncoderConfig(backbone, WIDTH), refiner, None)
        )
        self.embedding = None
        if tokens == "heatmaps":
            self.embedding = JointEmbedding(JointEmbeddingConfig((4, 4, 8), 2, WIDTH), 15)
        self.motion = MotionEncoder(MotionEncoderConfig(WIDTH, 2, 16, 1, 1, 4))
        self.decoder = PoseDecoder(PoseDecoderConfig(8, 2, 1, 16, (8, 8)), len(EGO4VIEW), WIDTH, WIDTH)

    def forward(self, video: Tensor) -> Tensor:
        seen = self.images(video.flatten(0, 1))
        motion = self.motion(seen.features_refined.mean(dim=(1, -2, -1)).unflatten(0, video.shape[:2]))
        return self.decoder(self.tokens(seen), motion.flatten(0, 1)).unflatten(0, video.shape[:2])

    def tokens(self, seen: EgoRearOutput) -> Tensor:
        """One for each view and joint, "N V*K C"."""
        if self.embedding is not None:
            return self.embedding(seen.heatmaps_refined).flatten(1, 2)
        anchors, _ = heatmap_anchors(seen.heatmaps_refined)
        features, grid = seen.features_refined.flatten(0, 1), 2 * anchors.flatten(0, 1)[:, :, None] - 1
        sampled = F.grid_sample(features, grid, align_corners=False)[..., 0]
        return sampled.transpose(1, 2).unflatten(0, anchors.shape[:2]).flatten(1, 2)


@pytest.mark.parametrize("views", [VIEWS[:1], VIEWS[:2], VIEWS], ids=len)
@pytest.mark.parametrize("tokens", ["features", "heatmaps"])
def test_egorears_views_become_poses_and_everything_learns_from_them(views: tuple[str, ...], tokens: str) -> None:
    torch.manual_seed(0)
    network = TemporalEgoRear(views, tokens)
    poses = network(torch.randn(BATCH, FRAMES, len(views), 3, 64, 64))
    assert poses.shape == (BATCH, FRAMES, 16, 3)
    poses.square().sum().backward()
    idle = [name for name, part in network.named_parameters() if part.grad is None or not part.grad.any()]
    # EgoRear keeps a head that its deep ones replace, and its features are those before the heads of refined heatmaps.
    unread = ["images.estimators.all.head."] + ["images.refiners.all.heads.0.heatmaps."] * (tokens == "features")
    assert not [name for name in idle if not name.startswith(tuple(unread))]


@torch.no_grad()
def test_each_view_counts_and_their_order_does_not() -> None:
    torch.manual_seed(0)
    network = TemporalEgoRear(VIEWS, "features").eval()
    seen = network.images(torch.randn(3, 4, 3, 64, 64))
    tokens, motion = network.tokens(seen).unflatten(1, (4, 15)), torch.randn(3, WIDTH)
    poses = network.decoder(tokens.flatten(1, 2), motion)
    for order in ((1, 0, 2, 3), (3, 2, 1, 0)):
        again = network.decoder(tokens[:, list(order)].flatten(1, 2), motion)
        torch.testing.assert_close(again, poses, rtol=0, atol=1e-5)
    for view in range(4):
        without = [other for other in range(4) if other != view]
        assert (network.decoder(tokens[:, without].flatten(1, 2), motion) - poses).abs().max() > 1e-5
