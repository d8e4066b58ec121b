"""Where frames come from: a dataset split, a folder of images per camera, or a video per camera.

A source is opened before any work starts, so that what is missing is told at once; its images are read one frame at
a time.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import UInt8

from egorear.datasets.ego4view import natural_order
from egorear.datasets.frames import FrameDataset
from egorear.datasets.images import SUFFIXES, read_image
from egorear.datasets.opening import open_dataset
from egorear.errors import UserError
from egorear.geometry.rig import Rig


@dataclass(frozen=True)
class Frame:
    """One moment seen by every camera. images: RGB by view. timestamp: seconds from the first frame."""

    name: str
    images: dict[str, UInt8[np.ndarray, "_ _ 3"]]
    rig: Rig
    timestamp: float


@runtime_checkable
class Source(Protocol):
    """Frames in order. remarks: what the user should know, one sentence each; may grow while frames are read."""

    remarks: list[str]

    @property
    def names(self) -> list[str]:
        """Every frame's name; what comes before the last "/" tells its sequence."""
        ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Frame]: ...


class DatasetSource:
    """A split of a dataset; each frame has the extrinsics of its recording. limit: at most so many frames, evenly
    spread over the split."""

    def __init__(self, dataset: FrameDataset, fps: float | None = None, limit: int | None = None) -> None:
        self.dataset = dataset
        self.fps = fps or 1.0
        self.remarks: list[str] = []
        count = min(len(dataset), limit or len(dataset))
        self.indices = [number * len(dataset) // count for number in range(count)]

    @property
    def names(self) -> list[str]:
        return [self.dataset.name(index) for index in self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Frame]:
        for index in self.indices:
            rig = self.dataset.calibration(index)
            images = {view: self.dataset.image(index, view) for view in rig.views}
            yield Frame(self.dataset.name(index), images, rig, index / self.fps)


class FolderSource:
    """A folder of images per view; images of one moment have the same stem.

    Raises:
        UserError: a folder is missing or empty, or an image has no counterpart in another view.
    """

    def __init__(self, folders: dict[str, Path], rig: Rig, fps: float | None = None) -> None:
        self.rig = rig.select(tuple(folders))
        self.fps = fps or 1.0
        self.remarks: list[str] = []
        self.files = {view: _images_by_stem(folder) for view, folder in folders.items()}
        self.stems = sorted(set().union(*self.files.values()), key=natural_order)
        for view, files in self.files.items():
            if missing := [stem for stem in self.stems if stem not in files]:
                other = next(view for view, files in self.files.items() if missing[0] in files)
                raise UserError(
                    f"{folders[view] / missing[0]}.jpg is missing: view '{view}' has {len(files)} images, but "
                    f"'{other}' has {self.files[other][missing[0]].name} and {len(self.files[other])} in all"
                )

    @property
    def names(self) -> list[str]:
        return self.stems

    def __len__(self) -> int:
        return len(self.stems)

    def __iter__(self) -> Iterator[Frame]:
        for index, stem in enumerate(self.stems):
            images = {view: read_image(files[stem]) for view, files in self.files.items()}
            yield Frame(stem, images, self.rig, index / self.fps)


class VideoSource:
    """A video per view, all started at the same moment; ends with the shortest.

    Raises:
        UserError: a file is no video, or (while reading) ends before the number of frames it announces.
    """

    def __init__(self, files: dict[str, Path], rig: Rig, fps: float | None = None) -> None:
        self.rig = rig.select(tuple(files))
        self.files = files
        self.remarks: list[str] = []
        lengths, rates = {}, {}
        for view, path in files.items():
            video = _open_video(path)
            lengths[view], rates[view] = int(video.get(cv2.CAP_PROP_FRAME_COUNT)), video.get(cv2.CAP_PROP_FPS)
            video.release()
            if lengths[view] <= 0:
                raise UserError(f"{path} cannot be read as a video: it announces no frames")
        self.length = min(lengths.values())
        self.fps = fps or next((rate for rate in rates.values() if rate > 0), 1.0)
        if len(set(lengths.values())) > 1:
            counts = ", ".join(f"{view} {length}" for view, length in lengths.items())
            self.remarks.append(f"the videos differ in length ({counts} frames): stopping after {self.length}")
        if fps is None and max(rates.values()) - min(rates.values()) > 0.01:
            raise UserError(
                "the videos differ in frame rate ("
                + ", ".join(f"{view} {rate:g}" for view, rate in rates.items())
                + "): convert them to one, or give --fps if their frames do belong together"
            )

    @property
    def names(self) -> list[str]:
        return [f"{index:06d}" for index in range(self.length)]

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Frame]:
        videos = {view: _open_video(path) for view, path in self.files.items()}
        try:
            for index, name in enumerate(self.names):
                images = {view: self._next(view, video, index) for view, video in videos.items()}
                yield Frame(name, images, self.rig, index / self.fps)
        finally:
            for video in videos.values():
                video.release()

    def _next(self, view: str, video: cv2.VideoCapture, index: int) -> UInt8[np.ndarray, "H W 3"]:
        found, image = video.read()
        if not found or image is None:
            raise UserError(
                f"{self.files[view]} is truncated or damaged: it announces at least {self.length} frames but frame "
                f"{index} cannot be read"
            )
        return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def batches(source: Source, size: int) -> Iterator[list[Frame]]:
    """Consecutive frames of one rig, at most `size` of them.

    Raises:
        UserError: an image cannot be read or has another aspect ratio than its camera; names the frame.
    """
    last: tuple[Rig | None, str] = (None, "")

    def rig_of(frame: Frame) -> str:
        # The last alone is kept: where every frame has its own extrinsics a table of all would grow without end.
        nonlocal last
        if frame.rig is not last[0]:
            last = frame.rig, frame.rig.hash()
        return last[1]

    for _, frames in itertools.groupby(map(_checked, source), rig_of):
        while batch := list(itertools.islice(frames, size)):
            yield batch


