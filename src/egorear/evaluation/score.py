"""Scores stored predictions against a dataset's truth: the tables of the papers.

MPJPE is the mean over all frames and all joints, the root among them, of the Euclidean distance to the truth in the
device frame, nothing aligned. PA-MPJPE is the same after each pose is moved onto its truth by the rotation, scale
and shift of least squares over those same joints, never by a reflection (`metrics.procrustes`). Millimetres, float64;
every frame counts once. AG-EgoPose defines them so (section 4.3), on the 15 joints of `EGOPW` in its camera's frame.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from egorear.evaluation.matching import TruthSource, joint_order, match
from egorear.metrics.errors import auc, joint_errors_mm, pck
from egorear.poses import Poses

HARD = "_hard_"  # in the characters' names of rendered frames of the hard mix


@dataclass(frozen=True)
class Scores:
    """One row of a table. pck: joints at most 150 mm off; auc: over thresholds of 0 to 150 mm; both in per cent."""

    frames: int
    mpjpe_mm: float
    pa_mpjpe_mm: float
    pck: float
    auc: float


@dataclass(frozen=True)
class ScoreReport:
    """overall, and rows by joint, by joint group (EgoRear's Table 4) and by action where the truth tells it.

    parts: the "ordinary" and the "hard" frames of rendered benchmarks, where a split has both.

    joints_left_out: joints that only the poses or only the truth has, where those are of two known sets: not scored,
    not aligned, and not in the groups.
    without_pose, without_truth: names found on one side only, and so not scored.
    baseline: the mean pose of some training data on the very same frames, if asked for.
    """

    overall: Scores
    joints: dict[str, Scores]
    groups: dict[str, Scores]
    actions: dict[str, Scores]
    parts: dict[str, Scores]
    joints_left_out: list[str]
    without_pose: list[str]
    without_truth: list[str]
    model_id: str
    baseline: Scores | None = None

    def rows(self) -> list[tuple[str, str, Scores]]:
        """Every row as (kind, name, scores): overall first, then baseline, parts, groups, joints, actions."""
        rows = [("overall", "all", self.overall)]
        if self.baseline:
            rows.append(("baseline", "mean pose", self.baseline))
        tables = {"part": self.parts, "group": self.groups, "joint": self.joints, "action": self.actions}
        for kind, table in tables.items():
            rows += [(kind, name, scores) for name, scores in table.items()]
        return rows


@dataclass(frozen=True)
class MeanPose:
    """One pose (m, device frame) and the names of its joints."""

    joint_names: tuple[str, ...]
    joints: Float[np.ndarray, "J 3"]


def score(poses: Poses, dataset: TruthSource, baseline_pose: MeanPose | None = None) -> ScoreReport:
    """Matches frames by name and scores those found on both sides, and of them the joints of `groups["all"]` that both
    have.

    baseline_pose: one pose to score on the same frames and joints, see `mean_pose`.

    Raises:
        UserError: frames or joints cannot be matched (`matching.match`), the baseline lacks a joint, or a truth file is
            damaged.
    """
    matched = match(poses, dataset)
    target = matched.target
    errors, aligned = joint_errors_mm(matched.pred, target), joint_errors_mm(matched.pred, target, align=True)
    actions = np.array(matched.actions)
    hard = np.array([HARD in name.split("/")[0] for name in matched.names])
    parts = {"ordinary": ~hard, "hard": hard} if hard.any() and not hard.all() else {}
    report = ScoreReport(
        overall=_scores(errors, aligned),
        joints={name: _scores(errors[:, [k]], aligned[:, [k]]) for k, name in enumerate(matched.joints)},
        groups={name: _scores(errors[:, index], aligned[:, index]) for name, index in matched.groups.items()},
        actions={
            str(action): _scores(errors[actions == action], aligned[actions == action])
            for action in np.unique(actions)
            if action
        },
        parts={name: _scores(errors[part], aligned[part]) for name, part in parts.items()},
        joints_left_out=matched.left_out,
        without_pose=matched.without_pose,
        without_truth=matched.without_truth,
        model_id=poses.model_id,
    )
    if baseline_pose is None:
        return report
    order = joint_order(baseline_pose.joint_names, matched.skeleton, "the mean pose has")
    mean = torch.from_numpy(baseline_pose.joints[order]).double().expand_as(target)
    return replace(report, baseline=_scores(joint_errors_mm(mean, target), joint_errors_mm(mean, target, align=True)))


def mean_pose(dataset: TruthSource) -> MeanPose:
    """The mean of every frame's joints: what a network without eyes would answer."""
    total = sum((dataset.joints(index)[0] for index in range(len(dataset.names))), np.zeros((len(dataset.skeleton), 3)))
    return MeanPose(dataset.skeleton.names, total / len(dataset.names))


def _scores(errors: Float[Tensor, "N K"], aligned: Float[Tensor, "N K"]) -> Scores:
    return Scores(len(errors), errors.mean().item(), aligned.mean().item(), pck(errors), auc(errors))
