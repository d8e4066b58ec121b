"""What the viewers show of a recording: its poses, the truth, the cameras and their pictures, frame by frame."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8

from egorear.datasets.frames import FrameDataset
from egorear.errors import UserError
from egorear.evaluation.matching import index_of_names, match
from egorear.geometry.rig import SHIPPED, Rig, shipped
from egorear.geometry.skeleton import Skeleton, skeleton_named
from egorear.poses import Poses
from egorear.tracking.sources import Source

Images = Mapping[str, UInt8[np.ndarray, "_ _ 3"]]
Picture = tuple[int, Callable[[], Images]]
"""A frame's index among the poses, and what reads its RGB images by view."""

Encoded = TypeVar("Encoded", bound=Sized)


@runtime_checkable
class Pictures(Protocol):
    """Iterates over the frames that have pictures, in their order."""

    def __iter__(self) -> Iterator[Picture]: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True)
class Scene:
    """Poses of N frames and what is known besides.

    truth: in the joints of the poses (m, device frame), NaN where there is none. rigs: each frame's cameras, all with
    the same views and lenses; None where they are not known. pictures: may be read more than once.

    Raises:
        UserError: there are no poses, or their joints are no set that we know.
    """

    poses: Poses
    truth: Float32[np.ndarray, "N J 3"] | None = None
    rigs: Sequence[Rig | None] = ()
    pictures: Pictures | None = None
    skeleton: Skeleton = field(init=False)

    def __post_init__(self) -> None:
        if not len(self.poses):
            raise UserError("there are no poses to show")
        object.__setattr__(self, "skeleton", skeleton_named(self.poses.joint_names))
        if not self.rigs:
            object.__setattr__(self, "rigs", (None,) * len(self.poses))

    @cached_property
    def distinct_rigs(self) -> list[Rig]:
        """The cameras of all frames, each once."""
        return list({id(rig): rig for rig in self.rigs if rig is not None}.values())

    @property
    def rig(self) -> Rig | None:
        """The cameras of the first frame whose cameras are known."""
        return self.distinct_rigs[0] if self.distinct_rigs else None

    @cached_property
    def outlines(self) -> dict[str, Float[np.ndarray, "points 3"]]:
        """`lens_outline` of every view."""
        return {} if self.rig is None else {view: lens_outline(self.rig, view) for view in self.rig.views}

    @cached_property
    def errors_mm(self) -> Float32[np.ndarray, "N J"] | None:
        """Each joint's distance from its truth, NaN where there is none."""
        if self.truth is None:
            return None
        return (1000 * np.linalg.norm(self.poses.joints.astype(np.float64) - self.truth, axis=-1)).astype(np.float32)

    @property
    def floor_m(self) -> float:
        """How far below the device the lowest joint usually is: the floor, for a person on their feet."""
        return float(np.median(self.poses.joints[..., 2].max(axis=1)))


def scene_of_dataset(poses: Poses, dataset: FrameDataset) -> Scene:
    """The scene of a dataset's frames, found by name: truth, pictures and each frame's own cameras.

    Raises:
        UserError: no frame is in the dataset, or one's truth is damaged.
    """
    matched = match(poses, dataset)
    rows = index_of_names(poses.frame_names, "the poses")
    frames = [rows[name] for name in matched.names]
    truth = np.full(poses.joints.shape, np.nan, np.float32)
    joints = [poses.joint_names.index(name) for name in matched.joints]
    truth[np.ix_(frames, joints)] = matched.target.numpy()
    places = dict(sorted(zip(frames, matched.places, strict=True)))
    rigs: list[Rig | None] = [None] * len(poses)
    same: dict[str, Rig] = {}
    for frame, place in places.items():
        rig = dataset.calibration(place)
        rigs[frame] = same.setdefault(rig.hash(), rig)
    return Scene(poses, truth, rigs, DatasetPictures(dataset, places))


def scene_of_source(poses: Poses, source: Source | None, rig: Rig | None) -> Scene:
    """The scene of a recording of one rig, without truth. No rig: the shipped one of the poses' `rig_hash`, if any.

    Raises:
        UserError: no frame of the poses is in the source.
    """
    rig = rig or next((each for name in SHIPPED if (each := shipped(name)).hash() == poses.rig_hash), None)
    pictures = None if source is None else SourcePictures(source, poses.frame_names)
    return Scene(poses, None, [rig] * len(poses), pictures)


class DatasetPictures:
    """places: index in the dataset of each frame, by its index among the poses."""

    def __init__(self, dataset: FrameDataset, places: Mapping[int, int]) -> None:
        self._dataset, self._places = dataset, places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Picture]:
        for frame, place in self._places.items():
            yield (
                frame,
                lambda place=place: {view: self._dataset.image(place, view) for view in self._dataset.rig.views},
            )


class SourcePictures:
    """Frames of folders or videos that are named as the poses are.

    Raises:
        UserError: there is none.
    """

    def __init__(self, source: Source, names: Sequence[str]) -> None:
        self._source, self._rows = source, index_of_names(names, "the poses")
        self._count = len({*source.names} & {*names})
        if not self._count:
            raise UserError(
                f"no frame name of the poses (first: '{names[0]}') is in the sources (first: '{source.names[0]}')"
            )

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Picture]:
        for frame in self._source:
            if frame.name in self._rows:
                yield self._rows[frame.name], lambda frame=frame: frame.images


def within_budget(
    pictures: Iterable[Picture], encode: Callable[[int, Images], Mapping[str, Encoded]], budget: int
) -> dict[int, Mapping[str, Encoded]]:
    """Frames encoded, evenly spread and as many as a budget of bytes (or characters) in all allows: every one, every
    2nd, every 4th ... in one pass, so that neither reading nor memory grows with what does not fit.

    encode: frame and images to what is kept of each view.
    """
    kept: dict[int, tuple[int, Mapping[str, Encoded]]] = {}
    size, step = 0, 1
    for number, (frame, read) in enumerate(pictures):
        if number % step:
            continue
        kept[number] = frame, encode(frame, read())
        size += _size(kept[number][1])
        while size > budget and kept:
            step *= 2
            kept = {each: what for each, what in kept.items() if each % step == 0} if len(kept) > 1 else {}
            size = sum(_size(what) for _, what in kept.values())
    return dict(kept.values())


def _size(encoded: Mapping[str, Sized]) -> int:
    return sum(map(len, encoded.values()))


def lens_outline(rig: Rig, view: str, points: int = 48) -> Float[np.ndarray, "points 3"]:
    """Unit rays (camera frame) around what a camera sees: its image's border, or the end of its field of view where
    that comes first. A fisheye has no pyramid to draw: past 90 degrees the rays point backward."""
    camera = rig.cameras[view]
    around = torch.linspace(0, 2 * torch.pi, points + 1, dtype=torch.float64)[:-1, None]
    angle = torch.linspace(1e-3, 1, 256, dtype=torch.float64) * (camera.max_angle - 1e-6)
    rays = torch.stack((around.cos() * angle.sin(), around.sin() * angle.sin(), angle.cos().expand(points, -1)), dim=-1)
    pixels, valid = camera.project(rays)
    seen = (valid & camera.contains(pixels)).cumprod(-1).sum(-1)  # steps outward before the first that is not seen
    return rays[torch.arange(points), (seen - 1).clamp(min=0)].numpy()
