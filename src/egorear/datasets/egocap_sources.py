"""Where EgoCap keeps its frames: three kinds of files, each with the truth of a frame and its two pictures.

Everything is delivered for the 1024 px square around a camera's centre, of 1280x1024 (`calibration.egocap_column`):
joints in cm, camera 0's frame; pixels of the square; pictures of it at the stored resolution.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from egorear.datasets.hdf5_arrays import hdf5_array, open_hdf5
from egorear.datasets.images import COLOR, LIMIT_BYTES, decode_image, encode_png, png_of_normalised
from egorear.datasets.npy_objects import array_field, read_npy_object
from egorear.errors import UserError
from egorear.files import read_bytes
from egorear.geometry.skeleton import EGOCAP

HDF5 = "Ego_pose_stereo_cleaned.hdf5"
TEST_FOLDER = "validation_v003_3D"
POSES_3D = f"{TEST_FOLDER}/dataset3D.mddd"
POSES_2D = "validation_v003_2D/dataset.txt"
FULL_WIDTH, FULL_HEIGHT = 1280, 1024
LATER_BY = 85  # frames that camera 0's numbers are ahead of camera 1's in the test recording
LIMIT_FRAMES = 200_000  # 35,000 are published
TEXT_LIMIT_BYTES = 256 * 2**20
JOINTS = len(EGOCAP)
NAMES_2D = re.compile(r".*S7_v003_cam([01])_frame-(\d+)\.jpg")

Truth = tuple[Float[np.ndarray, "J 3"], Float[np.ndarray, "2 J 2"]]


@runtime_checkable
class Source(Protocol):
    """Some frames of one recording. numbers: those of camera 0, ascending."""

    @property
    def numbers(self) -> list[int]: ...

    def file(self, index: int) -> Path:
        """What holds a frame's truth."""
        ...

    def files(self, index: int) -> list[Path]:
        """All that a frame is read from."""
        ...

    def truth(self, index: int) -> Truth:
        """Joints and pixels of both cameras; row 0, the camera, is the origin by definition.

        Raises:
            UserError (also `picture`): something is missing or damaged.
        """
        ...

    def picture(self, index: int, side: int) -> tuple[str, bytes]:
        """What a user knows the picture of camera 0 or 1 by, and the square as PNG."""
        ...


@dataclass(frozen=True, eq=False)
class TrainingPoses:
    """The arrays of the file that EgoCap's authors hand out: pose_2d (share of 1280x1024), pose_3d (mm, depth
    backwards), subject_index (1 to 6), frame_index (of cameras 0 and 1)."""

    path: Path
    pose_2d: Float[np.ndarray, "N 2 J 2"]
    pose_3d: Float[np.ndarray, "N J 3"]
    subject_index: np.ndarray
    frame_index: np.ndarray

    @staticmethod
    def load(root: Path) -> "TrainingPoses":
        """Reads `{root}/[EgoCapDataloader3D/]Ego_pose_stereo_cleaned.hdf5`.

        Raises:
            UserError: h5py is not installed, or the file is missing, damaged or of other arrays.
        """
        path = find_hdf5(root)
        if path is None:
            raise UserError(
                f"{root / HDF5} is missing: EgoCap's training poses are not public, ask its authors or use the "
                f"preprocessed layout"
            )
        with open_hdf5(path) as file:
            arrays = {name: _training_array(path, file, name) for name in SHAPES}
        if len({len(array) for array in arrays.values()}) > 1:
            raise UserError(f"{path}: {', '.join(SHAPES)} must have as many rows as each other")
        return TrainingPoses(path, **arrays)


SHAPES = {"pose_2d": (2, JOINTS, 2), "pose_3d": (JOINTS, 3), "subject_index": (), "frame_index": (2,)}


def find_hdf5(root: Path) -> Path | None:
    """The file of training poses, if it is there."""
    return next((path for path in (root / HDF5, root / "EgoCapDataloader3D" / HDF5) if path.is_file()), None)


def _training_array(path: Path, file: Any, name: str) -> np.ndarray:
    kinds = "fiu" if name.startswith("pose") else "iu"
    data = hdf5_array(path, file, name, SHAPES[name], kinds, LIMIT_FRAMES)
    return data[()].astype(np.float64 if "f" in kinds else np.int64)


