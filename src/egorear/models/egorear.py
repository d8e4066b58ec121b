"""EgoRear (Akada et al., ICCV 2025): images of front and rear cameras to a full-body pose.

images → heatmap estimator (per camera pair) → refiner (per view, sees all views) → lifter → poses.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from egorear.errors import UserError
from egorear.geometry.rig import Rig
from egorear.models.attention import only_present
from egorear.models.confidence import JointConfidence
from egorear.models.heatmap_estimator import EncoderConfig, HeatmapEstimator, deep_heatmap_head
from egorear.models.lifter import Lifter, LifterConfig
from egorear.models.refiner import HeatmapRefiner, RefinerConfig, heatmap_anchors

VIEWS = ("front_left", "front_right", "back_left", "back_right")


@dataclass(frozen=True)
class EgoRearConfig:
    """What to build; the defaults are the paper's four-view network.

    views: names of the cameras, in the order of the V dimension; those of one pair stand together.
    image_size: height and width of the input, a multiple of 32.
    sharing: "paper" trains one estimator per camera pair (the part of the name before "_") and one refiner
    per view; "all" trains one of each for all views.
    heads: the heatmap regressors, "deep" (paper, stages 2 and 3) or "linear" (stage 1: one 1x1 convolution).
    refiner, lifter: None leaves that part out; without the refiner the lifter sees the initial features.
    detach_heatmaps: heatmap losses train the regressors only (the paper's third stage).
    confidence: tell how likely each joint is close to the truth, too (ours, `models/confidence.py`).
    """

    views: tuple[str, ...] = VIEWS
    image_size: int = 256
    heatmap_joints: int = 15
    sharing: Literal["paper", "all"] = "paper"
    heads: Literal["linear", "deep"] = "deep"
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    refiner: RefinerConfig | None = field(default_factory=RefinerConfig)
    lifter: LifterConfig | None = field(default_factory=LifterConfig)
    detach_heatmaps: bool = False
    confidence: bool = False

    def __post_init__(self) -> None:
        if self.image_size <= 0 or self.image_size % 32:
            raise UserError(f"'image_size' is {self.image_size} but must be a positive multiple of 32")
        if not self.views or len(set(self.views)) < len(self.views):
            raise UserError(f"'views' is {self.views} but must name each of one or more cameras once")
        if self.refiner is not None and int(self.refiner.embed**0.5) ** 2 != self.refiner.embed:
            raise UserError(f"'refiner.embed' is {self.refiner.embed} but must be a square number")
        groups = list(self.pairs)
        if [view for pair in groups for view in self.pairs[pair]] != list(self.views):
            raise UserError(f"'views' is {self.views} but must list the cameras of a pair next to each other")

    @property
    def pairs(self) -> dict[str, tuple[str, ...]]:
        """Views by the estimator that serves them."""
        if self.sharing == "all":
            return {"all": self.views}
        names = dict.fromkeys(view.split("_")[0] for view in self.views)
        return {name: tuple(view for view in self.views if view.split("_")[0] == name) for name in names}

    @property
    def refined_together(self) -> dict[str, tuple[str, ...]]:
        """Views by the refiner that serves them."""
        return {"all": self.views} if self.sharing == "all" else {view: (view,) for view in self.views}


@dataclass
class EgoRearOutput:
    """What the network made of a batch; None where its configuration has no such part.

    poses: metres, device frame, joints in EGO4VIEW order; the proposal first, the last is the answer.
    heatmaps_intermediate: those of the refiner's layers before the last, for deep supervision.
    confidence: logits of the answer's joints being close to the truth, see `models/confidence.py`.
    Features and heatmaps of views that were not present are zero.
    """

    poses: Float[Tensor, "B L J 3"] | None = None
    heatmaps_initial: Float[Tensor, "B V K h w"] | None = None
    heatmaps_refined: Float[Tensor, "B V K h w"] | None = None
    features_initial: Float[Tensor, "B V C h w"] | None = None
    features_refined: Float[Tensor, "B V C h w"] | None = None
    heatmaps_intermediate: tuple[Float[Tensor, "B V K h w"], ...] = ()
    confidence: Float[Tensor, "B J"] | None = None


class EgoRear(nn.Module):
    """The network of `config`. 126,047,857 parameters in the paper's four-view form."""

    def __init__(self, config: EgoRearConfig = EgoRearConfig()):
        super().__init__()
        self.config = config
        dim, joints, views = config.encoder.dim, config.heatmap_joints, len(config.views)
        feature_size, context_dim = config.image_size // 4, config.encoder.backbone.channels[-1]
        deep = config.heads == "deep"
        self.estimators = nn.ModuleDict({pair: HeatmapEstimator(config.encoder, joints) for pair in config.pairs})
        self.heatmap_heads = nn.ModuleDict()
        if deep:
            self.heatmap_heads.update({pair: deep_heatmap_head(dim, joints) for pair in config.pairs})
        self.refiners = nn.ModuleDict()
        if config.refiner is not None:
            for name, targets in config.refined_together.items():
                self.refiners[name] = HeatmapRefiner(
                    config.refiner, len(targets), views, dim, context_dim, joints, feature_size, deep
                )
        self.lifter = None
        if config.lifter is not None:
            self.lifter = Lifter(config.lifter, views, dim, feature_size, joints)
        self.confidence = None
        if config.confidence and config.lifter is not None:
            self.confidence = JointConfidence(config.lifter.embed, views)

    def forward(
        self,
        images: Float[Tensor, "B V 3 H W"],
        rig: Rig | None = None,
        present: Bool[Tensor, "B V"] | None = None,
    ) -> EgoRearOutput:
        """Normalised images (`images.normalize`) and the rig that took them to poses and heatmaps.

        rig: its cameras describe the images at any resolution; extrinsics "V 4 4" or "B V 4 4", on the
        images' device. Only a network without a lifter does without.
        present: the views there are; None: all. The images of the others have no influence on anything.

        Raises:
            UserError: the images' size, the number of views or the rig's views are not the network's.
        """
        self._check(images, rig)
        features, contexts, heatmaps = (only_present(part, present) for part in self._estimate(images))
        output = EgoRearOutput(None, heatmaps, None, features, None)
        if self.config.refiner is not None:
            anchors, valid = heatmap_anchors(heatmaps, self.config.refiner.pixel_center)
            layers = self._refine(features, contexts, heatmaps, anchors, valid, present)
            *earlier, (output.features_refined, output.heatmaps_refined) = layers
            output.heatmaps_intermediate = tuple(maps for _, maps in earlier)
        if self.lifter is not None:
            seen = features if output.features_refined is None else output.features_refined
            maps = heatmaps if output.heatmaps_refined is None else output.heatmaps_refined
            poses_cm, queries = self.lifter(features, seen, maps, rig, present)
            output.poses = poses = poses_cm / 100
            if self.confidence is not None:
                output.confidence = self.confidence(queries, poses[:, -1], maps, rig, present)
        return output

    def _estimate(
        self, images: Float[Tensor, "B V 3 H W"]
    ) -> tuple[Float[Tensor, "B V C h w"], Float[Tensor, "B V D _ _"], Float[Tensor, "B V K h w"]]:
        """Section 4.1: stride-4 features, stride-32 contexts, initial heatmaps."""
        parts = []
        for pair, views in self.config.pairs.items():
            head = self.heatmap_heads[pair] if len(self.heatmap_heads) else None
            images_of_pair = images[:, self._span(views)].flatten(0, 1)
            estimated = self.estimators[pair](images_of_pair, head, self.config.detach_heatmaps)
            parts.append([maps.unflatten(0, (-1, len(views))) for maps in estimated])
        features, contexts, heatmaps = zip(*parts, strict=True)
        return _join(features), _join(contexts), _join(heatmaps)

    def _refine(
        self,
        features: Float[Tensor, "B V C h w"],
        contexts: Float[Tensor, "B V D _ _"],
        heatmaps: Float[Tensor, "B V K h w"],
        anchors: Float[Tensor, "B V K 2"],
        valid: Bool[Tensor, "B V K"],
        present: Bool[Tensor, "B V"] | None,
    ) -> list[tuple[Float[Tensor, "B V C h w"], Float[Tensor, "B V K h w"]]]:
        """Sections 4.2 to 4.4: refined features and heatmaps, one pair per layer of the refiner."""
        evidence = (features, contexts, heatmaps, anchors, valid)
        parts = [
            self.refiners[name](self._span(views), *evidence, self.config.detach_heatmaps, present)
            for name, views in self.config.refined_together.items()
        ]
        return [
            (only_present(_join(seen), present), only_present(_join(maps), present))
            for seen, maps in (zip(*layer, strict=True) for layer in zip(*parts, strict=True))
        ]

    def _span(self, views: tuple[str, ...]) -> slice:
        start = self.config.views.index(views[0])
        return slice(start, start + len(views))

    def _check(self, images: Tensor, rig: Rig | None) -> None:
        size, views = self.config.image_size, self.config.views
        if images.shape[1:] != (len(views), 3, size, size):
            raise UserError(
                f"the images are {tuple(images.shape)} but this network takes (B, {len(views)}, 3, {size}, {size})"
            )
        if self.lifter is not None and (rig is None or rig.views != views):
            given = "no rig" if rig is None else f"a rig with {', '.join(rig.views)}"
            raise UserError(f"the network was given {given} but must have one with {', '.join(views)}, in this order")


def _join(maps: Sequence[Tensor]) -> Tensor:
    """The parts of the V dimension put together, without a copy where there is one."""
    return maps[0] if len(maps) == 1 else torch.cat(list(maps), dim=1)
