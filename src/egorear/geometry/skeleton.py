"""Joint sets: names, tree, groups of the published tables, mirror images, and how one becomes another
(docs/skeletons.md)."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from egorear.errors import UserError


@dataclass(frozen=True)
class Skeleton:
    """An ordered set of joints, the root first and every parent before its children.

    names: joint names in array order, from one vocabulary: the same name means the same place of the body in every
    set. parents: index of each joint's parent, the root's is its own. groups: joint indices scored together: the parts
    of `PARTS` that there are, "upper", "lower", and "all" that are scored. bones: joint pairs that are drawn. mirror:
    index of the joint that takes each joint's place when left and right (the wearer's) are swapped. heatmaps: the
    joints that heatmap networks of this set have a channel for, in the order of the channels.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    groups: dict[str, tuple[int, ...]]
    bones: tuple[tuple[int, int], ...]
    mirror: tuple[int, ...]
    heatmaps: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Array index of a joint; ValueError if there is none of that name."""
        return self.names.index(name)

    @property
    def parts(self) -> dict[str, tuple[int, ...]]:
        """The groups that have no joint in common: together they are `groups["all"]`."""
        return {part: joints for part, joints in self.groups.items() if part in PARTS}


PARTS = {
    "head": ("Head",),
    "neck": ("Neck",),
    "spine": ("Spine", "Spine1", "Spine2"),
    "shoulders": ("LeftShoulder", "RightShoulder"),
    "arms": ("LeftArm", "RightArm"),
    "forearms": ("LeftForeArm", "RightForeArm"),
    "hands": ("LeftHand", "RightHand"),
    "fingers": ("LeftFinger", "RightFinger"),
    "hips": ("Hips",),
    "upper_legs": ("LeftUpLeg", "RightUpLeg"),
    "legs": ("LeftLeg", "RightLeg"),
    "feet": ("LeftFoot", "RightFoot"),
    "toes": ("LeftToeBase", "RightToeBase"),
}
"""Parts of the body and their joints, from the head down; the vocabulary of all joint sets but for EgoCap's camera."""

LOWER = ("hips", "upper_legs", "legs", "feet", "toes")

DERIVED = {"Hips": ("LeftUpLeg", "RightUpLeg")}
"""Joints that lie midway between two others, where a set has those but not the joint itself."""


def convert(joints: Float[Tensor, "*B J C"], source: Skeleton, target: Skeleton) -> Float[Tensor, "*B K C"]:
    """The J joints of one set as the K joints of another, of any C numbers each (positions, pixels): those of the same
    name, else the middle of the two that `DERIVED` tells. Differentiable; a NaN stays in its own joint.

    Raises:
        UserError: the joints are not as many as the source's, or one of the target is not to be had from it.
    """
    if joints.shape[-2] != len(source):
        raise UserError(f"there are {joints.shape[-2]} joints, but those of the set to convert from are {len(source)}")
    pairs = [_origin(name, source) for name in target.names]
    return joints[..., pairs, :].mean(-2)  # (a + a) / 2 is exactly a


def _origin(name: str, source: Skeleton) -> tuple[int, int]:
    """The two joints whose middle the joint of that name is; twice the same if the source has it."""
    names = (name, name) if name in source.names else DERIVED.get(name, (name, name))
    for each in names:
        if each not in source.names:
            raise UserError(f"joint '{name}' is not to be had from a set of {', '.join(source.names)}")
    return source.index(names[0]), source.index(names[1])


def _skeleton(
    names: str, parents: tuple[int, ...], unseen: tuple[str, ...] = (), unscored: tuple[str, ...] = ()
) -> Skeleton:
    """The skeleton of these joints. unseen: have no heatmaps. unscored: no part of the body, nor drawn."""
    order = names.split()
    scored = {name: joint for joint, name in enumerate(order) if name not in unscored}
    parts = {part: tuple(scored[name] for name in members if name in scored) for part, members in PARTS.items()}
    parts = {part: tuple(sorted(joints)) for part, joints in parts.items() if joints}
    lower = tuple(sorted(joint for part in LOWER for joint in parts.get(part, ())))
    whole = tuple(scored.values())
    bones = [(parent, joint) for joint, parent in enumerate(parents) if joint != parent and {joint, parent} <= {*whole}]
    hips = sorted((scored["LeftUpLeg"], scored["RightUpLeg"]))
    if "Hips" not in scored:  # where the legs hang from the shoulders the pelvis would not be drawn
        bones.append((hips[0], hips[1]))
    return Skeleton(
        names=tuple(order),
        parents=parents,
        groups={**parts, "upper": tuple(joint for joint in whole if joint not in lower), "lower": lower, "all": whole},
        bones=tuple(bones),
        mirror=tuple(order.index(_other_side(name)) for name in order),
        heatmaps=tuple(joint for joint, name in enumerate(order) if name not in unseen),
    )