class TrainingSource:
    """A subject of the training recordings: `training_v000/images/S<k>_v000_cam<c>_frame-<4 digits>.jpg`.

    Camera 1's pictures are stored mirrored, its pixels are not. columns: the first of each camera that is kept.

    Raises:
        UserError: the subject has no frame.
    """

    def __init__(self, root: Path, subject: int, poses: TrainingPoses, columns: tuple[int, int]) -> None:
        self._folder, self._subject, self._poses, self._columns = root / "training_v000/images", subject, poses, columns
        rows = np.flatnonzero(poses.subject_index == subject)
        self._rows = rows[np.argsort(poses.frame_index[rows, 0], kind="stable")]
        self.numbers: list[int] = poses.frame_index[self._rows, 0].tolist()
        if not self.numbers:
            raise UserError(f"{poses.path}: 'subject_index' has no {subject} (training subjects are 1 to 6)")
        if len(set(self.numbers)) < len(self.numbers):
            raise UserError(f"{poses.path}: 'frame_index' has a frame of camera 0 of subject {subject} twice")

    def file(self, index: int) -> Path:
        return self._poses.path

    def files(self, index: int) -> list[Path]:
        return [self._poses.path, self._picture(index, 0), self._picture(index, 1)]

    def truth(self, index: int) -> Truth:
        row = self._rows[index]
        pixels = self._poses.pose_2d[row] * (FULL_WIDTH, FULL_HEIGHT)
        # The depth axis is turned: these poses have it backwards, those of the test recording do not.
        return self._poses.pose_3d[row] / 10 * (1, 1, -1), _shifted(pixels, self._columns)

    def picture(self, index: int, side: int) -> tuple[str, bytes]:
        return _square(self._picture(index, side), self._columns[side], mirrored=side == 1)

    def _picture(self, index: int, side: int) -> Path:
        number = self._poses.frame_index[self._rows[index], side]
        return self._folder / f"S{self._subject}_v000_cam{side}_frame-{number:04d}.jpg"


class StereoTestSource:
    """The test recording: `validation_v003_3D/images/franzi_01-cam0/frame-<f>.jpg`, `…-cam1/frame-<f - 85>.jpg`,
    `dataset3D.mddd`, and of the same frames `validation_v003_2D/dataset.txt`, where camera 1 of subject S7 is mirrored.

    Raises:
        UserError: a file of poses is missing or damaged.
    """

    def __init__(self, root: Path, columns: tuple[int, int]) -> None:
        self._root, self._columns = root, columns
        self._poses = dict(sorted(_read_mddd(root / POSES_3D)))
        self.numbers = list(self._poses)

    def file(self, index: int) -> Path:
        return self._root / POSES_3D

    def files(self, index: int) -> list[Path]:
        return [self.file(index), self._root / POSES_2D, self._picture(index, 0), self._picture(index, 1)]

    @cached_property
    def _pixels(self) -> dict[tuple[int, int], Float[np.ndarray, "J 2"]]:
        return dict(_read_points(self._root / POSES_2D))

    def truth(self, index: int) -> Truth:
        number = self.numbers[index]
        pixels = []
        for side, own in enumerate((number, number - LATER_BY)):
            if (side, own) not in self._pixels:
                raise UserError(f"{self._root / POSES_2D} has no frame {own} of camera {side} of S7")
            pixels.append(self._pixels[side, own])
        mirrored = pixels[1][list(EGOCAP.mirror)]
        # Mirroring a picture takes x to 1279 - x; the release has 1280 - x, and so have its preprocessed files.
        pixels[1] = np.stack((FULL_WIDTH - mirrored[:, 0], mirrored[:, 1]), -1)
        return self._poses[number] / 10, _shifted(np.stack(pixels), self._columns)

    def picture(self, index: int, side: int) -> tuple[str, bytes]:
        return _square(self._picture(index, side), self._columns[side], mirrored=False)

    def _picture(self, index: int, side: int) -> Path:
        number = self.numbers[index] - side * LATER_BY
        return self._root / TEST_FOLDER / "images" / f"franzi_01-cam{side}" / f"frame-{number}.jpg"


