"""A stand-in for the image estimator: heatmaps made from the truth, with the errors of a detector that never saw it.

A detector trained with a squared error puts out the mean of what it believes. If it believes that a joint lies within
a Gaussian of deviation s about some place, and targets are Gaussians of deviation 1, then its map is a Gaussian of
variance 1 + s² about that place whose peak is 1 / (1 + s²): the less it knows, the wider and lower. So one number
per joint and view, the spread s, gives error, width and peak together, and no map can be improved by looking at it
alone: what a refiner gains, it gains from other joints and other views. Added to that are the ways in which real
detectors are worse than their own beliefs: they are overconfident, lose joints, and take one for another.

Lengths are in heatmap cells, so that errors are in proportion to the target's width at any resolution.
docs/controlled.md says where each number comes from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from egorear.datasets.truth import Visibility
from egorear.geometry.skeleton import EGO4VIEW, HEATMAP_JOINTS

LIMB_OF = torch.tensor(
    [0 if joint == "Neck" else 1 + joint.startswith("Right") + 2 * ("Leg" in joint or "Foot" in joint or "Toe" in joint)
     for joint in (name.replace("ForeArm", "Arm") for name in HEATMAP_JOINTS)]
)  # fmt: skip
"""Neck, left arm, right arm, left leg, right leg: joints of a limb are mistaken together."""
MIRROR = torch.tensor([EGO4VIEW.mirror[EGO4VIEW.index(name)] - 1 for name in HEATMAP_JOINTS])
LIMBS = 5
WRONG_SPREAD = 0.5  # of a peak at a wrong place (cells): as narrow as that of a joint the detector is sure of


@dataclass(frozen=True)
class ViewNoise:
    """How well the detector does in one view.

    visible, hidden: median spread (cells) of joints the camera sees, and of those inside the image but occluded.
    hidden_lost: share of occluded joints without any peak. visible_confused, hidden_confused: share of joints whose
    peak is at another joint's place. ghosts: share of joints outside the image that have a peak all the same.
    """

    visible: float = 0.32
    hidden: float = 0.47
    hidden_lost: float = 0.05
    visible_confused: float = 0.015
    hidden_confused: float = 0.04
    ghosts: float = 0.1


@dataclass(frozen=True)
class NoiseModel:
    """The detector of every view. front, back: of the views whose name begins with "front", and of all others.

    scale: factor of every spread, for sensitivity studies. spread_sigma: deviation of a spread's logarithm.
    overconfidence: true deviation of the error over the spread that the map shows.
    limb, pair: shares of the error's variance common to the joints of a limb in a view, and to the views of a pair.
    wrong_peak: lowest and highest peak at a wrong place; it straddles the refiner's threshold of 0.5.
    mirrored: share of confusions with the joint of the other body side; the rest fall on any other joint.
    angle: deviation of a limb's angle to the image plane (radians), see `limb_noise`.
    """

    front: ViewNoise = ViewNoise()
    back: ViewNoise = ViewNoise(hidden=0.69, hidden_lost=0.08)
    scale: float = 1.0
    spread_sigma: float = 0.5
    overconfidence: float = 1.2
    limb: float = 0.4
    pair: float = 0.3
    wrong_peak: tuple[float, float] = (0.3, 0.8)
    mirrored: float = 0.67
    angle: float = 0.15

    def of(self, view: str) -> ViewNoise:
        """The noise of the view of that name."""
        return self.front if view.startswith("front") else self.back


@dataclass(frozen=True)
class Detections:
    """What the detector believes. places: relative to the image, as the truth. spreads: cells. peaks: 0 where lost.
    wrong: the peak belongs to another joint, or to none."""

    places: Float[Tensor, "B V K 2"]
    spreads: Float[Tensor, "B V K"]
    peaks: Float[Tensor, "B V K"]
    wrong: Float[Tensor, "B V K"]


def detect(
    places: Float[Tensor, "B V K 2"],
    visibility: UInt8[Tensor, "B V K"],
    views: Sequence[str],
    noise: NoiseModel,
    size: int,
    seed: int,
) -> Detections:
    """The detector's beliefs about joints at `places` (relative to the image) on maps of `size` cells.

    The same seed gives the same errors, and a view's errors depend on the seed and on which of its frames and
    joints are hidden, if all four views are always drawn together.
    """
    batch, _, joints = visibility.shape
    chance = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=chance)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=chance)

    hidden, outside = visibility > Visibility.OUTSIDE, visibility == Visibility.OUTSIDE

    def by_view(visible: str, hidden_: str | None) -> Float[Tensor, "B V K"]:
        """The parameter of each joint: of seen joints or of hidden ones, by view."""
        seen, unseen = (
            torch.tensor([getattr(noise.of(view), name) if name else 0.0 for view in views])[:, None]
            for name in (visible, hidden_)
        )
        return torch.where(hidden, unseen, seen)

    spread = noise.scale * by_view("visible", "hidden") * torch.exp(noise.spread_sigma * normal(*hidden.shape))
    pair_of = pair_index(views)
    common = normal(batch, len(views), LIMBS, 2)[:, :, LIMB_OF], normal(batch, max(pair_of) + 1, joints, 2)[:, pair_of]
    shares = (noise.limb, noise.pair, 1 - noise.limb - noise.pair)
    error = sum(share**0.5 * z for share, z in zip(shares, (*common, normal(*hidden.shape, 2)), strict=True))
    place = places + noise.overconfidence * spread[..., None] * error / size
    peak = 1 / (1 + spread.square())

    # One draw a limb decides what becomes of its joints, so that a leg is lost or mistaken as a whole.
    fate = uniform(batch, len(views), LIMBS)[..., LIMB_OF]
    confusion = by_view("visible_confused", "hidden_confused")
    lost = hidden & (fate >= confusion) & (fate < confusion + by_view("hidden_lost", "hidden_lost"))
    confused = ~outside & (fate < confusion)
    mirror = (uniform(batch, len(views), LIMBS)[..., LIMB_OF] < noise.mirrored) & (torch.arange(joints) != MIRROR)
    step = torch.randint(1, joints, (batch, len(views), LIMBS), generator=chance)[..., LIMB_OF]
    other = torch.where(mirror, MIRROR, (torch.arange(joints) + step) % joints)
    ghost = outside & (uniform(*hidden.shape) < by_view("ghosts", "ghosts"))
    elsewhere = torch.where(
        ghost[..., None], uniform(*hidden.shape, 2), places.gather(2, other[..., None].expand_as(places))
    )
    low, high = noise.wrong_peak
    wrong_peak = low + (high - low) * uniform(*hidden.shape)
    wrong = confused | ghost
    peak = torch.where(wrong, wrong_peak, peak) * ~(lost | (outside & ~ghost))
    return Detections(
        places=torch.where(wrong[..., None], elsewhere, place),
        spreads=torch.where(wrong, WRONG_SPREAD, spread),
        peaks=peak,
        wrong=wrong.float(),
    )


def pair_index(views: Sequence[str]) -> list[int]:
    """Which pair each view belongs to: "front_left" and "front_right" are one."""
    pairs = sorted({view.split("_")[0] for view in views})
    return [pairs.index(view.split("_")[0]) for view in views]


def draw(detections: Detections, size: int) -> Float[Tensor, "B V K {size} {size}"]:
    """The heatmaps of these beliefs."""
    cells = torch.arange(size) + 0.5
    width = (1 + detections.spreads.square())[..., None, None]
    profile = torch.exp((cells - detections.places[..., None] * size).square() / (-2 * width))
    return detections.peaks[..., None, None] * profile[..., 1, :, None] * profile[..., 0, None, :]


def true_heatmaps(
    places: Float[Tensor, "B V K 2"], visibility: UInt8[Tensor, "B V K"], size: int
) -> Float[Tensor, "B V K {size} {size}"]:
    """What the maps ought to be: peak 1, deviation of one cell, nothing for joints outside the image."""
    inside = (visibility != Visibility.OUTSIDE).float()
    return draw(Detections(places, torch.zeros_like(inside), inside, torch.zeros_like(inside)), size)
