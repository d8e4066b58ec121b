"""EgoRear without its image estimator: the same refiner and lifter, on features made from given heatmaps."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from egorear.geometry.rig import Rig
from egorear.models.lifter import Lifter, LifterConfig
from egorear.models.refiner import HeatmapRefiner, RefinerConfig, heatmap_anchors

FAINT = 0.1  # of the proposal's first weights: it starts near the mean pose, not spread about it
CONTEXT_STRIDE = 8  # between features and contexts, as between the strides 4 and 32 of the image estimator


@dataclass(frozen=True)
class TruthNetworkConfig:
    """map_size: cells along a heatmap's side. dim: channels of the features. refiner: None is the baseline without."""

    map_size: int = 16
    heatmap_joints: int = 15
    dim: int = 32
    refiner: RefinerConfig | None = field(
        default_factory=lambda: RefinerConfig(embed=64, points=4, ffn_dim=128, own_widths=(32, 48))
    )
    lifter: LifterConfig = field(
        default_factory=lambda: LifterConfig(proposal="compact", embed=64, points=4, ffn_dim=128, unit_cm=20.0)
    )


class TruthEstimator(nn.Module):
    """Stands where the image estimator stands: what its heatmaps show, as features and as a coarse context.

    One small network for all views; it sees one cell around each, hence no view through another.
    """

    def __init__(self, joints: int, dim: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(joints, dim, 3, padding=1), nn.ReLU(), nn.Conv2d(dim, dim, 1), nn.ReLU())
        self.pool = nn.AvgPool2d(CONTEXT_STRIDE)

    def forward(
        self, heatmaps: Float[Tensor, "B V K H W"]
    ) -> tuple[Float[Tensor, "B V C H W"], Float[Tensor, "B V C h w"]]:
        maps = heatmaps.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        features = self.layers(maps)
        return features.unflatten(0, heatmaps.shape[:2]), self.pool(features).unflatten(0, heatmaps.shape[:2])


class TruthNetwork(nn.Module):
    """Heatmaps of `views` views to refined heatmaps and poses, as `models.egorear.EgoRear` does from images."""

    def __init__(self, config: TruthNetworkConfig, views: int):
        super().__init__()
        size, dim, joints = config.map_size, config.dim, config.heatmap_joints
        self.config = config
        self.estimator = TruthEstimator(joints, dim)
        self.refiner = None
        if config.refiner is not None:
            self.refiner = HeatmapRefiner(config.refiner, views, views, dim, dim, joints, size, deep_head=False)
        self.lifter = Lifter(config.lifter, views, dim, size, joints)

    @torch.no_grad()
    def start_at(self, pose: Float[Tensor, "J 3"]) -> None:
        """Makes a fresh network propose about this pose (m): finding the mean pose takes hundreds of steps that tell
        nothing about cameras or refinement."""
        answer = [layer for layer in self.lifter.proposal.modules() if isinstance(layer, nn.Linear)][-1]
        answer.weight.mul_(FAINT)
        answer.bias.copy_(100 * pose.flatten() / self.config.lifter.unit_cm)

    def forward(
        self, heatmaps: Float[Tensor, "B V K H W"], rig: Rig | None
    ) -> tuple[Float[Tensor, "B L J 3"] | None, Float[Tensor, "B V K H W"]]:
        """Poses (m, device frame; the proposal first, the last is the answer) and the final heatmaps.

        rig: None only refines, which is all that the first training stage needs.
        """
        features, contexts = self.estimator(heatmaps)
        seen, final = features, heatmaps
        if self.refiner is not None and self.config.refiner is not None:
            anchors, valid = heatmap_anchors(heatmaps, self.config.refiner.pixel_center)
            everything = slice(0, heatmaps.shape[1])
            seen, final = self.refiner(everything, features, contexts, heatmaps, anchors, valid)[-1]
        if rig is None:
            return None, final
        return self.lifter(features, seen, final, rig)[0] / 100, final
