"""Scores stored predictions against a dataset's truth: the tables of the papers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from egorear.errors import UserError
from egorear.geometry.skeleton import Skeleton
from egorear.metrics.errors import auc, joint_errors_mm, pck
from egorear.poses import Poses

HARD = "_hard_"  # in the characters' names of rendered frames of the hard mix


@runtime_checkable
class TruthSource(Protocol):
    """What of a dataset is needed to score: every frame's name, joints (m, device frame) and action, no images."""

    @property
    def skeleton(self) -> Skeleton: ...

    @property
    def names(self) -> list[str]: ...

    def joints(self, index: int) -> tuple[Float[np.ndarray, "J 3"], str | None]: ...


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
    """overall, and rows by joint, by joint group (the paper's Table 4) and by action where the truth tells it.

    parts: the "ordinary" and the "hard" frames of rendered benchmarks, where a split has both.

    without_pose, without_truth: names found on one side only, and so not scored.
    baseline: the mean pose of some training data on the very same frames, if asked for.
    """

    overall: Scores
    joints: dict[str, Scores]
    groups: dict[str, Scores]
    actions: dict[str, Scores]
    parts: dict[str, Scores]
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


def score(poses: Poses, dataset: TruthSource, baseline_pose: Float[np.ndarray, "J 3"] | None = None) -> ScoreReport:
    """Matches frames by name and scores those found on both sides, and of them the joints of `groups["all"]`.

    baseline_pose: one pose (m, device frame) to score on the same frames, see `mean_pose`.

    Raises:
        UserError: no frame matches, a name occurs twice, a joint is missing, or a truth file is damaged.
    """
    predicted = _index_of_names(poses.frame_names, "the poses")
    known = _index_of_names(dataset.names, "the dataset")
    shared = [name for name in known if name in predicted]
    if not shared:
        example = poses.frame_names[0] if poses.frame_names else "none"
        raise UserError(
            f"no frame name of the poses (first: '{example}') is in the dataset (first: '{dataset.names[0]}')"
        )
    truth = [dataset.joints(known[name]) for name in shared]
    skeleton = dataset.skeleton
    scored = list(skeleton.groups["all"])
    order = joint_order(poses.joint_names, skeleton)
    target = torch.from_numpy(np.stack([joints for joints, _ in truth])[:, scored]).double()
    pred = torch.from_numpy(poses.joints[[predicted[name] for name in shared]][:, order]).double()
    errors, aligned = joint_errors_mm(pred, target), joint_errors_mm(pred, target, align=True)
    actions = np.array([action or "" for _, action in truth])
    hard = np.array([HARD in name.split("/")[0] for name in shared])
    parts = {"ordinary": ~hard, "hard": hard} if hard.any() and not hard.all() else {}
    groups = {name: [scored.index(j) for j in members] for name, members in skeleton.groups.items()}
    report = ScoreReport(
        overall=_scores(errors, aligned),
        joints={skeleton.names[j]: _scores(errors[:, [i]], aligned[:, [i]]) for i, j in enumerate(scored)},
        groups={name: _scores(errors[:, index], aligned[:, index]) for name, index in groups.items()},
        actions={
            str(action): _scores(errors[actions == action], aligned[actions == action])
            for action in np.unique(actions)
            if action
        },
        parts={name: _scores(errors[part], aligned[part]) for name, part in parts.items()},
        without_pose=[name for name in known if name not in predicted],
        without_truth=[name for name in predicted if name not in known],
        model_id=poses.model_id,
    )
    if baseline_pose is None:
        return report
    mean = torch.from_numpy(baseline_pose[scored]).double().expand_as(target)
    return replace(report, baseline=_scores(joint_errors_mm(mean, target), joint_errors_mm(mean, target, align=True)))


def mean_pose(dataset: TruthSource) -> Float[np.ndarray, "J 3"]:
    """The mean of every frame's joints (m, device frame): what a network without eyes would answer."""
    total = sum((dataset.joints(index)[0] for index in range(len(dataset.names))), np.zeros((len(dataset.skeleton), 3)))
    return total / len(dataset.names)


def _scores(errors: Float[Tensor, "N K"], aligned: Float[Tensor, "N K"]) -> Scores:
    return Scores(len(errors), errors.mean().item(), aligned.mean().item(), pck(errors), auc(errors))


def joint_order(names: Sequence[str], skeleton: Skeleton) -> list[int]:
    """Where each joint that is scored stands among the predicted ones.

    Raises:
        UserError: one is not predicted.
    """
    scored = [skeleton.names[joint] for joint in skeleton.groups["all"]]
    if missing := [name for name in scored if name not in names]:
        raise UserError(
            f"the poses have no joint '{missing[0]}' in 'joint_names' but the dataset has {', '.join(scored)}"
        )
    return [names.index(name) for name in scored]


def _index_of_names(names: Sequence[str], owner: str) -> dict[str, int]:
    index = {name: position for position, name in enumerate(names)}
    if len(index) != len(names):
        twice = next(name for position, name in enumerate(names) if index[name] != position)
        raise UserError(f"frame '{twice}' occurs more than once in {owner}")
    return index
