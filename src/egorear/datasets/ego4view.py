"""Readers of Ego4View-Syn and Ego4View-RW (EgoRear, ICCV 2025) as they are published; layouts in docs/data.md.

Only folders are listed when a dataset is opened (frames: those that have a JSON); images and truth are read when
asked for. Data written by `SynWriter` are read by `Ego4ViewSyn`.
"""

import os
import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from egorear.datasets.frames import FrameDataset, own_rig
from egorear.datasets.images import LIMIT_BYTES, find_image
from egorear.datasets.maps import KINDS, ViewMaps, decode_maps
from egorear.datasets.truth import FrameFile
from egorear.datasets.writer import IMAGE_FOLDER, SPLITS
from egorear.errors import UserError
from egorear.files import read_bytes, read_json
from egorear.geometry.rig import Rig, ego4view_rw, ego4view_syn
from egorear.geometry.rig_file import rigid_from_list


class Ego4View(FrameDataset):
    """One split of a dataset in the Ego4View layout, frames in natural order (frame_9 before frame_10).

    rig: default `{root}/rig.json` or else the published. For the rest see `FrameDataset`.

    Raises:
        UserError: the split's list, a folder it names or every frame is missing.
    """

    JSON_FOLDER: str

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        image_size: int | tuple[int, int] = 256,
        views: Sequence[str] | None = None,
        rig: Rig | None = None,
    ) -> None:
        root = Path(root)
        if rig is None:
            rig = own_rig(root) or self.published_rig()
        super().__init__(root, split, image_size, views, rig)
        self._folders: list[str] = []  # of sequences, relative to root, with "/" on every system
        self._folder_of: list[int] = []
        self._files: list[str] = []
        for folder in self._sequences(read_split(self.root, split)):
            files = _json_files(self.root / folder / self.JSON_FOLDER)
            self._folder_of += [len(self._folders)] * len(files)
            self._files += files
            self._folders.append(folder)
        if not self._files:
            raise UserError(f"{self.root}: split '{split}' has no frame ({self.JSON_FOLDER}/*.json)")

    @staticmethod
    @abstractmethod
    def published_rig() -> Rig:
        """The dataset's own calibration."""

    @abstractmethod
    def _sequences(self, lines: list[str]) -> Iterator[str]:
        """Folders of the sequences that the lines of a split's list name."""

    def __len__(self) -> int:
        return len(self._files)

    @cached_property
    def _names(self) -> list[str]:
        folders = (self._folders[index] for index in self._folder_of)
        return [f"{folder}/{_stem(file)}" for folder, file in zip(folders, self._files, strict=True)]

    def name(self, index: int) -> str:
        return f"{self._folders[self._folder_of[index]]}/{_stem(self._files[index])}"

    def truth_file(self, index: int) -> Path:
        return self._sequence(index) / self.JSON_FOLDER / self._files[index]

    def image_path(self, index: int, view: str) -> Path:
        """The frame's image of a view.

        Raises:
            UserError: there is none.
        """
        folder = os.path.join(self.root, self._folders[self._folder_of[index]], IMAGE_FOLDER, f"camera_{view}")
        return find_image(folder, _stem(self._files[index]))

    def files(self, index: int) -> list[Path]:
        return [self.truth_file(index), *(self.image_path(index, view) for view in self.rig.views)]

    def image_file(self, index: int, view: str) -> tuple[str, bytes]:
        path = self.image_path(index, view)
        return str(path), read_bytes(path, LIMIT_BYTES)

    def maps(self, index: int) -> dict[str, ViewMaps]:
        found = {}
        for view in self.rig.views:
            paths = {
                kind: self._sequence(index) / kind / f"camera_{view}" / f"{_stem(self._files[index])}.png"
                for kind in KINDS
            }
            files = {k: (str(path), read_bytes(path, LIMIT_BYTES)) for k, path in paths.items() if path.exists()}
            if files:
                found[view] = decode_maps(files)
        return found

    def frame(self, index: int) -> FrameFile:
        return FrameFile.load(self.truth_file(index))

    def _sequence(self, index: int) -> Path:
        return self.root / self._folders[self._folder_of[index]]


class Ego4ViewSyn(Ego4View):
    """Ego4View-Syn, and what `SynWriter` writes: lists name characters, all whose sequences belong to the split."""

    JSON_FOLDER = "json_smplx_gendered"

    @staticmethod
    def published_rig() -> Rig:
        return ego4view_syn()

    def _sequences(self, lines: list[str]) -> Iterator[str]:
        for character in lines:
            for sequence in sorted(_folders(self.root / character), key=natural_order):
                yield f"{character}/{sequence}"


