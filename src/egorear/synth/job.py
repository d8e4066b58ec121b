"""What to render, and the takes it falls into. Everything of a take follows from its recipe, split and number."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from egorear.datasets.index import LAYOUTS
from egorear.datasets.writer import SPLITS
from egorear.errors import UserError
from egorear.geometry.rig import Rig

ENGINE_VERSION = 2  # raise it when the same seed gives other pictures
TAKES_PER_PERSON = 4
FIRST_HARD_TAKE = 10_000_000  # numbers of the hard mix begin here, so that the two never share a person or a motion
SHARES = {"validation": 0.1, "test": 0.1}  # of the frames when all splits are asked for; train gets the rest
SLOWEST_FPS, MOTION_FPS = 0.1, 30.0  # of pictures
TRUTHS = ("depth", "segmentation", "normals")
MIXES = ("all", "hard")
LARGEST_PX = 8192  # of a picture's side in samples: a view's buffers then fill a gigabyte
MOST = 1_000_000  # takes of a split, frames of a take: their names have six digits


@dataclass(frozen=True)
class Recipe:
    """What makes the pictures: the same recipe gives the same bytes.

    size: height of the images in pixels. samples: samples a pixel along each axis. fps: pictures a second of a take.
    take_frames: pictures of one person in one place; temporal models want 25-30 a second and hundreds of them.
    motion: files and folders of motion beside the shipped clips (see `sources`).
    truth: maps to render, of `TRUTHS`. children: whether people may be children. shaken: the cameras have moved in
    their holders since the rig was calibrated, each take otherwise (as in Ego4View-RW, whose layout can tell).

    Raises:
        UserError: a value is out of bounds.
    """

    rig: Rig
    seed: int = 0
    size: int = 256
    samples: int = 2
    fps: float = 6.0
    take_frames: int = 10
    motion: tuple[str, ...] = ()
    truth: tuple[str, ...] = ()
    children: bool = False
    shaken: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "rig", Rig.from_dict(self.rig.to_dict()))  # in float32, as every process gets it
        for name, least in (("seed", 0), ("size", 16), ("samples", 1), ("take_frames", 1)):
            if getattr(self, name) < least:
                raise UserError(f"'{name}' is {getattr(self, name)} but must be at least {least}")
        if self.take_frames > MOST:
            raise UserError(f"'take_frames' is {self.take_frames} but must be at most {MOST}")
        if max(self.image_size) * self.samples > LARGEST_PX:
            raise UserError(
                f"'size' is {self.size} with {self.samples} 'samples' a pixel, but no side of a picture may have more "
                f"than {LARGEST_PX} samples"
            )
        if not min(self.image_size):
            raise UserError(f"'size' is {self.size}, which leaves no width of the rig's pictures")
        if not SLOWEST_FPS <= self.fps <= MOTION_FPS:
            raise UserError(f"'fps' is {self.fps:g} but must be from {SLOWEST_FPS:g} to {MOTION_FPS:g}")
        if unknown := [name for name in self.truth if name not in TRUTHS]:
            raise UserError(f"'truth' has '{unknown[0]}' but knows only {', '.join(TRUTHS)}")

    def __getstate__(self) -> dict[str, Any]:
        # A tensor sent to another process would be moved into shared memory under every array that looks at it.
        return {**vars(self), "rig": self.rig.to_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, rig=Rig.from_dict(state["rig"]))

    @property
    def stride(self) -> int:
        """Frames of the motion from one picture to the next: as many as make its rate 30 a second or little less."""
        return max(1, int(MOTION_FPS / self.fps + 1e-6))

    @property
    def motion_fps(self) -> float:
        """Frames of the motion a second: cloth wants about 30, whatever the pictures' rate."""
        return self.stride * self.fps

    @cached_property
    def image_size(self) -> tuple[int, int]:
        """Width and height of the pictures."""
        first = next(iter(self.rig.cameras.values()))
        return round(first.width * self.size / first.height), self.size

    def image_rig(self) -> Rig:
        """The rig at the size of the pictures."""
        return self.rig.resized(*self.image_size)

    def describe(self) -> dict[str, Any]:
        """The recipe as JSON: what `synth.json` holds."""
        return {
            "engine": ENGINE_VERSION,
            "rig": self.rig.hash(),
            "seed": self.seed,
            "size": self.size,
            "samples": self.samples,
            "fps": self.fps,
            "take_frames": self.take_frames,
            "motion": [Path(source).name for source in self.motion],
            "truth": sorted(self.truth),
            "children": self.children,
            "shaken": self.shaken,
        }

    @cached_property
    def key(self) -> str:
        """Names the recipe within a process: equal recipes share what is costly to make."""
        text = json.dumps([self.describe(), self.motion], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Job:
    """A dataset to render. frames: of each split, of the ordinary mix. hard: as many again of the hard mix (head up,
    crouching, crawling, arms behind the back, loose clothes). layout: one of `datasets.index.LAYOUTS`.

    Raises:
        UserError: there is no such split or layout, a count is negative or beyond what can be named, or the cameras'
            images differ in their aspect ratio.
    """

    out: str
    recipe: Recipe
    frames: Mapping[str, int]
    hard: Mapping[str, int] = field(default_factory=dict)
    layout: str = "syn"

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise UserError(f"'layout' is {self.layout} but must be one of {', '.join(LAYOUTS)}")
        for split, count in (*self.frames.items(), *self.hard.items()):
            if split not in SPLITS or count < 0:
                raise UserError(f"{count} frames of '{split}' cannot be rendered: splits are {', '.join(SPLITS)}")
            if count > MOST * self.recipe.take_frames:
                raise UserError(
                    f"{count} frames of '{split}' are more than {MOST} takes of {self.recipe.take_frames}; render "
                    "several datasets with other seeds, or longer takes"
                )
        for view, camera in self.recipe.rig.cameras.items():
            if not camera.same_aspect(*self.recipe.image_size):
                width, height = self.recipe.image_size
                raise UserError(
                    f"rig '{self.recipe.rig.name}': camera '{view}' is {camera.width}x{camera.height}, another aspect "
                    f"ratio than that of the dataset's pictures, {width}x{height}, which the first camera gives: crop "
                    "the cameras to one aspect ratio, render them by themselves, or take another 'size'"
                )

    @property
    def splits(self) -> list[str]:
        """Those that get frames."""
        return [split for split in SPLITS if self.frames.get(split, 0) + self.hard.get(split, 0)]

    @property
    def total(self) -> int:
        """Frames of all splits."""
        return sum(self.frames.values()) + sum(self.hard.values())


@dataclass(frozen=True)
class Take:
    """Consecutive frames of one person, one motion and one place; `mix` says what the motion is drawn from."""

    split: str
    number: int
    frames: int
    mix: str = "all"

    @property
    def character(self) -> str:
        return f"{self._prefix}_{self._ordinal // TAKES_PER_PERSON:05d}"

    @property
    def sequence(self) -> str:
        return f"{'hard' if self.mix == 'hard' else 'take'}_{self._ordinal:06d}"

    @property
    def name(self) -> str:
        """The path of its sequence below the dataset's root."""
        return f"{self.character}/{self.sequence}"

    @property
    def person(self) -> int:
        """Takes of a split with the same number show the same person."""
        return self.number // TAKES_PER_PERSON

    @property
    def _ordinal(self) -> int:
        return self.number - FIRST_HARD_TAKE if self.mix == "hard" else self.number

    @property
    def _prefix(self) -> str:
        return f"{self.split}_hard" if self.mix == "hard" else self.split


def divide(frames: int, split: str) -> dict[str, int]:
    """Frames of each split: all of one, or of "all" by `SHARES`."""
    if split != "all":
        return {split: frames}
    counts = {name: round(frames * share) for name, share in SHARES.items()}
    return {"train": frames - sum(counts.values()), **counts}


def plan(job: Job) -> dict[str, list[Take]]:
    """The takes of each split in order; each split and mix numbers its own."""
    takes = {split: [] for split in job.splits}
    length = job.recipe.take_frames
    for mix, first, counts in (("all", 0, job.frames), ("hard", FIRST_HARD_TAKE, job.hard)):
        for split in job.splits:
            count = counts.get(split, 0)
            for number, start in enumerate(range(0, count, length), first):
                takes[split].append(Take(split, number, min(length, count - start), mix))
    return takes
