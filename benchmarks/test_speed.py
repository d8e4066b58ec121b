"""What the parts cost on one core: `pytest benchmarks --benchmark-columns=median,ops`.

Run with OMP_NUM_THREADS=1. These are figures to look at, not tests: nothing here fails for being slow.
"""

import numpy as np
import pytest
import torch

from egorear.geometry.rig import ego4view_syn
from egorear.models import MODELS
from egorear.models.egorear import EgoRear
from egorear.synth.body import BONES, sample_person
from egorear.synth.environment import sample_place
from egorear.synth.motion import MotionLibrary
from egorear.synth.render import Renderer, sample_sensor
from egorear.synth.scene import pose_scene, sample_mount
from egorear.tracking import PoseTracker


@pytest.fixture(scope="module")
def scene():
    rng = np.random.default_rng(0)
    person = sample_person(rng)
    rest = np.tile(np.eye(3, dtype=np.float32), (len(BONES), 1, 1))
    root = np.array([0, 0, person.leg_length], np.float32)
    return pose_scene(person, sample_place(rng, "train"), sample_mount(rng, person), rest, root)


def test_project_four_views_of_8000_points(benchmark):
    points = torch.randn(8000, 3)
    benchmark(ego4view_syn().project, points)


def test_unproject_four_views_of_256_pixels(benchmark):
    cameras = ego4view_syn().resized(256, 256).cameras.values()
    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    pixels = torch.stack((x, y), -1)
    benchmark(lambda: [camera.unproject(pixels) for camera in cameras])


@pytest.mark.parametrize("size", [128, 256])
def test_render_four_views(benchmark, scene, size):
    renderer = Renderer(ego4view_syn().resized(size, size))
    sensor, rng = sample_sensor(np.random.default_rng(0), 4), np.random.default_rng(0)
    benchmark(renderer.render, scene, sensor, rng)


def test_sample_a_take(benchmark):
    library, rng = MotionLibrary(), np.random.default_rng(0)
    benchmark(lambda: (sample_person(rng), sample_place(rng, "train"), library.sample(rng, "train", 10, 5)))


@pytest.mark.parametrize("name", ["egorear-nano", "egorear-base"])
def test_track_one_frame_of_four_views(benchmark, name):
    tracker = PoseTracker(EgoRear(MODELS[name][0]), ego4view_syn(), name)
    rig = ego4view_syn().resized(256, 256)
    images = {view: np.zeros((256, 256, 3), np.uint8) for view in rig.views}
    benchmark(tracker, images, rig)