class PreprocessedSource:
    """A folder of the files that EgoTAP's preprocessing writes, `frame_<n>.npy`.

    Raises:
        UserError: it has none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        found = (re.fullmatch(r"frame_(\d+)\.npy", path.name) for path in folder.iterdir())
        self._names = dict(sorted((int(name[1]), name[0]) for name in found if name))
        self.numbers = list(self._names)
        if not self.numbers:
            raise UserError(f"{folder} has no frame_<n>.npy")
        self._last: tuple[Path, dict[str, Any]] | None = None

    def file(self, index: int) -> Path:
        return self._folder / self._names[self.numbers[index]]

    def files(self, index: int) -> list[Path]:
        return [self.file(index)]

    def truth(self, index: int) -> Truth:
        source, content = str(self.file(index)), self._content(index)
        pixels = [array_field(source, content, f"gt_camera_2d_{side}", (JOINTS, 2)) for side in ("left", "right")]
        return array_field(source, content, "gt_local_pose", (JOINTS, 3)), np.stack(pixels)

    def picture(self, index: int, side: int) -> tuple[str, bytes]:
        path, key = self.file(index), f"input_rgb_{('left', 'right')[side]}"
        values = array_field(str(path), self._content(index), key, (3, 256, 256))
        return f"{path}:{key}", png_of_normalised(f"{path}: '{key}'", values)

    def _content(self, index: int) -> dict[str, Any]:
        """The file's content; the last is kept, since a frame's truth and pictures share it."""
        path = self.file(index)
        if (last := self._last) is None or last[0] != path:
            self._last = last = path, read_npy_object(path)
        return last[1]


def _shifted(pixels: Float[np.ndarray, "2 J 2"], columns: tuple[int, int]) -> Float[np.ndarray, "2 J 2"]:
    return pixels - np.array([(column, 0) for column in columns])[:, None]


def _square(path: Path, column: int, mirrored: bool) -> tuple[str, bytes]:
    """The square of a picture of 1280x1024 at any resolution."""
    image: UInt8[np.ndarray, "H W 3"] = decode_image(str(path), read_bytes(path, LIMIT_BYTES), COLOR)
    height, width = image.shape[:2]
    if width * FULL_HEIGHT != height * FULL_WIDTH:
        raise UserError(f"{path} is {width}x{height} but must be 640x512, or as wide for its height")
    if mirrored:
        image = image[:, ::-1]
    first = column * width // FULL_WIDTH
    return str(path), encode_png(np.ascontiguousarray(image[:, first : first + height]))


def _read_mddd(path: Path) -> Iterable[tuple[int, Float[np.ndarray, "J 3"]]]:
    """Frame numbers and joints (mm) of a file of the skeleton tool: a head line, then a frame a line."""
    seen = set()
    for place, line in enumerate(_lines(path)[1:], 2):
        if not line.strip() or line.startswith("Skeletool"):
            continue
        try:
            values = np.array(line.split(), np.float64)
        except ValueError:
            values = np.empty(0)
        if len(values) != 1 + 3 * JOINTS or not np.isfinite(values).all() or values[0] % 1 or values[0] in seen:
            raise UserError(
                f"{path}: line {place} must be the number of a frame that no other line has, and {3 * JOINTS} numbers"
            )
        seen.add(values[0])
        yield int(values[0]), values[1:].reshape(JOINTS, 3)


def _read_points(path: Path) -> Iterable[tuple[tuple[int, int], Float[np.ndarray, "J 2"]]]:
    """(camera, frame) and full-resolution pixels of the blocks of subject S7: after a line with "#" a picture's path,
    four whole numbers of which the last counts the points, and as many lines of index, x, y (half resolution)."""
    lines = _lines(path)
    starts = [place for place, line in enumerate(lines) if line.startswith("#")]
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        picture = NAMES_2D.fullmatch(lines[start + 1].strip()) if start + 1 < end else None
        if picture is None:
            continue
        words = [line.split() for line in lines[start + 2 : end] if line.strip()]
        head = 0
        while head < len(words) and len(words[head]) == 1:
            head += 1
        rows = words[head:]
        try:
            count = int(words[head - 1][0]) if head == 4 else -1
            values = np.array(rows, np.float64)
        except ValueError:
            count, values = -1, np.empty((0, 3))
        if count != JOINTS or values.shape != (JOINTS, 3) or sorted(values[:, 0]) != list(range(JOINTS)):
            raise UserError(
                f"{path}: the block of line {start + 1} must have three sizes, the number {JOINTS} and as many lines "
                f"of index, x and y, one for each joint"
            )
        points = values[np.argsort(values[:, 0]), 1:]
        if not all(map(math.isfinite, points.flat)):
            raise UserError(f"{path}: the block of line {start + 1} must have finite points")
        yield (int(picture[1]), int(picture[2])), 2 * points


def _lines(path: Path) -> list[str]:
    try:
        return read_bytes(path, TEXT_LIMIT_BYTES).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file") from error
