"""EgoRear and EgoTAP without their image networks: the same refiner and lifters, on given heatmaps."""

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import EGO4VIEW
from egorear.models.egotap_lifter import TAPLifter, TAPLifterConfig
from egorear.models.heatmap_encoders import MapEncoderConfig
from egorear.models.lifter import Lifter, LifterConfig
from egorear.models.propagation import PropagationConfig
from egorear.models.refiner import HeatmapRefiner, RefinerConfig, heatmap_anchors

FAINT = 0.1  # of the proposal's first weights: it starts near the mean pose, not spread about it
CONTEXT_STRIDE = 8  # between features and contexts, as between the strides 4 and 32 of the image estimator


@dataclass(frozen=True)
class TruthNetworkConfig:
    """map_size: cells along a heatmap's side. dim: channels of the features. refiner: None is the baseline without.
    lifter: EgoPoseFormer's; None only refines. egotap: EgoTAP's."""

    map_size: int = 16
    heatmap_joints: int = 15
    dim: int = 32
    refiner: RefinerConfig | None = field(
        default_factory=lambda: RefinerConfig(embed=64, points=4, ffn_dim=128, own_widths=(32, 48))
    )
    lifter: LifterConfig | None = field(
        default_factory=lambda: LifterConfig(proposal="compact", embed=64, points=4, ffn_dim=128, unit_cm=20.0)
    )
    egotap: TAPLifterConfig = field(
        default_factory=lambda: TAPLifterConfig(
            encoder=MapEncoderConfig(patches=2, width=96, heads=4, layers=3, mlp=192, hidden=(128, 64), features=24),
            limb_hidden=(128, 64),
            propagation=PropagationConfig(hidden=64),
            unit_cm=20.0,
        )
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
        self.lifter = None if config.lifter is None else Lifter(config.lifter, views, dim, size, joints)

    @torch.no_grad()
    def start_at(self, pose: Float[Tensor, "J 3"]) -> None:
        """Makes a fresh network propose about this pose (m): finding the mean pose takes hundreds of steps that tell
        nothing about cameras or refinement."""
        assert self.lifter is not None
        assert self.config.lifter is not None
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
        if rig is None or self.lifter is None:
            return None, final
        return self.lifter(features, seen, final, rig)[0] / 100, final


class TruthEgoTAP(nn.Module):
    """Joint and limb heatmaps of `views` views to poses, as `models.egotap.EgoTAP` lifts them; where `config` has a
    refiner, the joint heatmaps are refined first, by the same network as in `TruthNetwork`."""

    mean_pose: Float[Tensor, "J 3"]

    def __init__(self, config: TruthNetworkConfig, views: int):
        super().__init__()
        self.joint_maps = None if config.refiner is None else TruthNetwork(replace(config, lifter=None), views)
        self.lifter = TAPLifter(config.egotap, EGO4VIEW, views, config.map_size)
        self.register_buffer("mean_pose", torch.zeros(len(EGO4VIEW), 3))

    @torch.no_grad()
    def start_at(self, pose: Float[Tensor, "J 3"]) -> None:
        """Makes a fresh network answer about this pose (m), as `TruthNetwork.start_at`: it learns the difference, for
        its head is shared by the joints and has no bias for each."""
        self.mean_pose.copy_(pose)
        for head in (self.lifter.joint_head, self.lifter.global_head):
            if head is not None:
                head.weight.mul_(FAINT)

    def forward(
        self, heatmaps: Float[Tensor, "B V K H W"], limbs: Float[Tensor, "B V 2 K H W"] | None
    ) -> tuple[Float[Tensor, "B 1 J 3"] | None, Float[Tensor, "B V K H W"]]:
        """One pose (m, device frame) and the final joint heatmaps.

        limbs: None only refines, which is all that the first training stage needs.
        """
        final = heatmaps if self.joint_maps is None else self.joint_maps(heatmaps, None)[1]
        if limbs is None:
            return None, final
        return (self.mean_pose + self.lifter(final, limbs).poses_cm / 100)[:, None], final
