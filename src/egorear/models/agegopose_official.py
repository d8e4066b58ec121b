"""Published checkpoints of AG-EgoPose (Azam, Quarles and Desai), and ActionFormer's, from which its training starts.

The release keeps the heatmap network and three modules of the pose network in a file each; its code differs from the
paper: motion is read by a pyramid (`MotionEncoderConfig.form`), of as many levels as the window can be halved.
Loading is strict both ways, but for what the files hold and no answer depends on (`UNUSED`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from egorear.errors import UserError
from egorear.models.agegopose import AGEgoPose, AGEgoPoseConfig
from egorear.models.motion_encoder import PUBLISHED_LEVELS, MotionEncoder, MotionEncoderConfig
from egorear.models.official_names import renamed
from egorear.models.official_state import PublishedState, own_copies, unwrapped
from egorear.models.unet_official import unet_name

LEVELS = {32: 5, 64: 6, 128: 7}
"""Of the published pyramid, by the frames of its window: as often as they can be halved."""


def published_config(window: int) -> AGEgoPoseConfig:
    """The network of the released code for windows of 32, 64 or 128 frames."""
    return AGEgoPoseConfig(window=window, motion=MotionEncoderConfig(form="pyramid", local=2, whole=LEVELS[window] - 2))


AGEGOPOSE_VARIANTS: dict[str, AGEgoPoseConfig] = {
    "agegopose": published_config(32),
    "agegopose.heatmap": AGEgoPoseConfig(window=32, static=None, embedding=None, motion=None, decoder=None),
}
"""The whole network, as released for 32 frames, and its heatmap network, the first file."""

FILES = {
    "heatmap": ("heatmap_net.",),
    "pose": ("static.", "motion.", "embedding.", "decoder."),
    "encoder": ("static.", "motion."),
    "embedding": ("embedding.",),
    "decoder": ("decoder.",),
}
"""What a file can be, and which of our parameters it holds."""
WITH_MOTION = ("pose", "encoder")
WHOLE = (("heatmap", "pose"), ("heatmap", "encoder", "embedding", "decoder"))
"""Files that together are the whole network: the pose network's modules under prefixes in one file, or as released."""

PREFIXES = {
    "heatmap": "",
    "pose": "",
    "encoder": "encoder.",
    "embedding": "heatmap_embedding.",
    "decoder": "pose_decoder.",
}
"""What a file's names lack of the whole network's."""
BLOCK: tuple[tuple[str, str], ...] = (
    # Regular expressions for what follows the number of an ActionFormer block.
    (r"^(.*blocks\.\d+)\.ln1\.", r"\1.norm_attention."),
    (r"^(.*blocks\.\d+)\.attn\.(query|key|value)_conv\.conv\.", r"\1.attention.\2.conv."),
    (r"^(.*blocks\.\d+)\.attn\.(query|key|value)_norm\.", r"\1.attention.\2.norm."),
    (r"^(.*blocks\.\d+)\.attn\.(query|key|value)\.", r"\1.attention.\2.linear."),
    (r"^(.*blocks\.\d+)\.attn\.proj\.", r"\1.attention.output."),
    (r"^(.*blocks\.\d+)\.drop_path_attn\.", r"\1.residual_attention."),
    (r"^(.*blocks\.\d+)\.ln2\.", r"\1.norm_mlp."),
    (r"^(.*blocks\.\d+)\.drop_path_mlp\.", r"\1.residual_mlp."),
)
RENAMING: tuple[tuple[str, str], ...] = (
    (r"^encoder\.resnet\.0\.", r"static.backbone.conv1."),
    (r"^encoder\.resnet\.1\.", r"static.backbone.bn1."),
    *((rf"^encoder\.resnet\.{i + 3}\.", rf"static.backbone.layer{i}.") for i in range(1, 5)),
    (r"^encoder\.linear\.", r"static.project."),
    (r"^encoder\.bn\.", r"static.norm."),
    (r"^encoder\.actionformer_model\.model\.backbone\.branch\.(\d+)\.", r"motion.blocks.\1."),
    *BLOCK,
    (r"^encoder\.actionformer_model\.channel_projector\.", r"motion.projector."),
    (r"^heatmap_embedding\.conv_layers\.", r"embedding.convs."),
    (r"^heatmap_embedding\.proj\.", r"embedding.project."),
    (r"^heatmap_embedding\.layer_norm\.", r"embedding.norm."),
    (r"^pose_decoder\.joint_queries$", r"decoder.queries"),
    (r"^pose_decoder\.motion_proj\.", r"decoder.motion."),
    (r"^pose_decoder\.memory_proj\.", r"decoder.memory."),
    (r"^pose_decoder\.decoder\.", r"decoder.decoder."),
    (r"^pose_decoder\.pose_head\.", r"decoder.head."),
)
ACTIONFORMER = "encoder.actionformer_model.model."
PROJECTOR = "encoder.actionformer_model.channel_projector.weight"
STEM_BLOCKS = 2  # of ActionFormer, in front of its branch
UNUSED_OF_ACTIONFORMER = ("backbone.embd.", "backbone.embd_norm.", "neck.", "cls_head.", "reg_head.")
UNUSED = (
    *("backbone.backbone.backbone.fc.", "after_backbone.layer0_1x1.", "after_backbone.conv_up0."),
    *(ACTIONFORMER + name for name in (*UNUSED_OF_ACTIONFORMER, "backbone.stem.")),
    *("encoder.actionformer_model.spatial_backbone.", "encoder.actionformer_model.spatial_proj."),
    "spatial_joint_transformer.",
)
"""How the names begin of what the published files hold and nobody calls, or whose result is thrown away."""


