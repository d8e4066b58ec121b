"""AG-EgoPose (Azam, Quarles and Desai): pose from a video of one fisheye camera, guided by how the wearer moves.

Each frame → joint heatmaps → tokens H_e (embedding), and → one vector F_s (static encoder); over time F_s → F_m
(motion encoder, ActionFormer's blocks); H_e and F_m of a frame → its pose (decoder). `features` is all work on images
and done once per frame; `lift` is cheap and looks along time, so that streams and windows share it.
"""

from dataclasses import dataclass, field
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from egorear.errors import UserError
from egorear.geometry.skeleton import SKELETONS, Skeleton
from egorear.models.heatmap_fpn import STRIDE, HeatmapFPN
from egorear.models.joint_embedding import JointEmbedding, JointEmbeddingConfig
from egorear.models.motion_encoder import MotionEncoder, MotionEncoderConfig
from egorear.models.pose_decoder import PoseDecoder, PoseDecoderConfig
from egorear.models.resnet import RESNET50, ResNetConfig
from egorear.models.static_encoder import StaticEncoder


@dataclass(frozen=True)
class AGEgoPoseConfig:
    """What to build; the defaults are the paper's network, its motion encoder in the paper's form.

    views: the name of the one camera. image_size: height and width of the input, a multiple of 32.
    window: T, frames that are trained, timed and tracked together; no part has parameters that depend on it, except
    the published form of the motion encoder.
    skeleton: whose joints the poses have. heatmap_net: the backbone of the heatmap network. static: that of the static
    encoder, which is as wide as `motion`.
    None leaves a part out, for the ablations: static and motion (Table 4, "spatial only"); embedding, and with it
    perhaps heatmap_net ("motion only"); all but heatmap_net (the stage that trains the heatmaps). What is then read
    by nobody must be left out too. `motion` may also stand alone: a folder of weights from which others start
    (ActionFormer's).

    Raises:
        UserError: a size is impossible, or a part misses another one that it reads, or is read by none.
    """

    views: tuple[str, ...] = ("front",)
    image_size: int = 256
    window: int = 64
    skeleton: Literal["ego4view", "egopw"] = "egopw"
    heatmap_net: ResNetConfig | None = field(default_factory=ResNetConfig)
    static: ResNetConfig | None = RESNET50
    embedding: JointEmbeddingConfig | None = field(default_factory=JointEmbeddingConfig)
    motion: MotionEncoderConfig | None = field(default_factory=MotionEncoderConfig)
    decoder: PoseDecoderConfig | None = field(default_factory=PoseDecoderConfig)

    def __post_init__(self) -> None:
        if self.image_size <= 0 or self.image_size % STRIDE:
            raise UserError(f"'image_size' is {self.image_size} but must be a positive multiple of {STRIDE}")
        if len(self.views) != 1:
            raise UserError(f"'views' is {self.views} but must name one camera")
        if self.window < 1:
            raise UserError(f"'window' is {self.window} but must be 1 or more frames")
        if self.motion is not None and all(
            part is None for part in (self.heatmap_net, self.static, self.embedding, self.decoder)
        ):
            return
        if (self.static is None) != (self.motion is None):
            given, missing = ("static", "motion") if self.motion is None else ("motion", "static")
            raise UserError(f"'{given}' is of no use without '{missing}': give both or leave both out")
        if self.embedding is not None and self.heatmap_net is None:
            raise UserError("'embedding' reads heatmaps: give 'heatmap_net'")
        if self.decoder is None:
            self._check_heatmaps_alone()
        elif self.embedding is None and self.motion is None:
            raise UserError("'decoder' reads joint features or motion features: give 'embedding' or 'motion'")
        elif self.embedding is not None and not self.decoder.attention and len(self.heatmap_joints) != len(self.joints):
            raise UserError(
                f"'decoder.attention' is false, so every joint needs a heatmap, but of '{self.skeleton}' only "
                f"{len(self.heatmap_joints)} of {len(self.joints)} have one"
            )

    @property
    def joints(self) -> Skeleton:
        """Whose joints the poses have."""
        return SKELETONS[self.skeleton]

    @property
    def heatmap_joints(self) -> tuple[int, ...]:
        """Indices into `joints` of those that have heatmaps: all, but not the head of "ego4view"."""
        return self.joints.heatmaps

    def _check_heatmaps_alone(self) -> None:
        if self.heatmap_net is None:
            raise UserError("'heatmap_net' and 'decoder' are both left out: the network would give nothing")
        for name in ("embedding", "motion"):
            if getattr(self, name) is not None:
                raise UserError(f"'{name}' is read by 'decoder' alone: give that or leave both out")