def _checked(frame: Frame) -> Frame:
    """The frame: a recording that changes its resolution is told of by the name of the place."""
    for view, image in frame.images.items():
        camera, (height, width) = frame.rig.cameras[view], image.shape[:2]
        if not camera.same_aspect(width, height):
            raise UserError(
                f"frame '{frame.name}' of view '{view}' is {width}x{height} but must have the aspect ratio of its "
                f"camera in the rig, {camera.width}x{camera.height}"
            )
    return frame


def open_source(
    sources: Sequence[str], rig: Rig | None = None, split: str | None = None, fps: float | None = None
) -> Source:
    """What the arguments of `egorear predict` name: a dataset (with `split`), `view=folder` or `view=video` each, or
    one folder that has a folder per view (named `view` or `camera_view`).

    Raises:
        UserError: a source cannot be read, is of no such kind, or no rig is given where one is needed.
    """
    if split is not None:
        if len(sources) != 1:
            raise UserError(f"--split belongs to one dataset folder but {len(sources)} sources are given")
        return DatasetSource(open_dataset(sources[0], split, rig=rig), fps)
    if rig is None:
        raise UserError("--rig is missing: images and videos need the rig file of their cameras (docs/rig.md)")
    paths = sources_by_view(sources, rig)
    for view, path in paths.items():
        if not path.exists():
            raise UserError(f"{path}, the source of view '{view}', does not exist")
    folders = [path.is_dir() for path in paths.values()]
    if any(folders) and not all(folders):
        raise UserError("the sources are folders and videos mixed, but must all be of one kind")
    return FolderSource(paths, rig, fps) if all(folders) else VideoSource(paths, rig, fps)


def sources_by_view(sources: Sequence[str], rig: Rig) -> dict[str, Path]:
    """The path of each of the rig's views, in the rig's order, so that another order of the arguments makes no other
    rig: `view=path` each, or one folder with a folder per view.

    Raises:
        UserError: an argument is no such thing, or a view has none or two.
    """
    if len(sources) == 1 and (parent := Path(sources[0])).is_dir():
        found = {view: folder for view in rig.views if (folder := _view_folder(parent, view))}
        if not found:
            raise UserError(
                f"{parent} has no folder named like a view of rig '{rig.name}' ({', '.join(rig.views)}); "
                "egorear predict takes a dataset with --split"
            )
    else:
        found = {}
        for source in sources:
            view, equals, path = source.partition("=")
            if len(sources) == 1 and not equals and not Path(source).exists():
                raise UserError(f"{source} does not exist")
            if not equals or not path:
                raise UserError(f"source '{source}' must be a folder, or view=folder or view=video, once per camera")
            if view in found:
                raise UserError(f"view '{view}' is given twice")
            if view not in rig.cameras:
                raise UserError(f"'{view}' in '{source}' is no view of rig '{rig.name}' ({', '.join(rig.views)})")
            found[view] = Path(path)
    if missing := [view for view in rig.views if view not in found]:
        raise UserError(
            f"view '{missing[0]}' of rig '{rig.name}' has no images or video: give {missing[0]}=PATH, or a rig file "
            "without that camera"
        )
    return {view: found[view] for view in rig.views}


def _view_folder(parent: Path, view: str) -> Path | None:
    return next((folder for name in (view, f"camera_{view}") if (folder := parent / name).is_dir()), None)


def _images_by_stem(folder: Path) -> dict[str, Path]:
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.name[0] != ".")
    except OSError as error:
        raise UserError(f"cannot list {folder}: {error.strerror or error}") from error
    if not files:
        raise UserError(f"{folder} has no image ({', '.join(SUFFIXES[:3])})")
    by_stem = {path.stem: path for path in files}
    if len(by_stem) < len(files):
        twice = next(path for path in files if by_stem[path.stem] != path)
        raise UserError(f"{twice} and {by_stem[twice.stem].name} have the same stem; keep one of them")
    return by_stem


def _open_video(path: Path) -> cv2.VideoCapture:
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise UserError(f"{path} cannot be read as a video")
    return video
