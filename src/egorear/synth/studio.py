"""Makes the frames of a take: pictures and truth, no files."""

from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from egorear.datasets.frame import FrameTruth
from egorear.datasets.writer import SPLITS
from egorear.synth.job import Recipe, Take
from egorear.synth.motion import MotionLibrary
from egorear.synth.performance import Performance
from egorear.synth.render import Renderer

Images = dict[str, np.ndarray]  # RGB by view


def take(recipe: Recipe, take: Take, skip: Collection[int] = ()) -> Iterator[tuple[int, Images, FrameTruth]]:
    """The frames of a take in order, as (index, images, truth), but for those in `skip`.

    The same frames whatever is skipped and whoever renders.
    """
    renderer, split = _renderer(recipe), SPLITS.index(take.split)
    performance = Performance(recipe, take, _library(recipe.motion))
    for i in range(take.frames):
        if i in skip:
            continue
        scene = performance.scene(i)
        rng = np.random.default_rng((recipe.seed, split, 2, take.number, i))
        frame = renderer.render(scene, performance.sensor, rng)
        truth = FrameTruth(
            joints_world=scene.joints,
            T_device_world=scene.T_device_world,
            visibility=frame.visibility,
            action=performance.action(i),
            timestamp_s=performance.seconds(i),
            T_camera_device=scene.T_camera_device if recipe.shaken else None,
            body=performance.body(i),
            maps=frame.maps,
            jpeg_quality=performance.sensor.jpeg_quality,
        )
        yield i, frame.images, truth


def prepare(recipe: Recipe) -> None:
    """Makes what all takes share: lenses and clips take a second.

    Raises:
        UserError: a source of motion cannot be read.
    """
    _renderer(recipe)
    _library(recipe.motion)


_RENDERERS: dict[str, Renderer] = {}


def _renderer(recipe: Recipe) -> Renderer:
    if recipe.key not in _RENDERERS:
        _RENDERERS.clear()
        _RENDERERS[recipe.key] = Renderer(recipe.image_rig(), recipe.samples, recipe.truth)
    return _RENDERERS[recipe.key]


@lru_cache(maxsize=1)
def _library(motion: tuple[str, ...]) -> MotionLibrary:
    return MotionLibrary([Path(source) for source in motion])
