"""Re-rendering: what camera A saw lands where camera B would have seen it, and the way back is its inverse."""

import math

import numpy as np
import pytest
import torch

from egorear.geometry.cameras import KannalaBrandt
from egorear.geometry.rig import ego4view_syn
from egorear.geometry.transforms import axis_angle_to_matrix
from egorear.tracking.rerender import ViewWarp

SOURCE = KannalaBrandt(
    width=640, height=480, fx=170.0, fy=168.0, cx=320.5, cy=236.0, k1=0.03, k2=-0.01, k3=0.001, k4=0.0,
    max_angle=math.radians(100),
)  # fmt: skip
TARGET = ego4view_syn().cameras["front_left"].resized(256, 256)
STILL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
# Directions up to 50° from the target's axis, in the target's frame.
DIRECTIONS = torch.tensor([[0.0, 0, 1], [0.5, 0.2, 1], [-0.6, 0.3, 1], [0.1, -0.8, 1], [-0.4, -0.5, 1], [0.9, 0.6, 1]])


def rotation(degrees: float) -> tuple[tuple[float, ...], ...]:
    axis = torch.tensor([0.6, -0.64, 0.48], dtype=torch.float64)
    return tuple(map(tuple, axis_angle_to_matrix(axis * math.radians(degrees)).tolist()))


def dot(pixel: torch.Tensor, width: int, height: int) -> np.ndarray:
    """A soft white dot on black, centred between pixels where need be."""
    y, x = np.mgrid[:height, :width]
    squared = (x - pixel[0].item()) ** 2 + (y - pixel[1].item()) ** 2
    return np.repeat((255 * np.exp(-squared / 18)).astype(np.uint8)[..., None], 3, axis=2)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("degrees", [0.0, 25.0])
def test_a_dot_lands_where_the_target_camera_projects_it(direction, degrees):
    turn = rotation(degrees)
    warp = ViewWarp(SOURCE, TARGET, turn)
    at_source, seen = SOURCE.project(torch.tensor(turn, dtype=torch.float32) @ direction)
    assert seen
    assert SOURCE.contains(at_source)

    image = warp(dot(at_source, 640, 480))[..., 0].astype(float)

    expected, _ = TARGET.project(direction)
    y, x = np.mgrid[:256, :256]
    centroid = np.array([(image * x).sum(), (image * y).sum()]) / image.sum()
    np.testing.assert_allclose(centroid, expected.numpy(), atol=0.35)
    torch.testing.assert_close(warp.to_source(expected), at_source, atol=0.02, rtol=0)


def test_what_the_source_did_not_see_is_black():
    narrow = KannalaBrandt(
        width=64, height=64, fx=60.0, fy=60.0, cx=31.5, cy=31.5, k1=0.0, k2=0.0, k3=0.0, k4=0.0, max_angle=0.5
    )
    warp = ViewWarp(narrow, TARGET, STILL)
    image = warp(np.full((64, 64, 3), 200, np.uint8))
    center, edge = TARGET.project(torch.tensor([[0.0, 0, 1], [1.0, 0, 0.2]]))[0].round().int()
    assert image[center[1], center[0]].tolist() == [200, 200, 200]
    assert not image[edge[1], edge[0]].any()
    assert warp.coverage < 0.2


def test_the_same_lens_is_only_resized_and_keeps_a_small_turn():
    full = TARGET.resized(872, 872)
    image = np.random.default_rng(0).integers(0, 256, (872, 872, 3), dtype=np.uint8)
    for degrees, resizes in ((0.0, True), (6.0, True), (15.0, False)):
        warp = ViewWarp(full, TARGET, rotation(degrees))
        assert warp.resizes is resizes
    pixels = torch.tensor([[0.0, 0.0], [255.0, 100.0]])
    scale = 872 / 256
    torch.testing.assert_close(
        ViewWarp(full, TARGET, STILL).to_source(pixels), (pixels + 0.5) * scale - 0.5, atol=1e-4, rtol=0
    )
    # The mean survives area resampling exactly, up to rounding: nothing is cropped or shifted.
    assert abs(ViewWarp(full, TARGET, STILL)(image).mean() - image.mean()) < 0.5


def test_a_large_image_does_not_alias():
    """Single-pixel stripes must average to grey, not turn into broad ones."""
    big = KannalaBrandt(
        width=2048, height=2048, fx=650.0, fy=650.0, cx=1023.5, cy=1023.5, k1=0.0, k2=0.0, k3=0.0, k4=0.0,
        max_angle=math.radians(90),
    )  # fmt: skip
    stripes = np.zeros((2048, 2048, 3), np.uint8)
    stripes[:, ::2] = 255
    image = ViewWarp(big, TARGET, STILL)(stripes)[96:160, 96:160]
    assert image.std() < 40
    assert abs(image.mean() - 127.5) < 10
