"""Published checkpoints of EgoTAP (Kang and Lee, CVPR 2024): joint heatmaps, limb heatmaps and lifter, a file each.

Loading is strict both ways. The release propagates along the chain of joint indices, its LSTM ablations along the
skeleton's tree: `PropagationConfig.order`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from egorear.errors import UserError
from egorear.models.egotap import EgoTAP, EgoTAPConfig
from egorear.models.egotap_lifter import TAPLifter, TAPLifterConfig
from egorear.models.heatmap_encoders import LimbEncoder
from egorear.models.official_names import renamed
from egorear.models.official_state import PublishedState, own_copies, unwrapped
from egorear.models.propagation import PropagationConfig
from egorear.models.unet import MultiViewUNet
from egorear.models.unet_official import CLASSIFIER, lost_copies, unet_name

PARTS = {"joint_heatmap": "joint_maps", "limb_heatmap": "limb_maps", "lifter": "lifter"}
"""What the three files of one network hold, and the part of `EgoTAP` that it becomes."""

CELLS = {
    "lifter": PropagationConfig(order="chain"),
    "lifter_tree": PropagationConfig(),
    "lifter_lstm": PropagationConfig("lstm_concat"),
    "lifter_lstmsplit": PropagationConfig("lstm_alternate", hidden=256),
    "lifter_lstmnorel": PropagationConfig("lstm", hidden=256),
    "lifter_none": PropagationConfig("relation"),
    "lifter_nonenorel": PropagationConfig("none"),
}
"""The lifters that the published code can train, the ablations by their published names."""


def _variants(name: str, skeleton: Literal["ego4view", "egocap"]) -> dict[str, EgoTAPConfig]:
    cap = skeleton == "egocap"
    lifter = TAPLifterConfig(root="origin" if cap else "head", published_rows=not cap)
    whole = EgoTAPConfig(skeleton=skeleton, origin="device" if cap else "pelvis", lifter=lifter)
    found = {f"{name}.{part}": replace(whole, lifter=replace(lifter, propagation=cell)) for part, cell in CELLS.items()}
    return {
        name: found[f"{name}.lifter"],
        f"{name}.joint_heatmap": replace(whole, limb_maps=None, lifter=None),
        f"{name}.limb_heatmap": replace(whole, joint_maps=None, lifter=None),
        **found,
    }


EGOTAP_VARIANTS: dict[str, EgoTAPConfig] = _variants("egotap", "ego4view") | _variants("egotap_egocap", "egocap")
"""Whole networks, and behind a dot the part that is one checkpoint (of the configuration, the others are not in it)."""

RENAMING: tuple[tuple[str, str], ...] = (
    # Regular expressions for the lifter's names, applied in this order.
    (r"^pos_heatmap_encoder\.vit\.embeddings\.mask_token$", r"encoder.mask"),
    (r"^pos_heatmap_encoder\.vit\.embeddings\.position_embeddings$", r"encoder.position"),
    (r"^pos_heatmap_encoder\.vit\.embeddings\.patch_embeddings\.projection\.", r"encoder.project."),
    (r"^pos_heatmap_encoder\.vit\.encoder\.layer\.", r"encoder.blocks."),
    (r"^pos_heatmap_encoder\.vit\.layernorm\.", r"encoder.norm."),
    (r"\.attention\.attention\.(query|key|value)\.", r".attention.\1."),
    (r"\.attention\.output\.dense\.", r".attention.output."),
    (r"\.intermediate\.dense\.", r".mlp.0."),
    (r"^(encoder\.blocks\.\d+)\.output\.dense\.", r"\1.mlp.2."),
    (r"\.layernorm_before\.", r".norm_attention."),
    (r"\.layernorm_after\.", r".norm_mlp."),
    (r"^pos_heatmap_encoder\.fc", r"encoder.per_map.fc"),
    (r"^rot_heatmap_encoder\.fc", r"limb_encoder.layers.fc"),
    *((rf"\.fc{i + 1}\.{part}\.", f".{3 * i + k}.") for i in range(3) for k, part in enumerate(("fc", "bn"))),
    (r"^skel_sequential_layer\.lstm_custom\.layers\.", r"propagation.layers."),
    (r"\.x2f\.", r".passing."),
    (r"\.x2h\.", r".input."),
    (r"\.b2h\.", r".relation."),
    (r"\.h2h\.", r".hidden."),
    (r"^skel_sequential_layer\.lstm\.(weight|bias)_ih_l(\d+)$", r"propagation.layers.\2.input.\1"),
    (r"^skel_sequential_layer\.lstm\.(weight|bias)_hh_l(\d+)$", r"propagation.layers.\2.hidden.\1"),
    (r"^pose_mlp\.pose_fcs\.0\.", r"joint_head."),
    (r"^global_mlp\.pose_fcs\.0\.", r"global_head."),
)
UNUSED = {
    "pos_heatmap_encoder.vit.embeddings.cls_token": (1, 1, 1024),
    "pos_heatmap_encoder.vit.pooler.dense.weight": (1024, 1024),
    "pos_heatmap_encoder.vit.pooler.dense.bias": (1024,),
}
"""What a checkpoint of the lifter keeps and no answer depends on, with its shapes."""


@dataclass
class OfficialMaps:
    """heatmaps: all of the left view, then all of the right; of limbs first the cosine, then the sine channels."""

    heatmaps: Float[Tensor, "B C h w"]


@dataclass
class OfficialPose:
    """What a published lifter returns, in its own rows and units.

    poses: centimetres. UnrealEgo: 16 joints in `EGO4VIEW`'s order, relative to the pelvis; EgoCap: joints 1 to 17 of
    `EGOCAP`, relative to the left camera. Features as in `Lifted`.
    """

    poses: Float[Tensor, "B J 3"]
    joint_features: Float[Tensor, "B K F"]
    relation_features: Float[Tensor, "B K R"] | None
    propagated_features: Float[Tensor, "B K P"]


class OfficialHeatmaps(nn.Module):
    """A published heatmap network behind its own interface; `network` is the same with the package's."""

    def __init__(self, network: MultiViewUNet):
        super().__init__()
        self.network = network

    def forward(self, images: Float[Tensor, "B 2 3 H W"]) -> OfficialMaps:
        """Normalised images of 256 x 256, left then right."""
        return OfficialMaps(self.network(images).flatten(1, 2))


