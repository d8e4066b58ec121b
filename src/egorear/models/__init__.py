"""Networks, one method a file. `MODELS` names what can be built: `config, model = MODELS[name]; model(config)`."""

from dataclasses import replace

from torch import nn

from egorear.models.agegopose import AGEgoPose, AGEgoPoseConfig, AGEgoPoseOutput
from egorear.models.egoposeformer import EgoPoseFormer, EgoPoseFormerConfig
from egorear.models.egorear import EgoRear, EgoRearConfig, EgoRearOutput
from egorear.models.egotap import EgoTAP, EgoTAPConfig, EgoTAPOutput
from egorear.models.egotap_lifter import TAPLifterConfig
from egorear.models.heatmap_encoders import MapEncoderConfig
from egorear.models.heatmap_estimator import EncoderConfig
from egorear.models.joint_embedding import JointEmbeddingConfig
from egorear.models.lifter import LifterConfig
from egorear.models.motion_encoder import MotionEncoderConfig
from egorear.models.pose_decoder import PoseDecoderConfig
from egorear.models.pretrained import load_pretrained, save_pretrained
from egorear.models.propagation import PropagationConfig
from egorear.models.refiner import RefinerConfig
from egorear.models.resnet import ResNetConfig
from egorear.models.unet import UNetConfig

__all__ = [
    "MODELS",
    "AGEgoPose",
    "AGEgoPoseConfig",
    "AGEgoPoseOutput",
    "EgoPoseFormer",
    "EgoPoseFormerConfig",
    "EgoRear",
    "EgoRearConfig",
    "EgoRearOutput",
    "EgoTAP",
    "EgoTAPConfig",
    "EgoTAPOutput",
    "load_pretrained",
    "save_pretrained",
]

_NANO_BACKBONE = ResNetConfig(widths=(32, 64, 128, 192), blocks=(1, 1, 2, 2), stem="light")

# Small enough to be trained on a CPU (about 45 four-view frames a second on one core, in bfloat16):
# one narrow estimator and one refiner for all views, and a proposal from 2D joints.
_NANO = EgoRearConfig(
    image_size=128,
    sharing="all",
    heads="linear",
    encoder=EncoderConfig(backbone=_NANO_BACKBONE, dim=48, smoothing="separable"),
    refiner=RefinerConfig(embed=64, points=4, ffn_dim=128, own_widths=(32, 48)),
    lifter=LifterConfig(proposal="compact", embed=64, points=4, ffn_dim=128, unit_cm=20.0),
    confidence=True,
)

# For a GPU at hand: the four views at full resolution for a quarter of the paper's multiplications, 22 MB in half
# precision. As nano, one estimator and one refiner for all views, so that each learns from every camera.
_SMALL = EgoRearConfig(
    sharing="all",
    heads="linear",
    encoder=EncoderConfig(
        backbone=ResNetConfig(widths=(48, 96, 192, 384), stem="light"), dim=96, smoothing="separable"
    ),
    refiner=RefinerConfig(embed=144, points=8, ffn_dim=288, own_widths=(96, 128)),
    lifter=LifterConfig(proposal="compact", points=8, ffn_dim=256, unit_cm=20.0),
    confidence=True,
)

# EgoTAP for a CPU, with the backbone of nano: heatmaps of 32x32, patches of 16x16 as in the paper, an eighth of its
# transformer's width.
_TAP_NANO_UNET = UNetConfig(backbone=_NANO_BACKBONE, skips=(32, 48, 64, 96), widths=(32, 48, 64))
_TAP_NANO = EgoTAPConfig(
    image_size=128,
    joint_maps=_TAP_NANO_UNET,
    limb_maps=_TAP_NANO_UNET,
    lifter=TAPLifterConfig(
        encoder=MapEncoderConfig(patches=2, width=128, heads=4, mlp=256, hidden=(192, 96), features=48),
        limb_hidden=(192, 96),
        propagation=PropagationConfig(hidden=96),
        unit_cm=20.0,
    ),
)

# AG-EgoPose for a CPU, with the backbone of nano twice: one for heatmaps of 32x32, one for motion. Its joint tokens
# tell whose they are.
_AG_NANO = AGEgoPoseConfig(
    image_size=128,
    window=32,
    heatmap_net=_NANO_BACKBONE,
    static=_NANO_BACKBONE,
    embedding=JointEmbeddingConfig(widths=(8, 16, 32), dim=64, identity=True),
    motion=MotionEncoderConfig(width=128, mlp=256, local=2, whole=2),
    decoder=PoseDecoderConfig(dim=64, mlp=128, head=(64, 32)),
)

MODELS: dict[str, tuple[EgoRearConfig | EgoPoseFormerConfig | EgoTAPConfig | AGEgoPoseConfig, type[nn.Module]]] = {
    "egorear-base": (EgoRearConfig(), EgoRear),
    "egorear-small": (_SMALL, EgoRear),
    "egorear-nano": (_NANO, EgoRear),
    "egorear-nano-norefiner": (replace(_NANO, refiner=None), EgoRear),
    "egoposeformer": (EgoPoseFormerConfig(), EgoPoseFormer),
    "egotap": (EgoTAPConfig(), EgoTAP),
    "egotap-nano": (_TAP_NANO, EgoTAP),
    "agegopose": (AGEgoPoseConfig(), AGEgoPose),
    "agegopose-nano": (_AG_NANO, AGEgoPose),
}
