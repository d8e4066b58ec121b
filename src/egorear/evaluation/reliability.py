"""Whether the confidences of stored predictions mean what they say: of the joints given confidence c, a share c should
lie within 100 mm of the truth."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from egorear.errors import UserError
from egorear.evaluation.matching import TruthSource, joint_order
from egorear.geometry.skeleton import EGO4VIEW, Skeleton
from egorear.metrics.confidence import ReliabilityCurve, auroc, expected_calibration_error, reliability_curve
from egorear.metrics.errors import joint_errors_mm
from egorear.models.confidence import CONFIDENT_M
from egorear.poses import Poses


@dataclass(frozen=True)
class Reliability:
    """How far the confidences of some joints can be believed.

    ece: expected calibration error, 15 bins, 0 is best. auroc: how well a low confidence finds the joints that are more
    than 100 mm off, 0.5 is chance; NaN if all or none are. correct: share of the joints within 100 mm.
    """

    frames: int
    ece: float
    auroc: float
    mean_confidence: float
    correct: float
    curve: ReliabilityCurve

    def row(self) -> dict[str, Any]:
        """The figures as JSON values, without the curve; null for an AUROC that is NaN."""
        figures = {name: getattr(self, name) for name in ("frames", "ece", "auroc", "mean_confidence", "correct")}
        return {name: None if math.isnan(value) else value for name, value in figures.items()}


def reliability(poses: Poses, dataset: TruthSource) -> Reliability:
    """Reads the truth of the frames that the poses and the dataset have in common.

    Raises:
        UserError: no frame is in both, a joint is missing, a confidence is not within 0 and 1, or a truth file is
            damaged.
    """
    _, confidence, correct = judged_joints(poses, dataset)
    return reliability_of(confidence, correct)


def reliability_of(confidence: Float[np.ndarray, "N K"], correct: Bool[np.ndarray, "N K"]) -> Reliability:
    """The figures of K joints of N frames, all together.

    Raises:
        UserError: a confidence is not within 0 and 1.
    """
    return Reliability(
        frames=len(confidence),
        ece=expected_calibration_error(confidence, correct),
        auroc=auroc(-confidence, ~correct),
        mean_confidence=float(confidence.mean()),
        correct=float(correct.mean()),
        curve=reliability_curve(confidence, correct),
    )


def by_part(
    confidence: Float[np.ndarray, "N J"], correct: Bool[np.ndarray, "N J"], skeleton: Skeleton = EGO4VIEW
) -> dict[str, Reliability]:
    """The figures of each part of the body (`Skeleton.parts`), from those of the scored joints."""
    column = {joint: place for place, joint in enumerate(skeleton.groups["all"])}
    groups = {part: [column[joint] for joint in joints] for part, joints in skeleton.parts.items()}
    return {part: reliability_of(confidence[:, joints], correct[:, joints]) for part, joints in groups.items()}


def judged_joints(
    poses: Poses, dataset: TruthSource
) -> tuple[list[str], Float[np.ndarray, "N J"], Bool[np.ndarray, "N J"]]:
    """Of the frames that both have: names, confidences, and which of the scored joints (in the dataset's order)
    are within 100 mm of the truth.

    Raises:
        UserError: no frame is in both, a joint is missing, or a truth file is damaged.
    """
    rows = {name: row for row, name in enumerate(poses.frame_names)}
    places = {name: place for place, name in enumerate(dataset.names) if name in rows}
    if not places:
        raise UserError("no frame of the poses is in the dataset, so that no confidence can be judged")
    index = np.ix_([rows[name] for name in places], joint_order(poses.joint_names, dataset.skeleton))
    scored = list(dataset.skeleton.groups["all"])
    truth = np.stack([dataset.joints(place)[0][scored] for place in places.values()])
    errors = joint_errors_mm(torch.from_numpy(poses.joints[index]).double(), torch.from_numpy(truth).double())
    return list(places), poses.confidence[index], (errors <= 1000 * CONFIDENT_M).numpy()
