"""Pictures made in torch against those of the compiled renderer."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from egorear.geometry.rig import ego4view_syn
from egorear.synth.job import Recipe, Take
from egorear.synth.motion import MotionLibrary
from egorear.synth.performance import Performance
from egorear.synth.render import Renderer
from egorear.synth.torch_render import TorchRenderer

RECIPE = Recipe(rig=ego4view_syn(), size=64, take_frames=2)


@pytest.fixture(scope="module")
def scenes_and_sensors():
    """Two frames each of people with different numbers of vertices in different places."""
    library = MotionLibrary()
    takes = [Performance(RECIPE, Take("train", number, 2), library) for number in (1, 5)]
    quiet = [replace(take.sensor, read_noise=0.0, shot_noise=0.0) for take in takes]
    return [take.scene(i) for take in takes for i in range(2)], [quiet[0], quiet[0], quiet[1], quiet[1]]


@pytest.mark.parametrize("samples", [1, 2])
def test_a_batch_of_scenes_is_drawn_as_the_compiled_renderer_draws_each(scenes_and_sensors, samples):
    scenes, sensors = scenes_and_sensors
    rig = RECIPE.image_rig()
    pictures = TorchRenderer(rig, samples).render(scenes, sensors)
    assert pictures.dtype == torch.uint8
    assert pictures.shape == (len(scenes), 4, 3, 64, 64)
    compiled = Renderer(rig, samples)
    for scene, sensor, views in zip(scenes, sensors, pictures, strict=True):
        expected = np.stack(list(compiled.render(scene, sensor, np.random.default_rng(0)).images.values()))
        difference = np.abs(views.permute(0, 2, 3, 1).numpy().astype(int) - expected)
        assert difference.mean() < 0.05  # grey levels
        assert (difference > 8).mean() < 1e-3


def test_only_the_generator_decides_on_the_noise(scenes_and_sensors):
    scenes, _ = scenes_and_sensors
    sensor = replace(scenes_and_sensors[1][0], read_noise=0.01)
    renderer = TorchRenderer(RECIPE.image_rig(), 1)
    first, again, other = (
        renderer.render(scenes[:1], [sensor], torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
