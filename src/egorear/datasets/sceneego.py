"""Reads SceneEgo (Wang et al., CVPR 2023) as it is published; layout in docs/data.md."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from egorear.datasets.monocular import Label, Monocular
from egorear.datasets.plain_pickle import entries_of, numbers_of, read_pickle
from egorear.errors import UserError
from egorear.files import read_json

POSE = "ego_pose_gt"


class SceneEgo(Monocular):
    """One split of SceneEgo: `local_pose_gt.pkl` (or `annotation.pkl`, with the same entries) of a sequence is a list
    of dicts with `ext_id` and `ego_pose_gt` (15 x 3, m, or none). `syn.json` tells which picture that is: the one of
    number ext_id - ext + ego."""

    DATASET: ClassVar = "sceneego"
    LABELS: ClassVar = ("local_pose_gt.pkl", "annotation.pkl")

    @classmethod
    def read_labels(cls, file: Path, stems: list[str]) -> Mapping[str, Label | None]:
        later = _later(file.parent / "syn.json")
        labels: dict[str, Label | None] = {}
        for place, entry in enumerate(entries_of(file, read_pickle(file), ("ext_id", POSE))):
            number, pose = entry["ext_id"], entry[POSE]
            if type(number) is not int:
                raise UserError(f"{file}: 'ext_id' of entry {place} must be a whole number")
            stem = f"img_{number + later:06d}"
            if stem in labels:
                raise UserError(f"{file}: two entries have the 'ext_id' {number}")
            joints = numbers_of(pose, (15, 3))
            if joints is None and not isinstance(pose, str | None):
                raise UserError(f"{file}: '{POSE}' of 'ext_id' {number} must be 15 x 3 numbers or none")
            labels[stem] = None if joints is None else Label(joints)
        return labels


def _later(file: Path) -> int:
    """What makes the number of an external frame that of a picture."""
    content = read_json(file)
    for key in ("ego", "ext"):
        if not isinstance(content, dict) or type(content.get(key)) is not int:
            raise UserError(f"{file}: '{key}' must be a whole number")
    return content["ego"] - content["ext"]
