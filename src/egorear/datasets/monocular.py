"""What EgoPW, SceneEgo and Mo2Cap2 have in common: sequences of pictures of one fisheye camera, with a file of labels.

    {person}/{sequence}/imgs/img_XXXXXX.jpg        1280 x 1024

A subclass knows the labels' file, and where else the pictures may be. Details: docs/data.md.
"""

import logging
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float

from egorear.datasets.ego4view import natural_order
from egorear.datasets.frames import locate
from egorear.datasets.front_camera import VIEW, FrontCamera
from egorear.datasets.images import LIMIT_BYTES, SUFFIXES
from egorear.datasets.monocular_lists import find_list, split_sequences
from egorear.datasets.truth import FrameFile
from egorear.datasets.writer import SPLITS
from egorear.errors import UserError
from egorear.files import read_bytes
from egorear.geometry.rig import Rig

PICTURES = "imgs"


@dataclass(frozen=True, eq=False)
class Label:
    """joints: metres, camera frame. pixels: of the whole calibrated image, where the file tells them."""

    joints: Float[np.ndarray, "15 3"]
    pixels: Float[np.ndarray, "15 2"] | None = None


@dataclass(frozen=True, eq=False)
class Take:
    """The labelled pictures of one sequence. name: its folder below the root. pictures: files in `folder`. labels: of
    each picture, from `file`."""

    name: str
    file: Path
    folder: Path
    pictures: list[str]
    labels: list[Label]


