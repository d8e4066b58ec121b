"""Heatmaps against a plain loop, and there and back."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from egorear.heatmaps import argmax_2d, gaussian_heatmaps, soft_argmax, stamped_heatmaps, to_image_pixels


def stamped_by_loops(x: float, y: float, image_size: int, size: int) -> torch.Tensor:
    heatmap = torch.zeros(size, size)
    cx, cy = math.floor(x * size / image_size + 0.5), math.floor(y * size / image_size + 0.5)
    for row in range(max(cy - 3, 0), min(cy + 4, size)):
        for column in range(max(cx - 3, 0), min(cx + 4, size)):
            heatmap[row, column] = math.exp(-((column - cx) ** 2 + (row - cy) ** 2) / 2)
    return heatmap


# Quarter pixels are exact in float32: no tie falls on the other side by rounding.
coordinates = st.integers(-400, 5000).map(lambda quarters: quarters / 4)


@settings(deadline=None, max_examples=60)
@given(x=coordinates, y=coordinates, layout=st.sampled_from([(872, 64), (256, 64), (256, 32)]))
def test_the_stamped_form_is_the_official_one(x, y, layout):
    image_size, size = layout
    expected = stamped_by_loops(x, y, image_size, size)
    stamped = stamped_heatmaps(torch.tensor([x, y]), image_size, size)
    torch.testing.assert_close(stamped, expected, atol=1e-6, rtol=0)
    assert torch.equal(stamped > 0, expected > 0)


def test_a_joint_on_the_border_is_cut_and_one_beyond_is_zero():
    x = torch.tensor([0.0, -3 * 13.625, -4 * 13.625, 871.0])
    maps = stamped_heatmaps(torch.stack((x, torch.full_like(x, 436.0)), -1), 872)
    assert maps[0].max() == 1
    assert maps[1].max() == pytest.approx(math.exp(-4.5))
    assert not maps[2].any()
    assert maps[3, 32, 63] == pytest.approx(math.exp(-0.5))


@pytest.mark.parametrize("encode", [stamped_heatmaps, gaussian_heatmaps])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_joint_that_is_not_finite_has_an_empty_map(encode, bad):
    maps = encode(torch.tensor([[[bad, 100.0], [100.0, bad], [100.0, 100.0]]]), 256)
    assert maps.shape == (1, 3, 64, 64)
    assert not maps[0, :2].any()
    assert maps[0, 2].max() > 0.5


def test_the_sub_pixel_form_keeps_the_place_that_the_stamped_form_rounds_away():
    joints = torch.tensor([[100.3, 57.9], [31.5, 200.2]])
    maps = gaussian_heatmaps(joints, 256, sigma=2.0)
    # The log of a Gaussian is its own exponent: its softmax is the normalised map.
    found = to_image_pixels(soft_argmax(maps.clamp_min(1e-30).log()), 256)
    torch.testing.assert_close(found, joints, atol=1e-2, rtol=0)


def test_the_centre_of_a_heatmap_pixel_is_the_centre_of_its_image_pixels():
    maps = gaussian_heatmaps(to_image_pixels(torch.tensor([5.0, 9.0]), 256), 256)
    assert maps[9, 5] == 1


def test_argmax_tells_place_and_peak():
    maps = stamped_heatmaps(torch.tensor([[[872 / 2, 872 / 4]], [[0.0, 0.0]]]), 872) * 0.7
    place, peak = argmax_2d(maps)
    assert place.tolist() == [[[32, 16]], [[0, 0]]]
    torch.testing.assert_close(peak, torch.full((2, 1), 0.7))