class OfficialLifter(nn.Module):
    """A published lifter behind its own interface; `network` is the same with the package's."""

    def __init__(self, network: TAPLifter):
        super().__init__()
        self.network = network

    def forward(self, maps: Float[Tensor, "B C h w"]) -> OfficialPose:
        """Joint maps and then limb maps, each as `OfficialMaps` has them, along the channels.

        Raises:
            UserError: the number of channels or the size is not the network's.
        """
        views, joints, *size = self.network.shape
        channels = 3 * views * joints
        if maps.shape[1:] != (channels, *size):
            raise UserError(
                f"the maps are {tuple(maps.shape)} but this lifter takes (B, {channels}, {size[0]}, {size[1]}): "
                f"{views * joints} joint maps, then {2 * views * joints} limb maps"
            )
        of_joints, of_limbs = maps.split((views * joints, 2 * views * joints), dim=1)
        limbs = of_limbs.unflatten(1, (views, 2, joints)) if self.network.limb_encoder is not None else None
        lifted = self.network(of_joints.unflatten(1, (views, joints)), limbs)
        poses = lifted.poses_cm if self.network.global_head is not None else lifted.poses_cm[:, 1:]
        return OfficialPose(poses, lifted.joint_features, lifted.relation_features, lifted.propagated_features)


