"""EgoTAP (Kang and Lee, CVPR 2024): joint and limb heatmaps of all views, lifted to a pose along the skeleton.

images → joint heatmaps, limb heatmaps (a U-Net each) → lifter (Grid ViT, Propagation Network) → pose.
The joint heatmaps can also be those that EgoRear has refined (EgoRear, ICCV 2025, Table 3: "EgoTAP + ours").
"""

from dataclasses import dataclass, field
from typing import Literal

from jaxtyping import Bool, Float
from torch import Tensor, nn

from egorear.errors import UserError
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import SKELETONS, Skeleton
from egorear.models.egorear import EgoRear, EgoRearConfig, EgoRearOutput
from egorear.models.egotap_lifter import TAPLifter, TAPLifterConfig
from egorear.models.unet import MultiViewUNet, UNetConfig


@dataclass(frozen=True)
class EgoTAPConfig:
    """What to build; the defaults are the paper's stereo network for UnrealEgo, on the right joints and tree.

    views: names of the cameras, in the order of the V dimension. image_size: height and width of the input, a
    multiple of 32. skeleton: whose joints; all but the root have heatmaps and a limb to their parent.
    joint_maps, limb_maps: the two heatmap networks; None leaves one out (a stage that trains the other).
    egorear: takes the place of `joint_maps`; same views and size, without lifter.
    lifter: None leaves it out.
    origin: poses are relative to the device, or to the wearer's pelvis as UnrealEgo's published networks have them
    (such a network cannot say where in front of the cameras the body is).
    """

    views: tuple[str, ...] = ("front_left", "front_right")
    image_size: int = 256
    skeleton: Literal["ego4view", "egocap"] = "ego4view"
    joint_maps: UNetConfig | None = field(default_factory=UNetConfig)
    limb_maps: UNetConfig | None = field(default_factory=UNetConfig)
    egorear: EgoRearConfig | None = None
    lifter: TAPLifterConfig | None = field(default_factory=TAPLifterConfig)
    origin: Literal["device", "pelvis"] = "device"

    def __post_init__(self) -> None:
        if self.image_size <= 0 or self.image_size % 32:
            raise UserError(f"'image_size' is {self.image_size} but must be a positive multiple of 32")
        if not self.views or len(set(self.views)) < len(self.views):
            raise UserError(f"'views' is {self.views} but must name each of one or more cameras once")
        if self.egorear is not None:
            self._check_egorear(self.egorear)
        sources = [self.joint_maps, self.limb_maps, self.egorear]
        if all(source is None for source in sources):
            raise UserError("'joint_maps', 'limb_maps' and 'egorear' are all left out: nothing looks at the images")
        if self.lifter is not None:
            if self.joint_maps is None and self.egorear is None:
                raise UserError("'lifter' reads joint heatmaps: give 'joint_maps' or 'egorear'")
            if self.lifter.propagation.uses_relations and self.limb_maps is None:
                raise UserError(
                    f"'lifter.propagation.cell' is '{self.lifter.propagation.cell}', which reads limb heatmaps: give "
                    "'limb_maps'"
                )

    @property
    def joints(self) -> Skeleton:
        """Whose joints the poses have."""
        return SKELETONS[self.skeleton]

    def _check_egorear(self, egorear: EgoRearConfig) -> None:
        if self.joint_maps is not None:
            raise UserError("'joint_maps' and 'egorear' both make joint heatmaps: leave one out")
        if egorear.lifter is not None:
            raise UserError("'egorear.lifter' must be left out: EgoTAP lifts the heatmaps")
        joints = len(self.joints) - 1
        for name, theirs, ours in (
            ("views", egorear.views, self.views),
            ("image_size", egorear.image_size, self.image_size),
            ("heatmap_joints", egorear.heatmap_joints, joints),
        ):
            if theirs != ours:
                raise UserError(f"'egorear.{name}' is {theirs} but must be {ours}, as in EgoTAP")


@dataclass
class EgoTAPOutput(EgoRearOutput):
    """What the network made of a batch; None where its configuration has no such part.

    poses: one, metres, relative to the configuration's origin. heatmaps_initial: of the joints; heatmaps_refined: of
    EgoRear, where that makes them. limb_maps: the cosine and the sine channel of each limb.
    joint_features, relation_features, propagated_features: F_J, F_R and F_P of the paper.
    """

    limb_maps: Float[Tensor, "B V 2 K h w"] | None = None
    joint_features: Float[Tensor, "B K F"] | None = None
    relation_features: Float[Tensor, "B K R"] | None = None
    propagated_features: Float[Tensor, "B K P"] | None = None


class EgoTAP(nn.Module):
    """The network of `config`. 167.2 million parameters in the paper's stereo form."""

    def __init__(self, config: EgoTAPConfig = EgoTAPConfig()):
        super().__init__()
        self.config = config
        views, joints = len(config.views), len(config.joints) - 1
        self.joint_maps: nn.Module | None = None
        if config.egorear is not None:
            self.joint_maps = EgoRear(config.egorear)
        elif config.joint_maps is not None:
            self.joint_maps = MultiViewUNet(config.joint_maps, views, joints)
        self.limb_maps = None
        if config.limb_maps is not None:
            self.limb_maps = MultiViewUNet(config.limb_maps, views, 2 * joints)
        self.lifter = None
        if config.lifter is not None:
            self.lifter = TAPLifter(config.lifter, config.joints, views, config.image_size // 4)

    def forward(
        self,
        images: Float[Tensor, "B V 3 H W"],
        rig: Rig | None = None,
        present: Bool[Tensor, "B V"] | None = None,
    ) -> EgoTAPOutput:
        """Normalised images (`images.normalize`) to poses and heatmaps.

        rig: nothing is read of it but the views; where the cameras are has been learnt from the training data.
        present: the views there are; None: all. The images of the others have no influence on anything.

        Raises:
            UserError: the images' size, the number of views or the rig's views are not the network's.
        """
        self._check(images, rig)
        output = EgoTAPOutput()
        if isinstance(self.joint_maps, EgoRear):
            seen = self.joint_maps(images, rig, present)
            output.heatmaps_initial, output.heatmaps_refined = seen.heatmaps_initial, seen.heatmaps_refined
        elif self.joint_maps is not None:
            output.heatmaps_initial = self.joint_maps(images, present)
        if self.limb_maps is not None:
            output.limb_maps = self.limb_maps(images, present).unflatten(2, (2, -1))
        if self.lifter is not None:
            maps = output.heatmaps_initial if output.heatmaps_refined is None else output.heatmaps_refined
            lifted = self.lifter(maps, output.limb_maps, present)
            output.poses = lifted.poses_cm[:, None] / 100
            output.joint_features, output.relation_features = lifted.joint_features, lifted.relation_features
            output.propagated_features = lifted.propagated_features
        return output

    def _check(self, images: Tensor, rig: Rig | None) -> None:
        size, views = self.config.image_size, self.config.views
        if images.shape[1:] != (len(views), 3, size, size):
            raise UserError(
                f"the images are {tuple(images.shape)} but this network takes (B, {len(views)}, 3, {size}, {size})"
            )
        if rig is not None and rig.views != views:
            raise UserError(
                f"the network was given a rig with {', '.join(rig.views)} but must have one with {', '.join(views)}, "
                "in this order"
            )
