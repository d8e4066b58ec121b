"""Reads EgoCap (Rhodin et al., SIGGRAPH Asia 2016), as it is published and as EgoTAP's release preprocesses it.

    training_v000/images/, Ego_pose_stereo_cleaned.hdf5                 subjects S1 to S6 (the poses are not public)
    validation_v003_3D/, validation_v003_2D/dataset.txt                 the test subject
    {training_v000/S<k>, validation_v003_3D}/all_data_with_img-256_hm-64_pose-16_npy/frame_<n>.npy      preprocessed

Details and what is unsure of them: docs/data.md.
"""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import torch

from egorear.datasets.egocap_sources import (
    POSES_3D,
    TEST_FOLDER,
    PreprocessedSource,
    Source,
    StereoTestSource,
    TrainingPoses,
    TrainingSource,
    find_hdf5,
)
from egorear.datasets.frames import FrameDataset, locate, own_rig
from egorear.datasets.maps import ViewMaps
from egorear.datasets.truth import FrameFile
from egorear.datasets.writer import SPLITS
from egorear.errors import UserError
from egorear.files import read_bytes
from egorear.geometry.calibration_scaramuzza import OCAM_TEXTS, egocap_column, read_egocap
from egorear.geometry.rig import Rig
from egorear.geometry.skeleton import EGOCAP

VIEWS = tuple(OCAM_TEXTS)
CALIBRATIONS = f"{TEST_FOLDER}/cameraCalibration"
PREPROCESSED = "all_data_with_img-256_hm-64_pose-16_npy"
SUBJECTS = tuple(f"training_v000/S{subject}" for subject in range(1, 7))
DEFAULT_SPLITS = {"train": SUBJECTS[:5], "validation": SUBJECTS[5:], "test": (TEST_FOLDER,)}
"""Where no list says otherwise. The release selects its model on the test subject; we hold out S6."""
RECORDINGS = {**{folder: folder for folder in SUBJECTS}, TEST_FOLDER: f"{TEST_FOLDER}/franzi_01"}