def _other_side(name: str) -> str:
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.startswith(side):
            return other + name.removeprefix(side)
    return name


EGO4VIEW = _skeleton(
    "Head Neck LeftArm RightArm LeftForeArm RightForeArm LeftHand RightHand "
    "LeftUpLeg RightUpLeg LeftLeg RightLeg LeftFoot RightFoot LeftToeBase RightToeBase",
    parents=(0, 0, 1, 1, 2, 3, 4, 5, 2, 3, 8, 9, 10, 11, 12, 13),
    unseen=("Head",),
)
"""The 16 joints of Ego4View (EgoRear, ICCV 2025) and UnrealEgo; groups of EgoRear's Table 4. No camera sees the head,
so that it has no heatmaps."""

EGOCAP = _skeleton(
    "Camera Neck LeftArm LeftForeArm LeftHand LeftFinger RightArm RightForeArm RightHand RightFinger "
    "LeftUpLeg LeftLeg LeftFoot LeftToeBase RightUpLeg RightLeg RightFoot RightToeBase",
    parents=(0, 0, 1, 2, 3, 4, 1, 6, 7, 8, 2, 10, 11, 12, 6, 14, 15, 16),
    unseen=("Camera",),
    unscored=("Camera",),
)
"""The 18 joints of EgoCap (Rhodin et al., SIGGRAPH Asia 2016); the root is the left camera, which is no joint of the
body and is not scored."""

EGOCAP_BODY = _skeleton(
    " ".join(EGOCAP.names[1:]),
    parents=(0, *(parent - 1 for parent in EGOCAP.parents[2:])),
)
"""The 17 joints of the body of `EGOCAP`, as networks for EgoCap answer them; the root is the neck."""

EGOPW = _skeleton(
    "Neck RightArm RightForeArm RightHand LeftArm LeftForeArm LeftHand "
    "RightUpLeg RightLeg RightFoot RightToeBase LeftUpLeg LeftLeg LeftFoot LeftToeBase",
    parents=(0, 0, 1, 2, 0, 4, 5, 1, 7, 8, 9, 4, 11, 12, 13),
)
"""The 15 joints of Mo2Cap2, EgoPW and SceneEgo, the published order: those of `EGO4VIEW` but the head. Unlike in the
other sets with heatmaps the root has them too."""

SMPL = _skeleton(
    "Hips LeftUpLeg RightUpLeg Spine LeftLeg RightLeg Spine1 LeftFoot RightFoot Spine2 LeftToeBase RightToeBase "
    "Neck LeftShoulder RightShoulder Head LeftArm RightArm LeftForeArm RightForeArm LeftHand RightHand "
    "LeftFinger RightFinger",
    parents=(0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21),
)
"""The 24 joints of SMPL (Loper et al., SIGGRAPH Asia 2015) under our names. Its collars are the shoulders here, its
shoulders the arms, its feet the toe bases, its hands (the knuckles) the fingers; its pelvis lies above the middle of
the hip joints."""

SKELETONS = {"ego4view": EGO4VIEW, "egocap": EGOCAP, "egocap_body": EGOCAP_BODY, "egopw": EGOPW, "smpl": SMPL}


def skeleton_named(joint_names: Sequence[str]) -> Skeleton:
    """The one of `SKELETONS` whose joints have these names, in this order.

    Raises:
        UserError: there is none.
    """
    for skeleton in SKELETONS.values():
        if list(skeleton.names) == list(joint_names):
            return skeleton
    known = " or ".join(f"the {len(each)} of {name}" for name, each in SKELETONS.items())
    raise UserError(f"the joints {', '.join(joint_names)} are no known set in its order, which would be {known}")


HEATMAP_JOINTS = tuple(EGO4VIEW.names[joint] for joint in EGO4VIEW.heatmaps)
"""The 15 joints of `EGO4VIEW` that have heatmaps: all but the head, which no camera sees."""
