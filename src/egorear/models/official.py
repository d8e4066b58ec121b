"""Published checkpoints of every method: their variants, and the import of their weights.

The renaming to our parameter names is a table in `official_names.py`; loading is strict both ways. EgoTAP's stand in
`egotap_official.py`, AG-EgoPose's in `agegopose_official.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from egorear.errors import UserError
from egorear.geometry.rig import Rig, ego4view_rw, ego4view_syn, unrealego
from egorear.models.agegopose import AGEgoPoseConfig
from egorear.models.agegopose_official import (
    AGEGOPOSE_VARIANTS,
    OfficialAGEgoPose,
    OfficialFrameHeatmaps,
    agegopose_from_official,
    agegopose_heatmaps_from_official,
    guess_agegopose,
)
from egorear.models.egoposeformer import EgoPoseFormer, EgoPoseFormerConfig
from egorear.models.egorear import VIEWS, EgoRear, EgoRearConfig
from egorear.models.egotap import EgoTAPConfig
from egorear.models.egotap_official import (
    EGOTAP_VARIANTS,
    OfficialHeatmaps,
    OfficialLifter,
    egotap_from_official,
    guess_parts,
)
from egorear.models.lifter import LifterConfig
from egorear.models.official_names import to_our_names
from egorear.models.official_state import PublishedState, own_copies
from egorear.models.refiner import RefinerConfig

EGO4VIEW_SIZE, UNREALEGO_SIZE = 872, 1024
FRONT = VIEWS[:2]


def _refiner(**changes: Any) -> RefinerConfig:
    return RefinerConfig(pixel_center=0.0, **changes)


def _lifter(size: int, **changes: Any) -> LifterConfig:
    """As published: calibrated pixels divided by the image's size, every angle in view."""
    return LifterConfig(anchor_shift=-0.5 / size, lens_limit=False, **changes)


_SYN = _lifter(EGO4VIEW_SIZE, syn_anchor_defect=True)
_RW = _lifter(EGO4VIEW_SIZE)

_SINGLE: dict[str, EgoRearConfig | EgoPoseFormerConfig] = {
    "syn4": EgoRearConfig(refiner=_refiner(), lifter=_SYN),
    "rw4": EgoRearConfig(refiner=_refiner(), lifter=_RW),
    "syn2": EgoRearConfig(views=FRONT, refiner=_refiner(), lifter=_SYN),
    "rw2": EgoRearConfig(views=FRONT, refiner=_refiner(), lifter=_RW),
    "refiner": EgoRearConfig(refiner=_refiner(), lifter=None),
    "refiner_dense_attention": EgoRearConfig(refiner=_refiner(cross="dense"), lifter=None),
    "refiner_no_uncertainty": EgoRearConfig(refiner=_refiner(cross="unmasked"), lifter=None),
    "refiner_query_only": EgoRearConfig(refiner=_refiner(query="plain"), lifter=None),
    "refiner_heatmap_query": EgoRearConfig(refiner=_refiner(query="heatmap"), lifter=None),
    "refiner_two_layers": EgoRearConfig(refiner=_refiner(layers=2), lifter=None),
    "heatmap2": EgoRearConfig(views=FRONT, sharing="all", heads="linear", refiner=None, lifter=None),
    "egoposeformer": EgoPoseFormerConfig(lifter=_lifter(UNREALEGO_SIZE, proposal="pooled")),
}
VARIANTS: dict[str, EgoRearConfig | EgoPoseFormerConfig | EgoTAPConfig | AGEgoPoseConfig] = {
    **_SINGLE,
    **EGOTAP_VARIANTS,
    **AGEGOPOSE_VARIANTS,
}
"""Every published network by its name; of a network that is several checkpoints, one of these has a dot in its name."""


@dataclass
class OfficialOutput:
    """What a published network returns; None where the variant has no such part.

    poses: centimetres (the published unit), the proposal first, the last is the answer.
    """

    poses: Float[Tensor, "B L J 3"] | None
    heatmaps_initial: Float[Tensor, "B V K h w"] | None
    heatmaps_refined: Float[Tensor, "B V K h w"] | None
    features_refined: Float[Tensor, "B V C h w"] | None