@dataclass
class OfficialFrameMaps:
    """heatmaps: logits; a sigmoid makes heatmaps of them."""

    heatmaps: Float[Tensor, "B T K h w"]


@dataclass
class OfficialMotionPose:
    """What the published network returns: metres, the camera's frame, joints of `EGOPW`; F_m; H_e."""

    poses: Float[Tensor, "B T J 3"]
    motion_features: Float[Tensor, "B T C"]
    joint_features: Float[Tensor, "B T K E"]


class OfficialFrameHeatmaps(nn.Module):
    """The published heatmap network behind its own interface; `network` is the same with the package's."""

    def __init__(self, network: AGEgoPose):
        super().__init__()
        self.network = network

    def forward(self, frames: Float[Tensor, "B T 3 H W"]) -> OfficialFrameMaps:
        """Normalised frames of 256 x 256."""
        logits = self.network.features(frames.flatten(0, 1)).heatmap_logits
        assert logits is not None
        return OfficialFrameMaps(logits.unflatten(0, frames.shape[:2]))


class OfficialAGEgoPose(nn.Module):
    """The published network behind its own interface; `network` is the same with the package's."""

    def __init__(self, network: AGEgoPose):
        super().__init__()
        self.network = network

    def forward(self, frames: Float[Tensor, "B T 3 H W"]) -> OfficialMotionPose:
        """Normalised frames of 256 x 256, as many as the network's window.

        Raises:
            UserError: the size or the number of frames does not suit the network.
        """
        out = self.network(frames)
        return OfficialMotionPose(out.poses, out.motion_features, out.joint_features)

    def lift(self, static_features: Float[Tensor, "B T C"], heatmaps: Float[Tensor, "B T K h w"]) -> OfficialMotionPose:
        """The same from F_s and from heatmaps (after the sigmoid).

        Raises:
            UserError: the widths, the number of joints or the number of frames are not the network's.
        """
        motion, embedding, joints = self.network.motion, self.network.embedding, len(self.network.config.heatmap_joints)
        assert motion is not None
        assert embedding is not None
        width, frames = motion.config.width, static_features.shape[:2]
        if static_features.shape[-1] != width or heatmaps.shape[:3] != (*frames, joints):
            raise UserError(
                f"the static features are {tuple(static_features.shape)} and the heatmaps {tuple(heatmaps.shape)} but "
                f"must be (B, T, {width}) and (B, T, {joints}, h, w)"
            )
        motion_features, joint_features = motion(static_features), embedding(heatmaps)
        return OfficialMotionPose(self.network.decode(joint_features, motion_features), motion_features, joint_features)


def agegopose_from_official(states: Mapping[str, Mapping[str, Tensor]]) -> OfficialAGEgoPose:
    """The network, in eval mode, that reproduces published checkpoints.

    states: by what they are, as one of `WHOLE` names them. The window is read off the shape of the motion's projector.

    Raises:
        UserError: a checkpoint is missing or something else, or a tensor missing, unexpected, of another shape, or not
            finite.
    """
    if not any(set(states) == set(names) for names in WHOLE):
        needed = " or ".join("{" + ", ".join(f"'{name}'" for name in names) + "}" for names in WHOLE)
        raise UserError(
            f"the published 'agegopose' is several checkpoints: give a dictionary of them by name, {needed}"
        )
    network = _empty(published_config(next(_window(states[name], name) for name in WITH_MOTION if name in states)))
    ours = {name: tensor for kind, state in states.items() for name, tensor in our_names(state, kind).items()}
    network.load_state_dict(own_copies(ours), assign=True)
    return OfficialAGEgoPose(network).eval()


def agegopose_heatmaps_from_official(state: Mapping[str, Tensor]) -> OfficialFrameHeatmaps:
    """The heatmap network, in eval mode, that reproduces its published checkpoint.

    Raises:
        UserError: it is another one, or a tensor is missing, unexpected, of another shape, or not finite.
    """
    network = _empty(AGEGOPOSE_VARIANTS["agegopose.heatmap"])
    network.load_state_dict(own_copies(our_names(state, "heatmap")), assign=True)
    return OfficialFrameHeatmaps(network).eval()


