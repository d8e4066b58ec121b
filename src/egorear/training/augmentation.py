"""Augmentation of a batch on the training device: light, blur, noise, patches, turned cameras, mirror images, lost
views. Whatever moves in the images moves in the truth and in the rig with it."""

import math
from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from egorear.datasets.sample import Sample
from egorear.errors import UserError
from egorear.geometry.skeleton import EGO4VIEW, Skeleton
from egorear.training.mirror import is_symmetric
from egorear.training.patches import erase
from egorear.training.photometry import add_noise, blur, normalized_in_other_light
from egorear.training.warp import move

SHARES = ("turned", "mirror", "erase", "view_dropout")


@dataclass(frozen=True)
class Augmentation:
    """Strengths; zero turns a part off. Each view of each frame draws for itself, a frame's mirror and lost views
    aside.

    Of ImageNet-normalised intensity: contrast: scale of the whole image, 1 ± contrast. colour: scale of each channel,
    1 ± colour. brightness: standard deviation of an offset. noise: largest standard deviation of the pixels' noise;
    half of the views have none.
    blur: largest standard deviation (pixels) of a Gaussian; half of the views stay sharp.
    erase: share of the views that lose a box, 0.1 to 0.4 of each side, to a flat colour: something near hides it.
    turned: share of the frames whose cameras are turned about their centres: at most turn_deg about each of the image's
    axes and roll_deg about the optical axis (degrees).
    mirror: share of the frames that are mirrored left to right, of those whose rig is symmetric (`mirror`).
    view_dropout: share of the frames that lose views: any part of those present, each as likely, but never all.

    Raises:
        UserError: a strength is negative or not finite, or a share is above 1.
    """

    contrast: float = 0.2
    colour: float = 0.1
    brightness: float = 0.2
    noise: float = 0.0
    blur: float = 0.0
    erase: float = 0.0
    turned: float = 0.0
    turn_deg: float = 2.0
    roll_deg: float = 2.0
    mirror: float = 0.0
    view_dropout: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value, most = getattr(self, field.name), 1.0 if field.name in SHARES else math.inf
            if not (0 <= value <= most and math.isfinite(value)):
                limits = "a share from 0 to 1" if field.name in SHARES else "0 or a positive number"
                raise UserError(f"'augmentation.{field.name}' is {value} but must be {limits}")

    @torch.no_grad()
    def __call__(self, sample: Sample, skeleton: Skeleton = EGO4VIEW) -> tuple[Float[Tensor, "B V 3 H W"], Sample]:
        """Normalised images, and the batch whose truth (joints of `skeleton`), rig and `present` are true for them (its
        own `images` remain those that came in). Draws from the global generator of the sample's device; changes nothing
        in place."""
        with torch.autocast(sample.images.device.type, enabled=False):
            if self.mirror or self.turned:
                images, sample = move(sample, *self._motion(sample), skeleton)
            else:
                images = sample.images.to(torch.float32, memory_format=torch.contiguous_format)
            if self.blur:
                images = blur(images, self.blur)
            if self.erase:
                images, sample = erase(images, sample, self.erase)
            images = normalized_in_other_light(images, self.contrast, self.colour, self.brightness)
            if self.noise:
                images = add_noise(images, self.noise)
        if self.view_dropout:
            sample = replace(sample, present=lose_views(sample, self.view_dropout))
        return images, sample

    @torch.no_grad()
    def light_of_windows(self, images: UInt8[Tensor, "B T V 3 H W"]) -> Float[Tensor, "B T V 3 H W"]:
        """Normalised images of windows whose light and noise changes as a whole: the same for all frames of a view.

        Raises:
            UserError: there is more to change than light and noise.
        """
        for name in ("blur", *SHARES):
            if getattr(self, name):
                raise UserError(
                    f"'augmentation.{name}' is {getattr(self, name)} but windows of frames can only be given other "
                    "light ('contrast', 'colour', 'brightness') and 'noise'"
                )
        frames, height = images.shape[1], images.shape[-2]
        with torch.autocast(images.device.type, enabled=False):
            # One tall picture, of which all frames are parts.
            tall = images.movedim(1, 3).flatten(3, 4).to(torch.float32, memory_format=torch.contiguous_format)
            tall = normalized_in_other_light(tall, self.contrast, self.colour, self.brightness)
            if self.noise:
                tall = add_noise(tall, self.noise)
        return tall.unflatten(3, (frames, height)).movedim(3, 1)

    def _motion(self, sample: Sample) -> tuple[Bool[Tensor, "B"], Float[Tensor, "B V 3"]]:
        """Which frames are mirrored, and the turn (axis · angle) of every camera."""
        batch, views = sample.images.shape[:2]
        device = sample.images.device
        most = torch.tensor((self.turn_deg, self.turn_deg, self.roll_deg), device=device).deg2rad()
        turned = torch.rand((batch, 1, 1), device=device) < self.turned
        turns = turned * most * (2 * torch.rand((batch, views, 3), device=device) - 1)
        return (torch.rand(batch, device=device) < self.mirror) & is_symmetric(sample.rig), turns


def lose_views(sample: Sample, share: float) -> Bool[Tensor, "B V"]:
    """`present` after that share of the frames has lost a non-empty proper subset of the views it had, each such
    subset as likely; a frame of a single view keeps it."""
    batch, views = sample.images.shape[:2]
    device = sample.images.device
    present = sample.present
    if present is None:
        present = torch.ones((batch, views), dtype=torch.bool, device=device)
    # What remains is a number from 1 to 2^n - 2, whose binary digits are the n views there were.
    subsets = 2.0 ** present.sum(1) - 2
    remaining = 1 + (torch.rand(batch, device=device) * subsets).long()
    place = present.cumsum(1) - 1
    kept = (remaining[:, None] >> place.clamp_min(0)) & 1 == 1
    return present & (kept | (torch.rand((batch, 1), device=device) >= share))
