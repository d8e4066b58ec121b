"""Joint sets: names, tree, groups of the published tables, mirror images."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Skeleton:
    """An ordered set of joints.

    names: joint names in array order. parents: index of each joint's parent, the root's is its own.
    groups: joint indices scored together. bones: joint pairs that are drawn. mirror: index of the joint that takes
    each joint's place when left and right are swapped.
    The first joint is the root, and the only one without heatmaps. `groups["all"]` are those that are scored.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    groups: dict[str, tuple[int, ...]]
    bones: tuple[tuple[int, int], ...]
    mirror: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Array index of a joint; ValueError if there is none of that name."""
        return self.names.index(name)


_NAMES = (
    "Head", "Neck", "LeftArm", "RightArm", "LeftForeArm", "RightForeArm", "LeftHand", "RightHand",
    "LeftUpLeg", "RightUpLeg", "LeftLeg", "RightLeg", "LeftFoot", "RightFoot", "LeftToeBase", "RightToeBase",
)  # fmt: skip
_PARENTS = (0, 0, 1, 1, 2, 3, 4, 5, 2, 3, 8, 9, 10, 11, 12, 13)

EGO4VIEW = Skeleton(
    names=_NAMES,
    parents=_PARENTS,
    groups={
        "head": (0,),
        "neck": (1,),
        "arms": (2, 3),
        "forearms": (4, 5),
        "hands": (6, 7),
        "upper_legs": (8, 9),
        "legs": (10, 11),
        "feet": (12, 13),
        "toes": (14, 15),
        "upper": tuple(range(8)),
        "lower": tuple(range(8, 16)),
        "all": tuple(range(16)),
    },
    bones=(*((parent, joint) for joint, parent in enumerate(_PARENTS) if joint != parent), (8, 9)),
    mirror=(0, 1, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14),
)
"""The 16 joints of Ego4View (EgoRear, ICCV 2025) and UnrealEgo; groups of EgoRear's Table 4. Left and right are the
wearer's."""

_EGOCAP_PARENTS = (0, 0, 1, 2, 3, 4, 1, 6, 7, 8, 2, 10, 11, 12, 6, 14, 15, 16)

EGOCAP = Skeleton(
    names=(
        "Camera", "Neck", "LeftArm", "LeftForeArm", "LeftHand", "LeftFinger", "RightArm", "RightForeArm", "RightHand",
        "RightFinger", "LeftUpLeg", "LeftLeg", "LeftFoot", "LeftToeBase", "RightUpLeg", "RightLeg", "RightFoot",
        "RightToeBase",
    ),
    parents=_EGOCAP_PARENTS,
    groups={
        "neck": (1,),
        "arms": (2, 6),
        "forearms": (3, 7),
        "hands": (4, 8),
        "fingers": (5, 9),
        "upper_legs": (10, 14),
        "legs": (11, 15),
        "feet": (12, 16),
        "toes": (13, 17),
        "upper": tuple(range(1, 10)),
        "lower": tuple(range(10, 18)),
        "all": tuple(range(1, 18)),
    },
    bones=(*((parent, joint) for joint, parent in enumerate(_EGOCAP_PARENTS) if joint and parent), (10, 14)),
    mirror=(0, 1, 6, 7, 8, 9, 2, 3, 4, 5, 14, 15, 16, 17, 10, 11, 12, 13),
)  # fmt: skip
"""The 18 joints of EgoCap (Rhodin et al., SIGGRAPH Asia 2016); the root is the left camera, which is not scored."""

SKELETONS = {"ego4view": EGO4VIEW, "egocap": EGOCAP}

HEATMAP_JOINTS = EGO4VIEW.names[1:]
"""The 15 joints that have heatmaps: all but the head, which no camera sees."""