def our_names(state: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """The tensors of one published file under our names and in our layouts, shared with the input where possible.

    kind: a key of `FILES`.

    Raises:
        UserError: a tensor is missing, unexpected, of another shape, or not finite.
    """
    given, problem = _compared(state, kind)
    if problem:
        raise UserError(f"the checkpoint is not the published '{kind}' of AG-EgoPose: {problem}")
    return given.finite(given.tensors)


def guess_agegopose(state: Mapping[str, Tensor]) -> list[str]:
    """The variants of which a file has these names and shapes."""
    found = []
    for kind in FILES:
        try:
            _, problem = _compared(state, kind)
        except UserError:
            continue
        if not problem:
            found.append("agegopose.heatmap" if kind == "heatmap" else "agegopose")
    return found


def is_actionformer(state: Mapping[str, Tensor]) -> bool:
    """Whether there is a name that only checkpoints of ActionFormer have."""
    return any(unwrapped(name).startswith("backbone.branch.") for name in state)


def actionformer(state: Mapping[str, Tensor]) -> AGEgoPose:
    """The motion encoder of the paper's form by itself, begun by `load_actionformer`; in eval mode. A folder that
    `save_pretrained` makes of it starts the `motion` of a training (`init_from`).

    Raises:
        UserError: as of `load_actionformer`.
    """
    config = AGEgoPoseConfig(heatmap_net=None, static=None, embedding=None, decoder=None)
    network = AGEgoPose(config).eval()
    assert network.motion is not None
    load_actionformer(network.motion, state)
    return network


def load_actionformer(encoder: MotionEncoder, state: Mapping[str, Tensor]) -> None:
    """Starts the encoder's blocks from an official ActionFormer checkpoint: the one for Ego4D (EgoVLP features).

    state: its `state_dict`. A pyramid takes the blocks of the branch, as the published network does, and keeps its own
    projector, which no checkpoint of ActionFormer has. The paper's form, local blocks before those that see all, takes
    the two of the stem and then the branch, whose first two are local as well: the same 4 + 4 blocks.

    Raises:
        UserError: a tensor of the blocks is missing, unexpected, of another shape, or not finite, or there are too few
            blocks.
    """
    first = STEM_BLOCKS if encoder.config.form == "paper" else 0

    def our_name(published: str) -> str | None:
        name = unwrapped(published)
        block = re.match(r"backbone\.(stem|branch)\.(\d+)\.", name)
        if block is None:
            return None if name.startswith(UNUSED_OF_ACTIONFORMER) else name
        number = int(block[2]) + (first if block[1] == "branch" else first - STEM_BLOCKS)
        if number < 0 or len(encoder.blocks) <= number < first + PUBLISHED_LEVELS:
            return None
        return renamed(f"blocks.{number}.{name.removeprefix(block[0])}", BLOCK)

    own, given = encoder.state_dict(), PublishedState(state, our_name, _relaid)
    if problem := given.difference({name: t for name, t in own.items() if name.startswith("blocks.")}):
        raise UserError(f"the checkpoint is not ActionFormer's for this motion encoder: {problem}")
    encoder.load_state_dict(own | own_copies(given.finite(given.tensors)))


def _compared(state: Mapping[str, Tensor], kind: str) -> tuple[PublishedState, str]:
    """A published file, and what keeps it from being of this kind: nothing if it is empty.

    Raises:
        UserError: of a kind with a motion encoder it does not tell the window.
    """
    window = _window(state, kind) if kind in WITH_MOTION else min(LEVELS)
    # Blocks that windows of this length leave no frames for are left out.
    idle = tuple(f"motion.blocks.{i}." for i in range(LEVELS[window], PUBLISHED_LEVELS))

    def our_name(published: str) -> str | None:
        name = PREFIXES[kind] + unwrapped(published)
        if name.startswith(UNUSED):
            return None
        ours = f"heatmap_net.{unet_name(name)}" if kind == "heatmap" else renamed(name, RENAMING)
        return None if ours.startswith(idle) else ours

    given = PublishedState(state, our_name, _relaid)
    expected = _empty(published_config(window)).state_dict()
    return given, given.difference({name: t for name, t in expected.items() if name.startswith(FILES[kind])})


def _relaid(_: str, tensor: Tensor) -> Tensor:
    """The weight of a linear layer from a convolution of one frame; a vector from (1, C, 1)."""
    if tensor.ndim == 3 and tensor.shape[-1] == 1:
        return tensor[0, :, 0] if len(tensor) == 1 else tensor[..., 0]
    return tensor


def _window(state: Mapping[str, Tensor], kind: str) -> int:
    """The frames that the projector of a "pose" or "encoder" file is made for."""
    names = {PREFIXES[kind] + unwrapped(name): name for name in state}
    if PROJECTOR not in names:
        projector = PROJECTOR.removeprefix(PREFIXES[kind])
        raise UserError(f"the checkpoint is not the published '{kind}' of AG-EgoPose: it has no '{projector}'")
    shape, width = tuple(state[names[PROJECTOR]].shape), MotionEncoderConfig().width
    for window, levels in LEVELS.items():
        if shape == (width, levels * width, 1):
            return window
    fitting = " or ".join(f"{(width, levels * width, 1)} ({window} frames)" for window, levels in LEVELS.items())
    raise UserError(f"'{names[PROJECTOR]}' has shape {shape} but must have {fitting}")


def _empty(config: AGEgoPoseConfig) -> AGEgoPose:
    """The network without memory behind its parameters, so that none is initialised in vain."""
    with torch.device("meta"):
        return AGEgoPose(config)