class OfficialNetwork(nn.Module):
    """A published network behind its own interface: centimetres out, and the rig it was trained with inside.

    `network` is the same model with the package's interface (a rig in, metres out).
    """

    def __init__(self, network: EgoRear | EgoPoseFormer, rig: Rig | None, fixed_extrinsics: bool):
        super().__init__()
        self.network, self.rig, self.fixed_extrinsics = network, rig, fixed_extrinsics

    def forward(
        self, images: Float[Tensor, "B V 3 H W"], device_to_camera: Float[Tensor, "B V 4 4"] | None = None
    ) -> OfficialOutput:
        """Normalised images of 256 x 256; device_to_camera in metres.

        Ego4View-RW needs device_to_camera, EgoPoseFormer takes pelvis offsets as translations; a network
        without 3D ignores it.

        Raises:
            UserError: device_to_camera is missing, or given to an Ego4View-Syn network, whose rig is fixed.
        """
        rig = self.rig
        if rig is not None:
            if self.fixed_extrinsics != (device_to_camera is None):
                need = "has a fixed rig and takes no" if self.fixed_extrinsics else "needs each sample's"
                raise UserError(f"this published network {need} device_to_camera matrices")
            extrinsics = rig.T_camera_device if device_to_camera is None else device_to_camera
            rig = replace(rig, T_camera_device=extrinsics.to(images))
        out = self.network(images, rig)
        poses = None if out.poses is None else out.poses * 100
        return OfficialOutput(poses, out.heatmaps_initial, out.heatmaps_refined, out.features_refined)


def from_official(
    state_dict: dict[str, Tensor] | dict[str, dict[str, Tensor]], variant: str
) -> OfficialNetwork | OfficialHeatmaps | OfficialLifter | OfficialAGEgoPose | OfficialFrameHeatmaps:
    """The network, in eval mode, that reproduces a published checkpoint.

    state_dict: tensors under their published names, with or without Lightning's and torch.compile's prefixes; of
    "agegopose" several such dictionaries, {"heatmap": ..., "pose": ...} (`agegopose_official.WHOLE`).
    variant: a key of `VARIANTS`, in any case.

    Raises:
        UserError: no such variant, or a tensor is missing, unexpected, of another shape, or not finite.
    """
    variant = variant.lower()
    if variant not in VARIANTS:
        raise UserError(f"there is no published variant '{variant}', only {', '.join(VARIANTS)}")
    tensors = {name: value for name, value in state_dict.items() if isinstance(value, Tensor)}
    if variant == "agegopose":
        return agegopose_from_official({name: part for name, part in state_dict.items() if isinstance(part, dict)})
    if len(tensors) < len(state_dict):
        raise UserError(f"'{variant}' is one checkpoint: give its tensors by name, not several dictionaries of them")
    if variant == "agegopose.heatmap":
        return agegopose_heatmaps_from_official(tensors)
    if variant in EGOTAP_VARIANTS:
        return egotap_from_official(tensors, variant)
    network = _empty(_SINGLE[variant])
    given = _translate(tensors, _SINGLE[variant])
    if problem := given.difference(network.state_dict()):
        raise UserError(f"the checkpoint is not the published network '{variant}': {problem}")
    network.load_state_dict(own_copies(given.finite(network.state_dict())), assign=True)
    rig, fixed = None, False
    if variant == "egoposeformer":
        rig = unrealego()
    elif network.lifter is not None:
        fixed = variant.startswith("syn")
        rig = (ego4view_syn() if fixed else ego4view_rw()).select(network.config.views)
    return OfficialNetwork(network, rig, fixed).eval()


def guess_variants(state_dict: dict[str, Tensor]) -> list[str]:
    """The variants whose tensors have these names and shapes; several where shapes cannot tell them apart."""
    fitting = []
    for name, config in _SINGLE.items():
        if not _translate(state_dict, config).difference(_empty(config).state_dict()):
            fitting.append(name)
    return fitting or guess_parts(state_dict) or guess_agegopose(state_dict)


def _empty(config: EgoRearConfig | EgoPoseFormerConfig) -> EgoRear | EgoPoseFormer:
    """The network without memory behind its parameters, so that none is initialised in vain."""
    with torch.device("meta"):
        return EgoRear(config) if isinstance(config, EgoRearConfig) else EgoPoseFormer(config)


def _translate(state_dict: Mapping[str, Tensor], config: EgoRearConfig | EgoPoseFormerConfig) -> PublishedState:
    """Our names and layouts."""
    root = "estimators.all." if isinstance(config, EgoPoseFormerConfig) else ""
    return to_our_names(state_dict, config.image_size // 4, root)
