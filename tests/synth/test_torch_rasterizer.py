"""The torch z-buffer against the compiled one, bit for bit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from egorear.synth import rasterizer, torch_rasterizer
from egorear.synth.rasterizer import FARTHEST_PX, NOTHING

HEIGHT, WIDTH, CORNERS = 13, 9, 12

# Whole pixels and few distances, so that edges meet centres and depths tie; fine steps; and vertices far off.
coordinate = (
    st.integers(-3, 14).map(float)
    | st.integers(-1024, 4096).map(lambda step: step / 256)
    | st.sampled_from([-FARTHEST_PX, FARTHEST_PX, 1234.0625])
)
meshes = st.tuples(
    arrays.arrays(np.float32, (2, CORNERS, 2), elements=coordinate),
    arrays.arrays(np.float32, (2, CORNERS), elements=st.sampled_from([0.5, 1, 2, 2 + 2**-22, 77])),
    arrays.arrays(bool, (2, CORNERS), elements=st.sampled_from([True, True, True, False])),
    st.integers(1, 2).flatmap(
        lambda meshes: arrays.arrays(np.int32, (meshes, 16, 3), elements=st.integers(0, CORNERS - 1))
    ),
)


def torched(*values: np.ndarray) -> list[torch.Tensor]:
    return [torch.from_numpy(value) for value in values]


@given(meshes, st.sampled_from([1, 40, 1 << 16]))
@settings(deadline=None)
def test_any_triangles_give_the_compiled_rasteriser_s_bits(mesh, block):
    xy, distance, valid, triangles = mesh
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_rasterizer, "CPU_BLOCK", block)
        nearest, winner = torch_rasterizer.rasterize(*torched(xy, distance, valid, triangles), HEIGHT, WIDTH)
    for view in range(2):
        expected = rasterizer.rasterize(
            xy[view], distance[view], valid[view], triangles[min(view, len(triangles) - 1)], HEIGHT, WIDTH
        )
        np.testing.assert_array_equal(nearest[view], expected[0])
        np.testing.assert_array_equal(winner[view], expected[1])


def random_views(samples: int):
    rng = np.random.default_rng(samples)
    height, width = 24 * samples, 20 * samples
    xy = rasterizer.snap(rng.uniform(-5, 25, (3, 60, 2)) * samples)
    triangles = rng.integers(0, 60, (3, 16, 3), dtype=np.int32)
    _, winner = torch_rasterizer.rasterize(
        *torched(xy, rng.uniform(0.3, 3, (3, 60)).astype(np.float32), np.ones((3, 60), bool), triangles), height, width
    )
    assert 0.1 < (winner == NOTHING).float().mean() < 0.9
    return rng, xy, triangles, winner.numpy()


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_resolve_gives_the_compiled_one_s_bits(samples):
    rng, xy, triangles, winner = random_views(samples)
    colors, background = rng.random((3, 60, 3), np.float32), rng.random((3, 24, 20, 3), np.float32)
    pictures = torch_rasterizer.resolve(*torched(xy, colors, triangles, winner, background), samples)
    for view in range(3):
        expected = rasterizer.resolve(xy[view], colors[view], triangles[view], winner[view], background[view], samples)
        np.testing.assert_array_equal(pictures[view], expected)


def test_interpolate_gives_the_compiled_one_s_bits():
    rng, xy, triangles, winner = random_views(1)
    attributes = rng.normal(size=(3, 60, 5)).astype(np.float32)
    maps = torch_rasterizer.interpolate(*torched(xy, attributes, triangles, winner))
    for view in range(3):
        expected = rasterizer.interpolate(xy[view], attributes[view], triangles[view], winner[view])
        np.testing.assert_array_equal(maps[view], expected)


@given(
    arrays.arrays(np.float64, (5, 2), elements=st.floats(-1e6, 1e6) | st.integers(-4096, 4096).map(lambda i: i / 512))
)
def test_snap_gives_the_compiled_rasteriser_s_grid(pixels):
    np.testing.assert_array_equal(torch_rasterizer.snap(torch.from_numpy(pixels)), rasterizer.snap(pixels))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_gives_the_same_triangles():
    rng, xy, triangles, _ = random_views(2)
    distance = rng.uniform(0.3, 3, (3, 60)).astype(np.float32)
    inputs = torched(xy, distance, np.ones((3, 60), bool), triangles)
    here = torch_rasterizer.rasterize(*inputs, 48, 40)
    there = torch_rasterizer.rasterize(*(value.cuda() for value in inputs), 48, 40)
    assert (here[1] == there[1].cpu()).float().mean() > 0.999
    torch.testing.assert_close(here[0], there[0].cpu())
