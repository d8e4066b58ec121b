"""Reads the test set of Mo2Cap2 (Xu et al., TVCG 2019) as it is published, and as AG-EgoPose's release lays it out.

    {folder}/{sequence}/*.jpg        {folder}/{sequence}_gt.mat               as published
    {folder}/{sequence}/imgs/*.jpg   {folder}/{sequence}/{sequence}_gt.mat    AG-EgoPose's

Details: docs/data.md. The training set: `mo2cap2_chunks.py`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from egorear.datasets.mat_arrays import read_mat_array
from egorear.datasets.monocular import Label, Monocular
from egorear.geometry.skeleton import EGOPW


class Mo2Cap2(Monocular):
    """One split of Mo2Cap2's test set: `pose_gt` (n x 15 x 3, mm) of a sequence's MAT-file has a pose for each picture
    in their order; what is left over of either is left out.

    The poses are not in the frame of the camera: only what is scored after an alignment means anything (PA-MPJPE),
    which opening warns of, and their joints are visible nowhere."""

    DATASET: ClassVar = "mo2cap2"
    IN_CAMERA_FRAME: ClassVar = False

    @classmethod
    def label_files(cls, folder: Path) -> list[Path]:
        name = f"{folder.name}_gt.mat"
        return [folder / name, folder.parent / name]

    @classmethod
    def picture_folder(cls, folder: Path) -> Path:
        inner = super().picture_folder(folder)
        return inner if inner.is_dir() else folder

    @classmethod
    def read_labels(cls, file: Path, stems: list[str]) -> Mapping[str, Label | None]:
        poses = read_mat_array(file, "pose_gt", (None, len(EGOPW), 3)) / 1000
        return {stem: Label(pose) for stem, pose in zip(stems, poses, strict=False)}
