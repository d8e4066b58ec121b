"""The lifter of EgoTAP (Kang and Lee, CVPR 2024, sections 3.2 and 3.3): heatmaps of joints and limbs to a pose."""

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from egorear.errors import UserError
from egorear.geometry.skeleton import Skeleton
from egorear.models.attention import only_present
from egorear.models.heatmap_encoders import LimbEncoder, MapEncoderConfig, draw_weights, map_encoder
from egorear.models.propagation import PropagationConfig, PropagationNetwork
from egorear.models.proposal import FullPrecisionLinear


@dataclass(frozen=True)
class TAPLifterConfig:
    """The defaults are the paper's.

    limb_hidden: widths of the limb encoder's layers; its features are as many as the joint encoder's.
    root: where the skeleton's root is, which has no map: "head" has a global layer tell it, together with an offset
    of all other joints; "origin" puts it at the frame's origin (EgoCap).
    unit_cm: the length inside the network that 1.0 stands for.
    published_rows: the root's row comes last, and that of joint j is row j - 1, as the published weights for UnrealEgo
    have it. They were trained against the rows of the truth as they are, so that row r of their answer is joint r all
    the same.
    """

    encoder: MapEncoderConfig = field(default_factory=MapEncoderConfig)
    limb_hidden: tuple[int, int] = (2048, 512)
    propagation: PropagationConfig = field(default_factory=PropagationConfig)
    root: Literal["head", "origin"] = "head"
    unit_cm: float = 1.0
    published_rows: bool = False


@dataclass
class Lifted:
    """What the lifter made of a batch.

    poses_cm: centimetres, joints in the skeleton's order. The features belong to the joints with heatmaps, 1 to K;
    those of joints and limbs are [view 0, view 1, ...]. relation_features: None if the propagation uses none.
    """

    poses_cm: Float[Tensor, "B J 3"]
    joint_features: Float[Tensor, "B K F"]
    relation_features: Float[Tensor, "B K R"] | None
    propagated_features: Float[Tensor, "B K P"]


class TAPLifter(nn.Module):
    """96 million parameters in the paper's stereo form.

    skeleton: its first joint is the root, the only one without a heatmap. views: number of cameras.
    map_size: height and width of the maps.

    Raises:
        UserError: there are no views, or the size of the maps cannot be divided as the encoder does.
    """

    def __init__(self, config: TAPLifterConfig, skeleton: Skeleton, views: int, map_size: int):
        super().__init__()
        self.config = config
        joints, width = len(skeleton) - 1, views * config.encoder.features
        self.shape = (views, joints, map_size, map_size)
        self.encoder = map_encoder(config.encoder, views, joints, map_size)
        self.limb_encoder = None
        if config.propagation.uses_relations:
            self.limb_encoder = LimbEncoder(config.limb_hidden, config.encoder.features, map_size)
        self.propagation = PropagationNetwork(config.propagation, skeleton.parents, width, width)
        self.joint_head = FullPrecisionLinear(width + self.propagation.width, 3)
        draw_weights(self.joint_head)
        self.global_head = None
        if config.root == "head":
            self.global_head = FullPrecisionLinear(joints * self.propagation.width, 6)
            draw_weights(self.global_head)

    def forward(
        self,
        maps: Float[Tensor, "B V K h w"],
        limb_maps: Float[Tensor, "B V 2 K h w"] | None = None,
        present: Bool[Tensor, "B V"] | None = None,
    ) -> Lifted:
        """Heatmaps of joints 1 to K and of the limbs to their parents (cosine and sine maps) to the pose.

        present: the views there are; None: all. The maps of the others have no influence on anything.

        Raises:
            UserError: limb maps are missing, or maps have another number of views or joints, or another size.
        """
        self._check(maps, limb_maps)
        joint = self.encoder(maps, present).transpose(1, 2).flatten(2)
        relation = None
        if self.limb_encoder is not None:
            encoded = self.limb_encoder(only_present(limb_maps, present))  # type: ignore[arg-type]
            relation = only_present(encoded, present).transpose(1, 2).flatten(2)
        propagated = self.propagation(joint, relation)
        rows = self.joint_head(torch.cat((joint, propagated), dim=-1))
        if self.global_head is None:
            poses = torch.cat((rows.new_zeros(rows.shape[0], 1, 3), rows), dim=1)
        else:
            offset, root = self.global_head(propagated.flatten(1)).unflatten(1, (2, 1, 3)).unbind(1)
            rows = rows + offset
            poses = torch.cat((rows, root) if self.config.published_rows else (root, rows), dim=1)
        return Lifted(poses * self.config.unit_cm, joint, relation, propagated)

    def _check(self, maps: Tensor, limb_maps: Tensor | None) -> None:
        views, joints, height, width = self.shape
        if maps.shape[1:] != self.shape:
            raise UserError(f"the joint maps are {tuple(maps.shape)} but this lifter takes (B, {_listed(self.shape)})")
        if self.limb_encoder is None:
            return
        needed = (views, 2, joints, height, width)
        if limb_maps is None:
            raise UserError(f"this lifter needs limb maps too, (B, {_listed(needed)}), and was given none")
        if limb_maps.shape[1:] != needed:
            raise UserError(f"the limb maps are {tuple(limb_maps.shape)} but this lifter takes (B, {_listed(needed)})")


def _listed(sizes: tuple[int, ...]) -> str:
    return ", ".join(map(str, sizes))
