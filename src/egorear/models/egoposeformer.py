"""EgoPoseFormer (Yang et al., ECCV 2024), the baseline: one encoder for both cameras, straight to the lifter.

It has no heatmaps at this stage (they served to train the encoder) and its poses are relative to the
pelvis: the rig's extrinsics must take pelvis-relative points to each camera.
"""

from dataclasses import dataclass, field

from jaxtyping import Bool, Float
from torch import Tensor, nn

from egorear.geometry.rig import Rig
from egorear.models.attention import only_present
from egorear.models.egorear import EgoRearOutput
from egorear.models.heatmap_estimator import Encoder, EncoderConfig
from egorear.models.lifter import Lifter, LifterConfig


@dataclass(frozen=True)
class EgoPoseFormerConfig:
    """The defaults are the published network for UnrealEgo, on the right geometry."""

    views: tuple[str, ...] = ("front_left", "front_right")
    image_size: int = 256
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    lifter: LifterConfig = field(default_factory=lambda: LifterConfig(proposal="pooled"))


class EgoPoseFormer(nn.Module):
    """The network of `config`."""

    def __init__(self, config: EgoPoseFormerConfig = EgoPoseFormerConfig()):
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder)
        self.lifter = Lifter(
            config.lifter, len(config.views), config.encoder.dim, config.image_size // 4, heatmap_joints=0
        )

    def forward(
        self, images: Float[Tensor, "B V 3 H W"], rig: Rig, present: Bool[Tensor, "B V"] | None = None
    ) -> EgoRearOutput:
        """Normalised images and the rig (with its views in the network's order) to poses in metres. present: the
        views there are; None: all."""
        features = only_present(self.encoder(images.flatten(0, 1))[0].unflatten(0, images.shape[:2]), present)
        poses_cm, _ = self.lifter(features, features, None, rig, present)
        return EgoRearOutput(poses_cm / 100, None, None, features, None)
