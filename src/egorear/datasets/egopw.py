"""Reads EgoPW (Wang et al., CVPR 2022) as it is published; layout in docs/data.md."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from egorear.datasets.monocular import Label, Monocular
from egorear.datasets.plain_pickle import entries_of, numbers_of, read_pickle
from egorear.errors import UserError

JOINTS, PIXELS = "optimized_local_pose", ("joints_2d", "joints_2D")


class EgoPW(Monocular):
    """One split of EgoPW: `pseudo_gt.pkl` (or `pseudo.pkl`) of a sequence is a list of dicts with `image_name`,
    `optimized_local_pose` (15 x 3, m) and, in some, `joints_2d` or `joints_2D` (15 x 2, pixels of 1280x1024)."""

    DATASET: ClassVar = "egopw"
    LABELS: ClassVar = ("pseudo_gt.pkl", "pseudo.pkl")

    @classmethod
    def read_labels(cls, file: Path, stems: list[str]) -> Mapping[str, Label | None]:
        labels: dict[str, Label | None] = {}
        for place, entry in enumerate(entries_of(file, read_pickle(file), ("image_name", JOINTS))):
            name = entry["image_name"]
            if not isinstance(name, str) or not name:
                raise UserError(f"{file}: 'image_name' of entry {place} must be the name of a picture")
            stem = Path(name.replace("\\", "/")).stem
            if stem in labels:
                raise UserError(f"{file}: two entries have the 'image_name' {name}")
            joints = numbers_of(entry[JOINTS], (15, 3))
            if joints is None:
                raise UserError(f"{file}: '{JOINTS}' of {name} must be 15 x 3 numbers")
            key = next((key for key in PIXELS if entry.get(key) is not None), None)
            pixels = None if key is None else numbers_of(entry[key], (15, 2))
            if key is not None and pixels is None:
                raise UserError(f"{file}: '{key}' of {name} must be 15 x 2 numbers")
            labels[stem] = Label(joints, pixels)
        return labels
