"""What AG-EgoPose is told about windows of frames: heatmaps by cross-entropy, positions, and bones.

A single frame is a window of one.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from egorear.datasets.sample import Sample
from egorear.geometry.skeleton import Skeleton, convert
from egorear.heatmaps import gaussian_heatmaps, rounded_heatmaps
from egorear.models.agegopose import AGEgoPoseConfig, AGEgoPoseOutput
from egorear.training.losses import LossConfig, bones, heatmap_loss, joints_2d_loss

PUBLISHED_SIZE = (1280, 1024)  # of EgoPW's images, in whose pixels the published heatmaps are defined


@dataclass(frozen=True)
class ClipTruth:
    """What windows show, on the network's joints.

    joints: metres, device frame. place: of the joints with heatmaps relative to the image (0 its left or top edge, 1
    the other). seen: those are inside, occluded or not. counted: frames whose answers count.
    """

    joints: Float[Tensor, "B T J 3"]
    place: Float[Tensor, "B T K 2"]
    seen: Bool[Tensor, "B T K"]
    counted: Bool[Tensor, "B T"]

    @staticmethod
    def of(sample: Sample, source: Skeleton, network: AGEgoPoseConfig) -> "ClipTruth":
        """Of a batch of windows "B T V …" with one view, whose joints are those of `source`.

        Raises:
            UserError: a joint of the network is not to be had from the data's.
        """
        height, width = sample.images.shape[-2:]
        pixels = convert(sample.joints_2d[:, :, 0], source, network.joints)[..., list(network.heatmap_joints), :]
        place = (pixels + 0.5) / pixels.new_tensor((width, height))
        counted = sample.counted
        if counted is None:
            counted = torch.ones(place.shape[:2], dtype=torch.bool, device=place.device)
        seen = ((place >= 0) & (place < 1)).all(dim=-1)
        return ClipTruth(convert(sample.joints, source, network.joints), place, seen, counted)

    def heatmaps(self, size: int, sigma: float | None) -> Float[Tensor, "B T K h w"]:
        """Targets with peak 1; sigma as in `LossConfig`. The published form leaves a trace of joints near the border
        outside of the image, the other does not."""
        if sigma is None:
            return rounded_heatmaps(self.place * self.place.new_tensor(PUBLISHED_SIZE) - 0.5, PUBLISHED_SIZE, size)
        return gaussian_heatmaps(self.place * size - 0.5, size, size, sigma) * self.seen[..., None, None]


def clip_terms(
    output: AGEgoPoseOutput, truth: ClipTruth, config: LossConfig, skeleton: Skeleton
) -> dict[str, Float[Tensor, ""]]:
    """The weighted terms whose sum a stage minimises, by name; only those of outputs that exist.

    skeleton: of the network.
    """
    terms = {}
    if output.heatmap_logits is not None and (config.heatmap or config.joints_2d):
        logits = output.heatmap_logits.float()
        if config.heatmap:
            target = truth.heatmaps(logits.shape[-1], config.sigma)
            terms["heatmaps"] = config.heatmap * logits_loss(logits, target, config)
        if config.joints_2d:
            found, place, seen = (part.flatten(0, 1)[:, None] for part in (logits.sigmoid(), truth.place, truth.seen))
            terms["joints_2d"] = config.joints_2d * joints_2d_loss(found, place, seen)
    if output.poses is not None:
        poses = output.poses.float()
        terms["poses"] = config.pose * position_loss(poses, truth.joints)
        if config.bone:
            terms["bones"] = config.bone * bone_length_loss(poses, truth.joints, skeleton)
        if config.cosine:
            terms["cosine"] = config.cosine * bone_direction_loss(poses, truth.joints, skeleton)
    return terms


def logits_loss(
    logits: Float[Tensor, "B T K h w"], target: Float[Tensor, "B T K h w"], config: LossConfig
) -> Float[Tensor, ""]:
    """The heatmap loss of `config`, averaged over everything: cross-entropy, or squared error after the sigmoid."""
    if config.heatmap_loss == "mse":
        found, wanted = (maps.flatten(0, 1)[:, None] for maps in (logits.sigmoid(), target))
        return heatmap_loss(found, wanted, config.foreground)
    weight = 1 + config.foreground * target if config.foreground else None
    return F.binary_cross_entropy_with_logits(logits, target, weight, pos_weight=logits.new_tensor(config.positive))


def position_loss(poses: Float[Tensor, "*B J 3"], joints: Float[Tensor, "*B J 3"]) -> Float[Tensor, ""]:
    """Mean distance of the joints (AG-EgoPose, section 3.4, L_pos)."""
    return torch.linalg.vector_norm(poses - joints, dim=-1).mean()


def bone_length_loss(
    poses: Float[Tensor, "*B J 3"], joints: Float[Tensor, "*B J 3"], skeleton: Skeleton
) -> Float[Tensor, ""]:
    """Squared error of the bones' lengths, averaged over bones and frames (AG-EgoPose, section 3.4, L_bone)."""
    predicted, true = (torch.linalg.vector_norm(bones(each, skeleton), dim=-1) for each in (poses, joints))
    return (predicted - true).square().mean()


def bone_direction_loss(
    poses: Float[Tensor, "*B J 3"], joints: Float[Tensor, "*B J 3"], skeleton: Skeleton
) -> Float[Tensor, ""]:
    """Minus the cosine between predicted and true bones, averaged over bones and frames (AG-EgoPose, section 3.4,
    L_cos)."""
    return -F.cosine_similarity(bones(poses, skeleton), bones(joints, skeleton), dim=-1).mean()
