"""The frames a study trains on and is judged by: given folders, or rendered ones."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from egorear.datasets.frames import FrameDataset
from egorear.datasets.opening import open_dataset
from egorear.errors import UserError
from egorear.metrics.errors import joint_errors_mm
from egorear.studies.config import Rendered

MEAN_FRAMES = 1000  # for the mean pose


@dataclass(frozen=True)
class StudyData:
    """train: a dataset's folder, whose split "train" is learnt. test, test_split: what judges."""

    train: Path
    test: Path
    test_split: str = "test"

    @property
    def rendered(self) -> bool:
        """Whether `egorear synth` made any of it."""
        return any((root / "synth.json").exists() for root in (self.train, self.test))

    def describe(self) -> str:
        """In words, for the report."""
        kind = "rendered by `egorear synth`" if self.rendered else "as given"
        return f"{self.train} (train) and {self.test} ({self.test_split}), {kind}"

    def check(self, views: tuple[str, ...]) -> None:
        """Opens both splits with every camera of the study, before anything long begins.

        Raises:
            UserError: a split or a camera is missing.
        """
        open_dataset(self.train, "train", views=views)
        try:
            self.open_test(64, views)
        except UserError as error:
            raise UserError(f"{error}; --test-data and --test-split name other frames to judge by") from error

    def mean_pose(self, test_frames: int) -> dict[str, float]:
        """MPJPE and PA-MPJPE (mm) of one constant pose, the mean of some training frames, on the frames that judge:
        what a network without eyes would reach.

        Raises:
            UserError: a frame's truth is damaged.
        """
        train, test = open_dataset(self.train, "train"), open_dataset(self.test, self.test_split)
        mean = np.mean([train.joints(i)[0] for i in spread(len(train), MEAN_FRAMES)], axis=0)
        truth = torch.from_numpy(np.stack([test.joints(i)[0] for i in spread(len(test), test_frames)]))
        mean = torch.from_numpy(mean).expand_as(truth)
        errors = {"mpjpe_mm": joint_errors_mm(mean, truth), "pa_mpjpe_mm": joint_errors_mm(mean, truth, align=True)}
        return {name: each.mean().item() for name, each in errors.items()}

    def open_test(self, image_size: int, views: tuple[str, ...]) -> FrameDataset:
        """The frames that judge."""
        return open_dataset(self.test, self.test_split, image_size, views)


def spread(frames: int, count: int) -> list[int]:
    """At most `count` of the indices 0 to frames - 1, evenly spread."""
    return np.unique(np.linspace(0, frames - 1, min(frames, count)).round().astype(int)).tolist()


def render(rendered: Rendered, size: int, train_frames: int, test_frames: int, folder: Path, workers: int) -> StudyData:
    """Renders what is missing of a study's own data as shards, seen by the rig of Ego4View-Syn. size: of the square
    images, in pixels.

    Raises:
        UserError: the folder has other frames or cannot be written, or a source of motion cannot be read.
    """
    from egorear.geometry.rig import ego4view_syn
    from egorear.synth.generate import generate
    from egorear.synth.job import Job, Recipe

    recipe = Recipe(
        ego4view_syn(),
        seed=rendered.seed,
        size=size,
        fps=rendered.fps,
        take_frames=rendered.take_frames,
        motion=rendered.motion,
    )
    job = Job(str(folder), recipe, {"train": train_frames, "test": test_frames}, layout="shards")
    started, done, told = time.monotonic(), 0, 0
    for frames in generate(job, workers):
        done += frames
        if done - told >= job.total / 20:
            left = (time.monotonic() - started) / done * (job.total - done)
            print(f"rendering: {done}/{job.total} frames, about {left / 60:.0f} min left", file=sys.stderr, flush=True)
            told = done
    return StudyData(folder, folder)