class EgoCap(FrameDataset):
    """One split of EgoCap: `front_left` is camera 0, whose frame is the device frame, `front_right` camera 1.

    `{split}.txt`, if there, lists the folders of a split by their last name (S1 … S6, validation_v003_3D); else
    `DEFAULT_SPLITS`. A folder that has preprocessed frames is read from them. rig: default `{root}/rig.json` or else
    the calibration (`read_egocap`). For the rest see `FrameDataset`.

    Raises:
        UserError: the split, a file of poses or a calibration is missing or damaged.
    """

    skeleton = EGOCAP

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        image_size: int | tuple[int, int] = 256,
        views: Sequence[str] | None = None,
        rig: Rig | None = None,
    ) -> None:
        root = Path(root)
        folders = split_folders(root, split)
        if not folders:
            raise UserError(f"{root / f'{split}.txt'} is empty: split '{split}' has no folder")
        if rig is None:
            rig = read_calibration(root)
        if missing := [view for view in VIEWS if view not in rig.cameras]:
            raise UserError(f"rig '{rig.name}' has no view '{missing[0]}', but EgoCap's are {', '.join(VIEWS)}")
        super().__init__(root, split, image_size, VIEWS if views is None else views, rig)
        self._both = rig.select(VIEWS).to(dtype=torch.float64)
        self._recordings = [RECORDINGS[folder] for folder in folders]
        self._sources = self._open(folders)
        self._ends = list(accumulate(len(source.numbers) for source in self._sources))

    def _open(self, folders: list[str]) -> list[Source]:
        poses: TrainingPoses | None = None
        sources: list[Source] = []
        for folder in folders:
            if (self.root / folder / PREPROCESSED).is_dir():
                sources.append(PreprocessedSource(self.root / folder / PREPROCESSED))
                continue
            left, right = (egocap_column(self.root / CALIBRATIONS / name) for name in OCAM_TEXTS.values())
            if folder == TEST_FOLDER:
                sources.append(StereoTestSource(self.root, (left, right)))
            else:
                poses = poses or TrainingPoses.load(self.root)
                sources.append(TrainingSource(self.root, int(folder[-1]), poses, (left, right)))
        return sources

    def __len__(self) -> int:
        return self._ends[-1]

    def name(self, index: int) -> str:
        recording, place = locate(self._ends, index)
        return f"{self._recordings[recording]}/frame_{self._sources[recording].numbers[place]}"

    def truth_file(self, index: int) -> Path:
        recording, place = locate(self._ends, index)
        return self._sources[recording].file(place)

    def files(self, index: int) -> list[Path]:
        recording, place = locate(self._ends, index)
        return self._sources[recording].files(place)

    def image_file(self, index: int, view: str) -> tuple[str, bytes]:
        recording, place = locate(self._ends, index)
        return self._sources[recording].picture(place, VIEWS.index(view))

    def maps(self, index: int) -> dict[str, ViewMaps]:
        return {}

    def frame(self, index: int) -> FrameFile:
        recording, place = locate(self._ends, index)
        source = self._sources[recording]
        joints, pixels = source.truth(place)
        joints[0] = 0.0
        seen = 100 * self._both.to_camera(torch.from_numpy(joints / 100)).numpy()
        fields: dict[str, Any] = {"device_pts3d": joints.tolist()}
        for view, points, pixel in zip(VIEWS, seen.tolist(), pixels.tolist(), strict=True):
            fields |= {f"camera_{view}_pts3d": points, f"camera_{view}_pts2d": pixel}
        rows = {name: {field: values[j] for field, values in fields.items()} for j, name in enumerate(EGOCAP.names)}
        return FrameFile(f"{source.file(place)} (frame {source.numbers[place]})", {"joints": rows}, EGOCAP)


def is_egocap(root: str | Path) -> bool:
    """Whether a folder holds EgoCap, raw or preprocessed."""
    return any((Path(root) / name).is_dir() for name in ("training_v000", TEST_FOLDER))


def egocap_splits(root: str | Path) -> list[str]:
    """The splits of which there is anything.

    Raises:
        UserError: a list is damaged.
    """
    root = Path(root)
    return [split for split in SPLITS if any(_is_there(root, folder) for folder in split_folders(root, split))]


def split_folders(root: Path, split: str) -> list[str]:
    """Folders below the root that a split is made of.

    Raises:
        UserError: there is no such split, or its list names something else.
    """
    if split not in SPLITS:
        raise UserError(f"'{split}' is no split of {root}; there are {', '.join(SPLITS)}")
    path = root / f"{split}.txt"
    if not path.exists():
        return list(DEFAULT_SPLITS[split])
    known = {folder.rpartition("/")[2]: folder for folder in RECORDINGS}
    folders = []
    for line in read_bytes(path, 2**20).decode("utf-8-sig", errors="replace").split():
        name = line.replace("\\", "/").rstrip("/").rpartition("/")[2]
        if name not in known:
            raise UserError(f"{path}: '{line}' must end in one of {', '.join(known)}")
        folders.append(known[name])
    return list(dict.fromkeys(folders))


def read_calibration(root: Path) -> Rig:
    """`{root}/rig.json`, or else the calibration that EgoCap or EgoTAP's preprocessing puts there.

    Raises:
        UserError: there is none, or it is damaged.
    """
    if (own := own_rig(root)) is not None:
        return own
    published = root / CALIBRATIONS
    return read_egocap(published if published.is_dir() else root)


def _is_there(root: Path, folder: str) -> bool:
    """Whether a folder's frames can be read, raw or preprocessed."""
    if (root / folder / PREPROCESSED).is_dir():
        return True
    return (root / POSES_3D).exists() if folder == TEST_FOLDER else find_hdf5(root) is not None
