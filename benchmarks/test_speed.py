"""What the parts cost on one core: `pytest benchmarks --benchmark-columns=median,ops`.

Run with OMP_NUM_THREADS=1; the data engine has `python benchmarks/synth.py`. These are figures to look at, not tests:
nothing here fails for being slow.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from egorear.geometry.rig import ego4view_syn, shipped
from egorear.models import MODELS
from egorear.models.agegopose import AGEgoPose, AGEgoPoseConfig
from egorear.models.egorear import EgoRear
from egorear.tracking import PoseStream, PoseTracker
from egorear.tracking.pose_network import PoseNetwork


def test_project_four_views_of_8000_points(benchmark):
    points = torch.randn(8000, 3)
    benchmark(ego4view_syn().project, points)


def test_unproject_four_views_of_256_pixels(benchmark):
    cameras = ego4view_syn().resized(256, 256).cameras.values()
    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    pixels = torch.stack((x, y), -1)
    benchmark(lambda: [camera.unproject(pixels) for camera in cameras])


@pytest.mark.parametrize("name", ["egorear-nano", "egorear-base"])
def test_track_one_frame_of_four_views(benchmark, name):
    tracker = PoseTracker(PoseNetwork(EgoRear(MODELS[name][0]), ego4view_syn(), None), name)
    rig = ego4view_syn().resized(256, 256)
    images = {view: np.zeros((256, 256, 3), np.uint8) for view in rig.views}
    benchmark(tracker, images, rig)


@pytest.mark.parametrize("causal", [False, True], ids=["window", "causal"])
def test_stream_one_frame(benchmark, causal):
    """The push of one frame when the window is full: image networks, motion, decoder."""
    config = MODELS["agegopose-nano"][0]
    assert isinstance(config, AGEgoPoseConfig)
    assert config.motion is not None
    config = replace(config, motion=replace(config.motion, causal=causal))
    stream = PoseStream(AGEgoPose(config), shipped("egopw"))
    image = np.zeros((config.image_size, config.image_size * 5 // 4, 3), np.uint8)
    for _ in range(config.window):
        stream.push(image)
    benchmark(stream.push, image)
