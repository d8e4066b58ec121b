"""Compares predictions of the same frames joint by joint, say with and without motion (Fig. 4 of AG-EgoPose).

Differences are paired: frame by frame on the same truth. Their intervals say how far they would move if other
recordings had been taken (`evaluation.bootstrap`); an interval without 0 is a difference that other recordings would
show too. One training run of each network cannot tell a network's worth from its seed's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float

from egorear.errors import UserError
from egorear.evaluation.bootstrap import ClusterBootstrap, Estimate
from egorear.evaluation.matching import KeptTruth, TruthSource, index_of_names, match, shared_joints
from egorear.metrics.errors import joint_errors_mm
from egorear.poses import Poses

MEASURES = ("mpjpe_mm", "pa_mpjpe_mm")


@dataclass(frozen=True)
class Compared:
    """One measure (mm) of some joints: by the name of each run, and the difference of each later run from the first;
    negative is better than the first."""

    values: dict[str, Estimate]
    differences: dict[str, Estimate]


@dataclass(frozen=True)
class JointComparison:
    """runs: names, the first is what the others are compared with. joints, groups: by name a `Compared` for each of
    `MEASURES`. joints_left_out: not in all runs and the truth, hence neither scored nor aligned."""

    runs: list[str]
    frames: int
    recordings: int
    joints_left_out: list[str]
    joints: dict[str, dict[str, Compared]]
    groups: dict[str, dict[str, Compared]]

    def rows(self) -> list[tuple[str, str, dict[str, Compared]]]:
        """Every row as (kind, name, measures): groups with "all" first, then joints."""
        groups = sorted(self.groups.items(), key=lambda row: row[0] != "all")
        return [("group", *row) for row in groups] + [("joint", *row) for row in self.joints.items()]


def compare(runs: Mapping[str, Poses], dataset: TruthSource, seed: int = 0) -> JointComparison:
    """Errors of two or more runs on the same frames, and of their differences the intervals by recording (what stands
    before the last "/" of a frame's name). Alignment uses the joints that all have.

    Raises:
        UserError: there are less than two runs, two are the same, their frames differ, a frame is not in the dataset,
            joints cannot be matched, or a truth file is damaged.
    """
    _check_runs(runs)
    skeleton, left_out = dataset.skeleton, []
    for name, poses in runs.items():
        try:
            skeleton, lacking = shared_joints(poses.joint_names, skeleton)
        except UserError as error:
            raise UserError(f"{name}: {error}") from error
        left_out += [joint for joint in lacking if joint not in left_out]
    truth = KeptTruth(dataset, skeleton)
    matched = {name: match(poses, truth) for name, poses in runs.items()}
    first = next(iter(matched.values()))
    if first.without_truth:
        raise UserError(
            f"{len(first.without_truth)} frames of the poses (first: '{first.without_truth[0]}') are not in the dataset"
        )
    recordings = [name.rpartition("/")[0] for name in first.names]
    bootstrap = ClusterBootstrap(recordings, seed)
    errors = {
        measure: {
            name: joint_errors_mm(each.pred, each.target, align=measure == "pa_mpjpe_mm").numpy()
            for name, each in matched.items()
        }
        for measure in MEASURES
    }

    def compared(joints: list[int]) -> dict[str, Compared]:
        return {measure: _compared(of_runs, joints, bootstrap) for measure, of_runs in errors.items()}

    return JointComparison(
        runs=list(runs),
        frames=len(first.names),
        recordings=len(set(recordings)),
        joints_left_out=left_out,
        joints={name: compared([k]) for k, name in enumerate(first.joints)},
        groups={name: compared(members) for name, members in first.groups.items()},
    )


def _compared(
    errors: Mapping[str, Float[np.ndarray, "N K"]], joints: list[int], bootstrap: ClusterBootstrap
) -> Compared:
    means = {name: each[:, joints].mean(1) for name, each in errors.items()}
    first, *others = means
    return Compared(
        values={name: bootstrap.mean(each) for name, each in means.items()},
        differences={name: bootstrap.mean(means[name] - means[first]) for name in others},
    )


def _check_runs(runs: Mapping[str, Poses]) -> None:
    if len(runs) < 2:
        raise UserError("give two or more poses.npz to compare")
    frames = {name: index_of_names(poses.frame_names, name) for name, poses in runs.items()}
    for (first, a), (second, b) in combinations(frames.items(), 2):
        for mine, mine_name, others, other_name in ((a, first, b, second), (b, second, a, first)):
            if missing := [frame for frame in mine if frame not in others]:
                raise UserError(
                    f"{len(missing)} frames of {mine_name} (first: '{missing[0]}') are not in {other_name}: "
                    "predict the same frames with every network"
                )
    for (first, a), (second, b) in combinations(runs.items(), 2):
        if a.frame_names == b.frame_names and np.array_equal(a.joints, b.joints):
            raise UserError(f"{first} and {second} are the same poses: give those of two networks")
