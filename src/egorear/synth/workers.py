"""Renders takes, frame by frame: what the processes of a job do (`datasets.workers`)."""

from collections.abc import Iterator
from dataclasses import dataclass

from egorear.datasets.frame import EncodedFrame, encode_frame
from egorear.synth.job import Recipe, Take


@dataclass(frozen=True)
class Task:
    """The frames of a take that are missing. present: indices of those that are there."""

    take: Take
    present: frozenset[int] = frozenset()

    @property
    def name(self) -> str:
        return self.take.name


def render(recipe: Recipe, task: Task) -> Iterator[tuple[int, EncodedFrame]]:
    """Renders and encodes the missing frames of a take, one after the other."""
    from egorear.synth import studio

    for index, images, truth in studio.take(recipe, task.take, task.present):
        yield index, encode_frame(recipe.rig, images, truth)
