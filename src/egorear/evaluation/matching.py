"""Which frames and which joints predictions and a dataset's truth have in common: what can be scored."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from egorear.errors import UserError
from egorear.geometry.skeleton import SKELETONS, Skeleton
from egorear.poses import Poses

TruthPoses = tuple[Float[np.ndarray, "J 3"], str | None]


@runtime_checkable
class TruthSource(Protocol):
    """What of a dataset is needed to score: every frame's name, joints (m, device frame) and action, no images."""

    @property
    def skeleton(self) -> Skeleton: ...

    @property
    def names(self) -> list[str]: ...

    def joints(self, index: int) -> TruthPoses: ...


class KeptTruth:
    """The truth of another source, each frame read once. skeleton: in place of the source's, with the same joints;
    other `groups` say what is scored."""

    def __init__(self, source: TruthSource, skeleton: Skeleton | None = None) -> None:
        self.skeleton = source.skeleton if skeleton is None else skeleton
        self.names = source.names
        self._source = source
        self._kept: dict[int, TruthPoses] = {}

    def joints(self, index: int) -> TruthPoses:
        """As the source has them.

        Raises:
            UserError: a truth file is damaged.
        """
        if index not in self._kept:
            self._kept[index] = self._source.joints(index)
        return self._kept[index]


@dataclass(frozen=True)
class Matched:
    """Predictions and truth (m, device frame) of the N frames and the K joints that both have, in the dataset's order.

    names: of the frames. places: their indices in the dataset. actions: what is done in them, "" where nothing tells.
    skeleton: the dataset's, its groups without the joints that the poses lack. left_out: joints that only one side has.
    without_pose, without_truth: names of frames found on one side only.
    """

    names: list[str]
    places: list[int]
    actions: list[str]
    skeleton: Skeleton
    left_out: list[str]
    pred: Float[Tensor, "N K 3"]
    target: Float[Tensor, "N K 3"]
    without_pose: list[str]
    without_truth: list[str]

    @property
    def joints(self) -> list[str]:
        """Names of the K joints."""
        return [self.skeleton.names[joint] for joint in self.skeleton.groups["all"]]

    @property
    def groups(self) -> dict[str, list[int]]:
        """Which of the K joints each group has."""
        scored = self.skeleton.groups["all"]
        return {name: [scored.index(joint) for joint in members] for name, members in self.skeleton.groups.items()}


def match(poses: Poses, dataset: TruthSource) -> Matched:
    """Finds frames and joints by name.

    Raises:
        UserError: no frame matches, a name occurs twice, joints cannot be matched (`shared_joints`), or a truth file is
            damaged.
    """
    predicted, known = index_of_names(poses.frame_names, "the poses"), index_of_names(dataset.names, "the dataset")
    names = [name for name in known if name in predicted]
    if not names:
        example = poses.frame_names[0] if poses.frame_names else "none"
        raise UserError(
            f"no frame name of the poses (first: '{example}') is in the dataset (first: '{dataset.names[0]}')"
        )
    skeleton, left_out = shared_joints(poses.joint_names, dataset.skeleton)
    order = joint_order(poses.joint_names, skeleton)
    truth = [dataset.joints(known[name]) for name in names]
    scored = list(skeleton.groups["all"])
    return Matched(
        names=names,
        places=[known[name] for name in names],
        actions=[action or "" for _, action in truth],
        skeleton=skeleton,
        left_out=left_out,
        pred=torch.from_numpy(poses.joints[[predicted[name] for name in names]][:, order]).double(),
        target=torch.from_numpy(np.stack([joints[scored] for joints, _ in truth])).double(),
        without_pose=[name for name in known if name not in predicted],
        without_truth=[name for name in predicted if name not in known],
    )


def shared_joints(names: Sequence[str], skeleton: Skeleton) -> tuple[Skeleton, list[str]]:
    """The skeleton whose groups have only the joints that are predicted too, and the joints left out: those of one side
    only. What the truth never scores (EgoCap's camera) is not left out by this.

    names: of the predicted joints. They may lack some only where they are a whole set of `SKELETONS`: from a network
    for another set. Anything else that lacks one is broken.

    Raises:
        UserError: a joint is missing from no known set, or none is shared.
    """
    scored = [skeleton.names[joint] for joint in skeleton.groups["all"]]
    if not any({*names} == {*each.names} for each in SKELETONS.values()):
        joint_order(names, skeleton)
    left_out = [name for name in scored if name not in names] + [name for name in names if name not in skeleton.names]
    groups = {
        group: tuple(joint for joint in members if skeleton.names[joint] in names)
        for group, members in skeleton.groups.items()
    }
    if not groups["all"]:
        raise UserError(f"the poses have none of the dataset's joints ({', '.join(scored)})")
    return replace(skeleton, groups={group: members for group, members in groups.items() if members}), left_out


def joint_order(names: Sequence[str], skeleton: Skeleton, whose: str = "the poses have") -> list[int]:
    """Where each joint that is scored stands among these names.

    Raises:
        UserError: one is not among them; `whose` begins the sentence.
    """
    scored = [skeleton.names[joint] for joint in skeleton.groups["all"]]
    if missing := [name for name in scored if name not in names]:
        raise UserError(f"{whose} no joint '{missing[0]}' in 'joint_names' but the dataset has {', '.join(scored)}")
    return [names.index(name) for name in scored]


def index_of_names(names: Sequence[str], owner: str) -> dict[str, int]:
    """Where each frame's name stands.

    Raises:
        UserError: one occurs twice; `owner` says whose they are.
    """
    index = {name: position for position, name in enumerate(names)}
    if len(index) != len(names):
        twice = next(name for position, name in enumerate(names) if index[name] != position)
        raise UserError(f"frame '{twice}' occurs more than once in {owner}")
    return index