class Monocular(FrontCamera):
    """One split of a dataset of one fisheye camera, sequences in the order of the list, frames in natural order.

    Frames are the pictures that have a pose: those without a label, or whose pose is not finite, are left out with a
    warning, as are sequences that the list names but nobody downloaded. A picture of the whole calibrated image is cut
    to what the rig's camera sees of it. For the rest see `FrontCamera`.

    Raises:
        UserError: the split's list or every frame is missing, or a file of labels is missing or damaged.
    """

    DATASET: ClassVar[str]  # as the release's lists call it
    LABELS: ClassVar[tuple[str, ...]] = ()  # the first of these that a sequence has

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        image_size: int | tuple[int, int] = 256,
        views: Sequence[str] | None = None,
        rig: Rig | None = None,
    ) -> None:
        root = Path(root)
        super().__init__(root, split, image_size, views, rig)
        self._takes: list[Take] = []
        folders = split_sequences(root, split, self.DATASET)
        for folder in folders:
            if "/" not in folder:
                raise UserError(f"{root / f'{split}.txt'}: '{folder}' must be a folder in a folder: person/sequence")
        missing = [folder for folder in folders if not (root / folder).is_dir()]
        lost: list[str] = []
        for folder in folders:
            if folder not in missing:
                self._takes.append(self._open(folder, lost))
        self._ends = list(accumulate(len(take.pictures) for take in self._takes))
        if not self._ends or not self._ends[-1]:
            first = f", the first it names is {folders[0]}" if folders else ""
            raise UserError(f"{root}: split '{split}' has no picture with a pose{first}")
        logger = logging.getLogger("egorear")
        if missing:
            logger.warning(
                "%s: %d of the %d sequences of '%s' are missing and left out, the first is %s",
                root, len(missing), len(folders), split, missing[0],
            )  # fmt: skip
        if lost:
            logger.warning(
                "%s: %d of the %d pictures of '%s' have no pose and are left out, the first is %s",
                root, len(lost), len(lost) + len(self), split, lost[0],
            )  # fmt: skip

        if not self.IN_CAMERA_FRAME:
            logger.warning(
                "%s: the poses are not in the frame of the camera: of their errors only PA-MPJPE means anything, and "
                "where the joints are in the pictures is not known",
                root,
            )

    @classmethod
    def label_files(cls, folder: Path) -> list[Path]:
        """Where a sequence's labels may be."""
        return [folder / name for name in cls.LABELS]

    @classmethod
    def picture_folder(cls, folder: Path) -> Path:
        """Where a sequence's pictures are."""
        return folder / PICTURES

    @classmethod
    @abstractmethod
    def read_labels(cls, file: Path, stems: list[str]) -> Mapping[str, Label | None]:
        """The labels of a sequence by the stems of pictures, None where the pose is not told. stems: those of the
        pictures that there are, in their order.

        Raises:
            UserError: the file is damaged, or an entry lacks what it must have.
        """

    def _open(self, folder: str, lost: list[str]) -> Take:
        """One sequence; pictures without a pose are added to `lost`."""
        path = self.root / folder
        file = find_labels(type(self), path)
        if file is None:
            names = (os.path.relpath(each, path) for each in self.label_files(path))
            raise UserError(f"{path} has no {' or '.join(names)}")
        images = self.picture_folder(path)
        stored = sorted(_pictures(images).items(), key=lambda each: natural_order(each[0]))
        labels, pictures, found = self.read_labels(file, [stem for stem, _ in stored]), [], []
        for stem, name in stored:
            label = labels.get(stem)
            if label is None or not np.isfinite(label.joints).all():
                lost.append(f"{images.relative_to(self.root)}/{name}")
            else:
                pictures.append(name)
                found.append(label)
        return Take(folder, file, images, pictures, found)

    def __len__(self) -> int:
        return self._ends[-1]

    @cached_property
    def _names(self) -> list[str]:
        return [f"{take.name}/{_stem(picture)}" for take in self._takes for picture in take.pictures]

    def name(self, index: int) -> str:
        return self._names[index]

    def truth_file(self, index: int) -> Path:
        return self._locate(index)[0].file

    def files(self, index: int) -> list[Path]:
        take, place = self._locate(index)
        return [take.file, take.folder / take.pictures[place]]

    def image_file(self, index: int, view: str) -> tuple[str, bytes]:
        _, path = self.files(index)
        return str(path), read_bytes(path, LIMIT_BYTES)

    def frame(self, index: int) -> FrameFile:
        take, place = self._locate(index)
        label, camera = take.labels[place], self.rig.cameras[VIEW]
        seen, told = torch.from_numpy(label.joints), label.pixels
        pixels = camera.project(seen)[0].numpy() if told is None else told * camera.scale + camera.shift
        return self._frame(f"{take.file} ({take.pictures[place]})", seen, 100 * seen, pixels)

    def _locate(self, index: int) -> tuple[Take, int]:
        take, place = locate(self._ends, index)
        return self._takes[take], place


def is_monocular(dataset: type[Monocular], root: str | Path) -> bool:
    """Whether a list in a folder names a sequence that has labels of that dataset.

    Raises:
        UserError: a list is damaged.
    """
    root = Path(root)
    return any(
        find_labels(dataset, root / folder) is not None
        for split in SPLITS
        if find_list(root, split, dataset.DATASET) is not None
        for folder in split_sequences(root, split, dataset.DATASET)
    )


def find_labels(dataset: type[Monocular], folder: Path) -> Path | None:
    """The file of a sequence's labels, none where there is none."""
    return next((path for path in dataset.label_files(folder) if path.is_file()), None)


def monocular_splits(dataset: type[Monocular], root: str | Path) -> list[str]:
    """The splits whose lists name anything.

    Raises:
        UserError: a list is damaged.
    """
    root, name = Path(root), dataset.DATASET
    return [s for s in SPLITS if find_list(root, s, name) is not None and split_sequences(root, s, name)]


def _pictures(folder: Path) -> dict[str, str]:
    """The names of a folder's pictures by their stems; a folder without any is refused."""
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise UserError(f"cannot list {folder}: {error.strerror or error}") from error
    found = {_stem(name): name for name in names if name.endswith(SUFFIXES) and not name.startswith(".")}
    if not found:
        raise UserError(f"{folder} has no picture")
    return found


def _stem(name: str) -> str:
    return name.rpartition(".")[0]
