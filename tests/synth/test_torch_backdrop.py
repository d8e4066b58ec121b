"""Backgrounds in torch against the compiled ray caster."""

import numpy as np
import pytest
import torch

from egorear.geometry.rig import ego4view_syn
from egorear.synth.environment import Place, sample_place
from egorear.synth.shadows import FloorLight
from egorear.synth.torch_backdrop import Backdrop

SIZE, PIXEL_ANGLE = 48, 0.05


@pytest.fixture(scope="module")
def places() -> list[Place]:
    found = [sample_place(np.random.default_rng(seed), "train") for seed in range(10)]
    assert {place.room is not None for place in found} == {True, False}
    assert any(len(place.patches.rows) for place in found)
    assert any(len(place.furniture.boxes) for place in found)
    return found


def random_rotation(rng: np.random.Generator) -> np.ndarray:
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return (q * np.sign(np.linalg.det(q))).astype(np.float32)


def test_many_views_of_many_places_are_those_of_the_compiled_caster(places):
    rng = np.random.default_rng(0)
    which = np.repeat(np.arange(len(places)), 2)
    count = len(which)
    camera = ego4view_syn().cameras["front_left"].resized(SIZE, SIZE)
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    rays = camera.unproject(torch.stack((x, y), -1).reshape(-1, 2).double())[0].float()
    rotation = np.stack([random_rotation(rng) for _ in which])
    origin = rng.normal((0, 0, 1.5), 0.3, (count, 3)).astype(np.float32)
    texture = np.ones((count, 16, 16, 2), np.float32)
    texture[:, 1:-1, 1:-1] = rng.random((count, 14, 14, 2))
    square = np.stack((*rng.normal(0, 0.2, (2, count)), np.full(count, 1.5)), 1).astype(np.float32)

    colors, distances = Backdrop(places, torch.device("cpu")).cast(
        rays.expand(count, -1, -1), rotation, origin, which, torch.from_numpy(texture), torch.from_numpy(square),
        torch.full((count,), PIXEL_ANGLE),
    )  # fmt: skip
    for b, place in enumerate(places[p] for p in which):
        light = FloorLight(texture[b], (float(square[b, 0]), float(square[b, 1])), float(square[b, 2]))
        color, distance = place.background(rays.numpy(), rotation[b], origin[b], light, PIXEL_ANGLE)
        seen = 255 * np.sqrt(np.clip(np.stack((color, colors[b].numpy())) * place.exposure, 0, 1))
        assert np.abs(seen[0] - seen[1]).mean() < 0.01  # grey levels
        np.testing.assert_allclose(distances[b], distance, rtol=1e-5)
