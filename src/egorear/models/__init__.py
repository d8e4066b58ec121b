"""Networks, one method a file. `MODELS` names what can be built: `config, model = MODELS[name]; model(config)`."""

from dataclasses import replace

from torch import nn

from egorear.models.egoposeformer import EgoPoseFormer, EgoPoseFormerConfig
from egorear.models.egorear import EgoRear, EgoRearConfig, EgoRearOutput
from egorear.models.heatmap_estimator import EncoderConfig
from egorear.models.lifter import LifterConfig
from egorear.models.pretrained import load_pretrained, save_pretrained
from egorear.models.refiner import RefinerConfig
from egorear.models.resnet import ResNetConfig

__all__ = [
    "MODELS",
    "EgoPoseFormer",
    "EgoPoseFormerConfig",
    "EgoRear",
    "EgoRearConfig",
    "EgoRearOutput",
    "load_pretrained",
    "save_pretrained",
]

# Small enough to be trained on a CPU (about 45 four-view frames a second on one core, in bfloat16):
# one narrow estimator and one refiner for all views, and a proposal from 2D joints.
_NANO = EgoRearConfig(
    image_size=128,
    sharing="all",
    heads="linear",
    encoder=EncoderConfig(
        backbone=ResNetConfig(widths=(32, 64, 128, 192), blocks=(1, 1, 2, 2), stem="light"),
        dim=48,
        smoothing="separable",
    ),
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

MODELS: dict[str, tuple[EgoRearConfig | EgoPoseFormerConfig, type[nn.Module]]] = {
    "egorear-base": (EgoRearConfig(), EgoRear),
    "egorear-small": (_SMALL, EgoRear),
    "egorear-nano": (_NANO, EgoRear),
    "egorear-nano-norefiner": (replace(_NANO, refiner=None), EgoRear),
    "egoposeformer": (EgoPoseFormerConfig(), EgoPoseFormer),
}