class Ego4ViewRW(Ego4View):
    """Ego4View-RW: lists name sequences, each with the extrinsics of its recording in a metadata file."""

    JSON_FOLDER = "json_smplx"

    @staticmethod
    def published_rig() -> Rig:
        return ego4view_rw()

    def _sequences(self, lines: list[str]) -> Iterator[str]:
        self._rigs: dict[str, Rig] = {}
        for sequence in lines:
            _folders(self.root / sequence)  # refuses a folder that is missing
            yield sequence

    def _calibration(self, index: int, frame: FrameFile) -> Rig:
        return self.calibration(index)

    def files(self, index: int) -> list[Path]:
        return [*super().files(index), self._metadata(index)]

    def calibration(self, index: int) -> Rig:
        path = self._metadata(index)
        key = str(path)
        if key not in self._rigs:
            self._rigs[key] = self.rig.with_extrinsics(_extrinsics(path, self.rig.views))
        return self._rigs[key]

    def _metadata(self, index: int) -> Path:
        """The file of a recording's extrinsics."""
        parent, _, sequence = self._folders[self._folder_of[index]].rpartition("/")
        # Only the sequence's own name is cut: the release cuts the whole path, which a '-' in the root breaks.
        return self.root / parent / f"{sequence.split('-')[0]}_metadata.json"


def open_ego4view(
    root: str | Path,
    split: str = "train",
    image_size: int | tuple[int, int] = 256,
    views: Sequence[str] | None = None,
    rig: Rig | None = None,
) -> Ego4View:
    """Opens either dataset: the lists of Ego4View-RW name folders in folders, those of Ego4View-Syn do not."""
    kind = Ego4ViewRW if any("/" in line for line in read_split(Path(root), split)) else Ego4ViewSyn
    return kind(root, split, image_size, views, rig)


UNREALEGO_PREFIX = "./UnrealEgoData/"  # the folder that UnrealEgo's release unpacks to, in each line of its lists


def read_split(root: Path, split: str) -> list[str]:
    """The lines of a split's list, in its order; without the prefix that those of UnrealEgo have.

    Raises:
        UserError: there is no such split, the list cannot be read, or a line is no folder below the root.
    """
    if split not in SPLITS:
        raise UserError(f"'{split}' is no split of {root}; there are {', '.join(SPLITS)}")
    path = root / f"{split}.txt"
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        if isinstance(error, FileNotFoundError):
            others = [name for name in SPLITS if (root / f"{name}.txt").exists()]
            reason = f"{root} has the splits {', '.join(others)}" if others else f"{root} is no dataset (docs/data.md)"
            reason = reason if root.is_dir() else f"there is no folder {root}"
        raise UserError(f"cannot read the list of frames {path}: {reason}") from error
    lines = [line.strip().rstrip("/").removeprefix(UNREALEGO_PREFIX) for line in text.splitlines() if line.strip()]
    for line in lines:
        if line.startswith("/") or "\\" in line or "\0" in line or {"", ".", ".."} & set(line.split("/")):
            raise UserError(f"{path}: '{line}' must be the path of a folder inside {root}")
    return list(dict.fromkeys(lines))


def natural_order(text: str) -> list[tuple[int, str]]:
    """A sort key by which numbers inside names count as numbers."""
    return [(int(part), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", text)]


def _folders(path: Path) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    except OSError as error:
        raise UserError(f"cannot list {path}, which a split names: {error.strerror or error}") from error


def _json_files(path: Path) -> list[str]:
    """File names in natural order of their stems; none if the folder is missing (a sequence being written)."""
    try:
        with os.scandir(path) as entries:
            names = [entry.name for entry in entries]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"cannot list {path}: {error.strerror or error}") from error
    frames = [name for name in names if name.lower().endswith(".json") and not name.startswith(".")]
    return sorted(frames, key=lambda name: natural_order(_stem(name)))


def _stem(file: str) -> str:
    return file[: -len(".json")]


def _extrinsics(path: Path, views: Sequence[str]) -> Float[Tensor, "V 4 4"]:
    """Device-to-camera matrices (m) of a recording of Ego4View-RW."""
    content = read_json(path)
    matrices = content.get("coord_transformation_matrix") if isinstance(content, dict) else None
    if not isinstance(matrices, dict):
        raise UserError(f"{path}: 'coord_transformation_matrix' must be an object")
    T = []
    for view in views:
        field = f"coord_transformation_matrix.device_to_camera_{view}"
        try:
            T.append(rigid_from_list(matrices.get(f"device_to_camera_{view}"), field))
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
    return torch.stack(T).float()
