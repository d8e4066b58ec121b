"""2D to 3D, paper section 4.5: the lifter of EgoPoseFormer (Yang et al., ECCV 2024).

A first pose is proposed, projected into every view by the camera models, and corrected three times by
joint queries that look at the features around their projections.
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from egorear.geometry.rig import Rig
from egorear.geometry.transforms import transform_points
from egorear.models.attention import MultiViewLayer
from egorear.models.proposal import CompactProposal, FullPrecisionLinear, PaperProposal, PooledProposal


@dataclass(frozen=True)
class LifterConfig:
    """The defaults are the paper's.

    proposal: "paper" (a CNN and a wide MLP), "pooled" (EgoPoseFormer's own) or "compact" (ours: from 2D joints).
    unit_cm: the length inside the network that 1.0 stands for; the published networks count centimetres.

    The last three repeat how the published networks were trained, and belong to their checkpoints alone:
    anchor_shift is added to relative image coordinates (they left out the half pixel); lens_limit=False takes
    every point whose projection falls into the image as seen, whatever its angle to the axis;
    syn_anchor_defect chains the camera transforms instead of applying each to the pose (Ego4View-Syn only).
    """

    proposal: Literal["paper", "pooled", "compact"] = "paper"
    joints: int = 16
    embed: int = 128
    heads: int = 4
    points: int = 16
    ffn_dim: int = 512
    layers: int = 3
    unit_cm: float = 1.0
    anchor_shift: float = 0.0
    lens_limit: bool = True
    syn_anchor_defect: bool = False


class Lifter(nn.Module):
    """Features of V views to the proposal and its refinements. 68,611,193 parameters for four views."""

    def __init__(self, config: LifterConfig, views: int, dim: int, feature_size: int, heatmap_joints: int):
        super().__init__()
        self.config = config
        embed, joints = config.embed, config.joints
        if config.proposal == "paper":
            self.proposal = PaperProposal(views, dim, feature_size, joints)
        elif config.proposal == "pooled":
            self.proposal = PooledProposal(views, embed, joints)
        else:
            self.proposal = CompactProposal(views, dim, heatmap_joints, joints)
        self.memory = nn.Conv2d(dim, embed, 1)
        self.query = nn.Sequential(
            nn.Linear(4, embed), nn.ReLU(), nn.Linear(embed, embed), nn.ReLU(), nn.Linear(embed, embed)
        )
        self.layers = nn.ModuleList(
            MultiViewLayer(embed, views, config.heads, config.points, config.ffn_dim) for _ in range(config.layers)
        )
        self.offsets = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(embed), nn.Linear(embed, embed), nn.GELU(), FullPrecisionLinear(embed, 3))
            for _ in range(config.layers)
        )

    def forward(
        self,
        initial: Float[Tensor, "B V C H W"],
        refined: Float[Tensor, "B V C H W"],
        heatmaps: Float[Tensor, "B V K h w"] | None,
        rig: Rig,
        present: Bool[Tensor, "B V"] | None = None,
    ) -> tuple[Float[Tensor, "B L J 3"], Float[Tensor, "B J E"]]:
        """Poses in centimetres, device frame: the proposal, then one per layer; the last is the answer. And the
        joint queries behind it.

        The proposal sees `refined` features and `heatmaps`, the queries look at the `initial` ones. present: the
        views there are; None: all.
        """
        memory = self.memory(initial.flatten(0, 1)).unflatten(0, initial.shape[:2])
        # EgoPoseFormer's own proposal averages what the queries look at; the others start from the refined.
        source = memory if self.config.proposal == "pooled" else refined
        proposal_cm = self.proposal(source, heatmaps, present) * self.config.unit_cm
        base_cm, anchors, in_view = self._anchors(proposal_cm, rig)

        joints = base_cm.shape[1]
        index = torch.arange(1, joints + 1, device=base_cm.device) / joints
        index = index.expand(base_cm.shape[0], -1)[..., None]
        x = self.query(torch.cat((index, base_cm.detach() / self.config.unit_cm), dim=-1))[:, None]
        poses = [proposal_cm]
        for layer, offset in zip(self.layers, self.offsets, strict=True):
            x = layer(x, anchors, in_view, memory, present)
            poses.append(base_cm + offset(x[:, 0]) * self.config.unit_cm)
        return torch.stack(poses, dim=1), x[:, 0]

    def _anchors(
        self, proposal_cm: Float[Tensor, "B J 3"], rig: Rig
    ) -> tuple[Float[Tensor, "B J 3"], Float[Tensor, "B V J 2"], Bool[Tensor, "B V J"]]:
        """The pose to correct (the proposal itself), and where each view sees it; anchors are detached."""
        with torch.autocast(proposal_cm.device.type, enabled=False):
            base_cm = proposal_cm.float()
            joints = base_cm.detach() / 100
            if self.config.syn_anchor_defect:
                chained = _chain(rig.T_camera_device)
                rig = replace(rig, T_camera_device=chained)
                base_cm = 100 * transform_points(chained[..., -1, :, :].to(base_cm), base_cm / 100)
            pixels, in_view = rig.project(joints)
            sizes = pixels.new_tensor([(camera.width, camera.height) for camera in rig.cameras.values()])
            anchors = (pixels + 0.5) / sizes[:, None] + self.config.anchor_shift
            if not self.config.lens_limit:
                in_view = ((anchors > 0) & (anchors < 1)).all(dim=-1)
        return base_cm, anchors.clamp(0, 1), in_view


def _chain(transforms: Float[Tensor, "*B V 4 4"]) -> Float[Tensor, "*B V 4 4"]:
    """Each camera's transform after those of all cameras before it: what changing one shared tensor in place,
    camera after camera, amounts to."""
    chained = [transforms[..., 0, :, :]]
    for view in range(1, transforms.shape[-3]):
        chained.append(transforms[..., view, :, :] @ chained[-1])
    return torch.stack(chained, dim=-3)