def egotap_from_official(state_dict: dict[str, Tensor], variant: str) -> OfficialHeatmaps | OfficialLifter:
    """The part of EgoTAP, in eval mode, that reproduces a published checkpoint.

    variant: a key of `EGOTAP_VARIANTS` with a dot.

    Raises:
        UserError: the variant is a whole network, the checkpoint is not this part's, or a tensor is not finite.
    """
    if "." not in variant:
        parts = ", ".join(f"'{variant}.{part}'" for part in PARTS)
        raise UserError(f"the published '{variant}' is three checkpoints, {parts}: take one at a time")
    network, given = _empty(variant), _renamed(state_dict, variant)
    if problem := _difference(network, given):
        others = " or ".join(f"'{name}'" for name in guess_parts(state_dict))
        hint = f"it is {others}, for " if others else ""
        raise UserError(f"the checkpoint is not the published network '{variant}': {hint}{problem}")
    if isinstance(network, MultiViewUNet) and (lost := lost_copies(given)):
        raise UserError(f"the checkpoint is not the published network '{variant}': it has '{lost[0]}' once, not twice")
    network.load_state_dict(own_copies(given.finite(network.state_dict())), assign=True)
    wrapped = OfficialLifter(network) if isinstance(network, TAPLifter) else OfficialHeatmaps(network)
    return wrapped.eval()


def guess_parts(state_dict: dict[str, Tensor]) -> list[str]:
    """The variants with these names and shapes; `.lifter` and `.lifter_tree` cannot be told apart."""
    parts = [name for name in EGOTAP_VARIANTS if "." in name]
    return [name for name in parts if not _difference(_empty(name), _renamed(state_dict, name))]


def assemble(variant: str, parts: dict[str, MultiViewUNet | TAPLifter]) -> EgoTAP:
    """One network of the three published parts, named as in `PARTS`; in eval mode."""
    with torch.device("meta"):
        whole = EgoTAP(EGOTAP_VARIANTS[variant])
    for part, attribute in PARTS.items():
        setattr(whole, attribute, parts[part])
    return whole.eval()


def lifter_name(published: str) -> str:
    """What we call a tensor of a published lifter."""
    return renamed(unwrapped(published), RENAMING)


def _relayout(name: str, tensor: Tensor, of_unit: bool) -> Tensor:
    if name == "encoder.mask" and tensor.shape[:-1] == (1, 1):
        return tensor[0, 0]
    if name == "encoder.project.weight" and tensor.shape[1:] == (1, 16, 16):
        return tensor.flatten(1)  # a convolution that never overlaps is a linear layer per patch
    if name == "encoder.position" and tensor.shape[:-1] == (1, 24**2):
        # Published for the whole image of 24 x 24 patches row by row, ours for each cell of 4 x 4 patches.
        return tensor[0].unflatten(0, (6, 4, 6, 4)).transpose(1, 2).flatten(2, 3).flatten(0, 1)
    if of_unit and name.split(".")[-2] in ("input", "relation", "hidden"):
        forget, into, *others = tensor.chunk(4)  # PyTorch's order begins with the input gate
        return torch.cat((into, forget, *others))
    return tensor


def _empty(variant: str) -> MultiViewUNet | TAPLifter:
    """The network without memory behind its parameters, so that none is initialised in vain."""
    part = variant.partition(".")[2]
    with torch.device("meta"):
        return getattr(EgoTAP(EGOTAP_VARIANTS[variant]), PARTS.get(part, "lifter"))


def _renamed(state_dict: Mapping[str, Tensor], variant: str) -> PublishedState:
    if EGOTAP_VARIANTS[variant].lifter is None:
        return PublishedState(state_dict, unet_name)
    of_unit = any("lstm_custom" in name for name in state_dict)
    return PublishedState(state_dict, lifter_name, partial(_relayout, of_unit=of_unit))


def _difference(network: MultiViewUNet | TAPLifter, given: PublishedState) -> str:
    """What keeps `given` from being all that this network's published checkpoint holds, what nobody reads included."""
    expected = network.state_dict()
    with torch.device("meta"):
        unread = UNUSED if isinstance(network, TAPLifter) else CLASSIFIER
        expected |= {name: torch.empty(shape) for name, shape in unread.items()}
        if isinstance(network, TAPLifter) and network.limb_encoder is None:  # ablations keep it and do not use it
            config = network.config
            limbs = LimbEncoder(config.limb_hidden, config.encoder.features, network.shape[-1])
            expected |= limbs.state_dict(prefix="limb_encoder.")
    return given.difference(expected)