@dataclass
class FrameFeatures:
    """What the images of some frames give, each by itself; None where the configuration has no such part.

    heatmap_logits: also None where nobody kept them; `lift` only hands them on. joint_features: H_e, a token per
    joint with a heatmap. static_features: F_s.
    """

    heatmap_logits: Float[Tensor, "*N K h w"] | None = None
    joint_features: Float[Tensor, "*N K E"] | None = None
    static_features: Float[Tensor, "*N C"] | None = None


@dataclass
class AGEgoPoseOutput:
    """What the network made of windows of frames; None where its configuration has no such part.

    poses: metres, the camera's frame. The rest as in `FrameFeatures`; motion_features: F_m.
    """

    poses: Float[Tensor, "B T J 3"] | None = None
    heatmap_logits: Float[Tensor, "B T K h w"] | None = None
    joint_features: Float[Tensor, "B T K E"] | None = None
    static_features: Float[Tensor, "B T C"] | None = None
    motion_features: Float[Tensor, "B T C"] | None = None


class AGEgoPose(nn.Module):
    """The network of `config`."""

    def __init__(self, config: AGEgoPoseConfig = AGEgoPoseConfig()):
        super().__init__()
        self.config = config
        self.heatmap_net = None
        if config.heatmap_net is not None:
            self.heatmap_net = HeatmapFPN(config.heatmap_net, len(config.heatmap_joints))
        self.embedding = (
            None if config.embedding is None else JointEmbedding(config.embedding, len(config.heatmap_joints))
        )
        self.static = self.motion = None
        if config.motion is not None:
            self.motion = MotionEncoder(config.motion)
            if config.static is not None:
                self.static = StaticEncoder(config.static, config.motion.width)
        self.decoder = None
        if config.decoder is not None:
            self.decoder = PoseDecoder(
                config.decoder,
                len(config.joints),
                None if config.embedding is None else config.embedding.dim,
                None if config.motion is None else config.motion.width,
            )

    def forward(self, images: Float[Tensor, "B T 3 H W"]) -> AGEgoPoseOutput:
        """Normalised images (`images.normalize`) of T consecutive frames to their poses.

        Raises:
            UserError: the images' size is not the network's, or T does not suit its motion encoder.
        """
        found = self.features(images.flatten(0, 1))
        whole = (None if value is None else value.unflatten(0, images.shape[:2]) for value in vars(found).values())
        return self.lift(FrameFeatures(*whole))

    def features(self, images: Float[Tensor, "N 3 H W"]) -> FrameFeatures:
        """The work on each image, which no other frame has a part in.

        Raises:
            UserError: the images' size is not the network's.
        """
        size = self.config.image_size
        if images.shape[1:] != (3, size, size):
            raise UserError(f"the images are {tuple(images.shape[1:])} but this network takes (3, {size}, {size})")
        found = FrameFeatures()
        if self.heatmap_net is not None:
            found.heatmap_logits = logits = self.heatmap_net(images)
            if self.embedding is not None:
                found.joint_features = self.embedding(logits.sigmoid())
        if self.static is not None:
            found.static_features = self.static(images)
        return found

    def lift(self, features: FrameFeatures) -> AGEgoPoseOutput:
        """Poses of frames whose features are there, "B T ..." each.

        Raises:
            UserError: T does not suit the motion encoder.
        """
        output = AGEgoPoseOutput(None, features.heatmap_logits, features.joint_features, features.static_features)
        if self.motion is not None and features.static_features is not None:
            output.motion_features = self.motion(features.static_features)
        if self.decoder is not None:
            output.poses = self.decode(features.joint_features, output.motion_features)
        return output

    def decode(
        self, joint_features: Float[Tensor, "*N K E"] | None, motion_features: Float[Tensor, "*N C"] | None
    ) -> Float[Tensor, "*N J 3"]:
        """Poses of frames from H_e and F_m, each frame by itself; metres."""
        assert self.decoder is not None
        leading = joint_features.shape[:-2] if joint_features is not None else motion_features.shape[:-1]  # type: ignore[union-attr]
        tokens = None if joint_features is None else joint_features.flatten(0, -3)
        motion = None if motion_features is None else motion_features.flatten(0, -2)
        return self.decoder(tokens, motion).unflatten(0, leading)
